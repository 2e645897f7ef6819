"""SASL mechanisms (RFC 4422), pure: each is a generator of challenges that ends in a claim."""

from gateway.sasl.credentials import Credentials, Secret
from gateway.sasl.digests import apop
from gateway.sasl.exchange import (
    Bearer,
    Certified,
    Claim,
    Exchange,
    Key,
    Keyring,
    Occasion,
    Proof,
    Question,
    ScramKeys,
)
from gateway.sasl.mechanisms import MECHANISMS, TOKEN_MECHANISMS, TOKEN_REFUSALS, Mechanism, Needs
from gateway.sasl.prep import one_spelling, prepared
from gateway.sasl.scram import HASHES, ITERATIONS, scram_keys

__all__ = [
    "HASHES",
    "ITERATIONS",
    "MECHANISMS",
    "TOKEN_MECHANISMS",
    "TOKEN_REFUSALS",
    "Bearer",
    "Certified",
    "Claim",
    "Credentials",
    "Exchange",
    "Key",
    "Keyring",
    "Mechanism",
    "Needs",
    "Occasion",
    "Proof",
    "Question",
    "ScramKeys",
    "Secret",
    "apop",
    "one_spelling",
    "prepared",
    "scram_keys",
]
