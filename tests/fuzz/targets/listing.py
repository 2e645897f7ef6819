"""A server's answers to SELECT and to the FETCH of UIDs and sizes: a snapshot, or an error."""

import re
from random import Random

from gateway.errors import GatewayError
from gateway.imap.client import Client
from gateway.imap.listing import take_snapshot
from gateway.imap.login import log_in
from gateway.maildrop import Snapshot
from gateway.ports import Endpoint, TlsMode
from gateway.sasl import Credentials, Secret
from tests.fuzz.bugs import demand
from tests.fuzz.far_end import SECONDS, FarEnd
from tests.fuzz.targets.endings import ending

# Up to here nothing is fuzzed: `mailbox` does that.
LOGIN = b"* OK [CAPABILITY IMAP4rev1 UIDPLUS] ready\r\n@0 OK [CAPABILITY IMAP4rev1 UIDPLUS] in\r\n"
TOKENS = (
    *(b"* 2 EXISTS\r\n", b"* 0 RECENT\r\n", b"* OK [UIDVALIDITY 9] valid\r\n", b"* OK [UIDNEXT 9] next\r\n"),
    *(b"* FLAGS (\\Seen \\Deleted)\r\n", b"* OK [PERMANENTFLAGS (\\Deleted \\*)] ok\r\n", b"* 1 EXPUNGE\r\n"),
    *(b"@1 OK [READ-WRITE] done\r\n", b"@1 OK [READ-ONLY] done\r\n", b"@2 OK done\r\n", b"@1 NO [LIMIT] no\r\n"),
    *(b"* 1 FETCH (UID 7 RFC822.SIZE 5)\r\n", b"* 2 FETCH (RFC822.SIZE 6 UID 8)\r\n", b"* VANISHED 1:9\r\n"),
    *(b"* 1 FETCH (UID 7 FLAGS (\\Seen) RFC822.SIZE 5)\r\n", b"* 1 FETCH (FLAGS ())\r\n", b"* BYE gone\r\n"),
    *(b"UID ", b" UID 9", b"RFC822.SIZE ", b" RFC822.SIZE 7", b"MODSEQ (7) ", b"X {4}\r\n)\r\n( ", b"NIL", b'"5"'),
    *(b"(", b")", b"[", b"]", b'"', b" ", b"\r\n", b"\n", b"\r", b"\0", b"\xff", b"{5}\r\n", b"{9999999999}\r\n"),
    *(b"4294967296", b"-1", b"* OK [PERMANENTFLAGS " + b"(" * 3000 + b"]\r\n"),
)
_MOST = 2**32 - 1

# An answer that is as plain as this has one meaning.
_PLAIN = re.compile(
    rb"\* ([1-9]\d{0,3}) EXISTS\r\n\* OK \[UIDVALIDITY ([1-9]\d{0,8})\] \w+\r\n@1 OK (?:\[READ-WRITE\] )?\w+\r\n"
    rb"((?:\* [1-9]\d{0,8} FETCH \((?:UID [1-9]\d{0,8} RFC822\.SIZE \d{1,9}|RFC822\.SIZE \d{1,9} UID [1-9]\d{0,8})"
    rb"\)\r\n)*)@2 OK \w+\r\n"
)
_UID, _SIZE = re.compile(rb"UID (\d+)"), re.compile(rb"SIZE (\d+)")


def run(octets: bytes, random: Random) -> str:
    found, again = _take(octets, random), _take(octets, Random(random.random()))
    demand(shown(found) == shown(again), f"where packets end makes a difference: {found} or {again}")
    if not isinstance(found, Snapshot):
        return type(found).__name__
    judge(found)
    if plain := _PLAIN.match(octets):
        _compare(found, plain)
    return "snapshot"


def _take(octets: bytes, random: Random) -> Snapshot | GatewayError:
    client = Client(FarEnd(LOGIN + octets, random), Endpoint("h", 143, TlsMode.NONE))
    log_in(client, Credentials("ann", Secret("secret")))
    return ending(lambda: take_snapshot(client, "INBOX", SECONDS))


def judge(found: Snapshot) -> None:
    """Whatever it was made of."""
    uids = list(found.uids)
    demand(uids == sorted(set(uids)) and all(0 < uid <= _MOST for uid in uids), f"UIDs {uids}")
    demand(len(found.sizes) == len(uids), f"{len(found.sizes)} sizes of {len(uids)} messages")
    demand(0 < found.uidvalidity <= _MOST, f"UIDVALIDITY {found.uidvalidity}")


def shown(found: Snapshot | GatewayError) -> object:
    if isinstance(found, GatewayError):
        return type(found)
    return found.uidvalidity, list(found.uids), list(found.sizes), found.read_only


def _compare(found: Snapshot, plain: re.Match[bytes]) -> None:
    exists, validity, rows = plain.groups()
    uids, sizes = map(int, _UID.findall(rows)), map(int, _SIZE.findall(rows))
    wanted = dict(sorted(zip(uids, sizes, strict=True)))
    if len(wanted) < int(exists):
        return  # asked for again: what then comes is not as plain
    told = dict(zip(found.uids, found.sizes, strict=True))
    demand(told == wanted, f"{told} instead of {wanted}")
    demand(found.uidvalidity == int(validity), f"UIDVALIDITY {found.uidvalidity} instead of {validity!r}")
    demand(not found.read_only, "read-only, and nobody said so")
