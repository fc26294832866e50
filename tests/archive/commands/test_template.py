"""`postroom template`."""

import json

from archive.commands.template import template

from .conftest import Office

THANKS = {"name": "Thanks", "texts": {"cs": {"text": "Díky", "subject": "[{{ticket}}]"}, "en": {"text": "Thank you"}}}


def test_a_template_is_put_shown_replaced_and_removed(office: Office) -> None:
    made = office.call(template, "put", "helpdesk", "-", "--json", typed=json.dumps(THANKS)).object["template"]
    assert json.loads(office.call(template, "show", str(made)).out) == THANKS
    changed = {**THANKS, "name": "Danke"}
    assert office.call(template, "put", "helpdesk", "-", "--replace", str(made), typed=json.dumps(changed)).code == 0
    assert office.call(template, "put", "sales", "-", "--replace", str(made), typed=json.dumps(changed)).code == 1
    listed = office.call(template, "list", "helpdesk", "--json").lines
    assert listed == [{"template": made, "process": "helpdesk", **changed}]
    assert office.call(template, "list", "sales", "--json").lines == []
    assert office.call(template, "remove", str(made)).code == 0
    assert office.call(template, "remove", str(made)).code == 1
    assert office.call(template, "list", "--json").lines == []


def test_what_will_not_do_is_a_sentence(office: Office) -> None:
    for wrong in ("{", "[]", '{"name": "x"}', '{"name": "x", "texts": {"en": {"text": "{{x}}"}}}'):
        said = office.call(template, "put", "helpdesk", "-", typed=wrong)
        assert said.code == 1
        assert said.err.endswith(".")
    assert office.call(template, "put", "nowhere", "-", typed=json.dumps(THANKS)).code == 1
