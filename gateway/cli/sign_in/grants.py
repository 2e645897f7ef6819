"""A grant, as one of the flows gives it."""

import time
from dataclasses import replace

from gateway.cli.sign_in import browser, device
from gateway.cli.sign_in.flow import Flow, Way
from gateway.oauth import Client, Renewals
from gateway.ports import Grant, Registration
from gateway.sasl import Secret

_SIGN_INS = {Flow.CODE: browser.sign_in, Flow.DEVICE: device.sign_in}


def granted(client: Client, registration: Registration, flow: Flow, user: str, secret: Secret, way: Way) -> Grant:
    """For the mailbox `user`, by a flow that demand() has let pass.

    `registration`: where it is another than that of the settings; `secret`: the mailbox's password, for
    Flow.PASSWORD only.

    Raises SettingsError, SignInNeeded, ProviderError, CannotListen.
    """
    grant = Grant(client.provider.name, flow.renewal, time.time(), registration)
    if flow in _SIGN_INS:
        tokens = _SIGN_INS[flow](client, way)
    else:
        tokens = Renewals({client.provider.name: client}).renew(grant, user, secret)
    now = time.time()  # the owner may have taken minutes
    return replace(grant, since=now, refresh=tokens.refresh, access=tokens.access, expires=tokens.expires)
