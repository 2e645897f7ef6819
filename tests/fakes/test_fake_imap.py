"""The fake server does as the RFCs say until it is told otherwise."""

import base64
import imaplib
import ssl
from contextlib import closing
from pathlib import Path

import pytest

from tests.fakes.imap import FakeImap
from tests.fakes.raw_client import Client
from tests.servers.tls import make

ONE = b"Subject: one\r\n\r\nfirst\r\n"
TWO = b"Subject: two\r\n\r\nsecond\r\n"


def test_greets_with_capabilities(fake: FakeImap, client: Client) -> None:
    assert client.line().startswith(b"* OK [CAPABILITY IMAP4rev1 ")
    fake.settings.capability_in_greeting = False
    with closing(Client(fake.imap_port)) as other:
        assert other.line() == b"* OK fake IMAP server ready\r\n"


@pytest.mark.parametrize(
    "login",
    [
        [b"t LOGIN j\xc3\xb6rg p\r\n"],
        [b't LOGIN "a\\\\b" "c \\" d"\r\n', b"OK"],
        [b"t LOGIN {3}\r\n", b"+", b"a\\b {5}\r\n", b"+", b'c " d\r\n', b"OK"],
        [b't LOGIN {3+}\r\na\\b {5+}\r\nc " d\r\n', b"OK"],
        [b"t AUTHENTICATE PLAIN " + base64.b64encode(b'\0a\\b\0c " d') + b"\r\n", b"OK"],
        [b"t AUTHENTICATE PLAIN\r\n", b"+", base64.b64encode(b'\0a\\b\0c " d') + b"\r\n", b"OK"],
        [b"t AUTHENTICATE PLAIN\r\n", b"+", b"*\r\n", b"BAD"],
        [b"t AUTHENTICATE LOGIN\r\n", b"+ VXN", b"YVxi\r\n", b"+ UGF", b"YyAiIGQ=\r\n", b"OK"],
        [b"t AUTHENTICATE XOAUTH2 dXNlcj1hXGIBYXV0aD1CZWFyZXIgbm8BAQ==\r\n", b"+ eyJ", b"\r\n", b"NO"],
        [b't LOGIN "a\\\\b" wrong\r\n', b"NO [AUTHENTICATIONFAILED]"],
    ],
)
def test_login(fake: FakeImap, client: Client, login: list[bytes]) -> None:
    fake.add_user("a\\b", 'c " d')
    client.line()
    client.send(login[0])
    for said in login[1:]:
        if said.endswith(b"\r\n"):
            client.send(said)
        else:
            assert client.line().removeprefix(b"t ").startswith(said)
    if len(login) == 1:
        assert client.line().startswith(b"t BAD")


def test_unannounced_extensions_are_not_there(fake: FakeImap, selected: Client) -> None:
    fake.settings.capabilities = ["IMAP4rev1"]
    for command in ("ID NIL", "UID EXPUNGE 1", "UID MOVE 1 INBOX", "UNSELECT", "LOGIN {3+}"):
        assert selected.ask(command).startswith(b"t BAD")
    assert b"t BAD line too long" in selected.ask("UID FETCH " + "1," * 5000 + "1 UID")


