"""Invitations to the enrolment page, as the command line makes them."""

import contextlib
import time
from collections.abc import Iterator

from gateway.app.state import state_of
from gateway.config import OwnSettings
from gateway.config.web import LISTEN
from gateway.enrolment import PATH, Order, invite
from gateway.errors import SettingsError
from gateway.ports import Invitation, Invitations


def invitation_link(settings: OwnSettings, order: Order, expires: float = 0.0) -> tuple[Invitation, str]:
    """A new one, and the link to send to the person; `expires` in seconds since the epoch, 0: after a week.

    Raises SettingsError where there is no page, or no application at the provider; BadRecord, StateError.
    """
    if not settings.web.listen:
        raise SettingsError(f"there is no page to invite to: set web.listen, like {LISTEN}")
    if not settings.web.address[1]:
        raise SettingsError("web.listen: with port 0 nobody knows the link; write the port")
    if order.provider:
        settings.client(order.provider)
    with invitations_of(settings) as invitations:
        made, token = invite(invitations, order, time.time(), expires)
    return made, f"{settings.web.outside.geturl()}{PATH}{token.reveal()}"


@contextlib.contextmanager
def invitations_of(settings: OwnSettings) -> Iterator[Invitations]:
    """Beside a gateway that runs or not. Raises StateError."""
    state = state_of(settings, lambda _: None)
    try:
        yield state.invitations()
    finally:
        state.close()
