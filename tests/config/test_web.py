"""The enrolment page's settings: what is safe is simple, and what is not is refused."""

import pytest

from gateway.config import Settings
from tests.config.conftest import Fault, Loader

UP = "upstream: imaps://imap.example.com\n"


def web(loaded: Loader, text: str) -> Settings:
    return loaded(f"{UP}web: {{{text}}}")


def test_without_a_setting_there_is_no_page(loaded: Loader) -> None:
    assert loaded(UP).web.listen == ""


def test_on_loopback_browsers_say_localhost_which_providers_take_without_tls(loaded: Loader) -> None:
    found = web(loaded, "listen: http://127.0.0.1:8110").web
    assert (found.address, found.implicit_tls) == (("127.0.0.1", 8110), False)
    assert found.outside.geturl() == "http://localhost:8110"
    assert found.proxies == ()


def test_a_reverse_proxy_on_this_machine_is_believed_where_the_url_says_that_there_is_one(loaded: Loader) -> None:
    found = web(loaded, "listen: http://127.0.0.1:8110, url: https://mail.example.org/enrol/").web
    assert found.outside.geturl() == "https://mail.example.org/enrol"
    assert [str(network) for network in found.proxies] == ["127.0.0.0/8", "::1/128"]


def test_with_its_own_tls_it_may_listen_everywhere_and_believes_nobody(loaded: Loader) -> None:
    found = web(loaded, "listen: https://0.0.0.0:8443, url: https://mail.example.org:8443").web
    assert (found.implicit_tls, found.proxies) == (True, ())


def test_a_proxy_elsewhere_is_named(loaded: Loader) -> None:
    found = web(loaded, "listen: http://0.0.0.0:8110, url: https://mail.example.org, proxy_from: 10.0.0.0/8").web
    assert [str(network) for network in found.proxies] == ["10.0.0.0/8"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "listen: http://0.0.0.0:8110, url: https://mail.example.org",
            "passwords would leave http://0.0.0.0:8110",
        ),
        ("listen: http://127.0.0.1:8110, url: http://mail.example.org", "passwords would go to browsers in clear"),
        ("listen: https://0.0.0.0:8110", "how do browsers reach https://0.0.0.0:8110? Set web.url"),
        ("listen: 127.0.0.1:8110", "is not a URL; write it like http://127.0.0.1:8110"),
        ("listen: http://127.0.0.1:8110/x", "has something behind the port"),
        ("listen: http://127.0.0.1:8110, url: mail.example.org", "is no address of a page"),
        ('listen: http://127.0.0.1:8110, url: "https://mail.example.org/?a=b"', "is no address of a page"),
        ("listen: http://127.0.0.1:8110, pop3: imaps://mail.example.org", "here it is pop3:// or pop3s://"),
        ("listen: http://127.0.0.1:8110, password: short", "give it 12 letters or more"),
        ("listen: http://127.0.0.1:8110, proxy_from: nobody", "write it like 10.0.0.0/8"),
    ],
)
def test_what_would_be_unsafe_or_makes_no_sense_is_told(fault: Fault, text: str, said: str) -> None:
    assert said in fault(f"{UP}web: {{{text}}}")


def test_the_password_is_not_repeated(loaded: Loader, fault: Fault) -> None:
    good = web(loaded, "listen: http://127.0.0.1:8110, password: correct horse battery")
    assert "horse" not in repr(good)
    assert "hunter2" not in fault(f"{UP}web: {{listen: http://127.0.0.1:8110, password: hunter2}}")
