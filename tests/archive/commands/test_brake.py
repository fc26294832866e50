"""`postroom brake`, and rules that send, by the names of templates and addresses."""

import json

from archive.commands.brake import brake
from archive.commands.rule import rule
from archive.commands.template import template

from .conftest import Office


def test_budgets_are_shown_and_chosen_and_a_brake_that_is_not_on_is_not_released(office: Office) -> None:
    assert office.call(brake, "budget", "binding", "7", "--json").object["binding"] == 7
    assert office.call(brake, "budget", "--json").object == {
        "correspondent": 3, "conversation": 3, "binding": 7, "installation": 500,
    }  # fmt: skip
    assert office.call(brake, "budget", "binding", "-1").code == 2
    assert office.call(brake, "list", "--json").lines == []
    assert office.call(brake, "release", "1").code == 1


def test_a_rule_names_its_template(office: Office) -> None:
    thanks = {"name": "Thanks", "texts": {"en": {"text": "x", "subject": "y"}}}
    made = office.call(template, "put", "helpdesk", "-", typed=json.dumps(thanks)).out.strip()
    new = {
        "name": "Answer",
        "conditions": [{"where": "subject", "how": "wildcard", "lines": ["*"]}],
        "actions": [{"do": "reply", "value": "Thanks"}],
    }
    id_ = office.call(rule, "add", "-", typed=json.dumps(new)).out.strip()
    assert json.loads(office.call(rule, "show", id_).out)["actions"] == [{"do": "reply", "value": made}]
    for wrong in ({"do": "reply", "value": "None"}, {"do": "from", "value": "nobody@x.example"}):
        assert office.call(rule, "add", "-", typed=json.dumps({**new, "actions": [wrong]})).code == 1
