"""An answer pasted by hand, of any length and without its being shown: it has a code in it."""

import asyncio
import contextlib
import os
import sys
import termios
import tty
from collections.abc import AsyncIterator, Iterator

from gateway.cli.sign_in.answer import ANSWER_OCTETS

_ERASES = (0x08, 0x7F)


@contextlib.contextmanager
def unseen() -> Iterator[None]:
    """A terminal that does not show what is typed, and gives it in any length: a line that it edits itself ends
    after 4,095 octets, in Linux, and some codes are about as long.
    """
    if not sys.stdin.isatty():
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)


async def lines() -> AsyncIterator[str]:
    """What is pasted, or piped, each when its Enter comes. Ends with standard input."""
    try:
        source = sys.stdin.fileno()
    except OSError:  # there is none
        return
    received: asyncio.Queue[bytes] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    try:
        loop.add_reader(source, lambda: received.put_nowait(_read(source)))
    except OSError:  # a file: nobody can paste into it
        return
    line = bytearray()
    try:
        while octets := await received.get():
            for octet in octets:
                if octet in b"\r\n":
                    yield line.decode(errors="replace").strip()
                    line.clear()
                elif octet in _ERASES:
                    del line[-1:]
                elif len(line) < ANSWER_OCTETS:
                    line.append(octet)
    finally:
        loop.remove_reader(source)


def _read(source: int) -> bytes:
    try:
        return os.read(source, ANSWER_OCTETS)
    except OSError:  # the terminal is gone
        return b""
