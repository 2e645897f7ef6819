"""What the log tells of a login that did not come to a password."""

from typing import cast

import pytest

from gateway.authorization import Authorization
from gateway.errors import Refused
from gateway.pop3 import Command
from gateway.ports import Peer, Services, Terms
from gateway.telemetry.events import Event, LoginFailed

NO_SERVICES = cast("Services", None)  # it does not come to that


def test_a_password_that_is_not_taken_in_clear_names_the_setting_that_would_take_it() -> None:
    told: list[Event] = []
    terms = Terms(tls_available=True, allow_plaintext=False, login_attempts=3, failure_delay=0, host="h")
    authorization = Authorization(NO_SERVICES, terms, Peer("192.0.2.1"), told.append)
    with pytest.raises(Refused, match="send STLS first"):
        authorization.user_command(Command("USER", text="ann"))
    [event] = told
    assert isinstance(event, LoginFailed)
    assert event.error == "a password without TLS is not taken (listen.allow_plaintext)"
