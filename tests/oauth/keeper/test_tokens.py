"""Access tokens: handed out while they live, asked for once, written before they are used."""

from dataclasses import replace

import pytest

from gateway.errors import ProviderError, SignInNeeded, StateError
from gateway.oauth.keeper import (
    MARGIN_SECONDS,
)
from gateway.ports import Grant, Renewal
from gateway.sasl import Bearer, Secret
from gateway.telemetry.events import GrantEnded, GrantKept, GrantNotKept, ProviderFailed, TokenRenewed
from tests.oauth.keeping import (
    GRANT,
    GRANTED,
    HOUR,
    Clock,
    CountingRenewer,
    Desk,
)

DOWN = ProviderError("the provider does not answer")
REVOKED = SignInNeeded("invalid_grant: the owner has taken it back")


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
