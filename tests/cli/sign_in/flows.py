"""What a flow ends with, when all goes well."""

import poplib
import re

from tests import leaks
from tests.cli.pseudo_terminal import Terminal
from tests.cli.sign_in.conftest import MESSAGE, Rig
from tests.gateway_process import GatewayProcess
from tests.granted import noted, vault_of

__all__ = ["MESSAGE", "fetched", "shown_password"]

PASSWORD = re.compile(r"^[a-z2-9]{4}(?:-[a-z2-9]{4}){3}$", re.MULTILINE)


def fetched(rig: Rig, password: str, login: str = "") -> bytes:
    """The first message, as a device with the app password gets it from a gateway with these settings."""
    with GatewayProcess(rig.settings, rig.config.parent / "running") as gateway:
        with vault_of(gateway) as vault:
            if grant := vault.grant(login or rig.mailbox.user):
                noted(grant)  # so that it is looked for in the log, and in the state
        client = poplib.POP3("127.0.0.1", gateway.port)
        client.user(login or rig.mailbox.user)
        client.pass_(password)
        lines = client.retr(1)[1]
        client.quit()
        assert gateway.stop() == 0
    return b"".join(line + b"\r\n" for line in lines)


def shown_password(terminal: Terminal) -> str:
    """The one thing that is secret and shown."""
    assert terminal.end() == 0, terminal.text
    passwords: list[str] = PASSWORD.findall(terminal.text.replace("password:  ", ""))
    assert len(passwords) == 1, terminal.text
    leaks.note(passwords[0])
    return passwords[0]
