"""Rows, each in turn by all who take part in it: gateway, peer, gateway, peer …"""

import contextlib
import gc
import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.bench import limit
from tests.bench.client import Pop3
from tests.bench.dovecot import Upstream
from tests.bench.mail import Mailbox
from tests.bench.memory import Peak
from tests.bench.results import Figures, Outcome
from tests.bench.rows import FAR_SECONDS, Row, Scale, Way
from tests.bench.subjects import SUBJECTS, Scene, Subject, far
from tests.bench.work import poll_once
from tests.servers import tls
from tests.servers.tls import Certificates

# A run leaves work behind: flags set after QUIT, processes that end. It is not the next one's to bear.
SETTLE_SECONDS = 0.1
WARM_UP = 2
ALONE = Mailbox("alone", 1)

NONE: Mapping[str, object] = {}
Tell = Callable[[str], None]


@dataclass
class Bench:
    """An upstream, filled as rows ask for it, in a folder in memory."""

    folder: Path
    certificates: Certificates
    upstream: Upstream
    _filled: set[str] = field(default_factory=set)

    @contextlib.contextmanager
    def beside(self, layout: str, clients_a_process: int = 1) -> Iterator["Bench"]:
        """The same with another upstream."""
        with _folder("upstream-", self.folder) as folder:
            upstream = Upstream(folder / "dovecot", self.certificates, layout, clients_a_process)
            try:
                yield Bench(folder, self.certificates, upstream)
            finally:
                upstream.stop()

    def fill(self, mailbox: Mailbox) -> None:
        if mailbox.name not in self._filled:
            limit.fill(self.upstream.imap, mailbox)
            self._filled.add(mailbox.name)

    @contextlib.contextmanager
    def scene(
        self, mailbox: Mailbox, way: Way = Way.CLEAR, settings: Mapping[str, object] = NONE
    ) -> Iterator[Scene]:
        """A new folder for all who take part, and the way to the upstream."""
        self.fill(mailbox)
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(_folder("row-", self.folder))
            upstream = self.upstream.imaps if way is Way.TLS else self.upstream.imap
            if way is Way.FAR:
                upstream = stack.enter_context(far(upstream, FAR_SECONDS))
            yield Scene(folder, self.certificates, self.upstream, upstream, mailbox, settings)


@contextlib.contextmanager
def bench(layout: str = "maildir") -> Iterator[Bench]:
    place = Path("/dev/shm")
    with _folder("bench-", place if os.access(place, os.W_OK) else None) as folder:
        certificates = tls.make(folder)
        certificates.key_file.chmod(0o644)
        upstream = Upstream(folder / "upstream", certificates, layout)
        try:
            yield Bench(folder, certificates, upstream)
        finally:
            upstream.stop()


@contextlib.contextmanager
def _folder(prefix: str, place: Path | None) -> Iterator[Path]:
    """Which Dovecot's account may enter, too."""
    with tempfile.TemporaryDirectory(prefix=prefix, dir=place, ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def measure(bench: Bench, row: Row, scale: Scale, tell: Tell = lambda _: None) -> Outcome:
    """All of a row; `tell` hears what is going on."""
    tell(f"{row.title}: filling the mailbox")
    with bench.scene(row.mailbox, row.way) as scene, contextlib.ExitStack() as stack:
        bench.fill(ALONE)
        subjects: dict[str, Subject] = {}
        for name in row.subjects:
            subjects[name] = SUBJECTS[name](scene)
            stack.callback(subjects[name].stop)
        tell(f"{row.title}: warming up")
        _warm_up(row, subjects, scene)
        runs: dict[str, list[Run]] = {name: [] for name in (*subjects, *(["limit"] if row.kind.limit else []))}
        left = dict.fromkeys(runs, scale.seconds)
        for number in range(1, scale.rounds + 1):
            for name, taken in runs.items():
                if taken and left[name] < 0:
                    continue
                tell(f"{row.title}: round {number} of {scale.rounds}, {name}")
                taken.append(_run(row, subjects.get(name), scene))
                left[name] -= taken[-1].seconds
        figures = {
            name: Figures(
                [run.figure for run in taken],
                client=statistics.median(run.processor / run.seconds for run in taken),
            )
            for name, taken in runs.items()
        }
        for name in ("gateway", "peer", "tuned"):
            if name in subjects and left[name] >= 0:
                tell(f"{row.title}: memory, {name}")
                figures[name] = replace(figures[name], memory=_memory(row, subjects[name]))
        kind = row.kind
        return Outcome(row.key, row.title, kind.unit, row.goal, kind.least, row.native_goal, figures)


@dataclass(frozen=True, slots=True)
class Run:
    figure: float
    seconds: float
    processor: float  # seconds of it that the client computed


def _run(row: Row, subject: Subject | None, scene: Scene) -> Run:
    if subject is not None and row.kind.cold:
        forget(row, subject)
    time.sleep(SETTLE_SECONDS)
    gc.collect()
    gc.disable()
    try:
        processor, begin = time.process_time(), time.perf_counter()
        if subject is not None:
            figure = row.kind.work(subject, row.mailbox, row.amount)
        else:
            assert row.kind.limit is not None
            figure = row.kind.limit(scene.upstream, row.mailbox, row.amount)
        return Run(figure, time.perf_counter() - begin, time.process_time() - processor)
    finally:
        gc.enable()


def _memory(row: Row, subject: Subject) -> int:
    if row.kind.cold:
        forget(row, subject)
    with Peak(subject.group) as peak:
        row.kind.work(subject, row.mailbox, row.amount)
    return peak.kilobytes


def forget(row: Row, subject: Subject) -> None:
    """The mailbox, but not how to serve: somebody else logs in first."""
    subject.forget(row.mailbox.user())
    for _ in range(WARM_UP):
        poll_once(subject, ALONE)


def _warm_up(row: Row, subjects: dict[str, Subject], scene: Scene) -> None:
    """The upstream and all before it have seen the mailbox, and all show the same messages."""
    if row.kind.limit:
        row.kind.limit(scene.upstream, row.mailbox, row.amount)
    seen: dict[str, list[str]] = {}
    for name, subject in subjects.items():
        if name == "null":
            continue
        if not row.kind.cold:
            for _ in range(WARM_UP):
                poll_once(subject, row.mailbox)
        if row.kind.reads:
            seen[name] = _digests(subject, row.mailbox)
    if len(set(map(tuple, seen.values()))) > 1:
        raise AssertionError(f"{row.key}: not everybody sends the same octets")


def _digests(subject: Subject, mailbox: Mailbox) -> list[str]:
    with Pop3(subject.address) as client:
        client.log_in(mailbox.user())
        numbers = {1, mailbox.count // 2 + 1, mailbox.count}
        replies = [client.reply(b"RETR %d\r\n" % number) for number in sorted(numbers)]
        client.quit()
    return [hashlib.sha256(reply.partition(b"\r\n")[2]).hexdigest() for reply in replies]
