"""What every page holds: no finding of axe, nothing that moves once it is there, and not much to load."""

import os
from importlib.resources import files

import pytest

from .pages import COLD, PAINTED, PLACES, House, Place

AXE_SCRIPT = files("axe_playwright_python").joinpath("axe.min.js").read_text()
LARGEST = 150_000  # bytes of a page with all it loads, beyond pictures and attachments
NARROW = 390
# Frames hold what outsiders wrote; the page's own part of it, their names, is looked at.
AXE = """rules => axe.run(document, {iframes: false, resultTypes: ['violations'], ...(rules && {runOnly: rules})})
    .then(found => found.violations.flatMap(one => one.nodes.map(node =>
        `${one.id}: ${node.html.slice(0, 200)} ${node.failureSummary}`)))"""
COLOURS = ["color-contrast", "link-in-text-block"]  # all that another theme can change
# Theme, contrast, and what axe looks for; all it knows only once for each width.
LOOKS = (("light", "no-preference", None), ("dark", "no-preference", COLOURS), ("dark", "more", COLOURS))
HOW_MANY = {1440: 3, 1024: int(bool(os.environ.get("PROOF"))), NARROW: 2}
LOADED = """() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
    .filter(one => one.startTime <= window.painted).map(one => [one.name, one.encodedBodySize])"""
# While a page is still coming in (`pages.PAINTED`), what has come may move by less than anybody sees; then not at all.
MOVED = """() => new Promise(done => {
    const found = [];
    new PerformanceObserver(list => found.push(...list.getEntries()))
        .observe({type: 'layout-shift', buffered: true});
    const counts = one => !one.hadRecentInput && (one.startTime >= window.painted || one.value > .005);
    const where = ({previousRect: was, currentRect: is, node}) => [was.y, is.y, node?.outerHTML?.slice(0, 100)];
    setTimeout(() => done(found.filter(counts).map(one => [one.value, one.startTime, ...one.sources.map(where)])), 200);
})"""
PICTURES = ("/picture", "/inline/", "/attachments/")


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_a_page_can_be_used_by_everybody_stands_still_and_is_light(house: House, place: Place) -> None:
    with house.visit(place.who, place.widths[0], color_scheme="light") as page:
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        place.open(page, house)
        moved = page.evaluate(MOVED)
        weight = {at: size for at, size in page.evaluate(LOADED) if not any(part in at for part in PICTURES)}
        assert moved == []
        assert 1000 < sum(weight.values()) <= LARGEST, weight
        page.evaluate(AXE_SCRIPT)
        for width in place.widths:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") == width
            for theme, contrast, rules in LOOKS[: HOW_MANY[width]]:
                page.emulate_media(color_scheme=theme, contrast=contrast)
                assert page.evaluate(AXE, rules) == [], f"{theme} at {width}, contrast {contrast}"
        assert [one for one in said if "status of 4" not in one] == []


@pytest.mark.parametrize("width", [1440, 1024, NARROW])
def test_text_twice_as_large_has_room(house: House, width: int) -> None:
    with house.visit("anna", width) as page:
        for address in ("/processes/helpdesk", house.talk(COLD), "/search?q=kávovar"):
            page.goto(address)
            page.evaluate("document.documentElement.style.fontSize = '200%'")
            assert page.evaluate("document.documentElement.scrollWidth") == width
            shown = [one for one in page.locator(".list, .talk").all() if one.is_visible()]
            assert len(shown) == 1, "one thing at a time"
            pane = shown[0].bounding_box()
            assert pane["width"] > 0.7 * width
            outer, inner = (
                page.locator(".top .find").bounding_box(),
                page.locator(".top .find [type=search]").bounding_box(),
            )
            assert inner is None or inner["x"] + inner["width"] <= outer["x"] + outer["width"]
            assert inner is None or inner["width"] > 60
            ends = page.locator(".msg > summary > small, .row .marks").all()
            boxes = [one.bounding_box() for one in ends if one.is_visible()]
            assert boxes
            for box in boxes:
                assert box["x"] + box["width"] <= pane["x"] + pane["width"]


def test_what_axe_looks_for_is_found(house: House) -> None:
    with house.visit("anna") as page:
        page.goto("/")
        page.evaluate("document.querySelector('.brand').removeAttribute('aria-label')")
        page.evaluate("document.querySelector('.brand span').remove()")
        page.evaluate("document.querySelector('h1').style.color = '#eee'")
        page.evaluate(AXE_SCRIPT)
        found = page.evaluate(AXE, None)
    assert {one.partition(":")[0] for one in found} == {"color-contrast", "link-name"}


def test_what_moves_is_seen(house: House) -> None:
    with house.visit("anna") as page:
        page.goto("/")
        page.evaluate(PAINTED)
        page.evaluate("document.querySelector('.top').insertAdjacentHTML('afterend', '<h2>x</h2>')")
        assert page.evaluate(MOVED)
