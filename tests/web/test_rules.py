"""The rules page: written, rehearsed, ordered and removed by forms alone, by whom it may; what one types is text."""

import re

import pytest

from archive.events import log
from archive.outgoing import templates
from archive.outgoing.templates import Text
from archive.people import members
from archive.people.roles import Role
from archive.work import rulebook
from archive.work.rules import Action, Condition, Rule

from .. import world
from .conftest import NOW, Office

INVOICES = {
    "name": "Invoices", "active": "on", "of": "all", "stop": "on",
    "c0-where": "subject", "c0-how": "regular", "c0-lines": "(?i)\\b(invoice|faktur[ay]) (?P<number>[0-9]+)",
    "a0-do": "tag", "a0-value": "invoice {number}", "a1-do": "priority", "a1-value": "high",
}  # fmt: skip


def kept(office: Office) -> list[rulebook.Kept]:
    with office.archive.reading() as session:
        return rulebook.every(session)


def add(office: Office, name: str, where: str = "", **more: object) -> int:
    bound = frozenset({office.bindings[where].id}) if where else frozenset()
    new = Rule(name, (Condition("subject", "wildcard", ("*",)),), (Action("spam"),), bindings=bound, **more)  # type: ignore[arg-type]
    with office.archive.transaction() as session:
        return rulebook.add(session, new, log.OPERATOR, NOW)


def mine(office: Office, **more: str) -> dict[str, str]:
    return {**INVOICES, "binding": str(office.bindings["helpdesk"].id), **more}


def test_a_manager_writes_a_rule_and_mail_is_sorted_by_it(office: Office) -> None:
    anna = office.browser("anna")
    done = anna.post("/rules/new", {**mine(office), "does": "save"}, page="/rules/new")
    assert (done.status_code, done.headers["Location"]) == (303, "/rules/1")
    page = anna.get("/rules/1").text
    assert "invoice {number}" in page
    office.take("helpdesk", world.mail(subject="Invoice 2031"))
    (one,) = kept(office)
    assert one.rule is not None
    assert one.rule.actions == (Action("tag", "invoice {number}"), Action("priority", "high"))
    assert "1 this week, then stop" in anna.get("/rules").text


def test_lines_come_and_go_and_nothing_is_kept_by_that(office: Office) -> None:
    anna = office.browser("anna")
    page = anna.post("/rules/new", {**mine(office), "does": "add condition"}, page="/rules/new").text
    assert 'name="c1-where"' in page
    assert "invoice {number}" in page
    page = anna.post("/rules/new", {**mine(office), "does": "drop a0"}, page="/rules/new").text
    assert "invoice {number}" not in page
    assert 'name="a1-do"' not in page
    # Another place: compared as is ordinary there, and the fields are those of the place.
    page = anna.post("/rules/new", {**mine(office), "c0-where": "time", "does": ""}, page="/rules/new").text
    assert re.search(r'<option value="within" selected>', page)
    assert kept(office) == []


def test_what_will_not_do_is_said_beside_the_field(office: Office) -> None:
    anna = office.browser("anna")
    wrong = mine(office, **{"c0-lines": "ok\ndoklad [0-9+", "does": "save", "name": ""})
    answer = anna.post("/rules/new", wrong, page="/rules/new")
    assert answer.status_code == 422
    assert "Line 2: the bracket “[” is never closed. Add “]” after “9”." in answer.text
    assert re.search(r'id="c0"[^>]*aria-invalid="true" aria-describedby="c0-e"', answer.text)
    assert "A rule needs a name" in answer.text
    assert "doklad [0-9+" in answer.text  # what was typed stays
    assert kept(office) == []


def test_a_manager_decides_about_his_own_folders_alone(office: Office) -> None:
    """Neither for all, nor for another process's folders, nor into a process he has nothing to do with."""
    anna, sales = office.browser("anna"), office.bindings["sales"]
    for wrong in (
        {"binding": ""},
        {"binding": str(sales.id)},
        {"a0-do": "route", "a0-value": str(sales.process)},
        {"a0-do": "assign", "a0-value": str(office.users["bernd"])},
    ):
        answer = anna.post("/rules/new", {**mine(office), **wrong, "does": "save"}, page="/rules/new")
        assert answer.status_code == 422, wrong
    everywhere, his = add(office, "for all"), add(office, "of sales", "sales")
    hers = add(office, "hers", "helpdesk")
    assert [name for name in ("for all", "of sales", "hers") if name in anna.get("/rules").text] == ["hers"]
    for id_ in (everywhere, his):
        assert anna.get(f"/rules/{id_}").status_code == 404
        assert anna.post(f"/rules/{id_}", {**mine(office), "does": "save"}, page="/rules").status_code == 404
        assert anna.post(f"/rules/{id_}/remove", page="/rules").status_code == 404
    anna.post("/rules/order", {"move": f"{everywhere} down"}, page="/rules")
    assert [one.id for one in kept(office)] == [everywhere, his, hers]


