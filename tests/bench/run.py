"""Rows, each in turn by all who take part in it: gateway, peer, gateway, peer …"""

import contextlib
import gc
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.bench import limit
from tests.bench.client import Pop3
from tests.bench.dovecot import Upstream
from tests.bench.mail import Mailbox
from tests.bench.memory import Peak
from tests.bench.results import Figures, Outcome
from tests.bench.rows import FAR_SECONDS, Row, Way, poll, retrieve, transfer
from tests.bench.subjects import SUBJECTS, Scene, Subject, far
from tests.servers import tls

# A run leaves work behind: flags set after QUIT, processes that end. It is not the next one's to bear.
SETTLE_SECONDS = 0.1
WARM_UP = 2
ALONE = Mailbox("alone", 1)

Tell = Callable[[str], None]


@dataclass
class Bench:
    """The upstream, filled as rows ask for it, in a folder in memory."""

    folder: Path
    layout: str = "maildir"
    profile: Path | None = None
    _filled: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.certificates = tls.make(self.folder)
        self.certificates.key_file.chmod(0o644)
        self.upstream = Upstream(self.folder / "upstream", self.certificates, self.layout)

    def fill(self, mailbox: Mailbox) -> None:
        if mailbox.name not in self._filled:
            limit.fill(self.upstream.imap, mailbox)
            self._filled.add(mailbox.name)

    @contextlib.contextmanager
    def scene(self, mailbox: Mailbox, way: Way = Way.CLEAR, **settings: object) -> Iterator[Scene]:
        """A new folder for all who take part, and the way to the upstream."""
        self.fill(mailbox)
        with contextlib.ExitStack() as stack:
            folder = Path(tempfile.mkdtemp(prefix="row-", dir=self.folder))
            folder.chmod(0o755)
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            upstream = self.upstream.imaps if way is Way.TLS else self.upstream.imap
            if upstream.tls != (way is Way.TLS):
                upstream = replace(upstream, tls=way is Way.TLS)
            if way is Way.FAR:
                upstream = stack.enter_context(far(upstream, FAR_SECONDS))
            yield Scene(
                folder, self.certificates, self.upstream, upstream, mailbox, way is Way.TLS, settings, self.profile
            )


@contextlib.contextmanager
def bench(layout: str = "maildir", profile: Path | None = None) -> Iterator[Bench]:
    with contextlib.ExitStack() as stack:
        place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        folder = Path(tempfile.mkdtemp(prefix="bench-", dir=place))
        folder.chmod(0o755)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        made = Bench(folder, layout, profile)
        stack.callback(made.upstream.stop)
        yield made


def measure(bench: Bench, row: Row, rounds: int, tell: Tell = lambda _: None) -> Outcome:
    """All of a row; `tell` hears what is going on."""
    tell(f"{row.title}: filling the mailbox")
    with bench.scene(row.mailbox, row.way) as scene, contextlib.ExitStack() as stack:
        bench.fill(ALONE)
        subjects = {name: SUBJECTS[name](scene) for name in row.subjects}
        for subject in subjects.values():
            stack.callback(subject.stop)
        tell(f"{row.title}: warming up")
        _warm_up(row, subjects)
        runs: dict[str, list[Run]] = {name: [] for name in (*subjects, *(["limit"] if row.limit else []))}
        for number in range(1, rounds + 1):
            for name, taken in runs.items():
                tell(f"{row.title}: round {number} of {rounds}, {name}")
                taken.append(_run(row, name, subjects.get(name), scene))
        figures = {
            name: Figures([run.figure for run in taken], client=max(run.client for run in taken))
            for name, taken in runs.items()
        }
        for name in ("gateway", "peer", "tuned"):
            if name in subjects:
                tell(f"{row.title}: memory, {name}")
                figures[name] = replace(figures[name], memory=_memory(row, name, subjects[name]))
        return Outcome(row.key, row.title, row.unit, row.goal, row.least, row.native_goal, figures)


@dataclass(frozen=True, slots=True)
class Run:
    figure: float
    client: float  # the client's processor time, as a part of the time that passed


def _run(row: Row, name: str, subject: Subject | None, scene: Scene) -> Run:
    if subject is not None and row.cold:
        _forget(row, subject)
    time.sleep(SETTLE_SECONDS)
    gc.collect()
    gc.disable()
    try:
        processor, begin = time.process_time(), time.perf_counter()
        if subject is not None:
            figure = row.work(subject, row.mailbox, row.amount_for(name))
        else:
            assert row.limit is not None
            figure = row.limit(scene.upstream, row.mailbox, row.amount)
        return Run(figure, (time.process_time() - processor) / (time.perf_counter() - begin))
    finally:
        gc.enable()


def _memory(row: Row, name: str, subject: Subject) -> int:
    if row.cold:
        _forget(row, subject)
    with Peak(subject.group) as peak:
        row.work(subject, row.mailbox, row.amount_for(name))
    return peak.kilobytes


def _forget(row: Row, subject: Subject) -> None:
    """The mailbox, but not how to serve: somebody else logs in first."""
    subject.forget(row.mailbox.user())
    poll(subject, ALONE, WARM_UP)


def _warm_up(row: Row, subjects: dict[str, Subject]) -> None:
    """All have seen the mailbox, and all show the same messages."""
    seen: dict[str, list[str]] = {}
    for name, subject in subjects.items():
        if name == "null":
            continue
        if not row.cold:
            poll(subject, row.mailbox, WARM_UP)
        if row.work in (retrieve, transfer):
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
