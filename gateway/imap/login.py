"""Logging in with a name and a password, by the safest way that the server offers, in one flight where it can."""

import base64
import re

from gateway.errors import BadCredentials, GatewayError, UpstreamRefused, UpstreamUnusable
from gateway.imap.client import Client, Literal, Response
from gateway.imap.faults import plain, refusal, translated
from gateway.sasl import Bearer, Credentials

# What can stand between quotes as it is. Several servers get quoted escapes wrong, so all else is a literal.
_QUOTABLE = re.compile(r"[ !#-\[\]-~]*")


def log_in(client: Client, credentials: Credentials | Bearer) -> None:
    """Raises BadCredentials when the server says that the password is wrong, and only then."""
    with translated("logging in"):
        if isinstance(credentials, Bearer):
            status, answer = _send_token(client, credentials)
        else:
            status, answer = _send(client, credentials)
        if status != "OK":
            raise _refused(status, answer, credentials)


def _send(client: Client, credentials: Credentials) -> tuple[str, str]:
    """LOGIN where quotes do, AUTHENTICATE PLAIN where they do not or LOGIN is off, LOGIN with literals else; and
    AUTHENTICATE LOGIN where there is nothing better.
    """
    offered = client.offered()
    separator = client.endpoint.master_separator
    if separator and credentials.authorization:  # as Dovecot has it: mailbox*master
        name = f"{credentials.authorization}{separator}{credentials.user}"
        credentials = Credentials(name, credentials.secret)
    name, password = credentials.user, credentials.secret.reveal()
    plain_offered = "AUTH=PLAIN" in offered
    if credentials.authorization and not plain_offered:
        raise UpstreamUnusable("the server offers no AUTH=PLAIN, so nobody can log in there for another")
    # RFC 3501 section 6.2.3; and LOGIN knows no other user than the one who logs in.
    login_offered = "LOGINDISABLED" not in offered and not credentials.authorization
    if login_offered and _QUOTABLE.fullmatch(name) and _QUOTABLE.fullmatch(password):
        return client.log_in_with("LOGIN", f'"{name}"'.encode("ascii"), f'"{password}"'.encode("ascii"))
    if plain_offered:
        response = _plain_response(credentials)
        if "SASL-IR" in offered:
            return client.log_in_with("AUTHENTICATE PLAIN", response)
        return client.log_in_with("AUTHENTICATE PLAIN", Response(response))
    if login_offered:
        return client.log_in_with("LOGIN", Literal(name.encode()), Literal(password.encode()))
    if "AUTH=LOGIN" in offered and not credentials.authorization:
        return client.log_in_with("AUTHENTICATE LOGIN", *(Response(_base64(text)) for text in (name, password)))
    ways = " ".join(sorted(name for name in offered if name.startswith("AUTH="))) or "no way at all"
    raise UpstreamUnusable(f"the server takes no password; to log in it offers {plain(ways)}")


def _send_token(client: Client, bearer: Bearer) -> tuple[str, str]:
    """As it came, where the server takes it so; XOAUTH2 and OAUTHBEARER differ only in how they are written."""
    offered = client.offered()
    mechanisms = [bearer.mechanism, *(name for name in _TOKEN_RESPONSES if name != bearer.mechanism)]
    mechanism = next((name for name in mechanisms if f"AUTH={name}" in offered), None)
    if mechanism is None:
        raise UpstreamUnusable("the server takes no tokens: it offers neither XOAUTH2 nor OAUTHBEARER")
    response = _token_response(bearer, mechanism)
    said = response if "SASL-IR" in offered else Response(response)
    return client.log_in_with(f"AUTHENTICATE {mechanism}", said, excused=_EXCUSED[mechanism])


def as_sent(credentials: Credentials | Bearer) -> tuple[str, ...]:
    """The secret in every form that it may go out in."""
    if isinstance(credentials, Bearer):
        forms = [_token_response(credentials, mechanism) for mechanism in _TOKEN_RESPONSES]
    else:
        forms = [_plain_response(credentials), _base64(credentials.secret.reveal())]
    return credentials.secret.reveal(), *(form.decode("ascii") for form in forms)


# Google's and Microsoft's XOAUTH2; RFC 7628 section 3.1.
_TOKEN_RESPONSES = {
    "XOAUTH2": "user={user}\1auth=Bearer {token}\1\1",
    "OAUTHBEARER": "n,a={gs2_user},\1auth=Bearer {token}\1\1",
}
# What answers the challenge that explains a failure: Google's documentation; RFC 7628 section 3.2.3, in base64.
_EXCUSED = {"XOAUTH2": b"", "OAUTHBEARER": b"AQ=="}


def _token_response(bearer: Bearer, mechanism: str) -> bytes:
    gs2_user = bearer.user.replace("=", "=3D").replace(",", "=2C")
    said = _TOKEN_RESPONSES[mechanism].format(user=bearer.user, gs2_user=gs2_user, token=bearer.secret.reveal())
    return base64.b64encode(said.encode())


def _plain_response(credentials: Credentials) -> bytes:
    """RFC 4616, in base64; with whose mailbox it is to be, where that is another's."""
    fields = (credentials.authorization, credentials.user, credentials.secret.reveal())
    return _base64("\0".join(fields))


def _base64(text: str) -> bytes:
    return base64.b64encode(text.encode())


def _refused(status: str, answer: str, credentials: Credentials | Bearer) -> GatewayError:
    words = plain(answer)
    if status != "NO":  # BAD: the command was not understood, which says nothing about the password
        return UpstreamRefused(f"the login was not understood: {words}")
    error = refusal(answer, f"the login was refused: {words}", default=BadCredentials)
    if isinstance(credentials, Bearer) and isinstance(error, BadCredentials):
        return BadCredentials(str(error), text="the mail server does not take this token")
    return error
