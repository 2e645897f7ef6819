"""What a test may ask of an IMAP server that stands behind the gateway, real or fake.

Every server in this folder, and the fake in ``tests/fakes``, offers this, and passes
``tests/servers/test_contract.py``: a test written against one runs against all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as the IMAP server itself shows it to an independent client."""

    uid: int
    flags: frozenset[str]
    octets: bytes


class Upstream(Protocol):
    """A running IMAP server with mailboxes that a test may fill and look into."""

    host: str  # a name or address that the certificate bears, e.g. "localhost"
    imap_port: int  # plain, with STARTTLS where the server has it
    imaps_port: int | None  # implicit TLS
    ca_file: Path | None  # the authority that signed the certificate, PEM

    def add_user(self, name: str, password: str) -> None:
        """Make an account with an empty INBOX; any UTF-8 name and password that IMAP can carry."""

    def deliver(self, user: str, messages: Sequence[bytes], folder: str = "INBOX") -> list[int]:
        """Put messages into a folder, in order, octet for octet; returns their UIDs."""

    def messages(self, user: str, folder: str = "INBOX") -> list[Stored]:
        """The folder as an independent IMAP client (imaplib) sees it now, by ascending UID."""

    def uid_validity(self, user: str, folder: str = "INBOX") -> int: ...

    def flag(self, user: str, uids: Sequence[int], *flags: str, folder: str = "INBOX") -> None:
        """As another client would: STORE +FLAGS."""

    def expunge(self, user: str, uids: Sequence[int], folder: str = "INBOX") -> None:
        """As another client would: make these messages vanish now."""

    def stop(self) -> None:
        """Stop serving: from now on connections are refused."""
