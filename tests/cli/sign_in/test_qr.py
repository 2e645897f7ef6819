"""The QR code in the terminal can be read by a telephone, and is left out where it does not fit."""

import pytest

from gateway.cli.sign_in.qr import picture
from tests.cli import qr_reader

ADDRESS = "https://login.microsoftonline.example/common/oauth2/deviceauth?user_code=GXKJ-4MPQ"


@pytest.mark.parametrize("address", [ADDRESS, "https://a.example/device", ADDRESS + "&x=" + "y" * 200])
def test_it_is_read_as_the_address_dark_on_light(address: str) -> None:
    drawn = picture(address, 200)
    assert drawn is not None
    assert qr_reader.read(drawn.plain) == [address]
    assert str(drawn.style) == "bright_white on black"


def test_it_fits_a_small_terminal_or_is_not_drawn() -> None:
    drawn = picture(ADDRESS, 80)
    assert drawn is not None
    assert len(drawn.plain.splitlines()) < 24
    assert picture(ADDRESS, 30) is None
