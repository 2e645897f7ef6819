"""From a login name to who it is, which upstream, and which secret."""

from gateway.accounts.app_passwords import Checker
from gateway.accounts.doorkeeper import Doorkeeper, Welcome
from gateway.accounts.folders import FolderNames, WithFolders
from gateway.accounts.nobody import Nobody
from gateway.accounts.opening import USUAL_MECHANISM, Opening
from gateway.accounts.pass_through import PassThrough
from gateway.accounts.stored import StoredAccounts

__all__ = [
    "USUAL_MECHANISM",
    "Checker",
    "Doorkeeper",
    "FolderNames",
    "Nobody",
    "Opening",
    "PassThrough",
    "StoredAccounts",
    "Welcome",
    "WithFolders",
]
