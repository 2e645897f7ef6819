"""Who logs in, and what it opens: accounts, and what is asked of those that know them."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from gateway.errors import BadCredentials
from gateway.maildrop import OnDelete, Policy
from gateway.ports.grants import Grant, Granted
from gateway.sasl import Bearer, Claim, Credentials, Key, Keyring, Needs, Secret


class TlsMode(Enum):
    """How a connection to an upstream is protected."""

    IMPLICIT = "imaps"
    STARTTLS = "starttls"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An IMAP server."""

    host: str
    port: int
    tls: TlsMode
    ca_file: Path | None = None  # trusted instead of the system's authorities
    # Between whose mailbox it is and who logs in for him; "": that is SASL PLAIN's to say.
    master_separator: str = ""
    others: tuple["Endpoint", ...] = ()  # with the same mailboxes, in this order, where this one cannot be reached

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Account:
    """Whose mailbox a login opens, where it is, and with what."""

    endpoint: Endpoint
    credentials: Credentials | Bearer | Granted
    folder: str
    policy: Policy
    device: str = ""  # whose own memory of the maildrop this is; "": that of all others
    stored_as: str = ""  # the login that these credentials are kept for here; "": they are the client's own
    opened_with: str = ""  # the app password, by its label or name, for the log
    given_by: str = ""  # the route whose look-up said the secret, likewise

    @property
    def user(self) -> str:
        """Whose mailbox it is, whoever logs in for it."""
        claim = self.credentials
        return (claim.authorization if isinstance(claim, Credentials) else "") or claim.user

    @property
    def maildrop_key(self) -> str:
        """The same for two logins to one maildrop: what the exclusive-access lock is taken on."""
        return "\0".join((self.endpoint.host, str(self.endpoint.port), self.user, self.folder))

    @property
    def memory_key(self) -> str:
        """Under which the ledger keeps what is promised and hidden: what a device believes deleted, others see."""
        return f"{self.maildrop_key}\0{self.device}" if self.device else self.maildrop_key


@dataclass(frozen=True, slots=True)
class Peer:
    """The client's end of a connection."""

    address: str
    is_loopback: bool = field(default=False)
    encrypted: bool = False
    attempt: int = 1  # to log in, on this connection


@dataclass(frozen=True, slots=True)
class Channel:
    """What TLS says of a connection."""

    bindings: Mapping[str, bytes] = field(default_factory=dict)  # by type (RFC 5929)
    certified: tuple[str, ...] = ()  # names in the client's certificate, which was verified
    version: str = ""  # as OpenSSL calls it: TLSv1.3


@dataclass(frozen=True, slots=True)
class AppPassword:
    """One of an account's passwords, for one device or program."""

    name: str  # what it is revoked by: unique within the account, and no secret
    label: str
    key: Key  # in forms that mechanisms can use
    hashed: str = field(repr=False)  # argon2, for the password itself
    created: float  # seconds since the epoch
    used: float = 0.0  # likewise, of the last login; 0: never
    expires: float = 0.0  # likewise; 0: never
    read_only: bool = False  # the client believes that it deletes, and the mailbox keeps all
    folder: str = ""  # instead of the account's
    networks: tuple[str, ...] = ()  # that a client may come from; none: from everywhere
    on_delete: OnDelete | None = None  # instead of the account's


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """A login name of our own, and the mailbox behind it."""

    login: str
    upstream: str  # URL, as the setting has it; "": that of the settings
    user: str  # there
    secret: Secret  # there; empty where a grant or a master user logs in
    salt: bytes  # of all its SCRAM keys
    created: float  # seconds since the epoch
    folder: str = ""  # "": that of the settings
    on_delete: OnDelete | None = None  # None: that of the settings
    passwords: tuple[AppPassword, ...] = ()
    grant: Grant | None = None  # what opens the mailbox, in the place of `secret`


