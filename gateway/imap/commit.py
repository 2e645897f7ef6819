"""QUIT's plan, applied upstream by UID."""

import contextlib
from collections.abc import Callable, Sequence

from gateway.errors import GatewayError, UpstreamDeclined, UpstreamError, UpstreamUnreachable, UpstreamUnusable
from gateway.imap.client import Client
from gateway.imap.faults import plain, translated
from gateway.imap.uid_set import uid_sets
from gateway.maildrop import CommitPlan, OnDelete, Policy
from gateway.ports import Account

_DELETED = "\\Deleted"

# RFC 6154's attribute for where a policy moves messages to, and the Policy field that names it otherwise.
_FOLDERS = {OnDelete.TRASH: ("\\Trash", "trash"), OnDelete.ARCHIVE: ("\\Archive", "archive")}


def delete(
    client: Client,
    plan: CommitPlan,
    account: Account,
    seconds: float,
    note_copied: Callable[[Sequence[int]], None],
) -> None:
    """Carry out the deletions as the account's policy says. `seconds` is the time for each command.

    This may be called again after a broken connection, if the plan then tells what was noted as copied: all
    other steps are the same however often they are done.
    """
    action, folder = way(client, account, seconds)
    if folder is not None:
        _move(client, plan, folder, seconds, note_copied)
    elif action is OnDelete.EXPUNGE:
        _remove(client, plan.delete, seconds)
    else:
        _flag(client, plan.delete, _DELETED, seconds)


def way(client: Client, account: Account, seconds: float) -> tuple[OnDelete, str | None]:
    """What the policy comes to at this server, and the folder that messages are moved to, if they are."""
    action = account.policy.on_delete
    if action is OnDelete.AUTO:
        action = _usual_way(client, seconds)
    if action not in _FOLDERS:
        return action, None
    folder = _folder(client, account.policy, action, seconds)
    if _is_same(folder, account.folder):  # what is in the bin already can only leave it for good
        return OnDelete.EXPUNGE, None
    return action, folder


def _is_same(folder: str, other: str) -> bool:
    """INBOX has no case: RFC 3501 section 5.1."""
    return folder == other or folder.upper() == other.upper() == "INBOX"


def mark_retrieved(client: Client, plan: CommitPlan, policy: Policy, seconds: float) -> None:
    """Flag what the client has and kept."""
    if policy.retrieved_flag:
        _flag(client, plan.retrieved, policy.retrieved_flag, seconds)


def _usual_way(client: Client, seconds: float) -> OnDelete:
    """Gmail archives what is expunged, unless its user chose otherwise; deleting there is moving to the bin."""
    client.transport.allow(seconds)
    with translated("asking for capabilities"):
        return OnDelete.TRASH if "X-GM-EXT-1" in client.announced() else OnDelete.EXPUNGE


def _folder(client: Client, policy: Policy, action: OnDelete, seconds: float) -> str:
    attribute, field = _FOLDERS[action]
    if named := getattr(policy, field):
        return str(named)
    client.transport.allow(seconds)
    with translated(f"looking for the {field} folder"):
        found = client.find_special_folder(attribute.encode("ascii"))
    if not found or not str(found).isprintable():
        raise UpstreamUnusable(f"the server names no {attribute} folder that can be used; set maildrop.{field}")
    return str(found)


def _move(
    client: Client, plan: CommitPlan, folder: str, seconds: float, note_copied: Callable[[Sequence[int]], None]
) -> None:
    """MOVE (RFC 6851), or the three commands that it stands for."""
    client.transport.allow(seconds)
    with translated(f"moving to {plain(folder)}"):
        if "MOVE" in client.announced():
            for uid_set in uid_sets(plan.delete):
                client.transport.allow(seconds)
                client.move(uid_set, folder)
            _look(client, plan.delete, seconds)
            return
        if not _expunges_by_uid(client):
            _demand_no_others(client, plan.delete, seconds)  # or the copy would be made, and the message stay
        missing = tuple(uid for uid in plan.delete if uid not in plan.copied)
        for uid_set in uid_sets(missing):
            client.transport.allow(seconds)
            client.copy(uid_set, folder)
    note_copied(missing)
    _remove(client, plan.delete, seconds)


def _flag(client: Client, uids: tuple[int, ...], flag: str, seconds: float) -> None:
    for uid_set in uid_sets(uids):
        client.transport.allow(seconds)
        with translated(f"setting {flag}"):
            client.add_flags(uid_set, [flag.encode("ascii")], silent=True)


def _remove(client: Client, uids: tuple[int, ...], seconds: float) -> None:
    """Flag and expunge. A bare EXPUNGE takes whatever is flagged, by whomever: only where that is just ours.

    What somebody flags between our look and the command goes, too: IMAP without UIDPLUS cannot do better.
    """
    client.transport.allow(seconds)
    with translated("expunging"):
        if _expunges_by_uid(client):
            _flag(client, uids, _DELETED, seconds)
            _expunge(client, uids, seconds)
            return
        flagged = _demand_no_others(client, uids, seconds)
    _flag(client, uids, _DELETED, seconds)
    try:
        with translated("expunging"):
            if _demand_no_others(client, uids, seconds):
                client.transport.allow(seconds)
                client.expunge()
            _look(client, uids, seconds)
    except UpstreamUnreachable:
        raise
    except GatewayError:  # what stays flagged would be in the way of any other deletion
        _unflag(client, tuple(uid for uid in uids if uid not in flagged), seconds)
        raise


def _expunge(client: Client, uids: tuple[int, ...], seconds: float) -> None:
    for uid_set in uid_sets(uids):
        client.transport.allow(seconds)
        client.expunge(uid_set)
    _look(client, uids, seconds)


def _unflag(client: Client, uids: tuple[int, ...], seconds: float) -> None:
    """As far as can be."""
    with contextlib.suppress(GatewayError), translated("taking back"):
        for uid_set in uid_sets(uids):
            client.transport.allow(seconds)
            client.remove_flags(uid_set, [_DELETED.encode("ascii")], silent=True)


def _look(client: Client, uids: tuple[int, ...], seconds: float) -> None:
    """A tagged OK is no proof: without the right to expunge (RFC 4314's e), Dovecot says OK and does nothing."""
    for uid_set in uid_sets(uids):
        client.transport.allow(seconds)
        if client.uids_where(f"UID {uid_set}"):
            raise UpstreamDeclined("the server said OK and did not remove the messages; may this user expunge?")


def _expunges_by_uid(client: Client) -> bool:
    return bool({"UIDPLUS", "IMAP4REV2"} & client.announced())


def _demand_no_others(client: Client, uids: tuple[int, ...], seconds: float) -> set[int]:
    """Which of ours bear \\Deleted already. Raises UpstreamError when others do."""
    client.transport.allow(seconds)
    flagged = client.uids_where("DELETED")
    if not flagged <= set(uids):
        raise UpstreamError(
            "other messages bear \\Deleted and the server has no UIDPLUS: ours stay",
            text="the messages can only be removed by another mail program now: others are flagged as deleted",
        )
    return flagged
