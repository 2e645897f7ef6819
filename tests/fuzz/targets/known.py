"""A server's answers at a login to a mailbox that is remembered: it is known again, or listed whole, or an error.

Where the answer is cut or contradicts itself, nothing may be missing that the server says is there.
"""

import re
from array import array
from random import Random

from gateway.errors import GatewayError
from gateway.imap.client import Client
from gateway.imap.listing import Look, look
from gateway.imap.login import log_in
from gateway.maildrop import Listing
from gateway.ports import Endpoint, TlsMode
from gateway.sasl import Credentials, Secret
from tests.fuzz.bugs import demand
from tests.fuzz.far_end import SECONDS, FarEnd
from tests.fuzz.targets import listing
from tests.fuzz.targets.endings import ending

# Forty messages of five octets, and ten that we have deleted.
DATE = b"17-Jul-1996 02:44:25 -0700"
UIDS = array("I", range(1, 51))
KNOWN = Listing(9, 51, UIDS, array("Q", [5] * len(UIDS)), date=DATE, gone=((21, 30),))
LOGIN = listing.LOGIN.replace(b"UIDPLUS", b"UIDPLUS ESEARCH")
TOKENS = (
    *(
        b"* 40 EXISTS\r\n",
        b"* 41 EXISTS\r\n",
        b"* 39 EXISTS\r\n",
        b"* OK [UIDNEXT 51] next\r\n",
        b"HIGHESTMODSEQ 7",
    ),
    *(b'* 40 FETCH (UID 50 INTERNALDATE "17-Jul-1996 02:44:25 -0700")\r\n', b"* OK [UIDNEXT 52] next\r\n"),
    *(b'* 1 FETCH (UID 1 INTERNALDATE "x")\r\n', b'* 41 FETCH (UID 51 INTERNALDATE "y")\r\n', b"INTERNALDATE "),
    *(b"* 41 FETCH (UID 51 RFC822.SIZE 6)\r\n", b'* ESEARCH (TAG "x") UID ALL 1:20,31:50\r\n', b"@3 OK done\r\n"),
    *(b"* SEARCH 1 2 3 50\r\n", b"@4 OK done\r\n", b"@4 NO no\r\n", b"1:4294967295", b"UID ALL ", b"31:50"),
    *listing.TOKENS,
)
_EXISTS = re.compile(rb"(?mi)^\* (\d+) EXISTS")
_EXPUNGE = re.compile(rb"(?mi)^\* \d+ EXPUNGE")


def run(octets: bytes, random: Random) -> str:
    found, again = _look(octets, random), _look(octets, Random(random.random()))
    demand(_shown(found) == _shown(again), f"where packets end makes a difference: {found} or {again}")
    if isinstance(found, GatewayError):
        return type(found).__name__
    uids = list(found.snapshot.uids)
    listing.judge(found.snapshot)
    least = min(map(int, _EXISTS.findall(octets)), default=0) - len(_EXPUNGE.findall(octets))
    demand(len(uids) >= least, f"{len(uids)} messages are shown of {least}")
    return "listed whole" if found.why_whole else "known again"


def _look(octets: bytes, random: Random) -> Look | GatewayError:
    client = Client(FarEnd(LOGIN + octets, random), Endpoint("h", 143, TlsMode.NONE))
    log_in(client, Credentials("ann", Secret("secret")))
    return ending(lambda: look(client, "INBOX", SECONDS, KNOWN))


def _shown(found: Look | GatewayError) -> object:
    return type(found) if isinstance(found, GatewayError) else listing.shown(found.snapshot)
