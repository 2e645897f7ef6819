"""Where the page is, as browsers see it, and what devices are told."""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult

CALLBACK = "/callback"

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PORT = re.compile(r":[0-9]*$")


@dataclass(frozen=True, slots=True)
class Place:
    """`base` is the path before all of ours: "" or like "/enrol"."""

    origin: str  # https://mail.example.org
    base: str
    hosts: frozenset[str]  # by which it may be asked for, without ports
    is_secure: bool  # over TLS, all the way or to a proxy

    @classmethod
    def of(cls, outside: SplitResult, address: str) -> "Place":
        """`address` is where we listen: a proxy may ask for that."""
        hosts = {outside.hostname or "", address} | (_LOOPBACK if address in _LOOPBACK else set())
        origin = f"{outside.scheme}://{outside.netloc}"
        return cls(origin, outside.path, frozenset(hosts), outside.scheme == "https")

    def url(self, path: str) -> str:
        return f"{self.origin}{self.base}{path}"

    def is_asked_for(self, host: str) -> bool:
        """By a Host header. Another name may be one that somebody else has made to lead here (DNS rebinding)."""
        return _PORT.sub("", host).strip("[]").lower() in self.hosts


@dataclass(frozen=True, slots=True)
class Pop3Server:
    """What is to be typed into a device."""

    host: str
    port: int
    implicit_tls: bool

    @property
    def security(self) -> str:
        return "SSL/TLS" if self.implicit_tls else "STARTTLS"

    @property
    def scheme(self) -> str:
        return "pop3s" if self.implicit_tls else "pop3"
