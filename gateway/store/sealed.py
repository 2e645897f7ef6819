"""What is encrypted, as JSON: an app password's keys, and what a provider has granted."""

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

from gateway.ports import Grant, Registration, Renewal
from gateway.sasl import Key, ScramKeys, Secret


def key_text(key: Key) -> str:
    """The password itself where it is kept, and two octet strings for each SCRAM hash."""
    scram = {
        name: [base64.b64encode(octets).decode("ascii") for octets in (keys.stored_key, keys.server_key)]
        for name, keys in key.scram.items()
    }
    return json.dumps({"secret": _said(key.secret), "scram": scram})


def key_of(name: str, text: str) -> Key:
    forms: dict[str, Any] = json.loads(text)
    scram = {hashed: ScramKeys(*_octets(keys)) for hashed, keys in forms["scram"].items()}
    return Key(name, _secret(forms["secret"]), scram)


def grant_text(grant: Grant) -> str:
    forms = {
        "provider": grant.provider,
        "renewal": grant.renewal.value,
        "client_id": grant.registration.client_id,
        "client_secret": _said(grant.registration.client_secret),
        "refresh": _said(grant.refresh),
        "access": _said(grant.access),
    }
    return json.dumps(forms | {name: getattr(grant, name) for name in _AS_THEY_ARE})


def grant_of(text: str) -> Grant:
    """What an earlier version has not written is as in a new one."""
    forms: dict[str, Any] = json.loads(text)
    return Grant(
        provider=forms["provider"],
        renewal=Renewal(forms["renewal"]),
        registration=Registration(forms["client_id"], _secret(forms["client_secret"])),
        refresh=_secret(forms["refresh"]),
        access=_secret(forms["access"]),
        **{name: forms[name] for name in _AS_THEY_ARE if name in forms},
    )


_AS_THEY_ARE = ("since", "renewed", "expires", "turned_down", "tried", "fault", "trouble")


def _said(secret: Secret | None) -> str | None:
    return secret.reveal() if secret else None


def _secret(text: str | None) -> Secret | None:
    return None if text is None else Secret(text)


def _octets(texts: Iterable[str]) -> Iterator[bytes]:
    return map(base64.b64decode, texts)
