"""What every answer says to a browser, and which forms are taken."""

import httpx
import pytest

from tests.servers.browser import http_client
from tests.servers.fixtures import Mailbox
from tests.servers.machine import free_ports
from tests.servers.tls import Certificates
from tests.web.conftest import PASSWORD, Enrolling, StartEnrolling

ALWAYS = {
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@pytest.mark.parametrize("place", ["", "i/x", "callback", "nowhere", "accounts", "style.css", "icon.svg"])
def test_nothing_from_elsewhere_nothing_framed_nothing_kept(enrolling: Enrolling, place: str) -> None:
    answer = httpx.get(f"{enrolling.url}/{place}")
    assert ALWAYS.items() <= answer.headers.items()
    policy = dict(part.partition(" ")[::2] for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert {"'self'"} == {policy[name] for name in ("style-src", "img-src", "form-action")}
    is_everybodys = place in ("style.css", "icon.svg")
    assert (answer.headers["cache-control"] == "no-store") is not is_everybodys
    assert "server" not in answer.headers


def test_pages_lead_nowhere_else(enrolling: Enrolling, owner: Mailbox) -> None:
    """But to the provider, and to whoever is asked for help."""
    with enrolling.person() as person:
        for place in ("", "i/x", enrolling.invite(owner.user)):
            links = person.get(place).links
            assert all(link.startswith((enrolling.url, "mailto:")) for link in links)


def test_a_form_of_another_page_is_not_taken(enrolling: Enrolling, owner: Mailbox) -> None:
    link = enrolling.invite(owner.user)
    with enrolling.person() as person, enrolling.person() as other:
        [form], [others] = person.get(link).forms, other.get(link).forms
        for wrong in ({"form": ""}, {"form": "x"}, {"form": others.fields["form"]}):
            page = person.send(form, **wrong)
            assert (page.status, page.heading) == (403, "This page was open for too long")
        for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200)):
            person.http.headers["Sec-Fetch-Site"] = site  # as browsers tell where a form stood
            assert person.send(form).status == status


@pytest.mark.parametrize("place", ["login", "logout", "invitations", "i/x"])
def test_a_form_without_its_cookie_is_not_taken(enrolling: Enrolling, place: str) -> None:
    with enrolling.person() as person:
        [form] = person.get("").forms
    answer = httpx.post(f"{enrolling.url}/{place}", data=form.fields | {"password": PASSWORD, "login": "ann"})
    assert answer.status_code in (403, 303)
    assert "operator=" not in answer.headers.get("set-cookie", "")


@pytest.mark.parametrize(
    ("method", "place", "status"),
    [
        ("POST", "", 405),
        ("PUT", "login", 405),
        ("GET", "login", 405),
        ("HEAD", "callback", 405),
        ("POST", "callback", 405),
        ("GET", "nowhere", 404),
        ("GET", "style.css/x", 404),
        ("GET", "templates/base.html", 404),
    ],
)
def test_only_what_there_is_can_be_asked_for(enrolling: Enrolling, method: str, place: str, status: int) -> None:
    assert httpx.request(method, f"{enrolling.url}/{place}").status_code == status


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", "text/plain"])
def test_only_forms_are_read(enrolling: Enrolling, kind: str) -> None:
    answer = httpx.post(f"{enrolling.url}/login", content=b"password=x", headers={"Content-Type": kind})
    assert answer.status_code == 415


def test_a_name_that_somebody_else_gave_this_machine_is_not_answered(enrolling: Enrolling) -> None:
    """DNS rebinding: a page elsewhere whose own name suddenly leads here."""
    port = enrolling.url.rpartition(":")[2]
    assert httpx.get(enrolling.url, headers={"Host": f"evil.example:{port}"}).status_code == 421
    for host in ("localhost", "127.0.0.1"):
        assert httpx.get(enrolling.url, headers={"Host": f"{host}:{port}"}).status_code == 200


def test_cookies_are_for_this_page_alone(enrolling: Enrolling, owner: Mailbox) -> None:
    with enrolling.person() as person:
        front = person.get("")
        said = front.headers["set-cookie"]
        assert "HttpOnly" in said
        assert "SameSite=Strict" in said
        [form] = person.get(enrolling.invite(owner.user)).forms
        page = person.send(form)
    assert "SameSite=Lax" in page.headers["set-cookie"]  # the provider's redirect brings it back
    assert "Max-Age=900" in page.headers["set-cookie"]


def test_behind_a_proxy_all_is_below_its_path_and_cookies_are_secure(start_enrolling: StartEnrolling) -> None:
    enrolling = start_enrolling({"url": "https://mail.example.org/enrol"})
    listen = next(event["listen"] for event in enrolling.gateway.events if "listen" in event)
    proxied = {"Host": "mail.example.org"}
    answer = httpx.get(f"{listen}/enrol/", headers=proxied)
    assert answer.headers["set-cookie"].startswith("__Host-visit=")
    assert "; Secure" in answer.headers["set-cookie"]
    assert 'href="/enrol/style.css?' in answer.text
    assert httpx.get(f"{listen}/enrol/style.css", headers=proxied).status_code == 200
    assert httpx.get(f"{listen}/", headers=proxied).status_code == 404
    assert httpx.get(f"{listen}/enrol/").status_code == 200  # a proxy may ask by our own address


def test_with_its_own_tls_it_has_the_certificate_of_the_listeners(
    start_enrolling: StartEnrolling, certificates: Certificates
) -> None:
    [port] = free_ports("127.0.0.1", 1)
    web = {"listen": f"https://127.0.0.1:{port}", "url": f"https://localhost:{port}"}
    enrolling = start_enrolling(web)
    with http_client(certificates.ca_file) as browser:
        answer = browser.get(f"{enrolling.url}/")
    assert (answer.status_code, answer.headers["set-cookie"].startswith("__Host-visit=")) == (200, True)


def test_devices_are_told_what_the_settings_say(start_enrolling: StartEnrolling, owner: Mailbox) -> None:
    enrolling = start_enrolling({"pop3": "pop3://pop.example.org:2110"})
    with enrolling.person() as person:
        said = enrolling.enrol(person, enrolling.invite(owner.user), owner.user).settings
    assert (said["Server"], said["Port"], said["Security"]) == ("pop.example.org", "2110", "STARTTLS")


def test_it_ends_with_the_gateway(start_enrolling: StartEnrolling) -> None:
    enrolling = start_enrolling()
    assert httpx.get(enrolling.url).status_code == 200
    assert enrolling.gateway.stop() == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(enrolling.url)
