"""Brakes on mail that goes out by itself, at the pages: who sees what was sent and lets it go on; rules that send."""

import pytest
from sqlalchemy import insert, select, update

from archive.outgoing import auto_replies, templates
from archive.outgoing.auto_replies import Due
from archive.outgoing.templates import Text
from archive.people import members, processes, scopes
from archive.people.roles import Role
from archive.store.schema import auto_reply, brake, message
from archive.work import restricting, rulebook

from .. import world
from .conftest import NOW, Office
from .test_writing import sender  # noqa: F401  the fixture


def braked(office: Office) -> int:
    """Helpdesk answered Eva once by itself, and that was too much."""
    (id_,) = office.take("helpdesk", world.mail(subject="Leak"))
    with office.archive.transaction() as session:
        of = processes.by_slug(session, "helpdesk")
        assert of
        made = templates.put(session, None, of.id, "Thanks", {"en": Text("x", "y")}, "operator", NOW)
        auto_replies.choose_budget(session, "installation", 1, "operator", NOW)
        row = {
            "message": id_, "rule": 1, "template": made, "scope": f"process:{of.id}", "binding": 1,
            "sender": world.EVA.address, "at": NOW, "state": "queued", "ended_at": NOW,
        }  # fmt: skip
        session.execute(insert(auto_reply).values(**row))
        due = Due(2, id_, row["scope"], 1, made, 1, "x@y.example", NOW, office.conversation(id_), False)  # type: ignore[arg-type]
        assert auto_replies.braked(session, due, NOW + 1) == "installation"
        (made_now,) = auto_replies.brakes(session)
    return made_now.id


def test_who_looks_after_it_sees_what_was_sent_and_lets_it_go_on(office: Office) -> None:
    id_ = braked(office)
    for name, sees in (("anna", True), ("clara", False)):
        for page in ("/health", "/outbox"):
            shown = office.browser(name).get(page).text
            assert "Nothing goes by itself any more: there was 1 mail in a day." in shown
            assert (world.EVA.address in shown) == sees
            assert ("to somebody whose mail you do not see" in shown) == (not sees)
    for name in ("bernd", "dana"):  # neither manages Helpdesk
        assert "goes by itself" not in office.browser(name).get("/health").text
        assert office.browser(name).post(f"/brakes/{id_}/release").status_code == 404
    anna, clara = office.browser("anna"), office.browser("clara")
    assert f"/brakes/{id_}/release" not in anna.get("/health").text  # it is about everybody's mail
    assert anna.post(f"/brakes/{id_}/release").status_code == 404
    assert f"/brakes/{id_}/release" in clara.get("/health").text
    assert clara.post(f"/brakes/{id_}/release").status_code == 303
    assert clara.post(f"/brakes/{id_}/release").status_code == 404
    assert "goes by itself" not in anna.get("/outbox").text


def test_what_was_restricted_is_no_evidence_for_others(office: Office) -> None:
    braked(office)
    with office.archive.transaction() as session:
        dana = office.users["dana"]
        of = processes.by_slug(session, "helpdesk")
        assert of
        members.give(session, of.id, dana, Role.MANAGES, "operator", NOW)
        (talk,) = session.scalars(select(message.c.conversation))
        anna = scopes.viewer(session, office.users["anna"])
        restricting.restrict(office.archive, session, anna, talk, [], "", NOW)
    assert world.EVA.address in office.browser("anna").get("/health").text
    for name in ("clara", "dana"):
        assert world.EVA.address not in office.browser(name).get("/health").text


@pytest.mark.parametrize("others", [False, True])
def test_a_manager_lets_go_on_what_was_sent_for_their_processes_alone(office: Office, others: bool) -> None:
    id_ = braked(office)
    with office.archive.transaction() as session:
        sales = processes.by_slug(session, "sales")
        assert sales
        session.execute(update(brake).where(brake.c.id == id_).values(kind="correspondent", subject="x@y.example"))
        if others:
            (sent,) = session.scalars(select(auto_reply.c.id))
            row = dict(session.execute(select(auto_reply)).one()._mapping)
            session.execute(insert(auto_reply).values(**{**row, "id": sent + 1, "scope": f"process:{sales.id}"}))
            session.execute(update(brake).values(evidence=f"[{sent},{sent + 1}]"))
    anna = office.browser("anna")
    assert (f"/brakes/{id_}/release" in anna.get("/health").text) != others
    assert anna.post(f"/brakes/{id_}/release").status_code == (404 if others else 303)


def test_a_rule_that_answers_is_written_at_the_page(office: Office, sender: int) -> None:  # noqa: F811
    with office.archive.transaction() as session:
        of = processes.by_slug(session, "helpdesk")
        sales = processes.by_slug(session, "sales")
        assert of
        assert sales
        fit = templates.put(session, None, of.id, "Thanks", {"en": Text("x", "y")}, "operator", NOW)
        unfit = templates.put(session, None, of.id, "Names", {"en": Text("{{sender_name}}", "y")}, "operator", NOW)
        theirs = templates.put(session, None, sales.id, "Theirs", {"en": Text("x", "y")}, "operator", NOW)
    anna = office.browser("anna")
    form = {
        "name": "Answer", "active": "on", "of": "all", "c0-where": "subject", "c0-how": "wildcard", "c0-lines": "*",
        "a0-do": "reply", "a1-do": "from", "a1-value": str(sender), "a2-do": "header", "a2-value": "X-From: rules",
        "binding": str(office.bindings["helpdesk"].id), "does": "save",
    }  # fmt: skip
    for value in (str(unfit), str(theirs), "99", ""):
        assert anna.post("/rules/new", {**form, "a0-value": value}).status_code == 422
    assert anna.post("/rules/new", {**form, "a0-value": str(fit), "a1-value": "99"}).status_code == 422
    done = anna.post("/rules/new", {**form, "a0-value": str(fit)})
    assert done.status_code == 303
    shown = anna.get(done.location).text
    assert f'<option value="{fit}" selected>' in shown
    assert f'value="{theirs}"' not in shown
    with office.archive.reading() as session:
        (kept,) = rulebook.every(session)
    assert kept.rule
    assert [one.do for one in kept.rule.actions] == ["reply", "from", "header"]
