"""People who sign in: users, their passwords, and one-time sign-in links."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import cast

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Row, delete, func, insert, select, update

from ..events import log, proof
from ..store.archive import Session
from ..store.schema import sign_in_link, sign_in_try, user, web_session

LINK_LIVES_MS = 7 * 24 * 3600 * 1000
TRIES = 10  # failed sign-ins for one account, or 10 times as many from one address, within the window
TRIES_WINDOW_MS = 15 * 60 * 1000
SHORTEST_PASSWORD = 10  # characters
_ADDRESS = re.compile(r"[^@\s\x00-\x1f<>\"(),:;\\\[\]]{1,64}@[^@\s\x00-\x1f<>\"(),:;\\\[\]]{1,255}")
_hasher = PasswordHasher()


class UserTrouble(Exception):
    """What was asked for a user cannot be; the sentence says why."""


@dataclass(frozen=True, slots=True)
class User:
    """A person who may sign in."""

    id: int
    email: str
    name: str
    admin: bool
    language: str | None
    zone: str | None
    has_password: bool
    theme: str | None = None
    density: str | None = None
    shortcuts: str | None = None  # JSON, as the pages keep it
    tour: int | None = None  # the step of the first tour this user is at; 0: done with it; None: not begun
    auditor: bool = False
    disabled_at: int | None = None  # UTC ms
    undo: int | None = None  # seconds in which a mail of theirs can be taken back; None: as is usual


def folded(email: str) -> str:
    """An address as it is compared; UserTrouble where it is none."""
    email = email.strip().lower()
    if not _ADDRESS.fullmatch(email):
        raise UserTrouble(f'"{email}" is not an email address.')
    return email


def add(
    session: Session,
    email: str,
    name: str,
    now: int,
    *,
    admin: bool = False,
    auditor: bool = False,
    actor: str = log.OPERATOR,
) -> int:
    """A new user's id; UserTrouble where the address is taken or none."""
    email = folded(email)
    if not name.strip():
        raise UserTrouble("A user needs a name.")
    if session.scalar(select(user.c.id).where(user.c.email == email)):
        raise UserTrouble(f"There is a user {email} already.")
    row = {"email": email, "name": name.strip(), "admin": admin, "auditor": auditor or None, "created_at": now}
    made = cast(int, session.scalar(insert(user).values(**row).returning(user.c.id)))
    details = {"email": email, "admin": admin, **({"auditor": True} if auditor else {})}
    rows = proof.of_ids(session, "user", [made])
    log.write(session, [log.Event("user.added", actor, f"user:{made}", details, rows)], now)
    return made


def every(session: Session) -> list[User]:
    """All users by address."""
    return [_user(row) for row in session.execute(select(user).order_by(user.c.email))]


def get(session: Session, id_: int) -> User | None:
    """The user of this id, unless disabled."""
    row = session.execute(select(user).where(user.c.id == id_, user.c.disabled_at.is_(None))).first()
    return _user(row) if row else None


def by_email(session: Session, email: str) -> User | None:
    """The user with this address, unless disabled."""
    wanted = email.strip().lower()
    row = session.execute(select(user).where(user.c.email == wanted, user.c.disabled_at.is_(None))).first()
    return _user(row) if row else None


def _user(row: Row[tuple[object, ...]]) -> User:
    return User(
        row.id, row.email, row.name, row.admin, row.language, row.zone, row.password is not None,
        row.theme, row.density, row.shortcuts, row.tour, bool(row.auditor), row.disabled_at,
        row.undo,
    )  # fmt: skip


def set_auditor(session: Session, id_: int, auditor: bool, now: int, actor: str = log.OPERATOR) -> None:
    """Let somebody read all mail of the house, each reading being an event; or no longer. UserTrouble as `_found`."""
    before = _found(session, id_)
    if before.auditor == auditor:
        return
    session.execute(update(user).where(user.c.id == id_).values(auditor=auditor or None))
    kind = "user.auditor_made" if auditor else "user.auditor_ended"
    _tell(session, kind, id_, actor, now)


def disable(session: Session, id_: int, now: int, actor: str = log.OPERATOR) -> None:
    """Nobody signs in as this user any more, and whoever is signed in is so no longer; what they did stays.

    UserTrouble where it is the last admin, or there is no such user.
    """
    before = _found(session, id_)
    if before.disabled_at is not None:
        return
    others = select(user.c.id).where(user.c.admin.is_(True), user.c.disabled_at.is_(None), user.c.id != id_)
    if before.admin and session.scalar(others.limit(1)) is None:
        raise UserTrouble(f"{before.email} is the last admin. Add another one first.")
    session.execute(update(user).where(user.c.id == id_).values(disabled_at=now))
    session.execute(delete(web_session).where(web_session.c.user == id_))
    unused = sign_in_link.c.used_at.is_(None)
    session.execute(update(sign_in_link).where(sign_in_link.c.user == id_, unused).values(used_at=now))
    _tell(session, "user.disabled", id_, actor, now)


def enable(session: Session, id_: int, now: int, actor: str = log.OPERATOR) -> None:
    """Let somebody sign in again; UserTrouble where there is no such user."""
    if _found(session, id_).disabled_at is None:
        return
    session.execute(update(user).where(user.c.id == id_).values(disabled_at=None))
    _tell(session, "user.enabled", id_, actor, now)


def _found(session: Session, id_: int) -> User:
    row = session.execute(select(user).where(user.c.id == id_)).first()
    if row is None:
        raise UserTrouble("There is no such user.")
    return _user(row)


