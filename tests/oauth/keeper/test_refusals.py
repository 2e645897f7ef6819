"""What becomes of a grant that has ended, of a provider that is away, of a token that the mail server refuses."""

import contextlib
from dataclasses import replace

import pytest

from gateway.errors import ProviderError, SignInNeeded, TokenRefused
from gateway.oauth.keeper import (
    FAULT_SECONDS,
    TROUBLE_SECONDS,
    TURNED_DOWN_SECONDS,
)
from gateway.sasl import Secret
from gateway.telemetry.events import GrantEnded, ProviderFailed
from tests.oauth.keeping import (
    GRANT,
    GRANTED,
    HOUR,
    START,
    Clock,
    CountingRenewer,
    Desk,
)

DOWN = ProviderError("the provider does not answer")
REVOKED = SignInNeeded("invalid_grant: the owner has taken it back")


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
