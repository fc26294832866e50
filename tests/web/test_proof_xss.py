"""Payloads that try to run or to fetch, everywhere a mail can carry them: none does, in a real browser.

`make proof-xss PAYLOADS=file` gives a list of others' (JSON lines with a "payload" each); without one it is ours.
"""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from archive.outgoing import identities
from archive.people import processes, scopes
from archive.store.schema import absence, case, comment, delivery, hand_over, identity, process, rule, tag, ticket, user
from archive.work import absences, cases, comments, drafts, handing, rulebook, tags
from archive.work.rules import Action, Condition, Rule
from web import mail_frame
from web.safe_html import _ATTRIBUTES, _TAGS

from .. import world
from . import xss
from .conftest import NOW, Office
from .test_browser import ELEMENTS, Visit, visit  # noqa: F401  a fixture

TOGETHER = 20  # payloads in one conversation, each in two mails
# What a page of ours may hold, whatever mail it shows: no handler, no style, no script of its own, no odd address.
STRANGE = """() => [...document.querySelectorAll('*')].filter(element =>
    [...element.attributes].some(one => one.name.startsWith('on') || one.name === 'style'
        || (one.name === 'srcdoc' && !(element.sandbox.length && !/allow-(scripts|same-origin)/.test(element.sandbox)))
        || (['href', 'src', 'action', 'formaction', 'xlink:href', 'data'].includes(one.name)
            && !/^(https?:|mailto:|[/#?]|data:image\\/svg|$)/i.test(one.value)))
    || (element.localName === 'script' && !element.src.startsWith(location.origin + '/static/'))
    || ['object', 'embed', 'base', 'math', 'applet', 'video', 'audio', 'template', 'foreignobject'].includes(
        element.localName.toLowerCase())
).map(element => element.outerHTML.slice(0, 300))"""
LISTENS = """for (const name of ['alert', 'confirm', 'prompt', 'print', 'open'])
    window[name] = said => { window.pwned = name; console.log('pwned by ' + name + ' ' + said) }"""


def payloads() -> list[str]:
    given = os.environ.get("PAYLOADS")
    if not given:
        return [one.encode("utf-8", "replace").decode() for one in xss.SAMPLES.values()]
    lines = Path(given).read_text("utf-8").split("\n")
    return [json.loads(line)["payload"].encode("utf-8", "replace").decode() for line in lines if line.strip()]


def one_line(payload: str) -> str:
    return " ".join(payload.split()).replace("\0", "")


def carrying(payload: str, number: int, first: int, html: str) -> bytes:
    """A mail with the payload as text, subject, sender, file name and MIME type, and with this HTML."""
    said = one_line(payload)
    raw = world.mail(
        subject=said or None,
        from_=world.Person(said, "x@x.example"),
        text=payload,
        html=html,
        attachments=[(said[:200], b"x"), ("kind.bin", payload.encode())],
        message_id=f"<{number}{'h' if html else ''}@x.example>",
        in_reply_to=f"<{first}@x.example>" if html or number > first else "",
    )
    head, found, tail = raw.rpartition(b"Content-Type: application/octet-stream")
    assert found
    return head + b"Content-Type: " + said.encode()[:900] + tail


