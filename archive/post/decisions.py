"""What people decide of a binding: to take what is there, to leave it, to pause, to go on, to disconnect."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from ..events import log, proof
from ..people import processes
from ..people.processes import Process
from ..store.archive import Archive, Session
from ..store.keys import KeyTrouble
from ..store.schema import binding, consent, mailbox, preview, quarantine, receipt
from . import attempts, bindings, consents
from .bindings import Binding, BindingTrouble, Mailbox

SHOWN = 12  # mails of a preview that are told apart


# --- what is there, before anything is taken ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Waiting:
    """A mail in a folder whose owner has not said yes, as its header names it."""

    date: int  # when it arrived, UTC ms
    sender: str
    subject: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What is in such a folder."""

    at: int  # when it was looked at, UTC ms
    mails: int
    size: int  # bytes, as the server says
    since: int  # of the mails, those that came after the folder was connected
    oldest: int | None
    newest: int | None
    some: Sequence[Waiting]  # the newest ones


def note_preview(session: Session, archive: Archive, of: Binding, found: Preview) -> None:
    """Keep what was found for the owner, until the answer."""
    some = json.dumps([[one.date, one.sender, one.subject] for one in found.some], ensure_ascii=False)
    session.execute(delete(preview).where(preview.c.binding == of.id))
    if session.scalar(select(binding.c.asked_at).where(binding.c.id == of.id)) is None:
        return  # the answer came in between
    row: dict[str, Any] = {"at": found.at, "mails": found.mails, "size": found.size, "since": found.since}
    row |= {"oldest": found.oldest, "newest": found.newest, "some": archive.key.encrypt_secret(some)}
    session.execute(insert(preview).values(binding=of.id, **row))


def has_preview(session: Session, of: Binding) -> bool:
    """Whether the folder has been looked at since it was connected."""
    return session.scalar(select(preview.c.binding).where(preview.c.binding == of.id)) is not None


def read_preview(session: Session, archive: Archive, of: Binding) -> Preview | None:
    """What the last look found, for the owner alone; None before there was one."""
    row = session.execute(select(preview).where(preview.c.binding == of.id)).first()
    if row is None:
        return None
    some = [Waiting(*one) for one in json.loads(archive.key.decrypt_secret(row.some))]
    return Preview(row.at, row.mails, row.size, row.since, row.oldest, row.newest, some)


def accept(session: Session, of: Binding, actor: str, now: int, *, from_now_on: bool = False) -> None:
    """The owner's answer: take what is there; or, `from_now_on`, leave what was there at the last look.

    It may be given again, and otherwise: what was left is taken after all. BindingTrouble where nothing was asked.
    """
    if of.asked_at is None and (of.from_now_at is None or from_now_on):
        raise BindingTrouble(f"Nobody was asked about {of.name}: what is there is being taken.")
    if from_now_on and of.before_uidnext is None:
        raise BindingTrouble(f"{of.name} has not been looked at yet, so nobody knows what is there before now.")
    session.execute(delete(preview).where(preview.c.binding == of.id))
    values = {"asked_at": None, "from_now_at": now if from_now_on else None, "next_at": now}
    session.execute(update(binding).where(binding.c.id == of.id).values(**values))
    _tell(session, "binding.from_now_on" if from_now_on else "binding.accepted", of, actor, now)


# --- resting ------------------------------------------------------------------------------------------------------

_AT_REST = {
    "trouble": None,
    "trouble_kind": None,
    "trouble_values": None,
    "trouble_since": None,
    "permanent": False,
    "failures": 0,
}


def pause(session: Session, some: Collection[Binding], actor: str, now: int) -> None:
    """Look at these no more until they are resumed; what was wrong with them is nobody's trouble meanwhile."""
    for one in some:
        where = (binding.c.id == one.id) & binding.c.paused_at.is_(None) & binding.c.ended_at.is_(None)
        if session.execute(update(binding).where(where).values(paused_at=now, paused_by=actor, **_AT_REST)).rowcount:
            _tell(session, "binding.paused", one, actor, now)


def resume(session: Session, some: Collection[Binding], actor: str, now: int) -> None:
    """Go on with these, at once."""
    for one in some:
        where = (binding.c.id == one.id) & binding.c.paused_at.is_not(None)
        values = {"paused_at": None, "paused_by": None, "next_at": now}
        if session.execute(update(binding).where(where).values(**values)).rowcount:
            _tell(session, "binding.resumed", one, actor, now)


