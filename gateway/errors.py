"""One tree of errors: what the POP3 client may read, and what the log says.

A class fixes the two things a client can act on: the response code (RFC 2449 section 8, RFC 3206) and a
line of text. `detail`, the exception's own message, is for the log; it may name hosts and quote servers,
but never holds a secret. Foreign exceptions are turned into these at the boundary of the room that met them.
"""

from typing import ClassVar


class GatewayError(Exception):
    """The root. `code` is the response code without brackets, `text` the line that the client reads."""

    code: ClassVar[str] = ""
    text: ClassVar[str] = "the command failed"

    def __init__(self, detail: str = "", *, text: str = "") -> None:
        super().__init__(detail or text or self.text)
        self.reply = text or self.text


class Refused(GatewayError):
    """The command is legal and well formed, but not possible: no such message, already deleted, read-only."""


class MessageGone(Refused):
    """Another client removed the message after the snapshot was taken."""

    text = "this message was removed by another program after this session began"


class BadCredentials(GatewayError):
    """RFC 3206 section 5: the client's name and password are the problem, nothing else."""

    code = "AUTH"
    text = "the name or the password is wrong"


class MisplacedPassword(BadCredentials):
    """The password is right, and good elsewhere or was once: no guess."""


class LockedOut(GatewayError):
    """Too many wrong passwords. This one was not looked at, so nothing is said of it: no [AUTH], on which mail
    programs forget the password that they have. Of RFC 3206's codes SYS/TEMP (section 4) is what is left.
    """

    code = "SYS/TEMP"
    text = "service unavailable: too many failed logins; try again later"


class AccountExists(GatewayError):
    """There is an account of that name."""

    code = "SYS/PERM"


class BadRecord(GatewayError):
    """An account cannot be as it was asked for."""

    code = "SYS/PERM"


class StoredSecretRefused(GatewayError):
    """The client is right, and the mail server does not take what is stored for it."""

    code = "SYS/PERM"
    text = "the mail server does not take the password that is stored for this account; its operator can change it"


class SignInNeeded(GatewayError):
    """The provider's grant for a mailbox is at its end: its owner, or the operator, must give a new one.

    RFC 3206 section 5: it is about credentials, and trying again is no use.
    """

    code = "AUTH"
    text = "the mail provider wants the owner of this mailbox to sign in again; ask the gateway's operator"


class TokenRefused(StoredSecretRefused):
    """The provider gives tokens for a mailbox, and the mail server takes none of them."""

    text = "the mail server does not take the sign-in that is stored for this account; ask the gateway's operator"


class NoSuchAccount(GatewayError):
    """There is no account, or no password, of that name."""

    code = "SYS/PERM"


class MaildropInUse(GatewayError):
    """RFC 2449 section 8.1.1: another session has the maildrop."""

    code = "IN-USE"
    text = "another session is using this maildrop; try again when it has ended"


class LoggedInTooRecently(GatewayError):
    """RFC 2449 section 8.1.2: the operator's minimum time between two logins has not passed."""

    code = "LOGIN-DELAY"
    text = "the last login was too short a time ago; try again later"


class UpstreamError(GatewayError):
    """Something is wrong on the way to the mailbox. RFC 3206 section 4: SYS/TEMP is worth another try.

    fetchmail reads words, not codes: without "service" and "unavailable" it tells its user that the password is
    wrong. With "lock" or "wait" it would take the maildrop for busy.
    """

    code = "SYS/TEMP"
    text = "service unavailable: the mail server gave an unexpected answer; try again later"


class UpstreamUnreachable(UpstreamError):
    """No connection, a lost one, or silence for longer than the time allowed."""

    text = "service unavailable: the mail server cannot be reached now; try again later"


class UpstreamSilent(UpstreamUnreachable):
    """It did not answer in time: asking again at once would only double the wait."""

    text = "service unavailable: the mail server does not answer now; try again later"


class UpstreamRefused(UpstreamError):
    """The server answered NO or BAD for now: [UNAVAILABLE], [LIMIT], [SERVERBUG], [THROTTLED] …"""

    text = "service unavailable: the mail server refuses the request now; try again later"


class UpstreamFull(UpstreamRefused):
    """It has as many connections as it allows, of this user or from here."""

    text = "service unavailable: the mail server has too many connections now; try again later"


class UpstreamDeclined(UpstreamRefused):
    """The server answered NO or BAD and did not say that another time it would be different."""

    text = "service unavailable: the mail server refuses the request"


class UpstreamDoubtful(UpstreamError):
    """The mailbox answers, but looks as if it were not whole: see maildrop.memory.doubt."""

    text = "service unavailable: the mailbox looks damaged; it is shown later if that stays so"


class UpstreamUnusable(UpstreamError):
    """It will not mend itself: an untrusted certificate, a missing folder, no way to log in."""

    code = "SYS/PERM"
    text = "service unavailable: the mail server cannot be used as the gateway is set up; ask its operator"


class LookupFailed(UpstreamError):
    """Where a name's mailbox is cannot be found out: a service, a database or a name server is away or errs."""

    text = "service unavailable: where this mailbox is cannot be looked up now; try again later"


class ProviderError(UpstreamError):
    """An OAuth provider cannot be reached, or gives no token now."""

    text = "service unavailable: the mail provider's sign-in service cannot be used now; try again later"


class RegistrationRefused(ProviderError):
    """It does not take our application, or what that asks for. Grants are as good as before, and must outlive it.

    RFC 3206 section 4: trying again is no use, until the operator has mended the registration.
    """

    code = "SYS/PERM"
    text = "service unavailable: the mail provider does not accept the gateway as it is set up; ask its operator"


class InvitationVoid(GatewayError):
    """It is used, or has expired, or never was."""

    code = "SYS/PERM"


class AnotherMailbox(GatewayError):
    """Somebody has signed in, and the mail server does not open the mailbox that was meant with it."""

    code = "SYS/PERM"


class Overloaded(GatewayError):
    """A limit of the gateway itself is reached."""

    code = "SYS/TEMP"
    text = "service unavailable: too many connections; try again later"


class SettingsError(GatewayError):
    """The settings cannot be used: `str()` says where, what is wrong, and what would be right."""

    code = "SYS/PERM"
    text = "service unavailable: the gateway is not set up correctly"


class CannotListen(GatewayError):
    """The address is in use, or not there, or not ours: another time it may be."""

    code = "SYS/TEMP"
    text = "service unavailable: the gateway cannot listen"


class StateError(GatewayError):
    """The state cannot be used: a folder that is not writable, not there, full; a database that is away."""

    code = "SYS/TEMP"
    text = "service unavailable: the gateway cannot use its state now; try again later"


class KeysUnusable(StateError):
    """What is stored cannot be read with the keys that there are: only who has the right ones can mend it."""
