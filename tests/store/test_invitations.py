"""Invitations in every state: good once, for a while, and nothing of theirs opens them."""

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from gateway.accounts import made
from gateway.errors import AccountExists
from gateway.ports import Invitation, Invitations
from gateway.sasl import Secret
from gateway.store import Keys, State, open_state
from gateway.store.state import VAULT_FILE
from tests.store.conftest import OpenState

TERMS: Mapping[str, Any] = {"label": "the printer, 2. Stöck", "read_only": True, "networks": ["192.0.2.0/24"]}
INVITATION = Invitation("k3m9xw", "Ann@Example.org", "microsoft365", created=1000.5, expires=2000.5, terms=TERMS)
OTHER = Invitation("zz9zz9", "bob", "", created=1001.0, expires=3000.0)
TOKEN, OTHER_TOKEN = Secret("token-of-the-first-link"), Secret("token-of-the-other-link")
NOW = 1500.0


@pytest.fixture
def invitations(state: State) -> Invitations:
    made = state.invitations()
    made.add(TOKEN, INVITATION)
    made.add(OTHER_TOKEN, OTHER)
    return made


def test_one_is_found_by_its_token_in_any_process(invitations: Invitations, start_state: OpenState) -> None:
    for reader in (invitations, start_state().invitations()):
        assert reader.look(TOKEN, NOW) == INVITATION
        assert reader.look(Secret("another"), NOW) is None
        assert list(reader.all(NOW)) == [INVITATION, OTHER]


def test_one_is_good_until_it_expires(invitations: Invitations) -> None:
    after = INVITATION.expires
    assert invitations.look(TOKEN, after) is None
    assert invitations.consume(TOKEN, after) is None
    assert list(invitations.all(after)) == [OTHER]
    assert [invitations.sweep(after), invitations.sweep(after)] == [1, 0]
    assert invitations.look(OTHER_TOKEN, after) == OTHER


def test_one_is_good_once(invitations: Invitations) -> None:
    assert invitations.consume(TOKEN, NOW) == INVITATION
    assert invitations.consume(TOKEN, NOW) is None
    assert invitations.look(TOKEN, NOW) is None
    assert list(invitations.all(NOW)) == [OTHER]


def test_of_many_who_come_at_once_one_gets_it(invitations: Invitations, start_state: OpenState) -> None:
    rooms = [invitations, *(start_state().invitations() for _ in range(3))]
    begin, got = threading.Barrier(len(rooms)), []

    def consume(room: Invitations) -> None:
        begin.wait()
        got.append(room.consume(TOKEN, NOW))

    threads = [threading.Thread(target=consume, args=(room,)) for room in rooms]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got, key=lambda one: one is None) == [INVITATION, None, None, None]


def test_one_that_is_withdrawn_opens_nothing(invitations: Invitations) -> None:
    assert [invitations.withdraw(INVITATION.name), invitations.withdraw(INVITATION.name)] == [True, False]
    assert invitations.look(TOKEN, NOW) is None


def test_they_go_with_their_account_however_it_is_spelt(invitations: Invitations, state: State) -> None:
    keys = Keys([Fernet.generate_key().decode()], "keys")
    vault = state.vault(lambda _: keys)
    vault.add(made.new_account("ann@example.org", Secret("secret"), NOW))
    vault.remove("ANN@example.org")
    assert list(invitations.all(NOW)) == [OTHER]


def test_a_name_or_a_token_is_taken_once(invitations: Invitations) -> None:
    for token, one in ((Secret("new"), INVITATION), (TOKEN, replace(INVITATION, name="new"))):
        with pytest.raises(AccountExists):
            invitations.add(token, one)
    assert list(invitations.all(NOW)) == [INVITATION, OTHER]


def test_no_token_is_in_the_file(tmp_path: Path) -> None:
    with contextlib.closing(open_state(tmp_path)) as state:
        state.invitations().add(TOKEN, INVITATION)
    octets = b"".join(path.read_bytes() for path in tmp_path.glob(f"{VAULT_FILE}*"))
    assert b"the printer" in octets
    assert b"token-of" not in octets
