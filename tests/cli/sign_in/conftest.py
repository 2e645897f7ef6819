"""A terminal, a gateway whose provider is the authorization server, and a mail server that takes its tokens."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cli.pseudo_terminal import Terminal
from tests.cli.script import Script
from tests.granted import MailProvider
from tests.servers.authorization import SCOPE, AuthorizationServer, Registered
from tests.servers.fixtures import Mailbox

ROOT = Path(__file__).parents[3]
MESSAGE = b"Subject: hello\r\n\r\nfrom behind a token\r\n"

# What stands in for a browser with a person before it: it opens what it is given, signs in, and follows.
_BROWSER = """\
#!{python}
import sys
sys.path.insert(0, {root!r})
import httpx
from tests.servers.browser import Browser
with Browser({issuer!r}) as browser:
    back = browser.sign_in(sys.argv[1], {user!r}, allow={allow!r})
httpx.get(back, trust_env=False)
"""


@dataclass
class Rig:
    """The settings of a gateway, and commands with them."""

    config: Path
    state: Path
    authorization: AuthorizationServer
    mailbox: Mailbox
    settings: dict[str, Any]
    client: Registered
    _files: Iterator[int] = field(default_factory=lambda: iter(range(1000)))

    def set(self, **provider: Any) -> None:
        """Other settings of the provider; None takes one away."""
        known = self.settings["oauth"]["stand-in"] | provider
        self.settings["oauth"]["stand-in"] = {name: value for name, value in known.items() if value is not None}
        self.config.write_text(json.dumps(self.settings))

    def terminal(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Terminal:
        return Terminal([*arguments, "--config", str(self.config)], environment=environment)

    def script(self, *arguments: str, said: str = "") -> Script:
        return Script([*arguments, "--config", str(self.config)], said)

    def add(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Terminal:
        command = ("account", "add", self.mailbox.user, "--provider", "stand-in", *arguments)
        return self.terminal(*command, environment=environment)

    def browser(self, *, user: str = "", allow: bool = True) -> dict[str, str]:
        """An environment with a browser that does what the owner of the mailbox does."""
        file = self.config.with_name(f"browser-{next(self._files)}")
        file.write_text(
            _BROWSER.format(
                python=sys.executable,
                root=str(ROOT),
                issuer=self.authorization.issuer,
                user=user or self.mailbox.user,
                allow=allow,
            )
        )
        file.chmod(0o700)
        return {"BROWSER": str(file)}

    @property
    def left_behind(self) -> list[str]:
        """Files in the state folder that have to do with accounts."""
        return sorted(path.name for path in self.state.glob("accounts*")) if self.state.exists() else []


@pytest.fixture
def rig(mail_provider: MailProvider, tmp_path: Path) -> Rig:
    server, authorization = mail_provider.imap, mail_provider.authorization
    mailbox = mail_provider.new_mailbox(MESSAGE)
    client = authorization.register("http://127.0.0.1/", public=True)
    url = f"imaps://{server.host}:{server.imaps_port}?ca_file={server.ca_file}"
    settings = {
        "listen": ["pop3://127.0.0.1:0"],
        "upstream": url,
        "accounts": {"pass_through": False},
        "state": str(tmp_path / "state"),
        "log": {"format": "json", "level": "debug"},
        "oauth": {
            "stand-in": {
                "issuer": authorization.issuer,
                "upstream": url,
                "scopes": ["openid", "offline_access", SCOPE],
                "client_id": client.client_id,
            }
        },
    }
    made = Rig(tmp_path / "gateway.yaml", tmp_path / "state", authorization, mailbox, settings, client)
    made.set()
    return made
