"""The tokens of mailboxes without a password: who gave consent, what it is renewed with, and until when it lasts."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from ..events import log
from ..store.archive import Archive, Session
from ..store.schema import consent
from .bindings import Mailbox, due_at_once
from .providers import Provider

DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a provider gave. Never shown: not even its repr says more than that it is there."""

    access: str
    lasts: int  # seconds
    refresh: str | None = None
    refresh_lasts: int | None = None  # seconds, where the provider says so

    def __repr__(self) -> str:
        return f"Tokens(for {self.lasts} s)"


@dataclass(frozen=True, slots=True)
class Consent:
    """The tokens of a mailbox as they are kept, encrypted."""

    mailbox: int
    number: int  # goes up with every change
    refresh: bytes | None
    access: bytes | None
    access_at: int  # UTC ms, as all of these
    access_until: int
    given_at: int
    until: int | None  # when consent has to be given again, where that is known


def get(session: Session, mailbox: int) -> Consent | None:
    """The tokens of a mailbox; None where consent was never given."""
    row = session.execute(select(consent).where(consent.c.mailbox == mailbox)).first()
    return _consent(row) if row else None


def every(session: Session) -> dict[int, Consent]:
    """All of them, by mailbox."""
    return {row.mailbox: _consent(row) for row in session.execute(select(consent))}


def _consent(row: Row[Any]) -> Consent:
    return Consent(
        row.mailbox, row.number, row.refresh, row.access, row.access_at, row.access_until, row.given_at, row.until
    )


def give(session: Session, archive: Archive, box: Mailbox, by: Provider, tokens: Tokens, now: int, actor: str) -> None:
    """Keep what a person's consent brought, in place of any before; what waits for it is due at once."""
    until = _until(by, tokens, now, now)
    _put(session, archive, box.id, tokens, now, now, until)
    due_at_once(session, box, now)
    log.write(session, [log.Event("mailbox.consent_given", actor, f"mailbox:{box.id}", {"provider": by.name})], now)


def renew(
    session: Session, archive: Archive, box: Mailbox, by: Provider, before: Consent | None, tokens: Tokens, now: int
) -> bool:
    """Keep renewed tokens; False, and nothing is changed, where others were kept since `before` was read."""
    if before is None:
        if get(session, box.id) is not None:
            return False
        _put(session, archive, box.id, tokens, now, now, None)
        return True
    # A provider that does not say anew how long consent lasts has not made it longer.
    until = _until(by, tokens, before.given_at, now) if tokens.refresh_lasts is not None else before.until
    values: dict[str, Any] = {"number": before.number + 1, "until": until, **_access(archive, tokens, now)}
    if tokens.refresh is not None:
        values["refresh"] = archive.key.encrypt_secret(tokens.refresh)
    return bool(session.execute(update(consent).where(_still(before)).values(**values)).rowcount)


def forget_access(session: Session, before: Consent) -> None:
    """The access token is taken no more: the next sign-in renews it."""
    session.execute(update(consent).where(_still(before)).values(access=None, number=before.number + 1))


def _still(before: Consent) -> Any:
    """That it is this one still: numbers begin anew where consent was taken back and is given again."""
    same = (consent.c.mailbox == before.mailbox) & (consent.c.given_at == before.given_at)
    return same & (consent.c.number == before.number)


def _put(
    session: Session, archive: Archive, mailbox: int, tokens: Tokens, given_at: int, now: int, until: int | None
) -> None:
    before = get(session, mailbox)
    session.execute(delete(consent).where(consent.c.mailbox == mailbox))
    row = {
        "mailbox": mailbox, "number": before.number + 1 if before else 1, "given_at": given_at, "until": until,
        "refresh": archive.key.encrypt_secret(tokens.refresh) if tokens.refresh else None,
        **_access(archive, tokens, now),
    }  # fmt: skip
    session.execute(insert(consent).values(**row))


def _access(archive: Archive, tokens: Tokens, now: int) -> dict[str, Any]:
    access = archive.key.encrypt_secret(tokens.access)
    return {"access": access, "access_at": now, "access_until": now + tokens.lasts * 1000}


def _until(by: Provider, tokens: Tokens, given_at: int, now: int) -> int | None:
    if tokens.refresh_lasts is not None:
        return now + tokens.refresh_lasts * 1000
    return given_at + by.consent_days * DAY_MS if by.consent_days is not None else None
