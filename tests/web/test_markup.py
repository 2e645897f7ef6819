"""The pages are HTML that a strict reader takes, and everybody can use: with a keyboard, a screen reader, a narrow
screen, in the dark.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import html5lib
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.servers.fixtures import Mailbox, requires
from tests.skipping import skip_unless_ci
from tests.web.chromium import chromium
from tests.web.conftest import PASSWORD, Enrolling
from tests.web.person import Page
from tests.web.test_browser import fill, press, see, sign_in

RULES = Path(__file__).parent / "rules"
AXE = RULES / "node_modules" / "axe-core" / "axe.min.js"
# Its rules for WCAG 2.2 AA, and what it calls good practice.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
NARROW, HIGH = 320, 640


def demand_rules(file: Path) -> None:
    if not file.exists():
        skip_unless_ci("no html-validate and axe-core for these tests: make page-rules")


def pages(enrolling: Enrolling, owner: Mailbox) -> Iterator[Page]:
    """Each kind once."""
    with enrolling.person() as operator, enrolling.person() as person:
        yield operator.get("")
        yield operator.log_in("wrong")
        accounts = operator.log_in(PASSWORD)
        yield accounts
        yield operator.send(accounts.forms[-1], login="")
        invited = operator.send(accounts.forms[-1], login=owner.user)
        yield invited
        link = next(place for place in invited.links if "/i/" in place)
        invitation = person.get(link)
        yield invitation
        yield person.send(invitation.forms[0])
        yield enrolling.enrol(person, link, owner.user)
        yield person.get(link)  # used
        again = enrolling.invite(owner.user)
        yield person.get(again)
        yield enrolling.enrol(person, again, owner.user)
        yield operator.get("accounts")


def test_a_strict_parser_has_nothing_to_say(enrolling: Enrolling, owner: Mailbox) -> None:
    for page in pages(enrolling, owner):
        html5lib.HTMLParser(strict=True).parse(page.text)


def test_html_validate_has_nothing_to_say(enrolling: Enrolling, owner: Mailbox, tmp_path: Path) -> None:
    """Which elements and attributes there are, what may stand within what, and what people with aids need."""
    node, validate = (
        requires("node", "nodejs"),
        RULES / "node_modules" / "html-validate" / "bin" / "html-validate.mjs",
    )
    demand_rules(validate)
    files: list[Path] = []
    for number, page in enumerate(pages(enrolling, owner)):
        files.append(tmp_path / f"{number}.html")
        files[-1].write_text(page.text)
    command: list[str | Path] = [node, validate, "--config", RULES / "html-validate.json", "--max-warnings", "0"]
    done = subprocess.run([*command, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_page_has_a_language_a_title_a_heading_and_landmarks(enrolling: Enrolling, owner: Mailbox) -> None:
    titles = []
    for page in pages(enrolling, owner):
        document = html5lib.parse(page.text, namespaceHTMLElements=False)
        assert document.get("lang") == "en"
        titles.append(document.findtext("head/title"))
        assert len(document.findall(".//h1")) == 1
        assert len(document.findall("body/main")) == len(document.findall("body/header")) == 1
    assert len(set(titles)) > 6


def test_no_page_has_scripts_or_styles_of_its_own(enrolling: Enrolling, owner: Mailbox) -> None:
    for page in pages(enrolling, owner):
        document = html5lib.parse(page.text, namespaceHTMLElements=False)
        assert document.findall(".//script") == document.findall(".//style") == []
        attributes = {name for element in document.iter() for name in element.keys()}  # noqa: SIM118 - no dict
        assert not {name for name in attributes if name == "style" or name.startswith("on")}


def tour(driver: Chrome, enrolling: Enrolling, user: str) -> Iterator[str]:
    """The same pages in a browser, by their headings."""
    driver.get(enrolling.url)
    yield "Welcome"
    fill(driver, "password", "wrong")
    press(driver, "Log in")
    yield "Welcome"
    fill(driver, "password", PASSWORD)
    press(driver, "Log in")
    yield "Accounts"
    fill(driver, "login", user)
    fill(driver, "label", "printer")
    press(driver, "Make the link")
    yield "The invitation is ready"
    press(driver, "Open the link here")
    link = driver.current_url
    yield "Connect your mailbox"
    press(driver, "Sign in with example")
    sign_in(driver, user)
    for summary in driver.find_elements(By.TAG_NAME, "summary"):
        summary.click()
    yield "Your mailbox is connected"
    driver.get(link)
    yield "This link is not good any more"
    driver.get(f"{enrolling.url}/accounts?q={user}")
    press(driver, f"Sign in again\n: {user}")
    press(driver, "Open the link here")
    yield "Sign in again"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_nothing_to_say(enrolling: Enrolling, owner: Mailbox, scheme: str) -> None:
    demand_rules(AXE)
    rules = AXE.read_text()
    with chromium(scripts=True) as driver:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        for heading in tour(driver, enrolling, owner.user):
            see(driver, heading)
            driver.execute_script(rules)
            found: dict[str, Any] = driver.execute_async_script(
                "axe.run({runOnly: arguments[0]}).then(arguments[1])", TAGS
            )
            assert found["violations"] == [], json.dumps(found["violations"], indent=2)
            assert found["passes"]


def test_a_narrow_screen_is_wide_enough(enrolling: Enrolling, owner: Mailbox) -> None:
    """WCAG 2.2, 1.4.10: at 320 CSS pixels nothing has to be scrolled sideways, but a table in itself."""
    with chromium() as driver:
        metrics = {"width": NARROW, "height": HIGH, "deviceScaleFactor": 1, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        for heading in tour(driver, enrolling, owner.user):
            see(driver, heading)
            size = driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
            assert size["width"] <= NARROW, heading
