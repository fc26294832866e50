"""Mail is routed by its address and by rules, as intake takes it; and what came of it can be proved."""

import json
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from archive import installation
from archive.events import log, proof
from archive.people import processes, users
from archive.people.scopes import MACHINE
from archive.post import bindings, messages, routes
from archive.post.bindings import BindingTrouble
from archive.store.schema import membership, rule, ticket
from archive.work import absences, cases, hours, rulebook, rules, states, views
from archive.work.rules import Action, Condition, Rule

from ..world import copy_for, mail
from .home import NOON, Home, numbered

ANY = Condition("subject", "wildcard", ("*",))


def routed(home: Home) -> None:
    """The office's inbox, where each mail goes by its address; what nothing claims goes to Sales within 4 hours."""
    with home.archive.transaction() as session:
        routes.choose_unrouted(session, home.ids["process sales"], 4, log.OPERATOR, NOON)
        box = bindings.mailbox_by_name(session, "office")
        assert box is not None
        home.ids["Inbox"] = bindings.add(session, box, "Inbox", "Inbox done", NOON)


def rule_of(home: Home, *conditions: Condition, then: Any, where: tuple[str, ...] = (), **more: Any) -> int:
    with home.archive.transaction() as session:
        new = Rule(
            more.pop("name", "a rule"), conditions or (ANY,), tuple(then),
            bindings=frozenset(home.ids[name] for name in where), **more,
        )  # fmt: skip
        return rulebook.add(session, new, log.OPERATOR, NOON)


def deliveries(home: Home) -> list[Any]:
    return home.rows("SELECT scope, reason, address, rule, import_mode FROM delivery ORDER BY message, scope")


def tickets(home: Home) -> list[Any]:
    with home.archive.reading() as session:
        return list(session.execute(select(ticket).order_by(ticket.c.id)))


def told(home: Home, kind: str) -> list[tuple[str, dict[str, Any]]]:
    rows = home.rows(
        "SELECT e.actor, d.details FROM event e JOIN event_detail d ON d.event = e.id WHERE e.kind = ? ORDER BY e.id",
        kind,
    )
    return [(actor, json.loads(details)) for actor, details in rows]


@pytest.fixture
def helpdesk(home: Home) -> str:
    return f"process:{home.ids['process helpdesk']}"


@pytest.fixture
def sales(home: Home) -> str:
    return f"process:{home.ids['process sales']}"


