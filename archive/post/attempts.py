"""What somebody asked for at a page and the gateway does at once: to sign in, or to say that consent is over.

The pages talk to no mail server and no provider. They leave a row; what is secret lies encrypted in it until there is
an answer, and is wiped then.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from sqlalchemy import Row, delete, func, insert, or_, select, update

from ..store.archive import Archive, Session
from ..store.dialects import hold
from ..store.schema import attempt

LIVES_MS = 2 * 60 * 1000  # how long the gateway may take it up
CONSENT_LIVES_MS = 15 * 60 * 1000  # how long a person may be at the provider's pages
KEPT_MS = 24 * 3600 * 1000
MOST = 20  # of one person
MOST_WITHIN_MS = 15 * 60 * 1000

Kind = Literal["password", "consent", "new", "revoke"]
State = Literal["asked", "waiting", "working", "done", "failed"]
OPEN: tuple[State, ...] = ("asked", "waiting", "working")


class TooMany(Exception):
    """Somebody tried too often in a short time."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try."""

    id: int
    user: int
    mailbox: int | None  # None: one that is not there yet
    kind: Kind
    state: State
    until: int  # UTC ms
    secret: bytes | None
    outcome_kind: str | None  # of `archive.post.troubles`
    outcome_values: Mapping[str, str]

    def given(self, archive: Archive) -> Mapping[str, str]:
        """What was entered. KeyTrouble under another key, ValueError where it was wiped already."""
        if self.secret is None:
            raise ValueError("what was entered is wiped")
        found: Mapping[str, str] = json.loads(archive.key.decrypt_secret(self.secret))
        return found


def ask(
    session: Session,
    archive: Archive,
    user: int,
    kind: Kind,
    mailbox: int | None,
    given: Mapping[str, str],
    now: int,
    *,
    mark: str | None = None,
) -> int:
    """Leave a try for the gateway; with a `mark` it waits until a provider brings that back.

    TooMany in a row; but whatever was tried, consent is taken back.
    """
    recent = (attempt.c.user == user) & (attempt.c.created_at > now - MOST_WITHIN_MS)
    if kind != "revoke" and (session.scalar(select(func.count()).select_from(attempt).where(recent)) or 0) >= MOST:
        raise TooMany
    row = {
        "user": user, "mailbox": mailbox, "kind": kind, "secret": _hidden(archive, given), "created_at": now,
        "state": "waiting" if mark is None else "asked", "mark": _digest(mark) if mark is not None else None,
        "until": now + (LIVES_MS if mark is None else CONSENT_LIVES_MS),
    }  # fmt: skip
    return cast(int, session.scalar(insert(attempt).values(**row).returning(attempt.c.id)))


def come_back(
    session: Session, archive: Archive, user: int, mark: str, brought: Mapping[str, str], now: int
) -> Attempt | None:
    """A provider brought a mark back, with this: the try is the gateway's now. None for a mark unknown, used or old."""
    row = session.execute(
        select(attempt).where(
            attempt.c.mark == _digest(mark), attempt.c.user == user, attempt.c.state == "asked", attempt.c.until > now
        )
    ).first()
    if row is None:
        return None
    given = {**_attempt(row).given(archive), **brought}
    values = {"state": "waiting", "secret": _hidden(archive, given), "until": now + LIVES_MS, "mark": None}
    taken = update(attempt).where(attempt.c.id == row.id, attempt.c.state == "asked").values(**values)
    return _attempt(row) if session.execute(taken).rowcount else None


def waiting(session: Session, now: int) -> list[int]:
    """Tries that nobody has taken up yet, the oldest first."""
    open_ones = (attempt.c.state == "waiting") & (attempt.c.until > now)
    return list(session.scalars(select(attempt.c.id).where(open_ones).order_by(attempt.c.id).limit(20)))


def claim(session: Session, id_: int, now: int) -> Attempt | None:
    """Take one up, exclusively."""
    open_one = (attempt.c.id == id_) & (attempt.c.state == "waiting") & (attempt.c.until > now)
    if not session.execute(update(attempt).where(open_one).values(state="working")).rowcount:
        return None
    return _attempt(session.execute(select(attempt).where(attempt.c.id == id_)).one())


def answer(
    session: Session,
    id_: int,
    *,
    mailbox: int | None = None,
    kind: str | None = None,
    values: Mapping[str, str] | None = None,
) -> None:
    """It went well, or it failed with a trouble of this kind; what was entered is wiped.

    One that was called off meanwhile stays so.
    """
    said: dict[str, Any] = {"state": "failed" if kind else "done", "secret": None, "outcome_kind": kind}
    said["outcome_values"] = json.dumps(values, ensure_ascii=False) if values else None
    if mailbox is not None:
        said["mailbox"] = mailbox
    session.execute(update(attempt).where(attempt.c.id == id_, attempt.c.state.in_(OPEN)).values(**said))


def call_off(session: Session, mailbox: int, owner: int | None) -> None:
    """What was entered for a mailbox and has no answer yet is wiped, and kept no more if it works.

    Also what its owner entered for one that is to be new: it may turn out to be this one. Waits for what `goes_on`
    holds; to be called before anything else of the mailbox is written.
    """
    concerned = attempt.c.mailbox == mailbox
    if owner is not None:
        concerned |= (attempt.c.kind == "new") & attempt.c.mailbox.is_(None) & (attempt.c.user == owner)
    open_ones = concerned & attempt.c.state.in_(OPEN) & (attempt.c.kind != "revoke")
    wiped = {"state": "failed", "secret": None, "mark": None, "outcome_kind": "called off"}
    session.execute(update(attempt).where(open_ones).values(**wiped))


def goes_on(session: Session, id_: int) -> bool:
    """Whether one that was taken up still waits for its answer; so it stays until this transaction ends."""
    hold(session, attempt, [id_])
    return session.scalar(select(attempt.c.state).where(attempt.c.id == id_)) == "working"


def get(session: Session, id_: int, user: int) -> Attempt | None:
    """A try of this person's own."""
    row = session.execute(select(attempt).where(attempt.c.id == id_, attempt.c.user == user)).first()
    return _attempt(row) if row else None


def _attempt(row: Row[Any]) -> Attempt:
    values = json.loads(row.outcome_values) if row.outcome_values else {}
    return Attempt(row.id, row.user, row.mailbox, row.kind, row.state, row.until, row.secret, row.outcome_kind, values)


def old(session: Session, now: int) -> bool:
    """Whether there is something to sweep."""
    return session.scalar(select(attempt.c.id).where(_swept(now)).limit(1)) is not None


def sweep(session: Session, now: int) -> None:
    """Wipe what was entered in tries that came to nothing, and forget those of yesterday."""
    session.execute(delete(attempt).where(attempt.c.created_at < now - KEPT_MS))
    session.execute(update(attempt).where(_swept(now)).values(secret=None, mark=None))


def _swept(now: int) -> Any:
    return or_((attempt.c.until < now) & attempt.c.secret.is_not(None), attempt.c.created_at < now - KEPT_MS)


def _hidden(archive: Archive, given: Mapping[str, str]) -> bytes:
    return archive.key.encrypt_secret(json.dumps(dict(given), ensure_ascii=False))


def _digest(mark: str) -> bytes:
    return hashlib.sha256(mark.encode()).digest()
