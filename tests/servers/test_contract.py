"""What every server behind the gateway has to do, so that a test may run against any of them."""

import imaplib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tests.servers import dovecot as dovecot_module
from tests.servers import messages, tls
from tests.servers.dovecot import Dovecot, leaving, processes, without
from tests.servers.fixtures import SERVERS, Mailbox, new_mailbox, requires
from tests.servers.messages import BOUNDARIES, CANONICAL, GALLERY, MARK
from tests.servers.tls import Certificates
from tests.servers.upstream import Upstream

# No password has NUL, 0x01, TAB, LF or CR: Dovecot refuses these unseen.
NAMES_AND_PASSWORDS = [
    ("plain", "plain"),
    ("With.UPPER@Example.Org", "With UPPER"),
    ("jürgen@exämple.org", "pässwörd € 🙂"),
    ("日本語", "パスワード"),
    ("a space", " leading and trailing "),
    ('quote"back\\slash', 'quote"back\\slash'),
    ("co:lon", "co:lon:{PLAIN}:{SHA}"),
    ("%u %{user} %%", "%w %{password} %%"),
    ("../../etc/passwd", "$HOME `id` '"),
    ("*", "*"),
    ("a{5}", "(){}%*[]"),
    ("x" * 200, "y" * 900),
]


@contextmanager
def session(mailbox: Mailbox) -> Iterator[imaplib.IMAP4]:
    """A client that stays connected while the test does something else to the mailbox."""
    with leaving(imaplib.IMAP4(mailbox.server.host, mailbox.server.imap_port)) as client:
        client.login(mailbox.user, mailbox.password)
        client.select()
        yield client


@pytest.fixture
def shows(server_name: str) -> Callable[[bytes], bytes]:
    return SERVERS[server_name].shows


# The octets


@pytest.mark.parametrize("name", GALLERY)
def test_message_comes_back(upstream_mailbox: Mailbox, name: str, shows: Callable[[bytes], bytes]) -> None:
    [uid] = upstream_mailbox.deliver([GALLERY[name]])
    [stored] = upstream_mailbox.messages()
    assert stored.uid == uid
    assert stored.octets == shows(GALLERY[name])


@pytest.mark.parametrize("name", sorted(CANONICAL))
def test_canonical_message_is_never_changed(shows: Callable[[bytes], bytes], name: str) -> None:
    assert shows(GALLERY[name]) == GALLERY[name]


def test_size_is_that_of_the_octets_shown(upstream_mailbox: Mailbox) -> None:
    upstream_mailbox.deliver(list(GALLERY.values()))
    with session(upstream_mailbox) as client:
        lines = client.uid("FETCH", "1:*", "(RFC822.SIZE)")[1]
    sizes = [int(line.split(b"RFC822.SIZE ")[1].split(b" ")[0].rstrip(b")")) for line in lines]
    assert sizes == [len(stored.octets) for stored in upstream_mailbox.messages()]


def test_large_message_comes_back(upstream_mailbox: Mailbox) -> None:
    octets = messages.large(20_000_000)
    upstream_mailbox.deliver([octets])
    [stored] = upstream_mailbox.messages()
    assert stored.octets == octets


def test_dovecot_changes_only_bare_lf_and_nul(mailbox: Mailbox) -> None:
    """Over IMAP; in POP3 too it shows CRLF. A bare CR stays as it is."""
    mailbox.deliver(list(GALLERY.values()))
    shown = dict(zip(GALLERY, mailbox.messages(), strict=True))
    changed = {name for name in GALLERY if shown[name].octets != GALLERY[name]}
    assert changed == {"bare-lf", "mixed-ends", "nul"}
    assert shown["bare-lf"].octets == b"Subject: unix\r\n\r\none\r\n.\r\n..two\r\n\r\nthree\r\n"
    assert shown["nul"].octets.endswith(b"\r\n\r\nbefore\x80after\r\n\x80\r\n")


# UIDs and flags


def test_new_mailbox_is_empty(upstream_mailbox: Mailbox) -> None:
    assert upstream_mailbox.messages() == []
    assert upstream_mailbox.deliver([]) == []
    assert upstream_mailbox.messages() == []


def test_uids_ascend_in_the_order_of_delivery(upstream_mailbox: Mailbox) -> None:
    octets = [b"Subject: %d\r\n\r\n" % number for number in range(30)]
    uids = [uid for begin in range(0, 30, 3) for uid in upstream_mailbox.deliver(octets[begin : begin + 3])]
    assert uids == sorted(set(uids))
    stored = upstream_mailbox.messages()
    assert [one.uid for one in stored] == uids
    assert [one.octets for one in stored] == octets


