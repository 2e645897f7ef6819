"""Sockets, TLS, limits: from an accepted connection to a session's end."""
