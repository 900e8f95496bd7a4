"""Headless Chromium at the pages of a monitor."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

from selenium import webdriver
from selenium.common.exceptions import (
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.monitor.monitors import Browser
from tests.servers import HOST, missing, until

T = TypeVar("T")

WIDE, NARROW = 1280, 400
HEIGHT = 900
LIGHT, DARK = "light", "dark"

_RUN_AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then(
  (found) => done(found.violations.map(
    (each) => each.id + ": " + each.nodes.map((node) => node.html).join(" | "))),
  (error) => done([String(error)]));
"""


class Page:
    """A tab of the browser; what it waits for must come before the deadline."""

    def __init__(self, driver: webdriver.Chrome, address: str) -> None:
        self.driver = driver
        self.address = address

    def look(self, width: int = WIDE, theme: str = LIGHT) -> None:
        """Give the page a width, and the browser a theme."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {
                "width": width,
                "height": HEIGHT,
                "deviceScaleFactor": 1,
                "mobile": False,
            },
        )
        feature = {"name": "prefers-color-scheme", "value": theme}
        media = {"features": [feature]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)

    def go(self, path: str) -> None:
        """Load a page of the monitor."""
        self.driver.get(f"{self.address}{path}")

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> WebElement:
        """Wait for an element that can be seen."""

        found = self.until(lambda: self._seen(selector))
        assert found is not None
        return found

    def _seen(self, selector: str, text: str | None = None) -> WebElement | None:
        for each in self.driver.find_elements(By.CSS_SELECTOR, selector):
            if each.is_displayed() and text in (None, each.text):
                return each
        return None

    def click(self, selector: str, text: str | None = None) -> None:
        """Click an element, with this text if it is given, when it can be seen."""

        def clicked() -> bool:
            # The page may replace it before the click.
            found = self._seen(selector, text)
            if found is not None:
                found.click()
            return found is not None

        self.until(clicked)

    def press(self, text: str, within: str = "body") -> None:
        """Click a button with this text."""
        self.click(f"{within} button, {within} .button", text)

    def type(self, selector: str, text: str) -> None:
        element = self.find(selector)
        element.clear()
        element.send_keys(text)

    def keys(self, *keys: str) -> None:
        """Press keys wherever the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def text(self, selector: str) -> str:
        """Return what is written in the first such element, empty if there is none."""
        try:
            return self.driver.find_element(By.CSS_SELECTOR, selector).text
        except NoSuchElementException:
            return ""

    def until(self, condition: Callable[[], T]) -> T:
        """Wait for a condition, while the page may change."""

        def holds() -> T | None:
            try:
                return condition()
            except StaleElementReferenceException:
                return None

        found = until(holds)
        assert found is not None
        return found

    def until_text(self, selector: str, *texts: str) -> None:
        """Wait until all of these are written in an element."""
        self.until(lambda: all(text in self.text(selector) for text in texts))

    def answer(self, verb: str) -> None:
        """Answer the question of the dialog."""
        self.press(verb, "dialog[open]")

    # -- what must hold for all pages

    def scrolls_sideways(self) -> bool:
        width, room = self.run(
            "return [document.documentElement.scrollWidth, window.innerWidth]"
        )
        return int(width) > int(room)

    def violations(self) -> list[str]:
        """Return what axe finds."""
        self.run(_axe())
        found: list[str] = self.driver.execute_async_script(_RUN_AXE)
        return found

    def complaints(self) -> list[str]:
        """Return the errors that the console has had since the last call."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE"
        ]


@cache
def _axe() -> str:
    return (files("axe_core_python") / "axe.min.js").read_text()


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """Run the browser. Without one, fail in CI, and skip elsewhere."""
    binary = shutil.which("chromium") or missing("chromium")
    driver = shutil.which("chromedriver") or missing("chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        "--hide-scrollbars",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = Service(driver, log_output=os.devnull)
    found = webdriver.Chrome(options=options, service=service)
    try:
        yield found
    finally:
        found.quit()


def page(driver: webdriver.Chrome, browser: Browser) -> Page:
    """Return the browser at a monitor, without what it knew of others."""
    driver.delete_all_cookies()
    found = Page(driver, f"http://{HOST}:{browser.port}")
    found.look()
    return found
