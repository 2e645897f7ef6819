"""APOP and CRAM-MD5."""

import hashlib
import hmac

import pytest

from gateway.errors import BadCredentials
from gateway.sasl import ITERATIONS, Key, Keyring, Occasion, Proof, Secret, apop
from tests.sasl.exchanges import OCCASION, SALT, Client, Told, converse, finish

KEYRING = Keyring(
    SALT, ITERATIONS, (Key("phone", Secret("one")), Key("hashed"), Key("printer", Secret("tanstaaf")))
)


def silent(challenge: bytes) -> bytes:
    raise AssertionError(f"APOP has no challenge, and here is {challenge!r}")


def crammed(user: str, password: bytes) -> Client:
    return lambda stamp: f"{user} {hmac.new(password, stamp, hashlib.md5).hexdigest()}".encode()


def test_apop_has_the_digest_of_the_rfcs_example() -> None:
    """RFC 1939 section 7."""
    exchange = apop(OCCASION, "mrose", "c4c9334bac560ecc979e58001b3e22fb")
    assert finish(exchange, silent, KEYRING) == Told(["mrose"], Proof("mrose", "printer"))


def test_cram_md5_has_the_digest_of_the_rfcs_example() -> None:
    """RFC 2195 section 2; the password is that of the example above."""
    occasion = Occasion("<1896.697170952@postoffice.reston.mci.net>", "")
    keyring = Keyring(SALT, ITERATIONS, (Key("printer", Secret("tanstaaftanstaaf")),))
    told = converse("CRAM-MD5", lambda _: b"tim b913a602c7eda7a495b4e6e7334d3890", keyring, occasion)
    assert told == Told(["tim"], Proof("tim", "printer"))


@pytest.mark.parametrize("user", ["ann", "a b", "jürgen@exämple.org"])
def test_every_password_of_the_account_works(user: str) -> None:
    for password, name in ((b"one", "phone"), (b"tanstaaf", "printer")):
        assert converse("CRAM-MD5", crammed(user, password), KEYRING) == Told([user], Proof(user, name))


@pytest.mark.parametrize(
    "client", [crammed("ann", b"wrong"), crammed("ann", b""), lambda _: b"ann ", lambda _: b"a"]
)
def test_a_wrong_digest_is_refused(client: Client) -> None:
    with pytest.raises(BadCredentials):
        converse("CRAM-MD5", client, KEYRING)


def test_where_no_password_could_be_right_the_log_says_what_to_do() -> None:
    for keyring, said in ((Keyring(SALT, ITERATIONS, (Key("hashed"),)), "make a new one"), (KEYRING, "is wrong")):
        with pytest.raises(BadCredentials, match=said) as refused:
            converse("CRAM-MD5", crammed("ann", b"wrong"), keyring)
        assert refused.value.reply == BadCredentials.text


@pytest.mark.parametrize("digest", ["0" * 32, "", "x"])
def test_a_wrong_apop_digest_is_refused(digest: str) -> None:
    for keyring in (KEYRING, Keyring(SALT, ITERATIONS)):
        with pytest.raises(BadCredentials):
            finish(apop(OCCASION, "mrose", digest), silent, keyring)
