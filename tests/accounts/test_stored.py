"""Who gets in with which password, and to which mailbox."""

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.accounts import Checker, Nobody, Opening, PassThrough, StoredAccounts
from gateway.accounts.made import Terms, new_account, new_password
from gateway.errors import BadCredentials, StateError
from gateway.maildrop import OnDelete, Policy
from gateway.ports import Account, Accounts, Endpoint, Grant, Granted, Peer, Renewal, TlsMode
from gateway.sasl import Bearer, Certified, Claim, Credentials, Needs, Proof, Secret
from gateway.store import Keys, open_state
from gateway.threads import Threads

KEY = "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA="
USUAL = Endpoint("usual", 993, TlsMode.IMPLICIT)
OTHER = Endpoint("other", 993, TlsMode.IMPLICIT)
POLICY = Policy(OnDelete.EXPUNGE)
NOW = 1_700_000_000.0
PRINTER = Peer("10.1.2.3")


class Site:
    """A vault, and what it opens."""

    def __init__(self, folder: Path) -> None:
        self.state = open_state(folder)
        self.vault = self.state.vault(lambda _: Keys([KEY], "the test"))
        self.threads, self.hashes = Threads(2), Threads(1)
        self.checker = Checker()

    def accounts(self, others: Accounts | None = None) -> StoredAccounts:
        others = others or PassThrough(USUAL, "INBOX", POLICY)
        endpoints = {"": USUAL, "imaps://other": OTHER}
        mechanisms = {"microsoft365": "XOAUTH2", "fastmail": "OAUTHBEARER"}
        opening = Opening(endpoints.__getitem__, "INBOX", POLICY, mechanism=mechanisms.__getitem__)
        return StoredAccounts(self.vault, opening, others, self.checker, self.threads, self.hashes)

    def nobody(self, *, readable: bool = False) -> Nobody:
        return Nobody(self.checker, self.hashes, readable=readable)

    def add(self, login: str = "ann", terms: Terms = Terms(), *, readable: bool = False, **more: str) -> str:  # noqa: B008 - frozen
        """An account with one password, of which this is the name; the password is `right`."""
        account = new_account(login, Secret("upstream"), NOW, **more)  # type: ignore[arg-type]
        password, _ = new_password(account, terms, NOW, readable=readable, given=Secret("right"))
        self.vault.add(replace(account, passwords=(password,)))
        return password.name

    async def log_in(self, claim: Claim | str, peer: Peer = PRINTER, others: Accounts | None = None) -> Account:
        if isinstance(claim, str):
            claim = Credentials("ann", Secret(claim))
        return await self.accounts(others).resolve(claim, peer)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.state.close()
    made.threads.stop()
    made.hashes.stop()


async def test_the_devices_password_opens_the_mailbox_with_the_mailboxs_own(site: Site) -> None:
    site.add(user="ann@there", upstream="imaps://other", folder="Archive")
    account = await site.log_in("right")
    assert (account.endpoint, account.folder) == (OTHER, "Archive")
    assert account.credentials == Credentials("ann@there", Secret("upstream"))
    assert account.policy == POLICY


async def test_who_polls_as_ever_waits_behind_no_strangers_guess(site: Site) -> None:
    """However many there are, and whatever names they try."""
    site.add()
    await site.log_in("right")
    may_end = threading.Event()
    guess = site.hashes.submit(may_end.wait)
    try:
        for _ in range(3):
            assert (await site.log_in("right")).stored_as == "ann"
        assert not guess.done()
    finally:
        may_end.set()


@pytest.mark.parametrize("name", ["ann", "Ann", "ANN"])
async def test_names_are_compared_without_regard_to_case(site: Site, name: str) -> None:
    site.add("Ann")
    assert (await site.log_in(Credentials(name, Secret("right")))).credentials.user == "Ann"


async def test_no_other_password_does_not_even_the_mailboxs_own(site: Site) -> None:
    site.add()
    for wrong in ("wrong", "upstream", "", "right "):
        with pytest.raises(BadCredentials):
            await site.log_in(wrong)


