"""The verbs of IMAP that are about folders and messages."""

import re
from collections.abc import Callable

from tests.fakes.imap_items import fetch_items, flag_list
from tests.fakes.imap_session import Session, State, Verbs
from tests.fakes.imap_store import SYSTEM_FLAGS, Message, View, canonical, mailbox_name
from tests.fakes.imap_wire import BadCommand, Refused, Reply, Row, Scanner, SequenceSet, Value, compact, quoted

_IN = (State.LOGGED_IN, State.SELECTED)

VERBS = Verbs()

# Folders


def _folder_name(args: Scanner) -> str:
    name = args.astring().decode("latin-1")
    return "INBOX" if name.upper() == "INBOX" else name


@VERBS.add("SELECT", "EXAMINE", states=_IN)
def _select(session: Session, args: Scanner, reply: Reply) -> None:
    name = _folder_name(args)
    args.end()
    session.view = None
    folder = session.folder(name)
    read_only = session.command.verb == "EXAMINE"
    session.view = view = View(folder, read_only=read_only)
    used = {flag for message in folder.messages for flag in message.flags}
    flags = " ".join([*SYSTEM_FLAGS, *sorted(used - set(SYSTEM_FLAGS))])
    reply.say(f"* FLAGS ({flags})")
    reply.say(f"* {len(view.known)} EXISTS")
    reply.say(f"* {view.recent} RECENT")
    reply.say(f"* OK [UIDVALIDITY {folder.uid_validity}] UIDs valid")
    reply.say(f"* OK [UIDNEXT {folder.uid_next}] predicted next UID")
    reply.say(f"* OK [PERMANENTFLAGS ({'' if read_only else flags + ' ' + chr(92) + '*'})] flags permitted")
    mode = "READ-ONLY" if read_only else "READ-WRITE"
    reply.tagged = f"OK [{mode}] {session.command.verb} completed".encode()


@VERBS.add("CLOSE", states=(State.SELECTED,))
def _close(session: Session, args: Scanner, reply: Reply) -> None:
    args.end()
    view = session.selected()
    if not view.read_only:
        view.folder.remove([m for m in view.folder.messages if "\\Deleted" in m.flags])
    session.view = None


@VERBS.add("UNSELECT", states=(State.SELECTED,), needs="UNSELECT")
def _unselect(session: Session, args: Scanner, reply: Reply) -> None:
    args.end()
    session.view = None


@VERBS.add("LIST", states=_IN)
def _list(session: Session, args: Scanner, reply: Reply) -> None:
    reference, pattern = args.astring().decode("latin-1"), args.pattern().decode("latin-1")
    args.end()
    if not pattern:
        reply.say('* LIST (\\Noselect) "/" ""')
        return
    parts = re.split(r"([*%])", reference + pattern)
    glob = "".join({"*": ".*", "%": "[^/]*"}.get(part, re.escape(part)) for part in parts)
    use = {mailbox_name(name): attribute for name, attribute in session.site.settings.special_use.items()}
    for name in session.folders():
        if re.fullmatch(glob, name, re.IGNORECASE if name == "INBOX" else 0):
            attributes = f"\\HasNoChildren {use.get(name, '')}".rstrip()
            reply.say(f'* LIST ({attributes}) "/" {quoted(name)}')


@VERBS.add("CREATE", states=_IN)
def _create(session: Session, args: Scanner, reply: Reply) -> None:
    name = _folder_name(args)
    args.end()
    if name in session.folders():
        raise Refused("[ALREADYEXISTS] there is one")
    session.folders()[name] = session.site.new_folder()


@VERBS.add("STATUS", states=_IN)
def _status(session: Session, args: Scanner, reply: Reply) -> None:
    name = _folder_name(args)
    folder = session.folder(name)
    values = {
        "MESSAGES": len(folder.messages),
        "RECENT": sum(message.recent for message in folder.messages),
        "UIDNEXT": folder.uid_next,
        "UIDVALIDITY": folder.uid_validity,
        "UNSEEN": sum("\\Seen" not in message.flags for message in folder.messages),
    }
    wanted = args.rest().decode("latin-1").strip("()").upper().split()
    if not wanted or not set(wanted) <= set(values):
        raise BadCommand("unknown status item")
    reply.say(f"* STATUS {quoted(name)} ({' '.join(f'{item} {values[item]}' for item in wanted)})")


# Messages


@VERBS.add("FETCH", "UID FETCH", states=(State.SELECTED,))
def _fetch(session: Session, args: Scanner, reply: Reply) -> None:
    picked, items = session.picked(args.word()), fetch_items(args.rest())
    view, by_uid = session.selected(), session.command.verb.startswith("UID ")
    sees = not view.read_only and any(item.marks_seen for item in items)
    for seq, known in picked:
        message = known.message
        found: dict[str, Value] = {"UID": b"%d" % message.uid} if by_uid else {}
        if sees and "\\Seen" not in message.flags:
            view.folder.set_flags(message, message.flags | {"\\Seen"})
            known.flags = frozenset(message.flags)
            found["FLAGS"] = known.flag_list()
        found.update({item.name: item.value(known) for item in items})
        reply.lines.append(Row(seq, message.uid, found))


