"""What ``FakeImap`` can be told to do wrong in the rows that answer FETCH; see ``faults.py`` for the rest."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.fakes.imap_connection import Fault, Scene
from tests.fakes.imap_items import section_of
from tests.fakes.imap_store import Folder
from tests.fakes.imap_wire import Line, Literal, Reply, Row, octets

Text = str | bytes

# The rows of FETCH; with on(…, uid=…) only the rows of these messages


class RowFault(Fault):
    def change(self, row: Row, scene: Scene) -> Iterable[Line]:
        """What stands for the row."""
        raise NotImplementedError

    def alter(self, reply: Reply, scene: Scene) -> None:
        lines: list[Line] = []
        for line in reply.lines:
            lines += self.change(line, scene) if isinstance(line, Row) and scene.picks(line) else [line]
        reply.lines = lines


@dataclass(frozen=True)
class NoRow(RowFault):
    """Leave the row out: a message missing from a listing, or OK to a RETR without a message."""

    def change(self, row: Row, scene: Scene) -> Iterable[Line]:
        return ()


@dataclass(frozen=True)
class Twice(RowFault):
    """Give the row twice."""

    def change(self, row: Row, scene: Scene) -> Iterable[Line]:
        return row, row


@dataclass(frozen=True)
class Reverse(Fault):
    """Give all lines in the opposite order."""

    def alter(self, reply: Reply, scene: Scene) -> None:
        reply.lines.reverse()


@dataclass(frozen=True)
class Newest(Fault):
    """Give only the last rows, so many."""

    count: int

    def alter(self, reply: Reply, scene: Scene) -> None:
        rows = [line for line in reply.lines if isinstance(line, Row)]
        hidden = {id(row) for row in rows[: max(0, len(rows) - self.count)]}
        reply.lines = [line for line in reply.lines if id(line) not in hidden]


@dataclass(frozen=True)
class Oldest(Fault):
    """Give only the first rows, so many."""

    count: int

    def alter(self, reply: Reply, scene: Scene) -> None:
        rows = [line for line in reply.lines if isinstance(line, Row)]
        hidden = {id(row) for row in rows[self.count :]}
        reply.lines = [line for line in reply.lines if id(line) not in hidden]


@dataclass(frozen=True)
class Renumber(RowFault):
    """Give the row another message number."""

    seq: int

    def change(self, row: Row, scene: Scene) -> Iterable[Line]:
        row.seq = self.seq
        return (row,)


# The items of a row; "BODY" is the one that carries text, whatever it is called


def _name(row: Row, name: str) -> str:
    return row.body or name if name == "BODY" else name


@dataclass(frozen=True)
class Item(RowFault):
    """Give an item, where it was asked for, this value as it goes over the wire: "NIL", "99999999999"."""

    name: str
    value: Text | Callable[[Row], Text]

    def change(self, row: Row, scene: Scene) -> Iterable[Line]:
        name = _name(row, self.name)
        if name in row.items:
            row.items[name] = octets(self.value(row) if callable(self.value) else self.value)
        return (row,)


class Without(RowFault):
    """Leave items out."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def change(self, row: Row, scene: Scene) -> Iterable[Line]:
        left_out = {_name(row, name) for name in self._names}
        row.items = {name: value for name, value in row.items.items() if name not in left_out}
        return (row,)


class Order(RowFault):
    """Give the items in this order; "*" stands for all others: ``Order("*", "UID")``."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def change(self, row: Row, scene: Scene) -> Iterable[Line]:
        named = [_name(row, name) for name in self._names]
        others = [name for name in row.items if name not in named]
        order = [x for name in named for x in (others if name == "*" else [name]) if x in row.items]
        row.items = {name: row.items[name] for name in order}
        return (row,)


@dataclass(frozen=True)
class FlagsOnly(RowFault):
    """Give the flags and nothing else, not even the UID unless told so."""

    uid: bool = False

    def change(self, row: Row, scene: Scene) -> Iterable[Line]:
        uid = {"UID": b"%d" % row.uid} if self.uid else {}
        return (Row(row.seq, row.uid, {**uid, "FLAGS": row.items.get("FLAGS", b"(\\Deleted)")}),)


class BodyFault(RowFault):
    def body(self, literal: Literal, row: Row, scene: Scene) -> None:
        """Change the literal, or the row that it is in."""
        raise NotImplementedError

    def change(self, row: Row, scene: Scene) -> Iterable[Line]:
        literal = row.items.get(row.body or "")
        if isinstance(literal, Literal):
            self.body(literal, row, scene)
        return (row,)


@dataclass(frozen=True)
class BodyIs(BodyFault):
    """Give these octets, or what the function makes of the true ones; b"" for the empty literal."""

    octets: bytes | Callable[[bytes], bytes]

    def body(self, literal: Literal, row: Row, scene: Scene) -> None:
        literal.octets = self.octets(literal.octets) if callable(self.octets) else self.octets


@dataclass(frozen=True)
class BodyOf(BodyFault):
    """Give the text of another message."""

    uid: int

    def body(self, literal: Literal, row: Row, scene: Scene) -> None:
        literal.octets = next(message.octets for message in _folder(scene).by_uid([self.uid]))


@dataclass(frozen=True)
class Announce(BodyFault):
    """Claim another length of the literal than it has: an absolute one, or so many octets more or fewer."""

    octets: int | None = None
    more: int = 0

    def body(self, literal: Literal, row: Row, scene: Scene) -> None:
        literal.announced = (len(literal.octets) if self.octets is None else self.octets) + self.more


@dataclass(frozen=True)
class Quoted(BodyFault):
    """Give the text as a quoted string; one with line ends in it is against the grammar."""

    def body(self, literal: Literal, row: Row, scene: Scene) -> None:
        literal.form = ""


@dataclass(frozen=True)
class Literal8(BodyFault):
    """Give the text as ``~{n}``."""

    def body(self, literal: Literal, row: Row, scene: Scene) -> None:
        literal.form = "~{%d}\r\n"


@dataclass(frozen=True)
class WholeBody(BodyFault):
    """Ignore that a part was asked for; the answer says ``<0>`` only when told to."""

    origin: bool = False

    def body(self, literal: Literal, row: Row, scene: Scene) -> None:
        name = row.body or ""
        section, _, origin = name.removeprefix("BODY[").partition("]")
        for message in _folder(scene).by_uid([row.uid]):
            literal.octets = section_of(message.octets, section)
        shown = name if self.origin else name.removesuffix(origin)
        row.items = {shown if key == name else key: value for key, value in row.items.items()}


def _folder(scene: Scene) -> Folder:
    assert scene.connection.session.view is not None
    return scene.connection.session.view.folder
