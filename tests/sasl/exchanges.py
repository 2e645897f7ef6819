"""Exchanges driven to their end, with the questions answered."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.sasl import (
    HASHES,
    ITERATIONS,
    MECHANISMS,
    Claim,
    Exchange,
    Key,
    Keyring,
    Occasion,
    Question,
    Secret,
    scram_keys,
)

OCCASION = Occasion("<1896.697170952@dbc.mtview.ca.us>", "3rfcNHYJY1ZVvWVs7j")
BOUND = replace(OCCASION, bindings={"tls-server-end-point": b"a hash of the certificate"})
SALT = b"sixteen octets!!"

Client = Callable[[bytes], bytes]  # a challenge in, the response out


def key(name: str, password: str, salt: bytes = SALT) -> Key:
    keys = {algorithm: scram_keys(algorithm, password, salt, ITERATIONS) for algorithm in HASHES}
    return Key(name, Secret(password), keys)


@dataclass(frozen=True)
class Told:
    asked: list[str]  # whose keys were asked for
    claim: Claim


def converse(mechanism: str, client: Client, keyring: Keyring, occasion: Occasion = OCCASION) -> Told:
    """Raises what the exchange raises."""
    return finish(MECHANISMS[mechanism].begin(occasion), client, keyring)


def finish(exchange: Exchange, client: Client, keyring: Keyring) -> Told:
    asked: list[str] = []
    try:
        said = next(exchange)
        while True:
            if isinstance(said, Question):
                asked.append(said.user)
                said = exchange.send(keyring)
            else:
                said = exchange.send(client(said))
    except StopIteration as end:
        return Told(asked, end.value)
