"""A settings file: every error names the line, the setting, what is wrong, and what would be right."""

import re
from pathlib import Path

import pytest

from gateway.config import load
from gateway.errors import SettingsError
from gateway.maildrop import OnDelete
from tests.config.conftest import Fault, Loader

UP = "upstream: imaps://imap.example.com\n"


def test_only_the_upstream_is_needed(loaded: Loader) -> None:
    settings = loaded(UP)
    assert str(settings.upstream.endpoint()) == "imap.example.com:993"
    assert [listener.url for listener in settings.listen] == ["pop3://127.0.0.1:1110"]


def test_every_kind_of_value_is_read(loaded: Loader) -> None:
    settings = loaded(
        UP
        + "listen:\n  - pop3://0.0.0.0\n  - url: pop3s://0.0.0.0\n    allow_plaintext: true\n"
        + "maildrop: {folder: Entwürfe, on_delete: flag, on_retrieve: nothing}\n"
        + "limits: {connections: 7}\ntimeouts: {idle: 15m, login: 90s, stalled: 2.5, shutdown: 1h}\n"
    )
    assert [(listener.address, listener.allow_plaintext) for listener in settings.listen] == [
        (("0.0.0.0", 110), False),
        (("0.0.0.0", 995), True),
    ]
    drop, patience = settings.maildrop, settings.timeouts
    assert (drop.folder, drop.on_delete, drop.on_retrieve) == ("Entwürfe", OnDelete.FLAG, "nothing")
    assert (patience.idle, patience.login, patience.stalled, patience.shutdown) == (900, 90, 2.5, 3600)
    assert settings.limits.connections == 7


@pytest.mark.parametrize("empty", ["tls:\n", "tls: {}\n", "tls: ~\n", "state:\n", "# nothing\n"])
def test_an_empty_section_is_as_good_as_none(loaded: Loader, empty: str) -> None:
    assert loaded(UP + empty) == loaded(UP)


def test_a_byte_order_mark_is_no_part_of_it(loaded: Loader) -> None:
    assert loaded(b"\xef\xbb\xbf" + UP.encode()) == loaded(UP)


# What stands where something else is expected

NOT_ONE_OF = [
    (
        "log: {level: warn}\n",
        "2: log.level: 'warn' is not one of debug, info, warning, error; did you mean warning?",
    ),
    ("log: {format: xml}\n", "2: log.format: 'xml' is not one of auto, console, json"),
    ("tls: {min_version: TLSv1}\n", "2: tls.min_version: 'TLSv1' is not one of TLSv1.2, TLSv1.3"),
    ("maildrop: {on_delete: burn}\n", "2: maildrop.on_delete: 'burn' is not one of auto, expunge, trash, "),
]
NO_SUCH = [
    ("listn: x\n", "2: listn: no such setting; did you mean listen?"),
    ("limits:\n  conections: 3\n", "3: limits.conections: no such setting; did you mean connections?"),
    (
        "listen:\n  - url: pop3://h\n    alow_plaintext: true\n",
        "4: listen[1].alow_plaintext: no such setting; did you mean allow_plaintext?",
    ),
    ("log: {colour: red}\n", "2: log.colour: no such setting; there is level, format"),
]
WRONG = [
    ("limits:\n  connections: many\n", "3: limits.connections: ", "'many'"),
    ("limits: {connections: 0}\n", "2: limits.connections: ", "0 cannot be; write at least 1"),
    ("limits: {connections: 1.5}\n", "2: limits.connections: ", "not 1.5"),
    ("limits: 3\n", "2: limits: 3 stands where a mapping is expected, with the keys connections, ", ""),
    (
        "tls: cert.pem\n",
        "2: tls: 'cert.pem' stands where a mapping is expected, with the keys certificate, key",
        "",
    ),
    ("timeouts: {idle: soon}\n", "2: timeouts.idle: 'soon' is not a time; write it like 90s, 10m, 1h or 2d", ""),
    ("timeouts: {idle: 0}\n", "2: timeouts.idle: ", "0 cannot be; write more than 0"),
    ("timeouts: {idle: -5}\n", "2: timeouts.idle: ", "-5 cannot be; write more than 0"),
    ("timeouts: {idle: 8d}\n", "2: timeouts.idle: ", "'8d' cannot be; write at most 7d"),
    ("timeouts: {idle: .inf}\n", "2: timeouts.idle: ", "write at most 7d"),
    ("timeouts: {idle: .nan}\n", "2: timeouts.idle: ", "write more than 0"),
    ("tls: {key: k.pem}\n", "2: tls: there is a key without a certificate; set tls.certificate too", ""),
    ("state: 2024-12-05\n", "2: state: ", "not"),
    (
        "listen:\n  - pop3://h\n  - 7\n",
        "4: listen[2]: 7 stands where a mapping is expected, with the keys url",
        "",
    ),
    ("listen: []\n", "2: listen: at least one URL is expected, like pop3://0.0.0.0:110 or ", ""),
    ("listen: 1110\n", "2: listen: a URL is expected, or a list of them, like pop3://0.0.0.0:110 or ", "not 1110"),
    ("listen: pop3://h?allow=true\n", "2: listen[1].allow: no such setting; there is url, allow_plaintext", ""),
    ("listen: [{allow_plaintext: true}]\n", "2: listen[1]: url is needed, like pop3://0.0.0.0:110 or ", ""),
    ("listen: pop3://h?allow_plaintext=maybe\n", "2: listen", "true or false is expected, not 'maybe'"),
    ("workers: yes\n", "2: workers: true is not a number of processes; write 1 to 64, or auto", ""),
    ("maildrop: {folder: ''}\n", "2: maildrop.folder: a name is expected, not ''", ""),
    ("maildrop: {folder: 7}\n", "2: maildrop.folder: text is expected, not 7", ""),
]


