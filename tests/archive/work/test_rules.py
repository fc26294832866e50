"""Rules: each kind of condition, their order, and what they decide. Without any archive."""

from dataclasses import replace
from typing import Any

import pytest

from archive import sorting
from archive.mail import facts, hops, identity
from archive.work import rules
from archive.work.patterns import Flawed
from archive.work.rules import Action, Condition, Handed, Letter, Rule

from ... import world
from ..home import NOON

IN = "Received: from a.example (a.example [192.0.2.1]) by mx.demo.example (Postfix) with ESMTPS id 1; x\r\n"
PDF = b"%PDF-1.4" + b"x" * 300_000
HERE = (Handed("process:1"),)


def letter(at: int = NOON, zone: str = "Europe/Prague", trace: str = "", **mail: Any) -> Letter:
    """What rules may ask of a mail, made as intake makes it."""
    content, cut = identity.split(trace.encode() + world.mail(**mail))
    own = hops.own(identity.trace_headers(cut)) if cut else hops.NOBODY
    return Letter(facts.read(content), lambda: sorting.header_block(content), own, at, zone)


TAG = (Action("tag", "x"),)


def rule(*conditions: Condition, then: Any = TAG, **more: Any) -> Rule:
    return Rule("r", conditions, tuple(then), **{"id": 1, **more})


def holds(of: Letter, where: str, how: str, *lines: str) -> bool:
    return rules.ready(rule(Condition(where, how, lines))).hits(of) is not None


INVOICE: dict[str, Any] = {
    "subject": "Faktura FV/2026/11",
    "from_": world.Person("Hurtownia Brzoza", "faktury@brzoza.example"),
    "cc": "Sales <sales@demo.example>",
    "text": "Prosimy o zapłatę.\nTermin: 14 dni",
    "attachments": [("FV 11.PDF", PDF), ("note.txt", b"hello")],
    "headers": [("List-Id", "<news.brzoza.example>"), ("X-Mailer", "=?utf-8?q?Ml=C3=BDn?=")],
    "trace": f"X-Original-To: bcc@demo.example\r\nX-Spam-Flag: YES\r\n"
    f"Authentication-Results: mx.demo.example; dkim=pass header.d=a; spf=fail\r\n{IN}",
}
HOLDS: dict[str, list[tuple[str, ...]]] = {
    "sender": [("sender", "wildcard", "nobody@*", "*@brzoza.example")],
    "sender's name": [("sender", "wildcard", "hurtownia *")],
    "sender, not": [("sender", "not wildcard", "*@outside.example", "eva@*")],
    "sender by regular expression": [("sender", "regular", r"^fak\w+@")],
    "recipient in Cc": [("recipient", "wildcard", "sales@demo.example")],
    "recipient's name": [("recipient", "wildcard", "sales")],
    "recipient by the server's word": [("recipient", "wildcard", "bcc@demo.example")],
    "subject": [("subject", "wildcard", "fv/2026")],
    "subject by regular expression": [("subject", "regular", r"(?i)\b(invoice|faktur[ay])\b")],
    "subject, upper and lower case": [("subject", "not regular", "faktura")],
    "header": [("header", "wildcard", "List-Id: *brzoza*")],
    "header, encoded": [("header", "regular", "x-mailer: ^Mlýn$")],
    "header of transport": [("header", "wildcard", "X-Spam-Flag: yes")],
    "header, not": [("header", "not wildcard", "X-Priority: 1")],
    "body": [("body", "wildcard", "prosimy*termin")],
    "body over lines": [("body", "regular", "(?s)zapłatę.*14")],
    "attachment's name": [("attachment name", "wildcard", "*.pdf")],
    "attachment's type": [("attachment type", "wildcard", "pdf")],
    "attachment's whole type": [("attachment type", "wildcard", "application/pdf")],
    "attachment's size": [("attachment size", "over", "250 kB")],
    "attachment's size, under": [("attachment size", "under", "1 kB")],
    "authenticity": [("authenticity", "passes", "dkim")],
    "authenticity, not": [("authenticity", "does not pass", "DMARC")],
    "authenticity, failed": [("authenticity", "does not pass", "spf")],
    "time": [("time", "within", "Mon-Fri 13:00-13:01")],  # 12:00 UTC is 13:00 in Prague
    "time, over midnight": [("time", "within", "22:00-13:01")],
    "time, a day": [("time", "within", "Sat", "Mon")],
    "time, outside": [("time", "outside", "Sat-Sun", "Mon-Fri 14:00-18:00")],
    "all of several": [("sender", "wildcard", "*brzoza*"), ("attachment type", "wildcard", "PDF")],
}
FAILS = {
    "sender": ("sender", "wildcard", "brzoza.example"),
    "sender, not": ("sender", "not wildcard", "*@nobody.example", "*@brzoza.example"),
    "recipient": ("recipient", "wildcard", "anna@*"),
    "subject": ("subject", "regular", "^FV"),
    "header that is not there": ("header", "wildcard", "X-Nothing: *"),
    "body": ("body", "wildcard", "invoice"),
    "attachment's name": ("attachment name", "wildcard", "FV"),
    "attachment's size": ("attachment size", "over", "1 MB"),
    "authenticity": ("authenticity", "passes", "spf", "dmarc"),
    "authenticity, not": ("authenticity", "does not pass", "dkim"),
    "time": ("time", "within", "Sat-Sun", "8:00-13:00"),
    "time, outside": ("time", "outside", "Mon"),
}


