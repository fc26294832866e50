"""Why a mail was not answered by itself: in its ticket for those who see it, and counted at the rule that wanted it."""

import html
import re

import pytest

from archive import replying, rereading
from archive.outgoing import auto_replies, humans, templates
from archive.outgoing.templates import Text
from archive.people import processes
from archive.store.archive import Session
from archive.work import rulebook
from archive.work.rules import Action, Condition, Rule

from .. import world
from .conftest import NOW, Office
from .test_writing import sender  # noqa: F401  the fixture

DAY = 86_400_000
LIST = "No automatic answer. The sender looks like a mailing list."
ONCE = "No automatic answer. The sender was answered by itself within the last day."


def rule(office: Office, process: str = "helpdesk") -> int:
    """Every mail to a process is to be answered."""
    with office.archive.transaction() as session:
        of = _process(session, process)
        made = templates.put(session, None, of, "Thanks", {"en": Text("x", "y")}, "operator", NOW)
        every = (Condition("sender", "wildcard", ("*",)),)
        here = frozenset({office.bindings[process].id})
        return rulebook.add(
            session, Rule("Thanks", every, (Action("reply", str(made)),), bindings=here), "operator", NOW
        )


def _process(session: Session, slug: str) -> int:
    of = processes.by_slug(session, slug)
    assert of
    return of.id


def dealt_with(office: Office) -> None:
    while rereading.pass_(office.archive, 500, lambda: office.clock[0]).read:
        pass
    replying.round_(office.archive, lambda: office.clock[0])


def said(office: Office, name: str, message: int) -> list[str]:
    """The grey lines of a conversation."""
    page = office.browser(name).get(f"/conversations/{office.conversation(message)}").text
    return [html.unescape(one) for one in re.findall(r'<p class="step-line"><span>(.*?)</span>', page)]


@pytest.fixture
def busy(office: Office, sender: int) -> tuple[Office, list[int]]:  # noqa: F811
    """A newsletter, Eva who is answered, and Eva again."""
    assert sender
    rule(office)
    some = office.take(
        "helpdesk",
        world.mail(subject="News", headers=[("List-Id", "<news.outside.example>")]),
        world.mail(subject="first"),
        world.mail(subject="second"),
    )
    dealt_with(office)
    return office, some


def test_a_ticket_says_why_there_was_no_answer_to_those_who_see_it(busy: tuple[Office, list[int]]) -> None:
    office, (news, first, second) = busy
    for name in ("anna", "dana"):
        assert said(office, name, news) == [LIST]
        assert said(office, name, second) == [ONCE]
        assert not [one for one in said(office, name, first) if "answer" in one]
    assert office.browser("bernd").get(f"/conversations/{office.conversation(news)}").status_code == 404


def test_it_stands_behind_its_mail_though_others_came_before_it_was_decided(busy: tuple[Office, list[int]]) -> None:
    office, (news, *_) = busy
    office.clock[0] += 60_000
    more = [("List-Id", "<news.outside.example>")]
    (also,) = office.take("helpdesk", world.mail(subject="Re: News", headers=more, in_reply_to=_id(office, news)))
    page = office.browser("anna").get(f"/conversations/{office.conversation(also)}").text
    order = [page.index(f'id="m{news}"'), page.index(LIST), page.index(f'id="m{also}"'), page.rindex(LIST)]
    assert order == sorted(order)
    assert page.count(LIST) == 2


def _id(office: Office, message: int) -> str:
    from archive.people.scopes import MACHINE
    from archive.post import messages

    with office.archive.reading() as session:
        found = messages.get(session, message, MACHINE)
    assert found
    return f"<{found.message_id}>"


def test_who_sees_the_mail_in_another_process_alone_learns_nothing_of_it(office: Office, sender: int) -> None:  # noqa: F811
    assert sender
    rule(office)
    raw = world.mail(subject="both", headers=[("Precedence", "bulk")])
    (one,) = office.take("helpdesk", raw)
    assert office.take("sales", world.copy_for(world.SALES, raw)) == [one]
    assert said(office, "anna", one) == [LIST]
    assert said(office, "bernd", one) == []


def test_the_rule_says_how_many_were_answered_and_why_the_others_were_not(busy: tuple[Office, list[int]]) -> None:
    office, _ = busy
    anna = office.browser("anna")
    office.take("helpdesk", *(world.mail(subject=f"bulk {n}", headers=[("Precedence", "bulk")]) for n in range(2)))
    page = html.unescape(anna.get("/rules/1").text)
    assert "Answered by itself in the last 30 days" in page
    assert "1 mail was answered." in page
    assert "4 mails were not:" in page
    lines = re.findall(r"<span>([^<]+)</span><small>(\d+)</small>", page)
    assert lines == [
        ("The sender looks like a mailing list.", "3"), ("The sender was answered by itself within the last day.", "1"),
    ]  # fmt: skip
    office.take("helpdesk", world.mail(subject="third", from_=world.Person("", "jan@else.example")))
    assert "1 waits." in anna.get("/rules/1").text
    office.clock[0] += 31 * DAY
    assert "Answered by itself" not in office.browser("anna").get("/rules/1").text
    assert office.browser("dana").get("/rules/1").status_code == 404


def test_a_rule_that_answers_nobody_says_nothing_of_it(office: Office) -> None:
    assert office.browser("clara").get("/rules").status_code == 200
    with office.archive.transaction() as session:
        every = (Condition("sender", "wildcard", ("*",)),)
        id_ = rulebook.add(session, Rule("Spam", every, (Action("spam"),)), "operator", NOW)
    office.take("helpdesk", world.mail())
    assert "Answered by itself in" not in office.browser("clara").get(f"/rules/{id_}").text


@pytest.mark.parametrize("kind", sorted(auto_replies.BUDGETS))
def test_a_brake_says_so_in_the_ticket(office: Office, sender: int, kind: str) -> None:  # noqa: F811
    assert sender
    rule(office)
    with office.archive.transaction() as session:
        auto_replies.choose_budget(session, kind, 0, "operator", NOW)
    (one,) = office.take("helpdesk", world.mail())
    dealt_with(office)
    (says,) = said(office, "anna", one)
    assert says.endswith("a brake is on.")


def test_every_reason_that_is_kept_has_its_sentence() -> None:
    kept = {value for name, value in vars(humans).items() if name.isupper() and isinstance(value, str)}
    kept -= {humans.MARKER}
    kept |= {
        auto_replies.AMBIGUOUS, auto_replies.TEMPLATE, auto_replies.NO_ADDRESS, auto_replies.TODAY, auto_replies.LATE,
        auto_replies.UNREADABLE, *auto_replies.BUDGETS,
    }  # fmt: skip
    assert set(auto_replies.SENTENCES) == kept
    assert len(set(auto_replies.SENTENCES.values())) == len(kept)
