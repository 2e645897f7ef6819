"""Ports, and whose they are."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gateway.errors import CannotListen, GatewayError, SettingsError
from gateway.server.sockets import Reservation, Site, close, listen, reserve

ANY = Site("127.0.0.1", 0, implicit_tls=False)

# Whether a program of another user can listen there, with each of the ways to share a port.
STRANGER = """
import os, socket, sys
os.setuid(65534)
for options in ((), (socket.SO_REUSEADDR,), (socket.SO_REUSEPORT,), (socket.SO_REUSEADDR, socket.SO_REUSEPORT)):
    with socket.socket() as sock:
        for option in options:
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            sock.bind(("127.0.0.1", int(sys.argv[1])))
            sock.listen()
        except OSError:
            continue
        print("got it with", options)
"""


@pytest.fixture
def reserved() -> Iterator[Reservation]:
    reservation = Reservation(ANY)
    yield reservation
    reservation.close()


def test_port_0_is_chosen_once_for_all(reserved: Reservation) -> None:
    first, second = reserved.listen(), reserved.listen()
    assert {sock.getsockname()[1] for sock in first + second} == {reserved.site.port} != {0}
    close(first + second)


def test_connections_are_spread_over_those_who_listen(reserved: Reservation) -> None:
    sockets = [*reserved.listen(), *reserved.listen()]
    clients = [socket.create_connection(("127.0.0.1", reserved.site.port)) for _ in range(60)]
    got = [accept_all(sock) for sock in sockets]
    assert sum(got) == 60
    assert min(got) > 0
    close(sockets + clients)


def test_who_does_not_listen_any_more_gets_none(reserved: Reservation) -> None:
    [gone], [left] = reserved.listen(), reserved.listen()
    gone.close()
    clients = [socket.create_connection(("127.0.0.1", reserved.site.port)) for _ in range(20)]
    assert accept_all(left) == 20
    close([left, *clients])


def test_a_reserved_port_refuses_clients_until_somebody_listens(reserved: Reservation) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", reserved.site.port))


@pytest.mark.parametrize("somebody_listens", [True, False])
def test_a_reserved_port_is_in_use_for_every_other_gateway(reserved: Reservation, somebody_listens: bool) -> None:
    sockets = reserved.listen() if somebody_listens else []
    for take in (listen, Reservation):
        with pytest.raises(CannotListen, match=f"cannot listen on {reserved.site}: Address already in use"):
            take(reserved.site)
    close(sockets)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("somebody_listens", [True, False])
def test_and_for_every_other_user(reserved: Reservation, somebody_listens: bool) -> None:
    sockets = reserved.listen() if somebody_listens else []
    port = str(reserved.site.port)
    assert subprocess.run([sys.executable, "-c", STRANGER, port], stdout=subprocess.PIPE).stdout == b""
    close(sockets)


def test_a_port_where_another_program_listens_cannot_be_reserved() -> None:
    for shared in (False, True):
        with socket.create_server(("127.0.0.1", 0), reuse_port=shared) as other:
            site = ANY.at(other)
            with pytest.raises(CannotListen, match=f"cannot listen on {site}: Address already in use"):
                Reservation(site)


@pytest.mark.parametrize("was_shared", [True, False])
def test_connections_of_an_earlier_gateway_are_no_obstacle(was_shared: bool) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=was_shared) as earlier:
        site = ANY.at(earlier)
        clients = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(2)]
        kept, ended = (earlier.accept()[0] for _ in clients)
    ended.close()  # before its client does: it is in TIME-WAIT from here on
    clients[1].close()
    reservation = Reservation(site)
    close([*reservation.listen(), kept, clients[0]])
    reservation.close()
    close(listen(site))


def test_all_ports_are_reserved_or_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        free = ANY.at(other)
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(CannotListen):
        reserve([free, ANY.at(other)])
    close(listen(free))


def test_ipv6_is_a_port_of_its_own() -> None:
    [first] = reserve([Site("127.0.0.1", 0, implicit_tls=False)])
    second = Reservation(Site("::1", first.site.port, implicit_tls=False))
    close(first.listen() + second.listen())
    first.close()
    second.close()


@pytest.mark.parametrize(
    ("host", "kind"), [("nowhere.invalid", CannotListen), ("a" * 70 + ".example", SettingsError)]
)
def test_a_name_that_is_none(host: str, kind: type[GatewayError]) -> None:
    for take in (listen, Reservation):
        with pytest.raises(kind, match="cannot listen on pop3://"):
            take(Site(host, 1110, implicit_tls=False))


def accept_all(sock: socket.socket) -> int:
    count = 0
    while True:
        try:
            sock.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1
