"""Mailboxes and their bindings: which folder is watched, for whom, and how it went the last time."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import cast

from sqlalchemy import ColumnElement, Row, Select, func, insert, select, update

from ..events import log, proof
from ..people.scopes import process_scope, user_scope
from ..store.archive import Archive, Session
from ..store.schema import binding, identity, mailbox, outgoing, quarantine, receipt
from . import routes

NAME = re.compile(r"[A-Za-z0-9._@+-]{1,64}")


class BindingTrouble(Exception):
    """What was asked for a mailbox or binding cannot be; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An account on a mail server; the password stays encrypted until it is used."""

    id: int
    name: str
    owner: int | None  # None: impersonal
    imap: str
    smtp: str | None
    secret: bytes | None
    plaintext: bool  # an unencrypted connection was allowed
    provider: int | None = None  # who gives tokens for it; None: it has a password
    grant: str | None = None  # of `archive.post.providers.GRANTS`

    @property
    def prepared(self) -> bool:
        """Whether it still waits for a password; consent stands in `archive.post.consents`."""
        return self.provider is None and self.secret is None


@dataclass(frozen=True, slots=True)
class Binding:
    """A watched folder, its state, and the mailbox it is in."""

    id: int
    mailbox: Mailbox
    folder: str
    processed: str
    process: int | None
    user: int | None
    every: int  # seconds
    created_at: int
    next_at: int
    checked_at: int | None
    succeeded_at: int | None
    waiting: int
    empty_polls: int
    trouble: str | None  # a sentence in English
    trouble_kind: str | None  # as `archive.post.troubles` has it; None: of an earlier version
    trouble_values: Mapping[str, str]
    trouble_since: int | None
    permanent: bool
    failures: int
    uidvalidity: int | None
    processed_uidvalidity: int | None
    processed_uidnext: int | None
    moving: str | None  # move, uidplus, or copy: originals stay in the watched folder, marked
    before_uidnext: int | None = None  # mail below it was there before (import mode)
    began_at: int | None = None  # the first pass that took what it found
    asked_at: int | None = None  # its owner is asked since then, and nothing is taken before the answer
    from_now_at: int | None = None  # its owner said then that what was there before stays where it is
    desk_of: int | None = None  # the binding below whose folder this one is a desk
    paused_at: int | None = None
    paused_by: str | None = None
    ended_at: int | None = None  # disconnected
    late_at: int | None = None  # when it was said that nothing could be taken for long
    sent: bool = False  # a Sent folder: what is in it is ours, and nothing is ever moved
    case: int | None = None  # of a desk: what is dragged there is filed under this case, and handed to it
    answered: bool = True  # originals of answered mails are marked

    @property
    def name(self) -> str:
        """As people and commands name it: MAILBOX/FOLDER."""
        return f"{self.mailbox.name}/{self.folder}"

    @property
    def routed(self) -> bool:
        """Whether each mail goes where its address says."""
        return self.process is None and self.user is None and self.mailbox.owner is None

    @property
    def scope(self) -> str:
        """Whom its mail comes to; nobody's where it is routed by address."""
        return process_scope(self.process) if self.process is not None else user_scope(self.user or 0)

    @property
    def actor(self) -> str:
        """As events name it."""
        return f"binding:{self.id}"

    @property
    def rests(self) -> bool:
        """Whether nothing is looked at here: paused, or disconnected."""
        return self.paused_at is not None or self.ended_at is not None

    @property
    def hands_over(self) -> str | None:
        """Of a desk: whose hand brings mail here, and who keeps seeing it; as events and scopes name users."""
        at_desk = self.desk_of is not None and self.case is None  # of a case it is filed, and stays the owner's
        return user_scope(self.mailbox.owner) if at_desk and self.mailbox.owner else None

    def was_before(self, uidvalidity: int, uid: int) -> bool:
        """Whether a mail was there before the first pass, so that it never causes replies or notifications."""
        return uidvalidity == self.uidvalidity and self.before_uidnext is not None and uid < self.before_uidnext


