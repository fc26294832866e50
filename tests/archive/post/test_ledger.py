"""The ledger: every UID ever seen has exactly one outcome, whatever became of it."""

from collections import Counter
from collections.abc import Collection, Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archive import intake
from archive.events import verify
from archive.post import ledger, receipts
from archive.post.ledger import Line, Untaken, compare, sentences
from archive.store.schema import metadata

from ...world import copy_for, mail
from ..home import GENERATION, NOON, Home, numbered

FLAGGED = Untaken(ledger.LEFT, "flagged")
WITHHELD = Untaken(ledger.WAITING, "withheld")


def note(
    home: Home,
    wanted: Mapping[int, Untaken],
    there: Collection[int],
    vanished: Collection[int] = (),
    generation: int = GENERATION,
) -> None:
    with home.archive.transaction() as session:
        ledger.note(session, home.binding("Helpdesk"), generation, wanted, there, vanished, NOON)


def lines(home: Home, generation: int | None = None) -> list[Line]:
    with home.archive.reading() as session:
        return list(ledger.lines(session, home.ids["Helpdesk"], generation))


def outcomes(home: Home) -> dict[int, str]:
    """What became of each UID; the tallies say the same."""
    found = lines(home)
    with home.archive.reading() as session:
        counted = ledger.tallies(session, home.ids["Helpdesk"])
    assert [one.uidvalidity for one in counted] == sorted({one.uidvalidity for one in found}, reverse=True)
    for tally in counted:
        own = [one for one in found if one.uidvalidity == tally.uidvalidity]
        assert tally.counts == Counter(one.outcome for one in own)
        assert tally.unmoved == sum(one.message is not None and not one.settled for one in own)
    assert len({(one.uidvalidity, one.uid) for one in found}) == len(found)
    return {one.uid: one.outcome for one in found}


