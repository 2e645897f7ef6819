"""The same settings in the words of common mail programs and devices, as data."""

from dataclasses import dataclass, replace

from gateway.web.place import Pop3Server


@dataclass(frozen=True, slots=True)
class Device:
    """Texts have {host}, {port}, {user}, and how TLS is called there."""

    name: str
    way: str  # to where the settings are typed in
    settings: tuple[tuple[str, str], ...] = ()
    text: str = ""  # of a file or a command, in the place of settings


_DEVICES = (
    Device(
        "Thunderbird",
        "Add a mail account, and choose Configure manually.",
        (
            ("Protocol", "POP3"),
            ("Hostname", "{host}"),
            ("Port", "{port}"),
            ("Connection security", "{security}"),
            ("Authentication method", "Normal password"),
            ("Username", "{user}"),
        ),
    ),
    Device(
        "Outlook",
        "Add an account, choose Let me set up my account manually, and then POP.",
        (
            ("Incoming mail server", "{host}"),
            ("Port", "{port}"),
            ("Encrypted connection (SSL/TLS)", "{switch}"),
            ("Secure Password Authentication (SPA)", "off"),
            ("User name", "{user}"),
        ),
    ),
    Device(
        "Printer, scanner or fax",
        "On its own web page, look for POP3 or for receiving e-mail.",
        (
            ("POP3 server", "{host}"),
            ("Port number", "{port}"),
            ("SSL/TLS", "{switch}"),
            ("APOP", "off"),
            ("User name", "{user}"),
        ),
    ),
    Device(
        "Ticket system",
        "Add an account for incoming mail (Zammad, OTRS, osTicket, Request Tracker …).",
        (
            ("Type", "{kind}"),
            ("Host", "{host}"),
            ("Port", "{port}"),
            ("User", "{user}"),
            ("Folder", "leave it empty"),
        ),
    ),
    Device(
        "fetchmail",
        "In ~/.fetchmailrc; it asks for the password:",
        text='poll {host} protocol POP3 service {port}\n  user "{quoted}" {fetchmail} sslcertck keep',
    ),
    Device(
        "curl",
        "In a terminal; it asks for the password, and lists the messages:",
        text="curl {curl}--user '{shell}' {scheme}://{host}:{port}/",
    ),
)

_AT_ONCE = {"switch": "on", "kind": "POP3S, or POP3 with SSL", "fetchmail": "ssl", "curl": ""}
_STLS = {
    "switch": "STARTTLS",
    "kind": "POP3 with STARTTLS",
    "fetchmail": 'sslproto "TLS1.2+"',
    "curl": "--ssl-reqd ",
}


def devices(server: Pop3Server, user: str) -> tuple[Device, ...]:
    """The password stands nowhere in it: it is shown once, above."""
    values = (_AT_ONCE if server.implicit_tls else _STLS) | {
        "host": server.host,
        "port": str(server.port),
        "scheme": server.scheme,
        "security": server.security,
        "user": user,
        "quoted": user.replace("\\", "\\\\").replace('"', '\\"'),
        "shell": user.replace("'", "'\\''"),
    }

    def filled(device: Device) -> Device:
        settings = tuple((name, text.format_map(values)) for name, text in device.settings)
        return replace(device, settings=settings, text=device.text.format_map(values))

    return tuple(map(filled, _DEVICES))
