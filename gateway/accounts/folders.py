"""A folder in the login name: alice/Archive opens the mailbox Archive of alice."""

from dataclasses import dataclass, replace

from gateway.errors import BadCredentials, MisplacedPassword
from gateway.ports import Account, Accounts, Peer
from gateway.sasl import Certified, Claim, Keyring, Needs

INBOX = "INBOX"  # has no case (RFC 3501 section 5.1), and one lock


@dataclass(frozen=True, slots=True)
class FolderNames:
    """How a folder stands in a name: behind the first separator; "": not at all."""

    separator: str = ""

    def split(self, name: str) -> tuple[str, str]:
        """The login name itself, and the folder; "" where the name has none."""
        if not self.separator:
            return name, ""
        login, _, folder = name.partition(self.separator)
        if not (login and folder):
            return name, ""
        return login, INBOX if folder.upper() == INBOX else folder

    def login(self, name: str) -> str:
        return self.split(name)[0]


class WithFolders:
    """Implements ports.Accounts over others, which see no folder in a name, and say one only where they insist."""

    def __init__(self, inner: Accounts, names: FolderNames, usual: str) -> None:
        """`usual` is for names without a folder."""
        self._inner = inner
        self._names = names
        self._usual = usual

    @property
    def offers(self) -> frozenset[Needs]:
        return self._inner.offers

    async def look(self) -> None:
        await self._inner.look()

    async def keyring(self, user: str) -> Keyring:
        return await self._inner.keyring(self._names.login(user))

    async def resolve(self, claim: Claim, peer: Peer) -> Account:
        """Raises BadCredentials also where the account, or its password, is for another folder."""
        plain, wanted = self._plain(claim)
        account = await self._inner.resolve(plain, peer)
        if wanted and account.folder not in ("", wanted):
            why = f"this login is for the folder {account.folder}, not for {wanted}"
            if account.stored_as:
                raise MisplacedPassword(why, text="this login does not open that folder")
            raise BadCredentials(why)  # who has no account here has not shown the right password yet
        return replace(account, folder=wanted or account.folder or self._usual)

    def _plain(self, claim: Claim) -> tuple[Claim, str]:
        """The claim without the folder, and the folder."""
        if isinstance(claim, Certified):
            authorization, folder = self._names.split(claim.authorization)
            return replace(claim, authorization=authorization), folder
        user, folder = self._names.split(claim.user)
        return replace(claim, user=user), folder
