"""The idea between POP3 and IMAP, pure: a numbered, frozen, deletable list of messages."""

from gateway.maildrop.ahead import Allowance, ReadAhead, Window
from gateway.maildrop.doubt import UNSTABLE, Caution, Sighting, Verdict, judge
from gateway.maildrop.listing import Listing, Selected
from gateway.maildrop.maildrop import Maildrop
from gateway.maildrop.memory import (
    Correction,
    Intent,
    Mark,
    Memory,
    Recognised,
    Revision,
    intend,
    recognise,
    sight,
)
from gateway.maildrop.plan import CommitPlan, OnDelete, Policy
from gateway.maildrop.snapshot import Snapshot, given_anew, unique_id, unique_ids

__all__ = [
    "UNSTABLE",
    "Allowance",
    "Caution",
    "CommitPlan",
    "Correction",
    "Intent",
    "Listing",
    "Maildrop",
    "Mark",
    "Memory",
    "OnDelete",
    "Policy",
    "ReadAhead",
    "Recognised",
    "Revision",
    "Selected",
    "Sighting",
    "Snapshot",
    "Verdict",
    "Window",
    "given_anew",
    "intend",
    "judge",
    "recognise",
    "sight",
    "unique_id",
    "unique_ids",
]
