"""The environment and the command line: later ones win, and shorthand and mapping go together."""

from pathlib import Path

import pytest

from gateway.config import Settings, load
from gateway.config.schema import variables
from gateway.errors import SettingsError
from tests.config.conftest import Fault, Loader

UP = "upstream: imaps://file\n"


def from_environment(**variables: str) -> Settings:
    return load(None, {f"POP3_GATEWAY_{name}": value for name, value in variables.items()}, {})


def test_the_environment_alone_is_enough() -> None:
    assert from_environment(UPSTREAM="imaps://h").upstream.endpoint().host == "h"


def test_the_environment_wins_over_the_file_and_an_option_over_both(loaded: Loader) -> None:
    variable = {"POP3_GATEWAY_UPSTREAM": "imaps://environment"}
    assert loaded(UP, variable).upstream.endpoint().host == "environment"
    assert loaded(UP, variable, {("upstream",): "imaps://option"}).upstream.endpoint().host == "option"


def test_a_variable_may_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(UP)
    assert load(None, {"POP3_GATEWAY_CONFIG": str(tmp_path / "x.yaml")}, {}).upstream.url == "imaps://file"
    with pytest.raises(SettingsError, match=r"none\.yaml: No such file"):
        load(None, {"POP3_GATEWAY_CONFIG": str(tmp_path / "none.yaml")}, {})


def test_the_option_for_the_file_wins_over_the_variable(loaded: Loader) -> None:
    assert loaded(UP, {"POP3_GATEWAY_CONFIG": "none.yaml"}).upstream.url == "imaps://file"


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("pop3://a", ["pop3://a"]),
        ("pop3://a,pop3s://b", ["pop3://a", "pop3s://b"]),
        (" pop3://a , pop3s://b ", ["pop3://a", "pop3s://b"]),
        ("pop3://a pop3s://b", ["pop3://a", "pop3s://b"]),
        ("[pop3://a, 'pop3s://b']", ["pop3://a", "pop3s://b"]),
        ("[{url: pop3://a, allow_plaintext: true}]", ["pop3://a"]),
        ("{url: pop3://a}", ["pop3://a"]),
    ],
)
def test_a_list_is_written_with_commas_or_spaces_or_as_yaml(text: str, urls: list[str]) -> None:
    assert [listener.url for listener in from_environment(UPSTREAM="imaps://h", LISTEN=text).listen] == urls


def test_numbers_times_and_truths_are_read_from_text() -> None:
    settings = from_environment(
        UPSTREAM="imap://h",
        UPSTREAM_TLS="none",
        UPSTREAM_ALLOW_PLAINTEXT="true",
        LIMITS_CONNECTIONS="5",
        TIMEOUTS_IDLE="15m",
        LOG_LEVEL="debug",
        STATE="/state",
    )
    assert settings.upstream.allow_plaintext
    assert (settings.limits.connections, settings.timeouts.idle, settings.log.level) == (5, 900, "debug")
    assert settings.state == Path("/state")


def test_an_empty_variable_is_as_good_as_none(loaded: Loader) -> None:
    assert loaded(UP, {"POP3_GATEWAY_UPSTREAM": "", "POP3_GATEWAY_LOG_LEVEL": ""}) == loaded(UP)


def test_other_programs_variables_are_left_alone(loaded: Loader) -> None:
    assert loaded(UP, {"PATH": "/bin", "POP3_GATEWAYS": "x", "XPOP3_GATEWAY_X": "y"}) == loaded(UP)


def test_every_variable_that_is_read_can_be_set() -> None:
    known = variables()
    assert {"POP3_GATEWAY_UPSTREAM", "POP3_GATEWAY_LISTEN", "POP3_GATEWAY_UPSTREAM_TIMEOUTS_OPEN"} <= set(known)
    assert len(set(known.values())) == len(known)


