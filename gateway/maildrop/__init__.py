"""The idea between POP3 and IMAP, pure: a numbered, frozen, deletable list of messages."""

from gateway.maildrop.ahead import Allowance, ReadAhead
from gateway.maildrop.doubt import UNSTABLE, Caution, Sighting, Verdict, judge
from gateway.maildrop.listing import Listing, Selected
from gateway.maildrop.maildrop import Maildrop
from gateway.maildrop.memory import Correction, Intent, Mark, Memory, Recognised, intend, recognise
from gateway.maildrop.plan import CommitPlan, OnDelete, Policy
from gateway.maildrop.snapshot import Snapshot, unique_id

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
    "Selected",
    "Sighting",
    "Snapshot",
    "Verdict",
    "intend",
    "judge",
    "recognise",
    "unique_id",
]