def add_mailbox(
    session: Session,
    archive: Archive,
    name: str,
    imap: str,
    smtp: str | None,
    password: str | None,
    now: int,
    *,
    owner: int | None = None,
    plaintext: bool = False,
    provider: int | None = None,
    grant: str | None = None,
    actor: str = log.OPERATOR,
) -> int:
    """A new mailbox's id; the URLs carry no password. BindingTrouble where the name is taken or will not do.

    Without a password it is prepared: whom it belongs to gives it, or consent where there is a provider.
    """
    if not NAME.fullmatch(name):
        raise BindingTrouble(f'"{name}" will not do as a name: letters, digits and . _ @ + -, at most 64.')
    if session.scalar(select(mailbox.c.id).where(mailbox.c.name == name)):
        raise BindingTrouble(f"There is a mailbox {name} already.")
    row = {
        "name": name, "owner": owner, "imap": imap, "smtp": smtp, "plaintext": plaintext,
        "secret": archive.key.encrypt_secret(password) if password is not None else None,
        "provider": provider, "grant_type": grant,
    }  # fmt: skip
    made = cast(int, session.scalar(insert(mailbox).values(**row, created_at=now).returning(mailbox.c.id)))
    details = {"name": name, "imap": imap, "smtp": smtp}
    rows = proof.of_ids(session, "mailbox", [made])
    log.write(session, [log.Event("mailbox.added", actor, f"mailbox:{made}", details, rows)], now)
    return made


def set_password(
    session: Session, archive: Archive, box: Mailbox, password: str, now: int, *, actor: str = log.OPERATOR
) -> None:
    """Another password for a mailbox; what waits for it is due at once."""
    session.execute(update(mailbox).where(mailbox.c.id == box.id).values(secret=archive.key.encrypt_secret(password)))
    due_at_once(session, box, now)
    rows = proof.of_ids(session, "mailbox", [box.id])
    log.write(session, [log.Event("mailbox.password_set", actor, f"mailbox:{box.id}", rows=rows)], now)


def due_at_once(session: Session, box: Mailbox, now: int) -> None:
    """Its bindings, and mail that could not go out because its server was not to be had or did not let us in."""
    session.execute(update(binding).where(binding.c.mailbox == box.id).values(next_at=now))
    ours = outgoing.c.identity.in_(select(identity.c.id).where(identity.c.mailbox == box.id))
    # One that has not been tried keeps its time, and so does one that its server had something to say of.
    waits = (outgoing.c.next_at > now) & outgoing.c.trouble_kind.is_not(None)
    session.execute(update(outgoing).where(ours, waits).values(next_at=now))


def mailboxes(session: Session) -> list[Mailbox]:
    """All mailboxes by name."""
    return [_mailbox(row) for row in session.execute(select(mailbox).order_by(mailbox.c.name))]


def mailbox_of(session: Session, id_: int) -> Mailbox:
    """The mailbox of this id; LookupError where there is none."""
    row = session.execute(select(mailbox).where(mailbox.c.id == id_)).first()
    if row is None:
        raise LookupError(f"mailbox {id_}")
    return _mailbox(row)


def may_sign_in(box: Mailbox, user: int, *, admin: bool) -> bool:
    """Pure: who gives a mailbox its password or consent: its owner alone; of an impersonal one the admins."""
    return box.owner == user if box.owner is not None else admin


def mailbox_by_name(session: Session, name: str) -> Mailbox | None:
    """The mailbox of this name."""
    return next((one for one in mailboxes(session) if one.name == name), None)


def _mailbox(row: Row[tuple[object, ...]]) -> Mailbox:
    return Mailbox(
        row.id, row.name, row.owner, row.imap, row.smtp, row.secret, row.plaintext, row.provider, row.grant_type
    )  # fmt: skip


def check_new(session: Session, box: Mailbox, folder: str, processed: str) -> None:
    """BindingTrouble where this folder cannot be bound: bound already, or the same as another's processed folder."""
    if folder == processed:
        raise BindingTrouble("The watched and the processed folder are the same; choose another processed folder.")
    for other in every(session):
        if other.mailbox.imap != box.imap:
            continue
        if other.mailbox.id == box.id and other.folder == folder:
            raise BindingTrouble(f"There is a binding {other.name} already.")
        if other.processed == folder or other.folder == processed:
            raise BindingTrouble(
                f"{other.name} uses one of these folders the other way round; mail would go in circles."
            )


