"""From a login name to who it is, which upstream, and which secret."""

from gateway.accounts.pass_through import PassThrough

__all__ = ["PassThrough"]
