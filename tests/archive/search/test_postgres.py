"""PostgreSQL's index: stretches of time, what stands together, and that nothing is a cliff."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from archive.search import hits, postgres, query
from archive.search.words import Words

from ...world import mail
from ..home import NOON, Home

SECONDS = st.integers(0, (1 << 33) - 1)


@given(SECONDS, SECONDS, SECONDS)
def test_stretches_cover_all_time_once_from_the_newest_on(one: int, other: int, near: int) -> None:
    newest, oldest = max(one, other), min(one, other)
    asked = list(postgres._stretches(newest, oldest, near))
    spans = [(at << level, (at + 1) << level) for together in asked for level, at in together]
    assert spans[0][0] <= newest < spans[0][1]
    assert all(first[0] == then[1] for first, then in pairwise(spans))
    assert spans[-1][0] <= oldest < spans[-1][1]
    # Few, whatever there is: at most four of each length, and of the longest some two dozen.
    assert len(asked) <= len(postgres._LEVELS) + postgres._STRETCHES + 5
    assert all(len(together) <= 4 for together in asked)
    assert all(longer[0][0] - shorter[0][0] in (0, 2) for shorter, longer in pairwise(asked))


@pytest.mark.databases("postgresql")
class TestFinding:
    def test_words_are_only_together_where_they_are(self, home: Home) -> None:
        home.take(
            "Helpdesk",
            mail(subject="one", text="annual report of this year"),
            mail(subject="two", text="report, annual. this report is annual report's"),
            mail(subject="annual", text="report"),
            mail(subject="four", text="the annual reporting"),
        )
        assert home.find("anna", '"annual report"') == ["two", "one"]
        assert home.find("anna", '"report annual"') == ["two"]
        assert home.find("anna", '"annual repor*"') == []
        assert home.find("anna", '-"annual report" annual') == ["four", "annual"]
        assert home.find("anna", '"annual report" OR subject:four') == ["four", "two", "one"]
        assert home.find("anna", "body:annual") == ["four", "two", "one"]
        assert home.find("anna", "-body:annual") == ["annual"]
        assert home.find("anna", 'body:"annual report"') == ["two", "one"]
        assert home.find("anna", "body:annu*") == ["four", "two", "one"]
        assert home.find("anna", "-body:annu* annual") == ["annual"]
        assert home.find("anna", 'from:"eva outside"') == ["four", "annual", "two", "one"]
        assert home.find("anna", "from:eva@outside.example subject:(one OR two)") == ["two", "one"]

    def test_mail_of_all_times_is_found_page_by_page(self, home: Home) -> None:
        """From 1970 to 2242, crowded and far apart: in the order of time, none twice."""
        ids = sorted({(second << 30) + 7 for n in range(60) for second in (n, 1_793_620_800 + n * 3600, n << 27)})
        marked = frozenset({"process:1", "mail:1"})
        rows = [(Words(id_, "any", "", "", "", "word " * (id_ % 3 + 1), ""), marked) for id_ in ids]
        with home.archive.transaction() as session:
            postgres.add(session, rows)
        found: list[int] = []
        viewer, wanted = home.viewer("anna"), query.parse("word")
        with home.archive.reading() as session:
            while some := hits.find(session, wanted, viewer, found[-1] if found else None, limit=7):
                found += some
        assert found == ids[::-1]

    def test_the_index_is_asked_and_never_the_table(self, home: Home) -> None:
        """However few rows there are: reading their lexemes costs more than PostgreSQL thinks."""
        home.take("Helpdesk", *(mail(subject=f"mail {n}", text="word") for n in range(40)), at=NOON)
        with home.archive.reading() as session:
            hits.find(session, query.parse("word"), home.viewer("anna"))
            statement, values = postgres._probes("'word'", [[(16, NOON // 1000 >> 16)]], [])
            values |= {"first": 0, "end": 1 << 62, "limit": 5}
            plan = "\n".join(session.scalars(text(f"EXPLAIN {statement}"), values))
        assert "Bitmap Index Scan on ix_search_lexemes" in plan
        assert "Seq Scan" not in plan
