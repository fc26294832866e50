"""Payloads that try to run or to fetch, everywhere a mail can carry them: none does, in a real browser.

`make proof-xss PAYLOADS=file` gives a list of others' (JSON lines with a "payload" each); without one it is ours.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from archive.people import processes
from archive.store.schema import case, case_participant, process, rule, tag, ticket, ticket_tag, user
from archive.work import drafts
from web import mail_frame
from web.safe_html import _ATTRIBUTES, _TAGS

from .. import world
from . import xss
from .conftest import NOW, Office
from .test_browser import ELEMENTS, Visit, visit  # noqa: F401  a fixture

TOGETHER = 20  # payloads in one conversation, each in two mails
# What a page of ours may hold, whatever mail it shows: no handler, no style, no script of its own, no odd address.
STRANGE = """() => [...document.querySelectorAll('*')].filter(element =>
    [...element.attributes].some(one => one.name.startsWith('on') || one.name === 'style' || one.name === 'srcdoc'
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
        ids = []
        for number, payload in enumerate(some, first):
            at_ms = office.clock[0] + 1000 * number
            office.take("helpdesk", carrying(payload, number, first, ""), at=at_ms)
            ids += office.take("helpdesk", carrying(payload, number, first, payload), at=at_ms)
        at = f"/conversations/{office.conversation(ids[0])}"
        _look(visit, at)
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


@pytest.mark.timeout(3600)
def test_no_payload_runs_or_fetches_as_a_name(office: Office, visit: Visit) -> None:  # noqa: F811
    """As the name of a process, a colleague, a case, a rule or a tag, and as a draft: what people type themselves."""
    every = [said for said in map(one_line, payloads()) if said.strip()]
    visit.page.context.add_init_script(LISTENS)
    office.take("helpdesk", world.mail(subject="Plain", message_id="<plain@x.example>"))
    visit.sign_in()
    anna = office.viewer("anna")
    with office.archive.reading() as session:
        id_, talk = session.execute(select(ticket.c.id, ticket.c.conversation)).one()
    with office.archive.transaction() as session:
        for name in ("one", "two", "three"):
            processes.add(session, name, name, (), (world.ANNA.address,), NOW)
        row = {"reference": "X-1", "folded": "x-1", "title": "x", "client": "x", "state": "open"}
        session.execute(insert(case).values(**row, created_at=NOW, created_by="user:1", last_at=NOW))
        session.execute(insert(case_participant).values(case=1, scope="user:1", since=NOW))
        session.execute(insert(tag).values(name="x", folded="x", created_at=NOW))
        session.execute(insert(ticket_tag).values(ticket=id_, tag=1))
        row = {"name": "x", "conditions": "[]", "actions": "[]"}
        rest = {"position": 1, "active": True, "any_of": False, "stop": False, "created_at": NOW, "changed_at": NOW}
        session.execute(insert(rule).values(**row, **rest))
    pages = ("/", f"/conversations/{talk}", f"/conversations/{talk}/print", "/processes", "/processes/one",
             "/processes/one/dashboard", "/commands", "/rules", "/cases", "/cases/1")  # fmt: skip
    there = [one for one in pages if office.browser("anna").get(one).status_code == 200]
    assert len(there) >= 7
    for number, said in enumerate(every):
        with office.archive.transaction() as session:
            session.execute(update(process).where(process.c.slug != "helpdesk").values(name=said))
            session.execute(update(user).where(user.c.email == "dana@demo.example").values(name=said))
            session.execute(update(case).values(title=said, client=said))
            session.execute(update(rule).values(name=said))
            session.execute(update(tag).values(name=said[:64]))
            drafts.put(session, anna, id_, "comment", said, NOW)
        address = there[number % len(there)]  # one page for each: a list of hundreds goes round many times
        visit.page.goto(visit.base + address)
        _judge(visit, address)
    visit.page.keyboard.press("Control+k")
    visit.page.wait_for_selector("#palette [role=option]")
    _judge(visit, visit.page.url.removeprefix(visit.base))


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
