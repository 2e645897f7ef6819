"""OAuth 2.0: providers as data, and the ways to an access token. httpcore and Authlib load with the first."""

from gateway.oauth.device import DeviceCode, begin_device, poll_device
from gateway.oauth.guess import guess
from gateway.oauth.provider import Client, Provider
from gateway.oauth.providers import PROVIDERS
from gateway.oauth.renewal import Renewals
from gateway.oauth.signin import SignIn, begin, redeem
from gateway.oauth.usable import demand_usable

__all__ = [
    "PROVIDERS",
    "Client",
    "DeviceCode",
    "Provider",
    "Renewals",
    "SignIn",
    "begin",
    "begin_device",
    "demand_usable",
    "guess",
    "poll_device",
    "redeem",
]
