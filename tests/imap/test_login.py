"""Logging in: by the safest way that the server offers, with any name and password, and what a no means."""

import base64

import pytest

from gateway.errors import (
    BadCredentials,
    GatewayError,
    MaildropInUse,
    UpstreamError,
    UpstreamFull,
    UpstreamRefused,
    UpstreamSilent,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from tests.fakes.faults import Bye, Close, Edit, EndlessLine, Insert, Retag, Say, Send, Stall
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.fakes.imap_wire import Ending
from tests.imap.conftest import HASTY, Upstream

BASE = ["IMAP4rev1", "UIDPLUS"]
ODD = [
    ("ann", "two words"),
    ("ann", " leading and trailing "),
    ("ann", 'quo"te'),
    ("ann", "back\\slash"),
    ("ann", "pässwörd 密码"),
    ("ann", "{3}"),
    ("ann", "%*()]"),
    ("ännchen", "secret"),
    ("ann smith", "secret"),
    ('a"n\\n', 's"e\\c'),
    ("ann@example.com", "p" * 2000),
    ("ann", "ö" * 3000),  # more than LITERAL- lets go out uninvited
    ("ann", "x\x7fy\x01z"),
]
CAPABILITIES = {
    "literals": [*BASE, "LITERAL+"],
    "small literals": [*BASE, "LITERAL-"],
    "literals by invitation": BASE,
    "plain": [*BASE, "AUTH=PLAIN"],
    "plain in one flight": [*BASE, "AUTH=PLAIN", "SASL-IR"],
    "no LOGIN": [*BASE, "AUTH=PLAIN", "LOGINDISABLED"],
    "all": [*BASE, "AUTH=PLAIN", "SASL-IR", "LITERAL+"],
    "nothing but AUTH=LOGIN": [*BASE, "AUTH=LOGIN", "LOGINDISABLED", "SASL-IR"],
}


def offer(fake: FakeImap, capabilities: list[str]) -> None:
    """The fake takes literals as LITERAL+ has it, also where it announces only LITERAL-."""
    fake.settings.capabilities = [name.replace("LITERAL-", "LITERAL+") for name in capabilities]
    if "LITERAL-" in capabilities:
        fake.on("GREETING", Edit(r"LITERAL\+", "LITERAL-"))


@pytest.mark.parametrize("capabilities", CAPABILITIES.values(), ids=CAPABILITIES)
@pytest.mark.parametrize(("name", "password"), [("ann", "secret"), *ODD])
async def test_any_name_and_password_gets_in_by_any_way(
    fake: FakeImap, upstream: Upstream, capabilities: list[str], name: str, password: str
) -> None:
    offer(fake, capabilities)
    fake.add_user(name, password)
    mailbox = await upstream.open(upstream.account(name, password))
    assert len(mailbox.snapshot) == (3 if name == "ann" else 0)


@pytest.mark.parametrize(
    "text", ["x\r\nt LOGOUT", 'x" "y"\r\nt DELETE INBOX', "x\nt NOOP", "x\r", "{5}\r\nabcde", "x\r\n.", "\r\n"]
)
@pytest.mark.parametrize("capabilities", CAPABILITIES.values(), ids=CAPABILITIES)
async def test_a_name_or_password_cannot_smuggle_in_a_command(
    fake: FakeImap, upstream: Upstream, capabilities: list[str], text: str
) -> None:
    offer(fake, capabilities)
    with pytest.raises(BadCredentials):
        await upstream.open(upstream.account("ann", text))
    with pytest.raises(BadCredentials):
        await upstream.open(upstream.account(text, "secret"))
    assert set(fake.verbs) <= {"LOGIN", "AUTHENTICATE", "LOGOUT"}
    fake.add_user("bob", text)
    await upstream.open(upstream.account("bob", text))


# Which way


@pytest.mark.parametrize(
    ("capabilities", "password", "lines"),
    [
        ([*BASE, "AUTH=PLAIN", "SASL-IR"], "secret", [b'LOGIN "ann" "secret"']),
        (BASE, "secret", [b'LOGIN "ann" "secret"']),
        ([*BASE, "LITERAL+"], 'a"b', [b'LOGIN {3+}\r\nann {3+}\r\na"b']),
        (BASE, 'a"b', [b'LOGIN {3}\r\nann {3}\r\na"b']),
        ([*BASE, "AUTH=PLAIN", "SASL-IR"], 'a"b', [b"AUTHENTICATE PLAIN AGFubgBhImI="]),
        ([*BASE, "AUTH=PLAIN"], 'a"b', [b"AUTHENTICATE PLAIN"]),
        ([*BASE, "AUTH=PLAIN", "LOGINDISABLED"], "secret", [b"AUTHENTICATE PLAIN"]),
        ([*BASE, "AUTH=PLAIN", "AUTH=LOGIN", "LOGINDISABLED"], "secret", [b"AUTHENTICATE PLAIN"]),
        ([*BASE, "AUTH=LOGIN", "LOGINDISABLED"], "secret", [b"AUTHENTICATE LOGIN"]),
        ([*BASE, "AUTH=LOGIN"], 'a"b', [b'LOGIN {3}\r\nann {3}\r\na"b']),
    ],
)
async def test_quotes_where_they_do_and_else_what_needs_no_escapes(
    fake: FakeImap, upstream: Upstream, capabilities: list[str], password: str, lines: list[bytes]
) -> None:
    fake.settings.capabilities = capabilities
    fake.add_user("ann", password)
    await upstream.open(upstream.account("ann", password))
    sent = [command.line.partition(b" ")[2] for command in fake.log if command.verb in ("LOGIN", "AUTHENTICATE")]
    assert sent == lines


async def test_where_no_password_is_taken_none_is_sent(fake: FakeImap, upstream: Upstream) -> None:
    fake.settings.capabilities = [*BASE, "LOGINDISABLED", "AUTH=XOAUTH2"]
    with pytest.raises(UpstreamUnusable, match="it offers AUTH=XOAUTH2"):
        await upstream.open()
    assert not {"LOGIN", "AUTHENTICATE"} & set(fake.verbs)


async def test_nothing_is_pipelined_behind_the_login(fake: FakeImap, upstream: Upstream) -> None:
    before = fake.counts
    await upstream.open()
    assert fake.verbs == ["LOGIN", "SELECT", "UID FETCH"]
    assert (fake.counts - before).flights == 2


async def test_a_literal_that_is_refused_is_not_sent(fake: FakeImap, upstream: Upstream) -> None:
    fake.settings.capabilities = BASE
    fake.on("+", Say("NO [LIMIT] no literals today"))
    with pytest.raises(UpstreamRefused):
        await upstream.open(upstream.account("ann", 'hunter"2'))
    assert not [command for command in fake.log if b'hunter"2' in command.line]


# What a no means

WAYS = {
    "LOGIN": ("LOGIN", "secret"),
    "PLAIN": ("AUTHENTICATE", 'sec"ret'),
}


@pytest.mark.parametrize(("verb", "password"), WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Say("NO wrong user name or password"), BadCredentials),
        (Say("NO [AUTHENTICATIONFAILED] no"), BadCredentials),
        (Say("NO [ALERT] Invalid credentials (Failure)"), BadCredentials),
        (Say("NO"), UpstreamError),
        (Say("NO [UNAVAILABLE] later"), UpstreamRefused),
        (Say("NO [LIMIT] full"), UpstreamRefused),
        (Say("NO [INUSE] locked"), MaildropInUse),
        (Say("NO [PRIVACYREQUIRED] TLS"), UpstreamUnusable),
        (Say("NO Maximum number of connections from user+IP exceeded"), UpstreamFull),
        (Say("NO Temporary authentication failure."), UpstreamRefused),
        (Say("BAD what"), UpstreamRefused),
        (Say("BAD [AUTHENTICATIONFAILED] what"), UpstreamRefused),
        (Close(), UpstreamUnreachable),
        (Close(done=True), UpstreamUnreachable),
        (Close(reset=True), UpstreamUnreachable),
        (Close(octets=5), UpstreamUnreachable),
        (Bye(), UpstreamUnreachable),
        (Bye("Too many connections"), UpstreamUnreachable),
        (Retag("zzz"), UpstreamUnreachable),
        (Send("\0\xff\r\n"), UpstreamUnreachable),
        (EndlessLine(4_000_000), UpstreamUnreachable),
    ],
    ids=repr,
)
async def test_only_a_no_to_the_password_is_a_wrong_password(
    fake: FakeImap, upstream: Upstream, verb: str, password: str, fault: Fault, kind: type[GatewayError]
) -> None:
    fake.add_user("ann", password)
    fake.on(verb, fault)
    with pytest.raises(kind) as caught:
        await upstream.open(upstream.account("ann", password))
    assert type(caught.value) is kind or (kind is UpstreamError and not isinstance(caught.value, BadCredentials))
    assert fake.verbs.count(verb) == 1  # a guess is not repeated


