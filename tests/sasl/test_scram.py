"""SCRAM: the examples of the RFCs, another implementation's client, and everything a liar may try."""

import base64
import hashlib
import hmac

import pytest
from scramp import ScramClient

from gateway.errors import BadCredentials
from gateway.sasl import HASHES, Key, Keyring, Occasion, Proof, scram_keys
from tests.sasl.exchanges import BOUND, OCCASION, SALT, Client, Told, converse, key

ITERATIONS = 4096
PLAIN_AND_PLUS = [f"SCRAM-{algorithm}{plus}" for algorithm in HASHES for plus in ("", "-PLUS")]
KEYRING = Keyring(SALT, ITERATIONS, (key("phone", "one"), key("printer", "pencil"), key("spare", "three")))


def told(*responses: bytes) -> tuple[Client, list[bytes]]:
    """A client that says these, and the challenges that it was sent."""
    heard: list[bytes] = []
    rest = iter(responses)

    def client(challenge: bytes) -> bytes:
        heard.append(challenge)
        return next(rest)

    return client, heard


def in_turn(*steps: Client) -> Client:
    rest = iter(steps)

    def client(challenge: bytes) -> bytes:
        step = next(rest)
        return step(challenge)

    return client


def peer(mechanism: str, user: str, password: str, binding: tuple[str, bytes] | None = None) -> Client:
    """Another implementation's client. Raises where it does not believe the server."""
    client = ScramClient([mechanism], user, password, channel_binding=binding)

    def first(_: bytes) -> bytes:
        return str(client.get_client_first()).encode()

    def final(challenge: bytes) -> bytes:
        client.set_server_first(challenge.decode())
        return str(client.get_client_final()).encode()

    def end(challenge: bytes) -> bytes:
        client.set_server_final(challenge.decode())
        return b""

    return in_turn(first, final, end)


def as_peer(mechanism: str, user: str, password: str, keyring: Keyring = KEYRING) -> Told:
    bound = ("tls-server-end-point", BOUND.bindings["tls-server-end-point"]) if "PLUS" in mechanism else None
    return converse(mechanism, peer(mechanism, user, password, bound), keyring, BOUND if bound else OCCASION)


@pytest.mark.parametrize(
    ("mechanism", "nonce", "salt", "responses", "challenges"),
    [
        pytest.param(
            "SCRAM-SHA-1",
            "3rfcNHYJY1ZVvWVs7j",
            "QSXCR+Q6sek8bf92",
            (
                b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
                b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
                b"",
            ),
            [
                b"",
                b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
                b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
            ],
            id="RFC 5802 section 5",
        ),
        pytest.param(
            "SCRAM-SHA-256",
            "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
            "W22ZaJ0SNY7soEsUEjb6gQ==",
            (
                b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
                (
                    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                    b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
                ),
                b"",
            ),
            [
                b"",
                b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
                b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            ],
            id="RFC 7677 section 3",
        ),
    ],
)
def test_the_examples_of_the_rfcs(
    mechanism: str, nonce: str, salt: str, responses: tuple[bytes, ...], challenges: list[bytes]
) -> None:
    octets = base64.b64decode(salt)
    algorithm = mechanism.removeprefix("SCRAM-")
    keys = {algorithm: scram_keys(algorithm, "pencil", octets, ITERATIONS)}
    client, heard = told(*responses)
    keyring = Keyring(octets, ITERATIONS, (Key("1", scram=keys),))
    assert converse(mechanism, client, keyring, Occasion("", nonce)) == Told(["user"], Proof("user", "1"))
    assert heard == challenges


@pytest.mark.parametrize("mechanism", PLAIN_AND_PLUS)
@pytest.mark.parametrize("user", ["ann", "ann@example.com", "a,b=c", "jürgen", "日本語"])
def test_another_implementation_logs_in_and_believes_us(mechanism: str, user: str) -> None:
    for password, name in (("one", "phone"), ("pencil", "printer"), ("three", "spare")):
        assert as_peer(mechanism, user, password) == Told([user], Proof(user, name))


@pytest.mark.parametrize("password", ["pa\u00adss", "\ufb01ne\u00a0day", "cafe\u0301"])
def test_another_implementation_writes_passwords_as_we_do(password: str) -> None:
    keyring = Keyring(SALT, ITERATIONS, (key("phone", password),))
    assert as_peer("SCRAM-SHA-256", "ann", password, keyring).claim == Proof("ann", "phone")


@pytest.mark.parametrize("mechanism", PLAIN_AND_PLUS)
def test_a_wrong_password_and_a_name_without_keys_are_refused_alike(mechanism: str) -> None:
    refusals = []
    for keyring in (KEYRING, Keyring(SALT, ITERATIONS), Keyring(SALT, ITERATIONS, (Key("hashed"),))):
        with pytest.raises(BadCredentials) as caught:
            as_peer(mechanism, "ann", "wrong", keyring)
        refusals.append(caught.value.reply)
    assert set(refusals) == {BadCredentials().reply}


