"""What a page shows of a mail of ours is the mail itself: before it is queued, and while it waits for a colleague."""

import base64
import email
import hashlib
import html
import io
import re
from email import policy
from email.message import EmailMessage
from typing import Any

import lxml.html  # type: ignore[import-untyped]
import pytest
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from archive import sending
from archive.outgoing import reply_settings, templates
from archive.outgoing.templates import Text
from archive.people import members, processes
from archive.people.roles import Role
from archive.store import schema
from archive.store.packs import Damaged
from archive.work import tickets
from web import composed

from .. import world
from .conftest import NOW, Office
from .pictures import picture
from .test_browser import Visit, visit
from .test_daily_reading import sign_in
from .test_writing import HELP, fields, queued, send, sender

__all__ = ["sender", "visit"]  # fixtures

PNG = picture(width=40, height=30)
TEXT = "**Here** is <b>what</b> you want: ![](café%20au%20lait.png)\n\n| a | b |\n|--:|---|\n| 1 | 2 |\n"


def ruled(office: Office, message: int, sender: int) -> None:
    """Answers come to an address with a tag; rules say how they are signed, and a header."""
    with office.archive.transaction() as session:
        session.execute(update(schema.identity).where(schema.identity.c.id == sender).values(tags=True))
        of = processes.by_slug(session, "helpdesk")
        assert of
        signed = {"en": Text("{{author}} of {{process}}", "Sign")}
        signature = templates.put(session, None, of.id, "Sign", signed, "operator", NOW)
        (one,) = tickets.of_conversation(session, office.viewer("anna"), office.conversation(message))
        reply_settings.put(session, [one.id], "signature", str(signature), 1, NOW)
        reply_settings.put(session, [one.id], "header", "X-Campaign: Frühling", 1, NOW)


def same(raw: bytes) -> bytes:
    """A mail without what differs between two that are composed of the same."""
    inner = re.findall(rb"\r\nMessage-ID: <([^>@]*)@", raw)[0]
    without = re.sub(rb"(?m)^Date: .*\r\n", b"", raw).replace(inner, b"ID")
    return re.sub(rb"\+[a-z2-7]{34}@", b"+TAG@", re.sub(rb"=_[0-9a-f]{32}", b"=_", without))


def lines(page: str) -> dict[str, str]:
    """Who it is from and to, as the card says."""
    (facts,) = card(page).find_class("facts")
    said = [one.text_content() for one in facts]
    return dict(zip(said[::2], said[1::2], strict=True))


def card(page: str) -> Any:
    (one,) = lxml.html.document_fromstring(page).find_class("as-sent")
    return one


def frame(page: str) -> Any:
    """The page in its frame."""
    (one,) = card(page).iter("iframe")
    return lxml.html.document_fromstring(one.get("srcdoc"))


def files_of(page: str) -> list[str]:
    return [one.text_content() for some in card(page).find_class("files") for one in some.iter("li")]


