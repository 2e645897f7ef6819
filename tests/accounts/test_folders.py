"""A folder in the login name, and who may say one."""

from dataclasses import replace

import pytest

from gateway.accounts import FolderNames, WithFolders
from gateway.errors import BadCredentials
from gateway.maildrop import Policy
from gateway.ports import Account, Endpoint, Peer, TlsMode
from gateway.sasl import Bearer, Certified, Claim, Credentials, Keyring, Needs, Proof, Secret

ENDPOINT = Endpoint("imap.example.com", 993, TlsMode.IMPLICIT)
CLIENT = Peer("192.0.2.1")
SECRET = Secret("secret")


class Known:
    """Implements ports.Accounts: everybody is known, and some are for one folder."""

    offers = frozenset({Needs.PASSWORD})

    def __init__(self, folder: str = "", stored_as: str = "alice") -> None:
        self.asked: list[object] = []
        self._folder = folder
        self._stored_as = stored_as

    async def look(self) -> None:
        pass

    async def keyring(self, user: str) -> Keyring:
        self.asked.append(user)
        return Keyring(b"", 1)

    async def resolve(self, claim: Claim, peer: Peer) -> Account:
        self.asked.append(claim)
        return Account(ENDPOINT, Credentials("there", SECRET), self._folder, Policy(), stored_as=self._stored_as)


def with_folders(known: Known, separator: str = "/") -> WithFolders:
    return WithFolders(known, FolderNames(separator), "INBOX")


@pytest.mark.parametrize(
    ("name", "login", "folder"),
    [
        ("alice", "alice", ""),
        ("alice/Archive", "alice", "Archive"),
        ("alice/Archive/2024", "alice", "Archive/2024"),
        ("alice@example.org/Entwürfe", "alice@example.org", "Entwürfe"),
        ("alice/inbox", "alice", "INBOX"),
        ("alice/Inbox/2024", "alice", "Inbox/2024"),
        ("alice/", "alice/", ""),
        ("/Archive", "/Archive", ""),
        ("/", "/", ""),
    ],
)
def test_the_first_separator_counts(name: str, login: str, folder: str) -> None:
    assert FolderNames("/").split(name) == (login, folder)
    assert FolderNames().split(name) == (name, "")
    assert FolderNames("::").split(name.replace("/", "::", 1))[1] == folder


@pytest.mark.parametrize(
    "claim",
    [
        Credentials("alice", SECRET),
        Proof("alice", "key"),
        Bearer("alice", SECRET, "XOAUTH2"),
    ],
)
async def test_whatever_the_mechanism_the_account_sees_no_folder(claim: Credentials | Proof | Bearer) -> None:
    known = Known()
    account = await with_folders(known).resolve(replace(claim, user="alice/Archive"), CLIENT)
    assert known.asked == [claim]
    assert account.folder == "Archive"


async def test_a_certificate_opens_a_folder_by_what_the_client_asks_to_be() -> None:
    known = Known()
    account = await with_folders(known).resolve(Certified(("alice",), "alice/Archive"), CLIENT)
    assert known.asked == [Certified(("alice",), "alice")]
    assert account.folder == "Archive"


async def test_keys_are_asked_for_without_the_folder() -> None:
    known = Known()
    await with_folders(known).keyring("alice/Archive")
    assert known.asked == ["alice"]


@pytest.mark.parametrize(
    ("own", "name", "opened"),
    [
        ("", "alice", "INBOX"),
        ("", "alice/INBOX", "INBOX"),
        ("Scans", "alice", "Scans"),
        ("Scans", "alice/Scans", "Scans"),
        ("INBOX", "alice/Archive", None),
        ("Scans", "alice/INBOX", None),
        ("Scans", "alice/scans", None),
    ],
)
async def test_who_is_for_one_folder_opens_no_other(own: str, name: str, opened: str | None) -> None:
    accounts = with_folders(Known(own))
    if opened is None:
        with pytest.raises(BadCredentials, match=f"this login is for the folder {own}") as refused:
            await accounts.resolve(Credentials(name, SECRET), CLIENT)
        assert refused.value.reply == "this login does not open that folder"
    else:
        assert (await accounts.resolve(Credentials(name, SECRET), CLIENT)).folder == opened


async def test_nobody_is_told_who_has_not_shown_the_right_password() -> None:
    """The upstream, which is to judge it, has not seen it yet."""
    with pytest.raises(BadCredentials) as refused:
        await with_folders(Known("Scans", stored_as="")).resolve(Credentials("fax/INBOX", SECRET), CLIENT)
    assert refused.value.reply == BadCredentials.text
