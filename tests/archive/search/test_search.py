"""Search: what is found, by whom, in which order, and that nothing anybody types gets past the rights."""

import random
import string
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archive import reindexing
from archive.people.scopes import MACHINE, Viewer
from archive.search import backends, fts5, hits, query
from archive.search.words import Words

from ...world import mail
from ..home import NOON, Home

HELPDESK, SALES, ANNA, CLARA = "process:1", "process:2", "user:1", "user:3"
SYNTAX = "secret four process1 user1 NEAR( NEAR ( ) OR AND NOT scope : { } \" * ^ - + rowid search , 2) \0 '' -- ;"
BOTH = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]  # once with each database
STRANGER = Viewer("user:9", 9, frozenset({"user:9"}))


class TestWhatIsFound:
    @staticmethod
    def furnished(home: Home) -> Home:
        home.take(
            "Helpdesk",
            mail(subject="Rechnung März", text="Bitte zahlen Sie 1.200 EUR an Žofie.", message_id="<1@x>"),
            mail(subject="Angebot", text="Drei Angebote für den Umzug", message_id="<2@x>"),
            mail(subject="Photo", attachments=[("Grundriss_Büro.pdf", b"%PDF")], message_id="<3@x>"),
            mail(subject="Von Jürgen", from_="juergen.mueller@firma.example", cc="chef@firma.example"),
            mail(subject="日本語の件名", text="会議は明日です", message_id="<5@x>"),
        )
        return home

    @pytest.fixture
    def home(self, home: Home) -> Home:
        return self.furnished(home)

    @pytest.fixture(scope="class")
    @classmethod
    def common(cls, common_home: Home) -> Home:
        return cls.furnished(common_home)

    @pytest.mark.parametrize(
        ("typed", "found"),
        [
            ("Rechnung", ["Rechnung März"]),
            ("rechnung MÄRZ", ["Rechnung März"]),
            ("marz", ["Rechnung März"]),
            ("zofie", ["Rechnung März"]),
            ("Žofie", ["Rechnung März"]),
            ("1.200", ["Rechnung März"]),
            ("rechn", []),
            ("rechn*", ["Rechnung März"]),
            ("angebot*", ["Angebot"]),
            ('"zahlen sie"', ["Rechnung März"]),
            ('"sie zahlen"', []),
            ("sie zahlen", ["Rechnung März"]),
            ("grundriss_buro.pdf", ["Photo"]),
            ("büro", ["Photo"]),
            ("juergen.mueller@firma.example", ["Von Jürgen"]),
            ("chef", ["Von Jürgen"]),
            ("drei -umzug", []),
            ("drei -rechnung", ["Angebot"]),
            ("-drei", ["日本語の件名", "Von Jürgen", "Photo", "Rechnung März"]),
            ("日本語の件名", ["日本語の件名"]),
            ("日本*", ["日本語の件名"]),
            ("eva -rechnung -angebot", ["日本語の件名", "Photo"]),
            ("subject:Rechnung", ["Rechnung März"]),
            ("rechnung OR angebot", ["Angebot", "Rechnung März"]),
            ("rechnung NOT angebot", ["Rechnung März"]),
        ],
    )
    def test_it_is_as_people_expect(self, common: Home, typed: str, found: list[str]) -> None:
        assert common.find("anna", typed) == found

    def test_the_newest_come_first_and_pages_go_on_where_the_last_one_ended(self, home: Home) -> None:
        home.take("Helpdesk", *(mail(subject=f"many {n}") for n in range(30)), at=NOON + 86_400_000)
        viewer, wanted = home.viewer("anna"), query.parse("many")
        with home.archive.reading() as session:
            everything = hits.find(session, wanted, viewer)
            pages, before = [], None
            while some := hits.find(session, wanted, viewer, before, 7):
                pages += some
                before = some[-1]
        assert everything == sorted(everything, reverse=True) == pages
        assert len(pages) == 30

    @pytest.mark.parametrize("seed", range(5))
    def test_words_that_fill_a_page_in_one_mail_hide_no_other(self, home: Home, seed: int) -> None:
        """FTS5 of SQLite 3.40 leaves mails out when it walks downwards past such a mail."""
        draw = random.Random(seed)
        ids = sorted(draw.randrange(1 << 62) for _ in range(300))
        scopes = {id_: draw.choice([HELPDESK, SALES]) for id_ in ids}
        times = {id_: draw.choice([1, 2, 3] * 2 + [2000, 5000, 20_000]) for id_ in ids}
        rows = [
            (Words(id_, "report", "", "", "", "error " * times[id_], ""), frozenset({scopes[id_], "mail:1"}))
            for id_ in ids
        ]
        while reindexing.pass_(home.archive, 50).indexed:
            pass  # while a row waits, the table of who may see is asked as well, and knows nothing of these
        for start in range(0, 300, 20):
            with home.archive.transaction() as session:
                backends.of(session).add(session, rows[start : start + 20])
        with home.archive.reading() as session:
            for scope in (HELPDESK, SALES):
                found = hits.find(session, query.parse("error"), Viewer("", 1, frozenset({scope})), limit=1000)
                assert found == [id_ for id_ in reversed(ids) if scopes[id_] == scope]


