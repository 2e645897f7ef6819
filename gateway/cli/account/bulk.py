"""account export and import: all accounts at once."""

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import click

from gateway.accounts import made
from gateway.app.state import vault_of
from gateway.cli.options import own_settings, with_settings
from gateway.cli.sign_in import Flow, demand
from gateway.cli.terminal import bar, counted, many, say
from gateway.config import OwnSettings
from gateway.errors import AccountExists, BadRecord, SettingsError
from gateway.ports import StoredAccount, Vault

SHOWN_FAULTS = 20


@click.command("export", short_help="All accounts as JSON lines, still encrypted.")
@click.argument("lines", metavar="FILE", type=click.Path(path_type=Path))
@with_settings
def export(lines: Path, **given: Any) -> None:
    """Write all accounts into FILE (-: standard output), one JSON object a line.

    What is secret stays encrypted: whoever imports it needs the keys of this vault, too.
    """
    count = 0
    with vault_of(own_settings(**given)) as accounts:
        if accounts.is_unused:
            raise BadRecord("there are no accounts yet")
        with _output(lines) as out, counted("accounts") as progress:
            for record in progress.track(accounts.dump()):
                print(json.dumps(record, ensure_ascii=False), file=out)
                count += 1
    say(many(count, "account"))


@click.command("import", short_help="Accounts of an export, or of a list of your own.")
@click.argument("lines", metavar="FILE", type=click.Path(path_type=Path))
@with_settings
def import_(lines: Path, **given: Any) -> None:
    """Take the accounts in FILE (-: standard input), one JSON object a line; those that exist stay as they are.

    A list of your own has `login` and `secret` (the password at the upstream), or `provider` and `flow`
    (client-credentials, service-account) where nobody has to sign in; and if wanted `user`, `upstream`, `folder`,
    `on_delete`, and `passwords`, a list with `password`, `label`, `read_only`, `folder`, `networks`, `expires` and
    `on_delete` each. Remove it afterwards: it holds passwords in clear.
    """
    chosen = own_settings(**given)
    faults, taken = [], 0
    with vault_of(chosen) as accounts:
        for number, line in _lines(lines):
            try:
                _take(chosen, accounts, _parsed(line))
                taken += 1
            except (BadRecord, AccountExists, SettingsError) as error:
                faults.append(f"line {number}: {error}")
    for fault in faults[:SHOWN_FAULTS]:
        say(fault)
    if len(faults) > SHOWN_FAULTS:
        say(f"and {len(faults) - SHOWN_FAULTS} more")
    say(f"{many(taken, 'account')} taken, {len(faults)} not")
    if faults:
        sys.exit(2)  # whoever wrote the list can mend it


def _take(chosen: OwnSettings, accounts: Vault, record: Mapping[str, Any]) -> None:
    new = _read(accounts, record, readable=chosen.accounts.readable_passwords)
    if new.upstream:
        chosen.elsewhere(new.upstream)  # raises where it is no URL of ours
    has_master = bool(chosen.upstream and chosen.upstream.master.user and not new.upstream)
    if not (new.secret.reveal() or new.grant or has_master):
        raise BadRecord(f"{new.login} has neither secret nor provider, and there is no upstream.master for it")
    if "login" in record and new.grant is not None:
        demand(chosen.client(new.grant.provider), Flow.of(new.grant.renewal))
    accounts.add(new)


def _read(accounts: Vault, record: Mapping[str, Any], *, readable: bool) -> StoredAccount:
    """Raises BadRecord."""
    if "login" in record:
        return made.read_record(record, time.time(), readable=readable)
    return made.usable(accounts.dumped(record))  # an export's own form


def _parsed(line: str) -> Mapping[str, Any]:
    try:
        record = json.loads(line)
        json.dumps(record, ensure_ascii=False).encode()  # halves of characters stand for nothing
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"not JSON: {error}") from None
    if not isinstance(record, dict):
        raise BadRecord("an account is a JSON object")
    return record


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """With their numbers, and a bar that shows how far it is. Raises BadRecord."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRecord(f"{file}: {error}") from error
    lines = text.split("\n")  # and at nothing else that is a line's end somewhere: a label may have it
    with bar() as progress:
        for number, line in progress.track(list(enumerate(lines, 1)), description="accounts"):
            if line.strip():
                yield number, line


@contextlib.contextmanager
def _output(file: Path) -> Iterator[TextIO]:
    """Closed to others, and there once it is whole: the one before may be the only good one. Raises BadRecord."""
    try:
        if str(file) == "-":
            yield sys.stdout
            sys.stdout.flush()
        elif file.exists() and not file.is_file():  # a pipe, or a terminal
            with file.open("w", encoding="utf-8") as out:
                yield out
        else:
            with _draft(file.resolve()) as out:
                yield out
    except OSError as error:
        raise BadRecord(f"{file} cannot be written whole: {error.strerror}") from error


@contextlib.contextmanager
def _draft(file: Path) -> Iterator[TextIO]:
    """Takes the file's place at the end. Raises OSError."""
    descriptor, draft = tempfile.mkstemp(prefix=f"{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            yield out
            out.flush()
            os.fsync(descriptor)
        Path(draft).replace(file)
    except BaseException:
        Path(draft).unlink()
        raise
