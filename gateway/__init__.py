"""pop3-gateway: a POP3 server whose maildrop is a mailbox on a remote IMAP server."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("pop3-gateway")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
