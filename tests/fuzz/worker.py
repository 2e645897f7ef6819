"""`python -m tests.fuzz.worker TARGET FOLDER … [-libFuzzer options]`: one target under atheris, to its end.

Inputs that reach something new are written into the first folder; those of all folders are where it begins. What
finds a bug is written where -artifact_prefix says, and ends the process.
"""

import sys
from random import Random

import atheris

with atheris.instrument_imports(include=["gateway", "imaplib", "imapclient"]):
    from tests.fuzz.targets import TARGETS, pool, seed

from tests.fuzz.mutation import mutant


def main() -> None:
    _, name, *rest = sys.argv
    target, inputs = TARGETS[name], pool(name)

    def run(octets: bytes) -> None:
        target.run(octets, Random(seed(octets)))

    def change(octets: bytes, most: int, number: int) -> bytes:
        """Lines, numbers and words every other time; else what libFuzzer would do: it sees what is compared."""
        random = Random(number)
        if random.randrange(2):
            return mutant([octets, *random.sample(inputs, 2)], target.tokens, random.randrange)[:most]
        return bytes(atheris.Mutate(octets, most))

    # libFuzzer takes the first argument for a command of the shell, to be run again when it merges.
    atheris.Setup([f"{sys.executable} -m tests.fuzz.worker {name}", *rest], run, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
