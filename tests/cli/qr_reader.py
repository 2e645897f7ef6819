"""Reads a QR code off a terminal, as a telephone's camera would: by another's library, from a picture."""

import zxingcpp

PIXELS = 4  # a module
# What of a character cell is light, above and below: the code is printed light on dark.
_CELLS = {"█": (True, True), "▀": (True, False), "▄": (False, True), " ": (False, False)}
LIGHT, DARK = b"\xff", b"\x00"


def read(text: str) -> list[str]:
    """The codes in these lines; dark on light only, which every telephone can."""
    lines = [line for line in text.splitlines() if line.strip() and set(line) <= _CELLS.keys()]
    if not lines:
        return []
    width = max(map(len, lines))
    rows = []
    for line in lines:
        cells = [_CELLS[character] for character in line.ljust(width)]
        rows += [b"".join((LIGHT if cell[half] else DARK) * PIXELS for cell in cells) for half in (0, 1)]
    picture = b"".join(row * PIXELS for row in rows)
    image = memoryview(picture).cast("B", (len(rows) * PIXELS, width * PIXELS))
    return [code.text for code in zxingcpp.read_barcodes(image, try_invert=False)]
