"""Sessions of signed-in people: kept here, so that each can be ended."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from ..events import log
from ..store.archive import Session
from ..store.schema import web_session

LIVES_MS = 14 * 24 * 3600 * 1000
SEEN_EVERY_MS = 5 * 60 * 1000  # how exactly "last seen" is kept


@dataclass(frozen=True, slots=True)
class WebSession:
    """One browser in which somebody is signed in."""

    user: int
    created_at: int
    seen_at: int
    expires_at: int
    agent: str
    mark: str = ""  # by which it is told from the others; nobody can sign in with it


def start(session: Session, user: int, agent: str, now: int) -> str:
    """The cookie's value of a new session."""
    token = secrets.token_urlsafe(32)
    row = {"token": _digest(token), "user": user, "created_at": now, "seen_at": now, "expires_at": now + LIVES_MS}
    session.execute(insert(web_session).values(**row, agent=agent[:300]))
    session.execute(delete(web_session).where(web_session.c.expires_at < now))
    log.write(session, [log.Event("user.signed_in", f"user:{user}", f"user:{user}", {"agent": agent[:300]})], now)
    return token


def find(session: Session, token: str, now: int) -> WebSession | None:
    """The session of a cookie's value, while it lasts."""
    row = session.execute(
        select(web_session).where(web_session.c.token == _digest(token), web_session.c.expires_at > now)
    ).first()
    return _session(row) if row else None


def of_user(session: Session, user: int, now: int) -> list[WebSession]:
    """Where somebody is signed in, the last seen first."""
    query = select(web_session).where(web_session.c.user == user, web_session.c.expires_at > now)
    return [_session(row) for row in session.execute(query.order_by(web_session.c.seen_at.desc()).limit(200))]


def _session(row: Row[Any]) -> WebSession:
    return WebSession(row.user, row.created_at, row.seen_at, row.expires_at, row.agent, row.token.hex())


def touch(session: Session, token: str, now: int) -> None:
    """Note that the session is in use and lasts on; worth a write only every `SEEN_EVERY_MS`."""
    session.execute(
        update(web_session).where(web_session.c.token == _digest(token)).values(seen_at=now, expires_at=now + LIVES_MS)
    )


def end(session: Session, token: str, now: int) -> None:
    """Sign out; harmless to repeat."""
    user = session.scalar(
        delete(web_session).where(web_session.c.token == _digest(token)).returning(web_session.c.user)
    )
    if user is not None:
        log.write(session, [log.Event("user.signed_out", f"user:{user}", f"user:{user}")], now)


def end_all(session: Session, user: int, now: int) -> None:
    """Sign somebody out everywhere, as a new password does; harmless to repeat."""
    if session.execute(delete(web_session).where(web_session.c.user == user)).rowcount:
        log.write(session, [log.Event("user.signed_out_everywhere", f"user:{user}", f"user:{user}")], now)


def end_marked(session: Session, user: int, mark: str, now: int) -> bool:
    """Sign somebody out of the browser with this mark; whether there was one."""
    ended = delete(web_session).where(web_session.c.user == user, web_session.c.token == bytes.fromhex(mark))
    if not session.execute(ended).rowcount:
        return False
    log.write(session, [log.Event("user.signed_out", f"user:{user}", f"user:{user}")], now)
    return True


def end_others(session: Session, user: int, token: str, now: int) -> int:
    """Sign somebody out everywhere but here, where the cookie's value is `token`; how many ended."""
    others = delete(web_session).where(web_session.c.user == user, web_session.c.token != _digest(token))
    ended = session.execute(others).rowcount
    if ended:
        log.write(session, [log.Event("user.signed_out_everywhere", f"user:{user}", f"user:{user}")], now)
    return ended


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
