"""Who is not answered by itself: everybody and everything RFC 3834 names, and who is only to be feared."""

import json

import pytest

from archive.outgoing import humans

OURS = ("helpdesk@demo.example", "sales@demo.example", "*@old.example")
TO = json.dumps({"to": [["", "Helpdesk+7@Demo.example"]], "cc": []})


def doubt(head: str = "", sender: str = "eva@outside.example", to: str = TO, dmarc: str = "") -> str | None:
    headers: dict[str, list[str]] = {}
    for line in filter(None, head.split("\n")):
        name, _, value = line.partition(":")
        headers.setdefault(name.lower(), []).append(value.strip())
    authentic = {"dmarc": frozenset({dmarc})} if dmarc else {}
    return humans.doubt(headers, headers.get("return-path", ()), sender, to, OURS, authentic)


@pytest.mark.parametrize(
    "head",
    [
        "",
        "Auto-Submitted: no",
        "Auto-Submitted: No (a person) ; x=y",
        "Return-Path: <eva@outside.example>",
        "Return-Path: <EVA+tag@Outside.example>",
        "Return-Path: <prvs=12ab34cd=eva@outside.example>",
        "Precedence: first-class",
        "Content-Type: multipart/mixed; boundary=x",
    ],
)
def test_a_person_who_wrote_to_us_is_answered(head: str) -> None:
    assert doubt(head, dmarc="pass") is None


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ("Auto-Submitted: auto-replied", humans.AUTO),
        ("Auto-Submitted: auto-generated", humans.AUTO),
        ("AUTO-SUBMITTED: Auto-Notified; owner-email=x@y", humans.AUTO),
        ("Auto-Submitted: no\nAuto-Submitted: auto-replied", humans.AUTO),
        ("Auto-Submitted:", humans.AUTO),
        ("Auto-Submitted: (no) auto-x", humans.AUTO),
        ("Return-Path: <>", humans.NULL),
        ("Return-Path: < >", humans.NULL),
        ("Return-Path: <eva@outside.example>\nReturn-Path: <>", humans.NULL),
        ("List-Id: News <news.example>", humans.LIST),
        ("List-Unsubscribe: <mailto:x@y>", humans.LIST),
        ("List-Post: NO", humans.LIST),
        ("Mailing-List: contact x", humans.LIST),
        ("X-Loop: x@y", humans.LIST),
        ("Precedence: bulk", humans.LIST),
        ("Precedence: LIST", humans.LIST),
        ("Precedence: junk (x)", humans.LIST),
        ("X-Auto-Response-Suppress: All", humans.ROBOT),
        ("X-Autoreply: yes", humans.ROBOT),
        (f"{humans.MARKER}: of another installation", humans.MARKED),
        ("Content-Type: multipart/report; report-type=delivery-status", humans.REPORT),
        ("Return-Path: <bounce-4711@news.example>", humans.ELSEWHERE),
        ("Return-Path: <mallory@evil.example>", humans.ELSEWHERE),
    ],
)
def test_what_headers_say_is_no_person_is_not(head: str, why: str) -> None:
    assert doubt(head) == why


@pytest.mark.parametrize(
    "local",
    [
        *("owner-news", "news-owner", "news-request", "news-bounces", "bounce+x", "bounces-1", "MAILER-DAEMON"),
        *("mailerdaemon", "postmaster", "noreply", "no-reply", "No_Reply", "do-not-reply", "donotreply", "noreply-7"),
        *("shop.no-reply", "listserv", "majordomo", "nicht-antworten", "neodpovidat", "no-responder", "nie-odpowiadaj"),
        *("auto-reply", "autoreply", "root", "nobody", ""),
    ],
)
def test_addresses_of_no_person_are_not(local: str) -> None:
    assert doubt(sender=f"{local}@outside.example") == humans.NOBODY


@pytest.mark.parametrize("local", ["norbert", "noreen", "reply", "owner", "request.center", "bouncer", "jan.nobody2"])
def test_names_that_only_look_alike_are(local: str) -> None:
    assert doubt(sender=f"{local}@outside.example") is None


def test_only_to_one_of_our_addresses_and_never_to_ourselves() -> None:
    assert doubt(to=json.dumps({"to": [["", "undisclosed@x.example"]], "cc": [["", "sales@demo.example"]]})) is None
    assert doubt(to=json.dumps({"to": [], "cc": []})) == humans.NOT_TO_US
    assert doubt(to=json.dumps({"to": [["", "all@x.example"]], "reply_to": [["", OURS[0]]]})) == humans.NOT_TO_US
    crowd = [["", f"a{n}@x.example"] for n in range(60)]
    assert doubt(to=json.dumps({"to": [["", OURS[0]], *crowd]})) == humans.NOT_TO_US
    for own in ("helpdesk@demo.example", "Helpdesk+x@demo.example"):
        assert doubt(sender=own) == humans.OURS
    assert doubt(dmarc="fail") == humans.FORGED


@pytest.mark.parametrize("sender", ["", "eva", "@x.example", "eva@localhost", "e" * 250 + "@x.example"])
def test_what_is_no_address_is_not(sender: str) -> None:
    assert doubt(sender=sender) == humans.NOBODY


def test_our_marker_nobody_else_can_make() -> None:
    secret = bytes(32)
    assert humans.is_marked("<1@x>", humans.mark("<1@x>", secret), secret)
    assert not humans.is_marked("<2@x>", humans.mark("<1@x>", secret), secret)
    assert not humans.is_marked("<1@x>", humans.mark("<1@x>", bytes(31) + b"\1"), secret)
