"""What people asked for at a page, done at once: signing in with what they entered, and keeping it where it works.

Also telling a provider that consent was taken back, which is deleted here by then.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from archive.people import users
from archive.post import attempts, bindings, consents, providers
from archive.post.attempts import Attempt
from archive.post.bindings import BindingTrouble
from archive.post.bindings import Mailbox as Box
from archive.post.providers import Provider
from archive.store.archive import Archive, Session
from archive.store.keys import KeyTrouble

from . import credentials, reach
from .accounts import Account, parse
from .journal import Journal
from .mailbox import Connecting, Mailbox
from .trouble import Refused, Trouble

AT_ONCE = 4
PATIENCE = 20.0  # seconds for one answer while somebody waits at a page

_log = structlog.get_logger()


class Attempts:
    """Does what is asked for until it is stopped; `work` is called every second."""

    def __init__(
        self, archive: Archive, connecting: Connecting, own_servers: Sequence[str] | None, clock: Callable[[], int]
    ) -> None:
        self._archive = archive
        self._connecting = replace(connecting, timeout=min(connecting.timeout, PATIENCE))
        self._own_servers = own_servers
        self._clock = clock
        self._slots = threading.BoundedSemaphore(AT_ONCE)

    def work(self) -> None:
        """Take up what waits; returns at once. Where nothing does, nothing is written."""
        now = self._clock()
        with self._archive.reading() as session:
            waiting, old = attempts.waiting(session, now), attempts.old(session, now)
        if old:
            with self._archive.transaction() as session:
                attempts.sweep(session, now)
        for id_ in waiting:
            if not self._slots.acquire(blocking=False):
                return
            try:
                with self._archive.transaction() as session:
                    one = attempts.claim(session, id_, now)
                if one is not None:
                    threading.Thread(target=self._do, args=(one,), name=f"attempt {id_}", daemon=True).start()
            except BaseException:
                self._slots.release()
                raise
            if one is None:
                self._slots.release()

    def _do(self, one: Attempt) -> None:
        try:
            try:
                made = self._tried(one)
            except Trouble as trouble:
                with self._archive.transaction() as session:
                    attempts.answer(session, one.id, kind=trouble.kind, values=trouble.values)
            else:
                with self._archive.transaction() as session:
                    attempts.answer(session, one.id, mailbox=made)
        except Exception:  # the archive itself: what was entered is swept
            _log.exception("attempt failed", attempt=one.id)
        finally:
            self._slots.release()

    def _tried(self, one: Attempt) -> int:
        """The mailbox that works now; Trouble where it does not."""
        try:
            given = one.given(self._archive)
            if one.kind == "revoke":
                return self._taken_back(one, given)
            if one.kind == "consent":
                return self._consented(one, given)
            return self._entered(one, given)
        except BindingTrouble as trouble:
            raise Refused("not bound", answer=trouble) from None
        except (KeyTrouble, LookupError, ValueError):
            _log.exception("attempt failed", attempt=one.id)
            raise Refused("not tried") from None

    def _entered(self, one: Attempt, given: Mapping[str, str]) -> int:
        """With a password: for a mailbox that is there, or for one that comes with it."""
        with self._archive.reading() as session:
            box = _box(session, one) if one.mailbox is not None else _same(session, one.user, given["imap"])
        named = True
        if one.kind == "new":
            account = parse(given["imap"], "imap", password=given["password"])
            named = self._may_reach(account)
        else:
            assert box is not None  # `_box` found it
            account = parse(box.imap, "imap", plaintext=box.plaintext, password=given["password"])
        journal = self._journal(box)
        try:
            found = self._looked(account, box, given, journal)
        except Trouble as trouble:
            if named or trouble.signing_in or trouble.kind.startswith("folder"):
                raise
            # Whoever may name any host learns nothing of those where there is no mail server.
            raise Refused("no mail server", server=account.host) from None
        now, actor = self._clock(), f"user:{one.user}"
        with self._archive.transaction() as session:
            _check(session, one)
            if box is None:
                name = _free_name(session, account.user)
                id_ = bindings.add_mailbox(
                    session, self._archive, name, given["imap"], None, given["password"], now,
                    owner=one.user, actor=actor,
                )  # fmt: skip
                box = bindings.mailbox_of(session, id_)
                journal.belongs_to(session, id_)
            else:
                bindings.set_password(session, self._archive, box, given["password"], now, actor=actor)
            self._bind(session, box, found, now, actor)
        return box.id

    def _consented(self, one: Attempt, given: Mapping[str, str]) -> int:
        """With what a provider sent back."""
        box, by = self._provided(one)
        if "code" not in given:
            answer = f"{given.get('error', '')} {given.get('description', '')}".strip()
            raise Refused("consent denied", provider=by.name, answer=answer)
        user = parse(box.imap, "imap", plaintext=box.plaintext).user
        client = credentials.client(self._archive, by, self._connecting)
        tokens = client.exchange(given["code"], given["verifier"], given["redirect_uri"], user).tokens
        # Tried before it takes the place of a consent that may still work: somebody may be signed in there as another.
        account = parse(box.imap, "imap", plaintext=box.plaintext, token=tokens.access)
        found = self._looked(account, box, given, self._journal(box))
        now, actor = self._clock(), f"user:{one.user}"
        with self._archive.transaction() as session:
            _check(session, one)
            consents.give(session, self._archive, box, by, tokens, now, actor)
            self._bind(session, box, found, now, actor)
        return box.id

    def _taken_back(self, one: Attempt, given: Mapping[str, str]) -> int:
        """Told to the provider; here it is deleted whatever that says."""
        box, by = self._provided(one)
        credentials.client(self._archive, by, self._connecting).revoke(given["token"])
        return box.id

    def _provided(self, one: Attempt) -> tuple[Box, Provider]:
        with self._archive.reading() as session:
            box = _box(session, one)
            return box, providers.get(session, box.provider or 0)

    def _may_reach(self, account: Account) -> bool:
        """Whether the operator named this server; Refused where nobody may connect to it by himself."""
        if reach.named(account.host, account.port, self._own_servers):
            return True
        if self._own_servers is not None:
            raise Refused("not allowed", host=account.host)
        if reach.PORTS.get(account.port) != account.security or not reach.public(account.host, account.port):
            raise Refused("no mail server", server=account.host)
        return False

    def _journal(self, box: Box | None) -> Journal:
        return Journal(self._archive, box.id if box else None, None, self._clock, self._connecting.journal_days)

    def _looked(
        self, account: Account, box: Box | None, given: Mapping[str, str], journal: Journal
    ) -> tuple[str, str] | None:
        """Sign in; the watched and the processed folder, made where they are missing. None where none is asked for."""
        with Mailbox(account, self._connecting, journal) as mailbox:
            if not given.get("folder"):
                return None
            watched = mailbox.find_folder(given["folder"])
            target = mailbox.find_folder(given["processed"])
            if box is not None:
                with self._archive.reading() as session:
                    bindings.check_new(session, box, watched or given["folder"], target or given["processed"])
            return (
                watched or mailbox.create_folder(given["folder"]),
                target or mailbox.create_folder(given["processed"]),
            )

    def _bind(self, session: Session, box: Box, found: tuple[str, str] | None, now: int, actor: str) -> None:
        if found is not None and box.owner is not None:
            bindings.add(session, box, *found, now, user=box.owner, actor=actor)


def _check(session: Session, one: Attempt) -> None:
    """Refused where what was entered has been taken back while it was tried."""
    if not attempts.goes_on(session, one.id):
        raise Refused("called off")


def _box(session: Session, one: Attempt) -> Box:
    """The mailbox of an attempt. Looked at again: it may be another's by now."""
    box = bindings.mailbox_of(session, one.mailbox or 0)
    person = users.get(session, one.user)
    if person is None or not bindings.may_sign_in(box, person.id, admin=person.admin):
        raise LookupError(f"mailbox {box.id} is not of user {one.user}")
    return box


def _same(session: Session, user: int, imap: str) -> Box | None:
    """A mailbox that this person has already."""
    return next((one for one in bindings.mailboxes(session) if one.owner == user and one.imap == imap), None)


def _free_name(session: Session, user: str) -> str:
    """A name that no mailbox has: the account's, with a number behind it where need be."""
    wanted = "".join(char if bindings.NAME.fullmatch(char) else "-" for char in user)[:56] or "mailbox"
    taken = {one.name for one in bindings.mailboxes(session)}
    names = (wanted if number == 1 else f"{wanted}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)
