"""A scriptable IMAP server for what a real one cannot be made to do.

``FakeImap`` is an ``Upstream`` (see ``tests/servers/upstream.py``). It does as the RFCs say, and knows no
extension that it does not announce, until it is told otherwise::

    with FakeImap() as fake:
        fake.add_user("ann", "secret")
        fake.deliver("ann", [b"Subject: hello\\r\\n\\r\\n"])
        fake.on("UID FETCH", Item("BODY", "NIL"), uid=1, has="BODY")
        fake.on("LOGIN", Say("NO [UNAVAILABLE] later"), times=1)
        before = fake.counts
        ...
        assert (fake.counts - before).round_trips == 1
        assert fake.verbs == ["LOGIN", "LOGIN", "SELECT", "UID FETCH"]

The faults are in ``faults.py`` and, for the rows that answer FETCH, in ``row_faults.py``.
"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.imap_connection import Connection, Fault, Scene
from tests.fakes.imap_store import Account, Folder, Settings, Site, canonical, mailbox_name
from tests.fakes.imap_wire import Command, Counts, octets
from tests.servers.tls import Certificates
from tests.servers.upstream import Stored

__all__ = ["Command", "Connection", "Counts", "FakeImap", "Hook", "Rule", "Settings"]

STOP_SECONDS = 5.0
_PSEUDO_VERBS = frozenset({"GREETING", "TLS", "+", "BAD"})

Hook = Callable[[Connection, Command], "Fault | Sequence[Fault] | None"]


@dataclass(slots=True, eq=False)
class Rule:
    """When which faults happen: an entry of the table that ``FakeImap.on`` fills."""

    verb: str
    faults: tuple[Fault | Hook, ...]
    uids: frozenset[int] | None
    nth: frozenset[int] | None
    times: int | None
    connection: int | None
    user: str | None
    has: bytes
    when: Callable[[Connection, Command], bool] | None
    seen: int = 0  # commands that it would have been for
    hits: int = 0  # commands that it happened to

    def strikes(self, verb: str, connection: Connection, command: Command) -> bool:
        if not self._is_for(verb, connection, command):
            return False
        self.seen += 1
        if self.nth is not None and self.seen not in self.nth:
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        self.hits += 1
        return True

    def scripted(self, connection: Connection, command: Command) -> list[Fault]:
        found: list[Fault] = []
        for fault in self.faults:
            given = fault if isinstance(fault, Fault) else fault(connection, command)
            if given is not None:
                found += [given] if isinstance(given, Fault) else given
        return found

    def _is_for(self, verb: str, connection: Connection, command: Command) -> bool:
        return (
            (verb == self.verb or (self.verb == "*" and verb not in _PSEUDO_VERBS))
            and self.connection in (None, connection.number)
            and self.user in (None, connection.user)
            and self.has.upper() in command.line.upper()
            and (self.uids is None or any(connection.session.names(command, uid) for uid in self.uids))
            and (self.when is None or self.when(connection, command))
        )


class FakeImap:
    """A running server on 127.0.0.1; with certificates it has STARTTLS and a port for implicit TLS."""

    def __init__(self, certificates: Certificates | None = None, *, settings: Settings | None = None) -> None:
        context = None
        if certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates.cert_file, certificates.key_file)
        self.settings = settings or Settings()
        self.host = "127.0.0.1" if certificates is None else "localhost"
        self.ca_file: Path | None = None if certificates is None else certificates.ca_file
        self.imap_port = 0
        self.imaps_port: int | None = None if certificates is None else 0
        self.connections: list[Connection] = []  # all there ever were, in order
        self.peak = 0  # most connections at once
        self._site = Site(self.settings, context)
        self.log = self._site.log  # all commands, in order of arrival
        self._rules: list[Rule] = []
        self._listeners: list[tuple[socket.socket, threading.Thread]] = []
        self.up()

    def __enter__(self) -> "FakeImap":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # Faults

    def on(
        self,
        verb: str,
        *faults: Fault | Hook,
        uid: int | Collection[int] | None = None,
        nth: int | Collection[int] | None = None,
        times: int | None = None,
        connection: int | None = None,
        user: str | None = None,
        has: str | bytes = "",
        when: Callable[[Connection, Command], bool] | None = None,
    ) -> Rule:
        """Let these faults happen to a command, or at the moments "GREETING", "TLS" and "+"; "*" is any command.

        A function among the faults is called before the command is done, and may return faults. Only
        commands count that name one of the messages `uid`, come over this connection (1 is the first),
        from this user, have this text in their line, and pass `when`. Of those, faults happen to the `nth`
        (1 is the first; counted from now), or to as many as `times`. All rules that fit apply, in order.
        """
        rule = Rule(verb.upper(), faults, _set(uid), _set(nth), times, connection, user, octets(has), when)
        with self._site.lock:
            self._rules.append(rule)
        return rule

    def forgive(self, *rules: Rule) -> None:
        """Forget these rules, or all."""
        with self._site.lock:
            self._rules = [rule for rule in self._rules if rules and rule not in rules]

    def drop(self, *lines: str | bytes, reset: bool = False) -> None:
        """Cut all connections now, after these last words."""
        dropped = self.open
        for connection in dropped:
            if lines:
                connection.push(*map(octets, lines))
            connection.cut(reset=reset)
        for connection in dropped:
            connection.join(STOP_SECONDS)

    def push(self, *lines: str | bytes) -> None:
        """Send untagged lines to all who are connected, asked or not."""
        for connection in self.open:
            connection.push(*map(octets, lines))

    # Records

    @property
    def open(self) -> list[Connection]:
        """Connections that live now."""
        with self._site.lock:
            return [connection for connection in self.connections if not connection.closed.is_set()]

    @property
    def counts(self) -> Counts:
        with self._site.lock:
            return sum((connection.counts for connection in self.connections), Counts())

    @property
    def verbs(self) -> list[str]:
        return [command.verb for command in self.log]

    def commands(self, verb: str) -> list[Command]:
        return [command for command in self.log if command.verb == verb.upper()]

    def forget(self) -> None:
        """What has been so far is not counted: the next connection is the first."""
        with self._site.lock:
            self.log.clear()
            self.connections = self.open
            self.peak = len(self.connections)

    def wait_until_idle(self, seconds: float = STOP_SECONDS) -> None:
        """Wait until every connection is closed."""
        deadline = time.monotonic() + seconds
        for connection in self.open:
            if not connection.closed.wait(max(0.0, deadline - time.monotonic())):
                raise TimeoutError(f"connection {connection.number} is still open: {connection.verbs}")

    # Accounts and mail

    def add_user(self, name: str, password: str) -> None:
        """Make an account; a second time: change its password, which is its token for OAuth as well."""
        with self._site.lock:
            account = self._site.accounts.get(name)
            if account is None:
                self._site.accounts[name] = Account(password, {"INBOX": self._site.new_folder()})
            else:
                account.password = password

    def deliver(self, user: str, messages: Sequence[bytes], folder: str = "INBOX") -> list[int]:
        with self._site.lock:
            folders, name = self._site.accounts[user].folders, mailbox_name(folder)
            if name not in folders:
                folders[name] = self._site.new_folder()
            return [folders[name].add(message).uid for message in messages]

    def messages(self, user: str, folder: str = "INBOX") -> list[Stored]:
        """As an IMAP client would see them, but not through IMAP: faults and counts do not touch it."""
        with self._site.lock:
            found = self._folder(user, folder).messages
            return [Stored(message.uid, frozenset(message.flags), message.octets) for message in found]

    def uid_validity(self, user: str, folder: str = "INBOX") -> int:
        with self._site.lock:
            return self._folder(user, folder).uid_validity

    def flag(self, user: str, uids: Sequence[int], *flags: str, folder: str = "INBOX") -> None:
        with self._site.lock:
            found = self._folder(user, folder)
            for message in found.by_uid(uids):
                found.set_flags(message, message.flags | {canonical(flag) for flag in flags})

    def expunge(self, user: str, uids: Sequence[int], folder: str = "INBOX") -> None:
        with self._site.lock:
            found = self._folder(user, folder)
            found.remove(found.by_uid(uids))

    def annotate(self, user: str, uid: int, folder: str = "INBOX", **items: str) -> None:
        """Give a message more FETCH items; X_GM_MSGID="1278" is asked for as X-GM-MSGID."""
        with self._site.lock:
            for message in self._folder(user, folder).by_uid([uid]):
                message.extra.update({name.replace("_", "-"): value for name, value in items.items()})

    def renumber(
        self,
        user: str,
        folder: str = "INBOX",
        *,
        validity: int | None = None,
        uids: Mapping[int, int] | None = None,
    ) -> int:
        """Change UIDVALIDITY, and UIDs to 1, 2, … or as given (old: new), from the next SELECT on."""
        with self._site.lock:
            old, new = self._folder(user, folder), self._site.new_folder(validity)
            numbered = [(m.uid if uids is None else uids.get(m.uid, m.uid), m) for m in old.messages]
            for uid, message in sorted(numbered, key=lambda pair: pair[0]):
                new.uid_next = new.uid_next if uids is None else uid
                new.add(message.octets, message)
            self._site.accounts[user].folders[mailbox_name(folder)] = new
            return new.uid_validity

    def _folder(self, user: str, folder: str) -> Folder:
        return self._site.accounts[user].folders[mailbox_name(folder)]

    # Start and stop

    def up(self) -> None:
        """Serve again after ``down``, at the same ports, with the same mail."""
        self.imap_port = self._listen(self.imap_port, tls=False)
        if self.imaps_port is not None:
            self.imaps_port = self._listen(self.imaps_port, tls=True)

    def down(self) -> None:
        """Cut all connections and refuse new ones."""
        for listener, thread in self._listeners:
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            thread.join(STOP_SECONDS)
            listener.close()
        self._listeners.clear()
        self.drop()

    def stop(self) -> None:
        self.down()

    def _listen(self, port: int, *, tls: bool) -> int:
        listener = socket.create_server(("127.0.0.1", port), backlog=512)
        thread = threading.Thread(target=self._accept, args=(listener, tls), name="fake-imap", daemon=True)
        self._listeners.append((listener, thread))
        thread.start()
        number: int = listener.getsockname()[1]
        return number

    def _accept(self, listener: socket.socket, tls: bool) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                with self._site.lock:
                    connection = Connection(len(self.connections) + 1, sock, self._site, self._plan, tls=tls)
                    self.connections.append(connection)
                    self.peak = max(self.peak, len(self.open))
                    connection.start()

    def _plan(self, verb: str, connection: Connection, command: Command) -> list[tuple[Fault, Scene]]:
        with self._site.lock:
            rules = [rule for rule in self._rules if rule.strikes(verb, connection, command)]
        return [
            (fault, Scene(connection, command, rule.uids))
            for rule in rules
            for fault in rule.scripted(connection, command)
        ]


def _set(numbers: int | Collection[int] | None) -> frozenset[int] | None:
    if numbers is None:
        return None
    return frozenset([numbers]) if isinstance(numbers, int) else frozenset(numbers)
