"""What opening costs as the mailbox grows: time and memory, with nothing known of it and with nothing changed."""

import statistics

from tests.bench.mail import NOTE_OCTETS, Mailbox
from tests.bench.memory import Peak
from tests.bench.results import Point
from tests.bench.rows import OPEN_COLD, OPEN_WARM, Row
from tests.bench.run import ALONE, Bench, Tell, forget
from tests.bench.subjects import SUBJECTS, Subject

SIZES = (1_000, 10_000, 100_000, 1_000_000)
ROUNDS = 3
# Dovecot over imapc takes 16 s for 100,000 and, with that, minutes for a million.
MOST_OF_PEER = 100_000
# A million files of a Maildir need 4 GB; in mdbox they are a few.
LAYOUT = "mdbox"


def measure(bench: Bench, tell: Tell, sizes: tuple[int, ...] = SIZES) -> list[Point]:
    points = []
    with bench.beside(LAYOUT) as own:
        for size in sizes:
            mailbox = Mailbox(f"grown{size}", size, (NOTE_OCTETS, NOTE_OCTETS))
            row = Row("growth", f"open {size:,}", OPEN_COLD, 0, mailbox, 1)
            tell(f"{row.title}: filling the mailbox")
            own.fill(ALONE)
            with own.scene(mailbox) as scene:
                assert OPEN_COLD.limit is not None
                OPEN_COLD.limit(scene.upstream, mailbox, 1)  # the upstream knows all sizes from now on
                for name in ("gateway", "peer") if size <= MOST_OF_PEER else ("gateway",):
                    tell(f"{row.title}: {name}")
                    subject = SUBJECTS[name](scene)
                    try:
                        points.append(_point(row, name, subject))
                    finally:
                        subject.stop()
    return points


def _point(row: Row, name: str, subject: Subject) -> Point:
    cold, warm = [], []
    for _ in range(ROUNDS if name == "gateway" else 1):
        forget(row, subject)
        cold.append(OPEN_COLD.work(subject, row.mailbox, 1))
        warm.append(OPEN_WARM.work(subject, row.mailbox, 1))
    forget(row, subject)
    with Peak(subject.group) as peak:
        OPEN_COLD.work(subject, row.mailbox, 1)
    return Point(name, row.mailbox.count, statistics.median(cold), statistics.median(warm), peak.kilobytes)
