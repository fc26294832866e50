"""What browsers are given beside the pages: no more than it should be, and what it is said to be."""

import hashlib
from pathlib import Path

import web

STATIC = Path(web.__file__).parent / "static"


def test_htmx_is_as_it_was_published() -> None:
    expected, name = (STATIC / "htmx.min.js.sha256").read_text().split()
    assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == expected


def test_our_script_stays_small_and_asks_nobody_else() -> None:
    script = (STATIC / "postroom.js").read_text()
    assert len(script.encode()) <= 5000
    assert "//" not in script.replace("// ", ""), "no address"
    assert not any(word in script for word in ("innerHTML", "eval(", "insertAdjacent", "document.write"))
