"""What people say to each other: who is named, who watches, and that nobody else's words are changed."""

from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from sqlalchemy import select

from archive.store.schema import comment, ticket
from archive.work import comments, merging, watching
from archive.work.comments import Named, NotYours

from ...world import mail
from ..home import NOON, Home
from .test_assigning import join

SOME = [
    Named(1, "Anna Kowalczyk", "anna@demo.example"),
    Named(2, "Bernd", "bernd.h@demo.example"),
    Named(3, "Anna Nowak", "nowak@demo.example"),
    Named(4, "Žofie", "zofie@demo.example"),
]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("@bernd look", {2}),
        ("ask @Bernd.", {2}),
        ("@Anna Kowalczyk and @anna nowak", {1, 3}),
        ("@anna", {1}),
        ("@nowak", {3}),
        ("@Berndt", set()),
        ("write to bernd@demo.example or x@bernd", set()),
        ("@ŽOFIE!", {4}),
        ("@bernd.h", {2}),
        ("@@bernd (@zofie)", {2, 4}),
        ("", set()),
        ("@", set()),
    ],
)
def test_who_is_named(text: str, named: set[int]) -> None:
    assert comments.mentions(text, SOME) == named


@pytest.mark.parametrize(
    ("typed", "kept"), [("  a\r\nb \n", "a\nb"), ("\x00\x1b[31m", "[31m"), (" \n ", ""), ("x" * 30_000, "x" * 20_000)]
)
def test_what_is_kept_of_a_text(typed: str, kept: str) -> None:
    assert comments.tidy(typed) == kept


def test_who_comments_and_who_is_named_watches_and_only_the_author_changes_it(home: Home) -> None:
    home.take("Helpdesk", mail())
    anna, bernd = home.ids["anna"], home.ids["bernd"]
    with home.archive.transaction() as session:
        id_ = session.scalar(select(ticket.c.id)) or 0
        assert comments.add(session, id_, anna, " \n", NOON) == 0
        made = comments.add(session, id_, anna, "@bernd and @clara: printer?", NOON + 5)
        assert comments.mentions("@bernd", comments.may_be_named(session, id_)) == set(), "he may not see it"
        assert [who for who, _ in watching.of(session, id_)] == [anna]
        join(session, home, "bernd", "reads")
        assert comments.edit(session, made, anna, "@bernd, printer?", NOON + 6)
        assert not comments.edit(session, made, anna, "@bernd, printer?", NOON + 7)
        assert [who for who, _ in watching.of(session, id_)] == [anna, bernd]
        with pytest.raises(NotYours):
            comments.edit(session, made, bernd, "no", NOON)
        with pytest.raises(NotYours):
            comments.remove(session, made, bernd, NOON)
        (said,) = comments.of_ticket(session, id_)
        assert (said.text, said.mentions, said.edited_at) == ("@bernd, printer?", (bernd,), NOON + 6)
        row = session.execute(select(ticket)).one()
        assert (row.comments, row.last_at) == (1, NOON + 5)
        assert watching.leave(session, id_, bernd, "user:2", NOON)
        assert not watching.leave(session, id_, bernd, "user:2", NOON)
        assert comments.remove(session, made, anna, NOON + 9)
        assert not comments.remove(session, made, anna, NOON + 9)
        assert session.scalar(select(comment.c.text)) == ""
        assert session.scalar(select(ticket.c.comments)) is None
    assert home.verify() == []


@pytest.mark.databases("postgresql")
def test_two_who_name_somebody_on_two_parts_at_once_are_both_heard(home: Home) -> None:
    for name in ("one", "two", "whole"):
        home.take("Helpdesk", mail(subject=name))
    anna = home.ids["anna"]
    with home.archive.transaction() as session:
        one, two, whole = session.scalars(select(ticket.c.id).order_by(ticket.c.id))
        first = comments.add(session, one, anna, "@Anna", NOON)
        for part in (one, two):
            merging.merge(session, part, whole, f"user:{anna}", NOON)
    with ThreadPoolExecutor(1) as beside, home.archive.transaction() as session:
        comments.edit(session, first, anna, "nobody", NOON)
        other = beside.submit(_say, home, two, "@Anna")
        wait([other], 1.0)
        assert not other.done(), "of two who do so at once, one waits"
        session.commit()
        other.result(30)
    with home.archive.reading() as session:
        assert comments.naming(session, anna, [one, two, whole]) == {two, whole}


def _say(home: Home, of: int, text: str) -> None:
    with home.archive.transaction() as session:
        comments.add(session, of, home.ids["anna"], text, NOON)
