"""What every page holds: no finding of axe, nothing that moves once it is there, and not much to load."""

import os
import re
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from werkzeug.exceptions import HTTPException

import web

from .pages import COLD, PAINTED, PLACES, House, Place

AXE_SCRIPT = files("axe_playwright_python").joinpath("axe.min.js").read_text()
TEMPLATES = Path(web.__file__).parent / "templates"
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
        house.rendered.clear()
        page.on("console", lambda message: said.append(message.text))
        place.open(page, house)
        assert {template for template, name in LOOKED_AT.items() if name == place.name} <= {*house.rendered}
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
        wrong = "status of 500" if place.name == "gone wrong" else "status of 4"
        assert [one for one in said if wrong not in one] == []


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


NO_PAGES = {  # what is asked for by GET and shows nothing of its own
    "messages.show", "messages.eml", "messages.attachment", "quarantine.eml",  # lead on; files
    "previews.picture", "mail_frame.show", "mail_frame.inline", "static",
    "suggestions.show", "live.rows", "live.news", "ledger.comparison", "mailboxes.back",
    "monitoring.healthz", "monitoring.readyz", "monitoring.metrics",
}  # fmt: skip


# Every template that is a page, and a place where one looks at it: that it was made there is asked where one looks.
LOOKED_AT = {
    "absences/show.html": "absences",
    "addresses/show.html": "addresses",
    "bindings/journal.html": "folder, what was sent",
    "bindings/show.html": "folder with a preview",
    "cases/file.html": "case, filing",
    "cases/list.html": "cases",
    "cases/show.html": "case",
    "conversations/files.html": "files of a conversation",
    "conversations/list.html": "list",
    "conversations/print.html": "conversation for paper",
    "conversations/show.html": "conversation",
    "errors/form_too_old.html": "form too old",
    "errors/gone_wrong.html": "gone wrong",
    "errors/not_found.html": "no such page",
    "errors/refused.html": "not that way",
    "first_run/hours.html": "working hours",
    "first_run/next_steps.html": "what comes next",
    "first_run/organisation.html": "organisation",
    "handing/ask.html": "hand over",
    "handing/own.html": "what was handed over",
    "health/ledger.html": "ledger",
    "health/show.html": "health",
    "mailboxes/attempt.html": "sign-in of a mailbox, under way",
    "mailboxes/consent.html": "consent, on the way",
    "mailboxes/journal.html": "a whole mailbox, what was sent",
    "mailboxes/revoked.html": "Google, told",
    "mailboxes/show.html": "your mailboxes",
    "mailboxes/whole.html": "a whole mailbox",
    "members/show.html": "members",
    "messages/frame.html": "mail of a colleague, before it goes",
    "messages/headers.html": "header",
    "messages/source.html": "source",
    "messages/view.html": "attachment",
    "palette/show.html": "commands",
    "people/show.html": "people",
    "processes/dashboard.html": "dashboard",
    "processes/routing.html": "where mail goes",
    "processes/show.html": "processes",
    "profile/keys.html": "keys",
    "profile/show.html": "profile",
    "quarantine/show.html": "mail in quarantine",
    "restricting/case.html": "case, restrict",
    "restricting/show.html": "restrict",
    "rules/show.html": "rules",
    "search/find.html": "search",
    "sign_in/dead_link.html": "sign-in by a dead link",
    "sign_in/form.html": "sign-in",
    "sign_in/link.html": "sign-in by link",
    "signatures/show.html": "signatures",
    "templates/show.html": "templates",
    "tickets/conflict.html": "ticket, changed by two",
    "tickets/refused.html": "ticket, mistyped",
    "tour/step.html": "first steps",
    "writing/drafts.html": "drafts",
    "writing/form.html": "answer",
    "writing/look.html": "mail of a colleague, before it goes",
    "writing/outbox.html": "outbox",
}


def test_no_template_is_forgotten() -> None:
    pages = {
        str(one.relative_to(TEMPLATES))
        for one in TEMPLATES.rglob("*.html")
        if one.parent.name != "parts" and re.search(r"{%-? extends |<!doctype html>", one.read_text())
    }
    assert pages == LOOKED_AT.keys()
    assert {*LOOKED_AT.values()} <= {place.name for place in PLACES}


def test_no_page_is_forgotten(house: House) -> None:
    ways = house.office.app.url_map.bind("")
    looked_at = set()
    for place in PLACES:
        address = place.address if isinstance(place.address, str) else place.address(house)
        with suppress(HTTPException):
            looked_at.add(ways.match(urlsplit(address).path)[0])
    there = {one.endpoint for one in house.office.app.url_map.iter_rules() if "GET" in (one.methods or ())}
    assert there - looked_at == NO_PAGES
