"""Answers that go out by themselves: to whom, with what in them, how many; and that old mail causes none."""

import email
from email import policy

import pytest

from archive import installation, replying, rereading, sending
from archive.intake import Arrival, Imported
from archive.outgoing import auto_replies, humans, identities, outbox, templates
from archive.outgoing.templates import Text
from archive.people.scopes import MACHINE, process_scope
from archive.post import sources
from archive.store.schema import binding
from archive.work import rulebook, strays
from archive.work.rules import Action, Condition, Rule

from ..home import NOON, Home
from .test_outbox import claim, office, reply, seen, send  # noqa: F401  the fixture

THANKS = {
    "en": Text("We have it, {{process}}, ticket {{ticket}}.", "[{{ticket}}] Received"),
    "cs": Text("Máme to.", "Přijato"),
}
EVERY = (Condition("sender", "wildcard", ("*",)),)
DAY = 86_400_000


def letter(number: int, sender: str = "Eva <eva@outside.example>", more: str = "", text: str = "Hello, when?") -> bytes:
    return (
        f"From: {sender}\r\nTo: helpdesk@demo.example\r\nSubject: SECRET {number}\r\n"
        f"Message-ID: <{number}@outside.example>\r\n{more}\r\n{text} SECRET {number}\r\n"
    ).encode()


def rule(home: Home, *actions: Action) -> int:
    with home.archive.transaction() as session:
        of = home.ids["process helpdesk"]
        template = templates.put(session, None, of, "Thanks", THANKS, "operator", NOON)
        home.ids["template"] = template
        said = actions or (Action("reply", str(template)),)
        return rulebook.add(session, Rule("Thanks", EVERY, said), "operator", NOON)


def take(home: Home, at: int, raw: bytes) -> None:
    """A mail that comes then."""
    home.intake.take(home.binding("Helpdesk"), 7, [Arrival(next(home._uids), raw, at)], lambda: at)


def read_again(home: Home) -> None:
    while rereading.pass_(home.archive, 500, home.clock).read:
        pass


def round_(home: Home, at: int = NOON + 60_000) -> int:
    read_again(home)
    return replying.round_(home.archive, lambda: at)


def queued(home: Home) -> list[outbox.Outgoing]:
    with home.archive.reading() as session:
        return outbox.page(session, MACHINE)[::-1]


def states(home: Home) -> list[tuple[str, str | None]]:
    return [tuple(row) for row in home.rows("SELECT state, reason FROM auto_reply ORDER BY id")]


def test_a_person_is_answered_once_a_day_and_nothing_they_wrote_is_said(office: Home) -> None:  # noqa: F811
    rule(office)
    office.take("Helpdesk", letter(2))
    assert replying.round_(office.archive, office.clock) == 0, "not before both readers have read it"
    assert round_(office) == 1
    (one,) = queued(office)
    assert (one.kind, one.automatic, one.recipients[0].address) == (outbox.AUTO, True, "eva@outside.example")
    with office.archive.reading() as session:
        raw = sending.whole(office.archive, session, one)
    mail = email.message_from_bytes(raw, policy=policy.default)
    assert b"SECRET" not in raw
    assert b"Eva" not in raw
    assert mail["Auto-Submitted"] == "auto-replied"
    assert mail["In-Reply-To"] == "<2@outside.example>"
    assert "<2@outside.example>" in mail["References"]
    assert humans.is_marked(mail["Message-ID"], mail[humans.MARKER], sending.secret(office.archive))
    assert mail["Subject"] == "[2] Received"
    assert mail.get_content().replace("\r\n", "\n") == "We have it, Helpdesk, ticket 2.\n"
    (mine,) = claim(office)
    assert (mine.path, mine.sender) == ("", "helpdesk@demo.example")
    office.take("Helpdesk", letter(3), letter(4, "Eva <EVA+x@outside.example>"), letter(5, "jan@outside.example"))
    assert round_(office, NOON + 120_000) == 1
    assert states(office)[1:] == [("refused", "once a day"), ("refused", "once a day"), ("queued", None)]
    take(office, NOON + DAY + 60_000, letter(6))
    assert round_(office, NOON + DAY + 60_001) == 1
    assert office.verify() == []


def test_the_text_is_in_their_language_and_every_subject_has_the_number(office: Home) -> None:  # noqa: F811
    rule(office)
    office.take("Helpdesk", letter(2, text="Dobrý den, prosím o fakturu, děkuji"))
    assert round_(office) == 1
    assert queued(office)[0].subject == "Přijato [2]"


