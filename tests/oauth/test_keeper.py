"""Access tokens: handed out while they live, asked for once, written before they are used, and never lost."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import ProviderError, RegistrationRefused, SignInNeeded, StateError, TokenRefused
from gateway.oauth.keeper import (
    FAULT_SECONDS,
    MARGIN_SECONDS,
    TROUBLE_SECONDS,
    TURNED_DOWN_SECONDS,
    lock_key,
)
from gateway.oauth.lines import MOST, Lines
from gateway.ports import Grant, Renewal
from gateway.sasl import Bearer, Secret
from gateway.store.locks import FileLock
from gateway.telemetry.events import GrantEnded, GrantKept, GrantNotKept, ProviderFailed, TokenRenewed
from tests.oauth.keeping import (
    ACCOUNT,
    GRANT,
    GRANTED,
    HOUR,
    START,
    Clock,
    CountingRenewer,
    Desk,
    opened,
    together,
)

DOWN = ProviderError("the provider does not answer")
REVOKED = SignInNeeded("invalid_grant: the owner has taken it back")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider(clock: Clock) -> CountingRenewer:
    return CountingRenewer(clock)


@pytest.fixture
def desk(tmp_path: Path, provider: CountingRenewer, clock: Clock) -> Iterator[Desk]:
    with contextlib.closing(opened(tmp_path)) as state:
        yield Desk(state, provider, clock)


# While it lives


def test_a_token_is_handed_out_until_its_end_is_near(desk: Desk, provider: CountingRenewer, clock: Clock) -> None:
    assert desk.keeper.bearer(GRANTED) == Bearer("ann@example.org", Secret("access 0"), "XOAUTH2")
    clock.pass_by(HOUR - MARGIN_SECONDS - 1)
    assert desk.token() == "access 0"
    assert provider.asked == []
    clock.pass_by(1)
    assert [desk.token(), desk.token()] == ["access 1", "access 1"]
    assert len(provider.asked) == 1
    assert desk.told(TokenRenewed) == 1


def test_one_that_lives_for_a_minute_is_used_for_most_of_it(
    desk: Desk, provider: CountingRenewer, clock: Clock
) -> None:
    provider.lifetime = 60
    clock.pass_by(HOUR)
    assert desk.token() == "access 1"
    clock.pass_by(53)
    assert desk.token() == "access 1"
    clock.pass_by(2)
    assert desk.token() == "access 2"


def test_one_whose_life_is_not_told_is_used_until_it_is_turned_down(
    desk: Desk, provider: CountingRenewer, clock: Clock
) -> None:
    provider.lifetime = 0
    clock.pass_by(HOUR)
    assert desk.token() == "access 1"
    clock.pass_by(100 * HOUR)
    assert desk.token() == "access 1"
    assert desk.token(refused="access 1") == "access 2"


def test_a_grant_without_a_token_gets_one(desk: Desk, provider: CountingRenewer) -> None:
    """Client credentials, and an application's own account: nobody has signed in."""
    desk.vault.inner.set_grant("ann", replace(GRANT, renewal=Renewal.CLIENT, refresh=None, access=None, expires=0))
    assert desk.token() == "access 1"


def test_the_provider_is_told_whose_mailbox_it_is_and_the_password_only_where_it_wants_that(
    desk: Desk, provider: CountingRenewer, clock: Clock
) -> None:
    clock.pass_by(HOUR)
    desk.token()
    desk.change(renewal=Renewal.PASSWORD, access=None)
    desk.token()
    told = [(user, secret.reveal()) for _, user, secret in provider.asked]
    assert told == [("ann@example.org", ""), ("ann@example.org", "her password")]


# What is rotated


def test_what_the_provider_gave_is_written_before_it_is_used(
    desk: Desk, provider: CountingRenewer, clock: Clock
) -> None:
    clock.pass_by(HOUR)
    assert desk.token() == "access 1"
    kept = desk.grant()
    assert (kept.access, kept.refresh) == (Secret("access 1"), Secret("refresh 1"))
    assert (kept.renewed, kept.tried, kept.expires) == (clock.now, clock.now, clock.now + HOUR)
    clock.pass_by(HOUR)
    desk.token()
    assert provider.asked[1][0].refresh == Secret("refresh 1")