@pytest.mark.parametrize(("provider", "mechanism"), [("microsoft365", "XOAUTH2"), ("fastmail", "OAUTHBEARER")])
async def test_a_mailbox_that_a_provider_grants_is_opened_with_the_grant(
    site: Site, provider: str, mechanism: str
) -> None:
    """Also where a password is kept, for Renewal.PASSWORD: it is the provider's to see, and nobody else's."""
    site.add("Ann", user="ann@there", upstream="imaps://other")
    site.vault.set_grant("ann", Grant(provider, Renewal.REFRESH, since=NOW, refresh=Secret("r")))
    account = await site.log_in("right")
    assert account.credentials == Granted("ann@there", "Ann", mechanism, NOW)
    assert (account.endpoint, account.user, account.stored_as) == (OTHER, "ann@there", "Ann")


async def test_a_granted_account_takes_app_passwords_and_no_token(site: Site) -> None:
    site.add()
    site.vault.set_grant("ann", Grant("microsoft365", Renewal.REFRESH, since=NOW, access=Secret("token")))
    for claim in (Bearer("ann", Secret("token"), "XOAUTH2"), Credentials("ann", Secret("token"))):
        with pytest.raises(BadCredentials):
            await site.log_in(claim)


async def test_a_name_without_an_account_goes_to_the_upstream_or_nowhere(site: Site) -> None:
    stranger = Credentials("bob", Secret("his own"))
    for _ in range(2):  # with no account at all, and with another one
        assert (await site.log_in(stranger)).credentials is stranger
        with pytest.raises(BadCredentials):
            await site.log_in(stranger, others=site.nobody())
        if site.vault.is_unused:
            site.add()


async def test_where_there_is_no_account_nothing_is_made(site: Site, tmp_path: Path) -> None:
    await site.log_in(Credentials("bob", Secret("his own")))
    assert os.listdir(tmp_path) == []


async def test_a_proof_opens_what_the_password_opens(site: Site) -> None:
    name = site.add(terms=Terms(folder="Scans"))
    assert (await site.log_in(Proof("ann", name))).folder == "Scans"
    with pytest.raises(BadCredentials):
        await site.log_in(Proof("ann", "another"))


@pytest.mark.parametrize(
    "claim",
    [
        Bearer("ann", Secret("token"), "XOAUTH2"),
        Credentials("ann", Secret("right"), "bob"),
    ],
)
async def test_what_an_app_password_does_not_give_is_refused(site: Site, claim: Claim) -> None:
    site.add()
    with pytest.raises(BadCredentials):
        await site.log_in(claim)


@pytest.mark.parametrize(
    "claim",
    [
        Certified(("ann",)),
        Certified(("ANN",)),
        Certified(("printer", "ann")),
        Certified(("bob", "ann"), "ann"),
        Certified(("bob", "ann"), "Ann"),
    ],
)
async def test_a_certificate_opens_the_account_of_its_name_as_the_account_has_it(
    site: Site, claim: Certified
) -> None:
    site.add("ann", terms=Terms(read_only=True, folder="Scans"), folder="Archive")
    if "bob" in claim.names:
        site.add("bob")
    account = await site.log_in(claim)
    assert (account.credentials, account.folder) == (Credentials("ann", Secret("upstream")), "Archive")
    assert (account.policy, account.device) == (POLICY, "")


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        (Certified(("bob",)), "the certificate opens no account here"),
        (Certified(("bob",), "ann"), "the certificate is not for this name"),
        (Certified(("bob", "ann"), "bob"), "the certificate opens no account here"),
        (Certified(("bob", "ann"), "an"), "the certificate is not for this name"),
    ],
)
async def test_a_certificate_opens_no_other_account_and_nobodys_upstream(
    site: Site, claim: Certified, said: str
) -> None:
    site.add("ann")
    with pytest.raises(BadCredentials) as refused:
        await site.log_in(claim)
    assert refused.value.reply == said