@pytest.mark.parametrize(("text", "said"), [*NOT_ONE_OF, *NO_SUCH])
def test_a_word_that_is_not_known_is_told_the_known_ones(fault: Fault, text: str, said: str) -> None:
    assert fault(UP + text).startswith(f"gateway.yaml:{said}")


@pytest.mark.parametrize(("text", "said", "end"), WRONG)
def test_a_value_that_does_not_fit_is_shown_with_its_place(fault: Fault, text: str, said: str, end: str) -> None:
    told = fault(UP + text)
    assert told.startswith(f"gateway.yaml:{said}")
    assert end in told
    assert "\n" not in told
    assert not re.search(r"Value error|pydantic|Traceback|<class", told)


def test_an_upstream_without_its_url_is_told_what_is_needed(fault: Fault) -> None:
    assert fault("upstream: {tls: none}\n").startswith(
        "gateway.yaml:1: upstream: url is needed, like imaps://imap.example.com or "
    )


@pytest.mark.parametrize("value", ["yes", "true", "on"])
def test_a_yes_is_no_number(fault: Fault, value: str) -> None:
    assert fault(f"{UP}timeouts: {{idle: {value}}}\n").startswith("gateway.yaml:2: timeouts.idle: ")
    assert fault(f"{UP}limits: {{connections: {value}}}\n").startswith("gateway.yaml:2: limits.connections: ")


def test_all_faults_are_told_at_once_a_line_each(fault: Fault) -> None:
    told = fault(UP + "listn: x\nlimits:\n  connections: many\n  login_attempts: 0\n").splitlines()
    assert sorted(line.split(": ")[:2] for line in told) == [
        ["gateway.yaml:2", "listn"],
        ["gateway.yaml:4", "limits.connections"],
        ["gateway.yaml:5", "limits.login_attempts"],
    ]


@pytest.mark.parametrize("text", ["", "# only a comment\n", "upstream:\n", "listen: pop3://h\n"])
def test_a_missing_upstream_is_told_by_example(fault: Fault, text: str) -> None:
    assert re.fullmatch(
        r"gateway\.yaml(:1)?: upstream: which IMAP server\? For instance upstream: imaps://imap.example.com in "
        r"the file that --config or POP3_GATEWAY_CONFIG names, or --upstream, or POP3_GATEWAY_UPSTREAM",
        fault(text),
    )


def test_a_fault_in_a_url_that_is_a_key_names_the_line_of_the_key(fault: Fault) -> None:
    assert fault("upstream:\n  tls: required\n  url: nowhere\n").startswith("gateway.yaml:3: upstream")


# What is no settings file


