"""Measure in a browser that no page of the built documentation cuts anything off.

Run: python tests/browser/measure_pages.py docs/_build/html

Every page is opened at 1280 and at 400 pixels, in the light and in the dark theme.
Nothing visible may be wider than its box or stick out of the page: no text, code block,
table or image, at any depth. At 1280 pixels, code has to fit without being wrapped, and
tables as they are. At 400 pixels, code is wrapped, since a line of 88 characters in the
size of the text is twice as wide, and tables that are too wide are lists.

Needs the Python package selenium (extra "docs"), a Chromium and its driver. On Debian:
apt-get install chromium chromium-driver fonts-dejavu-core
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

try:
    from selenium import webdriver
except ModuleNotFoundError:
    sys.exit('selenium is missing: pip install -c constraints.txt -e ".[docs]"')

WIDTHS = (1280, 400)
THEMES = ("light", "dark")
WITHOUT_WRAPPING = 1280

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_DRIVER = "chromedriver"
_SWITCHES = (
    "--headless",
    "--no-sandbox",  # containers have no user namespaces
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
_SCREEN = {"height": 900, "deviceScaleFactor": 1, "mobile": False}
_DEFECT = re.compile(r"\.(cut-off|only-narrow)[^>]*$")
_MEASURE = Path(__file__).with_name("measure.js").read_text()
_LOAD_IMAGES = """
const done = arguments[arguments.length - 1];
const images = [...document.images];
for (const image of images) image.loading = "eager";
Promise.allSettled(images.map((image) => image.decode())).then(() => done());
"""
_SHOW = """
const [theme, isNarrow, done] = arguments;
document.documentElement.dataset.theme = document.documentElement.dataset.mode = theme;
const style = document.getElementById("measured") || document.createElement("style");
style.id = "measured";
style.textContent = "* { transition: none !important; }"
  + (isNarrow ? "" : " pre, pre * { white-space: pre !important; }");
document.head.append(style);
requestAnimationFrame(() => requestAnimationFrame(() => done()));  // laid out by then
"""


class Finding(NamedTuple):
    """Something cut off: on which page, at which width and theme, what and where."""

    page: str
    width: int
    theme: str
    what: str
    where: str
    text: str


def main() -> None:
    """Measure the pages of the folder given; exit with 1 if something is cut off."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("site", type=Path, help="folder of the built pages")
    site = parser.parse_args().site.resolve()
    pages = sorted(site.rglob("*.html"))
    if not pages:
        sys.exit(f"{site} holds no pages; docs/contributing.md says how to build them.")
    findings: list[Finding] = []
    with browser() as driver:
        check_measure(driver)
        for page in pages:
            findings += measured(driver, page, site)
    for finding in findings:
        print(f"{finding.page}, {finding.width} px, {finding.theme}: {finding.where}")
        print(f"    {finding.what}: {finding.text!r}")
    print(f"{len(pages)} pages measured, {len(findings)} things cut off")
    sys.exit(1 if findings else 0)


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """Start a Chromium without a window and with a profile of its own."""
    chromium = next(filter(None, map(shutil.which, _BROWSERS)), None)
    chromedriver = shutil.which(_DRIVER)
    if chromium is None or chromedriver is None:
        sys.exit("No browser or driver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    with TemporaryDirectory() as profile:
        for switch in (*_SWITCHES, f"--user-data-dir={profile}"):
            options.add_argument(switch)
        driver = webdriver.Chrome(options, webdriver.ChromeService(chromedriver))
        try:
            yield driver
        finally:
            driver.quit()


def check_measure(driver: webdriver.Chrome) -> None:
    """Measure a page whose defects are known: the measure itself must not be blind."""
    page = Path(__file__).with_name("cut_off.html")
    findings = list(measured(driver, page, page.parent))
    count = "return document.querySelectorAll(arguments[0]).length"
    for width in WIDTHS:
        defects = ".cut-off, .only-narrow" if width >= WITHOUT_WRAPPING else ".cut-off"
        expected = driver.execute_script(count, defects)
        for theme in THEMES:
            found = [each.where for each in findings if each[1:3] == (width, theme)]
            right = [where for where in found if _DEFECT.search(where)]
            if not len(found) == len(right) == expected:
                sys.exit(f"{page}: {expected} defects at {width} px, found: {found}")


def measured(driver: webdriver.Chrome, page: Path, site: Path) -> Iterator[Finding]:
    """Open one page, and measure it at each width and in each theme."""
    driver.get(page.as_uri())
    driver.execute_async_script(_LOAD_IMAGES)
    for width in WIDTHS:
        screen = {**_SCREEN, "width": width}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        for theme in THEMES:
            is_narrow = width < WITHOUT_WRAPPING
            driver.execute_async_script(_SHOW, theme, is_narrow)
            for found in driver.execute_script(_MEASURE, is_narrow):
                yield Finding(str(page.relative_to(site)), width, theme, **found)


if __name__ == "__main__":
    main()
