"""Whatever happens to a mailbox between two logins, the snapshot is the mailbox: on the fake server, on real ones.

A mailbox of six messages does for a large one here, and every message has a size of its own, so that one that has
become another is seen.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.imap import commit
from gateway.imap import listing as imap_listing
from gateway.imap.link import Timeouts, connect_and_log_in, say_goodbye
from gateway.imap.listing import Recollection
from gateway.maildrop import CommitPlan, OnDelete, Policy, Snapshot
from gateway.maildrop import listing as pure_listing
from gateway.ports import Account, Endpoint, TlsMode, forget_copied
from gateway.sasl import Credentials, Secret
from gateway.store import FileListings
from tests.fakes.faults import Edit
from tests.fakes.imap import FakeImap
from tests.faults.relay import Relay
from tests.servers.dovecot import Dovecot
from tests.servers.fixtures import Mailbox, new_mailbox

PATIENT = Timeouts(5, 5, 10)
SMALL, NEXT = 6, 5  # for FEW and NEXT
_sizes = count(40)

PLACES = st.lists(st.integers(0, 40), min_size=1, max_size=4)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("deliver"), st.integers(1, 4)),
        st.tuples(st.just("expunge"), PLACES),
        st.tuples(st.sampled_from(["delete", "flag", "abandon"]), PLACES),
        st.tuples(st.sampled_from(["renumber", "begin_anew", "lose_newest", "hide_uidnext"]), st.just([1])),
    ),
    max_size=3,
)
HISTORIES = st.lists(ACTS, min_size=2, max_size=7)


class World:
    """A mailbox, those who change it, and the gateway's memory of it."""

    def __init__(self, mailbox: Mailbox, listings: FileListings) -> None:
        self.mailbox = mailbox
        self.listings = listings
        self.account = Account(
            Endpoint(mailbox.server.host, mailbox.server.imap_port, TlsMode.NONE),
            Credentials(mailbox.user, Secret(mailbox.password)),
            "INBOX",
            Policy(OnDelete.EXPUNGE),
        )

    def truth(self) -> dict[int, int]:
        return {stored.uid: len(stored.octets) for stored in self.mailbox.messages()}

    def look(self, then: Callable[..., None] = lambda *_: None) -> Snapshot:
        """A login, and before its end whatever else it does."""
        client = connect_and_log_in(self.account, PATIENT)
        try:
            recollection = Recollection(self.listings, self.account, lambda _: None)
            snapshot = recollection.look(client, 5.0).snapshot
            assert dict(zip(snapshot.uids, snapshot.sizes, strict=True)) == self.truth()
            then(client, recollection)
            return snapshot
        finally:
            say_goodbye(client)

    # What happens

    def deliver(self, many: int) -> None:
        sizes = [next(_sizes) for _ in range(many)]
        self.mailbox.deliver([b"Subject: %07d\r\n\r\n" % size + b"x" * (size - 22) + b"\r\n" for size in sizes])

    def expunge(self, places: list[int]) -> None:
        """Another client."""
        self.mailbox.expunge(self._uids(places))

    def delete(self, places: list[int]) -> None:
        """Our own QUIT."""
        self._quit(places, lambda client, plan: commit.delete(client, plan, self.account, 5.0, forget_copied))

    def flag(self, places: list[int]) -> None:
        """Our own QUIT, by a policy that leaves the messages there."""
        flagging = replace(self.account, policy=Policy(OnDelete.FLAG))
        self._quit(places, lambda client, plan: commit.delete(client, plan, flagging, 5.0, forget_copied))

    def abandon(self, places: list[int]) -> None:
        """Our own QUIT, of which the server did nothing."""
        self._quit(places, lambda *_: None)

    def _quit(self, places: list[int], carry_out: Callable[..., None]) -> None:
        uids = tuple(self._uids(places))

        def then(client: object, recollection: Recollection) -> None:
            carry_out(client, CommitPlan(self.mailbox.uid_validity(), delete=uids))
            recollection.deleted(uids)

        self.look(then if uids else lambda *_: None)

    def renumber(self, _: object) -> None:
        """A restart, after which UIDs begin with 1 under the same UIDVALIDITY."""
        raise NotImplementedError

    def begin_anew(self, _: object) -> None:
        """UIDVALIDITY changes, and UIDs begin with 1."""
        raise NotImplementedError

    def lose_newest(self, _: object) -> None:
        """From a backup: three messages are gone, and their UIDs are given a second time."""
        raise NotImplementedError

    def hide_uidnext(self, _: object) -> None:
        """From now on it is told, or not."""
        raise NotImplementedError

    def _uids(self, places: list[int]) -> list[int]:
        there = list(self.truth())
        return sorted({there[place % len(there)] for place in places}) if there else []