@pytest.mark.parametrize("text", ["just words\n", "- a\n- list\n", "7\n"])
def test_a_file_that_is_no_mapping(fault: Fault, text: str) -> None:
    assert fault(text) == "gateway.yaml: settings are a mapping, like `upstream: imaps://imap.example.com`"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (UP + "limits:\n\tconnections: 3\n", "gateway.yaml:3: not YAML: .*never with tabs"),
        (UP + "listen: [a\n", "gateway.yaml:3: not YAML: expected ',' or ']'"),
        ("a: b\n: c\n", "gateway.yaml:2: not YAML: "),
        (UP + "---\nx: y\n", "gateway.yaml:2: not YAML: "),
        (UP + "state: \x01\n", "gateway.yaml: not YAML: "),
        (UP + "state: !!python/object:os.system x\n", "gateway.yaml:2: not YAML: "),
        (UP + "state: *nobody\n", "gateway.yaml:2: not YAML: "),
        (UP + "web: {contact: @us}\n", "gateway.yaml:2: not YAML: found character '@'.* needs quotes"),
        (UP + "resolver: *x\n", "gateway.yaml:2: not YAML: found undefined alias.* needs quotes"),
        (UP + "resolver: !x\n", "gateway.yaml:2: not YAML: could not determine.* needs quotes"),
        (UP + "resolver: {name} x\n", "gateway.yaml:2: not YAML: .* needs quotes"),
        (UP + "resolver: a: b\n", "gateway.yaml:2: not YAML: mapping values are not allowed here.* needs quotes"),
        (b"\xff\xfe\x00", "gateway.yaml: not a text file in UTF-8"),
    ],
)
def test_a_file_that_is_not_yaml(fault: Fault, text: str | bytes, said: str) -> None:
    assert re.match(said, fault(text))


@pytest.mark.parametrize("scalar", ["2024-13-45", "2024-02-30", "2001-01-01t99:99:99"])
def test_a_scalar_that_yaml_cannot_make_a_value_of_is_an_error_with_its_place(fault: Fault, scalar: str) -> None:
    assert fault(f"{UP}state: {scalar}\n").startswith("gateway.yaml:2: ")


@pytest.mark.parametrize("text", ["state: &it [*it]\n", "limits: &it {connections: *it}\n"])
def test_a_value_within_itself_is_an_error(fault: Fault, text: str) -> None:
    assert fault(UP + text).startswith("gateway.yaml")


def test_a_file_nested_without_end_is_an_error(fault: Fault) -> None:
    assert fault("[" * 5000).startswith("gateway.yaml")


def test_a_setting_that_is_there_twice(fault: Fault) -> None:
    assert fault(UP + UP) == "gateway.yaml:2: upstream is there twice"
    assert fault(UP + "log:\n  level: info\n  level: debug\n") == "gateway.yaml:4: log.level is there twice"


def test_a_name_that_is_no_word(fault: Fault) -> None:
    assert fault(UP + "1: x\n") == "gateway.yaml:2: 1 is not a setting's name"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError,
        match=f"{tmp_path}/none.yaml: No such file or directory; it is named by --config or POP3_GATEWAY_CONFIG",
    ):
        load(tmp_path / "none.yaml", {}, {})
    with pytest.raises(SettingsError, match=f"{tmp_path}: Is a directory"):
        load(tmp_path, {}, {})


# Paths


def test_paths_are_relative_to_the_file(loaded: Loader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    settings = loaded(
        "upstream: {url: 'imaps://h', ca_file: ca.pem}\nstate: ../state\n"
        "tls: {certificate: tls/c.pem, key: /k.pem}\n"
    )
    assert settings.upstream.ca_file == tmp_path / "ca.pem"
    assert settings.state == tmp_path / ".." / "state"
    assert settings.tls.certificate == tmp_path / "tls" / "c.pem"
    assert settings.tls.key == Path("/k.pem")


# The state: a folder, or a URL with a password


def test_a_state_url_is_no_path_and_its_password_is_not_shown(loaded: Loader) -> None:
    url = "postgresql://u:hidden@h/db?sslmode=disable"
    settings = loaded(f"upstream: imaps://h\nstate: {url}\nstate_folder: here\n")
    assert settings.database == url
    assert settings.folder is not None
    assert settings.folder.name == "here"
    assert settings.folder.is_absolute()
    assert "hidden" not in repr(settings)


def test_a_folder_is_the_folder_whatever_state_folder_says(loaded: Loader) -> None:
    settings = loaded("upstream: imaps://h\nstate: /one\nstate_folder: /two\n")
    assert (settings.folder, settings.database) == (Path("/one"), None)


@pytest.mark.parametrize(
    "value", ["mysql://u:hidden@h/db", "'PostgreSQL ://u:hidden@h'", "[hidden]", "7", "{a: hidden}"]
)
def test_what_cannot_be_a_state_is_refused_and_not_repeated(fault: Fault, value: str) -> None:
    told = fault(f"upstream: imaps://h\nstate: {value}\n")
    assert ":2: state: " in told
    assert "postgresql://" in told
    assert "hidden" not in told
