"""Accounts with a grant: a token is got when a connection logs in, another where the server takes it no more."""

import base64
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.errors import (
    GatewayError,
    ProviderError,
    SignInNeeded,
    StateError,
    TokenRefused,
    UpstreamError,
    UpstreamFull,
    UpstreamRefused,
    UpstreamUnusable,
)
from gateway.imap.warm import Limits
from gateway.maildrop import CommitPlan
from gateway.ports import Account, Granted
from gateway.sasl import Bearer, Secret
from gateway.telemetry.events import UpstreamReconnected
from tests.fakes.faults import Bye, Edit, Insert, Say
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.imap.conftest import ONE, THREE, TWO, Clock, Upstream, commit, poll, read, uids

GRANTED = Granted("ann", "Ann", "XOAUTH2", since=1000.5)
MECHANISMS = ["XOAUTH2", "OAUTHBEARER"]
EXPIRED = "Session invalidated - AccessTokenExpired"  # Exchange's words
TOKENS = [
    f"ya29.{letter * 30}-{letter.upper() * 30}-/+~" for letter in "abcdef"
]  # as long as real ones begin to be
TURNS_DOWN: list[Fault] = [
    Say("NO [AUTHENTICATIONFAILED] access token expired"),
    Say("NO [EXPIRED] log in again"),
    Say("NO AccessTokenExpired"),
    Say(f"BAD {EXPIRED}"),
]


class Source:
    """Implements ports.AccessTokens. It gives the fake server's token, or what it is told to."""

    def __init__(self, fake: FakeImap) -> None:
        self._fake = fake
        self.number = 0
        self.stale = 0  # so many tokens are given that the server does not take
        self.has_another = True
        self.error: GatewayError | None = None
        self.asked: list[str | None] = []  # which token had been turned down

    def bearer(self, granted: Granted, refused: Secret | None = None) -> Bearer:
        self.asked.append(refused.reveal() if refused else None)
        if self.error is not None:
            raise self.error
        if refused is not None and not self.has_another:
            raise TokenRefused("another was turned down a moment ago")
        if refused is not None:
            self.number += 1
        if self.number >= self.stale:
            self._fake.add_user("ann", self.token)
        return Bearer(granted.user, Secret(self.token), granted.mechanism)

    @property
    def token(self) -> str:
        return TOKENS[self.number]

    def expire(self) -> None:
        """The server takes the last one no more."""
        self.stale = self.number + 1
        self._fake.add_user("ann", "another")


@pytest.fixture
def source(fake: FakeImap) -> Source:
    fake.settings.capabilities = [
        "IMAP4rev1",
        "UIDPLUS",
        "UNSELECT",
        "AUTH=XOAUTH2",
        "AUTH=OAUTHBEARER",
        "SASL-IR",
    ]
    return Source(fake)


@pytest.fixture
async def granted(fake: FakeImap, source: Source) -> AsyncIterator[Upstream]:
    made = Upstream(fake, tokens=source)
    yield made
    await made.close()


def account(upstream: Upstream, claim: Granted = GRANTED) -> Account:
    return replace(upstream.account(), credentials=claim)


def reconnects(upstream: Upstream) -> int:
    return sum(isinstance(event, UpstreamReconnected) for event in upstream.events)


# A login


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("initial", [True, False])
async def test_a_token_is_got_and_logs_in(
    fake: FakeImap, source: Source, granted: Upstream, mechanism: str, initial: bool
) -> None:
    if not initial:
        fake.settings.capabilities.remove("SASL-IR")
    mailbox = await granted.open(account(granted, replace(GRANTED, mechanism=mechanism)))
    assert len(mailbox.snapshot) == 3
    assert source.asked == [None]
    assert fake.log[0].line.split()[1:3] == [b"AUTHENTICATE", mechanism.encode()]


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_the_server_may_offer_the_other_mechanism_alone(
    fake: FakeImap, granted: Upstream, mechanism: str
) -> None:
    fake.settings.capabilities.remove(f"AUTH={mechanism}")
    await granted.open(account(granted, replace(GRANTED, mechanism=mechanism)))
    (other,) = set(MECHANISMS) - {mechanism}
    assert fake.log[0].line.split()[1:3] == [b"AUTHENTICATE", other.encode()]


