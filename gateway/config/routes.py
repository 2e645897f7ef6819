"""Which upstream a name goes to, where there are several."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator

from gateway.config.sections import Section
from gateway.config.upstream import Upstream, is_loopback
from gateway.naming import Hosts, Http, Pattern, Query, Question, Rule, Sql, Srv, Table, Template
from gateway.ports import Endpoint

MOST_ROUTES = 1000  # they are tried one after the other
NAMED = frozenset({"name"})
ANSWERED = frozenset({"host", "port", "scheme", "user", "folder", "upstream"})  # by a service or a database
QUESTIONS = ("table", "srv", "http", "sql")

_T = TypeVar("_T")


def endpoint_of(url: str) -> Endpoint:
    """By the same rules as `upstream`. Raises ValueError."""
    try:
        return Upstream.model_validate(url).endpoint()
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(key) for key in fault["loc"] if key != "url")
        raise ValueError(f"{where + ': ' if where else ''}{fault['msg'].removeprefix('Value error, ')}") from None


def _quoted(value: Any) -> Any:
    """`user: {user}` is a mapping to YAML."""
    if isinstance(value, dict):
        raise ValueError('quote it: braces are a mapping to YAML, and "{user}" is a text')
    return value


def _checked(read: Callable[[str], Any]) -> AfterValidator:
    def check(value: str) -> str:
        if value:
            read(value)
        return value

    return AfterValidator(check)


def _host_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _hosts(value: tuple[str, ...]) -> tuple[str, ...]:
    Hosts.of(value)
    return value


def _web_address(value: str) -> str:
    if not value:
        return value
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(letter.isspace() for letter in value):
        raise ValueError(f"{value!r} is no web address; write it like http://127.0.0.1:9143/auth")
    if parts.username or parts.password:
        raise ValueError("a name or password does not belong into this URL")
    return value


def _database(value: Any) -> Any:
    """The URL may have a password in it, and is not repeated."""
    if isinstance(value, SecretStr):
        return value
    scheme, colon, rest = value.partition(":") if isinstance(value, str) else ("", "", "")
    known = {
        "postgresql": rest.startswith("//"),
        "postgres": rest.startswith("//"),
        "sqlite": rest.startswith("/"),
    }
    if not colon or not known.get(scheme):
        raise ValueError("it is a URL like postgresql://user@host/database, or sqlite:/path/to/file")
    return value


def _header_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", value):
        raise ValueError(f"{value!r} is no name of a header; write it like X-Auth-Key")
    return value


def _header_value(value: SecretStr) -> SecretStr:
    said = value.get_secret_value()
    if not (said.isascii() and said.isprintable()) or said != said.strip():
        raise ValueError("a header's value is printable ASCII, without blanks at its ends")
    return value


_HeaderName = Annotated[str, AfterValidator(_header_name)]
_Pattern = Annotated[str, BeforeValidator(_quoted), _checked(Pattern.of)]
_Template = Annotated[str, BeforeValidator(_quoted), _checked(Template.of)]
_Url = Annotated[str, _checked(endpoint_of)]


class Route(Section):
    example: ClassVar[str] = '{match: "{user}@example.org", upstream: imaps://imap.example.org}'

    match: _Pattern = Field(
        default="{name}",
        min_length=1,
        description="the names it is for: text, and {user}, {domain}, {host} or {folder}, each for a part of it",
    )
    upstream: _Template = Field(
        default="",
        description="where they go, with such placeholders; default what was looked up, or the usual one",
    )
    user: _Template = Field(
        default="", description="the name there; default what was looked up, or {name}: as the client has it"
    )
    folder: _Template = Field(default="", description="the mailbox there, instead of maildrop.folder")
    hosts: Annotated[tuple[str, ...], BeforeValidator(_host_list), AfterValidator(_hosts)] = Field(
        default=(),
        description="the hosts it may lead to, like imap.example.org, *.example.org or an address; needed where "
        "the client's name or DNS says the host, or else anybody could send the gateway anywhere",
    )
    table: dict[str, _Url] | None = Field(
        default=None, description="look it up here: the upstream of each key; a name that is not here is passed by"
    )
    key: _Template = Field(default="{name}", description="what the table is asked for")
    srv: _Template = Field(
        default="", description="look it up in DNS: the domain whose _imaps._tcp and _imap._tcp count (RFC 6186)"
    )
    http: Annotated[str, AfterValidator(_web_address)] = Field(
        default="",
        description="ask this service, which knows nginx's mail auth_http headers; it gets name and password",
    )
    headers: dict[_HeaderName, Annotated[SecretStr, AfterValidator(_header_value)]] = Field(
        default_factory=dict,
        description="more headers for that service, like nginx's auth_http_header: often a secret that both know",
    )
    allow_plaintext: bool = Field(
        default=False, description="send passwords to an http:// service that is not on loopback"
    )
    ca_file: Path | None = Field(
        default=None, description="PEM file of authorities to trust for https://, instead of the system's"
    )
    sql: Annotated[SecretStr | None, BeforeValidator(_database)] = Field(
        default=None, description="ask this database: postgresql://user@host/database or sqlite:/path"
    )
    query: Annotated[str, BeforeValidator(_quoted), _checked(Query.of)] = Field(
        default="",
        description="a SELECT that gives one row, or none, of: host, port, scheme, user, folder, upstream; "
        "{name} and other placeholders are parameters there",
    )

    @model_validator(mode="after")
    def _is_of_one_piece(self) -> Self:
        asked = [name for name in QUESTIONS if getattr(self, name)]
        if self.table is not None and not self.table:
            raise ValueError("the table is empty; write key: imaps://host lines into it")
        if len(asked) > 1:
            raise ValueError(f"{' and '.join(asked)} are both there; make two routes of it")
        for needed, setting in (("sql", "query"), ("query", "sql")):
            if getattr(self, needed) and not getattr(self, setting):
                raise ValueError(f"{needed} needs {setting} beside it")
        if self.headers and not self.http:
            raise ValueError("headers are for http, which is not there")
        if self.key != "{name}" and not self.table:
            raise ValueError("key is what a table is asked for, and there is no table")
        if self.table and self.upstream:
            raise ValueError("the table has the upstreams; leave upstream out")
        self._demand_privacy()
        self._demand_known_placeholders()
        self._demand_known_hosts()
        return self

    def _demand_privacy(self) -> None:
        host = urlsplit(self.http).hostname or ""
        if self.http.startswith("http:") and not self.allow_plaintext and not is_loopback(host):
            raise ValueError(
                f"passwords would go to {host} in clear; use https://, or say allow_plaintext: true if the way "
                "there is private"
            )

    def _demand_known_placeholders(self) -> None:
        said = NAMED | self._captured
        answered = said | (
            ANSWERED if self.http or self.sql else {"host", "port", "scheme"} if self.srv else set()
        )
        wanted = {"key": said, "srv": said, "upstream": answered, "user": answered, "folder": answered}
        for setting, known in wanted.items():
            try:
                Template.of(getattr(self, setting)).demand(known)
            except ValueError as error:
                raise ValueError(f"{setting}: {error}") from None
        for name in Query.of(self.query).names if self.query else ():
            if name not in said:
                raise ValueError(f"query: nothing gives {{{name}}} here; there is {', '.join(sorted(said))}")
        if self.upstream and not Template.of(self.upstream).names:
            try:
                endpoint_of(self.upstream)
            except ValueError as error:
                raise ValueError(f"upstream: {error}") from None

    def _demand_known_hosts(self) -> None:
        """Those that somebody else chooses from: the client, or whoever answers for DNS (RFC 6186 section 6)."""
        if self.hosts:
            return
        hosts = 'say hosts: too, like ["*.example.org"], that it may choose from'
        if self.srv:
            raise ValueError(f"srv: DNS says where passwords go; {hosts}")
        if chosen := sorted(Template.of(self.upstream).names & (NAMED | self._captured)):
            raise ValueError(f"upstream: by {{{chosen[0]}}} the client says where its password goes; {hosts}")

    @property
    def _captured(self) -> frozenset[str]:
        return Pattern.of(self.match).names

    @property
    def endpoints(self) -> list[Endpoint]:
        """Those that are known beforehand."""
        constant = [self.upstream] if self.upstream and not Template.of(self.upstream).names else []
        return [endpoint_of(url) for url in (*constant, *(self.table or {}).values())]

    def rule(self, place: str) -> Rule:
        return Rule(
            place,
            Pattern.of(self.match),
            self._question(),
            _template(self.upstream),
            _template(self.user),
            _template(self.folder or ("{folder}" if "folder" in self._captured else "")),
            Hosts.of(self.hosts),
        )

    def _question(self) -> Question | None:
        if self.table:
            return Table({key.casefold(): url for key, url in self.table.items()}, Template.of(self.key))
        if self.srv:
            return Srv(Template.of(self.srv))
        if self.http:
            headers = tuple((name, value.get_secret_value()) for name, value in self.headers.items())
            return Http(self.http, str(self.ca_file) if self.ca_file else None, headers)
        if self.sql:
            return Sql(self.sql.get_secret_value(), Query.of(self.query))
        return None


def _template(text: str) -> Template | None:
    return Template.of(text) if text else None


def route_list(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError(f"it is a list; begin each route with a hyphen, as in - {Route.example}")
    return value