class FakeWorld(World):
    def __init__(self, mailbox: Mailbox, listings: FileListings) -> None:
        super().__init__(mailbox, listings)
        assert isinstance(mailbox.server, FakeImap)
        self.server = mailbox.server
        self._hidden = False
        self.server.on("SELECT", Edit("UIDNEXT", None), user=mailbox.user, when=lambda *_: self._hidden)

    def renumber(self, _: object) -> None:
        self.server.renumber(self.mailbox.user, validity=self.mailbox.uid_validity())

    def begin_anew(self, _: object) -> None:
        self.server.renumber(self.mailbox.user)

    def lose_newest(self, _: object) -> None:
        self.mailbox.expunge(list(self.truth())[-3:])
        self.server.renumber(self.mailbox.user, validity=self.mailbox.uid_validity(), uids={})

    def hide_uidnext(self, _: object) -> None:
        self._hidden = not self._hidden


class DovecotWorld(World):
    """Its list of UIDs is a text file; what it thinks of it is in others, which may be removed."""

    def deliver(self, many: int) -> None:
        """No two messages arrive in one second; INTERNALDATE is the file's time."""
        super().deliver(many)
        for file in self._files():
            then = 1_700_000_000 + file.stat().st_size
            os.utime(file, (then, then))

    def renumber(self, _: object) -> None:
        self._rewrite(lambda validity: validity, lambda lines: list(enumerate(lines, 1)))

    def begin_anew(self, _: object) -> None:
        self._rewrite(lambda validity: validity + 1, lambda lines: list(enumerate(lines, 1)))

    def lose_newest(self, _: object) -> None:
        self.mailbox.expunge(list(self.truth())[-3:])
        uids = list(self.truth())
        self._rewrite(lambda validity: validity, lambda lines: list(zip(uids, lines, strict=True)))

    def hide_uidnext(self, _: object) -> None:
        """It always tells."""

    def _rewrite(
        self, validity: Callable[[int], int], numbered: Callable[[list[str]], list[tuple[int, str]]]
    ) -> None:
        self.truth()  # what was delivered gets its UID
        maildir = self._maildir()
        path = maildir / "dovecot-uidlist"
        files = {file.name.partition(":")[0] for file in self._files()}
        header, *listed = path.read_text().splitlines()
        lines = [line.partition(" ")[2] for line in listed]
        rows = numbered([line for line in lines if line.partition(":")[2] in files])  # others may be there still
        old = int(re.search(r" V(\d+)", header)[1])  # type: ignore[index]
        header = re.sub(r" V\d+", f" V{validity(old)}", header)
        header = re.sub(r" N\d+", f" N{max((uid for uid, _ in rows), default=0) + 1}", header)
        path.write_text("".join(f"{line}\n" for line in [header, *(f"{uid} {rest}" for uid, rest in rows)]))
        for index in maildir.glob("dovecot.index*"):
            index.unlink()

    def _files(self) -> list[Path]:
        return [file for name in ("cur", "new") for file in (self._maildir() / name).iterdir()]

    def _maildir(self) -> Path:
        assert isinstance(self.mailbox.server, Dovecot)
        return self.mailbox.server.maildir(self.mailbox.user)


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (pure_listing, imap_listing):
            patch.setattr(module, "FEW", SMALL)
        patch.setattr(pure_listing, "NEXT", NEXT)
        yield


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeImap]:
    with FakeImap() as running:
        yield running