class Vault(Protocol):
    """Accounts, their upstream secrets encrypted. Blocking; every method may raise StateError, and is durable on
    return. Login names are compared as sasl.one_spelling has it.
    """

    @property
    def is_unused(self) -> bool:
        """Without a wait: there has been no account yet."""

    def find(self, login: str) -> StoredAccount | None: ...

    def prove_keys(self) -> None:
        """Raises KeysUnusable where what is stored cannot be read."""

    def has_readable(self) -> bool:
        """Whether any password is kept so that it can be read."""

    def stand_in(self, login: str) -> bytes:
        """For a name that has no account and is to look as if it had: the same at every gateway, at all times."""

    def all(self) -> Iterable[StoredAccount]:
        """In the order of their names."""

    def add(self, account: StoredAccount) -> None:
        """With its passwords. Raises AccountExists."""

    def remove(self, login: str) -> None:
        """With its passwords, and its invitations, which would bring it back. Raises NoSuchAccount."""

    def change(self, account: StoredAccount) -> None:
        """What it opens: `upstream`, `user`, `folder`, `on_delete`. Raises NoSuchAccount."""

    def set_secret(self, login: str, secret: Secret) -> None:
        """Raises NoSuchAccount."""

    def grant(self, login: str) -> Grant | None:
        """The account's, at the price of one look: a poll of its mailbox asks for no more."""

    def set_grant(self, login: str, grant: Grant | None) -> None:
        """Somebody has signed in anew; None: it is opened with a password again. Raises NoSuchAccount."""

    def revise_grant(self, login: str, grant: Grant) -> bool:
        """What came of it since, in the place of the one with the same `since`. False: that is there no more, and
        what is there instead stays.
        """

    def add_password(self, login: str, password: AppPassword) -> None:
        """Raises NoSuchAccount."""

    def revoke(self, login: str, name: str) -> None:
        """Raises NoSuchAccount."""

    def note_used(self, login: str, name: str, when: float) -> None: ...

    def close(self) -> None: ...

    def dump(self) -> Iterable[Mapping[str, Any]]:
        """All accounts, as JSON has them, with what is secret still encrypted."""

    def dumped(self, record: Mapping[str, Any]) -> StoredAccount:
        """One of these, read again and not yet added. Raises BadRecord for what is none."""

    def rotate(self) -> Iterator[int]:
        """Encrypt all anew with the first key, part by part: of how many secrets each was."""


class Seal(Protocol):
    """Texts that go out to a browser and come back, where nobody has read or changed them. For all who share the
    state. Blocking where keys are to be read, which seldom is; may raise StateError.
    """

    def seal(self, purpose: str, text: str) -> str: ...

    def unseal(self, purpose: str, sealed: str, seconds: float) -> str | None:
        """None: it is not of ours, for another purpose, or was sealed longer ago."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a name that has no account here goes."""

    endpoint: Endpoint
    claim: Credentials | Bearer  # for there
    folder: str = ""  # "": the usual one
    route: str = ""  # that led there, in the settings; "": none


class Directory(Protocol):
    async def find(self, claim: Credentials | Bearer, peer: Peer) -> Destination:
        """Raises BadCredentials; UpstreamError where a look-up failed."""


class Accounts(Protocol):
    @property
    def offers(self) -> frozenset[Needs]:
        """What the mechanisms here can stand on, as of the last look()."""

    async def look(self) -> None:
        """To be called before a client is greeted. Raises nothing: what cannot be seen stays as it was."""

    async def keyring(self, user: str) -> Keyring:
        """For mechanisms that never send the password. Raises StateError."""

    async def resolve(self, claim: Claim, peer: Peer) -> Account:
        """Which account this opens. Raises BadCredentials; UpstreamError or StateError where a look-up failed."""


class Visit(Protocol):
    """One attempt to log in: admit(), then failed() or succeeded(); under_way() while the password is checked."""

    async def admit(self) -> None:
        """Raises LockedOut; BadCredentials where just this password was wrong a moment ago."""

    def under_way(self) -> AbstractContextManager[None]: ...

    async def failed(self, error: BadCredentials) -> int:
        """How many wrong passwords are now held against the address or the account, whichever are more."""

    async def succeeded(self) -> None: ...


class Doorkeeper(Protocol):
    def visit(self, user: str, address: str, secret: Secret | None) -> Visit:
        """`secret`: what the client says, where its mechanism says it."""
