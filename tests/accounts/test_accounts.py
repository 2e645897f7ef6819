"""Whose mailbox a login opens."""

from gateway.accounts import PassThrough
from gateway.maildrop import Policy
from gateway.ports import Endpoint, TlsMode
from gateway.sasl import Credentials, Secret


async def test_pass_through_hands_name_and_password_on_as_they_are() -> None:
    endpoint = Endpoint("imap.example.com", 993, TlsMode.IMPLICIT)
    credentials = Credentials(" Ann ", Secret(' "p" '))
    account = await PassThrough(endpoint, "INBOX", Policy()).resolve(credentials)
    assert account.credentials is credentials
    assert account.endpoint is endpoint