def test_ten_thousand_messages(upstream_mailbox: Mailbox) -> None:
    octets = [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(10_000)]
    uids = upstream_mailbox.deliver(octets)
    assert uids == sorted(set(uids))
    assert [(one.uid, one.octets) for one in upstream_mailbox.messages()] == list(zip(uids, octets, strict=True))
    upstream_mailbox.flag(uids, r"\Seen")
    upstream_mailbox.expunge(uids[1:])
    [left] = upstream_mailbox.messages()
    assert left.uid == uids[0]
    assert left.flags == {r"\Seen"}


def test_flags_are_added(upstream_mailbox: Mailbox) -> None:
    uids = upstream_mailbox.deliver([b"one\r\n", b"two\r\n", b"three\r\n"])
    upstream_mailbox.flag(uids[:2], r"\Seen")
    upstream_mailbox.flag([uids[1]], r"\Flagged", r"\Answered")
    assert [one.flags for one in upstream_mailbox.messages()] == [
        {r"\Seen"},
        {r"\Seen", r"\Flagged", r"\Answered"},
        set(),
    ]


def test_looking_changes_nothing(upstream_mailbox: Mailbox) -> None:
    upstream_mailbox.deliver([b"one\r\n"])
    first = upstream_mailbox.messages()
    assert upstream_mailbox.messages() == first
    assert first[0].flags == set()


def test_expunge_takes_no_other_message(upstream_mailbox: Mailbox) -> None:
    r"""A message that another client marked \Deleted stays."""
    uids = upstream_mailbox.deliver([b"one\r\n", b"two\r\n", b"three\r\n"])
    upstream_mailbox.flag([uids[2]], r"\Deleted")
    upstream_mailbox.expunge([uids[0]])
    assert [one.uid for one in upstream_mailbox.messages()] == uids[1:]


def test_uid_is_never_used_again(upstream_mailbox: Mailbox) -> None:
    [uid] = upstream_mailbox.deliver([b"one\r\n"])
    upstream_mailbox.expunge([uid])
    assert upstream_mailbox.messages() == []
    [later] = upstream_mailbox.deliver([b"two\r\n"])
    assert later > uid


def test_open_session_sees_what_others_do(upstream_mailbox: Mailbox) -> None:
    uids = upstream_mailbox.deliver([b"one\r\n", b"two\r\n"])
    with session(upstream_mailbox) as client:
        upstream_mailbox.expunge([uids[0]])
        client.noop()
        assert client.response("EXPUNGE") == ("EXPUNGE", [b"1"])
        upstream_mailbox.deliver([b"three\r\n"])
        client.noop()
        assert client.response("EXISTS")[1][-1] == b"2"


def test_uid_validity_stays(upstream_mailbox: Mailbox) -> None:
    before = upstream_mailbox.uid_validity()
    upstream_mailbox.expunge(upstream_mailbox.deliver([b"one\r\n"]))
    assert upstream_mailbox.uid_validity() == before > 0
    with session(upstream_mailbox) as client:
        assert client.response("UIDVALIDITY")[1] == [str(before).encode()]


@pytest.mark.parametrize("folder", ["Archive", "Entwürfe & mehr", 'a "quoted" one'])
def test_folder_is_made_by_a_delivery(upstream_mailbox: Mailbox, folder: str) -> None:
    uids = upstream_mailbox.deliver([b"one\r\n", b"two\r\n"], folder)
    upstream_mailbox.flag(uids, r"\Seen", folder=folder)
    upstream_mailbox.expunge(uids[:1], folder)
    [left] = upstream_mailbox.messages(folder)
    assert left.octets == b"two\r\n"
    assert left.flags == {r"\Seen"}
    assert upstream_mailbox.uid_validity(folder) > 0
    assert upstream_mailbox.messages() == []


# Accounts


@pytest.mark.parametrize(("name", "password"), NAMES_AND_PASSWORDS)
def test_any_name_and_password(upstream: Upstream, name: str, password: str) -> None:
    upstream.add_user(name, password)
    uids = upstream.deliver(name, [name.encode()])
    assert [(one.uid, one.octets) for one in upstream.messages(name)] == [(uids[0], name.encode())]


def test_mailboxes_are_apart(upstream: Upstream) -> None:
    one, two = new_mailbox(upstream), new_mailbox(upstream)
    one.deliver([b"for one\r\n"])
    assert two.messages() == []


