"""Cases: who takes part sees what is filed, and nothing more."""

import json

import pytest
from sqlalchemy import select, update

from archive import reindexing
from archive.people.scopes import MACHINE
from archive.post import messages
from archive.store.archive import Session
from archive.store.schema import case_item, event, event_detail, message, restriction, ticket
from archive.work import cases, tickets
from archive.work.cases import Case, CaseTrouble

from ...world import mail
from ..home import NOON, Home

ASKS = mail(subject="Where is my parcel?", text="Sent by zeppelin?", attachments=[("bill.pdf", b"%PDF-1.7 bill")])
AGAIN = mail(subject="Re: Where is my parcel?", text="Still waiting.", in_reply_to="<first@outside.example>")
FIRST = mail(subject="Where is my parcel?", text="Sent by zeppelin?", message_id="<first@outside.example>")


def subjects(home: Home, who: str) -> list[str]:
    """What somebody may see."""
    with home.archive.reading() as session:
        return sorted(one.subject for one in messages.newest(session, home.viewer(who), None, 100))


def open_(session: Session, home: Home, reference: str = "Order 2031", *who: str) -> Case:
    by = f"user:{home.ids['anna']}"
    id_ = cases.open_(session, reference, "A parcel", "Eva", by, [f"user:{home.ids[one]}" for one in who], NOON)
    found = cases.get(session, id_, MACHINE)
    assert found
    return found


def only_ticket(session: Session, home: Home, scope: str = "") -> int:
    scope = scope or f"process:{home.ids['process helpdesk']}"
    found = session.scalar(select(ticket.c.id).where(ticket.c.scope == scope))
    assert found
    return int(found)


def test_who_takes_part_sees_a_ticket_that_is_filed_until_it_is_taken_out(home: Home) -> None:
    """Clara takes part in Anna's case: she sees the mail, its ticket, and finds it; taken out, none of it is there."""
    home.take("Helpdesk", ASKS)
    home.take("Helpdesk", mail(subject="Something else"))
    anna = f"user:{home.ids['anna']}"
    with home.archive.transaction() as session:
        of = open_(session, home, "Order 2031", "clara")
        id_ = str(only_ticket(session, home))
        assert cases.file(session, of, cases.TICKET, id_, anna, NOON + 1)
        assert not cases.file(session, of, cases.TICKET, id_, anna, NOON + 2), "it is filed there already"
    assert subjects(home, "clara") == ["Where is my parcel?"]
    assert subjects(home, "bernd") == []
    with home.archive.reading() as session:
        (one,) = tickets.page(session, home.viewer("clara"), [of.scope])
        assert (one.subject, one.attachments, one.unread) == ("Where is my parcel?", 1, True)
        assert messages.copies(session, one.last_message, home.viewer("clara")) == [], "the copy is Helpdesk's"
        both = [of.scope, f"process:{home.ids['process helpdesk']}"]
        listed = tickets.page(session, home.viewer("anna"), both)
        assert [row.scope for row in listed] == [both[1]] * 2, "what a list shows anyway is not shown a second time"
    reindexing.pass_(home.archive, 100)
    assert home.find("clara", "zeppelin") == ["Where is my parcel?"]
    assert home.verify() == []

    with home.archive.transaction() as session:
        assert cases.take_out(session, of, cases.TICKET, id_, anna, NOON + 3)
        assert not cases.take_out(session, of, cases.TICKET, id_, anna, NOON + 4)
    assert subjects(home, "clara") == []
    assert subjects(home, "anna") == ["Something else", "Where is my parcel?"]
    with home.archive.reading() as session:
        assert tickets.page(session, home.viewer("clara"), [of.scope]) == []
    assert home.find("clara", "zeppelin") == []
    reindexing.pass_(home.archive, 100)
    assert home.find("clara", "zeppelin") == []
    home.check_index()
    assert home.verify() == []


def test_filed_again_it_is_the_same_ticket(home: Home) -> None:
    """What was said on the case's ticket is there again when taking out is undone."""
    home.take("Helpdesk", ASKS)
    with home.archive.transaction() as session:
        of, id_ = open_(session, home), str(only_ticket(session, home))
        cases.file(session, of, cases.TICKET, id_, "rule:1", NOON)
        first = only_ticket(session, home, of.scope)
        cases.take_out(session, of, cases.TICKET, id_, "rule:1", NOON)
        cases.file(session, of, cases.TICKET, id_, "rule:1", NOON)
        assert only_ticket(session, home, of.scope) == first
        assert session.scalar(select(ticket.c.messages).where(ticket.c.id == first)) == 1
    assert home.verify() == []


