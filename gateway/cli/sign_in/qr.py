"""An address as a QR code (ISO/IEC 18004) of block characters, for a terminal."""

import io

import segno
from rich.text import Text

_QUIET_MODULES = 2  # around it; the standard's four make it too large for 80 by 24, and cameras do with two


def picture(address: str, columns: int) -> Text | None:
    """Dark on light, whatever the terminal's colours are; None where it is too wide for it."""
    drawn = io.StringIO()
    segno.make_qr(address, error="l").terminal(drawn, border=_QUIET_MODULES, compact=True)
    text = Text(drawn.getvalue().rstrip("\n"), style="bright_white on black", no_wrap=True)
    return text if max(map(len, text.plain.splitlines())) <= columns else None