def test_it_is_no_answer_that_anybody_gave(office: Home) -> None:  # noqa: F811
    from .test_outbox import EVA, settle

    rule(office)
    office.take("Helpdesk", letter(2))
    round_(office)
    settle(office, claim(office)[0], {EVA: outbox.Result(outbox.SENT, 250, "taken")})
    assert office.rows("SELECT answered_at, first_answer_at, state FROM ticket WHERE id = 2") == [(None, None, "open")]
    assert office.count("answer") == 0
    office.take("Helpdesk", letter(3, "jan@outside.example"))
    round_(office)
    settle(office, claim(office)[0], {"jan@outside.example": outbox.Result(outbox.FAILED, 550, "no")})
    assert office.rows("SELECT count(*) FROM event WHERE kind = 'ticket.answer_failed'") == [(0,)]
    assert office.verify() == []


def test_who_is_no_person_is_not_answered_and_why_is_kept(office: Home) -> None:  # noqa: F811
    rule(office)
    office.take("Helpdesk", letter(2, more="Auto-Submitted: auto-replied\r\n"), letter(3, "MAILER-DAEMON@x.example"))
    office.take("Helpdesk", b"Return-Path: <>\r\n" + letter(4), letter(5, more="List-Id: <x.y>\r\n"))
    assert round_(office) == 0
    assert [reason for _, reason in states(office)] == ["auto-submitted", "nobody", "null path", "list"]
    assert queued(office) == []
    assert office.verify() == []


def test_what_the_two_readers_see_differently_is_not_answered(office: Home) -> None:  # noqa: F811
    rule(office)
    office.take("Helpdesk", letter(2))
    read_again(office)
    with office.archive.transaction() as session:
        from sqlalchemy import update

        from archive.store.schema import message

        session.execute(update(message).values(ambiguous='["who sent it"]'))
    assert round_(office) == 0
    assert states(office) == [("refused", "ambiguous")]


def test_spam_later_copies_and_what_also_goes_elsewhere_are_not_answered(office: Home) -> None:  # noqa: F811
    rule(office)
    with office.archive.transaction() as session:
        reply_ = Action("reply", str(office.ids["template"]))
        also = Action("also", str(office.ids["process sales"]))
        rulebook.add(session, Rule("more", EVERY, (also, reply_)), "operator", NOON)
    office.take("Helpdesk", letter(2))
    office.take("Helpdesk", letter(2))
    assert round_(office) == 1
    assert len(states(office)) == 1
    with office.archive.transaction() as session:
        rulebook.add(session, Rule("spam", EVERY, (Action("spam"),)), "operator", NOON)
    office.take("Helpdesk", letter(3, "jan@outside.example"))
    assert round_(office) == 0


def test_one_mail_to_two_processes_is_answered_once(office: Home) -> None:  # noqa: F811
    rule(office)
    office.take("Helpdesk", letter(2))
    office.take("Sales", letter(2))
    assert len(states(office)) == 2
    assert round_(office) == 1
    assert sorted(states(office)) == [("queued", None), ("refused", auto_replies.TODAY)]


def test_what_waited_too_long_or_lost_its_template_or_address_is_not_answered(office: Home) -> None:  # noqa: F811
    rule(office)
    office.take("Helpdesk", letter(2))
    assert round_(office, NOON + DAY + 60_000) == 0
    office.take("Helpdesk", letter(3, "jan@outside.example"))
    with office.archive.transaction() as session:
        templates.remove(session, office.ids["template"], "operator", NOON)
    assert round_(office) == 0
    with office.archive.transaction() as session:
        templates.put_back(session, office.ids["template"], "operator", NOON)
        identities.remove(session, office.ids["helpdesk"], NOON)
    office.take("Helpdesk", letter(4, "kim@outside.example"))
    assert round_(office) == 0
    assert [reason for _, reason in states(office)] == ["late", "template", "no address"]
    assert office.verify() == []


def test_an_old_mail_that_comes_now_is_not_answered(office: Home) -> None:  # noqa: F811
    """Somebody puts it into the folder, or there was an outage."""
    rule(office)
    dated = "Date: Fri, 30 Oct 2026 12:00:00 +0000\r\n"
    uids = (next(office._uids) for _ in range(3))
    old, claims, fresh = (
        Arrival(next(uids), letter(2), NOON - DAY),
        Arrival(next(uids), letter(3, "jan@outside.example", dated), NOON),
        Arrival(next(uids), letter(4, "kim@outside.example", dated.replace("30 Oct", "2 Nov")), NOON),
    )
    office.intake.take(office.binding("Helpdesk"), 7, [old, claims, fresh], lambda: NOON)
    assert round_(office) == 1
    assert states(office) == [("refused", "late"), ("refused", "late"), ("queued", None)]