def _tell(session: Session, kind: str, id_: int, actor: str, now: int) -> None:
    log.write(session, [log.Event(kind, actor, f"user:{id_}", rows=proof.of_ids(session, "user", [id_]))], now)


def set_display(
    session: Session, id_: int, *, language: str | None, zone: str | None, theme: str | None, density: str | None
) -> None:
    """How this user wants the pages; None: as browser and organisation have it."""
    values = {"language": language, "zone": zone, "theme": theme, "density": density}
    session.execute(update(user).where(user.c.id == id_).values(**values))


def set_look(session: Session, id_: int, **values: str | None) -> None:
    """Change `theme` or `density` alone, as `set_display` keeps them."""
    if not values.keys() <= {"theme", "density"}:
        raise ValueError(sorted(values))
    session.execute(update(user).where(user.c.id == id_).values(**values))


def set_undo(session: Session, id_: int, seconds: int | None) -> None:
    """Keep in how many seconds a user's mails can be taken back; None: as is usual."""
    session.execute(update(user).where(user.c.id == id_).values(undo=seconds))


def set_tour(session: Session, id_: int, step: int) -> None:
    """Keep the step of the first tour a user is at; 0: been through it, or does not want it."""
    session.execute(update(user).where(user.c.id == id_).values(tour=step))


def set_shortcuts(session: Session, id_: int, shortcuts: str | None) -> None:
    """Keep the keys somebody chose, JSON; None: as they come."""
    session.execute(update(user).where(user.c.id == id_).values(shortcuts=shortcuts))


def hash_password(password: str) -> str:
    """The password as it is kept (argon2id); UserTrouble where it is too short. Slow: not in a transaction."""
    if len(password) < SHORTEST_PASSWORD:
        raise UserTrouble(f"A password needs at least {SHORTEST_PASSWORD} characters.")
    return _hasher.hash(password)


def set_password(session: Session, id_: int, hashed: str, now: int, actor: str) -> None:
    """Keep a password made by `hash_password`."""
    session.execute(update(user).where(user.c.id == id_).values(password=hashed))
    rows = proof.of_ids(session, "user", [id_])
    log.write(session, [log.Event("user.password_set", actor, f"user:{id_}", rows=rows)], now)


def set_language(session: Session, id_: int, language: str) -> None:
    """Keep the language in which a user reads pages, as an RFC 5646 tag of at most 16 characters."""
    session.execute(update(user).where(user.c.id == id_).values(language=language))


def stored_password(session: Session, email: str) -> tuple[int, str] | None:
    """Id and kept password of who may sign in with this address; None where nobody may."""
    row = session.execute(
        select(user.c.id, user.c.password).where(
            user.c.email == email.strip().lower(), user.c.disabled_at.is_(None), user.c.password.is_not(None)
        )
    ).first()
    return (row.id, row.password) if row else None


def password_is(stored: str | None, password: str) -> bool:
    """Whether the password is the kept one. Where none is kept it takes as long: nobody learns who has an account."""
    try:
        return _hasher.verify(stored or _NOBODY, password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


# The hash of a random password nobody knows: what a guess for a stranger's account is compared with.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$+Jz0F1R8a6mQbU1qBCxwKfKkYb8HcTj1Vw9uXGk2R5A"


def new_link(session: Session, id_: int, now: int, actor: str = log.OPERATOR) -> str:
    """A token for a one-time sign-in link, valid for seven days; earlier ones of this user stop working."""
    session.execute(
        update(sign_in_link).where(sign_in_link.c.user == id_, sign_in_link.c.used_at.is_(None)).values(used_at=now)
    )
    token = secrets.token_urlsafe(24)
    row = {"token": _digest(token), "user": id_, "created_at": now, "expires_at": now + LINK_LIVES_MS}
    session.execute(insert(sign_in_link).values(**row))
    log.write(session, [log.Event("user.link_made", actor, f"user:{id_}")], now)
    return token


def link_owner(session: Session, token: str, now: int) -> User | None:
    """Whose link this is, where it still works; does not use it up."""
    found = session.scalar(
        select(sign_in_link.c.user).where(
            sign_in_link.c.token == _digest(token), sign_in_link.c.used_at.is_(None), sign_in_link.c.expires_at > now
        )
    )
    return get(session, found) if found else None


def use_link(session: Session, token: str, now: int) -> User | None:
    """Take a link exclusively: its user the first time, None ever after."""
    owner = link_owner(session, token, now)
    taken = session.execute(
        update(sign_in_link)
        .where(
            sign_in_link.c.token == _digest(token), sign_in_link.c.used_at.is_(None), sign_in_link.c.expires_at > now
        )
        .values(used_at=now)
    )
    if taken.rowcount != 1 or owner is None:
        return None
    log.write(session, [log.Event("user.link_used", f"user:{owner.id}", f"user:{owner.id}")], now)
    return owner


def may_try(session: Session, subjects: dict[str, int], now: int) -> bool:
    """Whether another sign-in may be tried: `subjects` names account and address, with how many tries each has."""
    for subject, allowed in subjects.items():
        tried = session.scalar(
            select(func.count())
            .select_from(sign_in_try)
            .where(sign_in_try.c.subject == _digest(subject), sign_in_try.c.at > now - TRIES_WINDOW_MS)
        )
        if (tried or 0) >= allowed:
            return False
    return True


def record_failed_try(session: Session, subjects: dict[str, int], now: int) -> None:
    """Count a failed sign-in against account and address."""
    session.execute(insert(sign_in_try), [{"subject": _digest(subject), "at": now} for subject in subjects])
    session.execute(sign_in_try.delete().where(sign_in_try.c.at < now - TRIES_WINDOW_MS))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