class TestByAddress:
    def test_one_mail_to_two_processes_is_one_message_with_a_ticket_in_each(
        self, home: Home, helpdesk: str, sales: str
    ) -> None:
        routed(home)
        raw = mail(subject="both", to="helpdesk@demo.example", cc="Sales+x@demo.example")
        home.take("Inbox", raw)
        assert (home.count("message"), home.count("conversation"), home.count("receipt")) == (1, 1, 1)
        assert deliveries(home) == [
            (helpdesk, "address", "helpdesk@demo.example", None, None),
            (sales, "address", "Sales+x@demo.example", None, None),
        ]
        assert [one.scope for one in tickets(home)] == [helpdesk, sales]
        assert home.find("anna", "both") == home.find("bernd", "both") == ["both"]
        assert home.find("clara", "both") == []
        assert home.verify() == []

    def test_two_copies_of_one_mail_go_where_each_was_delivered(self, home: Home, helpdesk: str, sales: str) -> None:
        """In one batch and in two, and neither sees the other's transport headers."""
        routed(home)
        for batch in (1, 2):
            raw = mail(subject=f"copies {batch}", to="all@outside.example")
            copies = [copy_for(f"{name}@demo.example", raw) for name in ("helpdesk", "sales")]
            for some in [copies] if batch == 1 else [[one] for one in copies]:
                home.take("Inbox", *some)
        assert [row[:2] for row in deliveries(home)] == [(helpdesk, "address"), (sales, "address")] * 2
        assert len(home.raws(home.viewer("anna"))) == len(home.raws(home.viewer("bernd"))) == 2
        assert all(b"Delivered-To: helpdesk" in raw for raw in home.raws(home.viewer("anna")).values())
        assert sorted(home.find("bernd", "copies")) == ["copies 1", "copies 2"]
        assert home.verify() == []

    def test_what_nothing_claims_has_a_desk_and_a_deadline(self, home: Home, sales: str) -> None:
        routed(home)
        home.take("Inbox", mail(subject="whose", to="undisclosed@outside.example"), mail(subject="none", to=""))
        assert deliveries(home) == [(sales, "unrouted", None, None, None)] * 2
        assert [one.due_at - one.created_at for one in tickets(home)] == [4 * 3_600_000] * 2
        inbox = f"binding:{home.ids['Inbox']}"
        assert [actor for actor, _ in told(home, "ticket.due")] == [inbox, inbox]
        assert home.verify() == []

    def test_where_it_is_known_when_one_works_deadlines_count_that(self, home: Home) -> None:
        """Of a desk, and of a rule: where one works from nine to ten on Mondays, four hours are four weeks."""
        routed(home)
        with home.archive.transaction() as session:
            installation.put(session, hours.NAME, hours.written({0: (540, 600)}, []))
            rulebook.add(session, Rule("soon", (ANY,), (Action("due", "2"),)), "operator", NOON)
        home.take("Inbox", mail(to="undisclosed@outside.example"))
        home.take("Helpdesk", mail())
        with home.archive.reading() as session:
            kept = hours.get(session)
        ends = {home.ids["process sales"]: 4 * 60, home.ids["process helpdesk"]: 2 * 60}
        found = {one.scope: one.due_at - hours.due_in(kept, one.created_at, 0) for one in tickets(home)}
        assert all(one > 6 * 86_400_000 for one in found.values()), found
        assert {one.due_at for one in tickets(home)} <= {
            hours.due_in(kept, one.created_at, minutes) for one in tickets(home) for minutes in ends.values()
        }
        assert home.verify() == []

    def test_without_such_a_desk_no_folder_is_routed(self, home: Home) -> None:
        with home.archive.transaction() as session:
            box = bindings.mailbox_by_name(session, "office")
            assert box is not None
            with pytest.raises(BindingTrouble, match="postroom unrouted"):
                bindings.add(session, box, "Inbox", "Inbox done", NOON)

    def test_if_it_is_gone_all_the_same_the_mail_waits_with_the_reason(self, home: Home) -> None:
        routed(home)
        with home.archive.transaction() as session:
            installation.put(session, routes.UNROUTED, "")
        taken = home.take("Inbox", mail(to="nobody@outside.example"), mail(to="helpdesk@demo.example"))
        assert (len(taken.quarantined), len(taken.archived)) == (1, 1)
        (reason,) = home.rows("SELECT reason FROM quarantine")[0]
        assert "postroom unrouted" in reason

    def test_a_folder_of_a_process_stays_that_process(self, home: Home, helpdesk: str) -> None:
        home.take("Helpdesk", mail(to="helpdesk@demo.example", cc="sales@demo.example"))
        assert deliveries(home) == [(helpdesk, None, None, None, None)]

    def test_addresses_are_added_and_removed(self, home: Home, sales: str) -> None:
        routed(home)
        with home.archive.transaction() as session:
            found = processes.by_slug(session, "sales")
            assert found is not None
            processes.add_address(session, found, "*@Shop.example", log.OPERATOR, NOON)
            processes.add_address(session, found, "offers@demo.example", log.OPERATOR, NOON)
            processes.remove_address(session, found, "sales@demo.example", log.OPERATOR, NOON)
        home.take("Inbox", mail(subject="1", to="what@shop.example"), mail(subject="2", to="offers@demo.example"))
        assert [row[:3] for row in deliveries(home)] == [
            (sales, "address", "what@shop.example"),
            (sales, "address", "offers@demo.example"),
        ]
        assert home.verify() == []

    def test_an_address_is_one_processs(self, home: Home) -> None:
        with home.archive.transaction() as session:
            found = processes.by_slug(session, "sales")
            assert found is not None
            for wrong in ("helpdesk@demo.example", "*x@demo.example", "none"):
                with pytest.raises((processes.ProcessTrouble, users.UserTrouble)):
                    processes.add_address(session, found, wrong, log.OPERATOR, NOON)


