"""Absences: when somebody is away, and who stands in. Nobody is told here; whoever assigns asks `standing_in`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import insert, select, update

from ..events import log, proof
from ..store.archive import Session
from ..store.schema import absence, user

LONGEST_NOTE = 500  # characters
LONGEST_MS = 3 * 366 * 86_400_000


class AbsenceTrouble(Exception):
    """What was asked for an absence cannot be. `kind` says why: order, length, substitute."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Absence:
    """Somebody is away from `begins_at` until `ends_at`, UTC ms."""

    id: int
    user: int
    begins_at: int
    ends_at: int
    substitute: int | None
    note: str


def record(
    session: Session,
    of: int,
    begins_at: int,
    ends_at: int,
    actor: str,
    now: int,
    *,
    substitute: int | None = None,
    note: str = "",
) -> int:
    """Somebody will be away; returns the absence's id. AbsenceTrouble where it ends before it begins, or is over
    already, or lasts for years, or somebody would stand in for himself. Rights are the caller's."""
    if ends_at <= begins_at or ends_at <= now:
        raise AbsenceTrouble("order")
    if ends_at - begins_at > LONGEST_MS:
        raise AbsenceTrouble("length")
    if substitute == of:
        raise AbsenceTrouble("substitute")
    kept = " ".join(note.split())[:LONGEST_NOTE]
    row: dict[str, object] = {"user": of, "begins_at": begins_at, "ends_at": ends_at, "substitute": substitute}
    row |= {"note": kept, "created_at": now}
    made: int = session.scalar(insert(absence).values(**row).returning(absence.c.id)) or 0
    _tell(session, "recorded", made, of, actor, now, row)
    return made


def withdraw(session: Session, id_: int, actor: str, now: int) -> bool:
    """It will not be, or ends today; False where it was withdrawn already. Rights are the caller's."""
    here = (absence.c.id == id_) & absence.c.withdrawn_at.is_(None)
    if not session.execute(update(absence).where(here).values(withdrawn_at=now)).rowcount:
        return False
    _tell(session, "withdrawn", id_, whose(session, id_) or 0, actor, now, {})
    return True


def put_back(session: Session, id_: int, actor: str, now: int) -> bool:
    """Undo `withdraw`; False where it was not withdrawn. Rights are the caller's."""
    here = (absence.c.id == id_) & absence.c.withdrawn_at.is_not(None)
    if not session.execute(update(absence).where(here).values(withdrawn_at=None)).rowcount:
        return False
    _tell(session, "put_back", id_, whose(session, id_) or 0, actor, now, {})
    return True


def whose(session: Session, id_: int) -> int | None:
    """Whose absence it is or was, also where it was withdrawn; None where there is none."""
    found: int | None = session.scalar(select(absence.c.user).where(absence.c.id == id_))
    return found


def _tell(session: Session, kind: str, id_: int, of: int, actor: str, now: int, said: Mapping[str, object]) -> None:
    rows = proof.of_ids(session, "absence", [id_])
    log.write(session, [log.Event(f"absence.{kind}", actor, f"user:{of}", {**said, "absence": id_}, rows)], now)


def get(session: Session, id_: int) -> Absence | None:
    """One that was not withdrawn."""
    row = session.execute(select(absence).where(absence.c.id == id_, absence.c.withdrawn_at.is_(None))).first()
    return _absence(row) if row else None


def planned(session: Session, users: Iterable[int], now: int) -> list[Absence]:
    """What is not over of these people's absences, the next one first."""
    query = select(absence).where(
        absence.c.user.in_(sorted(set(users))), absence.c.ends_at > now, absence.c.withdrawn_at.is_(None)
    )
    return [_absence(row) for row in session.execute(query.order_by(absence.c.begins_at, absence.c.id))]


def _absence(row: object) -> Absence:
    names = ("id", "user", "begins_at", "ends_at", "substitute", "note")
    return Absence(*(getattr(row, name) for name in names))


def away(session: Session, now: int) -> dict[int, Absence]:
    """Who is away now, by user; of several absences of one person the one that ends last, with a substitute if any."""
    query = select(absence).where(absence.c.begins_at <= now, absence.c.ends_at > now, absence.c.withdrawn_at.is_(None))
    rows = session.execute(query.order_by(absence.c.substitute.is_not(None), absence.c.ends_at, absence.c.id))
    return {row.user: _absence(row) for row in rows}


def substitute_for(of: int, away_now: Mapping[int, Absence], fit: Iterable[int]) -> int | None:
    """Pure: who stands in for somebody: the first of the chain of substitutes who is there and is `fit`.

    None where nobody is: nobody was named, all in the chain are away, or it leads back to where it began. Whoever is
    there but not fit ends the chain: that one named no other.
    """
    able, seen, here = set(fit), {of}, of
    while (absent := away_now.get(here)) is not None and absent.substitute is not None:
        here = absent.substitute
        if here in seen:
            return None
        seen.add(here)
        if here not in away_now:
            return here if here in able else None
    return None


def standing_in(session: Session, of: int, now: int, fit: Iterable[int] | None = None) -> int:
    """Who does somebody's work now: that one, or the substitute while away. `fit` are those who may do it; None: all
    who can sign in. Where nobody stands in, it stays where it is and waits."""
    away_now = away(session, now)
    if of not in away_now:
        return of
    able = session.scalars(select(user.c.id).where(user.c.disabled_at.is_(None))) if fit is None else fit
    found = substitute_for(of, away_now, able)
    return of if found is None else found