def add(
    session: Session,
    box: Mailbox,
    folder: str,
    processed: str,
    now: int,
    *,
    process: int | None = None,
    user: int | None = None,
    every_seconds: int = 60,
    preview: bool | None = None,
    desk_of: int | None = None,
    sent: bool = False,
    case: int | None = None,
    actor: str = log.OPERATOR,
) -> int:
    """A binding's id; it is due at once. BindingTrouble as `check_new`.

    With a `preview` nothing is taken before the owner's yes; without a word that is so in private folders, desks apart.
    A folder that was disconnected goes on with the receipts it has.
    """
    check_new(session, box, folder, processed)
    if process is None and user is None:
        if box.owner is not None:
            raise BindingTrouble(f"{box.name} is a private mailbox; its mail is not routed by address.")
        if routes.unrouted(session) is None:
            raise BindingTrouble(
                "Mail that no address claims has nowhere to go yet. Choose where: postroom unrouted PROCESS --hours 4"
            )
    asks = preview if preview is not None else (user is not None or box.owner is not None) and desk_of is None
    row = {"processed": processed, "process": process, "user": user, "every": every_seconds, "next_at": now}
    row |= {"asked_at": now if asks else None, "desk_of": desk_of, "sent": sent or None, "case": case}
    ours = (binding.c.mailbox == box.id) & (binding.c.folder == folder)
    made = session.scalar(select(binding.c.id).where(ours))
    if made is None:
        row |= {"mailbox": box.id, "folder": folder, "created_at": now}
        made = cast(int, session.scalar(insert(binding).values(**row).returning(binding.c.id)))
        kind = "binding.added"
    else:
        row |= {"ended_at": None, "from_now_at": None, "began_at": None}
        session.execute(update(binding).where(binding.c.id == made).values(**row))
        kind = "binding.connected_again"
    details = {"name": f"{box.name}/{folder}", "processed": processed}
    rows = proof.of_ids(session, "binding", [made])
    log.write(session, [log.Event(kind, actor, f"binding:{made}", details, rows)], now)
    return made


def _joined() -> Select[tuple[object, ...]]:
    return select(binding, *(column.label(f"m_{column.name}") for column in mailbox.c)).join(
        mailbox, mailbox.c.id == binding.c.mailbox
    )


def _binding(row: Row[tuple[object, ...]]) -> Binding:
    box = Mailbox(
        row.m_id, row.m_name, row.m_owner, row.m_imap, row.m_smtp, row.m_secret, row.m_plaintext, row.m_provider,
        row.m_grant_type,
    )  # fmt: skip
    return Binding(
        row.id, box, row.folder, row.processed, row.process, row.user, row.every, row.created_at, row.next_at,
        row.checked_at, row.succeeded_at, row.waiting, row.empty_polls, row.trouble, row.trouble_kind,
        json.loads(row.trouble_values) if row.trouble_values else {}, row.trouble_since, row.permanent, row.failures,
        row.uidvalidity, row.processed_uidvalidity, row.processed_uidnext, row.moving, row.before_uidnext,
        row.began_at, row.asked_at, row.from_now_at, row.desk_of, row.paused_at, row.paused_by, row.ended_at,
        row.late_at, bool(row.sent), row.case, row.answered is not False,
    )  # fmt: skip


def every(session: Session, *such: ColumnElement[bool], ended: bool = False) -> list[Binding]:
    """All bindings of which these conditions hold, by name; with `ended` also those that were disconnected."""
    query = _joined().where(*such).order_by(mailbox.c.name, binding.c.folder)
    return [_binding(row) for row in session.execute(query if ended else query.where(binding.c.ended_at.is_(None)))]


def in_trouble(session: Session) -> list[Binding]:
    """Those whose last pass failed."""
    return every(session, binding.c.trouble.is_not(None))


def of_mailboxes(session: Session, some: Collection[Mailbox], *, ended: bool = False) -> list[Binding]:
    """Those in these mailboxes, as `every`."""
    return every(session, binding.c.mailbox.in_([one.id for one in some]), ended=ended)


def desks(session: Session, of: Binding) -> list[Binding]:
    """Those that are desks below this one."""
    return every(session, binding.c.desk_of == of.id)


