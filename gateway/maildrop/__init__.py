"""The idea between POP3 and IMAP, pure: a numbered, frozen, deletable list of messages."""

from gateway.maildrop.listing import Listing, Selected
from gateway.maildrop.maildrop import Maildrop
from gateway.maildrop.memory import Caution, Memory, Sighting, doubt
from gateway.maildrop.plan import CommitPlan, OnDelete, Policy
from gateway.maildrop.snapshot import Snapshot, unique_id

__all__ = [
    "Caution",
    "CommitPlan",
    "Listing",
    "Maildrop",
    "Memory",
    "OnDelete",
    "Policy",
    "Selected",
    "Sighting",
    "Snapshot",
    "doubt",
    "unique_id",
]