def test_who_is_stopping_composes_no_more(office: Home) -> None:  # noqa: F811
    rule(office)
    office.take("Helpdesk", letter(2), letter(3, "jan@outside.example"))
    read_again(office)
    said = iter((False, True))
    assert replying.round_(office.archive, lambda: NOON + 60_000, stopping=lambda: next(said)) == 1
    assert [state for state, _ in states(office)] == ["queued", "due"]


def test_while_everything_is_held_nothing_is_answered(office: Home) -> None:  # noqa: F811
    rule(office)
    office.take("Helpdesk", letter(2))
    with office.archive.transaction() as session:
        installation.put(session, installation.HELD, str(NOON))
    assert round_(office) == 0
    with office.archive.transaction() as session:
        installation.release(session)
    assert round_(office) == 1


@pytest.mark.parametrize("kind", ["correspondent", "conversation", "binding", "installation"])
def test_a_budget_that_is_used_up_stops_shows_what_was_sent_and_waits(office: Home, kind: str) -> None:  # noqa: F811
    crowd = ", ".join(f"e{number}@outside.example" for number in range(2, 6))
    take(office, NOON, letter(20, more=f"Cc: {crowd}\r\nReferences: <1@outside.example>\r\n"))  # all take part
    rule(office)
    with office.archive.transaction() as session:
        auto_replies.choose_budget(session, kind, 2, "operator", NOON)
    for number in range(2, 6):
        same = kind == "correspondent"
        thread = "References: <1@outside.example>\r\n" if kind == "conversation" else ""
        sender = "eva@outside.example" if same else f"e{number}@outside.example"
        at = NOON + number * (DAY + 1 if same else 1)
        take(office, at, letter(number, sender, thread))
        round_(office, at + 1)
    assert states(office) == [("queued", None)] * 2 + [("stopped", kind)] * 2
    with office.archive.transaction() as session:
        (brake,) = auto_replies.brakes(session)
        assert (brake.kind, len(brake.evidence), brake.held_back) == (kind, 2, 2)
        at = NOON + 10 * DAY if kind == "correspondent" else NOON + 10
        assert auto_replies.release(session, brake.id, "user:1", at)
        assert not auto_replies.release(session, brake.id, "user:1", at)
        assert auto_replies.brakes(session) == []
    thread = "References: <1@outside.example>\r\n" if kind == "conversation" else ""
    take(office, at, letter(9, "eva@outside.example", thread))
    assert round_(office, at + 1) == 1, "what was held back stays unanswered, what comes goes"
    assert len(queued(office)) == 3
    assert office.verify() == []


def _stray(home: Home, number: int, named: int, at: int) -> int:
    """The conversation of a mail that names another one, and is not let in there; it is answered."""
    take(home, at, letter(number, f"e{number}@else.example", f"References: <{named}@outside.example>\r\n"))
    round_(home, at + 1)
    ((id_,),) = home.rows("SELECT id FROM message WHERE subject = ?", f"SECRET {number}")
    return int(id_)


@pytest.mark.parametrize("braked", ["kept", "gone"])
def test_what_was_sent_into_conversations_counts_where_they_are_one(office: Home, braked: str) -> None:  # noqa: F811
    """And a brake on one of them holds until somebody lets go, whichever it was put on and whatever the time."""
    rule(office)
    with office.archive.transaction() as session:
        auto_replies.choose_budget(session, "conversation", 2, "operator", NOON)
    ((kept,),) = office.rows("SELECT id FROM message")
    gone = _stray(office, 20, 1, NOON + 1000)
    into, number = (1, 30) if braked == "kept" else (20, 40)
    people = ", ".join(f"p{one}@outside.example" for one in range(9))
    take(office, NOON + 2000, letter(number, "eva@outside.example" if into == 1 else "e20@else.example",
                                     f"Cc: {people}\r\nReferences: <{into}@outside.example>\r\n"))  # fmt: skip
    round_(office, NOON + 2001)

    def write(which: int, at: int) -> tuple[str, str | None]:
        """One of those who take part writes then."""
        sender = f"p{which}@outside.example"
        take(office, at, letter(50 + which, sender, f"References: <{number}@outside.example>\r\n"))
        round_(office, at + 1)
        return states(office)[-1]

    assert [write(0, NOON + 3000), write(1, NOON + 4000)][-1] == ("stopped", "conversation")
    with office.archive.transaction() as session:
        strays.join(session, office.viewer("anna"), gone, NOON + 5000)
        (one,) = auto_replies.brakes(session)
        assert (one.subject, one.held_back) == (str(kept), 1)
    later = NOON + 9 * DAY
    assert write(2, later) == ("stopped", "conversation"), "nobody has let it go on"
    with office.archive.transaction() as session:
        (one,) = auto_replies.brakes(session)
        assert one.held_back == 2
        assert auto_replies.release(session, one.id, "user:1", later + 10)
    assert write(3, later + 1000) == ("queued", None), "what was sent before does not count any more"
    assert office.verify() == []