async def test_a_server_without_either_is_told_of(fake: FakeImap, granted: Upstream) -> None:
    fake.settings.capabilities = ["IMAP4rev1", "AUTH=PLAIN"]
    with pytest.raises(UpstreamUnusable, match="takes no tokens"):
        await granted.open(account(granted))


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_a_token_that_is_not_taken_is_exchanged_once(
    fake: FakeImap, source: Source, granted: Upstream, mechanism: str
) -> None:
    source.stale = 1
    await granted.open(account(granted, replace(GRANTED, mechanism=mechanism)))
    assert source.asked == [None, TOKENS[0]]
    assert fake.counts.connections == 2


@pytest.mark.parametrize(("mechanism", "excuse"), [("XOAUTH2", b""), ("OAUTHBEARER", b"AQ==")])
async def test_the_challenge_that_explains_a_failure_is_answered_as_its_mechanism_has_it(
    fake: FakeImap, source: Source, granted: Upstream, mechanism: str, excuse: bytes
) -> None:
    """RFC 7628 section 3.2.3; Google's documentation of XOAUTH2."""
    source.stale = 1
    await granted.open(account(granted, replace(GRANTED, mechanism=mechanism)))
    [failed, _] = fake.commands("AUTHENTICATE")
    assert failed.responses == [excuse]


async def test_a_server_that_never_takes_one_is_not_asked_for_ever_and_what_can_be_wrong_is_told(
    fake: FakeImap, source: Source, granted: Upstream
) -> None:
    source.stale = 9
    with pytest.raises(TokenRefused, match="is IMAP switched on for this mailbox") as told:
        await granted.open(account(granted))
    assert '{"status":"401"}' in str(told.value)
    assert source.asked == [None, TOKENS[0]]
    assert fake.counts.connections == 2
    assert "ya29" not in f"{told.value} {told.value.__cause__}"


async def test_where_no_other_token_is_to_be_had_the_server_is_not_asked_again(
    fake: FakeImap, source: Source, granted: Upstream
) -> None:
    source.stale, source.has_another = 9, False
    with pytest.raises(TokenRefused, match="is IMAP switched on"):
        await granted.open(account(granted))
    assert fake.counts.connections == 1


@pytest.mark.parametrize("error", [SignInNeeded("revoked"), ProviderError("down"), StateError("full")], ids=repr)
async def test_without_a_token_the_server_is_not_asked(
    fake: FakeImap, source: Source, granted: Upstream, error: GatewayError
) -> None:
    source.error = error
    with pytest.raises(type(error)):
        await granted.open(account(granted))
    assert fake.counts.connections == 0


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Say("NO [UNAVAILABLE] later"), UpstreamRefused),
        (Say("NO Maximum number of connections from user+IP exceeded"), UpstreamFull),
        (Bye(), UpstreamError),
        (Say("NO User is authenticated but not connected."), UpstreamRefused),
    ],
    ids=repr,
)
async def test_another_token_is_not_asked_for_where_it_would_not_help(
    fake: FakeImap, source: Source, granted: Upstream, fault: Fault, kind: type[GatewayError]
) -> None:
    fake.on("AUTHENTICATE", fault)
    with pytest.raises(kind):
        await granted.open(account(granted))
    assert source.asked == [None]


@pytest.mark.parametrize("said", ["NO", "BAD"])
async def test_a_server_that_says_the_token_back_does_not_bring_it_into_an_error(
    fake: FakeImap, granted: Upstream, said: str
) -> None:
    fake.on("AUTHENTICATE", lambda _, command: Say(f"{said} what is {command.line.decode()}"))
    with pytest.raises(GatewayError) as told:
        await granted.open(account(granted))
    for form in ("ya29", base64.b64encode(b"user=ann\1auth=Bearer ya29").decode()[:30]):
        assert form not in f"{told.value}"


