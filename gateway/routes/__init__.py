"""Which upstream a name goes to: rules of the settings, tried one after the other, and what they look up."""

from gateway.routes.routes import Routes, Tools

__all__ = ["Routes", "Tools"]
