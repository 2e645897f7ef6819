"""Every setting once: name, type, default, help. The only reader of YAML and of the environment."""

from gateway.config.listening import Listener
from gateway.config.load import CLIENT_SECRET_VARIABLE, load, load_own
from gateway.config.settings import OwnSettings, Settings
from gateway.config.values import urls_in

__all__ = ["CLIENT_SECRET_VARIABLE", "Listener", "OwnSettings", "Settings", "load", "load_own", "urls_in"]