class TestWhoFinds:
    @pytest.fixture
    def home(self, home: Home) -> Home:
        home.take("Helpdesk", mail(subject="for helpdesk", text="secret one"))
        home.take("Sales", mail(subject="for sales", text="secret two"))
        home.take("Clara", mail(subject="for clara", text="secret three"))
        both = mail(subject="for both", text="secret four")
        home.take("Helpdesk", both)
        home.take("Sales", b"Delivered-To: sales@demo.example\r\n" + both)
        return home

    @pytest.mark.parametrize(
        ("who", "found"),
        [
            ("anna", ["for both", "for helpdesk"]),
            ("bernd", ["for both", "for sales"]),
            ("clara", ["for clara"]),
        ],
    )
    def test_everybody_finds_what_came_to_them(self, home: Home, who: str, found: list[str]) -> None:
        assert sorted(home.find(who, "secret")) == found

    def test_the_machine_finds_everything(self, home: Home) -> None:
        with home.archive.reading() as session:
            assert len(hits.find(session, query.parse("secret"), MACHINE)) == 4

    def test_who_has_no_scope_finds_nothing(self, home: Home) -> None:
        with home.archive.reading() as session:
            assert hits.find(session, query.parse("secret"), Viewer("nobody", None, frozenset())) == []

    def test_a_scope_written_in_a_mail_gives_nobody_a_right(self, home: Home) -> None:
        home.take("Helpdesk", mail(subject="user3 process2", text="user:3 process:2 user3 process2 bait"))
        assert home.find("clara", "bait") == home.find("bernd", "bait") == []
        assert home.find("anna", "bait") == ["user3 process2"]

    @pytest.mark.parametrize("typed", ["process1", "process:1", "scope:process1", "scope : process1", '"process1"'])
    def test_the_column_of_scopes_cannot_be_searched(self, home: Home, typed: str) -> None:
        assert home.find("anna", typed) == []

    def test_a_user_of_thirty_processes_and_two_thousand_cases_searches_as_well(self, home: Home) -> None:
        many = {f"process:{n}" for n in range(30)} | {f"case:{n}" for n in range(2000)}
        with home.archive.reading() as session:
            assert len(hits.find(session, query.parse("secret"), Viewer("user:9", 9, frozenset(many)))) == 3

    typed = st.one_of(
        st.text(max_size=60),
        st.text(alphabet="abcdeORANDNOT():*^\"-+{}'\\,.;<>=|&%_ \t\n\0", max_size=60),
        st.lists(
            st.sampled_from(
                SYNTAX.split(" "),
            ),
            max_size=12,
        ).map(" ".join),
    )

    @settings(max_examples=400, deadline=None, suppress_health_check=BOTH)
    @given(typed=typed)
    def test_a_stranger_finds_nothing_whatever_he_types_and_nothing_fails(self, home: Home, typed: str) -> None:
        with home.archive.reading() as session:
            assert hits.find(session, query.parse(typed), STRANGER) == []
            everybody = set(hits.find(session, query.parse(typed), MACHINE))
            of_clara = hits.find(session, query.parse(typed), Viewer("", 3, frozenset({CLARA})))
            assert set(of_clara) <= everybody
            assert len(of_clara) <= 1


