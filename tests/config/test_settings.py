"""What the settings mean: URLs, and no password in clear unless the operator said so in so many words."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Settings, load, urls
from gateway.config.sections import Section
from gateway.errors import SettingsError
from gateway.ports import Endpoint, TlsMode
from tests.config.conftest import Fault, Loader

PORTS = {"imaps": 993, "imap": 143}


def upstream(url: str) -> Settings:
    return load(None, {}, {("upstream",): url})


def refusal(url: str) -> str:
    with pytest.raises(SettingsError) as caught:
        upstream(url)
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("imaps://imap.example.com", Endpoint("imap.example.com", 993, TlsMode.IMPLICIT)),
        ("imaps://imap.example.com/", Endpoint("imap.example.com", 993, TlsMode.IMPLICIT)),
        ("IMAPS://Imap.Example.COM:9993", Endpoint("imap.example.com", 9993, TlsMode.IMPLICIT)),
        ("imap://imap.example.com", Endpoint("imap.example.com", 143, TlsMode.STARTTLS)),
        ("imaps://[::1]:1993", Endpoint("::1", 1993, TlsMode.IMPLICIT)),
        ("imap://127.0.0.1?tls=none", Endpoint("127.0.0.1", 143, TlsMode.NONE)),
        ("imap://[::1]?tls=none", Endpoint("::1", 143, TlsMode.NONE)),
        ("imap://localhost:1143?tls=none", Endpoint("localhost", 1143, TlsMode.NONE)),
        ("imap://mail.localhost?tls=none", Endpoint("mail.localhost", 143, TlsMode.NONE)),
        ("imap://mail?tls=none&allow_plaintext=true", Endpoint("mail", 143, TlsMode.NONE)),
        ("imaps://h?ca_file=/ca.pem", Endpoint("h", 993, TlsMode.IMPLICIT, Path("/ca.pem"))),
    ],
)
def test_a_url_says_where_and_how(url: str, endpoint: Endpoint) -> None:
    assert upstream(url).upstream.endpoint() == endpoint


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("imap.example.com", "is not a URL; write it like imaps://imap.example.com"),
        ("http://h", "begins with http://; here it is imaps:// or imap://"),
        ("imaps://", "names no host"),
        ("imaps://:993", "names no host"),
        ("imaps://h:0", "port"),
        ("imaps://h:99999", "Port out of range"),
        ("imaps://h:x", "is not a URL"),
        ("imaps://[::1", "is not a URL"),
        ("imaps://h/INBOX", "has something behind the port"),
        ("imaps://h#x", "has something behind the port"),
        ("imaps://two words", "imaps://two words"),
        ("imaps://h?colour=red", "colour"),
        ("imaps://h?tls=maybe", "upstream.tls: 'maybe' is not one of required, none"),
        ("imaps://h?url=imaps://other", "'url' cannot stand in the URL"),
        ("imaps://h?timeouts=5", "'timeouts' cannot stand in the URL; write a mapping with url: and timeouts:"),
        ("imaps://127.0.0.1?tls=none", "contradict each other; write imap://"),
    ],
)
def test_a_url_that_cannot_be_meant_is_told_what_would_be_right(url: str, said: str) -> None:
    assert said in refusal(url)


@pytest.mark.parametrize(
    "host", ["imap.example.com", "10.0.0.1", "localhost.example.com", "127.0.0.1.example.com"]
)
def test_no_password_goes_in_clear_to_a_host_that_is_not_loopback(host: str) -> None:
    assert f"passwords would go to {host} in clear" in refusal(f"imap://{host}?tls=none")


@pytest.mark.parametrize(
    "url",
    [
        "imaps://ann:hunter2@h",
        "imaps://ann:hunter2@h/INBOX",
        "imaps://ann:hunter2@h:99999",
        "https://ann:hunter2@h",
        "ann:hunter2@h",
        "imaps://ann:hunter2@",
        "imaps://ann:hunter2@h?tls=none",
    ],
)
def test_a_password_in_a_url_is_refused_and_not_shown(url: str) -> None:
    assert "hunter2" not in refusal(url)


@given(st.one_of(st.text(), st.text().map(lambda rest: f"imaps://{rest}")))
def test_any_text_is_a_place_or_a_value_error(text: str) -> None:
    try:
        place = urls.parse(text, PORTS, "imaps://h")
    except ValueError:
        return
    assert place.host
    assert place.scheme in PORTS
    assert 1 <= place.port <= 65535


# Listeners


def listeners(*given: str) -> Settings:
    return load(None, {}, {("upstream",): "imaps://h", ("listen",): list(given)})


def test_listeners_have_the_usual_ports() -> None:
    found = listeners("pop3://0.0.0.0", "pop3s://[::]", "pop3://127.0.0.1:1110?allow_plaintext=true").listen
    assert [(each.address, each.implicit_tls, each.allow_plaintext) for each in found] == [
        (("0.0.0.0", 110), False, False),
        (("::", 995), True, False),
        (("127.0.0.1", 1110), False, True),
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("pop3://h", "pop3://h:110"), "h:110 is listed twice"),
        (("pop3://h:995", "pop3s://h"), "h:995 is listed twice"),
        (("imap://h",), "listen[1]: 'imap://h' begins with imap://; here it is pop3:// or pop3s://"),
        (("pop3://ann:hunter2@h",), "a name or password does not belong into this URL"),
    ],
)
def test_listeners_that_cannot_be(given: tuple[str, ...], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        listeners(*given)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


# As data


def models(model: type[Section]) -> list[type[Section]]:
    return [model, *(inner for below in model.__subclasses__() for inner in models(below))]


def test_every_setting_has_a_description() -> None:
    silent = [
        f"{model.__name__}.{name}"
        for model in models(Section)
        for name, field in model.model_fields.items()
        if not field.description
    ]
    assert not silent
    assert Settings in models(Section)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        upstream("imaps://h").log.level = "debug"


@pytest.mark.parametrize(
    ("written", "workers"), [("1", 1), ("4", 4), ("64", 64), ("'2'", 2), ("2.0", 2), ("auto", "auto")]
)
def test_workers_are_a_number_or_auto(written: str, workers: int | str, loaded: Loader) -> None:
    assert loaded(f"upstream: imaps://h\nworkers: {written}\n").workers == workers


@pytest.mark.parametrize("written", ["0", "-1", "65", "1.5", "many", "yes", "[]", "1e99", ".nan", ".inf"])
def test_nothing_else_is(written: str, fault: Fault) -> None:
    said = fault(f"upstream: imaps://h\nworkers: {written}\n")
    assert said.startswith("gateway.yaml:2: workers: ")
    assert said.endswith("is not a number of processes; write 1 to 64, or auto")


def test_one_process_serves_unless_more_are_asked_for() -> None:
    assert upstream("imaps://h").workers == 1
    assert load(None, {"POP3_GATEWAY_UPSTREAM": "imaps://h", "POP3_GATEWAY_WORKERS": "3"}, {}).workers == 3
