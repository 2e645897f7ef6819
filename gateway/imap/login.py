"""Logging in with a name and a password, by the safest way that the server offers, in one flight where it can."""

import base64
import re

from gateway.errors import BadCredentials, GatewayError, UpstreamRefused, UpstreamUnusable
from gateway.imap.client import Client, Literal, Response
from gateway.imap.faults import plain, refusal, translated
from gateway.sasl import Credentials

# What can stand between quotes as it is. Several servers get quoted escapes wrong, so all else is a literal.
_QUOTABLE = re.compile(r"[ !#-\[\]-~]*")


def log_in(client: Client, credentials: Credentials) -> None:
    """Raises BadCredentials when the server says that the password is wrong, and only then."""
    with translated("logging in"):
        status, answer = _send(client, credentials)
        if status != "OK":
            raise _refused(status, answer)


def _send(client: Client, credentials: Credentials) -> tuple[str, str]:
    """LOGIN where quotes do, AUTHENTICATE PLAIN where they do not or LOGIN is off, LOGIN with literals else."""
    offered = client.offered()
    name, password = credentials.user, credentials.secret.reveal()
    plain_offered = "AUTH=PLAIN" in offered
    login_offered = "LOGINDISABLED" not in offered  # RFC 3501 section 6.2.3
    if login_offered and _QUOTABLE.fullmatch(name) and _QUOTABLE.fullmatch(password):
        return client.log_in_with("LOGIN", f'"{name}"'.encode("ascii"), f'"{password}"'.encode("ascii"))
    if plain_offered:
        response = _plain_response(credentials)
        if "SASL-IR" in offered:
            return client.log_in_with("AUTHENTICATE PLAIN", response)
        return client.log_in_with("AUTHENTICATE PLAIN", Response(response))
    if login_offered:
        return client.log_in_with("LOGIN", Literal(name.encode()), Literal(password.encode()))
    ways = " ".join(sorted(name for name in offered if name.startswith("AUTH="))) or "no way at all"
    raise UpstreamUnusable(f"the server takes no password; to log in it offers {plain(ways)}")


def as_sent(credentials: Credentials) -> tuple[str, ...]:
    """The secret in every form that it may go out in."""
    secret = credentials.secret.reveal()
    return secret, _plain_response(credentials).decode("ascii")


def _plain_response(credentials: Credentials) -> bytes:
    """RFC 4616, in base64."""
    return base64.b64encode(f"\0{credentials.user}\0{credentials.secret.reveal()}".encode())


def _refused(status: str, answer: str) -> GatewayError:
    words = plain(answer)
    if status != "NO":  # BAD: the command was not understood, which says nothing about the password
        return UpstreamRefused(f"the login was not understood: {words}")
    return refusal(answer, f"the login was refused: {words}", default=BadCredentials)