def live(world: World, history: list[list[tuple[str, list[int] | int]]]) -> None:
    world.deliver(SMALL + 2)
    for acts in history:
        world.look()
        for act, argument in acts:
            getattr(world, act)(argument)
    world.look()
    world.look()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HISTORIES, st.booleans())
def test_a_mailbox_on_the_fake_server(
    fake: FakeImap,
    tmp_path_factory: pytest.TempPathFactory,
    history: list[list[tuple[str, list[int] | int]]],
    esearch: bool,
) -> None:
    fake.settings.capabilities = ["IMAP4rev1", "UIDPLUS", *(["ESEARCH"] * esearch)]
    fake.forgive()
    live(FakeWorld(new_mailbox(fake), FileListings(tmp_path_factory.getbasetemp() / "listings")), history)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HISTORIES)
def test_a_mailbox_on_dovecot(
    dovecot: Dovecot,
    tmp_path_factory: pytest.TempPathFactory,
    history: list[list[tuple[str, list[int] | int]]],
) -> None:
    live(DovecotWorld(new_mailbox(dovecot), FileListings(tmp_path_factory.getbasetemp() / "listings")), history)


def test_a_mailbox_on_every_server(upstream_mailbox: Mailbox, tmp_path: Path) -> None:
    history: list[list[tuple[str, list[int] | int]]] = [
        [],
        [("deliver", 3)],
        [("expunge", [2])],
        [("expunge", [4]), ("deliver", 1)],
        [("expunge", [0, 8, 9]), ("deliver", 3)],
        [("delete", [3, 4, 9])],
        [("flag", [2])],
        [("abandon", [1, 5]), ("deliver", 2)],
        [("expunge", list(range(20)))],
        [("deliver", 8)],
    ]
    live(World(upstream_mailbox, FileListings(tmp_path)), history)


@pytest.mark.parametrize(
    ("act", "argument", "flights"),
    [("deliver", 0, 2), ("deliver", 3, 2), ("delete", [3, 4], 2), ("expunge", [0], 2), ("expunge", [3], 3)],
)
def test_a_login_takes_two_flights_unless_others_expunged(
    dovecot: Dovecot, tmp_path: Path, act: str, argument: int | list[int], flights: int
) -> None:
    """The login itself, and one: counted on the wire, before a real server."""
    world = World(new_mailbox(dovecot), FileListings(tmp_path))
    world.deliver(20)
    counted: list[int] = []
    with Relay(dovecot.imap_port) as relay:
        world.account = replace(world.account, endpoint=Endpoint("127.0.0.1", relay.port, TlsMode.NONE))
        world.look(lambda *_: counted.append(relay.flights))  # nothing is remembered
        getattr(world, act)(argument)
        before = relay.flights
        world.look(lambda *_: counted.append(relay.flights - before))
    assert counted == [2, flights]


def test_dovecot_really_gives_uids_a_second_time(dovecot: Dovecot, tmp_path: Path) -> None:
    """What the histories ask of it, it does."""
    world = DovecotWorld(new_mailbox(dovecot), FileListings(tmp_path))
    world.deliver(8)
    world.expunge([0, 1])
    before, validity = world.truth(), world.mailbox.uid_validity()
    world.renumber(None)
    assert (list(world.truth()), world.mailbox.uid_validity()) == ([1, 2, 3, 4, 5, 6], validity)
    assert list(world.truth().values()) == list(before.values())
    world.lose_newest(None)
    world.deliver(1)
    assert (list(world.truth()), world.mailbox.uid_validity()) == ([1, 2, 3, 4], validity)
    world.begin_anew(None)
    assert (list(world.truth()), world.mailbox.uid_validity()) == ([1, 2, 3, 4], validity + 1)