def bytes_of(office: Office) -> bytes:
    with office.archive.reading() as session:
        return sending.whole(office.archive, session, queued(office)[0])


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bytes that were read for a page."""
    seen: list[bytes] = []
    read = composed.read

    def noted(raw: bytes, *more: Any) -> composed.Composed:
        seen.append(raw)
        return read(raw, *more)

    monkeypatch.setattr(composed, "read", noted)
    return seen


@pytest.mark.parametrize("plain", [False, True])
def test_the_preview_of_an_answer_is_what_is_queued_then(
    office: Office, sender: int, shown: list[bytes], plain: bool
) -> None:
    (id_,) = office.take("helpdesk", world.mail(subject="Účet", text="Where is <it>?\nAnd\nwhen\n?"))
    ruled(office, id_, sender)
    anna = office.browser("anna")
    form: dict[str, object] = {
        **fields(anna.get(f"/messages/{id_}/reply").text),
        "text": TEXT, "cc": "Jan Malý <jan@x.example>", "bcc": '"Secret, Agent" <agent@x.example>',
    }  # fmt: skip
    form |= {"plain": "1"} if plain else {}
    files = [(io.BytesIO(PNG), "café au lait.png"), (io.BytesIO(b"x" * 3000), "täble.csv")]
    page = send(anna, {**form, "do": "preview", "files": files}).text
    assert queued(office) == []
    drafted = re.findall(r'name="drafted" value="(\d+)"', page)
    again: dict[str, object] = {**fields(page), "drafted": drafted}
    office.clock[0] += 60_000
    assert send(anna, {**again, "do": "preview"}).status_code == 200
    assert send(anna, again).status_code == 303
    first, second = shown
    whole = bytes_of(office)
    assert same(first) == same(second) == same(whole)

    mail = email.message_from_bytes(whole, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    said = lines(page)
    assert said["From"] == f"Helpdesk <{HELP}>" == str(mail["From"])
    assert said["To"] == str(mail["To"]).replace('"', "")
    assert (said["Cc"], said["Subject"]) == ("Jan Malý <jan@x.example>", "Re: Účet")
    assert said["Bcc, seen by nobody else"] == "Secret, Agent <agent@x.example>"
    assert "+" in said["answers to"]
    (header,) = card(page).iter("pre")
    assert "X-Campaign: =?utf-8?b?" in header.text
    assert "agent@x.example" not in header.text
    names = files_of(page)
    assert any("täble.csv" in one and "3" in one for one in names)
    assert any("café au lait.png" in one for one in names)
    text = card(page).find_class("prose")[0].text_content()
    assert "Anna Novotná of Helpdesk" in text, "as the rule has it signed"
    assert "Where is <it>?" in text
    if plain:
        assert not list(card(page).iter("iframe"))
        assert "![](café%20au%20lait.png)" in text
        return
    inside = frame(page)
    assert [one.text_content() for one in inside.iter("strong")] == ["Here"]
    assert "<b>what</b>" in inside.text_content()
    assert "Anna Novotná of Helpdesk" in inside.text_content()
    assert "Where is <it>?" in next(inside.iter("blockquote")).text_content()
    (image,) = inside.iter("img")
    head, _, data = image.get("src").partition(",")
    assert (head, base64.b64decode(data)) == ("data:image/png;base64", PNG)


def test_a_picture_that_is_named_often_does_not_fill_the_memory(
    office: Office, sender: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composed, "MOST_PICTURES", 3 * len(PNG))
    anna = office.browser("anna")
    form = {**fields(anna.get("/compose").text), "to": "jan@x.example", "do": "preview"}
    for often, there in ((2, True), (50, False)):
        files = (io.BytesIO(PNG), "a.png")
        page = send(anna, {**form, "text": "![](a.png) " * often, "files": files}).text
        assert (base64.b64encode(PNG).decode() in page) == there
        assert "a.png" in page


def test_a_mail_that_is_passed_on_whole_is_shown_with_what_is_in_it(
    office: Office, sender: int, shown: list[bytes]
) -> None:
    raw = world.mail(subject="Plan", attachments=[("plan.pdf", b"%PDF-1")], html="<p>See <b>it</b>")
    (id_,) = office.take("helpdesk", raw)
    anna = office.browser("anna")
    at = anna.get(f"/messages/{id_}/forward").text
    kept = re.findall(r'name="kept" value="([^"]*)"', at)
    form: dict[str, object] = {**fields(at), "to": "jan@x.example", "text": "Below.", "whole": "1", "kept": kept}
    page = send(anna, {**form, "do": "preview"}).text
    assert send(anna, form).status_code == 303
    assert same(shown[0]) == same(bytes_of(office))
    names = [one.get("title") for some in card(page).find_class("files") for one in some.iter("span")]
    assert [one for one in names if one] == ["Plan.eml", "plan.pdf"], "and not what stands in the former"


def test_what_is_refused_at_sending_is_refused_at_the_preview_in_the_same_words(
    office: Office, sender: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    anna, bernd = office.browser("anna"), office.browser("bernd")
    form = {**fields(anna.get(f"/messages/{id_}/reply").text), "text": "Hello"}

    def answers(more: dict[str, str], who: Any = anna) -> tuple[TestResponse, TestResponse]:
        token = {"csrf_token": who.token("/health")}
        return tuple(send(who, {**form, **more, **token, **do}) for do in ({}, {"do": "preview"}))  # type: ignore[return-value]

    def refused(more: dict[str, str]) -> str:
        said = []
        for answer in answers(more):
            assert answer.status_code == 422
            assert "as-sent" not in answer.text
            said += re.findall(r'<p id="trouble">(.*?)</p>', answer.text)
        sent, previewed = said
        assert sent == previewed
        return html.unescape(sent)

    assert refused({"to": ""}).startswith("Nobody is to get this mail")
    assert refused({"to": "nobody"}).startswith("“nobody” is no mail address")
    assert refused({"later": "soon"}) == "This is no date and time."
    assert "more than 500 people" in refused({"to": ", ".join(f"a{n}@x.example" for n in range(501))})
    monkeypatch.setattr(sending, "MOST_BYTES", 100)
    assert refused({}).startswith("A mail of more than")
    monkeypatch.undo()
    for more, who in (({"from": "99"}, anna), ({"answers": "99"}, anna), ({"scope": "process:99"}, anna), ({}, bernd)):
        assert [one.status_code for one in answers(more, who)] == [404, 404]
    assert queued(office) == []


def test_a_preview_writes_nothing(office: Office, sender: int) -> None:
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    anna = office.browser("anna")
    form = {**fields(anna.get(f"/messages/{id_}/reply").text), "text": "Hello"}
    anna.get("/outbox")

    def everything() -> str:
        seen = hashlib.sha256()
        with office.archive.reading() as session:
            for table in schema.metadata.sorted_tables:
                for row in sorted(map(repr, session.execute(select(table)).all())):
                    seen.update(row.encode())
        for path in sorted((office.archive.folder / "blobs").rglob("*")):
            seen.update(f"{path} {path.stat().st_size}".encode())
        return seen.hexdigest()

    before = everything()
    assert card(send(anna, {**form, "do": "preview"}).text) is not None
    assert everything() == before
    assert send(anna, form).status_code == 303
    assert everything() != before


def test_whoever_lets_a_mail_go_sees_it_from_the_bytes_that_wait(
    office: Office, sender: int, shown: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not what was typed: quote, signature, recipients, files and headers are looked at, too."""
    (id_,) = office.take("helpdesk", world.mail(subject="Účet", text="Where is <it>?"))
    ruled(office, id_, sender)
    with office.archive.transaction() as session:
        of = processes.by_slug(session, "helpdesk")
        assert of
        processes.want_second_look(session, of.id, True, "operator", NOW)
        members.give(session, of.id, office.users["dana"], Role.SENDS, "operator", NOW)
    anna, dana = office.browser("anna"), office.browser("dana")
    form: dict[str, object] = {
        **fields(anna.get(f"/messages/{id_}/reply").text), "text": TEXT, "cc": "jan@x.example", "bcc": "agent@x.example"
    }  # fmt: skip
    assert send(anna, {**form, "files": [(io.BytesIO(PNG), "café au lait.png")]}).status_code == 303
    (one,) = queued(office)
    page = dana.get(f"/outbox/{one.id}/look").text
    assert shown == [bytes_of(office)]
    said = lines(page)
    assert (said["From"], said["Cc"]) == (f"Helpdesk <{HELP}>", "jan@x.example")
    assert said["Bcc, seen by nobody else"] == "agent@x.example"
    assert "X-Campaign" in next(card(page).iter("pre")).text
    inside = frame(page)
    assert "Anna Novotná of Helpdesk" in inside.text_content()
    assert "Where is <it>?" in next(inside.iter("blockquote")).text_content()
    assert base64.b64decode(next(inside.iter("img")).get("src").partition(",")[2]) == PNG
    assert ">Let it go<" in page

    def gone(*_: object) -> bytes:
        raise Damaged("it was altered")

    with monkeypatch.context() as altered:
        altered.setattr(sending, "whole", gone)
        page = dana.get(f"/outbox/{one.id}/look").text
    assert "gone or were altered" in page
    assert ">Let it go<" not in page
    assert ">Give it back<" in page
    assert dana.post(f"/outbox/{one.id}/look", {"do": "go", "outbox": "1"}).location == "/outbox"
    for address in (f"/outbox/{one.id}/look", f"/outbox/{one.id}/look?outbox=1"):
        assert dana.get(address).location in (f"/conversations/{one.conversation}", "/outbox")
    assert "It does not wait for anybody any more." in dana.get("/outbox").text


