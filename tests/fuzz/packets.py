"""Where packets end: anywhere, and in a long input not too often."""

from random import Random

MOST_OCTETS = (1, 3, 40, 1000, 65_536)
MOST_PACKETS = 200  # about so many: what cuts in each place of a short input would take seconds in a long one


def packet_octets(octets: bytes, random: Random) -> int:
    """How many a packet may have."""
    return max(random.choice(MOST_OCTETS), len(octets) // (MOST_PACKETS // 2))
