"""Questions with fields, folders, dates and sizes; best match, counts and highlights; all within the rights."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn

import pytest
from sqlalchemy import insert, select

from archive import reindexing
from archive.mail import reader
from archive.people import scopes
from archive.people.scopes import MACHINE, Viewer
from archive.post import messages
from archive.search import highlights, hits, index, marks, query
from archive.search.words import Words
from archive.store.packs import Damaged, StoreTrouble
from archive.store.schema import message
from archive.work import tickets

from ...world import mail
from ..home import NOON, Home
from . import documents

DAY = 86_400_000


def furnished(home: Home) -> Home:
    home.take(
        "Helpdesk",
        mail(
            subject="invoice 1",
            from_="Eva <eva@out.example>",
            to="Help <helpdesk@demo.example>",
            text="pay march",
            message_id="<1@x>",
        ),
        mail(
            subject="offer",
            from_="Jan <jan@out.example>",
            cc="Eva <eva@out.example>",
            text="invoice later",
            message_id="<2@x>",
        ),
        at=NOON - 40 * DAY,
    )
    home.take(
        "Helpdesk",
        mail(subject="plan", text="see", attachments=[("Grundriss.pdf", documents.pdf("walls"))], message_id="<3@x>"),
    )
    home.take("Sales", mail(subject="large", text="word " * 30_000, message_id="<4@x>"), at=NOON + DAY)
    home.take("Anna", mail(subject="private invoice", text="mine", message_id="<5@x>"), at=NOON + 2 * DAY)
    while reindexing.pass_(home.archive, 50).indexed:
        pass
    return home


@pytest.fixture(scope="module")
def common_house(common_home: Home) -> Home:
    return furnished(common_home)


@pytest.fixture
def house(home: Home) -> Home:
    return furnished(home)


@pytest.mark.parametrize(
    ("who", "typed", "found"),
    [
        ("anna", "from:eva", ["private invoice", "plan", "invoice 1"]),
        ("anna", "from:eva@out.example", ["invoice 1"]),
        ("anna", "cc:eva", ["offer"]),
        ("anna", "to:help", ["invoice 1"]),
        ("anna", "subject:invoices", ["private invoice", "invoice 1"]),
        ("anna", "body:invoices", ["offer"]),
        ("anna", "body:invoices OR cc:eva", ["offer"]),
        ("anna", "-subject:invoice", ["plan", "offer"]),
        ("anna", "filename:grundriss", ["plan"]),
        ("anna", "filename:pdf", ["plan"]),
        ("anna", "walls", ["plan"]),
        ("anna", "has:attachment", ["plan"]),
        ("anna", "-has:attachment invoice", ["private invoice", "offer", "invoice 1"]),
        ("anna", "process:helpdesk", ["plan", "offer", "invoice 1"]),
        ("anna", "process:Helpdesk invoice", ["offer", "invoice 1"]),
        ("anna", "-process:helpdesk", ["private invoice"]),
        ("anna", "process:sales", []),
        ("bernd", "process:sales", ["large"]),
        ("bernd", "-invoice", ["large"]),
        ("anna", "in:helpdesk", ["plan", "offer", "invoice 1"]),
        ("anna", "in:office/Anna", ["private invoice"]),
        ("anna", "in:sales", []),
        ("anna", "after:2026-11-02", ["private invoice", "plan"]),
        ("anna", "before:2026-11-02", ["offer", "invoice 1"]),
        ("anna", "after:2026-11-03 before:2026-11-05", ["private invoice"]),
        ("anna", "invoice before:2026-11", ["offer", "invoice 1"]),
        ("anna", "larger:100K", []),
        ("bernd", "larger:100K", ["large"]),
        ("bernd", "smaller:100K", []),
        ("anna", "smaller:100K invoice", ["private invoice", "offer", "invoice 1"]),
        ("anna", "(subject:plan OR body:mine) -from:jan", ["private invoice", "plan"]),
        ("anna", "inv* -private", ["offer", "invoice 1"]),
        ("anna", "invo*", ["private invoice", "offer", "invoice 1"]),
        ("anna", "subject:inv*", ["private invoice", "invoice 1"]),
        ("clara", "invoice OR plan OR -x", []),
    ],
)
def test_it_is_found(common_house: Home, who: str, typed: str, found: list[str]) -> None:
    assert common_house.find(who, typed) == found


def test_days_are_those_of_whoever_asks(common_house: Home) -> None:
    viewer = common_house.viewer("anna")
    with common_house.archive.reading() as session:
        for zone, number in (("UTC", 1), ("Pacific/Kiritimati", 1), ("Pacific/Honolulu", 1)):
            found = hits.find(session, query.parse("plan after:today before:2026-11-03"), viewer, now=NOON, zone=zone)
            assert len(found) == (number if zone != "Pacific/Kiritimati" else 0)


def test_unread_is_each_persons_own(house: Home) -> None:
    viewer = house.viewer("anna")
    with house.archive.transaction() as session:
        (plan,) = hits.find(session, query.parse("subject:plan"), viewer)
        conversation = session.scalar(select(message.c.conversation).where(message.c.id == plan))
        tickets.mark_seen(session, viewer.user or 0, tickets.of_conversation(session, viewer, conversation or 0))
    assert house.find("anna", "is:unread") == ["private invoice", "offer", "invoice 1"]
    assert house.find("anna", "is:read") == house.find("anna", "-is:unread") == ["plan"]
    assert house.find("bernd", "is:unread") == ["large"]
    with house.archive.reading() as session:
        planned = hits.understand(session, query.parse("is:unread plan"), MACHINE)
        assert "signed in" in str(planned.notes[0])
        assert len(hits.find(session, query.parse("is:unread plan"), MACHINE)) == 1


@pytest.mark.parametrize("size", [0, 15, 16, 17, 1000, 1023, 1024, 1025, 1088, 5000, 1 << 20, (1 << 20) + 1, 10**12])
def test_sizes_are_decided_to_the_byte(home: Home, size: int) -> None:
    sizes = [1, 16, 17, 999, 1000, 1001, 1023, 1024, 1025, 1087, 1088, 5000, 5001, 1 << 20, (1 << 20) + 1, 3 << 30]
    _fill(home, sizes)
    with home.archive.reading() as session:
        for typed, wanted in (
            (f"many larger:{size}", [one for one in sizes if one > size]),
            (f"many smaller:{size}", [one for one in sizes if one < size]),
        ):
            found = hits.find(session, query.parse(typed), MACHINE, limit=100)
            query_ = select(message.c.size).where(message.c.id.in_(found)).order_by(message.c.size)
            assert list(session.scalars(query_)) == wanted


def _fill(home: Home, sizes: list[int], at: int = NOON, scope: str = "process:1") -> None:
    """Messages with nothing behind them, for the index alone."""
    if not home.count("message"):
        home.take("Anna", mail(subject="base"))
        while reindexing.pass_(home.archive, 50).indexed:
            pass  # while a row waits, the table of who may see is asked as well, and knows nothing of these
    with home.archive.transaction() as session:
        base = session.execute(select(message)).mappings().first()
        for number, size in enumerate(sizes):
            id_ = messages.new_id(at + number * 1000)
            own = {"id": id_, "content_key": id_.to_bytes(32, "big"), "size": size}
            session.execute(insert(message).values({**(base or {}), **own}))
            words = Words(id_, "s", f"w{number % 3}@x", "", "", "many", "", full=True)
            index.add(session, [(words, marks.of_new([scope], 1, size, 0))])


class TestBest:
    def test_what_fits_best_comes_first(self, home: Home) -> None:
        home.take(
            "Helpdesk",
            mail(subject="annual report", text="see attached", message_id="<1@x>"),
            mail(subject="numbers", text="the annual costs, and later a report", message_id="<2@x>"),
            mail(subject="news", text="the annual report is out", message_id="<3@x>"),
            mail(subject="other", text="annually reports", message_id="<4@x>"),
        )
        while reindexing.pass_(home.archive, 50).indexed:
            pass
        assert self.best(home, "anna", "annual report") == ["annual report", "news", "numbers", "other"]
        assert self.best(home, "anna", "report -numbers") == ["annual report", "news", "other"]
        assert self.best(home, "bernd", "annual report") == []

    def best(self, home: Home, who: str, typed: str) -> list[str]:
        viewer = home.viewer(who)
        with home.archive.reading() as session:
            ids = hits.best(session, query.parse(typed), viewer)
            found = messages.of_ids(session, ids, viewer)
        return [found[id_].subject for id_ in ids]


class TestCounts:
    def test_what_is_counted_may_be_seen(self, house: Home) -> None:
        helpdesk, sales = house.ids["process helpdesk"], house.ids["process sales"]
        anna, bernd, clara = (self.count(house, house.viewer(who), "-xyz") for who in ("anna", "bernd", "clara"))
        assert (str(anna.total), {key: str(one) for key, one in anna.processes.items()}) == ("4", {helpdesk: "3"})
        assert (str(bernd.total), {key: str(one) for key, one in bernd.processes.items()}) == ("1", {sales: "1"})
        assert clara == hits.Counts()
        assert [(address, str(one)) for address, _, one in anna.people] == [
            ("eva@outside.example", "2"), ("eva@out.example", "1"), ("jan@out.example", "1"),
        ]  # fmt: skip
        assert {year: str(one) for year, one in anna.years.items()} == {2026: "4"}

    def test_a_mail_that_came_to_two_counts_for_each_only_where_it_may_be_seen(self, house: Home) -> None:
        raw = mail(subject="shared", text="shared", message_id="<9@x>")
        house.take("Helpdesk", raw)
        house.take("Sales", b"Delivered-To: s@x\r\n" + raw)
        helpdesk, sales = house.ids["process helpdesk"], house.ids["process sales"]
        assert list(self.count(house, house.viewer("anna"), "shared").processes) == [helpdesk]
        assert list(self.count(house, house.viewer("bernd"), "shared").processes) == [sales]
        assert set(self.count(house, MACHINE, "shared").processes) == {helpdesk, sales}

    def test_beyond_ten_thousand_it_says_so(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hits, "COUNTED", 10)
        first = int(datetime(2024, 6, 1, tzinfo=UTC).timestamp()) * 1000
        viewer = Viewer("user:1", 1, frozenset({"process:1", "process:2"}))
        _fill(home, [100] * 12, at=first + 400 * DAY)
        _fill(home, [101] * 4, at=first, scope="process:2")
        counts = self.count(home, viewer, "many")
        assert str(counts.total) == "10+"
        assert {key: str(one) for key, one in counts.processes.items()} == {1: "10+", 2: "4"}
        assert {year: str(one) for year, one in counts.years.items()} == {2025: "10+", 2024: "4"}
        assert all(one.more for _, _, one in counts.people)

    def test_a_year_begins_where_one_is(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        viewer = Viewer("user:1", 1, frozenset({"process:1"}))
        _fill(home, [100] * 3, at=int(datetime(2025, 12, 31, 23, 30, tzinfo=UTC).timestamp()) * 1000)
        for counted in (hits.COUNTED, 2):
            monkeypatch.setattr(hits, "COUNTED", counted)
            assert list(self.count(home, viewer, "many").years) == [2025]
            assert list(self.count(home, viewer, "many", "Europe/Prague").years) == [2026]

    def count(self, home: Home, viewer: Viewer, typed: str, zone: str = "UTC") -> hits.Counts:
        with home.archive.reading() as session:
            return hits.count(session, query.parse(typed), viewer, zone=zone)


class TestHighlights:
    @pytest.mark.parametrize(
        ("typed", "text", "marked"),
        [
            ("fakturách", "Tu je faktura č. 7 a Fakturu.", ["faktura", "Fakturu"]),
            ("faktura", "fakturou", ["fakturou"]),
            ('"faktura"', "faktura fakturu", ["faktura"]),
            ("zluty", "Žlutý kůň", ["Žlutý"]),
            ("złoty", "zlotych", ["zlotych"]),
            ("inv*", "Invoice, in", ["Invoice"]),
            ('"in march"', "in march; in may; In\nMarch", ["in march", "In\nMarch"]),
            ("1.200", "1.200 EUR and 1 200", ["1.200", "1 200"]),
            ("a -b", "a b", ["a"]),
            ("a OR b", "a b", ["a", "b"]),
            ("from:eva", "eva", []),
            ("subject:plan", "the plan", ["plan"]),
            ("<b>", "<b>x</b>", ["b", "b"]),
        ],
    )
    def test_what_was_looked_for_is_marked(self, typed: str, text: str, marked: list[str]) -> None:
        found = highlights.pieces(text, query.parse(typed), "subject")
        assert "".join(piece.text for piece in found) == text
        assert [piece.text for piece in found if piece.hit] == marked

    def test_a_passage_is_where_most_words_stand(self) -> None:
        text = "alpha " + "word " * 200 + "here alpha and beta are together " + "word " * 200
        found = highlights.passage(text, query.parse("alpha beta"))
        said = "".join(piece.text for piece in found)
        assert "alpha and beta" in said
        assert said.startswith("… ")
        assert said.endswith(" …")
        assert len(said) < highlights.LENGTH + 10
        assert [piece.text for piece in found if piece.hit] == ["alpha", "beta"]
        assert highlights.passage("nothing", query.parse("alpha")) == ()

    def test_passages_come_from_the_mails(self, house: Home) -> None:
        viewer = house.viewer("anna")
        wanted = query.parse("invoices")
        with house.archive.reading() as session:
            ids = hits.find(session, wanted, viewer)
            found = highlights.passages(house.archive, session, ids, wanted)
        assert [[(piece.text, piece.hit) for piece in one] for one in found.values()] == [
            [("invoice", True), (" later", False)]
        ]

    def test_where_the_store_is_away_or_slow_there_are_none(self, house: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        wanted = query.parse("invoices")
        with house.archive.reading() as session:
            ids = hits.find(session, wanted, house.viewer("anna"))
            with monkeypatch.context() as slow:
                slow.setattr(highlights, "_PATIENCE", -1.0)
                assert highlights.passages(house.archive, session, ids, wanted) == {}
            for trouble in (StoreTrouble("away"), OSError(5, "broken"), Damaged("altered")):
                with monkeypatch.context() as away:
                    away.setattr(house.archive.blobs, "read", failing(trouble))
                    assert highlights.passages(house.archive, session, ids, wanted) == {}
            assert highlights.passages(house.archive, session, ids, wanted)

    def test_a_long_text_takes_no_time(self) -> None:
        text = ("alpha beta " * 20_000)[: highlights.LOOKED_AT]
        assert highlights.passage(text, query.parse('"alpha beta" alpha gamma'))
        assert reader.VERSION


def failing(trouble: Exception) -> Callable[..., NoReturn]:
    def fail(*_: object) -> NoReturn:
        raise trouble

    return fail


def test_nobody_reaches_the_columns_that_are_not_theirs(common_house: Home) -> None:
    for typed in (
        "marks:process1",
        "beginnings:inv",
        "stems:invoic",
        "process1",
        "mail1",
        "folder1",
        "attached1",
        "size12",
    ):
        assert common_house.find("bernd", typed) == []
    assert scopes.MACHINE.scopes is None
