"""Processes: matters people work on together, with addresses and members."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from sqlalchemy import delete, func, insert, select, update

from ..events import log, proof
from ..post import routing
from ..post.routing import ANY
from ..store.archive import Session
from ..store.schema import membership, process, process_address, user
from . import users
from .roles import Role

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")


class ProcessTrouble(Exception):
    """What was asked for a process cannot be; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process with its addresses and the addresses of its owners."""

    id: int
    slug: str
    name: str
    addresses: tuple[str, ...]
    owners: tuple[str, ...]
    second_look: bool = False  # an answer waits until a colleague lets it go


def add(
    session: Session, slug: str, name: str, addresses: tuple[str, ...], owners: tuple[str, ...], now: int
) -> Process:
    """A new process; ProcessTrouble or UserTrouble where slug, address or owner will not do."""
    if not _SLUG.fullmatch(slug):
        raise ProcessTrouble(f'"{slug}" will not do as a slug: small letters, digits and hyphens, at most 64.')
    if session.scalar(select(process.c.id).where(process.c.slug == slug)):
        raise ProcessTrouble(f"There is a process {slug} already.")
    wanted = sorted({_fit(address) for address in addresses})
    for address in wanted:
        if session.scalar(select(process_address.c.process).where(process_address.c.address == address)):
            raise ProcessTrouble(f"{address} belongs to another process already.")
    members = []
    for owner in owners:
        found = users.by_email(session, owner)
        if found is None:
            raise ProcessTrouble(f"There is no user {owner}. Add one first: postroom user add {owner} --name NAME")
        members.append(found)
    made = cast(
        int,
        session.scalar(
            insert(process).values(slug=slug, name=name.strip() or slug, created_at=now).returning(process.c.id)
        ),
    )
    if wanted:
        session.execute(insert(process_address), [{"address": one, "process": made} for one in wanted])
    if members:
        rows = [{"process": made, "user": one.id, "role": Role.MANAGES.value, "since": now} for one in members]
        session.execute(insert(membership), rows)
    details = {"slug": slug, "addresses": wanted, "owners": [one.email for one in members]}
    digests = proof.joined(
        proof.of_ids(session, "process", [made]),
        proof.stored(session, "process_address", process_address.c.process == made),
        proof.stored(session, "membership", membership.c.process == made),
    )
    log.write(session, [log.Event("process.added", log.OPERATOR, f"process:{made}", details, digests)], now)
    return Process(made, slug, name.strip() or slug, tuple(wanted), tuple(one.email for one in members))


def add_address(session: Session, of: Process, address: str, actor: str, now: int) -> None:
    """Another address of a process; `*@example.org` is the rest of a domain. Trouble where it is another's, or none."""
    address = _fit(address)
    owner = session.scalar(select(process_address.c.process).where(process_address.c.address == address))
    if owner == of.id:
        return
    if owner is not None:
        raise ProcessTrouble(f"{address} belongs to another process already.")
    session.execute(insert(process_address), [{"address": address, "process": of.id}])
    rows: proof.Digests = {"process_address": {f"{of.id}/{address}": proof.NOTHING_ELSE}}
    log.write(session, [log.Event("process.address_added", actor, f"process:{of.id}", {"address": address}, rows)], now)


def remove_address(session: Session, of: Process, address: str, actor: str, now: int) -> None:
    """It belongs to nobody any more. ProcessTrouble where it was not this process's."""
    address = _fit(address)
    ours = (process_address.c.process == of.id) & (process_address.c.address == address)
    if not session.execute(delete(process_address).where(ours)).rowcount:
        raise ProcessTrouble(f"{address} is no address of {of.slug}.")
    rows: proof.Digests = {"process_address": {f"{of.id}/{address}": None}}
    said = {"address": address}
    log.write(session, [log.Event("process.address_removed", actor, f"process:{of.id}", said, rows)], now)


def _fit(address: str) -> str:
    folded = users.folded(address)
    local, _, domain = folded.rpartition("@")
    if ANY in domain or (ANY in local and local != ANY):
        raise ProcessTrouble(f'"{folded}" will not do: a star stands for all of the name before the @, or not at all.')
    return users.folded(routing.fold(folded))


def every(session: Session) -> list[Process]:
    """All processes by name."""
    addresses: dict[int, list[str]] = {}
    for row in session.execute(select(process_address).order_by(process_address.c.address)):
        addresses.setdefault(row.process, []).append(row.address)
    owners: dict[int, list[str]] = {}
    members = select(membership.c.process, user.c.email).join(user, user.c.id == membership.c.user)
    for row in session.execute(members.where(membership.c.role == Role.MANAGES.value).order_by(user.c.email)):
        owners.setdefault(row.process, []).append(row.email)
    return [
        Process(
            row.id,
            row.slug,
            row.name,
            tuple(addresses.get(row.id, ())),
            tuple(owners.get(row.id, ())),
            bool(row.second_look),
        )
        for row in session.execute(select(process).order_by(process.c.name))
    ]


def want_second_look(session: Session, id_: int, wanted: bool, actor: str, now: int) -> bool:
    """Whether answers wait until a colleague lets them go; False where that was so already. Rights are the caller's."""
    here = (process.c.id == id_) & (func.coalesce(process.c.second_look, False) != wanted)
    if not session.execute(update(process).where(here).values(second_look=wanted or None)).rowcount:
        return False
    rows = proof.of_ids(session, "process", [id_])
    kind = "process.second_look_wanted" if wanted else "process.second_look_ended"
    log.write(session, [log.Event(kind, actor, f"process:{id_}", rows=rows)], now)
    return True


def by_slug(session: Session, slug: str) -> Process | None:
    """The process of this slug."""
    return next((one for one in every(session) if one.slug == slug), None)


def of_member(session: Session, user_id: int) -> list[Process]:
    """The processes somebody belongs to, by name; also where that one may only hand mail in."""
    mine = set(session.scalars(select(membership.c.process).where(membership.c.user == user_id)))
    return [one for one in every(session) if one.id in mine]


def members(session: Session, processes: Iterable[int]) -> dict[int, tuple[str, ...]]:
    """The names of those who see the mail of each of these processes."""
    query = (
        select(membership.c.process, user.c.name)
        .join(user, user.c.id == membership.c.user)
        .where(
            membership.c.process.in_(sorted(set(processes))),
            membership.c.role.in_([role.value for role in Role if role >= Role.READS]),
            user.c.disabled_at.is_(None),
        )
    )
    found: dict[int, tuple[str, ...]] = {}
    for row in session.execute(query.order_by(user.c.name)):
        found[row.process] = (*found.get(row.process, ()), row.name)
    return found
