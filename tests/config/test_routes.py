"""Routes that can be, and what is said of those that cannot."""

import re
import textwrap
from pathlib import Path

import pytest

from gateway import naming
from gateway.config import Settings
from gateway.naming import Hosts, Pattern, Query, Template
from tests.config.conftest import Fault, Loader
from tests.documents import ROOT

UP = "upstream: imaps://imap.example.com\n"


def routes(loaded: Loader, *written: str) -> Settings:
    return loaded(UP + "routes:\n" + "".join(f"  - {line}\n" for line in written))


def test_a_route_is_read(loaded: Loader) -> None:
    [rule] = routes(
        loaded,
        '{match: "{user}+{host}", upstream: "imaps://{host}", user: "{user}", folder: In, hosts: "*.example.org"}',
    ).rules()
    assert rule == naming.Rule(
        "routes[1]",
        Pattern.of("{user}+{host}"),
        None,
        Template.of("imaps://{host}"),
        Template.of("{user}"),
        Template.of("In"),
        Hosts(("*.example.org",)),
    )


def test_what_routes_ask(loaded: Loader, tmp_path: Path) -> None:
    rules = routes(
        loaded,
        "table: {Ann: imaps://a.example.com}",
        '{match: "{user}@{domain}", srv: "{domain}", hosts: [imap.example.net]}',
        "{http: https://auth.example.com/mail, ca_file: ca.pem}",
        '{sql: "sqlite:/customers.db", query: "SELECT host FROM c WHERE n = {name}"}',
    ).rules()
    assert [rule.question for rule in rules] == [
        naming.Table({"ann": "imaps://a.example.com"}, Template.of("{name}")),
        naming.Srv(Template.of("{domain}")),
        naming.Http("https://auth.example.com/mail", f"{tmp_path}/ca.pem"),
        naming.Sql("sqlite:/customers.db", Query.of("SELECT host FROM c WHERE n = {name}")),
    ]
    assert [rule.place for rule in rules] == ["routes[1]", "routes[2]", "routes[3]", "routes[4]"]