class TestRules:
    def test_a_rule_routes_and_it_stands_beside_the_delivery(self, home: Home, helpdesk: str, sales: str) -> None:
        to = str(home.ids["process sales"])
        one = rule_of(home, Condition("subject", "wildcard", ("offer",)), then=[Action("route", to)])
        home.take("Helpdesk", mail(subject="an offer"), mail(subject="a question"))
        assert sorted(deliveries(home)) == sorted(
            [(sales, "rule", None, one, None), (helpdesk, None, None, None, None)]
        )
        assert (home.find("anna", "offer"), home.find("bernd", "offer")) == ([], ["an offer"])
        assert [details.get("rules") for _, details in told(home, "message.archived")] == [[one], None]
        assert home.verify() == []

    def test_what_rules_do_to_tickets_stands_there_and_in_their_history(self, home: Home, helpdesk: str) -> None:
        then = [
            Action("priority", "urgent"), Action("due", "2"), Action("tag", "Order {n}"), Action("tag", "vip"),
            Action("assign", str(home.ids["anna"])),
        ]  # fmt: skip
        one = rule_of(home, Condition("subject", "regular", (r"(?P<n>\d{4})",)), then=then)
        home.take("Helpdesk", mail(subject="order 2031"), mail(subject="order 2032"), mail(subject="none"))
        first, second, third = tickets(home)
        assert (first.priority, first.due_at - first.created_at, first.assignee) == (2, 7_200_000, home.ids["anna"])
        assert (third.priority, third.due_at, third.assignee, second.priority) == (None, None, None, 2)
        tags = home.rows("SELECT t.name, x.ticket FROM tag t JOIN ticket_tag x ON x.tag = t.id ORDER BY 2, 1")
        assert tags == [("Order 2031", first.id), ("vip", first.id), ("Order 2032", second.id), ("vip", second.id)]
        for kind in ("ticket.prioritised", "ticket.due", "ticket.assigned"):
            assert [actor for actor, _ in told(home, kind)] == [f"rule:{one}"] * 2
        assert home.verify() == []

    def test_a_later_mail_of_the_conversation_changes_the_ticket(self, home: Home) -> None:
        first, again = mail(subject="hello", message_id="<1@x>"), mail(subject="Re: URGENT", in_reply_to="<1@x>")
        home.take("Helpdesk", first)
        rule_of(home, Condition("subject", "wildcard", ("urgent",)), then=[Action("priority", "urgent")])
        home.take("Helpdesk", again)
        (one,) = tickets(home)
        assert (one.priority, one.revision) == (2, 1)
        assert home.verify() == []

    def test_where_it_also_goes_rules_do_nothing_to_tickets(self, home: Home, helpdesk: str, sales: str) -> None:
        then = [Action("also", str(home.ids["process sales"])), Action("priority", "high")]
        rule_of(home, then=then, where=("Helpdesk",))
        home.take("Helpdesk", mail())
        assert [(one.scope, one.priority) for one in tickets(home)] == [(helpdesk, 1), (sales, None)]
        assert home.verify() == []

    def test_a_rule_is_for_its_bindings(self, home: Home) -> None:
        rule_of(home, then=[Action("spam")], where=("Sales",))
        home.take("Helpdesk", *numbered([1]))
        home.take("Sales", *numbered([2]))
        assert [(one.spam, one.state) for one in tickets(home)] == [(None, "open"), (True, "done")]
        assert home.verify() == []

    @pytest.mark.parametrize("before", [None, "open", "waiting", "done"])
    def test_what_a_rule_takes_for_spam_is_done_and_in_no_list_but_all(
        self, home: Home, helpdesk: str, before: str | None
    ) -> None:
        if before:
            home.take("Helpdesk", mail(message_id="<a@x>"))
            with home.archive.transaction() as session:
                id_ = session.scalar(select(ticket.c.id)) or 0
                if before == "waiting":
                    states.wait(session, id_, "user:1", NOON, until=None)
                elif before == "done":
                    states.finish(session, id_, "user:1", NOON)
        rule_of(home, then=[Action("spam")])
        home.take("Helpdesk", mail(message_id="<b@x>", in_reply_to="<a@x>"))
        (one,) = tickets(home)
        assert (one.state, one.spam, one.done_at is None) == ("done", True, False)
        with home.archive.reading() as session:
            lists = {view: views.page(session, MACHINE, view, [helpdesk], NOON) for view in views.View}
        assert {view for view, some in lists.items() if some} == {views.View.ALL}
        assert home.verify() == []

    def test_no_rule_sees_private_mail(self, home: Home) -> None:
        rule_of(home, then=[Action("route", str(home.ids["process sales"]))])
        home.take("Anna", mail(subject="dear"))
        assert home.find("bernd", "dear") == []
        assert home.find("anna", "dear") == ["dear"]

    def test_archived_silently_is_done_and_new_to_nobody(self, home: Home) -> None:
        one = rule_of(home, then=[Action("silently")])
        home.take("Helpdesk", mail(subject="newsletter"))
        (made,) = tickets(home)
        assert (made.state, made.done_by, made.done_at) == ("done", f"rule:{one}", made.created_at)
        assert home.rows('SELECT "user", at FROM seen') == [(home.ids["anna"], made.last_at)]
        assert home.find("anna", "newsletter") == ["newsletter"]
        assert home.verify() == []

    def test_what_is_silent_wakes_nobody(self, home: Home) -> None:
        """A newsletter that answers itself: its ticket stays done, and another's that is open stays open."""
        rule_of(home, Condition("subject", "wildcard", ("newsletter",)), then=[Action("silently")])
        home.take(
            "Helpdesk", mail(subject="newsletter", message_id="<1@x>"), mail(subject="a question", message_id="<2@x>")
        )
        home.take("Helpdesk", mail(subject="newsletter 2", in_reply_to="<1@x>"))
        home.take("Helpdesk", mail(subject="Re: newsletter", in_reply_to="<2@x>"))
        assert sorted((one.subject, one.state) for one in tickets(home)) == [
            ("a question", "open"),
            ("newsletter", "done"),
        ]
        home.take("Helpdesk", mail(subject="I answer", in_reply_to="<1@x>"))
        assert [one.state for one in tickets(home)] == ["open", "open"]
        assert home.verify() == []

    def test_in_turn_and_least_loaded_pass_by_who_is_away(self, home: Home) -> None:
        with home.archive.transaction() as session:
            people = [users.add(session, f"p{n}@demo.example", f"P{n}", NOON) for n in range(3)]
            found = processes.by_slug(session, "helpdesk")
            assert found is not None
            rows = [{"process": found.id, "user": one, "role": "works", "since": NOON} for one in people]
            session.execute(insert(membership), rows)
            digests = proof.stored(session, "membership", membership.c.process == found.id)
            log.write(session, [log.Event("members.set", log.OPERATOR, f"process:{found.id}", rows=digests)], NOON)
            absences.record(session, people[1], NOON - 1, NOON + 10**9, log.OPERATOR, NOON - 2)
        turn = rule_of(home, then=[Action("assign", rules.TURN)], where=("Helpdesk",))
        home.take("Helpdesk", *numbered(range(4)))
        anna = home.ids["anna"]
        assert [one.assignee for one in tickets(home)] == [anna, people[0], people[2], anna]
        with home.archive.transaction() as session:
            rulebook.switch(session, turn, False, log.OPERATOR, NOON)
        rule_of(home, then=[Action("assign", rules.LEAST)], where=("Helpdesk",))
        home.take("Helpdesk", *numbered(range(10, 12)))
        assert sorted(one.assignee for one in tickets(home)[4:]) == [people[0], people[2]]
        assert home.verify() == []

    def test_nobody_gets_what_he_may_not_work_on(self, home: Home) -> None:
        rule_of(home, then=[Action("assign", str(home.ids["clara"]))])
        home.take("Helpdesk", mail())
        assert [one.assignee for one in tickets(home)] == [None]

    def test_a_reference_files_under_the_case_where_the_process_takes_part(
        self, home: Home, helpdesk: str, sales: str
    ) -> None:
        """What is outside may write any reference: it gets into no case that its process is not in."""
        clara = f"user:{home.ids['clara']}"
        with home.archive.transaction() as session:
            for reference, part in (("Order 2031", [helpdesk, clara]), ("Order 2032", [sales])):
                cases.open_(session, reference, "", "", log.OPERATOR, part, NOON)
        number = Condition("body", "regular", (r"number (?P<n>\d+)",))
        rule_of(home, number, then=[Action("case", "Order {n}")])
        for n in (2031, 2032, 2033):
            home.take("Helpdesk", mail(subject="hello", text=f"number {n}", message_id=f"<{n}@x>"))
        home.take("Helpdesk", mail(subject="again", in_reply_to="<2031@x>"))
        assert [row[1] for row in home.rows('SELECT kind, "by" FROM case_item')] == ["rule:1"]
        assert sorted(home.find("clara", "hello OR again")) == ["again", "hello"]
        assert home.find("bernd", "hello") == []
        assert home.verify() == []

    def test_a_copy_that_comes_again_does_nothing_twice(self, home: Home) -> None:
        one = rule_of(home, then=[Action("due", "2")], where=("Helpdesk",))
        raw = mail()
        home.take("Helpdesk", raw)
        due = tickets(home)[0].due_at
        home.take("Helpdesk", copy_for("helpdesk@demo.example", raw))
        assert [row.due_at for row in tickets(home)] == [due]
        assert len(told(home, "ticket.due")) == 1
        with home.archive.reading() as session:
            assert rulebook.matches(session, NOON) == {one: 2}
            assert rulebook.matches(session, NOON + 8 * 86_400_000) == {}

    @pytest.mark.parametrize(
        "values",
        [
            {"conditions": "{"}, {"conditions": "[{}]"}, {"actions": "7"}, {"actions": '[{"do": 5}]'},
            {"conditions": '[{"where": "subject", "how": "regular", "lines": ["(a"]}]'},
        ],
    )  # fmt: skip
    def test_a_rule_that_cannot_be_asked_stops_no_mail(self, home: Home, helpdesk: str, values: dict[str, str]) -> None:
        bad = rule_of(home, then=[Action("spam")])
        good = rule_of(home, then=[Action("priority", "high")])
        with home.archive.transaction() as session:
            session.execute(update(rule).where(rule.c.id == bad).values(**values))
            log.write(session, [log.Event("x", "operator", "x", rows=proof.of_ids(session, "rule", [bad]))], NOON)
        for n in range(2):
            home.take("Helpdesk", *numbered([n]))
        assert [(one.scope, one.priority, one.spam) for one in tickets(home)] == [(helpdesk, 1, None)] * 2
        (said,) = told(home, "rule.failed")  # once
        assert said[0] == f"rule:{bad}"
        with home.archive.reading() as session:
            kept = rulebook.every(session)
        assert [(one.id, bool(one.trouble)) for one in kept] == [(bad, True), (good, False)]
        assert home.verify() == []

    def test_a_mail_that_breaks_a_rule_arrives(
        self, home: Home, helpdesk: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = rule_of(home, Condition("header", "wildcard", ("X: y",)), then=[Action("spam")])

        def breaks(_self: object) -> None:
            raise RecursionError("too deep")

        monkeypatch.setattr(rules.Letter, "headers", property(breaks))
        home.take("Helpdesk", mail())
        assert deliveries(home) == [(helpdesk, None, None, None, None)]
        with home.archive.reading() as session:
            assert [kept.trouble for kept in rulebook.every(session)] == ["RecursionError: too deep"]
        assert told(home, "rule.failed") == [(f"rule:{one}", {"reason": "RecursionError: too deep"})]


class TestKept:
    def test_every_change_is_an_event_and_can_be_proved(self, home: Home) -> None:
        some = [rule_of(home, then=[Action("spam")], name=name, where=("Helpdesk",)) for name in "abc"]
        with home.archive.transaction() as session:
            one = rulebook.get(session, some[0])
            assert one is not None
            assert one.rule is not None
            changed = Rule("A", one.rule.conditions, one.rule.actions, bindings=frozenset({home.ids["Sales"]}))
            assert rulebook.change(session, some[0], changed, log.OPERATOR, NOON)
            assert rulebook.move(session, some[2], 1, log.OPERATOR, NOON)
            assert not rulebook.move(session, some[2], 1, log.OPERATOR, NOON)
            assert rulebook.switch(session, some[1], False, log.OPERATOR, NOON)
            assert rulebook.remove(session, some[1], log.OPERATOR, NOON)
        with home.archive.reading() as session:
            assert [kept.name for kept in rulebook.every(session)] == ["c", "A"]
        with home.archive.transaction() as session:
            assert rulebook.put_back(session, some[1], log.OPERATOR, NOON)
        with home.archive.reading() as session:
            kept = rulebook.every(session)
        assert [(one.name, one.active) for one in kept] == [("c", True), ("A", True), ("b", False)]
        kinds = [row[0] for row in home.rows("SELECT kind FROM event WHERE kind LIKE 'rule.%' ORDER BY id")]
        assert kinds[3:] == ["rule.changed", "rule.moved", "rule.switched_off", "rule.removed", "rule.put_back"]
        assert home.verify() == []

    def test_a_rule_changed_behind_our_back_is_told(self, home: Home) -> None:
        one = rule_of(home, then=[Action("spam")])
        with home.archive.transaction() as session:
            session.execute(update(rule).where(rule.c.id == one).values(actions="[]"))
        assert any("rule" in found for found in home.verify())


def test_without_rules_nothing_is_written_beside(home: Home) -> None:
    home.take("Helpdesk", mail())
    assert home.count("rule_count") == 0
    with home.archive.reading() as session:
        assert messages.newest(session, home.viewer("anna"), None, 10)
