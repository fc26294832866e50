"""What the gateway saw of a mailbox and its server, and what follows from it that somebody should know in time.

What is seen is kept; what is told is decided from it whenever somebody looks, and so is over as soon as its cause is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, insert, select, update

from ..store.archive import Session
from ..store.schema import observation
from . import consents, providers
from .bindings import Mailbox
from .consents import DAY_MS, Consent
from .providers import Provider
from .troubles import Kind

TOLD_DAYS = (30, 14, 7)  # before something ends; the nearer, the louder
FULL = 0.9  # of a quota
PASSED = frozenset({"consent over", "secret over", "full"})  # kinds of what is too late to prevent
SKEW_MS = 2 * 60 * 1000  # clocks that differ less are no news


def _say(text: str) -> str:
    """Marks a sentence for the catalogues."""
    return text


KINDS: Mapping[str, Kind] = {
    "consent ends": Kind(
        _say("Consent for %(mailbox)s ends on %(date)s (days left: %(days)s)."),
        _say("Give it again under “Your mailboxes” before that day."),
    ),
    "consent over": Kind(
        _say("Consent for %(mailbox)s ended on %(date)s."), _say("Give it again under “Your mailboxes”.")
    ),
    "secret ends": Kind(
        _say("The secret with which Postroom is known at %(provider)s ends on %(date)s (days left: %(days)s)."),
        _say("Have a new one made there, and enter it with: postroom provider secret"),
    ),
    "secret over": Kind(
        _say("The secret with which Postroom was known at %(provider)s ended on %(date)s."),
        _say("Have a new one made there, and enter it with: postroom provider secret"),
    ),
    "certificate ends": Kind(
        _say("The certificate of the server of %(mailbox)s ends on %(date)s (days left: %(days)s)."),
        _say("Whoever looks after that server has to renew it."),
    ),
    "nearly full": Kind(
        _say("%(mailbox)s is nearly full: %(percent)s %% of its room is taken."),
        _say("Make room in it; a full mailbox takes no more mail."),
    ),
    "full": Kind(
        _say("%(mailbox)s is full: it takes no more mail, and mail cannot be moved in it."),
        _say("Make room in it, or have it enlarged."),
    ),
    "clock": Kind(
        _say("The clocks of Postroom and of the server of %(mailbox)s differ by %(minutes)s minutes."),
        _say("Whoever looks after Postroom should compare its clock with an exact one first."),
    ),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a mailbox; None where it was not said."""

    certificate_until: int | None = None  # UTC ms
    quota_used: int | None = None  # KiB
    quota_limit: int | None = None  # KiB
    ahead: int | None = None  # ms by which the server's clock is ahead of ours


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that somebody should know."""

    mailbox: int
    kind: str
    values: Mapping[str, str]
    grave: bool  # it has come to pass, or will within days

    def sentence(self) -> str:
        """Both sentences in English."""
        found = KINDS[self.kind]
        return f"{found.says % self.values} {found.remedy % self.values}"


def note(session: Session, mailbox: int, seen: Seen, now: int) -> None:
    """Keep what was seen just now in place of what was before."""
    values = {
        "certificate_until": seen.certificate_until, "quota_used": seen.quota_used, "quota_limit": seen.quota_limit,
        "ahead": seen.ahead, "at": now,
    }  # fmt: skip
    if not session.execute(update(observation).where(observation.c.mailbox == mailbox).values(**values)).rowcount:
        session.execute(insert(observation).values(mailbox=mailbox, **values))


def get(session: Session, mailbox: int) -> Seen:
    """What was seen of a mailbox last."""
    row = session.execute(select(observation).where(observation.c.mailbox == mailbox)).first()
    return _seen(row) if row else Seen()


def every(session: Session) -> dict[int, Seen]:
    """What was seen last, by mailbox."""
    return {row.mailbox: _seen(row) for row in session.execute(select(observation))}


def _seen(row: Row[Any]) -> Seen:
    return Seen(row.certificate_until, row.quota_used, row.quota_limit, row.ahead)


def news(before: Seen, after: Seen) -> bool:
    """Pure: whether keeping `after` would change anything somebody is told; an idle mailbox writes nothing."""
    return _told(before) != _told(after)


def _told(seen: Seen) -> tuple[object, ...]:
    percent = _percent(seen)
    full = percent if percent is not None and percent >= FULL * 100 else None
    return (seen.certificate_until, full, _minutes(seen.ahead))


def told(session: Session, boxes: Iterable[Mailbox], now: int) -> dict[int, Sequence[Notice]]:
    """What somebody should know of these mailboxes, by mailbox."""
    seen, given = every(session), consents.every(session)
    by_id = {one.id: one for one in providers.every(session)}
    return {
        box.id: notices(box, seen.get(box.id, Seen()), now, consent=given.get(box.id), by=by_id.get(box.provider or 0))
        for box in boxes
    }


def notices(
    box: Mailbox, seen: Seen, now: int, *, consent: Consent | None = None, by: Provider | None = None
) -> Sequence[Notice]:
    """Pure: what somebody should know of a mailbox at this moment (UTC ms), the gravest first."""
    found: list[Notice] = []
    if consent is not None and consent.until is not None and box.grant == "consent":
        found += _ending(box, "consent ends", "consent over", consent.until, now, {"mailbox": box.name})
    if by is not None and by.secret_until is not None:
        found += _ending(box, "secret ends", "secret over", by.secret_until, now, {"provider": by.name})
    if seen.certificate_until is not None and seen.certificate_until > now:  # one that is over is a trouble by itself
        found += _ending(box, "certificate ends", "", seen.certificate_until, now, {"mailbox": box.name})
    percent = _percent(seen)
    if percent is not None and percent >= 100:
        found.append(Notice(box.id, "full", {"mailbox": box.name}, True))
    elif percent is not None and percent >= FULL * 100:
        found.append(Notice(box.id, "nearly full", {"mailbox": box.name, "percent": str(percent)}, False))
    if minutes := _minutes(seen.ahead):
        found.append(Notice(box.id, "clock", {"mailbox": box.name, "minutes": str(abs(minutes))}, False))
    return sorted(found, key=lambda one: not one.grave)


def _ending(box: Mailbox, soon: str, over: str, until: int, now: int, values: Mapping[str, str]) -> Sequence[Notice]:
    date = datetime.fromtimestamp(until / 1000, UTC).strftime("%Y-%m-%d")
    if until <= now:
        return [Notice(box.id, over, {**values, "date": date}, True)]
    days = (until - now) // DAY_MS
    if days > max(TOLD_DAYS):
        return []
    return [Notice(box.id, soon, {**values, "date": date, "days": str(days)}, days <= min(TOLD_DAYS))]


def _percent(seen: Seen) -> int | None:
    if seen.quota_used is None or not seen.quota_limit:
        return None
    return seen.quota_used * 100 // seen.quota_limit


def _minutes(ahead: int | None) -> int:
    """Whole minutes, 0 where the clocks are near enough."""
    return 0 if ahead is None or abs(ahead) < SKEW_MS else round(ahead / 60_000)
