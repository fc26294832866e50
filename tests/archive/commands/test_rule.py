"""`postroom rule`."""

import json

from archive.commands.rule import rule

from .conftest import Office

OFFERS = {
    "name": "Offers",
    "conditions": [{"where": "subject", "how": "wildcard", "lines": ["offer"]}],
    "actions": [{"do": "route", "value": "sales"}, {"do": "assign", "value": "bernd@demo.example"}],
    "stop": True,
}


def test_a_rule_is_added_shown_moved_switched_and_removed(office: Office) -> None:
    first = office.call(rule, "add", "-", "--json", typed=json.dumps(OFFERS)).object["rule"]
    shown = json.loads(office.call(rule, "show", str(first)).out)
    assert {name: shown[name] for name in OFFERS} == OFFERS
    second = office.call(rule, "add", "-", "--json", typed=json.dumps({**shown, "name": "Other"})).object["rule"]
    assert office.call(rule, "move", str(second), "1").code == 0
    assert office.call(rule, "switch", str(first), "off").code == 0
    assert office.call(rule, "add", "-", "--replace", str(second), typed=json.dumps(OFFERS)).code == 0
    listed = office.call(rule, "list", "--json").lines
    assert [(one["rule"], one["name"], one["active"], one["week"]) for one in listed] == [
        (second, "Offers", True, 0),
        (first, "Offers", False, 0),
    ]
    assert office.call(rule, "remove", str(second)).code == 0
    assert [one["rule"] for one in office.call(rule, "list", "--json").lines] == [first]
    assert office.call(rule, "remove", str(second)).code == 1


def test_what_will_not_do_is_a_sentence(office: Office) -> None:
    bad = {**OFFERS, "conditions": [{"where": "subject", "how": "regular", "lines": ["ok", "doklad [0-9+"]}]}
    said = office.call(rule, "add", "-", typed=json.dumps(bad))
    assert (said.code, said.err) == (1, "c0: Line 2: the bracket “[” is never closed. Add “]” after “9”.")
    for wrong in ("{", "[]", json.dumps({**OFFERS, "bindings": ["no/where"]})):
        assert office.call(rule, "add", "-", typed=wrong).code == 1
    assert office.call(rule, "list", "--json").lines == []


def test_it_is_rehearsed(office: Office) -> None:
    office.take(1, b"From: e@x.example\r\nSubject: an offer\r\n\r\n")
    said = office.call(rule, "rehearse", "-", "--json", typed=json.dumps(OFFERS)).lines
    assert said[0] == {"mails": 1, "matching": 1, "elsewhere": 1, "large": 0}
    assert (said[1]["reached"], said[1]["would"], said[1]["because"]) == (["helpdesk"], ["sales"], ["subject line 1"])