@pytest.mark.timeout(3600)
def test_no_payload_runs_or_fetches_anywhere(office: Office, visit: Visit) -> None:  # noqa: F811
    every = payloads()
    visit.page.context.add_init_script(LISTENS)
    visit.sign_in()
    client, anna = office.app.test_client(), office.browser("anna")
    blank = visit.page.context.new_page()  # without a policy, so that what it parses is not complained of
    shown = 0
    for first in range(0, len(every), TOGETHER):
        some = every[first : first + TOGETHER]
        ids, plain = [], []
        for number, payload in enumerate(some, first):
            at_ms = office.clock[0] + 1000 * number
            plain += office.take("helpdesk", carrying(payload, number, first, ""), at=at_ms)
            ids += office.take("helpdesk", carrying(payload, number, first, payload), at=at_ms)
        # A sender that is no address any more takes part in nothing, and has a conversation of his own.
        for talk in dict.fromkeys(office.conversation(one) for one in (*ids, *plain)):
            _look(visit, f"/conversations/{talk}")
            shown += visit.page.locator(".msg > summary").count()
        for payload, id_ in zip(some, ids, strict=True):
            with office.app.test_request_context():
                frame = mail_frame.address(office.users["anna"], id_)
            _harmless(blank, client.get(frame).text, payload)
            for part in range(2, 5):
                answer = anna.get(f"/messages/{id_}/attachments/{part}")
                if answer.status_code == 200:
                    assert answer.headers["Content-Type"].partition(";")[0] in (
                        *("application/octet-stream", "text/plain", "message/rfc822"),
                    ), payload
                    assert answer.headers["Content-Disposition"].startswith("attachment;")
        for address in (f"/messages/{ids[-1]}/headers", f"/messages/{ids[-1]}/source", "/"):
            visit.go(address)
            _judge(visit, address)
    assert shown == 2 * len(every)
    assert visit.outside == []
    assert visit.dialogs == []
    assert [one for one in visit.console if "pwned" in one] == []
    assert visit.console == [], "not even something that the policies had to stop"


@pytest.mark.timeout(7200)
def test_no_payload_runs_or_fetches_where_people_type(office: Office, visit: Visit) -> None:  # noqa: F811
    """As every name there is and every text that colleagues see; and as an answer, whose Markdown becomes HTML."""
    every = [one.replace("\0", "") for one in payloads()][:: 1 if os.environ.get("PAYLOADS") else 3]
    visit.page.context.add_init_script(LISTENS)
    (message,) = office.take("helpdesk", world.mail(subject="Plain", message_id="<plain@x.example>"))
    visit.sign_in()
    blank = visit.page.context.new_page()
    ticket_, talk = _furnish(office, message)
    at = f"/conversations/{talk}"
    places = ("/", f"{at}/print", f"{at}/hand-over", f"{at}/file", "/views/mine", "/processes", "/processes/one",
              "/processes/one/dashboard", "/processes/helpdesk/members", "/commands", "/rules", "/rules/1", "/cases",
              "/cases/1", "/handed-over", "/absences", "/compose", "/profile", "/search?q=plain")  # fmt: skip
    there = [one for one in places if office.browser("anna").get(one).status_code == 200]
    assert there == list(places)
    for number, payload in enumerate(every):
        _say_everywhere(office, ticket_, payload)
        visit.page.goto(visit.base + at)
        _judge(visit, at)
        if number < 3:
            assert " ".join(payload.split())[:20] in " ".join(visit.page.locator(".said-here").inner_text().split())
        visit.page.evaluate("document.querySelector('#why').showPopover()")
        _judge(visit, at)
        address = there[number % len(there)]  # one of them for each: a list of hundreds goes round many times
        visit.page.goto(visit.base + address)
        _judge(visit, address)
        visit.page.goto(f"{visit.base}/messages/{message}/reply")
        _judge(visit, f"/messages/{message}/reply")
        visit.page.click("button[value=preview]")
        visit.page.wait_for_selector("#preview")
        _judge(visit, "/outbox")
        _harmless(blank, visit.page.locator("iframe[srcdoc]").first.get_attribute("srcdoc") or "", payload)
    visit.go("/")
    visit.page.keyboard.press("Control+k")
    visit.page.wait_for_selector("#palette [role=option]")
    _judge(visit, "/")