def test_in_the_name_of_a_process_one_only_hands_mail_to_nobody_answers(office: Office) -> None:
    anna, sales = office.browser("anna"), office.bindings["sales"]
    with office.archive.transaction() as session:
        own, theirs = (
            templates.put(session, None, of, "Thanks", {"en": Text("x", "y")}, "operator", NOW)
            for of in (office.bindings["helpdesk"].process, sales.process)
            if of is not None
        )
        assert sales.process is not None
        members.give(session, sales.process, office.users["anna"], Role.HANDS_IN, "operator", NOW)
    route = {"a0-do": "route", "a0-value": str(sales.process)}
    reply = {"a1-do": "reply", "a1-value": str(own)}
    for typed, answer in (
        ({**route, **reply}, 422),
        ({"a1-do": "reply", "a1-value": str(theirs)}, 422),
        (route, 303),
        (reply, 303),
    ):
        form = {**mine(office), **typed, "does": "save"}
        assert anna.post("/rules/new", form, page="/rules/new").status_code == answer, typed


def test_admins_write_for_all_and_order_by_buttons_and_by_dragging(office: Office) -> None:
    clara = office.browser("clara")
    first, second, third = (add(office, name) for name in "abc")
    clara.post("/rules/order", {"move": f"{third} up"}, page="/rules")
    assert [one.id for one in kept(office)] == [first, third, second]
    clara.post("/rules/order", {"order": f"{second},{first},999,x"}, page="/rules")
    assert [one.id for one in kept(office)] == [second, first, third]
    clara.post("/rules/order", {"move": f"{second} up"}, page="/rules")  # it is the first already
    assert [one.id for one in kept(office)] == [second, first, third]


def test_a_removed_rule_is_put_back(office: Office) -> None:
    clara, one = office.browser("clara"), add(office, "a rule")
    clara.post(f"/rules/{one}/remove", page="/rules")
    assert kept(office) == []
    page = clara.get("/rules").text
    assert "is removed" in page
    assert f'action="/rules/{one}/put-back"' in page
    clara.post(f"/rules/{one}/put-back", page="/health")
    assert [each.id for each in kept(office)] == [one]


def test_it_is_rehearsed_on_what_one_may_see(office: Office) -> None:
    office.take("helpdesk", world.mail(subject="Invoice 1"), world.mail(subject="none"))
    office.take("sales", world.mail(subject="Invoice 2"))
    anna, clara = office.browser("anna"), office.browser("clara")
    page = anna.post("/rules/new", {**mine(office), "does": "rehearse"}, page="/rules/new").text
    assert "Rehearsed on 2 mails" in page
    assert "Invoice 1" in page
    assert "tag" in page.lower()
    assert "Subject, line 1" in page
    page = clara.post("/rules/new", {**INVOICES, "does": "rehearse"}, page="/rules/new").text
    assert "Rehearsed on no mail" in page  # she runs the house, and reads no mail
    assert "Invoice 1" not in page
    assert kept(office) == []


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7*7 }}"])
def test_what_people_type_is_text(office: Office, name: str) -> None:
    one = add(office, name)
    for page in (office.browser("clara").get("/rules").text, office.browser("clara").get(f"/rules/{one}").text):
        assert name not in page or name == "{{ 7*7 }}"
        assert "49" not in page or name != "{{ 7*7 }}"


def test_a_rule_that_could_not_be_asked_is_pointed_out(office: Office) -> None:
    one = add(office, "broken")
    with office.archive.transaction() as session:
        rulebook.note_troubles(session, {one: "RecursionError: too deep"}, NOW)
    assert "RecursionError: too deep." in office.browser("clara").get("/rules").text


def test_why_a_mail_is_here_names_the_rule_and_the_address(office: Office) -> None:
    sales = office.bindings["sales"]
    with office.archive.transaction() as session:
        there = Rule(
            "Offers <b>", (Condition("subject", "wildcard", ("offer",)),), (Action("also", str(sales.process)),),
            bindings=frozenset({office.bindings["helpdesk"].id}),
        )  # fmt: skip
        rulebook.add(session, there, log.OPERATOR, NOW)
    (message,) = office.take("helpdesk", world.mail(subject="an offer"))
    talk = f"/conversations/{office.conversation(message)}"
    assert "The rule “Offers &lt;b&gt;” brought it here." in office.browser("bernd").get(talk).text
    assert "Offers" not in office.browser("anna").get(talk).text  # to her it came by its folder
