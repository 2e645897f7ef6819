"""What others do to an account while its owner's sign-in is being finished."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from gateway import enrolment
from gateway.accounts import made
from gateway.enrolment import Attempt, Enrolment, Order, invite
from gateway.errors import InvitationVoid
from gateway.oauth import Client, Provider
from gateway.ports import Invitation, Invitations, Tokens
from gateway.sasl import Secret
from gateway.store import Keys, State, StoredVault, open_state

LOGIN = "ann@example.org"
PROVIDER = Provider("example", "Example", "imaps://imap.example.org", "https://a", "https://t")


@dataclass
class Watched:
    """Implements ports.Invitations, as far as a sign-in uses it: `looked` is called after each look."""

    there: Invitations
    looked: Callable[[], None] = lambda: None
    looks: int = 0

    def look(self, token: Secret, now: float) -> Invitation | None:
        found = self.there.look(token, now)
        self.looks += 1
        self.looked()
        return found

    def consume(self, token: Secret, now: float) -> Invitation | None:
        return self.there.consume(token, now)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    made_one = open_state(tmp_path)
    yield made_one
    made_one.close()


@pytest.fixture
def vault(state: State) -> StoredVault:
    keys = Keys([Fernet.generate_key().decode()], "keys")
    return state.vault(lambda _: keys)


def finish(
    state: State, vault: StoredVault, monkeypatch: pytest.MonkeyPatch, looked: Callable[[int], None]
) -> None:
    """A sign-in that goes well; `looked` is told how often the invitation was looked at."""
    tokens = Tokens(Secret("access"), time.time() + 3600, Secret("refresh"))
    monkeypatch.setattr(enrolment, "redeem", lambda *_: tokens)
    _, token = invite(state.invitations(), Order(LOGIN), time.time())
    invitations = Watched(state.invitations())
    invitations.looked = lambda: looked(invitations.looks)
    there = Enrolment(
        vault,
        invitations,  # type: ignore[arg-type]
        {"example": Client(PROVIDER, "client")},
        lambda url: url,  # type: ignore[arg-type,return-value]
        lambda _: None,
        state.locks(),
    )
    attempt = Attempt(token, "example", "state", Secret("verifier"), "", wants_password=True)
    there.finish(attempt, "https://page/callback", "code=x&state=state")


@pytest.mark.parametrize("look", [1, 2, 3])
def test_an_account_that_is_removed_stays_removed(
    state: State, vault: StoredVault, monkeypatch: pytest.MonkeyPatch, look: int
) -> None:
    vault.add(made.new_account(LOGIN, Secret("secret"), time.time()))

    def remove(looks: int) -> None:
        if looks == look:
            vault.remove(LOGIN)

    with pytest.raises(InvitationVoid):
        finish(state, vault, monkeypatch, remove)
    assert vault.find(LOGIN) is None


def test_one_that_the_command_line_makes_meanwhile_gets_the_grant(
    state: State, vault: StoredVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(looks: int) -> None:
        if looks == 3:
            vault.add(made.new_account(LOGIN, Secret("secret"), time.time()))

    finish(state, vault, monkeypatch, add)
    found = vault.find(LOGIN)
    assert found is not None
    assert found.secret.reveal() == "secret"
    assert found.grant is not None
