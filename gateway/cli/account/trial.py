"""The login at the upstream, tried before anything of it is stored."""

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.app.tokens import opened_by, opening_of
from gateway.cli.providers import guide
from gateway.cli.terminal import many, say
from gateway.config import Settings
from gateway.errors import BadCredentials, BadRecord, GatewayError, TokenRefused
from gateway.oauth import Provider
from gateway.ports import Account, Endpoint, Grant, StoredAccount
from gateway.sasl import Bearer, Credentials

if TYPE_CHECKING:
    from gateway.imap.probe import Mailbox

# Exchange, to the first command after a login with a token that may not open this mailbox.
_NOT_HIS = "authenticated but not connected"


def try_login(chosen: Settings, new: StoredAccount) -> None:
    """Log in at the upstream, as the gateway will. Raises GatewayError."""
    from gateway.cli.check import look_at  # noqa: PLC0415 - with a whole IMAP client, and wanted only here

    drop = chosen.maildrop
    folder = new.folder or drop.folder
    account = Account(_endpoint(chosen, new), _credentials(chosen, new), folder, drop.policy())
    try:
        mailbox = look_at(chosen, account)
    except GatewayError as error:
        refused = isinstance(error, BadCredentials) or _NOT_HIS in str(error)
        if new.grant is None or not refused:
            raise
        raise TokenRefused(_why(error, new, _provider(chosen, new.grant))) from error
    _tell(new, folder, mailbox)


def try_kept(chosen: Settings, changed: StoredAccount) -> None:
    """The same for one that is stored, with what opens it already. Raises GatewayError."""
    from gateway.cli.check import look_at  # noqa: PLC0415 - see above

    with opened_by(chosen, changed.login) as (_, tokens):
        account = opening_of(chosen, chosen.maildrop.folder).account(changed)
        _tell(changed, account.folder, look_at(chosen, account, tokens))


def _tell(known: StoredAccount, folder: str, mailbox: "Mailbox") -> None:
    say(f"logged in as {known.user}: {folder} has {many(len(mailbox.snapshot), 'message')}")


def _endpoint(chosen: Settings, new: StoredAccount) -> Endpoint:
    return chosen.endpoint(new.upstream or (_provider(chosen, new.grant).upstream if new.grant else ""))


def _credentials(chosen: Settings, new: StoredAccount) -> Credentials | Bearer:
    if new.grant and new.grant.access:
        return Bearer(new.user, new.grant.access, _provider(chosen, new.grant).mechanism)
    if new.secret.reveal():
        return Credentials(new.user, new.secret)
    known = chosen.upstream.master_credentials()
    if known is None or new.upstream:
        raise BadRecord(f"{new.login} has no password at its upstream; set upstream.master, or give one")
    return replace(known, authorization=new.user)


def _provider(chosen: Settings, grant: Grant) -> Provider:
    return chosen.clients()[grant.provider].provider


def _why(error: GatewayError, new: StoredAccount, provider: Provider) -> str:
    return (
        f"{error}\n{provider.title} gave a token, and the mail server does not take it for {new.user}. Was it "
        f"{new.user} who signed in, or somebody who may open that mailbox (--as NAME)? Is IMAP switched on "
        f"for it? {guide(provider.name)} has more."
    )
