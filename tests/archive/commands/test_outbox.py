"""`postroom outbox cancel`, where somebody else is at the same mail."""

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from archive.commands.outbox import outbox as command
from archive.front import Front, Given
from archive.outgoing import outbox
from archive.outgoing.outbox import Result
from archive.store.archive import Archive, Session

from ..home import Home
from ..outgoing.test_outbox import claim, office, reply, seen, send, settle  # noqa: F401  the fixture
from .conftest import call


class AtHome(Front):
    """The command line of an installation that was made without `postroom init`."""

    def __init__(self, home: Home) -> None:
        super().__init__(lambda: Given(home.folder, home.folder / "key", home.url, "http://127.0.0.1:8460"))
        self._home = home

    def archive(self) -> Archive:
        return self._home.archive


def deferred(home: Home) -> int:
    """A mail that one of two has got."""
    id_ = send(home, "anna", reply(home, to="a@x.example, b@x.example"))
    (one,) = claim(home)
    said = {"a@x.example": Result(outbox.SENT, 250, "ok"), "b@x.example": Result(outbox.DEFERRED, 450, "later")}
    settle(home, one, said)
    assert seen(home, id_).state == outbox.DEFERRED
    return id_


@pytest.mark.databases("postgresql")
def test_giving_up_begins_anew_where_the_database_chose_it_to_end_a_deadlock(
    office: Home,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    id_, tries, give_up = deferred(office), [], outbox.give_up

    def hindered(session: Session, id_: int, actor: str, now: int) -> bool:
        done = give_up(session, id_, actor, now)
        tries.append(done)
        if len(tries) == 1:
            raise OperationalError("UPDATE ticket", {}, psycopg.errors.DeadlockDetected("deadlock detected"))
        return done

    monkeypatch.setattr(outbox, "give_up", hindered)
    said = call(AtHome(office), command, "cancel", str(id_))
    assert (said.code, said.err) == (0, "Given up: those who have not got it will not.\n")
    assert tries == [True, True], "what was done before the deadlock is undone, and done again"
    assert [(one.address, one.state) for one in seen(office, id_).recipients] == [
        ("a@x.example", outbox.SENT), ("b@x.example", outbox.FAILED),
    ]  # fmt: skip
    assert office.rows("SELECT count(*) FROM event WHERE kind = 'ticket.answer_failed'") == [(1,)]
    assert office.verify() == []
