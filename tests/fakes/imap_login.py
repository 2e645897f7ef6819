"""The verbs of IMAP that are about the connection and the user."""

import base64
import binascii
import re

from tests.fakes.imap_session import Session, State, Verbs
from tests.fakes.imap_wire import BadCommand, Ending, Refused, Reply, Scanner

VERBS = Verbs()

# Any state


@VERBS.add("CAPABILITY")
def _capability(session: Session, args: Scanner, reply: Reply) -> None:
    args.end()
    reply.say(f"* CAPABILITY {' '.join(session.capabilities)}")


@VERBS.add("NOOP", "CHECK")
def _noop(session: Session, args: Scanner, reply: Reply) -> None:
    args.end()


@VERBS.add("ID", needs="ID")
def _id(session: Session, args: Scanner, reply: Reply) -> None:
    if re.fullmatch(rb"NIL|\(.*\)", args.rest(), re.IGNORECASE | re.DOTALL) is None:
        raise BadCommand("ID wants NIL or a list")
    reply.say('* ID ("name" "FakeImap")')


@VERBS.add("LOGOUT")
def _logout(session: Session, args: Scanner, reply: Reply) -> None:
    args.end()
    session.view = None
    reply.say("* BYE logging out")
    reply.ending = Ending.CLOSE


# Before login


@VERBS.add("STARTTLS", states=(State.START,), needs="STARTTLS")
def _starttls(session: Session, args: Scanner, reply: Reply) -> None:
    args.end()
    reply.then = session.start_tls
    reply.deafens = True


@VERBS.add("LOGIN", states=(State.START,))
def _login(session: Session, args: Scanner, reply: Reply) -> None:
    user, password = args.astring(), args.astring()
    args.end()
    if session.has("LOGINDISABLED"):
        raise Refused("[PRIVACYREQUIRED] LOGIN only under TLS")
    _admit(session, user, password, reply)


@VERBS.add("AUTHENTICATE", states=(State.START,))
def _authenticate(session: Session, args: Scanner, reply: Reply) -> None:
    mechanism = args.word().upper()
    first = args.word() if args.more() else None
    args.end()
    if first is not None and not session.has("SASL-IR"):
        raise BadCommand("no initial response without SASL-IR")
    if not session.has(f"AUTH={mechanism}"):
        raise Refused("[CANNOT] no such mechanism")
    if mechanism == "LOGIN":
        user = _sasl(session, b"Username:", first)
        _admit(session, user, _sasl(session, b"Password:"), reply)
    elif mechanism == "PLAIN":
        _, user, password = [*_sasl(session, b"", first).split(b"\0"), b"", b""][:3]
        _admit(session, user, password, reply)
    else:
        _bearer(session, _sasl(session, b"", first), reply)


def _sasl(session: Session, challenge: bytes, first: str | None = None) -> bytes:
    if first is not None:
        line = b"" if first == "=" else first.encode("latin-1")
    else:
        line = session.ask(base64.b64encode(challenge))
        session.command.responses.append(line)
    if line == b"*":
        raise BadCommand("cancelled")
    try:
        return base64.b64decode(line, validate=True)
    except binascii.Error:
        raise BadCommand("not base64") from None


def _bearer(session: Session, text: bytes, reply: Reply) -> None:
    """XOAUTH2 and OAUTHBEARER; the account's password is its token."""
    user = re.search(rb"(?:\Auser=|,a=)([^\x01,]*)", text)
    token = re.search(rb"\x01auth=Bearer ([^\x01]*)\x01", text)
    try:
        _admit(session, user[1] if user else b"", token[1] if token else b"", reply)
    except Refused:
        session.command.responses.append(session.ask(base64.b64encode(b'{"status":"401"}')))
        raise


def _admit(session: Session, user: bytes, password: bytes, reply: Reply) -> None:
    name = user.decode("utf-8", "surrogateescape")
    account = session.site.accounts.get(name)
    if account is None or account.password.encode() != password:
        raise Refused("[AUTHENTICATIONFAILED] wrong user name or password")
    session.user = name
    code = f"[CAPABILITY {' '.join(session.capabilities)}] " * session.site.settings.capability_after_login
    reply.tagged = f"OK {code}logged in".encode()