def _furnish(office: Office, message: int) -> tuple[int, int]:
    """One of everything that has a name or a text, around a mail; its ticket and conversation."""
    anna, dana = office.viewer("anna"), office.users["dana"]
    with office.archive.transaction() as session:
        id_, talk = session.execute(select(ticket.c.id, ticket.c.conversation)).one()
        helpdesk, sales = (processes.by_slug(session, slug) for slug in ("helpdesk", "sales"))
        assert helpdesk
        assert sales
        for name in ("one", "two", "three"):
            processes.add(session, name, name, (), (world.ANNA.address,), NOW)
        cases.open_(session, "X-1", "x", "x", f"user:{anna.user}", [f"user:{dana}"], NOW)
        one = cases.by_reference(session, "X-1")
        assert one
        cases.file(session, one, cases.TICKET, str(id_), f"user:{anna.user}", NOW)
        tags.put(session, [id_], ["x"], f"user:{dana}", NOW)
        comments.add(session, id_, dana, "x", NOW)
        absences.record(session, dana, NOW - 1, NOW + 86_400_000, f"user:{dana}", NOW, note="x")
        here = frozenset({office.bindings["helpdesk"].id})
        condition = Condition("subject", "wildcard", ("x",))
        rulebook.add(session, Rule("x", (condition,), (Action("tag", "x"),), bindings=here), "operator", NOW)
        session.execute(update(delivery).values(rule=1, reason="rule"))
        box = replace(office.bindings["helpdesk"].mailbox, smtp="smtps://mail.example")
        identities.add(session, "helpdesk@demo.example", box, NOW, name="x", signature="x", process=helpdesk.id)
        to = scopes.process_scope(sales.id)
        of = scopes.process_scope(helpdesk.id)
        handing.hand(office.archive, session, anna, talk, of, to, "x", NOW)
    return int(id_), int(talk)


def _say_everywhere(office: Office, ticket_: int, payload: str) -> None:
    said, anna = one_line(payload) or "x", office.viewer("anna")
    condition = {"where": "subject", "how": "wildcard", "lines": [said]}
    with office.archive.transaction() as session:
        session.execute(update(process).where(process.c.slug != "helpdesk").values(name=said))
        session.execute(update(user).where(user.c.email != world.BERND.address).values(name=said))
        session.execute(update(case).values(reference=said[:64], title=said, client=said))
        session.execute(update(rule).values(name=said, conditions=json.dumps([condition])))
        session.execute(update(tag).values(name=said[:64]))
        session.execute(update(comment).values(text=payload))
        session.execute(update(hand_over).values(note=payload))
        session.execute(update(absence).values(note=said))
        session.execute(update(identity).values(name=said, signature=payload))
        drafts.put(session, anna, ticket_, "comment", payload, NOW)
        drafts.put(session, anna, ticket_, "reply", payload, NOW)


def _look(seen: Visit, address: str) -> None:
    """Open a conversation with everything in it unfolded and every frame loaded."""
    seen.go(address)
    seen.page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    seen.page.evaluate("document.querySelectorAll('iframe').forEach(e => e.loading = 'eager')")
    seen.page.wait_for_load_state("networkidle")
    _judge(seen, address)


def _judge(seen: Visit, address: str) -> None:
    assert seen.page.evaluate("window.pwned") is None, address
    assert seen.page.evaluate(STRANGE) == [], address
    assert seen.page.url.startswith(seen.base + address.partition("?")[0]), "nobody led us elsewhere"
    assert seen.outside == [], address
    assert seen.dialogs == [], address
    assert seen.console == [], address


def _harmless(blank: Any, markup: str, payload: str) -> None:
    """The frame's markup as the browser parses it holds only what is listed."""
    found: list[Any] = blank.evaluate(ELEMENTS, markup)
    for name, namespace, attributes in found:
        assert name in _TAGS, (payload, name)
        assert namespace == "http://www.w3.org/1999/xhtml", (payload, name)
        unknown = set(attributes) - _ATTRIBUTES["*"] - _ATTRIBUTES.get(name, set()) - {"rel", "target"}
        assert not unknown, (payload, name, unknown)
        assert attributes.get("href", "https:").strip().lower().startswith(("http:", "https:", "mailto:")), payload
        assert attributes.get("src", "/messages/").startswith(("/messages/", "data:image/")), payload
