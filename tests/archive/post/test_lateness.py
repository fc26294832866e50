"""Folders from which nothing could be taken for long: said once, until it goes well again."""

from sqlalchemy import func, select, update

from archive.post import bindings, lateness
from archive.store.schema import binding, event

from ..home import NOON, Home

MINUTE = 60_000
LONG = NOON + 60 * MINUTE


def kinds(home: Home) -> list[str]:
    with home.archive.reading() as session:
        some = select(event.c.kind).where(event.c.kind.in_(["binding.late", "binding.recovered"])).order_by(event.c.id)
        return list(session.scalars(some))


def succeed(home: Home, now: int) -> None:
    with home.archive.transaction() as session:
        for one in bindings.every(session):
            bindings.succeeded(session, one, now, waiting=0, empty=True)


def fail(home: Home, now: int) -> None:
    with home.archive.transaction() as session:
        one = bindings.get(session, home.ids["Helpdesk"])
        bindings.failed(session, one, now, trouble="no answer", permanent=False, next_at=now + MINUTE)


def late(home: Home, now: int) -> dict[int, int]:
    with home.archive.reading() as session:
        return {one.binding.id: one.since for one in lateness.late(session, now)}


def note(home: Home, now: int) -> int:
    with home.archive.transaction() as session:
        return len(lateness.note(session, now))


def test_a_folder_that_fails_for_long_is_said_once_until_it_goes_well(home: Home) -> None:
    helpdesk = home.ids["Helpdesk"]
    succeed(home, NOON)
    for minutes in (1, 5, 15):
        fail(home, NOON + minutes * MINUTE)
        assert late(home, NOON + minutes * MINUTE) == {}, "a server may be away for a while"
    assert note(home, NOON + 15 * MINUTE) == 0
    fail(home, NOON + 16 * MINUTE)
    assert late(home, NOON + 17 * MINUTE)[helpdesk] == NOON
    assert note(home, NOON + 17 * MINUTE) >= 1
    fail(home, NOON + 18 * MINUTE)
    assert note(home, NOON + 18 * MINUTE) == 0, "said already"
    succeed(home, NOON + 19 * MINUTE)
    assert late(home, NOON + 19 * MINUTE) == {}
    assert kinds(home)[0] == "binding.late"
    assert kinds(home)[-1] == "binding.recovered"
    fail(home, NOON + 60 * MINUTE)
    assert helpdesk in late(home, NOON + 61 * MINUTE)
    assert note(home, NOON + 61 * MINUTE) >= 1, "once more"


def test_where_no_gateway_looks_it_is_late_without_any_failure(home: Home) -> None:
    succeed(home, NOON)
    assert set(late(home, LONG)) == {one for name, one in home.ids.items() if one in every(home)}


def every(home: Home) -> set[int]:
    with home.archive.reading() as session:
        return {one.id for one in bindings.every(session)}


def test_a_folder_that_is_paused_disconnected_or_just_resumed_is_not_late(home: Home) -> None:
    succeed(home, NOON)
    for values in ({"paused_at": NOON}, {"ended_at": NOON}, {"next_at": LONG}):
        with home.archive.transaction() as session:
            session.execute(update(binding).values(paused_at=None, ended_at=None, next_at=NOON))
            assert lateness.late(session, LONG)
            session.execute(update(binding).values(**values))
        assert late(home, LONG) == {}, values


def test_two_gateways_say_it_once(home: Home) -> None:
    succeed(home, NOON)
    assert note(home, LONG) > 0
    assert note(home, LONG) == 0
    with home.archive.reading() as session:
        said = session.scalar(select(func.count()).select_from(event).where(event.c.kind == "binding.late"))
    assert said == len(every(home))
