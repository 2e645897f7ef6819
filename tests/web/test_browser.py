"""The whole way in a real browser that runs no scripts: from the invitation to the first mail."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests import leaks
from tests.server.sessions import MAIL
from tests.servers.dovecot import Dovecot
from tests.servers.fixtures import Mailbox, requires
from tests.web.chromium import chromium, screenshot
from tests.web.conftest import StartEnrolling

WAIT_SECONDS = 30
IMAGE = "enrolment.png"
IMAGE_OCTETS = 150_000


def until(driver: Chrome, condition: Callable[[Chrome], object]) -> None:
    """A page may be replaced while it is looked at."""
    passing = [StaleElementReferenceException, NoSuchElementException]
    WebDriverWait(driver, WAIT_SECONDS, ignored_exceptions=passing).until(condition)


def press(driver: Chrome, text: str = "") -> None:
    """The button, or the link, with this text, or the first button; and wait until its page is another one."""
    before: list[WebElement] = []

    def pressed(_: Chrome) -> bool:
        before[:] = driver.find_elements(By.TAG_NAME, "html")
        controls = driver.find_elements(By.CSS_SELECTOR, "button, a" if text else "button[type=submit]")
        chosen = [control for control in controls if not text or control.text.strip() == text]
        chosen[0].click() if chosen else None
        return bool(chosen)

    until(driver, pressed)
    until(driver, lambda _: not set(before) & set(driver.find_elements(By.TAG_NAME, "html")))


def fill(driver: Chrome, name: str, text: str) -> None:
    def filled(_: Chrome) -> bool:
        field = driver.find_element(By.CSS_SELECTOR, f"input:not([type=hidden])[name={name}]")
        field.clear()
        field.send_keys(text)
        return True

    until(driver, filled)


def see(driver: Chrome, heading: str) -> None:
    until(driver, lambda _: heading in [found.text for found in driver.find_elements(By.TAG_NAME, "h1")])


def shown(driver: Chrome) -> dict[str, str]:
    names = driver.find_elements(By.CSS_SELECTOR, ".card dt")
    values = driver.find_elements(By.CSS_SELECTOR, ".card dd")
    return {name.text: value.text for name, value in zip(names, values, strict=True)}


def test_from_the_invitation_to_the_first_mail_without_scripts(
    start_enrolling: StartEnrolling, mail_server: Dovecot, tmp_path: Path
) -> None:
    alice = Mailbox(mail_server, "alice@example.org", f"{leaks.PREFIX}alice")
    mail_server.add_user(alice.user, alice.password)
    alice.deliver(MAIL)
    enrolling = start_enrolling({"pop3": "pop3s://mail.example.org:995"})
    link = enrolling.invite(alice.user, label="office printer")
    with chromium() as driver:
        driver.get(link)
        see(driver, "Connect your mailbox")
        press(driver, "Sign in with example")
        sign_in(driver, alice.user)
        see(driver, "Your mailbox is connected")
        told = shown(driver)
        leaks.note(told["Password"])
        folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
        screenshot(driver, folder / IMAGE, width=880)
        driver.refresh()
        see(driver, "This sign-in cannot be finished")
    assert told | {"Password": ""} == {
        "Protocol": "POP3",
        "Server": "mail.example.org",
        "Port": "995",
        "Security": "SSL/TLS",
        "User": alice.user,
        "Password": "",
    }
    assert 10_000 < (folder / IMAGE).stat().st_size < IMAGE_OCTETS
    assert fetched_by_curl(enrolling.gateway.port, alice.user, told["Password"]) == MAIL[0]


def sign_in(driver: Chrome, user: str) -> None:
    """At the provider, whose pages are its own: one asks who it is, the next whether that is wanted."""
    fill(driver, "login", user)
    fill(driver, "password", "whatever")
    press(driver)
    until(driver, lambda _: not driver.find_elements(By.NAME, "login"))
    press(driver)


def fetched_by_curl(port: int, user: str, password: str) -> bytes:
    """As the page says; the first message. The password is read from a file: no other user sees it."""
    secret = f'user = "{user}:{password}"\n'
    command = [requires("curl", "curl"), "--silent", "--config", "-", f"pop3://127.0.0.1:{port}/1"]
    return subprocess.run(command, input=secret.encode(), capture_output=True, check=True).stdout
