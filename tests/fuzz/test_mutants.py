"""What comes of the corpus by a few changes finds no bug either. `make fuzz` goes on where this stops."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutation import mutant
from tests.fuzz.targets import TARGETS, pool

EXAMPLES = dict.fromkeys(TARGETS, 600) | {"ledger": 100}  # a few seconds each
POOLS = {name: pool(name) for name in TARGETS}


@st.composite
def mutants(draw: st.DrawFn, target: str) -> bytes:
    return mutant(POOLS[target], TARGETS[target].tokens, lambda below: draw(st.integers(0, below - 1)))


@pytest.mark.parametrize("target", TARGETS)
def test_a_mutant_finds_no_bug(target: str) -> None:
    @settings(max_examples=EXAMPLES[target], deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(mutants(target), st.integers(0, 2**32 - 1))
    def try_it(octets: bytes, seed: int) -> None:
        TARGETS[target].run(octets, Random(seed))

    try_it()