async def test_nor_in_the_challenge(fake: FakeImap, source: Source, granted: Upstream) -> None:
    source.stale = 9
    explained = base64.b64encode(f'{{"status":"401","tokens":"{TOKENS[:2]}"}}'.encode())
    fake.on("AUTHENTICATE", Edit(r"\Z", ""), Insert(b"+ " + explained))
    with pytest.raises(TokenRefused) as told:
        await granted.open(account(granted))
    assert "ya29" not in str(told.value)


# Warm connections


async def test_a_poll_on_a_warm_connection_asks_for_no_token(
    fake: FakeImap, source: Source, granted: Upstream
) -> None:
    granted.keeping(Limits(), Clock())
    for _ in range(3):
        await poll(granted, account(granted))
    assert source.asked == [None]
    assert fake.verbs.count("AUTHENTICATE") == 1


@pytest.mark.parametrize(
    "other",
    [replace(GRANTED, since=2000.5), replace(GRANTED, login="bob"), replace(GRANTED, user="Ann")],
    ids=repr,
)
async def test_who_was_granted_something_else_does_not_get_it(
    fake: FakeImap, source: Source, granted: Upstream, other: Granted
) -> None:
    granted.keeping(Limits(), Clock())
    fake.add_user("Ann", TOKENS[0])
    await poll(granted, account(granted))
    await poll(granted, account(granted, other))
    assert source.asked == [None, None]


async def test_nor_does_a_password_that_reads_the_same(fake: FakeImap, granted: Upstream) -> None:
    granted.keeping(Limits(), Clock())
    await poll(granted, account(granted))
    for password in ("Ann", "1000.5", "Ann1000.5", "('Ann', '1000.5')", "Ann', '1000.5"):
        with pytest.raises(GatewayError):
            await granted.open(granted.account(password=password))


@pytest.mark.parametrize("error", [SignInNeeded("revoked"), TokenRefused("never")], ids=repr)
async def test_a_grant_that_has_ended_cools_its_connections(
    fake: FakeImap, source: Source, granted: Upstream, error: GatewayError
) -> None:
    connections = granted.keeping(Limits(), Clock())
    first, second = [await granted.open(account(granted)) for _ in range(2)]
    await first.close()
    source.error = error
    with pytest.raises(type(error)):
        connections.log_in(account(granted))
    assert connections._warm.take(account(granted)) is None
    await second.close()


# In mid-session


@pytest.mark.parametrize("reset", [False, True])
async def test_a_session_that_the_server_ends_for_its_token_goes_on_with_another(
    fake: FakeImap, source: Source, granted: Upstream, reset: bool
) -> None:
    mailbox = await granted.open(account(granted))
    before = mailbox.snapshot
    source.expire()
    fake.drop(f"* BYE {EXPIRED}", reset=reset)
    assert [await read(mailbox, uid) for uid in (1, 2, 3)] == [ONE, TWO, THREE]
    assert mailbox.snapshot is before
    assert source.asked == [None, None, TOKENS[0]]
    assert reconnects(granted) == 1


@pytest.mark.parametrize("fault", [*TURNS_DOWN, Bye(EXPIRED)], ids=repr)
@pytest.mark.parametrize("octets", [None, 5])
async def test_so_does_one_that_is_told_so_in_answer_to_a_command(
    fake: FakeImap, source: Source, granted: Upstream, fault: Fault, octets: int | None
) -> None:
    mailbox = await granted.open(account(granted))
    source.expire()
    fake.on("UID FETCH", fault, has="BODY", connection=1)
    assert await read(mailbox, 2, octets) == TWO[:octets]
    assert [await read(mailbox, uid) for uid in (1, 3)] == [ONE, THREE]
    assert source.asked == [None, None, TOKENS[0]]
    assert reconnects(granted) == 1