def test_what_comes_to_a_filed_ticket_later_is_filed_with_it(home: Home) -> None:
    home.take("Helpdesk", FIRST)
    with home.archive.transaction() as session:
        of = open_(session, home, "Order 2031", "clara")
        cases.file(session, of, cases.TICKET, str(only_ticket(session, home)), "rule:1", NOON)
    home.take("Helpdesk", AGAIN, at=NOON + 60_000)
    assert subjects(home, "clara") == ["Re: Where is my parcel?", "Where is my parcel?"]
    assert home.find("clara", "waiting") == ["Re: Where is my parcel?"], "at once"
    with home.archive.transaction() as session:
        cases.take_out(session, of, cases.TICKET, str(only_ticket(session, home)), "rule:1", NOON)
    assert subjects(home, "clara") == []
    assert home.verify() == []


def test_of_private_mail_only_what_is_there_is_filed(home: Home) -> None:
    """Anna files a conversation of her own: what comes to her later is hers alone again."""
    home.take("Anna", FIRST)
    with home.archive.transaction() as session:
        of = open_(session, home, "Order 2031", "clara")
        own = only_ticket(session, home, f"user:{home.ids['anna']}")
        assert cases.file(session, of, cases.TICKET, str(own), f"user:{home.ids['anna']}", NOON)
        (item,) = cases.items(session, of)
        assert item.kind == cases.MESSAGE
    home.take("Anna", AGAIN, at=NOON + 60_000)
    assert subjects(home, "clara") == ["Where is my parcel?"]
    assert home.verify() == []


def test_taking_one_thing_out_leaves_what_another_gives(home: Home) -> None:
    """The ticket is filed, and one of its mails, and a document of that mail: each gives it."""
    home.take("Helpdesk", ASKS)
    with home.archive.transaction() as session:
        of = open_(session, home, "Order 2031", "clara")
        id_ = session.scalar(select(message.c.id))
        path = session.exec_driver_sql("SELECT path FROM attachment").scalar()
        filed = [
            (cases.TICKET, str(only_ticket(session, home))),
            (cases.MESSAGE, str(id_)),
            (cases.ATTACHMENT, f"{id_}/{path}"),
        ]
        for kind, item in filed:
            assert cases.file(session, of, kind, item, "rule:1", NOON)
        assert [one.number for one in cases.items(session, of) if one.kind != cases.TICKET] == [id_, id_]
    for kind, item in filed:
        assert subjects(home, "clara") == ["Where is my parcel?"]
        with home.archive.transaction() as session:
            assert cases.take_out(session, of, kind, item, "rule:1", NOON)
    assert subjects(home, "clara") == []
    assert home.verify() == []


def test_what_is_not_there_is_not_filed(home: Home) -> None:
    home.take("Helpdesk", ASKS)
    with home.archive.transaction() as session:
        of = open_(session, home)
        id_ = session.scalar(select(message.c.id))
        for kind, item in (
            (cases.TICKET, "99"),
            (cases.MESSAGE, "0"),
            (cases.MESSAGE, f"0{id_}"),
            (cases.ATTACHMENT, f"{id_}/9"),
            (cases.ATTACHMENT, str(id_)),
            ("folder", str(id_)),
            (cases.MESSAGE, "9" * 30),
            (cases.MESSAGE, "x"),
        ):
            with pytest.raises(CaseTrouble):
                cases.file(session, of, kind, item, "rule:1", NOON)


def test_who_may_file_is_who_sees_and_works_there(home: Home) -> None:
    home.take("Helpdesk", ASKS)
    home.take("Anna", mail(subject="private"))
    with home.archive.transaction() as session:
        helpdesk, private = (
            session.scalar(select(message.c.id).where(message.c.subject == one))
            for one in ("Where is my parcel?", "private")
        )
        id_ = str(only_ticket(session, home))
        anna, bernd = home.viewer("anna"), home.viewer("bernd")
        assert cases.may_file(session, anna, cases.TICKET, id_)
        assert cases.may_file(session, anna, cases.MESSAGE, str(private))
        assert not cases.may_file(session, bernd, cases.TICKET, id_)
        assert not cases.may_file(session, bernd, cases.MESSAGE, str(helpdesk))
        assert cases.may_file(session, MACHINE, cases.MESSAGE, str(helpdesk))
        session.exec_driver_sql(
            f"INSERT INTO membership VALUES ({home.ids['process helpdesk']}, {home.ids['bernd']}, 'reads', 0)"
        )
    with home.archive.reading() as session:
        assert not cases.may_file(session, home.viewer("bernd"), cases.TICKET, id_), "who reads does not work"


