"""With what a mailbox is signed in to: its password, or a token that is renewed before it expires."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from archive.post import consents, observations, providers
from archive.post.bindings import Mailbox as Box
from archive.post.consents import Consent
from archive.post.providers import Provider
from archive.store import leases
from archive.store.archive import Archive
from archive.store.keys import KeyTrouble

from .accounts import Account, parse
from .journal import Journal
from .mailbox import Connecting, Mailbox
from .smtp import AFTER_THE_DOT, Outward
from .trouble import Refused, Trouble, Unreachable

if TYPE_CHECKING:
    from .tokens import Client

MARGIN_MS = 5 * 60 * 1000  # a token that has less to live is renewed first
LAST_MS = 30 * 1000  # where the provider cannot be reached, one is used to here
NEW_MS = 2 * 60 * 1000  # a token so young was not refused for its age
_WAIT = 45.0  # seconds for somebody else who renews it


def open_mailbox(
    archive: Archive, box: Box, connecting: Connecting, clock: Callable[[], int], journal: Journal | None = None
) -> Mailbox:
    """Sign in to a mailbox; Trouble where that fails. A token that is taken no more is renewed once."""
    account = of(archive, box, connecting, clock)
    journal = journal or Journal(archive, box.id, None, clock, connecting.journal_days)
    try:
        return Mailbox(account, connecting, journal)
    except Refused as trouble:
        if trouble.kind != "token" or not _forget(archive, box, account.password, clock()):
            raise
    return Mailbox(of(archive, box, connecting, clock), connecting, journal)


def open_outward(
    archive: Archive, box: Box, connecting: Connecting, clock: Callable[[], int], after_the_dot: float = AFTER_THE_DOT
) -> Outward:
    """Sign in to where a mailbox sends; as `open_mailbox`."""
    account = of(archive, box, connecting, clock, "smtp")
    try:
        return Outward(account, connecting, after_the_dot)
    except Refused as trouble:
        if trouble.kind != "token" or not _forget(archive, box, account.password, clock()):
            raise
    return Outward(of(archive, box, connecting, clock, "smtp"), connecting, after_the_dot)


def of(archive: Archive, box: Box, connecting: Connecting, clock: Callable[[], int], protocol: str = "imap") -> Account:
    """The account of a mailbox, with what to sign in with. Refused where somebody has to give that first."""
    try:
        url = box.imap if protocol == "imap" else box.smtp or ""
        if box.provider is not None:
            return parse(url, protocol, plaintext=box.plaintext, token=_token(archive, box, connecting, clock))
        if box.secret is None:
            raise Refused("no password", mailbox=box.name)
        return parse(url, protocol, plaintext=box.plaintext, password=archive.key.decrypt_secret(box.secret))
    except (KeyTrouble, ValueError) as error:
        raise Refused("settings", answer=error) from None
    except Trouble as trouble:
        trouble.signing_in = True
        raise


def client(archive: Archive, by: Provider, connecting: Connecting) -> "Client":
    """We, as a provider knows us. KeyTrouble where our secret there is under another key."""
    from .tokens import Client

    return Client(by, archive.key.decrypt_secret(by.secret) if by.secret is not None else None, connecting)


def _token(archive: Archive, box: Box, connecting: Connecting, clock: Callable[[], int]) -> str:
    """An access token that is good for a while."""
    with archive.reading() as session:
        by, kept = providers.get(session, box.provider or 0), consents.get(session, box.id)
    if kept is None and box.grant == "consent":
        raise Refused("no consent", mailbox=box.name)
    if kept is not None and kept.access is not None and kept.access_until - clock() > MARGIN_MS:
        return archive.key.decrypt_secret(kept.access)
    try:
        with leases.held(archive, f"consent-{box.id}", _WAIT, "a sign-in"):
            return _renewed(archive, box, by, connecting, clock)
    except BlockingIOError:
        raise Unreachable("provider", provider=by.name, answer="another worker has been asking it for long") from None


def _renewed(archive: Archive, box: Box, by: Provider, connecting: Connecting, clock: Callable[[], int]) -> str:
    """One at a time: ask the provider, keep what it gives, and only then hand it out."""
    with archive.reading() as session:
        kept = consents.get(session, box.id)
    if kept is not None and kept.access is not None and kept.access_until - clock() > MARGIN_MS:
        return archive.key.decrypt_secret(kept.access)  # somebody else has renewed it meanwhile
    at, user = client(archive, by, connecting), parse(box.imap, "imap", plaintext=box.plaintext).user
    try:
        if box.grant == "client":
            given = at.as_itself(user)
        elif kept is None or kept.refresh is None:
            raise Refused("no consent", mailbox=box.name)
        else:
            given = at.renew(archive.key.decrypt_secret(kept.refresh), user)
    except Unreachable:
        if kept is not None and kept.access is not None and kept.access_until - clock() > LAST_MS:
            return archive.key.decrypt_secret(kept.access)
        raise
    # Many providers take the old refresh token no more from here on: the new one is durable before anything else.
    with archive.transaction() as session:
        ours = consents.renew(session, archive, box, by, kept, given.tokens, clock())
        before = observations.get(session, box.id)
        after = replace(before, ahead=given.ahead)
        if given.ahead is not None and observations.news(before, after):
            observations.note(session, box.id, after, clock())
        newest = consents.get(session, box.id)
    if not ours and newest is None:  # it was taken back meanwhile, and what has just come of it goes too
        with suppress(Trouble):
            at.revoke(given.tokens.refresh or given.tokens.access)
        raise Refused("no consent", mailbox=box.name)
    if not ours and newest is not None and newest.access is not None:  # a person gave consent anew meanwhile
        return archive.key.decrypt_secret(newest.access)
    return given.tokens.access


def _forget(archive: Archive, box: Box, token: str, now: int) -> bool:
    """Whether another token may be taken where this one was: it was not just made, and is put aside."""
    with archive.reading() as session:
        kept = consents.get(session, box.id)
    if kept is None:
        return False
    if not _is(archive, kept, token):  # another one was made meanwhile
        return kept.access is not None
    if now - kept.access_at < NEW_MS:
        return False
    with archive.transaction() as session:
        consents.forget_access(session, kept)
    return True


def _is(archive: Archive, kept: Consent, token: str) -> bool:
    return kept.access is not None and archive.key.decrypt_secret(kept.access) == token