@pytest.mark.parametrize("case", HOLDS)
def test_conditions_that_hold(case: str) -> None:
    asked = [Condition(where, how, tuple(lines)) for where, how, *lines in HOLDS[case]]
    assert rules.ready(rule(*asked)).hits(letter(**INVOICE)) is not None


@pytest.mark.parametrize("case", FAILS)
def test_conditions_that_do_not(case: str) -> None:
    where, how, *lines = FAILS[case]
    assert not holds(letter(**INVOICE), where, how, *lines)


def test_of_a_mail_without_attachments_nothing_is_said() -> None:
    assert not holds(letter(), "attachment type", "wildcard", "*")
    assert not holds(letter(), "attachment size", "under", "1 GB")
    assert not holds(letter(), "authenticity", "passes", "dkim", "spf", "dmarc")


def test_a_sender_cannot_vouch_for_himself() -> None:
    forged = f"{IN}Authentication-Results: mx.demo.example; dmarc=pass\r\n"
    assert not holds(letter(trace=forged), "authenticity", "passes", "dmarc")


def test_any_of_and_all_of() -> None:
    one, other = Condition("subject", "wildcard", ("Hello",)), Condition("subject", "wildcard", ("nowhere",))
    assert rules.ready(rule(one, other)).hits(letter()) is None
    assert rules.ready(rule(other, one, any_of=True)).hits(letter()) is not None


def test_why_it_matched_is_told_by_line() -> None:
    asked = Condition("sender", "wildcard", ("nobody", "*@outside.example"))
    hits = rules.ready(rule(asked)).hits(letter())
    assert hits is not None
    assert [(hit.where, hit.line, hit.typed) for hit in hits] == [("sender", 2, "*@outside.example")]


@pytest.mark.parametrize(
    ("of", "place", "says"),
    [
        (rule(name := Condition("body", "wildcard", ("x",)), then=()), "actions",
         "This rule does nothing. Add an action."),
        (rule(), "conditions", "A rule needs a condition. Add one."),
        (replace(rule(name), name=" "), "name", "A rule needs a name of at most 80 characters."),
        (rule(Condition("subject", "over", ("1",))), "c0", "This cannot be compared in that way. Choose another."),
        (rule(name, Condition("subject", "regular", ("ok", "doklad [0-9+"))), "c1",
         "Line 2: the bracket “[” is never closed. Add “]” after “9”."),
        (rule(Condition("header", "wildcard", ("X-Spam",))), "c0",
         "Line 1: write the header's name, a colon, and the pattern: “List-Id: *news*”."),
        (rule(Condition("attachment size", "over", ("many",))), "c0",
         "Line 1: “many” is no size. Write 500 kB or 5 MB."),
        (rule(Condition("authenticity", "passes", ("tls",))), "c0", "Line 1: write DKIM, SPF or DMARC."),
        (rule(Condition("time", "within", ("25:00-26:00",))), "c0",
         "Line 1: “25:00-26:00” is no time. Write Mon-Fri 8:00-17:00, or Sat-Sun, or 22:00-6:00."),
        (rule(Condition("time", "within", ("Mon-Xyz",))), "c0",
         "Line 1: “Mon-Xyz” is no time. Write Mon-Fri 8:00-17:00, or Sat-Sun, or 22:00-6:00."),
        (rule(name, then=[Action("tag", "{number}")]), "a0",
         "No condition captures {number}. Write (?P<number>…) in a regular expression."),
        (rule(name, then=[Action("route", "sales")]), "a0", "Choose a process."),
        (rule(name, then=[Action("due", "0")]), "a0", "Write in how many hours: 1 to 8784."),
        (rule(name, then=[Action("explode")]), "a0", "This is nothing that can be done. Choose another action."),
    ],
)  # fmt: skip
def test_what_will_not_do_is_said_at_its_place(of: Rule, place: str, says: str) -> None:
    assert [(where, str(flaw)) for where, flaw in rules.check(of)] == [(place, says)]
    with pytest.raises(Flawed):
        rules.ready(of)