def mark_answered(session: Session, some: Collection[Binding], on: bool, actor: str, now: int) -> None:
    """Whether the originals of mails that are answered from now on get `\\Answered` on their server."""
    for one in some:
        if one.answered != on:
            session.execute(update(binding).where(binding.c.id == one.id).values(answered=None if on else False))
            _tell(session, "binding.marks" if on else "binding.marks_not", one, actor, now)


@dataclass(frozen=True, slots=True)
class Remains:
    """What stays in the archive of a folder that is disconnected."""

    copies: int
    quarantined: int
    unmoved: int  # archived, and their originals are still in the watched folder


def remains(session: Session, some: Collection[Binding]) -> Remains:
    """What is archived from these. It looks at every receipt of theirs: nothing for a transaction that writes."""
    ids = [one.id for one in some]
    ours = receipt.c.binding.in_(ids)
    copies = session.scalar(select(func.count()).select_from(receipt).where(ours)) or 0
    held = quarantine.c.binding.in_(ids) & quarantine.c.resolved_at.is_(None)
    quarantined = session.scalar(select(func.count()).select_from(quarantine).where(held)) or 0
    open_ones = ours & receipt.c.settled_at.is_(None)
    unmoved = session.scalar(select(func.count()).select_from(receipt).where(open_ones)) or 0
    return Remains(copies, quarantined, unmoved)


def messages_of(session: Session, some: Collection[Binding]) -> int:
    """How many messages that is, each counted once."""
    ours = receipt.c.binding.in_([one.id for one in some])
    return session.scalar(select(func.count(receipt.c.message.distinct())).where(ours)) or 0


def disconnect(session: Session, some: Collection[Binding], actor: str, now: int) -> list[Binding]:
    """Watch these no more, and their desks neither; returns all of them.

    Nothing on the server is touched; archive and ledger remain.
    """
    ids = {one.id for one in some}
    desks = [one for one in bindings.every(session) if one.desk_of in ids and one.id not in ids]
    ended = [*some, *desks]
    for one in ended:
        values = {"ended_at": now, "asked_at": None, "paused_at": None, "paused_by": None, **_AT_REST}
        session.execute(delete(preview).where(preview.c.binding == one.id))
        where = (binding.c.id == one.id) & binding.c.ended_at.is_(None)
        if session.execute(update(binding).where(where).values(**values)).rowcount:
            _tell(session, "binding.disconnected", one, actor, now)
    return ended


def connect_again(session: Session, of: Binding, actor: str, now: int) -> None:
    """Watch it after all, as it was; a private folder asks its owner first. BindingTrouble as `bindings.check_new`.

    Its desks stay as they are: each is set up again by itself.
    """
    if of.ended_at is not None:
        more = {
            "process": of.process,
            "user": of.user,
            "every_seconds": of.every,
            "desk_of": of.desk_of,
            "sent": of.sent,
            "case": of.case,
            "actor": actor,
        }
        bindings.add(session, of.mailbox, of.folder, of.processed, now, **more)  # type: ignore[arg-type]


def disconnect_mailbox(
    session: Session, archive: Archive, box: Mailbox, actor: str, now: int
) -> tuple[list[Binding], str]:
    """Watch nothing in it any more, and forget what it is signed in to with.

    What was watched till now, and the token as `take_back` has it.
    """
    attempts.call_off(session, box.id, box.owner)
    found = disconnect(session, bindings.of_mailboxes(session, [box]), actor, now)
    return found, _forget_secret(session, archive, box, "mailbox.disconnected", actor, now)


def take_back(session: Session, archive: Archive, box: Mailbox, actor: str, now: int) -> str:
    """Forget the password or the consent of a mailbox; its folders are paused, so that nobody signs in.

    Also what somebody has just entered and the gateway has not tried yet, or is trying.
    The token that its provider may be told of, for that alone; empty where there is none.
    """
    attempts.call_off(session, box.id, box.owner)
    pause(session, bindings.of_mailboxes(session, [box]), actor, now)
    return _forget_secret(session, archive, box, "mailbox.secret_taken_back", actor, now)


