"""Whether a name has an account shows neither in what is answered nor in what it costs."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2.low_level import Type, hash_secret

from gateway.accounts import Checker, Nobody, Opening, StoredAccounts, app_passwords
from gateway.errors import BadCredentials
from gateway.maildrop import Policy
from gateway.ports import AppPassword, Endpoint, Peer, StoredAccount, TlsMode
from gateway.sasl import Credentials, Proof, Secret
from gateway.store import Keys, open_state
from gateway.threads import Threads

GATEWAY = Path(__file__).parents[2] / "gateway"
SALT = bytes(range(16))
PEER = Peer("192.0.2.1")
ENDPOINT = Endpoint("imap.example.com", 993, TlsMode.IMPLICIT)


def password(name: str, said: str) -> AppPassword:
    key, hashed = app_passwords.forms(name, Secret(said), SALT, readable=False)
    return AppPassword(name, f"label of {name}", key, hashed, created=1.0)


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[StoredAccounts]:
    """ann has one password, bob three, cay none any more."""
    state = open_state(tmp_path)
    vault = state.vault(lambda _: Keys.of(None, tmp_path / "keys", may_be_new=True))
    made = {"ann": 1, "bob": 3, "cay": 0}
    for login, count in made.items():
        passwords = tuple(password(f"{login}{number}", f"right{number}") for number in range(count))
        vault.add(StoredAccount(login, "", login, Secret("upstream"), SALT, 1.0, passwords=passwords))
    checker, threads = Checker(), Threads(1)
    others = Nobody(checker, threads, readable=False)
    yield StoredAccounts(vault, Opening(lambda _: ENDPOINT, "INBOX", Policy()), others, checker, threads, threads)
    threads.stop()
    state.close()


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[int, ...]]:
    """How many argon2 hashes of which passes, memory and length are computed."""
    counted: Counter[tuple[int, ...]] = Counter()

    def counting(said: bytes, salt: bytes, *parameters: int, **_: Type) -> bytes:
        counted[parameters[:4]] += 1
        return hash_secret(said, salt, *parameters)  # type: ignore[arg-type]

    monkeypatch.setattr(app_passwords, "hash_secret", counting)
    return counted


async def refusal(accounts: StoredAccounts, claim: Credentials | Proof) -> tuple[str, str]:
    with pytest.raises(BadCredentials) as refused:
        await accounts.resolve(claim, PEER)
    return refused.value.code, refused.value.reply


@pytest.mark.parametrize("name", ["ann", "ANN", "bob", "cay", "nobody"])
async def test_a_wrong_password_costs_one_hash_whether_or_not_there_is_such_an_account(
    accounts: StoredAccounts, costs: Counter[tuple[int, ...]], name: str
) -> None:
    for number in range(3):  # and no memory makes one of them cheaper
        said = await refusal(accounts, Credentials(name, Secret(f"wrong {number}")))
        assert said == (BadCredentials.code, BadCredentials.text)
    parameters = app_passwords.HASH_PASSES, app_passwords.HASH_KIB, 1, app_passwords.HASH_OCTETS
    assert costs == {parameters: 3}


async def test_a_right_password_costs_a_hash_once_only(
    accounts: StoredAccounts, costs: Counter[tuple[int, ...]]
) -> None:
    for _ in range(3):
        await accounts.resolve(Credentials("bob", Secret("right2")), PEER)
    assert costs.total() == 1


async def test_a_name_without_an_account_has_a_salt_that_stays_and_is_its_own(accounts: StoredAccounts) -> None:
    nobody, again = await accounts.keyring("nobody"), await accounts.keyring("Nobody")
    ann = await accounts.keyring("ann")
    assert nobody == again
    assert nobody.salt != (await accounts.keyring("another")).salt
    assert (len(nobody.salt), nobody.iterations) == (len(ann.salt), ann.iterations)


SECRETS = {"reveal", "hashed", "stored_key", "server_key", "digest", "hexdigest"}


def compared(file: Path) -> Iterator[ast.Compare]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Compare) and any(isinstance(how, ast.Eq | ast.NotEq) for how in node.ops):
            yield node


def test_no_secret_is_compared_in_a_time_that_tells_how_much_of_it_was_right() -> None:
    wrong = [
        f"{file.relative_to(GATEWAY)}:{node.lineno}"
        for file in sorted(GATEWAY.rglob("*.py"))
        for node in compared(file)
        for side in (node.left, *node.comparators)
        for part in ast.walk(side)
        if isinstance(part, ast.Attribute)
        and part.attr in SECRETS
        and not (isinstance(side, ast.Call) and getattr(side.func, "id", "") == "len")
    ]
    assert not wrong
