"""Every setting once: name, type, default, help. The only reader of YAML and of the environment."""

from gateway.config.load import load
from gateway.config.settings import Listener, Settings

__all__ = ["Listener", "Settings", "load"]