def test_select_fetch_store_expunge(fake: FakeImap, client: Client) -> None:
    client.line()
    client.ask("LOGIN ann secret")
    opened = client.ask("SELECT INBOX")
    for line in (b"* 3 EXISTS", b"* 3 RECENT", b"[UIDVALIDITY 1500000000]", b"[UIDNEXT 4]", b"t OK [READ-WRITE]"):
        assert line in opened
    assert client.ask("UID FETCH 2:* (RFC822.SIZE)") == (
        b"* 2 FETCH (UID 2 RFC822.SIZE 24)\r\n* 3 FETCH (UID 3 RFC822.SIZE 23)\r\nt OK UID FETCH completed\r\n"
    )
    assert b"* 3 FETCH (UID 3)" in client.ask("UID FETCH 9:* UID")
    assert b"BODY[]<9> {6}\r\none\r\n\r)" in client.ask("FETCH 1 BODY.PEEK[]<9.6>")
    assert b"BODY[HEADER] {16}\r\nSubject: one\r\n\r\n)" in client.ask("FETCH 1 (BODY.PEEK[HEADER])")
    assert b"FLAGS (\\Seen \\Recent) BODY[] {23}\r\n" + ONE in client.ask("UID FETCH 1 BODY[]")
    assert b"* 2 FETCH (UID 2 FLAGS (\\Deleted \\Recent))" in client.ask("UID STORE 2 +FLAGS (\\deleted)")
    assert client.ask("UID STORE 3 +FLAGS.SILENT (\\Deleted)") == b"t OK UID STORE completed\r\n"
    assert b"* SEARCH 2 3\r\n" in client.ask("UID SEARCH DELETED UID 1:5")
    assert b"* SEARCH 1\r\n" in client.ask("UID SEARCH UNDELETED")
    assert client.ask("UID EXPUNGE 1:2") == b"* 2 EXPUNGE\r\nt OK UID EXPUNGE completed\r\n"
    assert client.ask("EXPUNGE") == b"* 2 EXPUNGE\r\nt OK EXPUNGE completed\r\n"
    assert [stored.uid for stored in fake.messages("ann")] == [1]
    assert client.ask("LOGOUT").startswith(b"* BYE")
    assert client.line() == b""


def test_esearch_where_it_is_announced(fake: FakeImap, selected: Client) -> None:
    assert selected.ask("UID SEARCH RETURN (ALL) ALL").startswith(b"t BAD")
    fake.settings.capabilities.append("ESEARCH")
    fake.expunge("ann", [1])
    assert b'* ESEARCH (TAG "t") UID ALL 2:3\r\n' in selected.ask("UID SEARCH RETURN (ALL) ALL")
    assert selected.ask("SEARCH return (all) DELETED") == b'* ESEARCH (TAG "t")\r\nt OK SEARCH completed\r\n'


def test_other_clients_changes_are_told(fake: FakeImap, selected: Client) -> None:
    fake.expunge("ann", [1])
    fake.flag("ann", [2], "\\seen")
    fake.deliver("ann", [TWO])
    assert selected.ask("FETCH 1 UID") == (
        b"* 4 EXISTS\r\n* 4 RECENT\r\n* 2 FETCH (UID 2 FLAGS (\\Seen \\Recent))\r\nt OK FETCH completed\r\n"
    )
    assert selected.ask("NOOP") == b"* 1 EXPUNGE\r\nt OK NOOP completed\r\n"


def test_copy_move_list_close(fake: FakeImap, selected: Client) -> None:
    fake.settings.special_use = {"Müll": "\\Trash"}
    assert b"t NO [TRYCREATE]" in selected.ask("UID COPY 1 M&APw-ll")
    assert selected.ask("CREATE M&APw-ll") == b"t OK CREATE completed\r\n"
    assert b"OK [COPYUID 1500000001 1:2 1:2]" in selected.ask('UID COPY 1:2 "M&APw-ll"')
    assert b"* OK [COPYUID 1500000001 3 3] moved\r\n* 3 EXPUNGE\r\n" in selected.ask("UID MOVE 3 M&APw-ll")
    assert len(fake.messages("ann", "Müll")) == 3
    assert b'* LIST (\\HasNoChildren \\Trash) "/" "M&APw-ll"\r\n' in selected.ask('LIST "" *')
    selected.ask("STORE 1 +FLAGS (\\Deleted)")
    assert selected.ask("UNSELECT") == b"t OK UNSELECT completed\r\n"
    selected.ask("EXAMINE INBOX")
    assert b"NO [READ-ONLY]" in selected.ask("STORE 1 -FLAGS (\\Deleted)")
    assert selected.ask("CLOSE") == b"t OK CLOSE completed\r\n"
    assert [stored.uid for stored in fake.messages("ann")] == [1, 2]
    selected.ask("SELECT INBOX")
    assert selected.ask("CLOSE") == b"t OK CLOSE completed\r\n"
    assert [stored.uid for stored in fake.messages("ann")] == [2]