def test_a_budget_is_that_of_all_that_became_one_conversation(office: Home) -> None:  # noqa: F811
    rule(office)
    with office.archive.transaction() as session:
        auto_replies.choose_budget(session, "conversation", 2, "operator", NOON)
    gone = [_stray(office, number, 1, NOON + number * 1000) for number in (20, 21)]
    assert states(office) == [("queued", None)] * 2
    with office.archive.transaction() as session:
        for id_ in gone:
            strays.join(session, office.viewer("anna"), id_, NOON + 30_000)
    take(office, NOON + 40_000, letter(22, "eva@outside.example", "References: <1@outside.example>\r\n"))
    round_(office, NOON + 40_001)
    assert states(office)[-1] == ("stopped", "conversation")


def test_mail_that_was_there_before_and_imports_cause_nothing(office: Home) -> None:  # noqa: F811
    rule(office)
    office.take("Helpdesk", letter(2))
    with office.archive.transaction() as session:
        source = sources.at(session, "mbox", "/old.mbox", process_scope(office.ids["process helpdesk"]), NOON)
    origin = Imported(process_scope(office.ids["process helpdesk"]), {1: (source, "1")}, NOON)
    office.intake.take_files(origin, [Arrival(1, letter(3), NOON)], office.clock)
    assert len(states(office)) == 1


@pytest.mark.databases("sqlite")
def test_a_mailbox_of_20000_old_mails_causes_not_one(office: Home) -> None:  # noqa: F811
    from sqlalchemy import update

    rule(office)
    with office.archive.transaction() as session:
        session.execute(update(binding).values(before_uidnext=30_000, uidvalidity=7))
    one = office.binding("Helpdesk")
    assert one.was_before(7, 20_000)
    for start in range(2, 20_002, 500):
        some = [Arrival(uid, letter(uid, f"e{uid}@outside.example"), NOON) for uid in range(start, start + 500)]
        taken = office.intake.take(one, 7, some, office.clock)
        assert len(taken.archived) == 500
    assert replying.round_(office.archive, office.clock) == 0
    assert office.count("auto_reply") == 0
    assert office.count("outgoing") == 0
    fresh = office.intake.take(one, 7, [Arrival(30_001, letter(30_001), NOON)], office.clock)
    assert fresh.archived == [30_001]
    assert office.count("auto_reply") == 1


def test_rules_say_from_where_answers_go_how_they_are_signed_and_what_header_they_carry(
    office: Home,  # noqa: F811
) -> None:
    from archive.outgoing import reply_settings

    rule(office)
    with office.archive.transaction() as session:
        of = office.ids["process helpdesk"]
        signature = templates.put(session, None, of, "Sign", {"en": Text("{{author}}, {{process}}")}, "operator", NOON)
        actions = (
            Action("from", str(office.ids["sales"])),
            Action("signature", str(signature)),
            Action("header", "X-Campaign: Frühling"),
        )
        rulebook.add(session, Rule("how", EVERY, actions), "operator", NOON)
        for value in (
            "X-Postroom-Reply: x",
            "Bcc: all@x",
            "X-A: a\u2028b",
            "X-POSTROOM-x: 1",
            "Subject: x",
            "X-A:",
            "X-A: a\nBcc: b",
        ):
            with pytest.raises(rulebook.RuleTrouble):
                rulebook.add(session, Rule("bad", EVERY, (Action("header", value),)), "operator", NOON)
        for action in (Action("from", "99"), Action("reply", "99"), Action("reply", str(signature))):
            with pytest.raises(rulebook.RuleTrouble):
                rulebook.add(session, Rule("bad", EVERY, (action,)), "operator", NOON)
    office.take("Helpdesk", letter(2, more="References: <1@outside.example>\r\n"))
    made = seen(office, send(office, "anna", reply(office)))
    with office.archive.reading() as session:
        raw = sending.whole(office.archive, session, made)
        assert made.conversation
        said = reply_settings.of_conversation(session, made.conversation, made.scope)
    assert said["from"] == str(office.ids["sales"])
    mail = email.message_from_bytes(raw, policy=policy.default)
    assert mail["X-Campaign"] == "Frühling"
    assert b"Anna, Helpdesk" in raw
    assert office.verify() == []