@pytest.mark.databases("sqlite")  # PostgreSQL's rows have their messages' ids
class TestMoreMailThanAStretchOfTimeHasNumbersFor:
    def test_everything_is_found_in_order(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        """A move to another server may give a hundred thousand mails one date."""
        monkeypatch.setattr(fts5, "_NUMBERED", 3)
        draw = random.Random(1)
        flood = (1_700_000_000 << 30) + (1 << 20)
        ids = [flood + draw.randrange(1 << 30) for _ in range(60)]
        ids += [flood + (day * 86_400 << 30) for day in (-40, -12, -5, -2, 2, 5, 40)]
        draw.shuffle(ids)
        marked = frozenset({HELPDESK, "mail:1"})
        for some in (ids[:20], ids[20:40], ids[40:]):
            with home.archive.transaction() as session:
                backends.of(session).add(session, [(Words(id_, "any", "", "", "", "word", ""), marked) for id_ in some])
        viewer, wanted = Viewer("", 1, frozenset({HELPDESK})), query.parse("word")
        found: list[int] = []
        with home.archive.reading() as session:
            while some := hits.find(session, wanted, viewer, found[-1] if found else None, limit=7):
                found += some
        assert found == sorted(ids, reverse=True)


class TestTheIndexStaysConsistent:
    """Random sequences of mail that is indexed, handed to others and taken out, against a plain model."""

    @pytest.mark.parametrize("seed", range(6))
    def test_whatever_is_done_search_finds_what_is_there_and_nothing_else(self, home: Home, seed: int) -> None:
        draw = random.Random(seed)
        all_scopes = [HELPDESK, SALES, ANNA, CLARA, "case:4"]
        model: dict[int, tuple[Words, frozenset[str]]] = {}
        numbers = count(1)

        def words() -> str:
            return " ".join(draw.choice(string.ascii_lowercase) + str(draw.randrange(4)) for _ in range(60))

        def some_scopes() -> frozenset[str]:
            return frozenset(draw.sample(all_scopes, draw.randrange(1, 5)))

        if home.url is None:
            with home.archive.transaction() as session:
                session.exec_driver_sql("INSERT INTO search(search, rank) VALUES('pgsz', 1000)")
        for _ in range(25):
            with home.archive.transaction() as session:
                made = [
                    replace(
                        Words(
                            draw.randrange(1 << 33) << 30 | next(numbers),
                            words(),
                            words(),
                            words(),
                            words(),
                            words(),
                            words(),
                        ),
                        full=draw.random() < 0.5,
                    )
                    for _ in range(draw.randrange(1, 30))
                ]
                backends.of(session).add(
                    session, [(one, model.setdefault(one.message, (one, some_scopes()))[1]) for one in made]
                )
                chosen = draw.sample(sorted(model), min(len(model), draw.randrange(30)))
                changes = [(*model[id_], some_scopes()) for id_ in chosen]
                backends.of(session).change_scopes(session, changes)
                model.update((one.message, (one, after)) for one, _, after in changes)
                chosen = draw.sample(sorted(model), min(len(model), draw.randrange(30)))
                anew = [
                    (model[id_], (replace(model[id_][0], body=words(), full=True), some_scopes())) for id_ in chosen
                ]
                backends.of(session).replace(session, anew)
                model.update((after[0].message, after) for _, after in anew)
                gone = draw.sample(sorted(model), min(len(model), draw.randrange(4)))
                backends.of(session).remove(session, [model.pop(id_) for id_ in gone])
            self.check(home, model, all_scopes, draw)
        if home.url is None:
            with home.archive.transaction() as session:
                session.exec_driver_sql("INSERT INTO search(search) VALUES('optimize')")
        self.check(home, model, all_scopes, draw)

    def check(self, home: Home, model: dict[int, Any], all_scopes: list[str], draw: random.Random) -> None:
        home.check_index()
        with home.archive.reading() as session:
            for _ in range(8):
                word = draw.choice(string.ascii_lowercase) + str(draw.randrange(4))
                scope = draw.choice(all_scopes)
                found = hits.find(session, query.parse(word), Viewer("", 1, frozenset({scope})), limit=10**6)
                wanted = sorted(
                    (
                        id_
                        for id_, (one, may) in model.items()
                        if scope in may
                        and word
                        in " ".join((one.subject, one.sender, one.recipients, one.copied, one.body, one.names)).split()
                    ),
                    reverse=True,
                )
                assert found == wanted


def test_a_newer_reader_does_not_spoil_the_index(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Index rows are taken out by the words they were made from, which another reader need not give."""
    from archive.mail import facts, reader

    raw = mail(subject="offer", text="alpha beta")
    home.take("Helpdesk", raw)
    monkeypatch.setattr(reader, "VERSION", reader.VERSION + 1)
    read_as = facts.read
    monkeypatch.setattr(facts, "read", lambda content: _other_words(read_as(content)))
    home.take("Sales", b"Delivered-To: sales@demo.example\r\n" + raw)
    assert home.find("anna", "alpha") == ["offer"]
    assert home.find("anna", "gamma") == home.find("bernd", "gamma") == []
    home.check_index()
    assert len(home.raws(home.viewer("bernd"))) == 1


def test_a_copy_that_could_not_be_read_does_not_spoil_the_index(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from archive.mail import facts

    first, second = mail(subject="first", text="alpha"), mail(subject="second", text="alpha")
    home.take("Helpdesk", first)
    read_as = facts.read
    monkeypatch.setattr(facts, "read", lambda _content: facts.unread("made so"))
    home.take("Sales", b"Delivered-To: sales@demo.example\r\n" + first)
    home.take("Helpdesk", second)
    monkeypatch.setattr(facts, "read", read_as)
    home.take("Sales", b"Delivered-To: sales@demo.example\r\n" + second)
    home.check_index()
    assert home.find("anna", "alpha") == ["first"]
    assert home.find("bernd", "alpha") == []
    assert len(home.raws(home.viewer("bernd"))) == 2


def _other_words(facts: Any) -> Any:

    return replace(facts, body="gamma delta", reader=facts.reader + 1)
