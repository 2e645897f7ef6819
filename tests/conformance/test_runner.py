"""The runner itself: a transcript that is not right must fail, or all the others prove nothing."""

import pytest

from tests.conformance.player import Deviation, play
from tests.conformance.transcript import Case, TranscriptError, read_text
from tests.conformance.ways import WAYS, Way
from tests.servers.tls import Certificates

MESSAGE = "message one\n| Subject: one\n|\n| .text\n"
LOGIN = "given mail: one\n-- the client logs in\n"


def _case(text: str) -> Case:
    return read_text(f"{MESSAGE}=== title\n{text}")[0]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("S: +OK *\nC: QUIT\nS: +OK *\nS closes", id="a session"),
        pytest.param(LOGIN + "C: STAT\nS: +OK 1 23", id="numbers"),
        pytest.param(LOGIN + "C: RETR 1\nS: +OK *\nS: Subject: one\nS:\nS: ..text\nS: .", id="a message"),
        pytest.param(LOGIN + "C: RETR 1\nS: +OK *\nS has: ..text\nS lacks: .text\nS: .", id="some lines"),
        pytest.param(LOGIN + "C: NOPE\nS: -ERR*", id="any error"),
        pytest.param(LOGIN + "C: RETR 1\nC: STAT\nS: +OK *\nS has: ..t*\nS: .\nS: +OK 1 *", id="two at once"),
        pytest.param(LOGIN + "then: the mailbox holds one\nthen: seen are nothing", id="checks"),
    ],
)
@pytest.mark.parametrize("way", WAYS, ids=[way.name for way in WAYS])
async def test_what_is_right_passes(text: str, way: Way, certificates: Certificates) -> None:
    await play(_case(text), way, certificates)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("S: -ERR *", id="another status"),
        pytest.param(LOGIN + "C: STAT\nS: +OK 1 24", id="another number"),
        pytest.param(LOGIN + "C: STAT\nS: +OK 1 2", id="the beginning of a line"),
        pytest.param(LOGIN + "C: LIST 1\nS: +OK *\nS: .", id="more lines than there are"),
        pytest.param(LOGIN + "C: UIDL\nS: +OK *", id="lines too few"),
        pytest.param(LOGIN + "C: RETR 1\nS: +OK *\nS: Subject: one\nS:\nS: .text\nS: .", id="no byte-stuffing"),
        pytest.param(LOGIN + "C: RETR 1\nS: +OK *\nS has: nothing\nS: .", id="a line that is not there"),
        pytest.param(LOGIN + "C: RETR 1\nS: +OK *\nS lacks: Subj*\nS: .", id="a line that is there"),
        pytest.param(LOGIN + "C: NOOP", id="an answer that nobody expects"),
        pytest.param("S: +OK *\nC: USER ann\nS: +OK *\nC: PASS no\nS: -ERR *", id="a code that nobody expects"),
        pytest.param(LOGIN + "C: NOPE\nS: -ERR [AUTH] *", id="a code that is not there"),
        pytest.param("S: +OK *\nC: QUIT\nS: +OK *", id="an end that nobody expects"),
        pytest.param("S: +OK *\nS closes", id="no end"),
        pytest.param(LOGIN + "C: RETR 1\nS: +OK *\nS breaks off", id="a message that is whole"),
        pytest.param(LOGIN + "then: the mailbox holds nothing", id="another mailbox"),
        pytest.param(LOGIN + "then: seen are one", id="other flags"),
    ],
)
@pytest.mark.parametrize("way", WAYS, ids=[way.name for way in WAYS])
async def test_what_is_wrong_fails(text: str, way: Way, certificates: Certificates) -> None:
    with pytest.raises(Deviation):
        await play(_case(text), way, certificates)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("S +OK", id="no colon"),
        pytest.param("S : +OK", id="a space before the colon"),
        pytest.param("C: QUIT ", id="a space at the end"),
        pytest.param("given weather: fine", id="nothing that can be given"),
        pytest.param("| a line", id="a line of no message"),
        pytest.param("=== title", id="a title twice"),
    ],
)
def test_a_slip_of_the_pen_is_found(text: str) -> None:
    with pytest.raises(TranscriptError, match="text:"):
        _case(text)


@pytest.mark.parametrize("text", ["-- the sky falls", "then: all is well"])
async def test_an_unknown_event_is_found(text: str, certificates: Certificates) -> None:
    with pytest.raises(TranscriptError, match=r"text:\d+: what is"):
        await play(_case(text), WAYS[0], certificates)
