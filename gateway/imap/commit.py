"""QUIT's plan, applied upstream by UID."""

from gateway.errors import UpstreamDeclined, UpstreamError, UpstreamUnusable
from gateway.imap.client import Client
from gateway.imap.faults import translated
from gateway.imap.uid_set import uid_sets
from gateway.maildrop import CommitPlan, OnDelete, Policy

_DELETED = "\\Deleted"

# RFC 6154's attribute for where a policy moves messages to, and the Policy field that names it otherwise.
_FOLDERS = {OnDelete.TRASH: ("\\Trash", "trash"), OnDelete.ARCHIVE: ("\\Archive", "archive")}


def delete(client: Client, plan: CommitPlan, policy: Policy, seconds: float, copied: set[int]) -> None:
    """Carry out the deletions as the policy says. `seconds` is the time for each command.

    `copied` are UIDs that need no copy any more; it grows. With it, this may be called again after a broken
    connection: all other steps are the same however often they are done.
    """
    action, folder = way(client, policy, seconds)
    if folder is not None:
        _move(client, plan.delete, folder, seconds, copied)
        return
    _flag(client, plan.delete, _DELETED, seconds)
    if action is OnDelete.EXPUNGE:
        _expunge(client, plan.delete, seconds)


def way(client: Client, policy: Policy, seconds: float) -> tuple[OnDelete, str | None]:
    """What the policy comes to at this server, and the folder that messages are moved to, if they are."""
    action = policy.on_delete
    if action is OnDelete.AUTO:
        action = _usual_way(client, seconds)
    return action, _folder(client, policy, action, seconds) if action in _FOLDERS else None


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
    if not found:
        raise UpstreamUnusable(f"the server names no {attribute} folder; set maildrop.{field}")
    return str(found)


def _move(client: Client, uids: tuple[int, ...], folder: str, seconds: float, copied: set[int]) -> None:
    """MOVE (RFC 6851), or the three commands that it stands for."""
    client.transport.allow(seconds)
    with translated(f"moving to {folder}"):
        if "MOVE" in client.announced():
            for uid_set in uid_sets(uids):
                client.transport.allow(seconds)
                client.move(uid_set, folder)
            return
        for uid_set in uid_sets(uid for uid in uids if uid not in copied):
            client.transport.allow(seconds)
            client.copy(uid_set, folder)
        copied.update(uids)
    _flag(client, uids, _DELETED, seconds)
    _expunge(client, uids, seconds)


def _flag(client: Client, uids: tuple[int, ...], flag: str, seconds: float) -> None:
    for uid_set in uid_sets(uids):
        client.transport.allow(seconds)
        with translated(f"setting {flag}"):
            client.add_flags(uid_set, [flag.encode("ascii")], silent=True)


def _expunge(client: Client, uids: tuple[int, ...], seconds: float) -> None:
    client.transport.allow(seconds)
    with translated("expunging"):
        if {"UIDPLUS", "IMAP4REV2"} & client.announced():
            for uid_set in uid_sets(uids):
                client.transport.allow(seconds)
                client.expunge(uid_set)
        else:
            _expunge_all(client, uids)
        _look(client, uids, seconds)


def _look(client: Client, uids: tuple[int, ...], seconds: float) -> None:
    """A tagged OK is no proof: without the right to expunge (RFC 4314's e), Dovecot says OK and does nothing."""
    for uid_set in uid_sets(uids):
        client.transport.allow(seconds)
        if client.uids_where(f"UID {uid_set}"):
            raise UpstreamDeclined("the server accepted EXPUNGE and removed nothing; may this user expunge?")


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