def test_imaplib_with_tls(tmp_path: Path) -> None:
    certificates = make(tmp_path)
    context = ssl.create_default_context(cafile=str(certificates.ca_file))
    with FakeImap(certificates) as fake:
        fake.add_user("jörg", "grün")
        fake.deliver("jörg", [ONE])
        assert fake.imaps_port is not None
        with imaplib.IMAP4(fake.host, fake.imap_port) as plain:
            assert "STARTTLS" in plain.capabilities
            plain.starttls(context)
            assert "STARTTLS" not in plain.capabilities
            plain.authenticate("PLAIN", lambda _: "\0jörg\0grün".encode())
            assert plain.select() == ("OK", [b"1"])
        with imaplib.IMAP4_SSL(fake.host, fake.imaps_port, ssl_context=context) as secure:
            secure.authenticate("PLAIN", lambda _: "\0jörg\0grün".encode())
            secure.select(readonly=True)
            assert secure.fetch("1", "(RFC822)")[1][0] == (b"1 (RFC822 {23}", ONE)
        assert [connection.secure for connection in fake.connections] == [True, True]
        assert fake.connections[0].verbs[:2] == ["CAPABILITY", "STARTTLS"]


def test_counts_round_trips(fake: FakeImap, client: Client) -> None:
    fake.settings.latency = 0.02
    client.line()
    client.send("a LOGIN {3}\r\n")
    client.line()
    client.send("ann secret\r\n")
    client.until("a")
    assert (fake.counts.flights, fake.counts.continuations, fake.counts.round_trips) == (1, 1, 2)
    before = fake.counts
    for part in ("b SELECT INBOX\r\nc UID FE", "TCH 1 UID\r\n", "d NOOP\r\n"):
        client.send(part)
    client.until("d")
    spent = fake.counts - before
    assert (spent.connections, spent.commands, spent.flights) == (0, 3, 1)
    assert spent.octets_in == len(b"b SELECT INBOX\r\nc UID FETCH 1 UID\r\nd NOOP\r\n")
    assert fake.verbs == ["LOGIN", "SELECT", "UID FETCH", "NOOP"]
    assert fake.commands("LOGIN")[0].line == b"a LOGIN {3}\r\nann secret"


def test_what_came_before_the_client_left_is_done(fake: FakeImap, selected: Client) -> None:
    selected.send("a STORE 1:2 +FLAGS (\\Deleted)\r\nb NOOP\r\nc NOOP\r\nd EXPUNGE\r\n")
    selected.close()
    fake.wait_until_idle()
    assert [stored.uid for stored in fake.messages("ann")] == [3]


def test_down_and_up(fake: FakeImap, selected: Client) -> None:
    fake.down()
    assert selected.line() == b""
    with pytest.raises(ConnectionRefusedError):
        Client(fake.imap_port)
    fake.up()
    with closing(Client(fake.imap_port)) as again:
        assert again.line().startswith(b"* OK")


def test_drop_and_push(fake: FakeImap, selected: Client) -> None:
    fake.push("* 4 EXISTS")
    assert selected.line() == b"* 4 EXISTS\r\n"
    fake.drop("* BYE session expired")
    assert selected.until("t") == b"* BYE session expired\r\n"
    with closing(Client(fake.imap_port)) as other:
        other.line()
        fake.drop(reset=True)
        with pytest.raises(ConnectionResetError):
            other.line()
    assert fake.peak == 1


def test_renumber(fake: FakeImap, selected: Client) -> None:
    fake.expunge("ann", [1])
    fake.renumber("ann", validity=7)
    opened = selected.ask("SELECT INBOX")
    assert b"UIDVALIDITY 7]" in opened
    assert b"UIDNEXT 3]" in opened
    fake.renumber("ann", validity=8, uids={2: 90})
    assert [(stored.uid, stored.octets) for stored in fake.messages("ann")] == [(1, TWO), (90, ONE)]
