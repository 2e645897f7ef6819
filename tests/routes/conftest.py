"""Routes as settings have them, asked as a login asks them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.app.names import routes_of
from gateway.config import load
from gateway.ports import Destination, Peer
from gateway.routes import Routes
from gateway.sasl import Bearer, Credentials, Secret
from gateway.threads import Threads

CLIENT = Peer("192.0.2.7")


class Guide:
    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    async def find(self, name: str, password: str = "secret", peer: Peer = CLIENT) -> Destination:
        return await self._routes.find(Credentials(name, Secret(password)), peer)

    async def find_for_token(self, name: str) -> Destination:
        return await self._routes.find(Bearer(name, Secret("token"), "XOAUTH2"), CLIENT)

    async def leads(self, name: str) -> str:
        """As whom, and where."""
        found = await self.find(name)
        return f"{found.claim.user} at {found.endpoint}"


MakeGuide = Callable[..., Guide]


@pytest.fixture
def guide() -> Iterator[MakeGuide]:
    """guide(route, …): keyword arguments are other settings. The usual upstream is `usual`."""
    threads, made = Threads(2), []

    def make(*routes: dict[str, Any], **more: str) -> Guide:
        given: dict[tuple[str, ...], Any] = {("upstream",): "imaps://usual", ("routes",): list(routes)}
        settings = load(None, {}, given | {(key,): value for key, value in more.items()})
        made.append(routes_of(settings, threads))
        return Guide(made[-1])

    yield make
    for routes in made:
        routes.close()
    threads.stop()
