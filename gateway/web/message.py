"""A request as handlers see it, and what they answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

FIELDS = 40  # of a form, or a query: ours have a handful
HTML = "text/html; charset=utf-8"


class BadRequest(Exception):
    """It is no request that can be answered; `status` and the text say why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)  # names in small letters; several in one
    body: bytes = field(repr=False)
    address: str  # the browser's

    @property
    def form(self) -> Mapping[str, str]:
        """What a form sent. Raises BadRequest."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise BadRequest(415, "a form is expected")
        return _fields(self.body.decode("ascii", "replace"))

    @property
    def arguments(self) -> Mapping[str, str]:
        """Of the query. Raises BadRequest."""
        return _fields(self.query)

    @property
    def cookies(self) -> Mapping[str, str]:
        """By their names; of several with one name the first, as RFC 6265 section 5.4 sorts them.

        Other programs on this host may have cookies of any form: none of them keeps ours from being read.
        """
        found: dict[str, str] = {}
        for pair in self.headers.get("cookie", "").split(";"):
            name, is_pair, value = pair.strip().partition("=")
            if is_pair:
                found.setdefault(name, value)
        return found


@dataclass(frozen=True, slots=True)
class Cookie:
    """One to be set; without a value, to be forgotten."""

    name: str
    value: str = field(repr=False)
    seconds: int | None = None  # None: until the browser is closed
    strict: bool = True  # not sent with a link from elsewhere; else with links, and nothing but links


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes = field(default=b"", repr=False)
    kind: str = HTML
    cookies: tuple[Cookie, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def see_other(place: str, *cookies: Cookie) -> Reply:
    """Go there with a GET (RFC 9110 section 15.4.4)."""
    return Reply(303, cookies=cookies, headers={"location": place})


def _fields(text: str) -> Mapping[str, str]:
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS, errors="strict"))
    except ValueError:  # UnicodeDecodeError is one
        raise BadRequest(400, "this cannot be read") from None
