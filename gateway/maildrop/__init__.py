"""The idea between POP3 and IMAP, pure: a numbered, frozen, deletable list of messages."""

from gateway.maildrop.maildrop import Maildrop
from gateway.maildrop.plan import CommitPlan, OnDelete, OnRetrieve, Policy
from gateway.maildrop.snapshot import Snapshot, unique_id

__all__ = ["CommitPlan", "Maildrop", "OnDelete", "OnRetrieve", "Policy", "Snapshot", "unique_id"]
