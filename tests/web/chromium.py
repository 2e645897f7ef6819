"""Chromium, as a person uses it: no scripts run in the pages, so whatever works here works without them."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from tests.servers.fixtures import requires

# It asks nobody for anything: no updates, no suggestions, no fonts, no time.
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--disable-features=OptimizationHints,MediaRouter,Translate,AutofillServerCommunication,InterestFeedContentSuggestions",
    "--no-pings",
    "--metrics-recording-only",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--lang=en-GB",
)
_NO_SCRIPTS = 2  # Chromium's own number for "block"
LOAD_SECONDS = 30


@contextlib.contextmanager
def chromium(*, scripts: bool = False, width: int = 1000, height: int = 900) -> Iterator[Chrome]:
    """A fresh profile; `scripts` for a test that looks into a page."""
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        options = ChromeOptions()
        options.binary_location = requires("chromium", "chromium")
        for flag in (*_FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
            options.add_argument(flag)
        if not scripts:
            rules = {"profile.managed_default_content_settings.javascript": _NO_SCRIPTS}
            options.add_experimental_option("prefs", rules)
        # Selenium's own manager would look for drivers elsewhere.
        service = ChromeService(requires("chromedriver", "chromium-driver"), env=os.environ | {"HOME": profile})
        with Chrome(options, service) as driver:
            driver.set_page_load_timeout(LOAD_SECONDS)
            yield driver


def screenshot(driver: Chrome, file: Path, *, width: int, scale: float = 1.0) -> None:
    """The whole page, as high as it is."""
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", _metrics(width, 600, scale))
    size = driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", _metrics(width, size["height"], scale))
    driver.save_screenshot(str(file))


def _metrics(width: int, height: float, scale: float) -> dict[str, object]:
    return {"width": width, "height": int(height), "deviceScaleFactor": scale, "mobile": False}
