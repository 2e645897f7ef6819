"""SASL mechanisms (RFC 4422), pure: each is a generator of challenges that ends in credentials."""

from gateway.sasl.credentials import Credentials, Secret
from gateway.sasl.mechanisms import MECHANISMS, Exchange, Mechanism

__all__ = ["MECHANISMS", "Credentials", "Exchange", "Mechanism", "Secret"]
