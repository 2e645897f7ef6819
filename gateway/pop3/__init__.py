"""The POP3 wire, pure: lines, commands, replies, the state table, bodies. No sockets, no clock, no settings."""

from gateway.pop3.body import BodyEncoder, encode_message
from gateway.pop3.capabilities import Offer, capabilities
from gateway.pop3.commands import Command, Malformed, SaslCancelled, SaslResponse
from gateway.pop3.connection import NEED_DATA, Connection, Event
from gateway.pop3.replies import Reply, challenge, err, ok, rows
from gateway.pop3.states import Change, State

__all__ = [
    "NEED_DATA",
    "BodyEncoder",
    "Change",
    "Command",
    "Connection",
    "Event",
    "Malformed",
    "Offer",
    "Reply",
    "SaslCancelled",
    "SaslResponse",
    "State",
    "capabilities",
    "challenge",
    "encode_message",
    "err",
    "ok",
    "rows",
]