def test_an_archived_mail_its_copy_and_one_in_quarantine_each_have_their_line(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.take("Helpdesk", *numbered([1, 2]), copy_for("helpdesk@demo.example", numbered([1])[0]))
    with monkeypatch.context() as patch:
        patch.setattr(intake, "_write_receipts", lambda *_: 1 / 0)
        home.take("Helpdesk", mail(subject="stumbled over"))
    home.take("Sales", *numbered([1]))
    assert outcomes(home) == {1: "archived", 2: "archived", 3: "copy", 4: "quarantined"}
    assert [one.message is None for one in lines(home)] == [False, False, False, True]
    assert lines(home)[0].message == lines(home)[2].message


def test_mail_that_is_left_waits_or_is_gone_is_on_record_with_its_reason(home: Home) -> None:
    note(home, {5: FLAGGED, 6: WITHHELD}, {5, 6})
    assert outcomes(home) == {5: "left", 6: "waiting"}
    note(home, {5: FLAGGED}, {5})  # 6 was deleted by somebody else
    assert outcomes(home) == {5: "left", 6: "gone"}
    note(home, {5: FLAGGED}, {5}, vanished={7})
    assert outcomes(home) == {5: "left", 6: "gone", 7: "gone"}
    assert [(one.reason, one.at) for one in lines(home)][:2] == [("flagged", NOON), ("withheld", NOON)]
    kinds = [row[0] for row in home.rows("SELECT kind FROM event WHERE kind LIKE 'mail.%' ORDER BY id")]
    assert kinds == ["mail.listed", "mail.listed", "mail.gone", "mail.gone"]


def test_what_has_not_changed_is_not_written_again(home: Home) -> None:
    note(home, {5: FLAGGED, 6: WITHHELD}, {5, 6}, vanished={7})
    before = home.count("event")
    note(home, {5: FLAGGED, 6: WITHHELD}, {5, 6})
    assert home.count("event") == before


def test_mail_that_is_taken_after_all_is_archived_and_nothing_else(home: Home) -> None:
    note(home, {1: FLAGGED, 2: WITHHELD}, {1, 2})
    home.take("Helpdesk", *numbered([1, 2]))
    assert outcomes(home) == {1: "archived", 2: "archived"}
    note(home, {}, {1, 2})
    assert outcomes(home) == {1: "archived", 2: "archived"}
    assert (home.count("left_alone"), home.count("gone")) == (0, 0)


def test_a_folder_made_anew_leaves_nothing_open(home: Home) -> None:
    note(home, {1: FLAGGED, 2: WITHHELD}, {1, 2})
    with home.archive.transaction() as session:
        ledger.new_generation(session, home.binding("Helpdesk"), GENERATION + 1, NOON)
        ledger.new_generation(session, home.binding("Helpdesk"), GENERATION + 1, NOON)
    assert outcomes(home) == {1: "gone", 2: "gone"}
    assert all("made anew" in one.reason for one in lines(home))
    assert lines(home, GENERATION + 1) == []


def test_an_original_somebody_else_took_says_so(home: Home) -> None:
    home.take("Helpdesk", *numbered(range(3)))
    with home.archive.transaction() as session:
        for uid, how in ((1, receipts.MOVED), (2, receipts.TAKEN_AWAY)):
            receipts.settle(session, home.ids["Helpdesk"], GENERATION, [uid], how, NOON)
    assert outcomes(home) == {1: "archived", 2: "taken away", 3: "archived"}
    assert [one.settled for one in lines(home)] == [True, True, False]
    assert "moved yet" in lines(home)[2].reason


def test_many_lines_come_in_order_a_few_at_a_time(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "CHUNK", 3)
    home.take("Helpdesk", *numbered(range(8)))
    note(home, dict.fromkeys(range(20, 31), FLAGGED), range(20, 31))
    note(home, dict.fromkeys(range(40, 45), WITHHELD), range(40, 45), generation=GENERATION - 1)
    assert [one.uid for one in lines(home)] == [*range(40, 45), *range(1, 9), *range(20, 31)]
    assert [one.uid for one in lines(home, GENERATION)] == [*range(1, 9), *range(20, 31)]
    assert len(outcomes(home)) == 24


steps = st.lists(
    st.tuples(
        st.dictionaries(st.integers(1, 12), st.sampled_from([FLAGGED, WITHHELD])),  # listed, and there
        st.sets(st.integers(1, 12)),  # also there
        st.sets(st.integers(1, 12)),  # seen and vanished
    ),
    max_size=6,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some=steps)
def test_whatever_happens_each_uid_has_one_outcome_and_the_log_says_the_same(
    home: Home, some: list[tuple[dict[int, Untaken], set[int], set[int]]]
) -> None:
    with home.archive.transaction() as session:
        for table in ("left_alone", "gone", "event_detail", "event"):
            session.execute(metadata.tables[table].delete())
    seen: set[int] = set()
    before: set[int] = set()
    for told, also, vanished in some:
        listed = dict.fromkeys(before & also, WITHHELD) | told
        there = listed.keys() | also
        note(home, listed, there, vanished - there)
        before = set(listed)
        seen |= listed.keys() | (vanished - there)
        found = outcomes(home)
        assert found.keys() == seen
        assert {uid: found[uid] for uid in listed} == {uid: one.outcome for uid, one in listed.items()}
    done = verify.verify(home.archive, contents=False)
    assert [one for one in done.findings if one.where.startswith(("left_alone", "gone"))] == []


def line(uid: int, outcome: str, *, message: int | None = None, settled: bool = True, reason: str = "") -> Line:
    return Line(GENERATION, uid, outcome, NOON, reason, message, settled)


def test_the_ledger_and_a_folder_that_agree_are_said_to() -> None:
    some = [line(1, "archived", message=7), line(2, "gone"), line(3, "left"), line(4, "waiting")]
    found = compare(some, GENERATION, [3, 4])
    assert found.agrees
    assert sentences("office/INBOX", found) == [
        "office/INBOX: 4 mails seen: 1 archived, 1 gone, 1 left, 1 waiting. The folder holds 2 now.",
        "The ledger and the folder agree.",
    ]


@pytest.mark.parametrize(
    ("some", "there", "said"),
    [
        ([], [5, 6], "2 in the folder and not looked at yet (UID 5, 6)."),
        ([line(5, "gone")], [5], "1 in the folder and not looked at yet (UID 5)."),
        ([line(5, "archived", message=1, settled=False)], [5], "1 archived and still to be moved (UID 5)."),
        ([line(5, "archived", message=1, settled=False)], [], "no longer in the folder; the next pass looks"),
        ([line(5, "copy", message=1)], [5], "1 archived and moved, and in the folder again (UID 5)."),
        ([line(5, "left")], [], "1 not taken, and no longer in the folder; the next pass notes it (UID 5)."),
        ([], range(1, 9), "8 in the folder and not looked at yet (UID 1, 2, 3, 4, 5 …)."),
    ],
)
def test_each_difference_is_a_sentence(some: list[Line], there: list[int], said: str) -> None:
    found = compare(some, GENERATION, there)
    assert not found.agrees
    assert said in " ".join(sentences("office/INBOX", found))


def test_an_original_that_cannot_be_moved_stays_and_is_no_difference(home: Home) -> None:
    home.take("Helpdesk", *numbered([1]))
    with home.archive.transaction() as session:
        receipts.settle(session, home.ids["Helpdesk"], GENERATION, [1], receipts.LEFT, NOON)
    assert compare(lines(home), GENERATION, [1]).agrees