async def test_a_read_only_password_keeps_all_and_remembers_for_itself(site: Site) -> None:
    site.add(terms=Terms(read_only=True))
    account = await site.log_in("right")
    assert account.policy == replace(POLICY, on_delete=OnDelete.KEEP, retrieved_flag=None)
    plain = Account(account.endpoint, account.credentials, account.folder, POLICY)
    assert account.maildrop_key == plain.maildrop_key
    assert account.memory_key != plain.memory_key


async def test_its_own_policy_goes_before_the_accounts(site: Site) -> None:
    site.add(terms=Terms(on_delete=OnDelete.TRASH))
    assert (await site.log_in("right")).policy.on_delete is OnDelete.TRASH


@pytest.mark.parametrize(
    ("networks", "address", "admitted"),
    [
        (("10.0.0.0/8",), "10.255.0.1", True),
        (("10.0.0.0/8",), "::ffff:10.0.0.1", True),
        (("10.0.0.0/8",), "11.0.0.1", False),
        (("10.0.0.0/8",), "2001:db8::1", False),
        (("10.0.0.0/8", "2001:db8::/48"), "2001:db8::1", True),
        (("fe80::/10",), "fe80::1%eth0", True),
    ],
)
async def test_a_password_may_be_for_some_networks(
    site: Site, networks: tuple[str, ...], address: str, admitted: bool
) -> None:
    name = site.add(terms=Terms(networks=networks))
    for claim in (Credentials("ann", Secret("right")), Proof("ann", name)):
        if admitted:
            await site.log_in(claim, Peer(address))
        else:
            with pytest.raises(BadCredentials) as refused:
                await site.log_in(claim, Peer(address))
            assert "not for this network" in refused.value.reply


async def test_an_expired_password_opens_nothing(site: Site) -> None:
    site.add(terms=Terms(expires=NOW + 1))
    with pytest.raises(BadCredentials) as refused:
        await site.log_in("right")
    assert "expired" in refused.value.reply
    with pytest.raises(BadCredentials) as guessed:
        await site.log_in("wrong")
    assert "expired" not in guessed.value.reply  # a stranger learns nothing


async def test_the_last_login_is_noted_and_not_at_every_poll(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add()
    noted: list[float] = []
    real = site.vault.note_used

    def note_used(login: str, name: str, when: float) -> None:
        noted.append(when)
        real(login, name, when)

    monkeypatch.setattr(site.vault, "note_used", note_used)
    for _ in range(3):
        await site.log_in("right")
    assert len(noted) == 1
    found = site.vault.find("ann")
    assert found
    assert found.passwords[0].used == noted[0]


async def test_a_name_that_does_not_exist_has_a_salt_of_its_own_too(site: Site) -> None:
    site.add()
    accounts = site.accounts(site.nobody())
    known, unknown = await accounts.keyring("ann"), await accounts.keyring("bob")
    assert unknown == await accounts.keyring("BOB")
    assert (len(known.salt), known.iterations) == (len(unknown.salt), unknown.iterations)
    assert unknown.salt != (await accounts.keyring("eve")).salt
    assert unknown.keys == ()


async def test_what_is_offered(site: Site) -> None:
    """Only what works for every name, or shows before any name is said whether it does."""
    usual = {Needs.PASSWORD, Needs.CERTIFICATE}
    assert site.accounts().offers == usual
    assert site.accounts(site.nobody()).offers == usual | {Needs.SCRAM}
    readable = site.accounts(site.nobody(readable=True))
    for secret, offered in (
        (lambda: None, set()),  # there is no account
        (lambda: site.add("old"), set()),  # it was made before passwords were kept
        (lambda: site.add("new", readable=True), {Needs.SECRET}),
        (lambda: site.vault.remove("new"), set()),
    ):
        secret()
        await readable.look()
        assert readable.offers == usual | {Needs.SCRAM} | offered


async def test_a_vault_that_cannot_be_read_is_no_wrong_password(site: Site, tmp_path: Path) -> None:
    (tmp_path / "accounts.sqlite3").write_bytes(b"x" * 4096)
    with pytest.raises(StateError):
        await site.log_in("right")
