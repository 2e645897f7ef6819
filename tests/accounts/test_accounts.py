"""Whose mailbox a login opens."""

from dataclasses import replace

import pytest

from gateway.accounts import PassThrough
from gateway.errors import BadCredentials
from gateway.maildrop import Policy
from gateway.ports import Endpoint, Peer, TlsMode
from gateway.sasl import Credentials, Secret


async def test_pass_through_hands_name_and_password_on_as_they_are() -> None:
    endpoint = Endpoint("imap.example.com", 993, TlsMode.IMPLICIT)
    credentials = Credentials(" Ann ", Secret(' "p" '))
    account = await PassThrough(endpoint, "INBOX", Policy()).resolve(credentials, Peer("192.0.2.1"))
    assert account.credentials is credentials
    assert account.endpoint is endpoint


@pytest.mark.parametrize(("user", "authorization"), [("bob*master", ""), ("master", "bob")])
async def test_nobody_names_another_and_tries_the_masters_password(user: str, authorization: str) -> None:
    """Guesses at it would count for as many accounts as there are names."""
    endpoint = Endpoint("imap.example.com", 993, TlsMode.IMPLICIT, master_separator="*")
    accounts = PassThrough(endpoint, "INBOX", Policy())
    with pytest.raises(BadCredentials, match="somebody else"):
        await accounts.resolve(Credentials(user, Secret("p"), authorization), Peer("192.0.2.1"))
    elsewhere = PassThrough(replace(endpoint, master_separator=""), "INBOX", Policy())
    opened = await elsewhere.resolve(Credentials("bob*master", Secret("p")), Peer("192.0.2.1"))
    assert opened.user == "bob*master"