@pytest.mark.parametrize("fault", [*TURNS_DOWN, Bye(EXPIRED), Bye(EXPIRED, done=True)], ids=repr)
@pytest.mark.parametrize("nth", [2, 3, 4])
async def test_so_does_one_that_reads_ahead(
    fake: FakeImap, source: Source, granted: Upstream, fault: Fault, nth: int
) -> None:
    mail = [b"Subject: %d\r\n\r\n" % number for number in range(20)]
    new = fake.deliver("ann", mail)
    mailbox = await granted.open(account(granted))
    source.expire()
    fake.on("UID FETCH", fault, has="BODY", connection=1, nth=nth)
    assert [await read(mailbox, uid) for uid in new] == mail
    assert source.asked == [None, None, TOKENS[0]]


@pytest.mark.parametrize("fault", [*TURNS_DOWN, Bye(EXPIRED), Bye(EXPIRED, done=True)], ids=repr)
@pytest.mark.parametrize("verb", ["UID STORE", "UID EXPUNGE"])
async def test_what_quit_deletes_is_deleted(
    fake: FakeImap, source: Source, granted: Upstream, fault: Fault, verb: str
) -> None:
    mailbox = await granted.open(account(granted))
    source.expire()
    fake.on(verb, fault, connection=1)
    await commit(mailbox, delete=(1, 3))
    assert uids(fake) == [2]
    assert source.asked == [None, None, TOKENS[0]]


@pytest.mark.parametrize(
    "error", [SignInNeeded("revoked"), ProviderError("down"), TokenRefused("never"), StateError("full")], ids=repr
)
async def test_where_no_token_is_to_be_had_any_more_the_command_fails_for_now(
    fake: FakeImap, source: Source, granted: Upstream, error: GatewayError
) -> None:
    mailbox = await granted.open(account(granted))
    source.expire()
    fake.drop(f"* BYE {EXPIRED}")
    source.error = error
    with pytest.raises(UpstreamError, match=str(error)):
        await read(mailbox, 2)
    with pytest.raises(UpstreamError, match=str(error)):
        await mailbox.commit(CommitPlan(mailbox.snapshot.uidvalidity, (1,), ()))
    assert uids(fake) == [1, 2, 3]
    source.error = None
    assert await read(mailbox, 2) == TWO


async def test_a_server_that_says_so_every_time_is_not_asked_for_ever(
    fake: FakeImap, source: Source, granted: Upstream
) -> None:
    mailbox = await granted.open(account(granted))
    fake.on("UID FETCH", Say(f"NO {EXPIRED}"), has="BODY")
    with pytest.raises(UpstreamRefused):
        await read(mailbox, 2)
    assert fake.counts.connections == 2


async def test_with_a_password_it_is_only_a_refusal(fake: FakeImap, upstream: Upstream) -> None:
    """To log in with the same again would not help."""
    mailbox = await upstream.open()
    fake.on("UID FETCH", Say(f"NO {EXPIRED}"), has="BODY")
    with pytest.raises(UpstreamRefused):
        await read(mailbox, 2)
    assert fake.counts.connections == 1


@pytest.mark.parametrize("is_warm", [False, True])
async def test_a_token_that_the_server_repeats_later_is_in_no_error(
    fake: FakeImap, granted: Upstream, source: Source, is_warm: bool
) -> None:
    granted.keeping(Limits())
    if is_warm:
        await poll(granted, account(granted))
    fake.on("UID FETCH", Say(f"BAD what is {source.token}"), has="BODY")
    mailbox = await granted.open(account(granted))
    for octets in (None, 100):
        with pytest.raises(UpstreamError, match="repeats the password") as caught:
            await read(mailbox, 1, octets)
        assert source.token[:12] not in str(caught.value)
