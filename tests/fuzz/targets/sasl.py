"""What a client sends within AUTH, a response a line: it ends in the right claim, or in BadCredentials.

Nobody here knows the password that the keyring has, so nobody proves anything.
"""

import re
from random import Random

from gateway.errors import BadCredentials
from gateway.sasl import (
    HASHES,
    ITERATIONS,
    MECHANISMS,
    Bearer,
    Certified,
    Credentials,
    Key,
    Keyring,
    Occasion,
    Question,
    Secret,
    scram_keys,
)
from tests.fuzz.bugs import Bug, demand

TOKENS = (
    *(b"\0", b"\0ann\0secret", b"ann\0ann\0secret", b"ann", b"secret", b"\n", b"\xff", b"\xc3\xbc", b"\r"),
    *(b"\xed\xa0\x80", b"n,,", b"n,a=ann,", b"user=ann\1auth=Bearer x\1\1", b"a" * 3000, b" ", b"=", b"*"),
)
MOST_RESPONSES = 9  # no mechanism has more
_PLAIN = re.compile(rb"(?s)([^\0]*)\0([^\0]+)\0([^\0]+)")


OCCASION = Occasion("<1@pop.example.com>", "nonce", {"tls-server-end-point": b"end point"}, ("ann@example.com",))
SALT = b"a salt of sixteen"
PASSWORD = "nobody-says-this"
KEYRING = Keyring(
    SALT,
    ITERATIONS,
    (Key("1", Secret(PASSWORD), {name: scram_keys(name, PASSWORD, SALT, ITERATIONS) for name in HASHES}),),
)


def run(octets: bytes, random: Random) -> str:
    responses = octets.split(b"\n", MOST_RESPONSES)
    return " ".join(f"{name}: {_exchange(name, responses)}" for name in sorted(MECHANISMS))


def _exchange(name: str, responses: list[bytes]) -> str:
    exchange = MECHANISMS[name].begin(OCCASION)
    wanted = WANTED[name](responses) if name in WANTED else None
    demand(isinstance(next(exchange), bytes), "a challenge is octets")
    for response in responses:
        try:
            said = exchange.send(response)
            if isinstance(said, Question):
                demand("\0" not in said.user, f"no user is called {said.user!r}")
                said = exchange.send(KEYRING)
            demand(isinstance(said, bytes), "a challenge is octets")
        except StopIteration as end:
            return _judge(end.value, wanted)
        except BadCredentials as error:
            demand(wanted is None, f"{responses} are good {name}, and are refused: {error}")
            demand(error.reply.isprintable(), f"the client reads {error.reply!r}")
            return "refused"
    return "goes on"


def _judge(found: object, wanted: tuple[bytes, bytes] | None) -> str:
    if isinstance(found, Certified):
        demand(found.names == OCCASION.certified, f"{found} is not what the certificate says")
        return "certified"
    if not isinstance(found, Credentials | Bearer):
        raise Bug(f"an exchange ends in {found!r}")
    user, secret = found.user.encode(), found.secret.reveal().encode()
    demand(wanted is None or (user, secret) == wanted, f"{(user, secret)} instead of {wanted}")
    demand(bool(user and secret) and b"\0" not in user + secret, f"{(user, secret)} cannot log in anywhere")
    return "token" if isinstance(found, Bearer) else "credentials"


def _plain(responses: list[bytes]) -> tuple[bytes, bytes] | None:
    """RFC 4616 section 2."""
    found = _PLAIN.fullmatch(responses[0])
    if not found or not _is_utf8(found[0]):
        return None
    return found[2], found[3]


def _login(responses: list[bytes]) -> tuple[bytes, bytes] | None:
    match responses:
        case [name, password, *_] if name and password and _is_utf8(name) and _is_utf8(password):
            return None if b"\0" in name + password else (name, password)
    return None


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


# The credentials that the responses hold, told by other means; None: they hold none.
WANTED = {"PLAIN": _plain, "LOGIN": _login}
