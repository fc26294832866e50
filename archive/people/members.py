"""Who belongs to a process, and with which role.

An admin runs the house and reads no mail without a role. Whoever gives a role to themselves is told of to the others of
the process for a month, also when the role was given up meanwhile.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import insert, select, update

from ..events import log, proof
from ..store.archive import Session
from ..store.schema import assumed_role, membership, process, user
from .processes import ProcessTrouble
from .roles import Role

TOLD_MS = 30 * 24 * 3600 * 1000  # how long the others are told of a role somebody took


class LastManager(ProcessTrouble):
    """Nobody would be left who manages the process."""


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who belongs to a process."""

    user: int
    email: str
    name: str
    role: Role
    since: int


@dataclass(frozen=True, slots=True)
class Assumed:
    """A role that somebody gave to themselves."""

    name: str
    role: Role
    at: int
    ended_at: int | None


_KNOWN = {role.value: role for role in Role}


def every(session: Session, process_id: int) -> list[Member]:
    """All who belong to a process, by name; nobody who is disabled."""
    query = (
        select(membership, user.c.email, user.c.name)
        .join(user, user.c.id == membership.c.user)
        .where(membership.c.process == process_id, user.c.disabled_at.is_(None))
        .order_by(user.c.name, user.c.id)
    )
    return [
        Member(row.user, row.email, row.name, _KNOWN[row.role], row.since)
        for row in session.execute(query)
        if row.role in _KNOWN
    ]


def role_of(session: Session, process_id: int, user_id: int) -> Role | None:
    """The role somebody has in a process."""
    here = (membership.c.process == process_id) & (membership.c.user == user_id)
    return _KNOWN.get(session.scalar(select(membership.c.role).where(here)) or "")


def give(session: Session, process_id: int, user_id: int, role: Role, actor: str, now: int) -> Role | None:
    """Add a member, or give one another role; returns the role there was before. LastManager as `remove`."""
    before = role_of(session, process_id, user_id)
    if before is role:
        return before
    if before is Role.MANAGES:
        _keep_a_manager(session, process_id, user_id)
    here = (membership.c.process == process_id) & (membership.c.user == user_id)
    if before is None:
        row = {"process": process_id, "user": user_id, "role": role.value, "since": now}
        session.execute(membership.delete().where(here))  # a role that no version knows any more
        session.execute(insert(membership).values(**row))
    else:
        session.execute(update(membership).where(here).values(role=role.value, since=now))
    assumed: proof.Digests = {}
    if actor == f"user:{user_id}" and (before is None or role.rank > before.rank):
        took = {"process": process_id, "user": user_id, "role": role.value, "at": now}
        made = session.scalar(insert(assumed_role).values(**took).returning(assumed_role.c.id))
        assumed = proof.of_ids(session, "assumed_role", [made or 0])
    details = {"user": user_id, "before": before.value if before else None, "role": role.value}
    kind = "process.member_added" if before is None else "process.role_changed"
    rows = proof.joined(proof.stored(session, "membership", here), assumed)
    log.write(session, [log.Event(kind, actor, f"process:{process_id}", details, rows)], now)
    return before


def remove(session: Session, process_id: int, user_id: int, actor: str, now: int) -> Role | None:
    """Somebody belongs to a process no more; returns the role there was.

    LastManager where nobody else manages it: give that role to somebody first.
    """
    before = role_of(session, process_id, user_id)
    if before is None:
        return None
    if before is Role.MANAGES:
        _keep_a_manager(session, process_id, user_id)
    here = (membership.c.process == process_id) & (membership.c.user == user_id)
    session.execute(membership.delete().where(here))
    told = (assumed_role.c.process == process_id) & (assumed_role.c.user == user_id) & assumed_role.c.ended_at.is_(None)
    ended = list(session.scalars(select(assumed_role.c.id).where(told)))
    session.execute(update(assumed_role).where(assumed_role.c.id.in_(ended)).values(ended_at=now))
    gone: proof.Digests = {"membership": {f"{process_id}/{user_id}": None}}
    rows = proof.joined(gone, proof.of_ids(session, "assumed_role", ended))
    details = {"user": user_id, "before": before.value}
    log.write(session, [log.Event("process.member_removed", actor, f"process:{process_id}", details, rows)], now)
    return before


def _keep_a_manager(session: Session, process_id: int, without: int) -> None:
    others = (
        select(membership.c.user)
        .join(user, user.c.id == membership.c.user)
        .where(
            membership.c.process == process_id,
            membership.c.role == Role.MANAGES.value,
            membership.c.user != without,
            user.c.disabled_at.is_(None),
        )
    )
    if session.scalar(others.limit(1)) is None:
        name = session.scalar(select(process.c.name).where(process.c.id == process_id))
        raise LastManager(f"Nobody else manages {name}. Let somebody else manage it first.")


def assumed(session: Session, processes: Iterable[int], now: int) -> dict[int, list[Assumed]]:
    """The roles that people gave to themselves lately, by process, the latest first."""
    query = (
        select(assumed_role, user.c.name)
        .join(user, user.c.id == assumed_role.c.user)
        .where(assumed_role.c.process.in_(sorted(set(processes))))
        .order_by(assumed_role.c.at.desc(), assumed_role.c.id.desc())
    )
    found: dict[int, list[Assumed]] = {}
    for row in session.execute(query):
        if max(row.at, row.ended_at or 0) > now - TOLD_MS and row.role in _KNOWN:
            found.setdefault(row.process, []).append(Assumed(row.name, _KNOWN[row.role], row.at, row.ended_at))
    return found