def test_upstreams_that_are_known_beforehand_are_told(loaded: Loader) -> None:
    settings = routes(
        loaded,
        "table: {ann: imaps://a, bob: 'imap://b:1143'}",
        "{match: '{user}@example.org', upstream: imaps://c}",
        "{match: '{user}@{domain}', upstream: 'imaps://imap.{domain}', hosts: '*.example.org'}",
    )
    known = [str(endpoint) for route in settings.routes for endpoint in route.endpoints]
    assert known == ["a:993", "b:1143", "c:993"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("match: {user}", 'routes[1].match: quote it: braces are a mapping to YAML, and "{user}" is a text'),
        ('match: "{users}"', "routes[1].match: {users} cannot be taken out of a name; there is {user}"),
        (
            "upstream: imap.example.org",
            "routes[1]: upstream: 'imap.example.org' is not a URL; write it like imaps://",
        ),
        ("upstream: imap://imap.example.org?tls=none", "passwords would go to imap.example.org in clear"),
        ("table: {ann: imap.example.org}", "routes[1].table.ann: 'imap.example.org' is not a URL; write it like"),
        ("table: {ann: 'imap://h?tls=none'}", "routes[1].table.ann: passwords would go to h in clear"),
        ("table: {}", "routes[1]: the table is empty"),
        (
            "{table: {a: imaps://a}, srv: example.org}",
            "table and srv are both there; make two routes of it",
        ),
        ("{table: {a: imaps://a}, upstream: imaps://b}", "routes[1]: the table has the upstreams"),
        ('key: "{domain}"', "routes[1]: key is what a table is asked for, and there is no table"),
        (
            '{table: {a: imaps://a}, key: "{domain}"}',
            "key: nothing gives {domain} here; there is {name}",
        ),
        ('user: "{user}"', "routes[1]: user: nothing gives {user} here; there is {name}"),
        ('{match: "{user}+{host}", upstream: "imaps://{host}"}', "upstream: by {host} the client says where its"),
        ('upstream: "imaps://{name}.example.org"', "upstream: by {name} the client says where its password goes"),
        (
            '{match: "{user}@{domain}", srv: "{domain}"}',
            "srv: DNS says where passwords go; say hosts: too",
        ),
        ("{srv: example.org}", "srv: DNS says where passwords go; say hosts: too"),
        ('{srv: example.org, hosts: ["*"]}', "routes[1].hosts: '*' is no host; write it like imap.example.org"),
        ("{http: http://10.0.0.1/auth}", "routes[1]: passwords would go to 10.0.0.1 in clear; use https://"),
        (
            "{http: auth.example.org}",
            "routes[1].http: 'auth.example.org' is no web address; write it like http://",
        ),
        ("{http: http://hunter2@localhost/}", "routes[1].http: a name or password does not belong into this URL"),
        ("{sql: sqlite:customers, query: x}", "routes[1].sql: it is a URL like postgresql://user@host/database"),
        (
            "{sql: mysql://u:hunter2@h/d, query: x}",
            "routes[1].sql: it is a URL like postgresql://user@host/database",
        ),
        ("sql: sqlite:/customers", "routes[1]: sql needs query beside it"),
        ('query: "SELECT {name}"', "routes[1]: query needs sql beside it"),
        (
            '{sql: "sqlite:/c", query: "SELECT {user}"}',
            "query: nothing gives {user} here; there is name",
        ),
        ("headers: {X-Auth-Key: hunter2}", "routes[1]: headers are for http, which is not there"),
        ("{http: http://localhost/, headers: {X Key: hunter2}}", "'X Key' is no name of a header"),
        (
            '{http: http://localhost/, headers: {X-Key: "hunter2\\r\\nX: y"}}',
            "a header's value is printable ASCII",
        ),
        ("colour: red", "routes[1].colour: no such setting"),
        ("tabel: {ann: imaps://a}", "routes[1].tabel: no such setting; did you mean table?"),
    ],
)
def test_a_route_that_cannot_be_is_told_with_its_line(fault: Fault, written: str, said: str) -> None:
    told = fault(f"{UP}routes:\n  - {written}\n")
    assert said in told
    assert told.startswith("gateway.yaml:3: routes[1]")
    assert "hunter2" not in told


def test_the_line_is_the_entry_s_own(fault: Fault) -> None:
    told = fault(f"{UP}routes:\n- table:\n    ann: imaps://a\n    bob: b\n")
    assert told.startswith("gateway.yaml:5: routes[1].table.bob: ")


def test_routes_are_a_list(fault: Fault) -> None:
    said = "gateway.yaml:2: routes: it is a list; begin each route with a hyphen, as in - {match: "
    assert fault(f"{UP}routes: {{upstream: imaps://h}}\n").startswith(said)


def test_routes_that_nobody_would_be_led_by_are_refused(fault: Fault) -> None:
    told = fault(f"{UP}routes: [{{upstream: imaps://h}}]\naccounts: {{pass_through: false}}\n")
    assert "routes are for names that have no account here" in told


@pytest.mark.parametrize(
    ("written", "server"),
    [
        ("127.0.0.1", ("127.0.0.1", 53)),
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("::1", ("::1", 53)),
        ("[::1]:5353", ("::1", 5353)),
        ("", None),
    ],
)
def test_a_name_server(loaded: Loader, written: str, server: tuple[str, int] | None) -> None:
    assert loaded(f"{UP}resolver: '{written}'\n").name_server == server


@pytest.mark.parametrize("written", ["dns.example.org", "127.0.0.1:0", "127.0.0.1:x", "127.0.0.1:99999"])
def test_what_is_no_name_server(fault: Fault, written: str) -> None:
    assert "is no name server; write its address" in fault(f"{UP}resolver: '{written}'\n")


EXAMPLES = re.findall(r"(?:^    .+\n)+", (ROOT / "docs" / "routes.md").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("example", [textwrap.dedent(found) for found in EXAMPLES if "upstream:" in found])
def test_the_documents_examples_can_be_used_as_they_are(loaded: Loader, example: str) -> None:
    settings = loaded(example)
    assert settings.rules() or settings.maildrop.folder_separator
