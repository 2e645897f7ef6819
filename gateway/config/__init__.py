"""Every setting once: name, type, default, help. The only reader of YAML and of the environment."""

from gateway.config.listening import Listener
from gateway.config.load import CLIENT_SECRET_VARIABLE, load
from gateway.config.settings import Settings

__all__ = ["CLIENT_SECRET_VARIABLE", "Listener", "Settings", "load"]