def test_a_provider_that_rotates_nothing_is_asked_with_the_same_again(
    desk: Desk, provider: CountingRenewer, clock: Clock
) -> None:
    provider.rotates = False
    clock.pass_by(HOUR)
    desk.token()
    assert desk.grant().refresh == GRANT.refresh


def test_what_could_not_be_kept_is_not_asked_for(desk: Desk, provider: CountingRenewer, clock: Clock) -> None:
    desk.vault.takes = 0
    clock.pass_by(HOUR)
    with pytest.raises(StateError, match="disk is full"):
        desk.token()
    assert provider.asked == []


def test_what_cannot_be_written_is_told_kept_in_mind_and_written_later(
    desk: Desk, provider: CountingRenewer, clock: Clock
) -> None:
    clock.pass_by(HOUR)
    desk.vault.takes = 1  # what is written before it asks, and nothing after
    assert desk.token() == "access 1"
    assert desk.token() == "access 1"
    assert len(provider.asked) == 1
    assert desk.told(GrantNotKept) == 1
    assert desk.grant().refresh == GRANT.refresh
    desk.vault.takes = 10
    desk.keeper.attend()
    assert (desk.grant().refresh, desk.grant().access) == (Secret("refresh 1"), Secret("access 1"))
    assert desk.told(GrantKept) == 1
    desk.keeper.attend()
    assert desk.told(GrantKept) == 1


@pytest.mark.parametrize("error", [REVOKED, DOWN], ids=repr)
def test_a_failure_that_cannot_be_written_counts_all_the_same_and_is_nothing_to_be_loud_about(
    desk: Desk, provider: CountingRenewer, clock: Clock, error: Exception
) -> None:
    provider.error = error
    clock.pass_by(HOUR)
    desk.vault.takes = 1
    for _ in range(3):
        with pytest.raises(type(error)):
            desk.token()
    desk.vault.takes = 10
    desk.keeper.attend()
    assert desk.grant().trouble or desk.grant().fault
    assert len(provider.asked) == 1
    assert desk.told(GrantNotKept) == desk.told(GrantKept) == 0


def test_what_waits_to_be_written_is_what_the_provider_is_asked_with(
    desk: Desk, provider: CountingRenewer, clock: Clock
) -> None:
    clock.pass_by(HOUR)
    desk.vault.takes = 1
    desk.token()
    desk.vault.takes = 10
    clock.pass_by(HOUR)
    assert desk.token() == "access 2"
    assert provider.asked[1][0].refresh == Secret("refresh 1")


# Somebody signs in anew


def test_a_new_sign_in_counts_at_once_and_what_waits_to_be_written_is_dropped(desk: Desk, clock: Clock) -> None:
    clock.pass_by(HOUR)
    desk.vault.takes = 1
    desk.token()
    newer = replace(GRANT, since=clock.now, access=Secret("of the new"), expires=clock.now + HOUR)
    desk.vault.inner.set_grant("ann", newer)
    assert desk.token() == "of the new"
    desk.vault.takes = 10
    assert desk.token() == "of the new"
    assert desk.grant() == newer
    assert desk.told(GrantKept) == 0


def test_so_does_what_another_process_was_given_and_could_write(desk: Desk, clock: Clock) -> None:
    clock.pass_by(HOUR)
    desk.vault.takes = 1
    desk.token()
    clock.pass_by(1)
    desk.change(access=Secret("of another"), renewed=clock.now, expires=clock.now + HOUR)
    assert desk.token() == "of another"


def test_what_waits_to_be_written_never_takes_the_place_of_a_later_token(desk: Desk, clock: Clock) -> None:
    """Its refresh token has been used by then, and providers take its return for a theft."""
    clock.pass_by(HOUR)
    desk.vault.takes = 1
    desk.token()
    clock.pass_by(1)
    desk.change(access=Secret("later"), refresh=Secret("later"), renewed=clock.now, tried=clock.now)
    desk.vault.takes = 10
    desk.keeper.attend()
    assert desk.grant().refresh == Secret("later")
    assert desk.told(GrantKept) == 0


