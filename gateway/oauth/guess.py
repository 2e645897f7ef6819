"""Which provider has a domain's mail: by the domain itself, or by where its mail goes."""

from typing import Any

from gateway.errors import LookupFailed
from gateway.naming import host_name
from gateway.oauth.provider import Provider
from gateway.oauth.providers import PROVIDERS

ANSWER_SECONDS = 5.0  # from all name servers together
TRY_SECONDS = 2.0  # from one of them


def guess(domain: str, name_server: tuple[str, int] | None = None) -> Provider | None:
    """None: nobody known. An address will do for its domain. `name_server`: Settings.name_server.

    Raises LookupFailed. Blocking, bounded.
    """
    name = host_name(domain.rpartition("@")[2].strip())
    if name is None:
        return None
    known = {its: provider for provider in PROVIDERS.values() for its in provider.domains}
    if name in known:
        return known[name]
    return next(filter(None, map(_of_exchanger, _exchangers(name, name_server))), None)


def _of_exchanger(host: str) -> Provider | None:
    """The one that has the longest name of which the host's is the end: AOL's are among Yahoo's."""
    fitting = [
        (len(suffix), provider.name)
        for provider in PROVIDERS.values()
        for suffix in provider.exchangers
        if host == suffix or host.endswith(f".{suffix}")
    ]
    return PROVIDERS[max(fitting)[1]] if fitting else None


def _exchangers(name: str, name_server: tuple[str, int] | None) -> list[str]:
    """MX hosts, the most preferred first (RFC 5321 section 5.1). dnspython is imported when it is needed."""
    from dns.exception import DNSException  # noqa: PLC0415
    from dns.resolver import NXDOMAIN, NoAnswer  # noqa: PLC0415

    try:
        answer = _asking(name_server).resolve(f"{name}.", "MX", lifetime=ANSWER_SECONDS)
    except (NXDOMAIN, NoAnswer):
        return []
    except (DNSException, OSError) as error:
        raise LookupFailed(f"{name} MX: {error}") from error
    rows = sorted((row.preference, row.exchange.to_text(omit_final_dot=True).lower()) for row in answer)
    return [host for _, host in rows]


def _asking(name_server: tuple[str, int] | None) -> Any:
    from dns.resolver import Resolver  # noqa: PLC0415

    asking = Resolver(configure=name_server is None)
    if name_server is not None:
        host, asking.port = name_server
        asking.nameservers = [host]
    asking.timeout = TRY_SECONDS
    return asking