@VERBS.add("STORE", "UID STORE", states=(State.SELECTED,))
def _store(session: Session, args: Scanner, reply: Reply) -> None:
    view, picked = session.writable(), session.picked(args.word())
    how = re.fullmatch(r"([+-]?)FLAGS(\.SILENT)?", args.word(), re.IGNORECASE)
    if how is None:
        raise BadCommand("STORE knows FLAGS only")
    given = {canonical(flag) for flag in flag_list(args.rest())}
    for seq, known in picked:
        message = known.message
        change = {"+": message.flags | given, "-": message.flags - given, "": given}
        view.folder.set_flags(message, change[how[1]])
        known.flags = frozenset(message.flags)
        if not how[2]:
            uid = {"UID": b"%d" % message.uid} if session.command.verb.startswith("UID ") else {}
            reply.lines.append(Row(seq, message.uid, {**uid, "FLAGS": known.flag_list()}))


@VERBS.add("EXPUNGE", states=(State.SELECTED,))
def _expunge(session: Session, args: Scanner, reply: Reply) -> None:
    args.end()
    folder = session.writable().folder
    folder.remove([message for message in folder.messages if "\\Deleted" in message.flags])


@VERBS.add("UID EXPUNGE", states=(State.SELECTED,), needs="UIDPLUS")
def _uid_expunge(session: Session, args: Scanner, reply: Reply) -> None:
    view, picked = session.writable(), session.picked(args.word())
    args.end()
    view.folder.remove([known.message for _, known in picked if "\\Deleted" in known.message.flags])


@VERBS.add("COPY", "UID COPY", states=(State.SELECTED,))
def _copy(session: Session, args: Scanner, reply: Reply) -> None:
    _, code = _copies(session, args)
    reply.tagged = f"OK {code}{session.command.verb} completed".encode()


@VERBS.add("MOVE", "UID MOVE", states=(State.SELECTED,), needs="MOVE")
def _move(session: Session, args: Scanner, reply: Reply) -> None:
    view = session.writable()
    moved, code = _copies(session, args)
    if code:
        reply.say(f"* OK {code}moved")
    view.folder.remove(moved)


def _copies(session: Session, args: Scanner) -> tuple[list[Message], str]:
    messages = [known.message for _, known in session.picked(args.word())]
    folder = session.folder(_folder_name(args), "[TRYCREATE]")
    args.end()
    copies = [folder.add(m.octets, m).uid for m in messages]
    if not copies or not session.has("UIDPLUS"):
        return messages, ""
    old = compact([message.uid for message in messages])
    return messages, f"[COPYUID {folder.uid_validity} {old} {compact(copies)}] "


@VERBS.add("SEARCH", "UID SEARCH", states=(State.SELECTED,))
def _search(session: Session, args: Scanner, reply: Reply) -> None:
    view = session.selected()
    found = {i + 1: known.message for i, known in enumerate(view.known) if not known.message.expunged}
    compactly = session.has("ESEARCH") and args.skip(b"RETURN (ALL) ")
    if not args.more():
        raise BadCommand("search for what?")
    while args.more():
        wanted = _search_key(session, args.word().upper(), args)
        found = {seq: message for seq, message in found.items() if wanted(seq, message)}
    by_uid = session.command.verb.startswith("UID ")
    numbers = [message.uid if by_uid else seq for seq, message in found.items()]
    if compactly:
        all_of_them = f" ALL {compact(numbers)}" if numbers else ""
        reply.say(f'* ESEARCH (TAG "{session.command.tag}"){" UID" * by_uid}{all_of_them}')
        return
    reply.say(" ".join(["* SEARCH", *map(str, numbers)]))


def _search_key(session: Session, key: str, args: Scanner) -> Callable[[int, Message], bool]:
    flags = {flag[1:].upper(): flag for flag in SYSTEM_FLAGS}
    uids = session.selected().uids
    if key == "ALL":
        return lambda seq, message: True
    if key == "NOT":
        inner = _search_key(session, args.word().upper(), args)
        return lambda seq, message: not inner(seq, message)
    if key in flags:
        return lambda seq, message: flags[key] in message.flags
    if key.startswith("UN") and key[2:] in flags:
        return lambda seq, message: flags[key[2:]] not in message.flags
    if key in ("KEYWORD", "UNKEYWORD"):
        word = args.word()
        return lambda seq, message: (word in message.flags) == (key == "KEYWORD")
    numbers = SequenceSet(args.word() if key == "UID" else key)
    if key == "UID":
        return lambda seq, message: numbers.covers(message.uid, uids[-1])
    return lambda seq, message: numbers.covers(seq, len(uids))