ANY = Condition("subject", "wildcard", ("*",))


def decided(*some: Rule, first: Any = HERE, of: Letter | None = None, **more: Any) -> rules.Decision:
    numbered = [replace(one, id=number) for number, one in enumerate(some, 1)]
    return rules.decide(of or letter(), [rules.ready(one) for one in numbered], first, **more)


def test_the_first_that_routes_decides_and_others_add() -> None:
    found = decided(
        rule(ANY, then=[Action("also", "3"), Action("tag", "a")]),
        rule(ANY, then=[Action("route", "2")]),
        rule(ANY, then=[Action("route", "4"), Action("also", "2"), Action("tag", "b")]),
    )
    assert [(one.scope, one.rule, one.also) for one in found.to] == [("process:2", 2, False), ("process:3", 1, True)]
    assert [(deed.rule, deed.value) for deed in found.deeds] == [(1, "a"), (3, "b")]


def test_behind_a_rule_that_stops_nothing_is_asked() -> None:
    found = decided(
        rule(Condition("subject", "wildcard", ("nowhere",)), stop=True),
        rule(ANY, then=(), stop=True),
        rule(ANY, then=[Action("spam")]),
    )
    assert ([rule for rule, _ in found.matched], found.deeds, found.to) == ([2], (), HERE)


def test_captured_values_stand_in_tags_and_references() -> None:
    order = Condition("subject", "regular", (r"Order (?P<number>\d+)",))
    found = decided(rule(order, then=[Action("tag", "order {number}"), Action("case", "Order {number}")]),
                    of=letter(subject="Re: Order 2031\r\n hello"))  # fmt: skip
    assert [deed.value for deed in found.deeds] == ["order 2031", "Order 2031"]


def test_what_captured_nothing_is_left_out() -> None:
    either = (Condition("subject", "regular", (r"Order (?P<number>\d+)",)), Condition("body", "wildcard", ("anybody",)))
    found = decided(rule(*either, any_of=True, then=[Action("tag", "{number}"), Action("tag", "order")]))
    assert [deed.value for deed in found.deeds] == ["order"]


def test_a_rule_that_fails_is_left_out_and_said() -> None:
    class Broken:
        rule = rule(ANY, id=7)

        def hits(self, _of: Letter) -> None:
            raise RecursionError("too deep")

    found = rules.decide(letter(), [Broken(), rules.ready(rule(ANY, id=8))], HERE)  # type: ignore[list-item]
    assert (found.to, found.failed, [rule for rule, _ in found.matched]) == (HERE, {7: "RecursionError: too deep"}, [8])


def test_of_mail_that_was_there_before_nobody_is_called() -> None:
    then = [Action("assign", "in turn"), Action("due", "4"), Action("tag", "x"), Action("also", "2")]
    found = decided(rule(ANY, then=then), first=(Handed("process:1", due_hours=4),), import_mode=True)
    assert [deed.do for deed in found.deeds] == ["tag"]
    assert [(one.scope, one.due_hours) for one in found.to] == [("process:1", None), ("process:2", None)]


def test_a_rule_is_kept_and_read_as_it_was() -> None:
    one = rule(ANY, Condition("header", "not regular", ("X: ě", "Y: b")), then=[Action("spam"), Action("tag", "ž")])
    row = type("Row", (), {**rules.written(one), "id": 1, "position": 3})
    assert rules.read(row, [5]) == replace(one, position=3, bindings=frozenset({5}))
