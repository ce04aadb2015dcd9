"""Takes the pictures of docs/images from a running demo town.

    make run                                       # in one terminal; then, in another:
    .venv/bin/python -m tests.console.pictures http://127.0.0.1:8080 [NAME …]

The storm stands highest three to eight minutes after the first start. Look at each picture before
it is committed.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.fixtures.browser import NARROW, WIDE

IMAGES = Path(__file__).parents[2] / "docs" / "images"
# Name, desk and what is picked, size, theme; each is taken in both languages.
PICTURES = [
    ("desktop", "flood/flood-01", WIDE, "light"),
    ("phone", "ponds", NARROW, "light"),
    ("snow", "snow", WIDE, "light"),
    ("night", "all", WIDE, "dark"),
]
LANGUAGES = {"": "en-US", "-ja": "ja-JP"}


def take(browser: Browser, url: str, names: list[str]) -> None:
    """Take the pictures with these names, or all."""
    for name, desk, size, theme in PICTURES:
        for ending, locale in LANGUAGES.items():
            if names and name not in names:
                continue
            page = browser.new_page(viewport=size, locale=locale, color_scheme=theme)
            page.goto(f"{url}/#/mizumori/{desk}")
            page.wait_for_selector('#connection[data-state="live"]')
            page.locator(".row").first.wait_for()
            page.wait_for_timeout(2_000)  # the map and the chart are drawn
            page.screenshot(path=IMAGES / f"console-{name}{ending}.png")
            page.close()


def main() -> None:
    """Take them."""
    url, *names = sys.argv[1:]
    with sync_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        take(browser, url.rstrip("/"), names)
        browser.close()


if __name__ == "__main__":
    main()
