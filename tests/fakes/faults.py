"""What ``FakeImap`` can be told to do wrong: values for ``FakeImap.on``, which combine freely."""

import re
import threading
from dataclasses import dataclass
from typing import Literal

from tests.fakes.imap_connection import Fault, Scene
from tests.fakes.imap_wire import Ending, Line, Raw, Reply, octets

Text = str | bytes

# Instead of an answer


@dataclass(frozen=True)
class Say(Fault):
    """Do nothing, and answer with these untagged lines and this tagged one (without tag), or none."""

    tagged: Text | None = "OK done"
    untagged: tuple[Text, ...] = ()

    def before(self, scene: Scene) -> bool:
        return False

    def alter(self, reply: Reply, scene: Scene) -> None:
        reply.lines = [octets(line) for line in self.untagged]
        reply.tagged = None if self.tagged is None else octets(self.tagged)


@dataclass(frozen=True)
class Send(Fault):
    """Do nothing, and put these octets on the wire as they are, so often; None is for ever."""

    octets: Text
    times: int | None = 1
    ending: Ending = Ending.STAY

    def before(self, scene: Scene) -> bool:
        return False

    def alter(self, reply: Reply, scene: Scene) -> None:
        reply.lines = [Raw(octets(self.octets), self.times)]
        reply.tagged, reply.ending = None, self.ending


@dataclass(frozen=True)
class EndlessLine(Fault):
    """Answer with a line of so many octets, rounded up, that never ends; None is for ever."""

    octets: int | None = 4_000_000
    start: Text = "* OK "

    def before(self, scene: Scene) -> bool:
        return False

    def alter(self, reply: Reply, scene: Scene) -> None:
        times = None if self.octets is None else -(-self.octets // 65_536)
        reply.lines = [Raw(octets(self.start)), Raw(b"x" * 65_536, times)]
        reply.tagged, reply.ending = None, Ending.STALL


@dataclass(frozen=True)
class Preauth(Fault):
    """For "GREETING": the client is logged in already."""

    user: str

    def before(self, scene: Scene) -> bool:
        return False

    def alter(self, reply: Reply, scene: Scene) -> None:
        session = scene.connection.session
        session.user = self.user
        reply.lines = [session.greeting("PREAUTH")]


# The connection fails


@dataclass(frozen=True)
class _Breaks(Fault):
    """Before doing the command; with `done` after it, without an answer; with `octets` after so many of it.

    `of` the "reply" are all its octets, of the "literal" only those from the first literal's start.
    """

    done: bool = False
    octets: int | None = None
    of: Literal["reply", "literal"] = "reply"

    def before(self, scene: Scene) -> bool:
        return self.done or self.octets is not None

    def _limit(self, reply: Reply, ending: Ending) -> None:
        reply.limit = self.octets or 0
        reply.limit_in_literal = self.of == "literal"
        reply.ending, reply.then = ending, None


@dataclass(frozen=True)
class Close(_Breaks):
    """Close the connection, by FIN or by RST."""

    reset: bool = False

    def alter(self, reply: Reply, scene: Scene) -> None:
        self._limit(reply, Ending.RESET if self.reset else Ending.CLOSE)


@dataclass(frozen=True)
class Stall(_Breaks):
    """Never answer (any further) on this connection, which stays open; commands are recorded still."""

    def alter(self, reply: Reply, scene: Scene) -> None:
        self._limit(reply, Ending.STALL)


@dataclass(frozen=True)
class Bye(Fault):
    """Say BYE and close; with `done` do the command before, and give its untagged lines but no tagged one."""

    text: str = "[UNAVAILABLE] come back later"
    done: bool = False

    def before(self, scene: Scene) -> bool:
        return self.done

    def alter(self, reply: Reply, scene: Scene) -> None:
        if not self.done:
            reply.lines = []
        reply.say(f"* BYE {self.text}")
        reply.tagged, reply.ending, reply.then = None, Ending.CLOSE, None


# The answer is slow, or not where it is looked for


@dataclass(frozen=True)
class Delay(Fault):
    """Answer later; the command is done before the wait, or after it when not `done`."""

    seconds: float
    done: bool = True

    def before(self, scene: Scene) -> bool:
        if not self.done:
            scene.connection.pause(self.seconds)
        return True

    def alter(self, reply: Reply, scene: Scene) -> None:
        reply.delay += self.seconds if self.done else 0.0


@dataclass(frozen=True)
class Hold(Fault):
    """Answer when the test sets the event; the command is done before the wait only when `done`."""

    event: threading.Event
    done: bool = False

    def before(self, scene: Scene) -> bool:
        if not self.done:
            scene.connection.wait_for(self.event)
        return True

    def alter(self, reply: Reply, scene: Scene) -> None:
        if self.done:
            scene.connection.wait_for(self.event)


@dataclass(frozen=True)
class Trickle(Fault):
    """Send the answer in small pieces at this rate."""

    octets_per_second: int

    def alter(self, reply: Reply, scene: Scene) -> None:
        reply.rate = self.octets_per_second


@dataclass(frozen=True)
class TagLast(Fault):
    """Keep the tagged line back until all commands that came with this one are done."""

    def alter(self, reply: Reply, scene: Scene) -> None:
        reply.tag_last = True


@dataclass(frozen=True)
class Deafen(Fault):
    """Lose whatever the client sent behind this command without waiting for the answer."""

    def alter(self, reply: Reply, scene: Scene) -> None:
        reply.deafens = True


@dataclass(frozen=True)
class Retag(Fault):
    """Answer to another tag."""

    tag: str

    def alter(self, reply: Reply, scene: Scene) -> None:
        reply.tag = self.tag


# The lines of the answer


class Insert(Fault):
    """Put lines before, between, after the untagged ones, behind the tagged one, or ahead of the n-th (from 0)."""

    def __init__(self, *lines: Text, at: Literal["before", "between", "after", "behind"] | int = "before") -> None:
        self._lines = [octets(line) for line in lines]
        self._at = at

    def alter(self, reply: Reply, scene: Scene) -> None:
        if self._at == "behind":
            reply.behind += self._lines
        elif self._at == "between":
            gaps: list[Line] = []
            for line in reply.lines:
                gaps += [*self._lines, line] if gaps else [line]
            reply.lines = gaps
        else:
            place = {"before": 0, "after": len(reply.lines)}.get(str(self._at), self._at)
            assert isinstance(place, int)
            reply.lines[place:place] = self._lines


@dataclass(frozen=True)
class Edit(Fault):
    """Replace what the pattern matches in any line but FETCH's, or with None leave out untagged lines with it."""

    pattern: str
    to: str | None

    def alter(self, reply: Reply, scene: Scene) -> None:
        if self.to is None:
            reply.lines = [line for line in reply.lines if not self._in(line)]
            return
        pattern, to = octets(self.pattern), octets(self.to)
        reply.lines = [re.sub(pattern, to, x) if isinstance(x, bytes) else x for x in reply.lines]
        if reply.tagged is not None:
            reply.tagged = re.sub(pattern, to, reply.tagged)

    def _in(self, line: Line) -> bool:
        return isinstance(line, bytes) and re.search(octets(self.pattern), line) is not None


@dataclass(frozen=True)
class ReadOnly(Fault):
    """For SELECT: the mailbox cannot be written."""

    def alter(self, reply: Reply, scene: Scene) -> None:
        if scene.connection.session.view is not None:
            scene.connection.session.view.read_only = True
            Edit(r"READ-WRITE", "READ-ONLY").alter(reply, scene)
            Edit(r"PERMANENTFLAGS \(.*\)", "PERMANENTFLAGS ()").alter(reply, scene)