def test_restricted_mail_is_not_filed_where_others_see_it(home: Home) -> None:
    home.take("Helpdesk", ASKS)
    with home.archive.transaction() as session:
        of = open_(session, home)
        one = session.scalar(select(ticket.c.conversation))
        row = {"conversation": one, "reason": "legal", "by": home.ids["anna"], "at": NOON}
        session.execute(restriction.insert().values(**row))
        with pytest.raises(CaseTrouble, match="restricted"):
            cases.file(session, of, cases.TICKET, str(only_ticket(session, home)), "rule:1", NOON)
        assert cases.items(session, of) == []


# --- references in subjects -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "found"),
    [
        ("Re: [ORDER 2031] where is it?", {1}),
        ("order-2031", {1}),
        ("Order  2031/2", {2}),
        ("Order 20310", set()),
        ("Reorder 2031", set()),
        ("Órder 2031: žluťoučký", {1}),
        ("Order 2031 and Order 2031-2", {1, 2}),
        ("order", set()),
        ("", set()),
        ("Заказ №7000", {3}),
    ],
)
def test_a_subject_names_a_case_by_its_exact_reference(subject: str, found: set[int]) -> None:
    known = {cases.fold(one): id_ for one, id_ in (("Order 2031", 1), ("Order 2031/2", 2), ("Заказ № 7000", 3))}
    assert cases.named(subject, known) == found
    assert {one for one in known if known[one] in found} <= cases.candidates(subject), "it is asked for"


def test_a_word_alone_or_a_short_number_is_never_looked_for() -> None:
    assert cases.candidates("Dear Miller, page 7 of it") == {"page 7", "page 7 of", "page 7 of it", "7 of it"} | {
        "miller page 7", "miller page 7 of", "miller page 7 of it", "dear miller page 7", "dear miller page 7 of",
        "dear miller page 7 of it",
    }  # fmt: skip


def test_mail_that_names_a_case_is_filed_where_its_process_takes_part(home: Home) -> None:
    """Helpdesk takes part, Sales does not: whoever guesses the reference gets nothing into it by writing to Sales."""
    named = mail(subject="Re: Order 2031", text="for you")
    with home.archive.transaction() as session:
        of = open_(session, home, "Order 2031", "clara")
    home.take("Helpdesk", named)
    home.take("Anna", mail(subject="Order 2031, private"))
    assert subjects(home, "clara") == [], "Anna takes part, her process does not"
    with home.archive.transaction() as session:
        scope = f"process:{home.ids['process helpdesk']}"
        assert cases.add_participant(session, of, scope, f"user:{home.ids['anna']}", NOON)
    home.take("Helpdesk", mail(subject="Order 2031 again"), mail(subject="Order 2032"))
    home.take("Sales", mail(subject="Order 2031 from a stranger"))
    assert subjects(home, "clara") == ["Order 2031 again"]
    with home.archive.transaction() as session:
        (item,) = cases.items(session, of)
        assert (item.kind, item.by) == (cases.MESSAGE, cases.SUBJECT)
        cases.close(session, of, f"user:{home.ids['anna']}", NOON)
    home.take("Helpdesk", mail(subject="Order 2031, too late"))
    assert subjects(home, "clara") == ["Order 2031 again"], "a closed case takes nothing by itself"
    assert home.find("clara", "again") == ["Order 2031 again"]
    home.check_index()
    assert home.verify() == []


def test_conversations_that_turn_out_to_be_one_stay_filed(home: Home) -> None:
    """Clara's case has the later one; the mail between the two comes, and what comes after it is filed as well."""
    last = mail(subject="third", in_reply_to="<second@outside.example>", message_id="<third@outside.example>")
    second = mail(subject="second", in_reply_to="<first@outside.example>", message_id="<second@outside.example>")
    home.take("Helpdesk", FIRST)
    home.take("Helpdesk", last)
    with home.archive.transaction() as session:
        of = open_(session, home, "Order 2031", "clara")
        id_ = session.scalar(select(ticket.c.id).where(ticket.c.subject == "third"))
        cases.file(session, of, cases.TICKET, str(id_), "rule:1", NOON)
    home.take("Helpdesk", second)
    home.take("Helpdesk", mail(subject="fourth", in_reply_to="<third@outside.example>"))
    assert subjects(home, "clara") == ["Where is my parcel?", "fourth", "second", "third"]
    assert home.count("case_item") == 1
    assert home.verify() == []


# --- cases themselves -------------------------------------------------------------------------------------------------


