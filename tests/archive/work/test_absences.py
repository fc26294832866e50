"""Who is away, who stands in, and who stands in for that one."""

import pytest

from archive.work import absences
from archive.work.absences import Absence, AbsenceTrouble

from ..home import NOON, Home

DAY = 86_400_000


def away(**substitutes: int | None) -> dict[int, Absence]:
    """`_1=2`: the first is away, and the second stands in."""
    return {int(who[1:]): Absence(0, int(who[1:]), 0, 1, other, "") for who, other in substitutes.items()}


@pytest.mark.parametrize(
    ("absent", "stands_in"),
    [
        (away(_1=2), 2),
        (away(_1=2, _2=3), 3),
        (away(_1=None), None),
        (away(_1=2, _2=None), None),
        (away(_1=2, _2=1), None),
        (away(_1=2, _2=3, _3=2), None),
        (away(_1=9), None),
        (away(_1=2, _2=9), None),
    ],
)
def test_the_first_of_the_chain_who_is_there_and_may_stands_in(
    absent: dict[int, Absence], stands_in: int | None
) -> None:
    assert absences.substitute_for(1, absent, fit=[1, 2, 3]) == stands_in


def test_an_absence_counts_from_its_beginning_to_its_end_unless_withdrawn(home: Home) -> None:
    anna, bernd = home.ids["anna"], home.ids["bernd"]
    with home.archive.transaction() as session:
        begins, ends = NOON + DAY, NOON + 3 * DAY
        made = absences.record(session, anna, begins, ends, f"user:{anna}", NOON, substitute=bernd, note=" at \n sea ")
        for moment, who in ((begins - 1, anna), (begins, bernd), (ends - 1, bernd), (ends, anna)):
            assert absences.standing_in(session, anna, moment) == who
        assert [one.note for one in absences.planned(session, [anna], NOON)] == ["at sea"]
        assert absences.withdraw(session, made, f"user:{anna}", NOON)
        assert not absences.withdraw(session, made, f"user:{anna}", NOON)
        assert absences.standing_in(session, anna, begins) == anna
        assert absences.planned(session, [anna], NOON) == []
    assert home.verify() == []


def test_nobody_stands_in_whom_the_work_may_not_reach(home: Home) -> None:
    anna, clara = home.ids["anna"], home.ids["clara"]
    with home.archive.transaction() as session:
        absences.record(session, anna, NOON, NOON + DAY, "user:1", NOON, substitute=clara)
        assert absences.standing_in(session, anna, NOON) == clara
        assert absences.standing_in(session, anna, NOON, fit=[anna]) == anna


@pytest.mark.parametrize(
    ("begins", "ends", "substitute", "kind"),
    [(2, 1, None, "order"), (-9, -1, None, "order"), (0, 9_999 * DAY, None, "length"), (0, 1, 1, "substitute")],
)
def test_what_cannot_be_is_refused(home: Home, begins: int, ends: int, substitute: int | None, kind: str) -> None:
    with home.archive.transaction() as session, pytest.raises(AbsenceTrouble) as trouble:
        absences.record(session, 1, NOON + begins, NOON + ends, "user:1", NOON, substitute=substitute)
    assert trouble.value.kind == kind
    assert home.count("absence") == 0
