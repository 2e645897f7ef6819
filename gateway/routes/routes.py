"""The rules, one after the other: the first that knows a name says where it goes.

A rule that does not know it is passed by. A look-up that fails ends the login instead: nobody goes to another
upstream, with his password, because a service is down.
"""

import asyncio
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gateway import naming
from gateway.errors import BadCredentials, LookupFailed, SettingsError, UpstreamUnusable
from gateway.naming import SCHEMES, Rule, Unfit, Values
from gateway.ports import Destination, Endpoint, Peer
from gateway.routes.answer import Answer, LookUp
from gateway.routes.http import HttpLookUp
from gateway.routes.sql import Database, SqlLookUp
from gateway.routes.srv import Resolver, SrvLookUp
from gateway.routes.table import TableLookUp
from gateway.sasl import Bearer, Credentials
from gateway.threads import Threads

LOOK_UP_SECONDS = 8.0  # for all the look-ups of a login: what comes after takes its time, too
ENDPOINTS = 4096  # that are remembered: to read a URL takes a tenth of a millisecond

_NOT_SERVED = "the name leads to a mail server that is not served here"


@dataclass(frozen=True, slots=True)
class Tools:
    """What routes need: `endpoint` reads an upstream's URL, and `database` a database's, with the setting that has
    it; both raise SettingsError. `resolver` is a name server, host and port; None: the system's.
    """

    endpoint: Callable[[str], Endpoint]
    database: Callable[[str, str], Database]
    threads: Threads
    resolver: tuple[str, int] | None = None


class Routes:
    """Implements ports.Directory."""

    def __init__(self, rules: Sequence[Rule], usual: Endpoint, tools: Tools) -> None:
        """`usual` is for names that no rule knows."""
        self._usual = usual
        endpoint = functools.lru_cache(ENDPOINTS)(tools.endpoint)
        resolver = Resolver(tools.resolver)
        look_ups = [_look_up(rule, tools, resolver) for rule in rules]
        self._routes = [_Route(*each, usual, endpoint) for each in zip(rules, look_ups, strict=True)]
        self._look_ups = [look_up for look_up in look_ups if look_up is not None]

    async def find(self, claim: Credentials | Bearer, peer: Peer) -> Destination:
        if self._routes and not naming.is_plain(claim.user):
            raise BadCredentials("a name with control characters is nobody's")
        asking = None
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                for asking in self._routes:
                    if (found := await asking.find(claim, peer)) is not None:
                        return found
        except TimeoutError:
            place = asking.place if asking else ""
            raise LookupFailed(f"{place}: no answer in {LOOK_UP_SECONDS:.0f} s") from None
        return Destination(self._usual, claim)

    def close(self) -> None:
        for look_up in self._look_ups:
            look_up.close()


def _look_up(rule: Rule, tools: Tools, resolver: Resolver) -> LookUp | None:
    match rule.question:
        case None:
            return None
        case naming.Table():
            return TableLookUp(rule.question)
        case naming.Srv():
            return SrvLookUp(rule.question, resolver, rule.place)
        case naming.Http():
            return HttpLookUp(rule.question, rule.place)
        case naming.Sql():
            database = tools.database(rule.question.url, f"{rule.place}.sql")
            return SqlLookUp(rule.question.query, database, tools.threads, rule.place)


class _Route:
    def __init__(
        self, rule: Rule, look_up: LookUp | None, usual: Endpoint, endpoint: Callable[[str], Endpoint]
    ) -> None:
        self.place = rule.place
        self._rule = rule
        self._look_up = look_up
        self._usual = usual
        self._endpoint_of = endpoint

    async def find(self, claim: Credentials | Bearer, peer: Peer) -> Destination | None:
        values = self._rule.match.take_apart(claim.user)
        if values is None:
            return None
        answer: Answer | None = Answer()
        if self._look_up is not None:
            answer = await self._look_up.ask(values, claim, peer)
        if answer is None:
            return None
        endpoint = self._endpoint(values, answer)
        others = (self._other(values, replace(answer, values=each)) for each in answer.others)
        if spare := tuple(filter(None, others)):
            endpoint = replace(endpoint, others=spare)
        try:
            user, folder = self._user(values, answer), self._folder(values, answer)
        except Unfit as error:
            raise LookupFailed(f"{self.place}: {error} in the answer") from None
        there = replace(claim, user=user, secret=answer.secret or claim.secret)
        return Destination(endpoint, there, folder, self.place)

    def _other(self, values: Values, answer: Answer) -> Endpoint | None:
        """What is not allowed is left out: nobody has to go there."""
        try:
            return self._endpoint(values, answer)
        except BadCredentials:
            return None

    def _endpoint(self, values: Values, answer: Answer) -> Endpoint:
        """Only what `hosts` allows, where that says anything."""
        url = self._url(values, answer)
        try:
            endpoint = self._endpoint_of(url) if url else self._usual
        except SettingsError as error:
            raise UpstreamUnusable(f"{self.place}: {error}") from None
        hosts = self._rule.hosts
        if hosts and not hosts.allow(endpoint.host):
            raise BadCredentials(f"{self.place}.hosts: {endpoint.host} is not one of {hosts}", text=_NOT_SERVED)
        return endpoint

    def _url(self, values: Values, answer: Answer) -> str:
        """Empty: the usual upstream."""
        template, found = self._rule.upstream, answer.values
        try:
            if template is not None:
                return template.fill_url(values | _with_defaults(found))
            if "upstream" in found or "host" not in found:
                return found.get("upstream", "")
            return _FOUND.fill_url(_with_defaults(found))
        except Unfit as error:
            if template is not None and template.names <= values.keys() - found.keys():  # what the client says
                raise BadCredentials(f"{self.place}.upstream: {error}", text=_NOT_SERVED) from None
            raise LookupFailed(f"{self.place}: {error} in the answer") from None

    def _user(self, values: Values, answer: Answer) -> str:
        if self._rule.user is not None:
            return self._rule.user.fill(values | answer.values)
        return answer.values.get("user", values["name"])

    def _folder(self, values: Values, answer: Answer) -> str:
        if self._rule.folder is not None:
            return self._rule.folder.fill(values | answer.values)
        return answer.values.get("folder", "")


_FOUND = naming.Template.of("{scheme}://{host}:{port}")


def _with_defaults(found: Values) -> Values:
    """A host without a port or a scheme has the usual one; ports other than imaps' are for STARTTLS."""
    if "host" not in found:
        return found
    scheme = found.get("scheme") or ("imaps" if found.get("port", "993") == SCHEMES["imaps"] else "imap")
    return found | {"scheme": scheme, "port": found.get("port") or SCHEMES.get(scheme, "")}
