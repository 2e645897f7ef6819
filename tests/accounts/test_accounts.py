"""Whose mailbox a login opens, and how often."""

import pytest

from gateway.accounts import LoginDelay, PassThrough
from gateway.errors import LoggedInTooRecently
from gateway.maildrop import Policy
from gateway.ports import Endpoint, TlsMode
from gateway.sasl import Credentials, Secret


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_pass_through_hands_name_and_password_on_as_they_are() -> None:
    endpoint = Endpoint("imap.example.com", 993, TlsMode.IMPLICIT)
    credentials = Credentials(" Ann ", Secret(' "p" '))
    account = await PassThrough(endpoint, "INBOX", Policy()).resolve(credentials)
    assert account.credentials is credentials
    assert account.endpoint is endpoint


def test_a_second_login_waits_for_the_delay_to_pass() -> None:
    clock = Clock()
    delay = LoginDelay(60, clock)
    delay.admit("ann")
    delay.logged_in("ann")
    clock.now += 59
    with pytest.raises(LoggedInTooRecently):
        delay.admit("Ann")
    delay.admit("bob")
    clock.now += 1
    delay.admit("ann")


def test_without_a_delay_a_second_login_is_admitted_in_the_same_instant() -> None:
    delay = LoginDelay(0, Clock())
    delay.logged_in("ann")
    delay.admit("ann")
    assert delay.seconds == 0
