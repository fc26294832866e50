"""Takes the pictures of every page, to be looked at: `make shots`, or `python -m tests.web.shots [FOLDER] [PART]`."""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from archive.people import users
from web.language import LANGUAGES

from .pages import PLACES, WIDTHS, House, Place

THEMES = ("light", "dark")
IN_EVERY_LANGUAGE = ("list of a process", "conversation", "search with hits", "health", "your mailboxes")
# What a picture shows that is no theme: a name, what the browser is told, and what is done to the page.
LONGER = """() => { const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) { const text = walk.currentNode, length = text.data.trim().length;
        if (length > 1 && !text.parentNode.closest('[dir=auto], [aria-hidden], time, .n'))
            text.data = `${text.data.trimEnd()} ${'mnohem delší'.repeat(9).slice(0, Math.ceil(length * .4))} `; } }"""
STATES: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("longer", {}, LONGER),
    ("200-percent", {}, "document.documentElement.style.fontSize = '200%'"),
    ("contrast", {"contrast": "more"}, ""),
    ("contrast-dark", {"contrast": "more", "color_scheme": "dark"}, ""),
    ("forced", {"forced_colors": "active"}, ""),
    ("dense", {}, "document.documentElement.dataset.density = 'dense'"),
)
IN_EVERY_STATE = (
    "list of a process",
    "conversation",
    "conversation, marked",
    "search with hits",
    "health",
    "profile",
    "your mailboxes",
    "folder with a preview",
)


def main(folder: Path, part: str = "") -> None:
    """Take them all, or those of the pages whose name has this part."""
    from playwright.sync_api import sync_playwright

    folder.mkdir(exist_ok=True)
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as work, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        with House(Path(work), browser) as house:
            places = [place for place in PLACES if part in place.name]
            for place in places:
                for theme in THEMES:
                    for width in place.widths:
                        take(house, place, folder, f"{width}-{theme}", width, color_scheme=theme)
                if place.name in IN_EVERY_STATE:
                    for state, options, script in STATES:
                        for width in WIDTHS:
                            take(house, place, folder, f"{width}-{state}", width, script, **options)
            for code in LANGUAGES:
                for id_ in house.office.users.values():
                    with house.office.archive.transaction() as session:
                        users.set_language(session, id_, code)
                for place in places:
                    if place.name in IN_EVERY_LANGUAGE:
                        for width in WIDTHS:
                            take(house, place, folder, f"{width}-in-{code}", width)
        browser.close()


def take(house: House, place: Place, folder: Path, what: str, width: int, script: str = "", **options: Any) -> None:
    """Take one picture, named by the page and by what it shows."""
    with house.visit(place.who, width, **options) as page:
        place.open(page, house)
        page.wait_for_load_state("networkidle")
        if script:
            page.evaluate(script)
        page.screenshot(path=folder / f"{re.sub('[^a-z]+', '-', place.name)}-{what}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "shots"), "".join(sys.argv[2:3]))
