"""What a rule would have done to archived mail: decided as intake decides, of mail one may see, and nothing changed."""

from dataclasses import replace

from archive import rehearsal
from archive.people.scopes import MACHINE
from archive.work import rulebook
from archive.work.rules import Action, Condition, Rule

from ..world import copy_for, mail
from .home import NOON, Home
from .test_sorting import ANY, routed, rule_of


def offers(home: Home, *lines: str) -> Rule:
    return Rule(
        "offers", (Condition("subject", "wildcard", lines),), (Action("route", str(home.ids["process sales"])),)
    )


def test_what_would_reach_somebody_else(home: Home) -> None:
    home.take("Helpdesk", mail(subject="an offer"), mail(subject="a question"))
    home.take("Sales", mail(subject="another offer"))
    before = home.rows("SELECT max(id) FROM event")
    found = rehearsal.rehearse(home.archive, MACHINE, offers(home, "offer"), NOON)
    assert (found.mails, found.matching, found.today, found.elsewhere, found.further) == (3, 2, 0, 1, None)
    first = found.rows[0]
    assert (first.message.subject, first.reached, first.would) == (
        "an offer", (f"process:{home.ids['process helpdesk']}",), (f"process:{home.ids['process sales']}",),
    )  # fmt: skip
    assert [(hit.where, hit.line) for hit in first.because] == [("subject", 1)]
    assert home.rows("SELECT max(id) FROM event") == before


def test_only_mail_one_may_see(home: Home) -> None:
    home.take("Helpdesk", mail(subject="an offer"))
    home.take("Sales", mail(subject="another offer"))
    home.take("Anna", mail(subject="a private offer"))
    for who, subjects in (("anna", ["an offer"]), ("bernd", ["another offer"]), ("clara", [])):
        found = rehearsal.rehearse(home.archive, home.viewer(who), offers(home, "offer"), NOON)
        assert [row.message.subject for row in found.rows] == subjects


def test_of_a_mail_in_two_processes_each_sees_only_the_own_copy(home: Home) -> None:
    """A condition on a transport header of another's copy tells nothing."""
    raw = mail(subject="both")
    home.take("Helpdesk", copy_for("helpdesk@demo.example", raw))
    home.take("Sales", copy_for("hidden@demo.example", raw))
    asked = Rule("r", (Condition("header", "wildcard", ("Delivered-To: hidden",)),), (Action("spam"),))
    assert rehearsal.rehearse(home.archive, home.viewer("anna"), asked, NOON).matching == 0
    assert rehearsal.rehearse(home.archive, MACHINE, asked, NOON).matching == 0  # the first copy counts
    bound = replace(asked, bindings=frozenset({home.ids["Sales"]}))
    assert rehearsal.rehearse(home.archive, home.viewer("bernd"), bound, NOON).matching == 1


def test_in_place_of_the_rule_that_is_there(home: Home) -> None:
    rule_of(home, then=[Action("spam")], name="before")
    one = rule_of(home, Condition("subject", "wildcard", ("offer",)), then=[Action("tag", "x")])
    rule_of(home, then=[Action("tag", "y")], name="behind", stop=True)
    home.take("Helpdesk", mail(subject="an offer"), mail(subject="a question"))
    with home.archive.reading() as session:
        kept = rulebook.get(session, one)
    assert kept is not None
    assert kept.rule is not None
    wider = replace(kept.rule, conditions=(ANY,))
    found = rehearsal.rehearse(home.archive, MACHINE, wider, NOON)
    assert (found.matching, found.today, found.elsewhere) == (2, 1, 0)
    new = replace(wider, id=0, position=0)  # behind one that stops, nothing is asked
    assert rehearsal.rehearse(home.archive, MACHINE, new, NOON).matching == 0


def test_where_mail_is_routed_by_address(home: Home) -> None:
    routed(home)
    home.take(
        "Inbox", mail(subject="an offer", to="helpdesk@demo.example"), mail(subject="2nd offer", to="x@o.example")
    )
    found = rehearsal.rehearse(home.archive, MACHINE, offers(home, "offer"), NOON)
    assert (found.matching, found.elsewhere) == (2, 1)


def test_when_time_is_up_it_says_where_to_go_on(home: Home) -> None:
    home.take("Helpdesk", *[mail(subject=f"offer {n}") for n in range(60)])
    looks = iter([True, False])
    first = rehearsal.rehearse(home.archive, MACHINE, offers(home, "offer"), NOON, lambda: next(looks))
    assert (first.mails, first.further is not None) == (25, True)
    rest = rehearsal.rehearse(home.archive, MACHINE, offers(home, "offer"), NOON, before=first.further)
    assert (first.matching + rest.matching, rest.further) == (60, None)
    assert rehearsal.rehearse(home.archive, MACHINE, offers(home, "offer"), NOON, most=10).mails == 10


def test_older_than_90_days_is_not_looked_at(home: Home) -> None:
    home.take("Helpdesk", mail(subject="old offer"), at=NOON - 100 * 86_400_000)
    assert rehearsal.rehearse(home.archive, MACHINE, offers(home, "offer"), NOON).mails == 0