def test_a_case_is_seen_by_who_takes_part(home: Home) -> None:
    with home.archive.transaction() as session:
        of = open_(session, home, "Order 2031", "clara")
        other = open_(session, home, "Žížala 7")
        assert {one.name for one in cases.participants(session, of)} == {"Anna", "Clara"}
    viewers = {name: home.viewer(name) for name in ("anna", "bernd", "clara")}
    with home.archive.reading() as session:
        assert [one.reference for one in cases.page(session, viewers["anna"])] == ["Žížala 7", "Order 2031"]
        assert [one.reference for one in cases.page(session, viewers["anna"], text="zizala")] == ["Žížala 7"]
        assert [one.reference for one in cases.page(session, viewers["anna"], text="eva PARCEL 2031")] == ["Order 2031"]
        assert cases.page(session, viewers["anna"], text="100%_") == []
        assert [one.id for one in cases.page(session, viewers["clara"])] == [of.id]
        assert cases.page(session, viewers["bernd"]) == []
        assert cases.get(session, other.id, viewers["clara"]) is None
        assert cases.by_reference(session, "zizala-7") == other
        assert cases.by_reference(session, "zizala-7", viewers["clara"]) is None
    with home.archive.transaction() as session:
        clara = f"user:{home.ids['clara']}"
        assert cases.remove_participant(session, of, clara, f"user:{home.ids['anna']}", NOON)
        assert not cases.remove_participant(session, of, clara, f"user:{home.ids['anna']}", NOON)
        with pytest.raises(CaseTrouble, match="nobody would see"):
            cases.remove_participant(session, of, f"user:{home.ids['anna']}", f"user:{home.ids['anna']}", NOON)
    with home.archive.reading() as session:
        assert cases.page(session, home.viewer("clara")) == []
    assert home.verify() == []


def test_a_restricted_case_is_seen_by_who_is_named(home: Home) -> None:
    with home.archive.transaction() as session:
        of = open_(session, home, "Order 2031", "clara")
        row = {"case": of.id, "reason": "personnel", "by": home.ids["anna"], "at": NOON}
        id_ = session.scalar(restriction.insert().values(**row).returning(restriction.c.id))
        session.exec_driver_sql(f"INSERT INTO restriction_member VALUES ({id_}, {home.ids['anna']})")
        session.exec_driver_sql(f'UPDATE "case" SET restriction = {id_}')
    with home.archive.reading() as session:
        assert [one.id for one in cases.page(session, home.viewer("anna"))] == [of.id]
        assert cases.page(session, home.viewer("clara")) == []


def test_names_change_and_what_they_were_is_told(home: Home) -> None:
    anna = f"user:{home.ids['anna']}"
    with home.archive.transaction() as session:
        of = open_(session, home)
        open_(session, home, "Order 2032")
        assert cases.rename(session, of, anna, NOON, reference="Order 2033", title="Two parcels")
        assert not cases.rename(session, of, anna, NOON, reference="Order 2033")
        with pytest.raises(CaseTrouble, match="already"):
            cases.rename(session, of, anna, NOON, reference="ORDER-2032")
        assert cases.close(session, of, anna, NOON)
        assert not cases.close(session, of, anna, NOON)
        assert cases.reopen(session, of, anna, NOON)
        told = session.execute(
            select(event.c.kind, event_detail.c.details)
            .join(event_detail, event_detail.c.event == event.c.id)
            .where(event.c.subject == of.subject)
            .order_by(event.c.id)
        ).all()
        assert [one.id for one in cases.page(session, MACHINE, text="2033 two")] == [of.id]
    assert [row.kind for row in told] == ["case.opened", "case.renamed", "case.closed", "case.reopened"]
    said = json.loads(told[1].details)
    assert said["before"] == {"reference": "Order 2031", "title": "A parcel"}
    assert said["after"] == {"reference": "Order 2033", "title": "Two parcels"}
    assert home.verify() == []


@pytest.mark.parametrize("reference", ["", "  ", "!?", "x" * 65, "a b c d e f g"])
def test_what_will_not_do_as_a_reference(home: Home, reference: str) -> None:
    with home.archive.transaction() as session, pytest.raises(CaseTrouble, match="reference"):
        open_(session, home, reference)


@pytest.mark.parametrize("scope", ["user:99", "process:99", "case:1", "user:0", "", "user:1 OR 1=1", "operator"])
def test_only_people_and_processes_take_part(home: Home, scope: str) -> None:
    with home.archive.transaction() as session, pytest.raises(CaseTrouble, match="nobody"):
        cases.open_(session, "Order 1", "", "", "operator", [scope], NOON)


def test_a_case_that_nobody_would_see_is_not_opened(home: Home) -> None:
    with home.archive.transaction() as session, pytest.raises(CaseTrouble, match="Nobody would see"):
        cases.open_(session, "Order 1", "", "", "rule:1", [], NOON)


def test_a_row_no_event_answers_for_is_found(home: Home) -> None:
    """That proves what `verify` proves in the other tests here."""
    home.take("Helpdesk", ASKS)
    with home.archive.transaction() as session:
        of = open_(session, home)
        cases.file(session, of, cases.TICKET, str(only_ticket(session, home)), "rule:1", NOON)
        session.execute(update(case_item).values(by="rule:2"))
    assert any("case_item" in one for one in home.verify())