def get(session: Session, id_: int) -> Binding:
    """The binding of this id; LookupError where there is none."""
    row = session.execute(_joined().where(binding.c.id == id_)).first()
    if row is None:
        raise LookupError(f"binding {id_}")
    return _binding(row)


def select_generation(session: Session, id_: int, uidvalidity: int, before_uidnext: int | None = None) -> None:
    """Note the watched folder's UIDVALIDITY, and below which UID its mail was there before."""
    values = {"uidvalidity": uidvalidity, "before_uidnext": before_uidnext}
    session.execute(update(binding).where(binding.c.id == id_).values(**values))


def about_to_move(session: Session, id_: int, uidvalidity: int, uidnext: int) -> None:
    """Record where the processed folder stands before a move, so that an unanswered one is resolved by looking."""
    session.execute(
        update(binding).where(binding.c.id == id_).values(processed_uidvalidity=uidvalidity, processed_uidnext=uidnext)
    )


def no_move_under_way(session: Session, id_: int) -> None:
    """Everything up to here is settled: what comes to the processed folder from now on is not the last move's."""
    session.execute(
        update(binding).where(binding.c.id == id_).values(processed_uidvalidity=None, processed_uidnext=None)
    )


def succeeded(
    session: Session, one: Binding, now: int, *, waiting: int, empty: bool, moving: str | None = None
) -> None:
    """A pass went well; empty ones are counted, not listed (invariant 7)."""
    session.execute(
        update(binding)
        .where(binding.c.id == one.id)
        .values(
            checked_at=now,
            succeeded_at=now,
            next_at=now + one.every * 1000,
            waiting=waiting,
            moving=moving,
            began_at=binding.c.began_at if one.asked_at else func.coalesce(binding.c.began_at, now),
            empty_polls=binding.c.empty_polls + 1 if empty else 0,
            trouble=None,
            trouble_kind=None,
            trouble_values=None,
            trouble_since=None,
            late_at=None,
            permanent=False,
            failures=0,
        )
    )
    if one.trouble is not None or one.late_at is not None:
        log.write(session, [log.Event("binding.recovered", one.actor, one.actor)], now)


def failed(
    session: Session,
    one: Binding,
    now: int,
    *,
    trouble: str,
    permanent: bool,
    next_at: int,
    kind: str | None = None,
    values: Mapping[str, str] | None = None,
) -> None:
    """A pass failed; it stands on the health page until one succeeds: in the reader's language where it has a kind.

    Of a binding that was paused or disconnected in the meantime nothing is said.
    """
    noted = session.execute(
        update(binding)
        .where(binding.c.id == one.id, binding.c.paused_at.is_(None), binding.c.ended_at.is_(None))
        .values(
            checked_at=now,
            next_at=next_at,
            trouble=trouble,
            trouble_kind=kind,
            trouble_values=json.dumps(values, ensure_ascii=False) if values else None,
            trouble_since=one.trouble_since or now,
            permanent=permanent,
            failures=binding.c.failures + 1,
        )
    )
    if noted.rowcount and one.trouble != trouble:
        details = {"trouble": trouble, "permanent": permanent}
        log.write(session, [log.Event("binding.failed", one.actor, one.actor, details)], now)


def counts(session: Session) -> dict[int, dict[str, int]]:
    """As `left_open`, and all receipts besides (`received`). Counted by index; for pages and `doctor`."""
    found = left_open(session)
    number = select(receipt.c.binding, func.count()).where(receipt.c.binding.is_not(None)).group_by(receipt.c.binding)
    for id_, received in session.execute(number):
        found.setdefault(id_, {})["received"] = received
    return found


def left_open(session: Session) -> dict[int, dict[str, int]]:
    """For each binding: receipts that are not settled (`unsettled`) and mails in quarantine (`quarantined`)."""
    found: dict[int, dict[str, int]] = {}
    open_ones = {
        "unsettled": (receipt.c.binding, receipt.c.settled_at.is_(None)),
        "quarantined": (quarantine.c.binding, quarantine.c.resolved_at.is_(None)),
    }
    for name, (of, condition) in open_ones.items():
        for id_, number in session.execute(select(of, func.count()).where(condition).group_by(of)):
            found.setdefault(id_, {})[name] = number
    return found