def test_the_frame_looks_as_it_should_under_the_policy_of_the_page(office: Office, sender: int, visit: Visit) -> None:
    """Its styles are allowed by their hashes, its picture stands in it; nothing runs, and nothing else is allowed."""
    hostile = "<script>alert(1)</script> <img src=x onerror=alert(1)> ![](https://evil.example/a.png) [x](javascript:a)"
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice", text=f"{hostile}\nWhere\nis\nit?"))
    page = visit.page
    sign_in(page, visit.base)
    page.goto(f"{visit.base}/messages/{id_}/reply")
    page.fill("[name=text]", f"{TEXT}\n{hostile}")
    file = {"name": "café au lait.png", "mimeType": "image/png", "buffer": PNG}
    page.set_input_files("#files", [file])
    page.click("button[value=preview]")
    inner = page.frame_locator(".as-sent iframe")
    inner.locator("blockquote").first.wait_for(state="attached")
    assert inner.locator("img").evaluate("one => [one.naturalWidth, one.complete]") == [40, True]
    quote = inner.locator("blockquote").first
    assert quote.evaluate("one => getComputedStyle(one).borderLeftWidth") == "2px"
    assert inner.locator("body").evaluate("one => getComputedStyle(one).marginTop") == "0px", "the frame's own sheet"
    assert inner.locator("td").first.evaluate("one => getComputedStyle(one).textAlign") == "right"
    inner.locator("body").evaluate("one => { one.setAttribute('style', 'color: red') }")
    assert inner.locator("body").evaluate("one => getComputedStyle(one).color") != "rgb(255, 0, 0)"
    assert visit.dialogs == []
    assert visit.outside == []
    assert [one for one in visit.console if "color: red" not in one and "inline style" not in one] == []