def _forget_secret(session: Session, archive: Archive, box: Mailbox, kind: str, actor: str, now: int) -> str:
    given = consents.get(session, box.id) if box.grant == "consent" else None
    token = (given.refresh or given.access) if given is not None else None
    session.execute(delete(consent).where(consent.c.mailbox == box.id))
    session.execute(update(mailbox).where(mailbox.c.id == box.id).values(secret=None))
    rows = proof.of_ids(session, "mailbox", [box.id])
    log.write(session, [log.Event(kind, actor, f"mailbox:{box.id}", rows=rows)], now)
    try:
        return archive.key.decrypt_secret(token) if token is not None else ""
    except KeyTrouble:  # under another key it is of no use to anybody here
        return ""


# --- desks --------------------------------------------------------------------------------------------------------

_UNFIT = re.compile(r"[\x00-\x1f\x7f/\\.%*&\"]+")


def desk_folder(of: Binding, name: str, otherwise: str) -> str:
    """Pure: what the desk's folder is called until its server has had its say; no part of the name makes folders."""
    return f"{of.folder}/{_UNFIT.sub('-', name).strip(' -') or otherwise}"


def set_up_desk(session: Session, of: Binding, process: Process, actor: str, now: int) -> int:
    """A folder below the watched one from which mail goes to a process; returns its binding's id.

    The gateway makes it at its first pass. BindingTrouble where the mailbox is nobody's, or its owner does not belong
    to that process.
    """
    if of.mailbox.owner is None or of.desk_of is not None or of.ended_at is not None:
        raise BindingTrouble(f"{of.name} is no private folder, so there is nobody whose desks these were.")
    if not may_hand_to(session, of.mailbox.owner, process.id):
        raise BindingTrouble(f"The owner of {of.mailbox.name} does not belong to {process.name}.")
    if any(one.desk_of == of.id and one.process == process.id for one in bindings.every(session)):
        raise BindingTrouble(f"There is a desk for {process.name} below {of.name} already.")
    earlier = next((one for one in bindings.every(session, ended=True) if _same_desk(one, of, process)), None)
    folder = earlier.folder if earlier else desk_folder(of, process.name, process.slug)
    more = {"process": process.id, "every_seconds": of.every, "desk_of": of.id, "actor": actor}
    return bindings.add(session, of.mailbox, folder, of.processed, now, **more)  # type: ignore[arg-type]


def set_up_case_desk(session: Session, of: Binding, case: int, reference: str, actor: str, now: int) -> int:
    """A folder below the watched one from which mail is filed under a case; returns its binding's id.

    What is dragged there stays its owner's, who hands it to those who take part. BindingTrouble where the mailbox is
    nobody's, or there is such a desk. That the owner takes part is the caller's to know; the gateway asks again.
    """
    if of.mailbox.owner is None or of.desk_of is not None or of.ended_at is not None:
        raise BindingTrouble(f"{of.name} is no private folder, so there is nobody whose desks these were.")
    there = [one for one in bindings.every(session, ended=True) if one.desk_of == of.id and one.case == case]
    if any(one.ended_at is None for one in there):
        raise BindingTrouble(f"There is a desk for {reference} below {of.name} already.")
    folder = there[0].folder if there else desk_folder(of, reference, f"case-{case}")
    more = {"user": of.mailbox.owner, "every_seconds": of.every, "desk_of": of.id, "case": case, "actor": actor}
    return bindings.add(session, of.mailbox, folder, of.processed, now, **more)  # type: ignore[arg-type]


def _same_desk(one: Binding, of: Binding, process: Process) -> bool:
    return one.ended_at is not None and one.desk_of == of.id and one.process == process.id


def may_hand_to(session: Session, user: int, process: int) -> bool:
    """Whether this user may hand mail into a process: whoever belongs to it."""

    return any(one.id == process for one in processes.of_member(session, user))


def name_folder(session: Session, of: Binding, folder: str, now: int) -> None:
    """A desk's folder goes by the name that its server gave it. BindingTrouble as `bindings.check_new`."""
    if folder != of.folder:
        bindings.check_new(session, of.mailbox, folder, of.processed)
        session.execute(update(binding).where(binding.c.id == of.id).values(folder=folder))
        _tell(session, "binding.folder_named", of, of.actor, now, {"folder": folder})


def _tell(
    session: Session, kind: str, of: Binding, actor: str, now: int, details: Mapping[str, object] | None = None
) -> None:
    rows = proof.of_ids(session, "binding", [of.id])
    log.write(session, [log.Event(kind, actor, of.actor, {"name": of.name, **(details or {})}, rows)], now)
