"""What a stored account opens, and with what: for sessions, and for the command line beside them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.errors import StoredSecretRefused
from gateway.maildrop import OnDelete, Policy
from gateway.ports import Account, AppPassword, Endpoint, Granted, StoredAccount
from gateway.sasl import Credentials

USUAL_MECHANISM = "XOAUTH2"  # all providers that are known take it


@dataclass(frozen=True, slots=True)
class Opening:
    """What is the case for accounts that say nothing."""

    endpoint: Callable[[str], Endpoint]  # reads an account's upstream URL; "": the usual one
    folder: str
    policy: Policy
    master: Credentials | None = None  # logs in at the usual upstream for those without a password there
    mechanism: Callable[[str], str] = lambda _: USUAL_MECHANISM  # for the tokens of a provider
    upstream: Callable[[str], str] = lambda _: ""  # URL of a provider's mail server; "": the usual one

    def account(self, stored: StoredAccount, password: AppPassword | None = None) -> Account:
        """As the password has it, where it was opened with one, or else as the account has it.

        Raises StoredSecretRefused.
        """
        own = password and password.on_delete
        policy = replace(self.policy, on_delete=own or stored.on_delete or self.policy.on_delete)
        device = ""
        if password and password.read_only:
            policy = replace(policy, on_delete=OnDelete.KEEP, retrieved_flag=None)
            device = f"{stored.login.casefold()} {password.name}"
        return Account(
            self.endpoint(stored.upstream or (self.upstream(stored.grant.provider) if stored.grant else "")),
            self._credentials(stored),
            (password and password.folder) or stored.folder or self.folder,
            policy,
            device=device,
            stored_as=stored.login,
            opened_with=(password.label or password.name) if password else "",
        )

    def _credentials(self, stored: StoredAccount) -> Credentials | Granted:
        if stored.grant:
            mechanism = self.mechanism(stored.grant.provider)
            return Granted(stored.user, stored.login, mechanism, stored.grant.since)
        if stored.secret.reveal():
            return Credentials(stored.user, stored.secret)
        if self.master is None or stored.upstream:
            raise StoredSecretRefused(
                f"{stored.login} has no password at its upstream, and there is no master user"
            )
        return replace(self.master, authorization=stored.user)