def test_nor_does_it_once_the_next_one_could_be_written(
    desk: Desk, provider: CountingRenewer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.pass_by(HOUR)
    desk.vault.takes = 1
    desk.token()
    revise = desk.vault.inner.revise_grant

    def busy_until_it_is_asked_again(login: str, grant: Grant) -> bool:
        if len(provider.asked) == 1 and grant.tried == grant.renewed:
            raise StateError("busy")
        return revise(login, grant)

    desk.vault.takes = 10
    monkeypatch.setattr(desk.vault, "revise_grant", busy_until_it_is_asked_again)
    clock.pass_by(HOUR)
    assert desk.token() == "access 2"
    desk.keeper.attend()
    assert desk.grant().refresh == Secret("refresh 2")


def test_one_who_asked_with_the_old_refresh_token_meanwhile_does_not_cost_the_new_one(
    desk: Desk, clock: Clock
) -> None:
    clock.pass_by(HOUR)
    desk.vault.takes = 1
    desk.token()
    clock.pass_by(1)
    desk.change(tried=clock.now, trouble="invalid_grant: it was used before")
    desk.vault.takes = 10
    desk.keeper.attend()
    assert (desk.grant().refresh, desk.grant().trouble) == (Secret("refresh 1"), "")


@pytest.mark.parametrize("error", [None, REVOKED, DOWN], ids=repr)
def test_what_came_of_the_old_grant_does_not_touch_a_new_one(
    desk: Desk, provider: CountingRenewer, clock: Clock, error: Exception | None
) -> None:
    clock.pass_by(HOUR)
    newer = replace(GRANT, since=clock.now, access=Secret("of the new"), expires=clock.now + HOUR)
    provider.error, provider.before = error, lambda: desk.vault.inner.set_grant("ann", newer)
    with pytest.raises(ProviderError, match="signing in anew"):
        desk.token()
    assert desk.grant() == newer
    assert desk.token() == "of the new"


def test_an_account_that_is_gone_or_has_no_grant_needs_a_sign_in(desk: Desk) -> None:
    desk.vault.inner.set_grant("ann", None)
    with pytest.raises(SignInNeeded, match="nothing is granted for Ann"):
        desk.token()
    desk.vault.inner.remove("ann")
    with pytest.raises(SignInNeeded):
        desk.token()


# The grant is at its end


def test_a_grant_that_has_ended_is_told_at_once_and_asked_about_every_quarter_of_an_hour(
    desk: Desk, provider: CountingRenewer, clock: Clock
) -> None:
    provider.error = REVOKED
    clock.pass_by(HOUR)
    for _ in range(3):
        with pytest.raises(SignInNeeded, match="taken it back"):
            desk.token()
    clock.pass_by(TROUBLE_SECONDS - 1)
    with pytest.raises(SignInNeeded):
        desk.token()
    assert len(provider.asked) == 1
    assert desk.grant().trouble == str(REVOKED)
    assert desk.told(GrantEnded) == 1
    clock.pass_by(1)
    with pytest.raises(SignInNeeded):
        desk.token()
    assert len(provider.asked) == 2


def test_a_consent_that_was_mended_needs_no_new_sign_in(
    desk: Desk, provider: CountingRenewer, clock: Clock
) -> None:
    provider.error = REVOKED
    clock.pass_by(HOUR)
    with pytest.raises(SignInNeeded):
        desk.token()
    provider.error = None
    clock.pass_by(TROUBLE_SECONDS)
    assert desk.token() == "access 2"
    assert desk.grant().trouble == ""


def test_after_a_new_sign_in_nobody_waits(desk: Desk, provider: CountingRenewer, clock: Clock) -> None:
    provider.error = REVOKED
    clock.pass_by(HOUR)
    with pytest.raises(SignInNeeded):
        desk.token()
    provider.error = None
    desk.vault.inner.set_grant("ann", replace(GRANT, since=clock.now, refresh=Secret("new"), access=None))
    assert desk.token() == "access 2"


def test_a_token_of_a_grant_that_has_ended_makes_up_for_nothing(
    desk: Desk, provider: CountingRenewer, clock: Clock
) -> None:
    desk.change(trouble="revoked", tried=START)
    provider.error = DOWN
    clock.pass_by(TROUBLE_SECONDS)
    with pytest.raises(ProviderError):
        desk.token()
    assert desk.grant().trouble == "revoked"


# The provider is away


def test_a_provider_that_is_away_loses_no_grant_and_is_not_asked_again_at_once(
    desk: Desk, provider: CountingRenewer, clock: Clock
) -> None:
    provider.error = DOWN
    clock.pass_by(HOUR)
    for _ in range(3):
        with pytest.raises(ProviderError, match="does not answer"):
            desk.token()
    assert len(provider.asked) == 1
    assert desk.told(ProviderFailed) == 1
    assert (desk.grant().refresh, desk.grant().trouble) == (GRANT.refresh, "")
    provider.error = None
    clock.pass_by(FAULT_SECONDS)
    assert desk.token() == "access 2"
    assert desk.grant().fault == ""


def test_while_the_old_token_lives_a_provider_may_be_away(
    desk: Desk, provider: CountingRenewer, clock: Clock
) -> None:
    provider.error = DOWN
    clock.pass_by(HOUR - 1)
    assert [desk.token(), desk.token()] == ["access 0", "access 0"]
    assert len(provider.asked) == 1
    clock.pass_by(1)
    with pytest.raises(ProviderError):
        desk.token()


def test_while_the_old_token_lives_the_state_may_be_full(
    desk: Desk, provider: CountingRenewer, clock: Clock
) -> None:
    desk.vault.takes = 0
    clock.pass_by(HOUR - 1)
    assert desk.token() == "access 0"
    assert provider.asked == []


def test_a_clock_that_was_set_back_makes_nobody_wait(desk: Desk, provider: CountingRenewer, clock: Clock) -> None:
    desk.change(tried=START + 100 * HOUR, fault="long ago", turned_down=START + 100 * HOUR, expires=START)
    assert desk.token() == "access 1"
    desk.change(tried=START + 100 * HOUR, trouble="long ago")
    assert desk.token() == "access 2"


def test_a_process_that_dies_while_it_asks_leaves_no_answer_behind(
    desk: Desk, provider: CountingRenewer, clock: Clock
) -> None:
    desk.change(fault="what was wrong the last time")
    provider.error = ZeroDivisionError()
    clock.pass_by(HOUR)
    seen = desk.grant()
    with pytest.raises(ZeroDivisionError):
        desk.token()
    provider.error = None
    assert desk.keeper._wait_for_another(GRANTED, seen, None) == Secret("access 2")


# The mail server turns a token down


def test_a_token_that_was_turned_down_is_not_handed_out_again(desk: Desk, provider: CountingRenewer) -> None:
    assert desk.token(refused="access 0") == "access 1"
    assert desk.token() == "access 1"
    assert desk.token(refused="access 0") == "access 1"  # somebody who connected with it, too, a moment later
    assert len(provider.asked) == 1


def test_a_mail_server_that_always_says_no_makes_no_storm(
    desk: Desk, provider: CountingRenewer, clock: Clock
) -> None:
    refused = "access 0"
    for _ in range(30):
        with contextlib.suppress(TokenRefused):
            refused = desk.token(refused=refused)
        clock.pass_by(TURNED_DOWN_SECONDS / 10)
    assert len(provider.asked) == 3


def test_one_that_was_turned_down_once_is_renewed_when_it_is_due(
    desk: Desk, provider: CountingRenewer, clock: Clock
) -> None:
    desk.token(refused="access 0")
    clock.pass_by(HOUR)
    assert desk.token() == "access 2"


def test_a_failed_attempt_to_get_another_does_not_count_as_one(
    desk: Desk, provider: CountingRenewer, clock: Clock
) -> None:
    provider.error = DOWN
    with pytest.raises(ProviderError):
        desk.token(refused="access 0")
    provider.error = None
    clock.pass_by(FAULT_SECONDS)
    assert desk.token(refused="access 0") == "access 2"


# Many at once


@pytest.mark.parametrize("error", [None, REVOKED, DOWN], ids=repr)
def test_of_twenty_one_asks_and_all_have_what_came_of_it(
    desk: Desk, provider: CountingRenewer, clock: Clock, error: Exception | None
) -> None:
    provider.error = error
    clock.pass_by(HOUR)
    gave = together(20, lambda _: desk.token())
    assert len(provider.asked) == 1
    assert {type(one) for one in gave} == {type(error) if error else str}


@pytest.mark.parametrize("error", [REVOKED, DOWN], ids=repr)
def test_who_waited_longer_than_a_failure_counts_has_it_all_the_same(
    desk: Desk, provider: CountingRenewer, clock: Clock, error: Exception
) -> None:
    """A provider may take its time to fail: the next would wait as long, and the one behind him."""
    provider.error = error
    clock.pass_by(HOUR)
    seen = desk.grant()
    with pytest.raises(type(error)):
        desk.token()
    clock.pass_by(2 * TROUBLE_SECONDS)
    with pytest.raises(type(error)):
        desk.keeper._wait_for_another(GRANTED, seen, None)
    assert len(provider.asked) == 1


def test_of_one_process_one_at_a_time_waits_for_the_others(
    desk: Desk, provider: CountingRenewer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To look whether they are done is a write in the state, each time."""
    waiting, peak = [0], [0]
    acquire = FileLock.acquire

    def counted(lock: FileLock) -> None:
        waiting[0] += 1
        peak[0] = max(waiting)
        acquire(lock)
        waiting[0] -= 1

    monkeypatch.setattr(FileLock, "acquire", counted)
    clock.pass_by(HOUR)
    assert set(together(20, lambda _: desk.token())) == {"access 1"}
    assert peak == [1]


def test_a_provider_that_hangs_holds_up_one_thread_and_not_one_for_each_account(
    desk: Desk, provider: CountingRenewer, clock: Clock
) -> None:
    bob = replace(GRANTED, login="bob")
    desk.vault.inner.add(replace(ACCOUNT, login="bob"))
    provider.error = DOWN
    clock.pass_by(HOUR)
    with pytest.raises(ProviderError):
        desk.token()
    clock.pass_by(FAULT_SECONDS)
    told: list[str] = []

    def ask_for_bob() -> None:
        with pytest.raises(ProviderError) as error:
            desk.token(granted=bob)
        told.append(str(error.value))

    provider.before = ask_for_bob
    with pytest.raises(ProviderError):
        desk.token()
    assert len(provider.asked) == 2
    assert "who asks it again now: the provider does not answer" in told[0]
    provider.error, provider.before = None, lambda: None
    assert desk.token(granted=bob) == "access 3"


@pytest.mark.parametrize("error", [None, REVOKED, RegistrationRefused("no such application")], ids=repr)
def test_whatever_it_answers_others_may_ask_it_meanwhile(
    desk: Desk, provider: CountingRenewer, clock: Clock, error: Exception | None
) -> None:
    bob = replace(GRANTED, login="bob")
    desk.vault.inner.add(replace(ACCOUNT, login="bob"))
    clock.pass_by(HOUR)
    for provider.error in (DOWN, error):
        with contextlib.suppress(SignInNeeded, ProviderError):
            desk.token()
        clock.pass_by(FAULT_SECONDS)
    provider.error = None
    desk.change(access=None, trouble="", fault="")

    def ask_for_bob() -> None:
        provider.before = lambda: None
        assert desk.token(granted=bob) == "access 4"

    provider.before = ask_for_bob
    desk.token()
    assert len(provider.asked) == 4


def test_no_more_than_so_many_ask_at_once() -> None:
    lines = Lines()
    with contextlib.ExitStack() as asking:
        for _ in range(MOST):
            asking.enter_context(lines.to("one"))
        with pytest.raises(ProviderError, match="others wait for one"):
            asking.enter_context(lines.to("one"))
        asking.enter_context(lines.to("another"))
    with lines.to("one"):
        pass


def test_nobody_waits_for_ever(
    desk: Desk, provider: CountingRenewer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.pass_by(HOUR)
    desk.keeper._locks._patience = 0.0  # type: ignore[attr-defined]
    held = desk.keeper._locks.lock(lock_key("ANN"))
    held.acquire()
    with pytest.raises(ProviderError, match="another process has waited"):
        desk.token()
    held.release()
    assert desk.token() == "access 1"
    assert len(desk.keeper._gates) == 0


# Secrets


def test_no_event_has_a_secret(desk: Desk, provider: CountingRenewer, clock: Clock) -> None:
    clock.pass_by(HOUR)
    desk.vault.takes = 1
    desk.token()
    desk.vault.takes = 10
    desk.keeper.attend()
    for provider.error in (REVOKED, DOWN):
        clock.pass_by(HOUR)
        with pytest.raises((SignInNeeded, ProviderError)):
            desk.token()
    kinds = [type(event) for event in desk.events]
    assert kinds == [TokenRenewed, GrantNotKept, GrantKept, GrantEnded, ProviderFailed]
    told = repr(desk.events)
    assert not [secret for secret in ("access ", "refresh ", "her password") if secret in told]