def test_another_connections_certificate_is_noticed() -> None:
    """Somebody in the middle has a certificate of its own, and passes on what it hears."""
    client = peer("SCRAM-SHA-256-PLUS", "ann", "pencil", ("tls-server-end-point", b"a hash of another"))
    with pytest.raises(BadCredentials, match="channel binding"):
        converse("SCRAM-SHA-256-PLUS", client, KEYRING, BOUND)


def test_hiding_the_plus_from_the_client_is_noticed() -> None:
    """The client could have bound the channel, and says that it saw no -PLUS (RFC 5802 section 6)."""
    client, _ = told(b"y,,n=ann,r=abc")
    with pytest.raises(BadCredentials, match="hidden"):
        converse("SCRAM-SHA-256", client, KEYRING, BOUND)


def first(message: bytes) -> tuple[str, tuple[bytes, ...]]:
    return "SCRAM-SHA-256", (message,)


@pytest.mark.parametrize(
    ("mechanism", "responses", "why"),
    [
        (*first(b""), "understood"),
        (*first(b"\xff"), "UTF-8"),
        (*first(b"n,,n=ann"), "understood"),
        (*first(b"n,,r=abc,n=ann"), "understood"),
        (*first(b"n,,m=x,n=ann,r=abc"), "understood"),
        (*first(b"x,,n=ann,r=abc"), "understood"),
        (*first(b"n,,n=a=2cb,r=abc"), "name"),
        (*first(b"n,,n=a=b,r=abc"), "name"),
        (*first(b"n,,n=a\0b,r=abc"), "name"),
        (*first(b"p=tls-unique,,n=ann,r=abc"), "PLUS"),
        ("SCRAM-SHA-256-PLUS", (b"n,,n=ann,r=abc",), "PLUS"),
        ("SCRAM-SHA-256-PLUS", (b"p=tls-exporter,,n=ann,r=abc",), "there is tls-server-end-point"),
        ("SCRAM-SHA-256", (b"n,,n=ann,r=abc", b""), "answer"),
        ("SCRAM-SHA-256", (b"n,,n=ann,r=abc", b"c=biws,r=abc,p=AAAA"), "answer"),
        ("SCRAM-SHA-256", (b"n,,n=ann,r=abc", b"c=biws,r=abcserver"), "answer"),
        ("SCRAM-SHA-256", (b"n,,n=ann,r=abc", b"c=%,r=abcserver,p=AAAA"), "base64"),
        ("SCRAM-SHA-256", (b"n,,n=ann,r=abc", b"c=biws,r=abcserver,p=%"), "base64"),
        ("SCRAM-SHA-256", (b"n,,n=ann,r=abc", b"c=eSws,r=abcserver,p=AAAA"), "channel binding"),
        ("SCRAM-SHA-256", (b"n,,n=ann,r=abc", b"c=biws,r=abcserver,p=AAAA"), "wrong"),
        ("SCRAM-SHA-256", (b"n,,n=ann,r=abc", b"c=biws,r=abcserver,p=" + base64.b64encode(bytes(32))), "wrong"),
    ],
)
def test_what_is_no_login_is_bad_credentials_and_says_why(
    mechanism: str, responses: tuple[bytes, ...], why: str
) -> None:
    occasion = Occasion("", "server", BOUND.bindings if mechanism.endswith("PLUS") else {})
    client, _ = told(*responses)
    with pytest.raises(BadCredentials, match=why):
        converse(mechanism, client, KEYRING, occasion)


def test_whose_mailbox_it_is_to_be_may_be_said() -> None:
    """The same client, with a name of RFC 5802's `authzid` in its header: it is bound like the rest."""

    def asking_for_bob(client: Client) -> Client:
        def say(challenge: bytes) -> bytes:
            return client(challenge).replace(b"n,,n=", b"n,a=bob=2Cjun.,n=")

        return say

    with pytest.raises(BadCredentials, match="channel binding"):
        converse("SCRAM-SHA-256", asking_for_bob(peer("SCRAM-SHA-256", "ann", "pencil")), KEYRING)
    told = converse("SCRAM-SHA-256", own_client("n,a=bob=2Cjun.,", "ann", "pencil"), KEYRING)
    assert told.claim == Proof("ann", "printer", "bob,jun.")
    told = converse("SCRAM-SHA-256", own_client("n,a=ann,", "ann", "pencil"), KEYRING)
    assert told.claim == Proof("ann", "printer")  # who asks to be himself


def own_client(header: str, user: str, password: str) -> Client:
    """RFC 5802 section 3, for headers that no library's client writes."""
    bare = f"n={user},r=abc"

    def final(server_first: bytes) -> bytes:
        fields = dict(field.split("=", 1) for field in server_first.decode().split(","))
        without_proof = f"c={base64.b64encode(header.encode()).decode()},r={fields['r']}"
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        message = f"{bare},{server_first.decode()},{without_proof}".encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    return in_turn(lambda _: f"{header}{bare}".encode(), final, lambda _: b"")
