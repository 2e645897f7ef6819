"""New accounts and app passwords, as the command line asks for them and as an operator lists them."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from gateway.accounts.app_passwords import SALT_OCTETS, forms, generate, generate_name
from gateway.errors import BadRecord
from gateway.maildrop import OnDelete
from gateway.networks import network_of
from gateway.ports import AppPassword, Grant, Renewal, StoredAccount
from gateway.sasl import Secret

NAME_OCTETS = 255  # of a login name: RFC 2449 section 4 lets a whole command line have no more
_UNATTENDED = {  # as --flow of `account add` has them
    "client-credentials": Renewal.CLIENT,
    "service-account": Renewal.ASSERTION,
    "password": Renewal.PASSWORD,
}
# Controls, which nobody could type and a terminal would obey, and halves of characters: octets that were no text.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_END_OF_DAYS = datetime.max.replace(tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Terms:
    """What a password is good for; see AppPassword."""

    label: str = ""
    expires: float = 0.0
    read_only: bool = False
    folder: str = ""
    networks: tuple[str, ...] = ()
    on_delete: OnDelete | None = None


def new_account(
    login: str,
    secret: Secret,
    now: float,
    *,
    user: str = "",
    upstream: str = "",
    folder: str = "",
    on_delete: OnDelete | None = None,
) -> StoredAccount:
    """Without app passwords. `user`, upstream, is `login` where it is not said; without a `secret` it is a master
    user who logs in there. Raises BadRecord.
    """
    salt = secrets.token_bytes(SALT_OCTETS)
    return usable(StoredAccount(login, upstream, user or login, secret, salt, now, folder, on_delete))


def usable(account: StoredAccount) -> StoredAccount:
    """The same, whoever made it. Raises BadRecord where nobody could log in to it, or have it listed."""
    if not account.login:
        raise BadRecord("an account needs a login name")
    _demand_names(("login name", account.login), ("user", account.user), ("folder", account.folder))
    if len(account.salt) != SALT_OCTETS or not _is_time(account.created):
        raise BadRecord("its salt, or the time when it was made, cannot be")
    if len({password.name for password in account.passwords}) < len(account.passwords):
        raise BadRecord("two of its passwords have one name")
    for password in account.passwords:
        _demand_usable(password)
    return account


def _demand_usable(password: AppPassword) -> None:
    _demand_names(("password's name", password.name), ("label", password.label), ("folder", password.folder))
    for network in password.networks:
        _network(network)
    if not (password.hashed.isascii() and all(map(_is_time, (password.created, password.used, password.expires)))):
        raise BadRecord("the hash of a password, or one of its times, cannot be")


def _demand_names(*names: tuple[str, str]) -> None:
    for what, name in names:
        if _CONTROL.search(name) or len(name.encode()) > NAME_OCTETS:
            raise BadRecord(f"the {what} has control characters, or more than {NAME_OCTETS} octets")


def _is_time(seconds: float) -> bool:
    return 0 <= seconds <= _END_OF_DAYS


def with_secret(account: StoredAccount, secret: Secret) -> StoredAccount:
    """When the password at the upstream is another."""
    return replace(account, secret=secret)


def new_password(
    account: StoredAccount, terms: Terms, now: float, *, readable: bool, given: Secret | None = None
) -> tuple[AppPassword, Secret]:
    """A generated password, or the one that is given, and its stored form. Takes a tenth of a second.

    Raises BadRecord.
    """
    demand_possible(terms, now)
    password = given or Secret(generate())
    name = generate_name([known.name for known in account.passwords])
    key, hashed = forms(name, password, account.salt, readable=readable)
    networks = tuple(_network(network) for network in terms.networks)
    made = AppPassword(
        name,
        terms.label,
        key,
        hashed,
        now,
        expires=terms.expires,
        read_only=terms.read_only,
        folder=terms.folder,
        networks=networks,
        on_delete=terms.on_delete,
    )
    _demand_usable(made)
    return made, password


def demand_possible(terms: Terms, now: float) -> None:
    """Raises BadRecord where a password would never open anything."""
    if terms.expires and terms.expires <= now:
        raise BadRecord("a password that has expired already opens nothing")
    for network in terms.networks:
        _network(network)


def _network(text: str) -> str:
    try:
        return str(network_of(text))
    except ValueError as error:
        raise BadRecord(f"{error}; a network is like 192.0.2.0/24 or 2001:db8::/48") from None


def read_record(record: Mapping[str, Any], now: float, *, readable: bool) -> StoredAccount:
    """What an operator wrote: `login`, and what else is wanted: `secret`, the password at the upstream; `user`,
    `upstream`, `folder`, `on_delete`; `provider` and `flow`, where nobody has to sign in for the mailbox; and
    `passwords`, a list with `password` and the fields of Terms each.

    Raises BadRecord.
    """
    fields = dict(record)
    passwords = fields.pop("passwords", [])
    if not isinstance(passwords, list) or not all(isinstance(entry, dict) for entry in passwords):
        raise BadRecord("passwords is a list of objects")
    secret = Secret(_take_text(fields, "secret"))
    texts = {name: _take_text(fields, name) for name in ("login", "user", "upstream", "folder")}
    on_delete, grant = _take_on_delete(fields), _take_grant(fields, now)
    _demand_none_left(fields)
    account = replace(new_account(secret=secret, now=now, on_delete=on_delete, **texts), grant=grant)
    for entry in passwords:
        said = dict(entry)
        given = Secret(_take_text(said, "password"))
        if not given.reveal():
            raise BadRecord("a password is empty")
        made, _ = new_password(account, _take_terms(said), now, readable=readable, given=given)
        account = replace(account, passwords=(*account.passwords, made))
    return account


def _take_terms(said: dict[str, Any]) -> Terms:
    networks, read_only = said.pop("networks", []), said.pop("read_only", False)
    if not isinstance(networks, list) or not isinstance(read_only, bool):
        raise BadRecord("networks is a list of texts, read_only is true or false")
    terms = Terms(
        _take_text(said, "label"),
        expires_at(_take_text(said, "expires")),
        read_only,
        _take_text(said, "folder"),
        tuple(map(str, networks)),
        _take_on_delete(said),
    )
    _demand_none_left(said)
    return terms


def expires_at(text: str) -> float:
    """The end of a day like 2027-01-31, UTC, in seconds since the epoch; 0 for "". Raises BadRecord."""
    if not text:
        return 0.0
    try:
        end = date.fromisoformat(text) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise BadRecord(f"{text!r} is no day; write it like 2027-01-31") from None
    return datetime.combine(end, time(), UTC).timestamp()


def last_day(expires: float) -> str:
    """What expires_at() was given; "" for 0."""
    return f"{datetime.fromtimestamp(expires, UTC) - timedelta(microseconds=1):%Y-%m-%d}" if expires else ""


def _take_grant(fields: dict[str, Any], now: float) -> Grant | None:
    """One that gives its first token when it is needed."""
    provider, flow = _take_text(fields, "provider"), _take_text(fields, "flow")
    if not provider and not flow:
        return None
    if not provider or flow not in _UNATTENDED:
        raise BadRecord(f"provider wants a flow of {', '.join(_UNATTENDED)}; with any other its owner signs in")
    return Grant(provider, _UNATTENDED[flow], now)


def _take_text(fields: dict[str, Any], name: str) -> str:
    value = fields.pop(name, "")
    if not isinstance(value, str):
        raise BadRecord(f"{name} is a text")
    return value


def _take_on_delete(fields: dict[str, Any]) -> OnDelete | None:
    text = _take_text(fields, "on_delete")
    try:
        return OnDelete(text) if text else None
    except ValueError:
        raise BadRecord(f"on_delete is one of {', '.join(known.value for known in OnDelete)}") from None


def _demand_none_left(fields: Mapping[str, Any]) -> None:
    if fields:
        raise BadRecord(f"unknown: {', '.join(sorted(map(str, fields)))}")
