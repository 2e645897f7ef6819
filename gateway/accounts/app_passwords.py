"""App passwords: made here, never chosen by people, and kept so that nobody can read them."""

import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Container, Iterable, Sequence

from argon2.low_level import Type, hash_secret

from gateway.ports import AppPassword
from gateway.sasl import HASHES, ITERATIONS, Key, Secret, prepared, scram_keys

# No capitals, which a printer's panel has on another page, and nothing that looks like something else.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
GROUPS, GROUP_LETTERS = 4, 4  # sixteen of 31: 79 bits
_BETWEEN = str.maketrans("", "", "- ")
NAME_LETTERS = 6
SALT_OCTETS = 16
# RFC 9106 section 4's second choice has 64 MiB; what is hashed here no dictionary has, and many log in at once.
HASH_KIB = 19_456
HASH_PASSES = 2
HASH_OCTETS = 32
REMEMBERED = 10_000  # passwords that were found right; each takes some hundred octets


def generate() -> str:
    """A password: `abcd-efgh-jkmn-pqrs`."""
    return "-".join(_letters(GROUP_LETTERS) for _ in range(GROUPS))


def generate_name(taken: Container[str] = ()) -> str:
    """What a password is called when it is revoked."""
    while (name := _letters(NAME_LETTERS)) in taken:
        pass
    return name


def _letters(count: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(count))


def forms(name: str, password: Secret, salt: bytes, *, readable: bool) -> tuple[Key, str]:
    """The key for mechanisms, and the hash for the password itself. Takes a tenth of a second.

    `readable`: the key has the password in it, for APOP and CRAM-MD5.
    """
    said = password.reveal()
    scram = {algorithm: scram_keys(algorithm, said, salt, ITERATIONS) for algorithm in HASHES}
    return Key(name, password if readable else None, scram), _hash(password, salt)


def as_shown(typed: str) -> str:
    """A password that may have been made here, as it was shown: a panel with capitals only, or no hyphen, is no
    reason to lock its owner out. Any other is as it is.
    """
    letters = typed.translate(_BETWEEN).lower()
    if len(letters) != GROUPS * GROUP_LETTERS or not set(letters) <= set(ALPHABET):
        return typed
    return "-".join(letters[at : at + GROUP_LETTERS] for at in range(0, len(letters), GROUP_LETTERS))


class Checker:
    """Compares passwords with their hashes. What was right is remembered as a keyed hash: clients poll often.

    find() blocks: a comparison takes tens of milliseconds, the same for any number of passwords, and for none.
    From any thread.
    """

    def __init__(self) -> None:
        self._pepper = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._guard = threading.Lock()

    def known(self, secret: Secret, passwords: Iterable[AppPassword]) -> AppPassword | None:
        """The one that it was found to be before: that takes no time, and no thread."""
        return next((known for known in passwords if self._knows(self._proof(secret, known))), None)

    def find(self, secret: Secret, salt: bytes, passwords: Sequence[AppPassword]) -> AppPassword | None:
        """The one that it is. All of an account's have its salt."""
        if (known := self.known(secret, passwords)) is not None:
            return known
        hashed = _hash(secret, salt)
        found = [password for password in passwords if hmac.compare_digest(password.hashed, hashed)]
        for password in found:
            self._remember(self._proof(secret, password))
        return found[0] if found else None

    def _proof(self, secret: Secret, password: AppPassword) -> bytes:
        return hmac.digest(self._pepper, f"{password.hashed}\0{secret.reveal()}".encode(), "sha256")

    def _knows(self, proof: bytes) -> bool:
        with self._guard:
            if proof not in self._right:
                return False
            self._right.move_to_end(proof)
            return True

    def _remember(self, proof: bytes) -> None:
        with self._guard:
            self._right[proof] = None
            while len(self._right) > REMEMBERED:
                self._right.popitem(last=False)


def _hash(secret: Secret, salt: bytes) -> str:
    """In argon2's own form, parameters included. RFC 4616 section 2 has SASLprep for PLAIN, too."""
    said = as_shown(prepared(secret.reveal())).encode()
    return hash_secret(said, salt, HASH_PASSES, HASH_KIB, 1, HASH_OCTETS, Type.ID).decode("ascii")
