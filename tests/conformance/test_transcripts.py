"""POP3 conformance: every case in transcripts/, each in four ways. README.md tells how to read and add one."""

from pathlib import Path

import pytest

from tests.conformance.player import play
from tests.conformance.transcript import Case, read_folder
from tests.conformance.ways import WAYS
from tests.servers.tls import Certificates

TRANSCRIPTS = Path(__file__).parent / "transcripts"
CASES = read_folder(TRANSCRIPTS)


def _parameter(case: Case) -> object:
    marks = [pytest.mark.xfail(reason=case.fails, raises=AssertionError, strict=True)] if case.fails else []
    return pytest.param(case, id=f"{case.path.stem}: {case.title}", marks=marks)


@pytest.mark.parametrize("case", [_parameter(case) for case in CASES])
async def test_transcript(case: Case, certificates: Certificates) -> None:
    said = {
        way.name: await play(case, way, certificates) for way in WAYS if not case.ways or way.name in case.ways
    }
    first, *others = said
    for other in others:
        assert said[other] == said[first], f"{other!r} is answered otherwise than {first!r}"


def test_every_case_says_something() -> None:
    assert [case.title for case in CASES if not case.steps] == []


def test_ways_are_known() -> None:
    assert {name for case in CASES for name in case.ways} <= {way.name for way in WAYS}