@pytest.mark.parametrize(("verb", "password"), WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("fault", [Stall(), Stall(done=True), Send("* OK wait\r\n" * 9), Send("+ \r\n")], ids=repr)
async def test_a_server_that_does_not_answer_is_waited_for_so_long(
    fake: FakeImap, upstream: Upstream, verb: str, password: str, fault: Fault
) -> None:
    upstream.timeouts = HASTY
    fake.add_user("ann", password)
    fake.on(verb, fault)
    with pytest.raises(UpstreamSilent):
        await upstream.open(upstream.account("ann", password))


@pytest.mark.parametrize("chatter", ["* OK x\r\n", "* 1 EXISTS\r\n", "+ \r\n"])
async def test_nor_does_chatter_without_end_keep_it_waiting(
    fake: FakeImap, upstream: Upstream, chatter: str
) -> None:
    upstream.timeouts = HASTY
    fake.on("LOGIN", Send(chatter, times=None))
    with pytest.raises(UpstreamError):
        await upstream.open()


async def test_a_bye_ahead_of_the_no_is_not_a_wrong_password(fake: FakeImap, upstream: Upstream) -> None:
    fake.on("LOGIN", Say("NO login failed", ("* BYE the server is going down",)))
    with pytest.raises(UpstreamError):
        await upstream.open()


async def test_a_challenge_that_explains_the_failure_is_answered(fake: FakeImap, upstream: Upstream) -> None:
    fake.settings.capabilities = [*BASE, "AUTH=PLAIN", "SASL-IR"]
    fake.on("AUTHENTICATE", lambda connection, _: [Insert(b"+ " + base64.b64encode(b'{"status":"400"}'))])
    with pytest.raises(BadCredentials):
        await upstream.open(upstream.account("ann", 'wrong"one'))


# Secrets


ECHOES = {
    "LOGIN": ("hunter2", 'LOGIN "ann" "hunter2"'),
    "AUTHENTICATE": ('hunter"2', "AUTHENTICATE PLAIN AGFubgBodW50ZXIiMg=="),
}


@pytest.mark.parametrize("verb", ECHOES)
@pytest.mark.parametrize("echo", ["tagged NO", "tagged BAD", "BYE", "bare line", "untagged NO"])
async def test_a_server_that_quotes_the_password_does_not_bring_it_into_an_error(
    fake: FakeImap, upstream: Upstream, verb: str, echo: str
) -> None:
    """As it went over the wire: some servers send back the line that they did not understand."""
    password, line = ECHOES[verb]
    faults: dict[str, Fault] = {
        "tagged NO": Say(f"NO wrong: {line}"),
        "tagged BAD": Say(f"BAD what is {line}"),
        "BYE": Bye(f"what is {line}"),
        "bare line": Send(f"{line}\r\n"),
        "untagged NO": Say("NO failed", (f"* NO {line}", f"* BAD {line}")),
    }
    fake.on(verb, faults[echo])
    with pytest.raises(GatewayError) as caught:
        await upstream.open(upstream.account("ann", password))
    told = f"{caught.value} {caught.value.reply}"
    assert password not in told
    assert line.split()[-1].strip('"') not in told


@pytest.mark.parametrize("before", range(150, 210, 7))
async def test_nor_half_of_it_where_long_words_are_cut(fake: FakeImap, upstream: Upstream, before: int) -> None:
    fake.on("LOGIN", Say(f"NO {'-' * before}hunter2secret"))
    with pytest.raises(BadCredentials) as caught:
        await upstream.open(upstream.account("ann", "hunter2secret"))
    assert "hunt" not in str(caught.value)


@pytest.mark.parametrize("password", ["hunter2ä", "hunter2\x01", "hunter2\\", 'hunter2"', "hunter2'"])
@pytest.mark.parametrize("start", ["", "* BYE ", "* NO ", "t NO "])
async def test_nor_one_that_is_printed_in_another_form(
    fake: FakeImap, upstream: Upstream, password: str, start: str
) -> None:
    fake.settings.capabilities = [*BASE, "LITERAL+"]
    fake.on("LOGIN", Send(f"{start}{password}\r\n", ending=Ending.CLOSE))
    with pytest.raises(GatewayError) as caught:
        await upstream.open(upstream.account("ann", password))
    assert "hunter2" not in str(caught.value)


# Capabilities


@pytest.mark.parametrize("told", [True, False])
async def test_capabilities_that_were_told_are_not_asked_for(
    fake: FakeImap, upstream: Upstream, told: bool
) -> None:
    fake.settings.capability_in_greeting = told
    await upstream.open()
    assert fake.verbs.count("CAPABILITY") == (0 if told else 1)


async def test_a_server_that_is_no_imap4rev1_is_not_used(fake: FakeImap, upstream: Upstream) -> None:
    fake.on("GREETING", Edit("IMAP4rev1 ", ""))
    with pytest.raises(UpstreamError):
        await upstream.open()
    assert "LOGIN" not in fake.verbs
