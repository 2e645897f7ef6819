"""Pasting into a terminal: long, unseen, and with the terminal as it was afterwards."""

from tests.cli.pseudo_terminal import Terminal

_READER = """
import asyncio
from gateway.cli.sign_in.paste import lines, unseen

async def main():
    print("ready", flush=True)
    async for line in lines():
        print(f"[{len(line)} {line[:4]}…{line[-4:]}]", flush=True)
        if line == "end":
            return

with unseen():
    asyncio.run(main())
print("done", flush=True)
"""


def reader() -> Terminal:
    return Terminal(["-c", _READER], python=True)


def test_an_address_longer_than_a_terminals_line_arrives_whole_and_unseen() -> None:
    with reader() as terminal:
        terminal.wait_for("ready")
        assert not terminal.shows_what_is_typed
        terminal.type("http" + "x" * 12_000 + "last\n")
        terminal.wait_for(r"\[12008 http…last\]")
        assert "xx" not in terminal.text
        terminal.type("end\r")
        terminal.wait_for("done")
        assert terminal.end() == 0
        assert terminal.shows_what_is_typed


def test_what_is_typed_wrong_can_be_taken_back() -> None:
    with reader() as terminal:
        terminal.wait_for("ready")
        terminal.type("  abcdx\x7fe\x08\x08wrong\n")
        terminal.wait_for(r"\[8 abcw…rong\]")


def test_ctrl_c_leaves_the_terminal_as_it_was() -> None:
    with reader() as terminal:
        terminal.wait_for("ready")
        terminal.interrupt()
        assert terminal.end() != 0
        assert terminal.shows_what_is_typed