# Errors


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("UPSTREM", "x", "POP3_GATEWAY_UPSTREM: no such setting; did you mean POP3_GATEWAY_UPSTREAM?"),
        ("CONFIGURATION", "x", "POP3_GATEWAY_CONFIGURATION: no such setting; did you mean POP3_GATEWAY_CONFIG?"),
        ("LIMITS_CONNECTIONS", "x", "POP3_GATEWAY_LIMITS_CONNECTIONS: limits.connections: "),
        ("LISTEN", "pop3://a imap://b", "POP3_GATEWAY_LISTEN: listen[2]: 'imap://b' begins with imap://"),
        ("LISTEN", "[x", "POP3_GATEWAY_LISTEN: not YAML: "),
        ("STATE", "[2024-13-45]", "POP3_GATEWAY_STATE: "),
        ("UPSTREAM", "h", "POP3_GATEWAY_UPSTREAM: upstream: 'h' is not a URL; write it like imaps://"),
    ],
)
def test_an_error_names_the_variable(fault: Fault, name: str, value: str, said: str) -> None:
    assert fault(UP, {f"POP3_GATEWAY_{name}": value}).startswith(said)


def test_a_url_variable_is_told_the_right_name(fault: Fault) -> None:
    told = fault(UP, {"POP3_GATEWAY_UPSTREAM_URL": "imaps://h"})
    assert told == "POP3_GATEWAY_UPSTREAM_URL: no such setting; did you mean POP3_GATEWAY_UPSTREAM?"


def test_an_error_names_the_option(fault: Fault) -> None:
    assert fault(UP, {}, {("listen",): ["x"]}).startswith("--listen: listen[1]: 'x' is not a URL")
    assert fault(UP, {}, {("upstream",): "x"}).startswith("--upstream: 'x' is not a URL")


# Kubernetes


@pytest.mark.parametrize(
    "name",
    [
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_POP3S",
        "PORT",
        "PORT_995_TCP",
        "PORT_995_TCP_ADDR",
        "PORT_995_TCP_PORT",
        "PORT_995_TCP_PROTO",
    ],
)
def test_what_kubernetes_puts_in_for_a_service_of_our_name_is_ignored(loaded: Loader, name: str) -> None:
    assert loaded(UP, {f"POP3_GATEWAY_{name}": "tcp://10.0.0.1:995"}) == loaded(UP)


@pytest.mark.parametrize("name", ["TLS_SERVICE_HOST", "TLS_PORT", "TLS_PORT_995_TCP_ADDR", "2_SERVICE_PORT_POP3"])
def test_and_for_a_service_whose_name_begins_with_ours(loaded: Loader, name: str) -> None:
    assert loaded(UP, {f"POP3_GATEWAY_{name}": "tcp://10.0.0.1:995"}) == loaded(UP)


# Shorthand and mapping


def test_a_variable_refines_what_the_file_says_in_short(loaded: Loader) -> None:
    upstream = loaded(UP, {"POP3_GATEWAY_UPSTREAM_CA_FILE": "/ca.pem"}).upstream
    assert (upstream.url, upstream.ca_file) == ("imaps://file", Path("/ca.pem"))


def test_a_url_from_elsewhere_leaves_the_mappings_other_keys(loaded: Loader) -> None:
    text = "upstream: {url: imaps://file, ca_file: /ca.pem, timeouts: {open: 30}}\n"
    upstream = loaded(text, {}, {("upstream",): "imaps://option"}).upstream
    assert (upstream.url, upstream.ca_file, upstream.timeouts.open) == ("imaps://option", Path("/ca.pem"), 30)


def test_two_variables_of_one_section_go_together_in_any_order() -> None:
    upstream = from_environment(
        UPSTREAM_CA_FILE="/ca.pem", UPSTREAM_TIMEOUTS_OPEN="30", UPSTREAM="imaps://h"
    ).upstream
    assert (upstream.url, upstream.ca_file, upstream.timeouts.open) == ("imaps://h", Path("/ca.pem"), 30)


def test_a_key_beside_the_url_that_contradicts_its_query_is_an_error(fault: Fault) -> None:
    told = fault("upstream: {url: 'imap://127.0.0.1?tls=none', tls: required}\n")
    assert told == "gateway.yaml:1: upstream: tls is none in the URL and required beside it; say it once"


@pytest.mark.parametrize("wrong", ["cert.pem", "[cert.pem]", "7"])
def test_a_variable_does_not_hide_what_is_wrong_in_the_file(fault: Fault, wrong: str) -> None:
    told = fault(f"{UP}tls: {wrong}\n", {"POP3_GATEWAY_TLS_MIN_VERSION": "TLSv1.3"})
    assert told.startswith("gateway.yaml:2: tls: ")
    assert "stands where a mapping is expected" in told
