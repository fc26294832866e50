"""What browsers are given beside the pages: no more than it should be, and what it is said to be."""

import gzip
import hashlib
from pathlib import Path

import pytest

import web

from .conftest import Office

STATIC = Path(web.__file__).parent / "static"


def test_htmx_is_as_it_was_published() -> None:
    expected, name = (STATIC / "htmx.min.js.sha256").read_text().split()
    assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == expected


@pytest.mark.parametrize("name", sorted(one.name for one in STATIC.glob("*.js") if one.name != "htmx.min.js"))
def test_our_scripts_stay_small_and_ask_nobody_else(name: str) -> None:
    script = (STATIC / name).read_text()
    assert len(script.encode()) <= 5000
    assert "//" not in script.replace("// ", ""), "no address"
    assert not any(word in script for word in ("innerHTML", "eval(", "insertAdjacent", "document.write"))


@pytest.mark.parametrize("name", ["postroom.css", "postroom.js", "htmx.min.js", "icons.svg"])
def test_files_are_packed_for_those_who_unpack_them(office: Office, name: str) -> None:
    client, whole = office.app.test_client(), (STATIC / name).read_bytes()
    answer = client.get(f"/static/{name}", headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.data) == whole
    assert len(answer.data) < 0.5 * len(whole)
    for wanted in ("", "br", "gzip;q=0"):
        answer = client.get(f"/static/{name}", headers={"Accept-Encoding": wanted})
        assert "Content-Encoding" not in answer.headers
        assert answer.data == whole
        assert answer.headers["Vary"] == "Accept-Encoding", "caches keep the two apart"


def test_pages_are_not_packed(office: Office) -> None:
    answer = office.browser("anna").get("/search?q=x", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in answer.headers
