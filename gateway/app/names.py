"""Where login names lead: routes, and folders in names."""

from collections.abc import Callable

from gateway.accounts import FolderNames
from gateway.config import Settings
from gateway.imap.tls import trust as check_ca_file
from gateway.ports import Destination, Peer
from gateway.routes import Routes, Tools
from gateway.sasl import Credentials
from gateway.store import open_customers
from gateway.threads import Threads


def routes_of(settings: Settings, threads: Threads) -> Routes:
    """Raises SettingsError."""
    tools = Tools(settings.endpoint, open_customers, threads, settings.name_server)
    return Routes(settings.rules(), settings.upstream.endpoint(), tools)


def demand_usable_routes(settings: Settings) -> None:
    """As far as that can be seen without asking anybody. Raises SettingsError."""
    for route in settings.routes:
        for endpoint in route.endpoints:
            check_ca_file(endpoint.ca_file)
    routes_of(settings, Threads(1)).close()


async def destination_of(settings: Settings, claim: Credentials) -> Destination:
    """Where the routes lead a client of this machine. Raises SettingsError, BadCredentials and UpstreamError."""
    threads = Threads(1)
    routes = routes_of(settings, threads)
    try:
        return await routes.find(claim, Peer("127.0.0.1", is_loopback=True))
    finally:
        routes.close()
        threads.stop()


def account_of(settings: Settings) -> Callable[[str], str]:
    """What takes from a name the folder in it, behind the separator or where a route has one."""
    names = folder_names(settings)
    patterns = [rule.match for rule in settings.rules() if {"user", "folder"} <= rule.match.names]

    def account(name: str) -> str:
        login = names.login(name)
        taken_apart = filter(None, (pattern.take_apart(login) for pattern in patterns))
        found = next(taken_apart, {"user": login})
        return "@".join(found[part] for part in ("user", "host", "domain") if part in found)

    return account


def folder_names(settings: Settings) -> FolderNames:
    return FolderNames(settings.maildrop.folder_separator)
