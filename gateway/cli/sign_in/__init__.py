"""Signing in at a mail provider from a terminal: by a browser here or elsewhere, a telephone, or nobody."""

from gateway.cli.sign_in.flow import PATIENCE_SECONDS, Flow, Way, demand, offered, possible, usual
from gateway.cli.sign_in.grants import granted

__all__ = [
    "PATIENCE_SECONDS",
    "Flow",
    "Way",
    "demand",
    "granted",
    "offered",
    "possible",
    "usual",
]
