"""The enrolment page: where it is, what people call it, and who may come."""

from ipaddress import ip_network
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from gateway.config import urls
from gateway.config.listening import Listener
from gateway.config.sections import Section
from gateway.config.upstream import is_loopback
from gateway.config.values import Networks

PASSWORD_LETTERS = 12  # of the operator's
_PORTS = {"http": 80, "https": 443}
LISTEN = "http://127.0.0.1:8110"
_URL = "https://mail.example.org/enrol"
_THIS_MACHINE = tuple(map(ip_network, ("127.0.0.0/8", "::1/128")))


class Web(Section):
    listen: str = Field(
        default="",
        description="where the enrolment page listens, like http://127.0.0.1:8110, or https:// with "
        "tls.certificate; people sign in there with their mail provider, and get an app password; "
        "none: there is no page",
    )
    url: str = Field(
        default="",
        description="how browsers reach it, like https://mail.example.org/enrol, with a reverse proxy between: "
        "providers are told this URL with /callback behind it; default: listen itself, as localhost",
    )
    proxy_from: Networks = Field(
        default=(),
        description="networks of reverse proxies: browsers come through these only, and X-Forwarded-For says from "
        "where; default this machine, where url is another than listen",
    )
    password: SecretStr | None = Field(
        default=None,
        description="for the operator's own view there: accounts, invitations; best from the environment; none: "
        "there is no such view, and `account invite` makes invitations",
    )
    pop3: str = Field(
        default="",
        description="what people are told to type into their devices, like pop3s://mail.example.org:995; default: "
        "the host of url, and the port of a listener, with TLS at once if there is one",
    )
    contact: str = Field(
        default="",
        max_length=200,
        description="whom people can ask for help, on every page: a mail address, a telephone number",
    )

    @field_validator("listen", "url", "pop3")
    @classmethod
    def _is_url(cls, value: str, info: Any) -> str:
        if value and info.field_name == "url":
            _demand_address(value)
        elif value:
            ports, example = (Listener.ports, _POP3) if info.field_name == "pop3" else (_PORTS, LISTEN)
            if urls.parse(value, ports, example).options:
                raise ValueError(f"{value!r} has something behind the port; write it like {example}")
        return value

    @model_validator(mode="after")
    def _nothing_in_clear(self) -> Self:
        """Passwords are shown there, and sessions are cookies."""
        if not self.listen:
            return self
        if self.password is not None and len(self.password.get_secret_value()) < PASSWORD_LETTERS:
            raise ValueError(f"web.password opens every mailbox here: give it {PASSWORD_LETTERS} letters or more")
        host, _ = self.address
        if not self.url and not is_loopback(host):
            raise ValueError(f"how do browsers reach {self.listen}? Set web.url, like {_URL}")
        if self.outside.scheme == "http" and not is_loopback(self.outside.hostname or ""):
            raise ValueError(f"web.url: passwords would go to browsers in clear; write it like {_URL}")
        if not self.implicit_tls and not is_loopback(host) and not self.proxy_from:
            raise ValueError(
                f"passwords would leave {self.listen} in clear; write https://, listen on 127.0.0.1, or say in "
                "web.proxy_from which reverse proxies come over a private network"
            )
        return self

    @property
    def implicit_tls(self) -> bool:
        return self.listen.startswith("https:")

    @property
    def address(self) -> tuple[str, int]:
        place = urls.parse(self.listen, _PORTS, LISTEN)
        return place.host, place.port

    @property
    def outside(self) -> SplitResult:
        """The URL that browsers have; with a port of 0, that of `listen` is still to be known."""
        if self.url:
            return urlsplit(self.url.rstrip("/"))
        scheme = "https" if self.implicit_tls else "http"
        return urlsplit(f"{scheme}://localhost:{self.address[1]}")

    @property
    def proxies(self) -> Networks:
        """Whose word on the client's address is taken; none: everybody comes by himself."""
        between = self.url and (self.outside.scheme == "https") != self.implicit_tls
        return self.proxy_from or (_THIS_MACHINE if between else ())


_POP3 = "pop3s://mail.example.org:995"


def _demand_address(value: str) -> None:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in _PORTS and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username or parts.query or parts.fragment or not value.isprintable():
        raise ValueError(f"{value!r} is no address of a page; write it like {_URL}")
