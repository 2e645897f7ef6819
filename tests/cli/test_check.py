"""`check` tells what is wrong before a client does."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.accounts import made
from gateway.app.state import KEY_FILE, vault_of
from gateway.config import load
from gateway.ports import Grant, Renewal, StoredAccount
from gateway.sasl import Secret
from gateway.store import Keys, open_state
from tests.fakes.faults import Edit
from tests.fakes.imap import FakeImap
from tests.oauth.keys import pem
from tests.servers import tls
from tests.servers.fixtures import Mailbox, new_mailbox
from tests.servers.postgres import ADDRESS, PASSWORD, USER, Postgres
from tests.servers.tls import Certificates


@pytest.fixture
def fake(certificates: Certificates) -> Iterator[FakeImap]:
    with FakeImap(certificates) as running:
        yield running


@pytest.fixture
def drop(fake: FakeImap) -> Mailbox:
    made = new_mailbox(fake)
    made.deliver([b"Subject: one\r\n\r\n"])
    return made


def check(
    fake: FakeImap, drop: Mailbox, folder: Path, password: str, more: str = "", whom: str = "--user"
) -> tuple[int, str]:
    file = folder / "gateway.yaml"
    url = f"imaps://{fake.host}:{fake.imaps_port}"
    file.write_text(f"upstream: {{url: '{url}', ca_file: '{fake.ca_file}'}}\n{more}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POP3_GATEWAY_")}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "check", "--config", str(file), whom, drop.user],
        input=password + "\n", capture_output=True, text=True, timeout=60, env=environment,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_what_is_right_is_told_and_nothing_is_changed(fake: FakeImap, drop: Mailbox, tmp_path: Path) -> None:
    status, told = check(fake, drop, tmp_path, drop.password)
    assert status == 0
    assert "INBOX has 1 message, 16 octets" in told
    assert "auto: deleted messages are removed" in told
    assert drop.messages()[0].flags == frozenset()
    assert list(tmp_path.iterdir()) == [tmp_path / "gateway.yaml"]


def test_a_state_database_is_asked_and_not_changed(
    fake: FakeImap, drop: Mailbox, tmp_path: Path, own_postgres: Postgres
) -> None:
    url = own_postgres.new_database()
    status, told = check(fake, drop, tmp_path, drop.password, f"state: '{url}'")
    assert status == 0
    assert f"ok    state: postgresql://{USER}@{ADDRESS}:{own_postgres.port}/state1, PostgreSQL " in told
    assert "the tables will be made" in told
    assert own_postgres.run(url, "SELECT 1 FROM pg_namespace WHERE nspname='pop3_gateway'") == []
    own_postgres.down()
    status, told = check(fake, drop, tmp_path, drop.password, f"state: '{url}'")
    assert status == 1
    assert "see to the server, or to `state`" in told
    assert PASSWORD not in told


@pytest.mark.parametrize("keys", [None, "", "no key\n", f"{'MDAw' * 10}MDA=\n"])
def test_keys_that_do_not_open_the_accounts_are_told(
    fake: FakeImap, drop: Mailbox, tmp_path: Path, keys: str | None
) -> None:
    """And by the gateway at its start, not by the first login."""
    state = f"state: '{tmp_path}/state'\n"
    check(fake, drop, tmp_path, drop.password, state)  # writes the settings
    settings = load(tmp_path / "gateway.yaml", {}, {})
    with vault_of(settings) as vault:
        vault.add(made.new_account("ann", Secret("secret"), 0.0))
    assert check(fake, drop, tmp_path, drop.password, state)[0] == 0
    file = tmp_path / "state" / "vault.keys"
    file.unlink()
    if keys is not None:
        file.write_text(keys)
    status, told = check(fake, drop, tmp_path, drop.password, state)
    assert status == 2
    assert str(file) in told


@pytest.mark.parametrize(
    "application",
    ["microsoft365: {client_id: a, certificate: /nope/m.pem}", "google: {service_account: /nope/google.json}"],
)
def test_a_file_that_serve_would_refuse_is_refused_here(
    fake: FakeImap, drop: Mailbox, tmp_path: Path, application: str
) -> None:
    status, told = check(fake, drop, tmp_path, drop.password, f"oauth: {{{application}}}\n")
    assert status == 2
    assert "/nope/" in told
    assert "No such file" in told


def test_a_wrong_password_is_told_and_not_shown(fake: FakeImap, drop: Mailbox, tmp_path: Path) -> None:
    status, told = check(fake, drop, tmp_path, "hunter2hunter2")
    assert status == 1
    assert "the login was refused" in told
    assert "hunter2" not in told


def test_a_folder_that_no_policy_uses_is_told(fake: FakeImap, drop: Mailbox, tmp_path: Path) -> None:
    status, told = check(fake, drop, tmp_path, drop.password, "maildrop: {trash: Bin}")
    assert status == 0
    assert "auto: deleted messages are removed" in told
    assert "note  maildrop.trash: Bin is not used; on_delete: trash would move deleted messages there" in told


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("maildrop: {on_delete: trash}", "set maildrop.trash"),
        ("maildrop: {on_delete: trash, trash: Nowhere}", "there is no folder Nowhere"),
        ("maildrop: {folder: Nowhere}", "opening the folder Nowhere: "),
    ],
)
def test_a_folder_that_is_not_there_is_told(
    fake: FakeImap, drop: Mailbox, tmp_path: Path, policy: str, said: str
) -> None:
    status, told = check(fake, drop, tmp_path, drop.password, policy)
    assert status != 0
    assert said in told


@pytest.mark.parametrize(
    ("days", "status", "said"),
    [(20, 0, "ok    certificate: for "), (5, 0, "note  certificate: for "), (-1, 2, "has ended; renew it")],
)
def test_a_certificate_that_ends_is_told(
    fake: FakeImap, drop: Mailbox, tmp_path: Path, days: int, status: int, said: str
) -> None:
    made = tls.make(tmp_path, lifetime=timedelta(days=days))
    done, told = check(
        fake, drop, tmp_path, drop.password, f"tls: {{certificate: {made.cert_file}, key: {made.key_file}}}"
    )
    assert done == status
    assert said in told


def test_what_is_special_about_a_listener_is_told(
    fake: FakeImap, drop: Mailbox, tmp_path: Path, certificates: Certificates
) -> None:
    url = "pop3s://127.0.0.1:1995"
    special = f"min_version: TLSv1, client_ca_file: {certificates.ca_file}, proxy_from: [10.0.0.0/8, '::1']"
    status, told = check(fake, drop, tmp_path, drop.password, f"listen: {{url: '{url}', {special}}}")
    assert status == 0, told
    assert f"note  old TLS: {url} takes TLSv1, which others may be able to read" in told
    assert f"ok    client certificates: {url} believes {certificates.ca_file}" in told
    assert f"ok    proxies: {url} takes connections with a PROXY header from 10.0.0.0/8, ::1/128" in told


def test_the_enrolment_pages_redirect_uri_is_told(fake: FakeImap, drop: Mailbox, tmp_path: Path) -> None:
    page = "web: {listen: 'http://127.0.0.1:8110', url: 'https://mail.example.org/enrol'}"
    status, told = check(fake, drop, tmp_path, drop.password, page)
    assert status == 0, told
    assert "ok    enrolment page: https://mail.example.org/enrol; " in told
    assert "https://mail.example.org/enrol/callback, as a redirect URI" in told


@pytest.mark.parametrize(
    ("more", "nobody", "unreachable"),
    [
        ("", True, True),
        ("oauth: {google: {client_id: an-id}}", False, True),
        ("oauth: {google: {service_account: key.json}}", True, True),
        ("listen: [pop3://127.0.0.1:1110, pop3://0.0.0.0:1995]", True, False),
    ],
)
def test_a_page_that_can_be_no_use_is_told(
    fake: FakeImap, drop: Mailbox, tmp_path: Path, more: str, nobody: bool, unreachable: bool
) -> None:
    key = pem(rsa.generate_private_key(65537, 2048)).decode()
    account = {
        "type": "service_account",
        "client_email": "us@x.example",
        "private_key": key,
        "private_key_id": "k",
    }
    (tmp_path / "key.json").write_text(json.dumps(account))
    page = "web: {listen: 'http://127.0.0.1:8110', url: 'https://mail.example.org/enrol'}"
    _, told = check(fake, drop, tmp_path, drop.password, f"{page}\n{more}")
    assert ("note  enrolment page: nobody can sign in: set oauth.NAME.client_id" in told) is nobody
    assert ("note  enrolment page: people are told pop3://mail.example.org:1110, and no" in told) is unreachable


@pytest.mark.parametrize(
    "page",
    [
        "{listen: 'http://127.0.0.1:8110'}",
        "{listen: 'http://127.0.0.1:8110', url: 'https://mail.example.org', pop3: 'pop3s://mail.example.org'}",
    ],
)
def test_who_says_what_people_type_in_or_has_none_from_elsewhere_is_not_warned(
    fake: FakeImap, drop: Mailbox, tmp_path: Path, page: str
) -> None:
    _, told = check(fake, drop, tmp_path, drop.password, f"web: {page}")
    assert "ok    enrolment page" in told
    assert "people are told" not in told


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "ca.pem: No such file or directory"), ("none\n", "ca.pem holds no certificates in PEM")],
)
def test_authorities_for_clients_that_cannot_be_read_are_told(
    fake: FakeImap, drop: Mailbox, tmp_path: Path, content: str | None, said: str
) -> None:
    if content:
        (tmp_path / "ca.pem").write_text(content)
    more = "listen: {url: 'pop3s://127.0.0.1:1995', client_ca_file: ca.pem}"
    status, told = check(fake, drop, tmp_path, drop.password, more)
    assert status == 2
    assert f"listen.client_ca_file: {tmp_path}/{said}" in told.replace("\n", "")


# A stored account


def own_url(fake: FakeImap) -> str:
    """Or else the provider of its grant says where it is."""
    return f"imaps://{fake.host}:{fake.imaps_port}?ca_file={fake.ca_file}"


def keep(folder: Path, account: StoredAccount) -> str:
    """Settings with this account in the state."""
    with contextlib.closing(open_state(folder / "state")) as state:
        file = state.folder.path / KEY_FILE
        state.vault(lambda may_be_new: Keys.of(None, file, may_be_new=may_be_new)).add(account)
    return f"state: '{folder / 'state'}'"


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_a_stored_account_is_tried_with_what_its_provider_granted(
    fake: FakeImap, drop: Mailbox, tmp_path: Path, mechanism: str
) -> None:
    """The fake takes a password for a token."""
    fake.settings.capabilities = ["IMAP4rev1", f"AUTH={mechanism}"]
    fake.on("GREETING", Edit("AUTH=", "LOGINDISABLED AUTH="))  # even over TLS
    token = Secret(drop.password)
    grant = Grant("google", Renewal.REFRESH, since=time.time(), access=token, expires=time.time() + 3600)
    account = StoredAccount(drop.user, own_url(fake), drop.user, Secret(""), b"s" * 16, 1.0, grant=grant)
    state = keep(tmp_path, account)
    status, told = check(fake, drop, tmp_path, "", state, whom="--account")
    assert status == 0, told
    assert f"ok    login: as {drop.user}, with a token of its provider" in told
    assert "INBOX has 1 message, 16 octets" in told
    assert "note  passwords: the upstream takes tokens only" in told


def test_so_is_one_with_a_password(fake: FakeImap, drop: Mailbox, tmp_path: Path) -> None:
    state = keep(tmp_path, StoredAccount(drop.user, "", drop.user, Secret(drop.password), b"s" * 16, 1.0))
    status, told = check(fake, drop, tmp_path, "", state, whom="--account")
    assert status == 0, told
    assert f"ok    login: as {drop.user}\n" in told


def test_an_account_elsewhere_is_looked_at_before_the_usual_upstream(
    fake: FakeImap, drop: Mailbox, certificates: Certificates, tmp_path: Path
) -> None:
    """It may be well where that is not."""
    with FakeImap(certificates) as elsewhere:
        theirs = new_mailbox(elsewhere)
        account = StoredAccount(
            drop.user, own_url(elsewhere), theirs.user, Secret(theirs.password), b"s" * 16, 1.0
        )
        state = keep(tmp_path, account)
        fake.stop()
        status, told = check(fake, drop, tmp_path, "", state, whom="--account")
    assert status == 1
    assert f"ok    login: as {theirs.user}\n" in told
    assert "the connection was refused" in told.splitlines()[-1]


def test_a_grant_that_has_ended_is_told(fake: FakeImap, drop: Mailbox, tmp_path: Path) -> None:
    now = time.time()
    grant = Grant("google", Renewal.REFRESH, since=now, tried=now, trouble="invalid_grant: it was revoked")
    account = StoredAccount(drop.user, own_url(fake), drop.user, Secret(""), b"s" * 16, 1.0, grant=grant)
    state = keep(tmp_path, account)
    status, told = check(fake, drop, tmp_path, "", state, whom="--account")
    assert status == 1
    how = f"type `pop3-gateway account authorize {drop.user}`"
    assert f"login as {drop.user}: invalid_grant: it was revoked; {how}" in told


def test_an_account_that_is_not_there_is_told(fake: FakeImap, drop: Mailbox, tmp_path: Path) -> None:
    status, told = check(fake, drop, tmp_path, "", f"state: '{tmp_path / 'state'}'", whom="--account")
    assert status == 2
    assert f"there is no account {drop.user}" in told
    assert list(tmp_path.iterdir()) == [tmp_path / "gateway.yaml"]  # and no state folder is made for it
