"""What is in the corpus finds no bug, wherever packets end, and what has a meaning is understood."""

from random import Random

import pytest

from gateway.sasl import MECHANISMS
from tests.fuzz.failing import SEEDS
from tests.fuzz.targets import TARGETS, entries


def _ended(**otherwise: str) -> str:
    """How all mechanisms must end: refused, but for these."""
    return " ".join(f"{name}: {otherwise.get(name, 'refused')}" for name in sorted(MECHANISMS))


CORPUS = {target: entries(target) for target in TARGETS}
ALL = [(target, name) for target, kept in CORPUS.items() for name in kept]
WHOLE, MESSAGES = "message, message, deleted", "message, message, message, message"
# How these must be able to end: what a real server says has no other meaning.
ENDINGS: dict[str, dict[str, str]] = {
    "ahead": dict.fromkeys(["plain", "in-another-order", "one-looks-like-another", "one-is-nil"], "messages"),
    "fetch": {
        **dict.fromkeys(["cyrus", "courier", "dovecot", "plain", "bare-lf", "literal8"], "body, body"),
        **dict.fromkeys(["quoted-body", "unsolicited-everywhere", "uid-behind-the-body"], "body, body"),
        **dict.fromkeys(["body-nil", "flags-only"], "MessageGone, MessageGone"),
        "empty-literal": "MessageGone, body",  # the second message was listed so
        **dict.fromkeys(["ok-without-a-fetch", "dovecot-expunged"], "MessageGone, MessageGone"),
        "body-an-atom": "UpstreamError",
        "cyrus-expunged": "body, MessageGone",  # the first message lived on until the client was told
    },
    "known": {
        **dict.fromkeys(["unchanged", "two-arrived", "others-expunged-two", "expunged-meanwhile"], "known again"),
        **dict.fromkeys(["uidvalidity-changed", "uidnext-went-back", "another-date"], "listed whole"),
    },
    "listing": {
        **dict.fromkeys(["cyrus", "courier", "dovecot", "plain", "size-first", "rows-of-all-shapes"], "snapshot"),
        **dict.fromkeys(["descending", "expunged-meanwhile", "read-only", "short-and-then-whole"], "snapshot"),
        "short-and-short-again": "UpstreamError",
        "exists-negative": "UpstreamError",
    },
    "mailbox": {
        **dict.fromkeys(["plain", "gmail", "capability-asked-for", "trash-without-move"], WHOLE),
        **dict.fromkeys(["authenticate-plain", "authenticate-plain-at-once", "literal-plus"], WHOLE),
        **dict.fromkeys(["access-token-expired-and-again", "bye-within-store-and-again"], WHOLE),
        **dict.fromkeys(["cyrus", "courier", "dovecot"], f"{MESSAGES}, at hand, at hand, deleted"),
        "dovecot-without-uidplus": f"{MESSAGES}, at hand, at hand, at hand, deleted",
        "dovecot-with-trash": f"{MESSAGES}, at hand, at hand, at hand, deleted",
        "read-ahead": f"{MESSAGES}, at hand, at hand, at hand, deleted",
        "poison-message": "UpstreamUnreachable, message, deleted",
        "expunge-that-does-nothing": "message, message, UpstreamDeclined",
        "others-are-flagged": "message, message, UpstreamError",
        "select-says-what-is-said-of-passwords": "no login: UpstreamRefused",
        **{f"{name}-wrong-password": "no login: BadCredentials" for name in ("cyrus", "courier", "dovecot")},
    },
    "pop3": {
        **dict.fromkeys(["fetchmail", "thunderbird", "curl-pipelined", "all-messages-all-ways"], "QUIT"),
        "three-wrong-passwords": "too many failed logins",
        "upstream-lost-within-a-message": "broken off within a message",
    },
    "proxy": {
        **dict.fromkeys(["tcp4", "tcp6", "v2-ipv4", "v2-ipv6", "v2-ipv4-with-tlvs-and-tls-behind"], "a client"),
        **dict.fromkeys(["unknown", "v2-unix", "v2-unspecified"], "nobody"),
        **dict.fromkeys(["v2-local", "v2-local-with-addresses"], "itself"),
        **dict.fromkeys(["pop3", "tls", "line-too-long", "v2-too-short", "v2-too-long", "version-3"], "refused"),
        **dict.fromkeys(["nothing", "tcp4-without-its-end", "v2-without-its-end"], "goes on"),
    },
    "sasl": {
        "plain": _ended(PLAIN="credentials", LOGIN="goes on"),
        "login": _ended(LOGIN="credentials", EXTERNAL="certified"),
    },
    "ledger": {
        **dict.fromkeys(["schema-1", "schema-2", "schema-3", "nothing"], "recalled"),
        **dict.fromkeys(["no-database", "zeros", "from-a-newer-gateway", "a-name-that-is-no-text"], "refused"),
    },
}
HOW = [(target, name, how) for target, table in ENDINGS.items() for name, how in table.items()]


@pytest.mark.parametrize(("target", "name"), ALL, ids=["/".join(pair) for pair in ALL])
def test_an_input_of_the_corpus_finds_no_bug(target: str, name: str) -> None:
    for seed in SEEDS:
        TARGETS[target].run(CORPUS[target][name], Random(seed))


@pytest.mark.parametrize(("target", "name", "how"), HOW, ids=[f"{target}/{name}" for target, name, _ in HOW])
def test_it_ends_as_its_name_says(target: str, name: str, how: str) -> None:
    """With most seeds: what comes together with the answer to STARTTLS, for one, is another story."""
    found = [TARGETS[target].run(CORPUS[target][name], Random(seed)) for seed in range(30)]
    assert found.count(how) > 15, set(found)
