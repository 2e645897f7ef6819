"""TLS upstream: sessions are resumed, with that server only and for a while; new authorities are noticed."""

import dataclasses
import os
import shutil
import ssl
from pathlib import Path

import pytest

from gateway.errors import UpstreamUnreachable, UpstreamUnusable
from gateway.imap import tls as client_tls
from gateway.imap.client import Client
from gateway.imap.link import connect, say_goodbye
from gateway.ports import Endpoint, TlsMode
from tests.fakes.faults import Close
from tests.fakes.imap import FakeImap
from tests.imap.conftest import PATIENT
from tests.servers import tls
from tests.servers.dovecot import Dovecot
from tests.servers.tls import Certificates

MODES = [TlsMode.IMPLICIT, TlsMode.STARTTLS]


def resumed(endpoint: Endpoint) -> bool:
    """Connect and leave."""
    client = connect(endpoint, PATIENT)
    try:
        return was_resumed(client)
    finally:
        say_goodbye(client)


def was_resumed(client: Client) -> bool:
    assert isinstance(client.transport.socket, ssl.SSLSocket)
    return bool(client.transport.socket.session_reused)


def at(server: Dovecot | FakeImap, mode: TlsMode = TlsMode.IMPLICIT, host: str = "localhost") -> Endpoint:
    port = server.imaps_port if mode is TlsMode.IMPLICIT else server.imap_port
    return Endpoint(host, port or 0, mode, server.ca_file)


@pytest.mark.parametrize("mode", MODES)
def test_dovecot_resumes(dovecot: Dovecot, mode: TlsMode) -> None:
    resumed(at(dovecot, mode))
    assert [resumed(at(dovecot, mode)) for _ in range(5)] == [True] * 5


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("mode", MODES)
def test_the_server_counts_them(secure_fake: FakeImap, mode: TlsMode, version: ssl.TLSVersion) -> None:
    assert secure_fake._site.tls is not None
    secure_fake._site.tls.maximum_version = version
    assert [resumed(at(secure_fake, mode)) for _ in range(4)] == [False, True, True, True]
    assert secure_fake._site.tls.session_stats()["hits"] == 3


def test_a_session_is_used_once_and_each_connection_brings_the_next(secure_fake: FakeImap) -> None:
    endpoint = at(secure_fake)
    first = connect(endpoint, PATIENT)
    trust = client_tls.trust(secure_fake.ca_file)
    used = [trust._take(endpoint), trust._take(endpoint)]
    assert [known is not None for known in used] == [True, False]
    say_goodbye(first)
    assert [resumed(endpoint) for _ in range(2)] == [False, True]


def test_another_name_of_the_server_is_another_server(secure_fake: FakeImap) -> None:
    """Whose certificate the name has to be in: a resumed session shows none."""
    resumed(at(secure_fake))
    assert not resumed(at(secure_fake, host="127.0.0.1"))
    assert resumed(at(secure_fake))


@pytest.mark.parametrize("names", [["other.example"], tls.LOCAL])
def test_who_cannot_resume_it_has_to_show_a_certificate(
    secure_fake: FakeImap, tmp_path: Path, names: list[str]
) -> None:
    resumed(at(secure_fake))
    stranger = tls.make(tmp_path, names)
    secure_fake._site.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure_fake._site.tls.load_cert_chain(stranger.cert_file, stranger.key_file)
    with pytest.raises(UpstreamUnusable, match="not trusted"):
        connect(at(secure_fake), PATIENT)


def test_after_an_hour_the_certificate_is_looked_at_again(
    secure_fake: FakeImap, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [resumed(at(secure_fake)) for _ in range(3)] == [False, True, True]
    monkeypatch.setattr(client_tls, "VERIFY_SECONDS", 0.0)
    assert [resumed(at(secure_fake)) for _ in range(3)] == [False, False, False]


def test_a_resumed_session_is_as_old_as_the_one_it_came_from(secure_fake: FakeImap) -> None:
    endpoint = at(secure_fake)
    trust = client_tls.trust(secure_fake.ca_file)
    seen = []
    for _ in range(3):
        say_goodbye(connect(endpoint, PATIENT))
        seen.append(trust._sessions[-1].verified_at)
    assert seen[0] == seen[1] == seen[2]


def test_a_handshake_that_fails_is_not_tried_with_a_session_again(secure_fake: FakeImap) -> None:
    client = connect(at(secure_fake), PATIENT)
    client_tls.trust(secure_fake.ca_file).remember(client.transport.socket, at(secure_fake))  # now there are two
    say_goodbye(client)
    secure_fake.on("TLS", Close(), times=1)
    with pytest.raises(UpstreamUnreachable):
        connect(at(secure_fake), PATIENT)
    assert not resumed(at(secure_fake))


def test_so_many_sessions_are_kept_and_no_more(secure_fake: FakeImap) -> None:
    trust = client_tls.Trust(secure_fake.ca_file)
    client = connect(at(secure_fake), PATIENT)
    for number in range(2 * client_tls.SESSIONS):
        trust.remember(client.transport.socket, Endpoint(f"host{number}", 993, TlsMode.IMPLICIT))
    assert len(trust._sessions) == client_tls.SESSIONS
    say_goodbye(client)


# The authorities


def test_they_are_read_once(secure_fake: FakeImap) -> None:
    assert client_tls.trust(secure_fake.ca_file) is client_tls.trust(secure_fake.ca_file)
    assert client_tls.trust(None) is client_tls.trust(None)
    assert client_tls.trust(None) is not client_tls.trust(secure_fake.ca_file)


@pytest.fixture
def ca_file(certificates: Certificates, tmp_path: Path) -> Path:
    """One that the test may change."""
    return Path(shutil.copyfile(certificates.ca_file, tmp_path / "ca.pem"))


def test_and_again_when_the_file_is_another_with_no_session_of_before(
    secure_fake: FakeImap, ca_file: Path, tmp_path: Path
) -> None:
    endpoint = dataclasses.replace(at(secure_fake), ca_file=ca_file)
    assert [resumed(endpoint) for _ in range(2)] == [False, True]
    (tmp_path / "other").mkdir()
    shutil.copyfile(tls.make(tmp_path / "other").ca_file, ca_file)
    with pytest.raises(UpstreamUnusable, match="not trusted"):
        connect(endpoint, PATIENT)
    shutil.copyfile(secure_fake.ca_file or "", ca_file)
    assert [resumed(endpoint) for _ in range(2)] == [False, True]


@pytest.mark.parametrize("content", [None, "", "half of a certific"])
def test_a_new_file_that_cannot_be_read_leaves_the_old_authorities(
    secure_fake: FakeImap, ca_file: Path, content: str | None
) -> None:
    endpoint = dataclasses.replace(at(secure_fake), ca_file=ca_file)
    resumed(endpoint)
    ca_file.unlink()
    if content is not None:
        ca_file.write_text(content)
    assert resumed(endpoint)
    shutil.copyfile(secure_fake.ca_file or "", ca_file)
    os.utime(ca_file, ns=(1, 1))
    assert not resumed(endpoint)  # the file is read: nothing of before counts