@pytest.mark.parametrize("known", [True, False])
def test_wrong_password_is_refused(upstream_mailbox: Mailbox, known: bool) -> None:
    server = upstream_mailbox.server
    name = upstream_mailbox.user if known else f"not-{upstream_mailbox.user}"
    with imaplib.IMAP4(server.host, server.imap_port) as client:
        with pytest.raises(imaplib.IMAP4.error):
            client.login(name, "wrong")
        with pytest.raises(imaplib.IMAP4.error):
            client.login(name, "")


# TLS


def trusting(server: Upstream) -> ssl.SSLContext:
    if server.ca_file is None:
        pytest.skip("this server has no TLS")
    return ssl.create_default_context(cafile=server.ca_file)


def imaps(server: Upstream, context: ssl.SSLContext) -> imaplib.IMAP4_SSL:
    if server.imaps_port is None:
        pytest.skip("this server has no implicit TLS")
    return imaplib.IMAP4_SSL(server.host, server.imaps_port, ssl_context=context)


def test_implicit_tls(upstream_mailbox: Mailbox) -> None:
    server = upstream_mailbox.server
    with imaps(server, trusting(server)) as client:
        client.login(upstream_mailbox.user, upstream_mailbox.password)


def test_starttls(upstream_mailbox: Mailbox) -> None:
    server = upstream_mailbox.server
    context = trusting(server)
    with imaplib.IMAP4(server.host, server.imap_port) as client:
        client.starttls(context)
        client.login(upstream_mailbox.user, upstream_mailbox.password)


def test_certificate_of_an_authority_that_nobody_knows(upstream: Upstream) -> None:
    trusting(upstream)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"self-signed certificate|unable to get"):
        imaps(upstream, ssl.create_default_context())


@pytest.mark.parametrize(
    ("names", "lifetime", "complaint"),
    [
        (["other.example"], timedelta(days=2), "Hostname mismatch"),
        (tls.LOCAL, timedelta(days=-1), "certificate has expired"),
    ],
)
def test_certificate_for_another_host_or_another_day(
    tmp_path: Path, names: list[str], lifetime: timedelta, complaint: str
) -> None:
    requires("dovecot", "dovecot-imapd")
    with (
        Dovecot(tls.make(tmp_path, names, lifetime=lifetime)) as server,
        pytest.raises(ssl.SSLCertVerificationError, match=complaint),
    ):
        imaps(server, trusting(server))


# Start and stop


def test_stopped_server_refuses_connections(own_upstream: Upstream) -> None:
    own_upstream.add_user("user", "secret")
    own_upstream.deliver("user", [b"one\r\n"])
    ports = [port for port in (own_upstream.imap_port, own_upstream.imaps_port) if port is not None]
    for port in ports:
        socket.create_connection((own_upstream.host, port), timeout=10).close()
    own_upstream.stop()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((own_upstream.host, port), timeout=10)
    own_upstream.stop()


@pytest.fixture
def started(certificates: Certificates) -> Iterator[Callable[..., Dovecot]]:
    """Start a Dovecot with options of the test's choice."""
    requires("dovecot", "dovecot-imapd")
    running: list[Dovecot] = []

    def start(**options: object) -> Dovecot:
        running.append(Dovecot(certificates, **options))  # type: ignore[arg-type]
        return running[-1]

    yield start
    for server in running:
        server.stop()


def test_dovecot_leaves_no_process_and_no_file(started: Callable[..., Dovecot]) -> None:
    server = started()
    mailbox = new_mailbox(server)
    group = server.process_group
    assert group is not None
    with session(mailbox):
        assert len(processes(group)) > 3
        server.stop()
    assert processes(group) == set()
    assert server.process_group is None
    assert f"Login: user=<{mailbox.user}>" in server.log
    assert not server._folder.exists()


def test_dovecot_comes_back_with_its_mail(started: Callable[..., Dovecot]) -> None:
    server = started()
    mailbox = new_mailbox(server)
    mailbox.deliver([b"one\r\n", b"two\r\n"])
    before, validity = mailbox.messages(), mailbox.uid_validity()
    with session(mailbox) as client:
        server.down()
        with pytest.raises(imaplib.IMAP4.abort, match="Server shutting down"):
            client.noop()
    with pytest.raises(ConnectionRefusedError):
        mailbox.messages()
    server.up()
    assert mailbox.messages() == before
    assert mailbox.uid_validity() == validity


