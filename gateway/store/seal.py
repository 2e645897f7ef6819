"""Texts that a browser keeps for us, sealed with the vault's keys: whichever worker or machine gets them back can
read them, after a restart, too.
"""

from cryptography.fernet import InvalidToken

from gateway.store.vault import StoredVault

SEALED_LETTERS = 4096  # a browser keeps no longer cookie


class VaultSeal:
    """Implements ports.Seal."""

    def __init__(self, vault: StoredVault) -> None:
        self._vault = vault

    def seal(self, purpose: str, text: str) -> str:
        return self._vault.keys().encrypt(f"{_head(purpose)}{text}")

    def unseal(self, purpose: str, sealed: str, seconds: float) -> str | None:
        """Keys are read anew where these do not fit: `vault rotate` may have run beside us."""
        if not sealed.isascii() or len(sealed) > SEALED_LETTERS:
            return None
        for anew in (False, True):
            try:
                text = self._vault.keys(anew=anew).decrypt_fresh(sealed, seconds)
            except InvalidToken:
                continue
            head = _head(purpose)
            return text.removeprefix(head) if text.startswith(head) else None
        return None


def _head(purpose: str) -> str:
    """No secret in the vault begins so: neither is ever taken for the other."""
    return f"\0{purpose}\0"
