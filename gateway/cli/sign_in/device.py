"""Signing in on another device (RFC 8628): an address, a code, and both as a picture for a telephone."""

import time

from gateway.cli.sign_in.flow import Way
from gateway.cli.sign_in.qr import picture
from gateway.cli.terminal import console, countdown, say
from gateway.errors import ProviderError, RegistrationRefused, SignInNeeded
from gateway.oauth import Client, DeviceCode, begin_device, poll_device
from gateway.ports import Tokens

_EXPIRED = "nobody has signed in before the code expired; call the command again for a new one"


def sign_in(client: Client, way: Way) -> Tokens:
    """Raises SignInNeeded, ProviderError."""
    code = begin_device(client)
    _explain(client, way, code)
    left = code.expires - time.time()
    patience, over = (way.patience, way.over) if way.patience < left else (left, _EXPIRED)
    with countdown("waiting for the sign-in", patience):
        return _polled(client, code, time.time() + patience, over)


def _explain(client: Client, way: Way, code: DeviceCode) -> None:
    say(f"Open {code.verification_uri} on any device, and sign in at {client.provider.title} as {way.user}.")
    say(f"The code to enter there: {code.user_code}")
    say("(Where codes are forbidden, the page says so there, and not here: Ctrl-C, and take --flow code.)\n")
    shown = console()
    drawn = picture(code.verification_uri_complete or code.verification_uri, shown.width)
    if drawn and shown.is_terminal and shown.encoding.startswith("utf"):
        shown.print(drawn)


def _polled(client: Client, code: DeviceCode, ends: float, over: str) -> Tokens:
    """RFC 8628 section 3.5: no sooner than the interval, and slower where the provider cannot be reached."""
    trouble: ProviderError | None = None
    while time.time() + code.interval < ends:
        time.sleep(code.interval)
        try:
            answer = poll_device(client, code)
        except RegistrationRefused:
            raise
        except ProviderError as error:
            trouble = error
            continue
        if isinstance(answer, Tokens):
            return answer
        code, trouble = answer, None
    if trouble is not None:
        raise trouble
    raise SignInNeeded(over)