def test_dovecot_says_why_it_does_not_start(started: Callable[..., Dovecot]) -> None:
    with pytest.raises(RuntimeError, match="Unknown setting: nonsense"):
        started(extra="nonsense = yes")


def test_dovecot_moves_on_when_a_port_is_taken(
    started: Callable[..., Dovecot], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        free = iter(
            [[taken, *dovecot_module._free_ports("127.0.0.1", 1)], dovecot_module._free_ports("127.0.0.1", 2)]
        )
        monkeypatch.setattr(dovecot_module, "_free_ports", lambda *_: next(free))
        server = started()
    assert server.imap_port != taken
    assert new_mailbox(server).messages() == []


# Dovecot's options


def test_dovecot_hides_capabilities(started: Callable[..., Dovecot]) -> None:
    server = started(capability=without("UIDPLUS", "LITERAL+"))
    mailbox = new_mailbox(server)
    with server.client(mailbox.user) as client:
        shown = client.capability()[1][0].split()
    assert b"IMAP4rev1" in shown
    assert not {b"UIDPLUS", b"LITERAL+"} & set(shown)
    # Hidden or not, they are there.
    mailbox.expunge(mailbox.deliver([b"one\r\n"]))


def test_dovecot_has_the_capabilities_known_here(dovecot: Dovecot, mailbox: Mailbox) -> None:
    with dovecot.client(mailbox.user) as client:
        assert set(dovecot_module.CAPABILITY.encode().split()) <= set(client.capability()[1][0].split())


@pytest.mark.parametrize("mechanism", ["plain", "login", "cram-md5"])
def test_dovecot_with_one_mechanism(started: Callable[..., Dovecot], mechanism: str) -> None:
    server = started(auth_mechanisms=mechanism)
    with imaplib.IMAP4(server.host, server.imap_port) as client:
        shown = [name for name in client.capabilities if name.startswith("AUTH=")]
    assert shown == [f"AUTH={mechanism.upper()}"]
    assert new_mailbox(server).messages() == []


def test_dovecot_without_plaintext_authentication(started: Callable[..., Dovecot]) -> None:
    server = started(disable_plaintext_auth=True)
    mailbox = new_mailbox(server)
    with imaplib.IMAP4(server.host, server.imap_port) as client:
        assert "LOGINDISABLED" in client.capabilities
        with pytest.raises(imaplib.IMAP4.error, match="PRIVACYREQUIRED"):
            client.login(mailbox.user, mailbox.password)
        client.starttls(trusting(server))
        client.login(mailbox.user, mailbox.password)
    assert mailbox.messages() == []


def test_dovecot_refuses_late_when_told_to(started: Callable[..., Dovecot]) -> None:
    server = started(auth_failure_delay=1)
    with imaplib.IMAP4(server.host, server.imap_port) as client:
        begin = time.monotonic()
        for _ in range(2):  # the first answer may come half a second early
            with pytest.raises(imaplib.IMAP4.error):
                client.login("nobody", "wrong")
        assert time.monotonic() - begin > 1


def test_dovecot_takes_a_new_password(dovecot: Dovecot, mailbox: Mailbox) -> None:
    dovecot.add_user(mailbox.user, "another")
    with imaplib.IMAP4(dovecot.host, dovecot.imap_port) as client:
        with pytest.raises(imaplib.IMAP4.error):
            client.login(mailbox.user, mailbox.password)
        client.login(mailbox.user, "another")


# The gallery and the fixtures themselves


@pytest.mark.parametrize("before", range(len(MARK) + 1))
def test_dot_line_straddles_each_boundary(before: int) -> None:
    message = messages.straddling(before)
    for boundary in BOUNDARIES:
        assert message[boundary - before :].startswith(MARK)


@pytest.mark.parametrize("octets", [68, 69, 100, 145, 146, 147, 1000, 100_000])
def test_large_message_has_its_size(octets: int) -> None:
    message = messages.large(octets)
    assert len(message) == octets
    assert message == messages.large(octets)
    assert message.endswith(MARK)
    assert message.count(b"\r\n") == message.count(b"\r") == message.count(b"\n")


def test_large_message_is_full_of_dot_lines() -> None:
    message = messages.large(100_000)
    assert message.count(b"\r\n.\r\n") > 10
    assert message.count(b"\r\n..") > 10


def test_missing_program_skips_here_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install some-package"):
        requires("no-such-program", "some-package")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install some-package"):
        requires("no-such-program", "some-package")
