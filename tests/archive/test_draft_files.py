"""Files of drafts: kept encrypted, shared with those who work on the ticket, and gone for good when they are sent."""

from typing import NoReturn

import pytest
from sqlalchemy import select

from archive import draft_files
from archive.outgoing.composing import Attachment
from archive.store.packs import Damaged
from archive.store.schema import blob, draft_file
from archive.work import drafts

from .home import NOON, Home, numbered

FILES = [Attachment("a\r\nb.txt", "text/plain", b"one"), Attachment("b.png", "image/png", b"two" * 1000)]


def ids(home: Home, ticket: int, name: str) -> list[int]:
    with home.archive.reading() as session:
        return [one.id for one in draft_files.of(session, ticket, home.ids[name])]


def test_files_are_kept_read_and_forgotten_with_their_keys(home: Home) -> None:
    home.take("Helpdesk", *numbered(range(2)))
    anna = home.ids["anna"]
    made = draft_files.add(home.archive, anna, 1, FILES, NOON)
    with home.archive.reading() as session:
        some = draft_files.of(session, 1, anna)
        assert [(one.name, one.size, one.owner) for one in some] == [("a  b.txt", 3, "Anna"), ("b.png", 3000, "Anna")]
        read = draft_files.read(home.archive, session, made)
        assert [(one.name, one.data) for one in read] == [("a  b.txt", b"one"), ("b.png", b"two" * 1000)]
        first, second = session.scalars(select(draft_file.c.blob).order_by(draft_file.c.id)).all()
    assert home.verify() == []
    assert home.archive.keys.get([first, second])
    draft_files.remove(home.archive, anna, 1, NOON + 2)
    assert home.archive.keys.get([first, second]) == {}
    draft_files.remove(home.archive, anna, 1, NOON + 3)
    assert home.count("draft_file") == 0
    with home.archive.reading() as session:
        assert session.scalar(select(blob.c.id).where(blob.c.id.in_([first, second]))) is None
    home.take("Helpdesk", *numbered(range(5, 7)))  # what writes that pack next is not disturbed
    assert home.verify() == []


def test_of_a_new_mail_they_are_ones_own_and_of_a_ticket_the_others_see_them(home: Home) -> None:
    home.take("Helpdesk", *numbered([1]))
    anna, bernd = home.ids["anna"], home.ids["bernd"]
    mine = draft_files.add(home.archive, anna, -7, FILES[:1], NOON)
    his = draft_files.add(home.archive, bernd, -7, FILES[:1], NOON)
    assert (ids(home, -7, "anna"), ids(home, -7, "bernd")) == (mine, his)
    both = [*draft_files.add(home.archive, anna, 1, FILES[:1], NOON)]
    both += draft_files.add(home.archive, bernd, 1, FILES[:1], NOON)
    assert ids(home, 1, "anna") == ids(home, 1, "bernd") == both
    draft_files.remove(home.archive, anna, 1, NOON)
    assert ids(home, 1, "anna") == both[1:], "nobody forgets another's"
    many = draft_files.add(home.archive, anna, 1, FILES[:1] * 60, NOON)
    assert len(many) + 1 == draft_files.MOST


def test_drafts_of_answers_are_shared_with_those_who_work_there_alone(home: Home) -> None:
    home.take("Helpdesk", *numbered([1]))
    anna, bernd = home.viewer("anna"), home.viewer("bernd")
    with home.archive.transaction() as session:
        drafts.put(session, anna, 1, "reply", "Dear Eva", NOON)
        drafts.put(session, anna, 1, "comment", "hm", NOON)
        assert drafts.shared(session, anna, 1) == []
        assert drafts.shared(session, bernd, 1) == []
        from archive.people import members
        from archive.people.roles import Role

        members.give(session, home.ids["process helpdesk"], home.ids["bernd"], Role.READS, "operator", NOON)
    with home.archive.reading() as session:
        assert drafts.shared(session, home.viewer("bernd"), 1) == [], "who only reads does not"
    with home.archive.transaction() as session:
        members.give(session, home.ids["process helpdesk"], home.ids["bernd"], Role.WORKS, "operator", NOON)
    with home.archive.reading() as session:
        (one,) = drafts.shared(session, home.viewer("bernd"), 1)
        assert (one.name, one.text, one.at) == ("Anna", "Dear Eva", NOON)


def test_a_damaged_file_is_said(home: Home) -> None:
    (one,) = draft_files.add(home.archive, home.ids["anna"], 0, FILES[:1], NOON)
    with home.archive.reading() as session:
        (of,) = session.scalars(select(draft_file.c.blob)).all()
    home.archive.keys.destroy([of])
    with home.archive.reading() as session, pytest.raises((Damaged, LookupError)):
        draft_files.read(home.archive, session, [one])


def test_what_is_forgotten_halfway_is_forgotten_the_next_time(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.take("Helpdesk", *numbered([1]))
    anna, late = home.ids["anna"], NOON + drafts.BACK + 1
    with home.archive.transaction() as session:
        assert drafts.put(session, home.viewer("anna"), 1, "reply", "typed", NOON)
    draft_files.add(home.archive, anna, 1, FILES, NOON)
    with home.archive.transaction() as session:
        assert drafts.delete(session, anna, "reply", 1, NOON)
    with monkeypatch.context() as broken:
        broken.setattr(draft_files, "_remove", failing)
        with pytest.raises(OSError, match="full"):
            draft_files.tidy(home.archive, late)
    assert home.count("draft_file") == 2
    assert draft_files.tidy(home.archive, late) == 1
    assert home.count("draft_file") == home.count("draft") == 0
    with home.archive.transaction() as session:
        assert not drafts.put_back(session, anna, "reply", 1, late)
    assert home.verify() == []


def failing(*_: object) -> NoReturn:
    raise OSError("full")
