"""The rooms behind a session, in memory: accounts, mailboxes, locks … that keep what ports promises."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from gateway.accounts import PassThrough
from gateway.errors import (
    BadCredentials,
    GatewayError,
    LoggedInTooRecently,
    MaildropInUse,
    MessageGone,
    UpstreamError,
)
from gateway.maildrop import CommitPlan, Policy, Snapshot
from gateway.ports import Account, Endpoint, Granted, MaildropLock, Services, TlsMode, forget_copied
from tests.fakes.door import OpenDoor

FOLDER = "INBOX"
UPSTREAM = Endpoint("imap.example.org", 993, TlsMode.IMPLICIT)


@dataclass(slots=True)
class Message:
    """A message at rest. `breaks_after` so many octets the upstream sends no more of it."""

    name: str
    uid: int
    octets: bytes
    seen: bool = False
    breaks_after: int | None = None


@dataclass(slots=True)
class Folder:
    """One user's mailbox upstream."""

    password: str
    uidvalidity: int = 1
    messages: list[Message] = field(default_factory=list)
    read_only: bool = False

    def find(self, uid: int) -> Message | None:
        return next((message for message in self.messages if message.uid == uid), None)

    def named(self, name: str) -> Message:
        return next(message for message in self.messages if message.name == name)

    def add(self, name: str, octets: bytes, uid: int | None = None) -> None:
        if uid is None:
            uid = max((message.uid for message in self.messages), default=0) + 1
        self.messages.append(Message(name, uid, octets))

    def remove(self, message: Message) -> None:
        self.messages.remove(message)


@dataclass(slots=True)
class Upstream:
    """The mail server behind the gateway, and what is wrong with it now."""

    folders: dict[str, Folder] = field(default_factory=dict)
    block_octets: int = 65_536  # bodies come in blocks of so many
    fault: GatewayError | None = None  # whatever is asked of it
    list_fault: GatewayError | None = None  # at a login, when it has found the password right
    commit_fault: GatewayError | None = None  # at QUIT, when it has removed one message
    login_seconds: float = 0
    commit_seconds: float = 0

    def services(self, login_delay: float) -> Services:
        return Services(
            PassThrough(UPSTREAM, FOLDER, Policy()),
            MemoryMailboxes(self),
            MemoryLocks(),
            MemoryLoginDelay(login_delay),
            OpenDoor(),
        )

    def work(self) -> None:
        if self.fault is not None:
            raise self.fault


class MemoryMailboxes:
    """Implements ports.Mailboxes."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def open(self, account: Account, admit: Callable[[], None]) -> "MemoryMailbox":
        self._upstream.work()
        await asyncio.sleep(self._upstream.login_seconds)
        claim = account.credentials
        folder = self._upstream.folders.get(claim.user)
        if folder is None or isinstance(claim, Granted) or claim.secret.reveal() != folder.password:
            raise BadCredentials
        admit()
        if self._upstream.list_fault is not None:
            raise self._upstream.list_fault
        return MemoryMailbox(self._upstream, folder)


class MemoryMailbox:
    """Implements ports.Mailbox. The snapshot is what the folder had when it was opened."""

    def __init__(self, upstream: Upstream, folder: Folder) -> None:
        rows = [(message.uid, len(message.octets)) for message in folder.messages]
        self.snapshot = Snapshot.of(folder.uidvalidity, rows, read_only=folder.read_only)
        self._upstream = upstream
        self._folder = folder

    async def open_body(self, uid: int, octets: int | None = None) -> "MemoryBody":
        self._upstream.work()
        message = self._folder.find(uid)
        if message is None:
            raise MessageGone
        return MemoryBody(message, octets, self._upstream.block_octets)

    def at_hand(self, uid: int, octets: int | None = None) -> bytes | None:
        """Every second message is here, so that both ways are walked."""
        message = self._folder.find(uid)
        if uid % 2 or message is None or message.breaks_after is not None or self._upstream.fault is not None:
            return None
        return message.octets[:octets]

    def peek(self, uid: int) -> bytes | None:
        return self.at_hand(uid)

    def learn(self, uid: int, octets: int) -> None:
        """Nothing is kept between sessions here."""

    async def commit(self, plan: CommitPlan, on_copied: Callable[[Sequence[int]], None] = forget_copied) -> bool:
        if not plan:
            return True
        self._upstream.work()
        await asyncio.sleep(self._upstream.commit_seconds)
        if plan.uidvalidity != self._folder.uidvalidity:
            raise UpstreamError("UIDVALIDITY changed")
        for uid in plan.delete:
            message = self._folder.find(uid)
            if message is not None:
                self._folder.remove(message)
            if self._upstream.commit_fault is not None:
                raise self._upstream.commit_fault
        for uid in plan.retrieved:
            message = self._folder.find(uid)
            if message is not None:
                message.seen = True
        return True

    def hurry(self) -> None:
        pass

    async def close(self) -> None:
        pass


class MemoryBody:
    """Implements ports.Body."""

    def __init__(self, message: Message, octets: int | None, block_octets: int) -> None:
        self._octets = message.octets[:octets]
        self._breaks_after = message.breaks_after
        self._block_octets = block_octets

    async def __aiter__(self) -> AsyncIterator[bytes]:
        whole = self._octets[: self._breaks_after]
        for start in range(0, len(whole), self._block_octets):
            yield whole[start : start + self._block_octets]
        if self._breaks_after is not None and len(self._octets) > self._breaks_after:
            raise UpstreamError("the connection was lost within the message")

    async def aclose(self) -> None:
        pass


class MemoryLoginDelay:
    """Implements ports.LoginDelay."""

    def __init__(self, seconds: float) -> None:
        self.seconds = int(seconds)
        self._last: dict[str, float] = {}

    def admit(self, maildrop_key: str) -> None:
        if time.monotonic() - self._last.get(maildrop_key, float("-inf")) < self.seconds:
            raise LoggedInTooRecently

    def logged_in(self, maildrop_key: str) -> None:
        self._last[maildrop_key] = time.monotonic()


class MemoryLocks:
    """Implements ports.Locks."""

    def __init__(self) -> None:
        self._held: dict[str, MaildropLock] = {}

    def lock(self, maildrop_key: str) -> "MemoryLock":
        return MemoryLock(maildrop_key, self._held)


class MemoryLock:
    """Implements ports.MaildropLock."""

    is_wanted = False

    def __init__(self, key: str, held: dict[str, MaildropLock]) -> None:
        self._key = key
        self._held = held

    def acquire(self) -> None:
        if self._key in self._held:
            raise MaildropInUse
        self._held[self._key] = self

    def release(self) -> None:
        if self._held.get(self._key) is self:
            del self._held[self._key]
