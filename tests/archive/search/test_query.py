"""What people type, understood: every form of it, and a sentence for what was mistyped."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from archive.search import query
from archive.search.query import All, Day, Limits, Mark, Not, Some, Term, Work, parse

NOW = int(datetime(2026, 11, 2, 12, tzinfo=UTC).timestamp() * 1000)


def said(typed: str) -> list[str]:
    return [str(note) for note in parse(typed).notes]


class TestWords:
    def test_words_are_all_wanted(self) -> None:
        assert parse("invoice march").of == (Term("invoice"), Term("march"))

    def test_quotes_hold_words_together_as_they_are(self) -> None:
        assert parse('"in march" x').of == (Term("in march", exact=True), Term("x"))

    def test_a_star_at_the_end_lets_the_word_go_on(self) -> None:
        assert parse("inv*").of == (Term("inv", prefix=True),)

    @pytest.mark.parametrize("typed", ["-b", "NOT b", "NOT  b", "- -b", "\u2212b"])
    def test_a_minus_or_not_unwants(self, typed: str) -> None:
        wanted = (Term("b"),) if typed == "- -b" else (Not(Term("b")),)
        assert parse(f"a {typed}").of == (Term("a"), *((Not(Term("b")),) if typed == "- -b" else wanted))

    def test_a_minus_within_a_word_is_part_of_it(self) -> None:
        assert parse("anna-maria INV-0042").of == (Term("anna-maria"), Term("INV-0042"))

    @pytest.mark.parametrize(
        "typed", ["", "  ", "-", '"', '""', "***", "()", "--", "- -", ":;", "\x00", "💥", "(((", ")"]
    )
    def test_what_holds_no_letter_or_digit_counts_for_nothing(self, typed: str) -> None:
        assert not parse(typed).wanted

    def test_a_novel_is_cut_and_that_is_said(self) -> None:
        understood = parse("word " * 100_000)
        assert len(understood.of) == query.MOST_TERMS
        assert [str(note) for note in understood.notes] == [
            "Only the first 2000 characters are searched for.",
            "Only the first 64 words are searched for.",
        ]


class TestOr:
    def test_or_binds_closer_than_standing_side_by_side(self) -> None:
        assert parse("a b OR c d").of == (Term("a"), Some((Term("b"), Term("c"))), Term("d"))

    def test_brackets_hold_together(self) -> None:
        assert parse("(a b) OR (c -d)").of == (Some((All((Term("a"), Term("b"))), All((Term("c"), Not(Term("d")))))),)

    def test_or_joins_more_than_two(self) -> None:
        assert parse("a OR b OR c").of == (Some((Term("a"), Term("b"), Term("c"))),)

    def test_and_says_what_goes_without_saying(self) -> None:
        assert parse("a AND b").of == parse("a b").of

    @pytest.mark.parametrize("typed", ["OR", "AND", "a OR", "OR a", "or", "NOT"])
    def test_a_connective_that_connects_nothing_is_a_word(self, typed: str) -> None:
        assert parse(typed).of == tuple(Term(word) for word in typed.split())


class TestFields:
    @pytest.mark.parametrize("name", ["from", "to", "cc", "subject", "body", "filename"])
    def test_a_field_says_where_a_word_stands(self, name: str) -> None:
        assert parse(f"{name}:anna").of == (Term("anna", field=name),)
        assert parse(f'{name.upper()}:"anna b"').of == (Term("anna b", exact=True, field=name),)
        assert parse(f"{name}: anna").of == (Term("anna", field=name),)

    def test_a_field_stands_before_a_bracket(self) -> None:
        assert parse("from:(anna OR bernd)").of == (Some((Term("anna", field="from"), Term("bernd", field="from"))),)

    def test_a_field_may_be_unwanted(self) -> None:
        assert parse("-from:anna").of == (Not(Term("anna", field="from")),)

    def test_addresses_times_and_links_stay_whole(self) -> None:
        typed = "from:re:x anna@x.example 12:30 http://x.example/y?z=1"
        assert [term.text for term in parse(typed).terms] == ["re:x", *typed.split()[1:]]

    def test_marks(self) -> None:
        assert parse("has:attachment process:sales -in:Inbox").of == (
            Mark("attachment"), Mark("process", "sales"), Not(Mark("in", "Inbox")),
        )  # fmt: skip


class TestLimits:
    @pytest.mark.parametrize(
        ("typed", "limits"),
        [
            ("before:2026-11-01", Limits(before=Day(date(2026, 11, 1)))),
            ("after:2026-11", Limits(after=Day(date(2026, 11, 1)))),
            ("after:2026", Limits(after=Day(date(2026, 1, 1)))),
            ("after:1.11.2026", Limits(after=Day(date(2026, 11, 1)))),
            ("after:2026/11/1", Limits(after=Day(date(2026, 11, 1)))),
            ("after:7d", Limits(after=Day(ago=7))),
            ("after:today", Limits(after=Day(ago=0))),
            ("before:yesterday", Limits(before=Day(ago=1))),
            ("-before:2026", Limits(after=Day(date(2026, 1, 1)))),
            ("larger:5M", Limits(larger=5 << 20)),
            ("larger:1.5k", Limits(larger=1536)),
            ("smaller:1GB", Limits(smaller=1 << 30)),
            ("-larger:100", Limits(smaller=101)),
            ("is:unread", Limits(unread=True)),
            ("is:read", Limits(unread=False)),
            ("-is:unread", Limits(unread=False)),
            ("is:open -tag:Late", Limits(work=(Work("is", "open"), Work("tag", "Late", True)))),
            ('assigned:"Anna B"', Limits(work=(Work("assigned", "Anna B"),))),
        ],
    )
    def test_each(self, typed: str, limits: Limits) -> None:
        assert parse(typed) == query.Query((), limits)

    def test_days_begin_where_somebody_is(self) -> None:
        assert Day(date(2026, 11, 2)).starts(NOW) == NOW - 12 * 3_600_000
        assert Day(ago=0).starts(NOW, "Europe/Prague") == NOW - 13 * 3_600_000
        assert Day(ago=1).starts(NOW) == NOW - 36 * 3_600_000

    def test_they_count_for_the_whole_search_and_that_is_said(self) -> None:
        understood = parse("a OR before:2026")
        assert understood.of == (Term("a"),)
        assert understood.limits == Limits(before=Day(date(2026, 1, 1)))
        assert "whole search" in str(understood.notes[0])


class TestMistyped:
    @pytest.mark.parametrize(
        ("typed", "sentence"),
        [
            ("form:anna", "“form:” is not known, perhaps “from:” was meant."),
            ("from:", "“from:” needs something behind it, as in from:anna."),
            ("before:2026-13-01", "“2026-13-01” is not a date"),
            ("before:2026-02-30", "“2026-02-30” is not a date"),
            ("after:soon", "“soon” is not a date"),
            ("larger:much", "“much” is not a size"),
            ("has:love", "“has:love” is not known"),
            ("is:good", "“is:good” is not known"),
            ('"in march', "A quotation mark was left open"),
            ("(a b", "A bracket was left open"),
            ("in*ice", "“*” stands for the rest of a word"),
            ("*voice", "“*” stands for the rest of a word"),
            ("ab*", "“ab*” is too short"),
            ("before:2026 before:2025", "“before:” stands several times"),
            ("(" * 20 + "a", "Brackets within brackets"),
        ],
    )
    def test_it_is_said_in_a_sentence(self, typed: str, sentence: str) -> None:
        assert any(one.startswith(sentence) for one in said(typed)), said(typed)

    @pytest.mark.parametrize(
        "typed", ['invoice "in march" -x', "a OR b", "from:anna", "1:30", "Re: x", "http://x", "abc*", "日*"]
    )
    def test_what_is_right_needs_none(self, typed: str) -> None:
        assert said(typed) == []

    def test_sentences_can_be_translated(self) -> None:
        (note,) = parse("larger:much").notes
        assert note.text == "“%(typed)s” is not a size; write 500K, 5M or 1G."
        assert dict(note.values) == {"typed": "much"}

    @given(
        st.one_of(
            st.text(alphabet=st.characters(exclude_categories=())), st.text('ab*"()-: fromORNT'), st.text("(from:")
        )
    )
    @example("b\udcfcro")  # what a terminal in Latin-1 hands over
    @example("from:(" * 400)
    @example("-" * 2000)
    def test_nothing_fails(self, typed: str) -> None:
        understood = parse(typed)
        for term in understood.terms:
            term.text.encode()  # a database takes it
        for note in understood.notes:
            assert str(note)
