"""QUIT's plan, applied upstream by UID. Every step may be repeated: the outcome is the same."""

from gateway.errors import UpstreamError
from gateway.imap.client import Client
from gateway.imap.faults import translated
from gateway.imap.uid_set import uid_sets
from gateway.maildrop import CommitPlan, OnDelete, OnRetrieve, Policy

_DELETED = b"\\Deleted"
_SEEN = b"\\Seen"


def delete(client: Client, plan: CommitPlan, policy: Policy, seconds: float) -> None:
    """Flag, and expunge just these (RFC 4315 section 2.1). `seconds` is the time for each command."""
    _flag(client, plan.delete, _DELETED, seconds)
    if plan.delete and policy.on_delete is OnDelete.EXPUNGE:
        _expunge(client, plan.delete, seconds)


def mark_retrieved(client: Client, plan: CommitPlan, policy: Policy, seconds: float) -> None:
    """Set \\Seen on what the client has and kept."""
    if policy.on_retrieve is OnRetrieve.SEEN:
        _flag(client, plan.retrieved, _SEEN, seconds)


def _flag(client: Client, uids: tuple[int, ...], flag: bytes, seconds: float) -> None:
    for uid_set in uid_sets(uids):
        client.transport.allow(seconds)
        with translated(f"setting {flag.decode()}"):
            client.add_flags(uid_set, [flag], silent=True)


def _expunge(client: Client, uids: tuple[int, ...], seconds: float) -> None:
    client.transport.allow(seconds)
    with translated("expunging"):
        if {"UIDPLUS", "IMAP4REV2"} & client.announced():
            for uid_set in uid_sets(uids):
                client.transport.allow(seconds)
                client.expunge(uid_set)
            return
        _expunge_all(client, uids)


def _expunge_all(client: Client, uids: tuple[int, ...]) -> None:
    """A bare EXPUNGE takes whatever is flagged, by whomever: it is for when that is nothing but ours."""
    flagged = client.uids_where("DELETED")
    if not flagged <= set(uids):
        raise UpstreamError(
            "other messages bear \\Deleted and the server has no UIDPLUS: ours stay flagged",
            text="the messages are flagged as deleted, but only the mail server's own clients can remove them",
        )
    if flagged:
        client.expunge()
    elif any(client.uids_where(f"UID {uid_set}") for uid_set in uid_sets(uids)):
        raise UpstreamError("the server accepted the flag \\Deleted and does not show it")
