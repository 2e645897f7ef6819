"""The IMAP server of ``pop3-gateway demo``, as imaplib sees it."""

import asyncio
import email
import imaplib
import importlib.util
import re
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default

import pytest
import uvloop

from gateway.cli.sample_mail import SampleMessage, sample_mail
from gateway.cli.sample_server import HOST, sample_server
from tests.skipping import skip_unless_ci

Accept = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]

NOW = datetime(2024, 2, 29, 12, 0, 0, tzinfo=UTC)
MAIL = sample_mail(NOW)


@pytest.fixture
def pymap() -> None:
    if importlib.util.find_spec("pymap") is None:
        skip_unless_ci("this test needs the package pymap: pip install -e '.[demo]'")


@pytest.fixture
async def port(pymap: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr("gateway.cli.sample_server.sample_mail", lambda _now: MAIL)
    async with sample_server("demo", "secret") as port:
        yield port


@contextmanager
def inbox(port: int) -> Iterator[imaplib.IMAP4]:
    with imaplib.IMAP4(HOST, port, timeout=10) as client:
        client.login("demo", "secret")
        assert client.select("INBOX")[0] == "OK"
        yield client


def sizes(client: imaplib.IMAP4) -> dict[int, int]:
    """The size that the server announces for each UID, as the gateway asks for it."""
    status, rows = client.uid("FETCH", "1:*", "(UID RFC822.SIZE)")
    assert status == "OK"
    found = (re.search(rb"UID (\d+) RFC822.SIZE (\d+)", row) for row in rows if row)
    return {int(match[1]): int(match[2]) for match in found if match}


def octets(client: imaplib.IMAP4, uid: int, section: str = "BODY.PEEK[]") -> bytes:
    status, rows = client.uid("FETCH", str(uid), f"({section})")
    assert status == "OK"
    return b"".join(row[1] for row in rows if isinstance(row, tuple))


async def test_every_message_arrives_octet_for_octet(port: int) -> None:
    def session() -> None:
        with inbox(port) as client:
            announced = sizes(client)
            assert [octets(client, uid) for uid in announced] == [message.octets for message in MAIL]
            assert list(announced.values()) == [len(message.octets) for message in MAIL]
            assert client.uid("SEARCH", "UNSEEN")[1] == [" ".join(map(str, announced)).encode()]

    await asyncio.to_thread(session)


async def test_a_part_of_a_message(port: int) -> None:
    def session() -> None:
        with inbox(port) as client:
            uid = min(sizes(client))
            assert octets(client, uid, "BODY.PEEK[]<0.100>") == MAIL[0].octets[:100]
            assert octets(client, uid, "BODY.PEEK[]<100.50>") == MAIL[0].octets[100:150]
            assert octets(client, uid, "BODY.PEEK[]<1000000.50>") == b""

    await asyncio.to_thread(session)


async def test_expunge_takes_the_named_message_alone_and_for_good(port: int) -> None:
    def session() -> None:
        with inbox(port) as client:
            assert "UIDPLUS" in client.capability()[1][0].decode().split()
            before = list(sizes(client))
            for uid in before[:2]:
                assert client.uid("STORE", str(uid), "+FLAGS.SILENT", r"(\Deleted)") == ("OK", [None])
            assert client.uid("EXPUNGE", str(before[1]))[0] == "OK"
        with inbox(port) as client:
            assert list(sizes(client)) == [before[0], *before[2:]]

    await asyncio.to_thread(session)


async def test_authenticate_plain(port: int) -> None:
    def session() -> None:
        with imaplib.IMAP4(HOST, port, timeout=10) as client:
            assert client.authenticate("PLAIN", lambda _challenge: b"\0demo\0secret")[0] == "OK"

    await asyncio.to_thread(session)


@pytest.mark.parametrize(("user", "password"), [("demo", "wrong"), ("nobody", "secret")])
async def test_only_the_given_user_and_password_open_it(port: int, user: str, password: str) -> None:
    def session() -> None:
        with (
            imaplib.IMAP4(HOST, port, timeout=10) as client,
            pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"),
        ):
            client.login(user, password)

    await asyncio.to_thread(session)


async def test_it_listens_on_127_0_0_1_only(port: int) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - refused, or no such address: either will do
        await asyncio.to_thread(socket.create_connection, ("127.0.0.2", port), 2)


async def test_each_server_has_a_mailbox_of_its_own(pymap: None) -> None:
    def empty(port: int) -> None:
        with imaplib.IMAP4(HOST, port, timeout=10) as client:
            client.login("demo", "demo")
            client.select()
            client.store("1:*", "+FLAGS.SILENT", r"(\Deleted)")
            client.expunge()

    def count(port: int) -> bytes | None:
        with imaplib.IMAP4(HOST, port, timeout=10) as client:
            client.login("demo", "demo")
            return client.select()[1][0]

    async with sample_server("demo", "demo") as one, sample_server("demo", "demo") as other:
        assert one != other
        await asyncio.to_thread(empty, one)
        assert await asyncio.to_thread(count, one) == b"0"
        assert await asyncio.to_thread(count, other) == b"%d" % len(MAIL)


async def said_at_the_end(commands: bytes) -> bytes:
    """Send commands, leave the server while the connection is open, and read what it said."""
    async with sample_server("demo", "demo") as port:
        reader, writer = await asyncio.open_connection(HOST, port, limit=1024)
        writer.write(b"a LOGIN demo demo\r\nb SELECT INBOX\r\n" + commands)
        while not (await reader.readline()).startswith(b"b OK"):
            pass
        await asyncio.sleep(0.1)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(socket.create_connection, (HOST, port), 2)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_on_leaving_the_port_closes_and_an_open_connection_too(pymap: None) -> None:
    assert (await said_at_the_end(b"")).startswith(b"* BYE ")


@pytest.mark.parametrize(
    "commands",
    [b"x UID FET", b"x IDLE\r\n", b"x UID FETCH 1:* (BODY.PEEK[])\r\n" * 60],
    ids=["half a command", "IDLE", "unread answers"],
)
async def test_a_busy_connection_does_not_keep_the_server_up(
    pymap: None, commands: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.wait_for(said_at_the_end(commands), 10)
    assert not caplog.records


async def test_a_client_that_reads_nothing_does_not_keep_the_server_up(
    pymap: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted: list[asyncio.StreamWriter] = []
    start_server = asyncio.start_server

    async def start(accept: Accept, host: str, port: int) -> asyncio.Server:
        def accept_and_tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.append(writer)
            accept(reader, writer)

        return await start_server(accept_and_tell, host, port)

    monkeypatch.setattr("gateway.cli.sample_server._FAREWELL", 0.1)
    monkeypatch.setattr(asyncio, "start_server", start)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        async with asyncio.timeout(10), sample_server("demo", "demo") as port:
            client.connect((HOST, port))
            client.sendall(b"a LOGIN demo demo\r\nb SELECT INBOX\r\n")
            # Until the kernel takes no more of the answers, yet pymap waits for a command.
            while not accepted or not accepted[0].transport.get_write_buffer_size():
                client.sendall(b"x FETCH 1:9 (BODY.PEEK[])\r\n")
                await asyncio.sleep(0.005)


def test_it_runs_on_uvloop(pymap: None) -> None:
    def session(port: int) -> int:
        with imaplib.IMAP4(HOST, port, timeout=10) as client:
            client.login("demo", "demo")
            client.select()
            return len(sizes(client))

    async def serve() -> int:
        async with sample_server("demo", "demo") as port:
            return await asyncio.to_thread(session, port)

    assert uvloop.run(serve()) == len(MAIL)


async def test_without_pymap_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pymap"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pymap", None)
    with pytest.raises(ImportError, match=r"pip install '\.\[demo\]'"):
        async with sample_server("demo", "demo"):
            pass


def parsed(message: SampleMessage) -> EmailMessage:
    return email.message_from_bytes(message.octets, policy=default)


def test_the_mail_depends_on_the_time_alone_and_is_older() -> None:
    assert sample_mail(NOW) == MAIL
    received = [message.received for message in MAIL]
    assert received == sorted(set(received))
    assert all(NOW - timedelta(days=7) < moment < NOW for moment in received)
    assert [parsed(message)["Date"].datetime for message in MAIL] == received


def test_the_mail_is_well_formed() -> None:
    for message in MAIL:
        lines = message.octets.split(b"\r\n")
        assert lines[-1] == b""
        assert not any(b"\r" in line or b"\n" in line or len(line) > 78 for line in lines)
        assert not any(part.defects for part in parsed(message).walk())
    assert len({parsed(message)["Message-ID"] for message in MAIL}) == len(MAIL)


def test_the_mail_has_one_of_each_kind() -> None:
    types = [{part.get_content_type() for part in parsed(message).walk()} for message in MAIL]
    for kind in ("text/html", "image/png", "message/rfc822"):
        assert sum(kind in message for message in types) == 1
    assert any("こんにちは" in parsed(message)["Subject"] for message in MAIL)
    assert any(not message.octets.isascii() for message in MAIL)
    assert any(b"\r\n.\r\n" in message.octets for message in MAIL)
    assert any(b"\r\n...three\r\n" in message.octets for message in MAIL)
    assert any(message.octets.partition(b"\r\n\r\n")[2].strip() == b"" for message in MAIL)
    assert 150_000 < max(len(message.octets) for message in MAIL) < 250_000
