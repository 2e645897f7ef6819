"""What an exchange is: challenges out, responses in, and questions to whoever keeps the secrets in between.

An exchange is a generator. It yields a challenge and is sent the response, both as decoded octets; or it yields a
Question and is sent a Keyring. It returns a claim, or raises BadCredentials. The base64 and the `+ ` around the
octets belong to POP3 (RFC 5034).
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field

from gateway.sasl.credentials import Credentials, Secret


@dataclass(frozen=True, slots=True)
class Occasion:
    """What is special about this connection."""

    stamp: str  # `<…@host>`, of RFC 822's msg-id syntax and never the same twice: for APOP and CRAM-MD5
    nonce: str  # likewise, printable and without a comma: for SCRAM
    bindings: Mapping[str, bytes] = field(default_factory=dict)  # by type, of the TLS channel (RFC 5056)
    certified: tuple[str, ...] = ()  # names in the client's certificate, where it was verified


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What a server keeps of a password (RFC 5802 section 3): enough to check it, too little to log in with."""

    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Key:
    """One of the passwords of an account, as far as it is kept in a form that mechanisms can use."""

    name: str  # which one it is
    secret: Secret | None = None
    scram: Mapping[str, ScramKeys] = field(default_factory=dict)  # by hash


@dataclass(frozen=True, slots=True)
class Keyring:
    """All that may open an account. A name that does not exist has one, too, with no keys: nobody can tell."""

    salt: bytes
    iterations: int
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """Which keys does this user have?"""

    user: str


@dataclass(frozen=True, slots=True)
class Proof:
    """The client has one of the passwords, and did not say it."""

    user: str
    key: str
    authorization: str = ""  # whose mailbox, where that is another's


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token, which the upstream is to judge."""

    user: str
    secret: Secret
    mechanism: str  # that it came with, and goes on with


@dataclass(frozen=True, slots=True)
class Certified:
    """TLS has proved who it is (RFC 4422 appendix A)."""

    names: tuple[str, ...]
    authorization: str = ""


Claim = Credentials | Proof | Bearer | Certified
Exchange = Generator[bytes | Question, bytes | Keyring, Claim]
Begin = Callable[[Occasion], Exchange]
