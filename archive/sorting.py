"""Sorting: where each mail of a batch goes, by its address and by rules, and what rules do to the tickets it makes.

What was decided by people is read once for a batch; deciding is pure (`archive.post.routing`, `archive.work.rules`);
acting happens in intake's transaction, many tickets at a time.
"""

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Row, select

from . import installation
from .events import log
from .mail import headers, hops, identity
from .mail.facts import Facts
from .mail.headers import Raw
from .outgoing import auto_replies, humans, identities, reply_settings
from .outgoing.auto_replies import Wish
from .people.scopes import process_scope
from .post import answers, deliveries, receipts, routes, routing
from .post.bindings import Binding
from .post.deliveries import WordsOf
from .post.routes import Unclaimed, Unrouted
from .post.routing import Book, fold
from .store.archive import Session
from .store.dialects import insert_missing
from .store.schema import membership, seen, ticket
from .work import absences, assigning, cases, hours, rulebook, rules, states, tags, tickets
from .work.cases import CaseTrouble
from .work.changes import change
from .work.hours import Hours
from .work.rules import Decision, Deed, Handed, Letter, Ready

_HEADERS = 128 << 10  # bytes of a mail in which its header block is looked for


@dataclass(frozen=True, slots=True)
class Sorter:
    """What people decided, as it was when a batch began. Without rules and routing there is nothing to decide."""

    first: tuple[Handed, ...]  # where mail goes without rules
    some: tuple[Ready, ...] = ()
    broken: Mapping[int, str] = field(default_factory=dict)  # rules that cannot be asked
    book: Book | None = None  # whose each address is; None: mail is not routed by address
    unrouted: Unrouted | None = None
    zone: str = "UTC"
    trusted: Collection[str] = ()
    ours: Collection[str] = ()  # all our addresses
    working: Hours | None = None  # when the organisation works; None: nobody said

    def decide(self, facts: Facts, content: Raw, trace: bytes, at: int, *, import_mode: bool = False) -> Decision:
        """Where a copy goes; `at` is when it arrived, UTC ms. Unclaimed where it would go nowhere."""
        if self.book is None and not self.some:
            return Decision(self.first)
        own = hops.own(identity.trace_headers(trace)) if trace else hops.NOBODY
        first = self.first if self.book is None else self._routed(self.book, own, facts)
        letter = Letter(facts, lambda: header_block(content), own, at, self.zone, self.trusted)
        decision = rules.decide(letter, self.some, first, import_mode=import_mode)
        if not decision.to:
            raise Unclaimed
        if any(deed.do == "reply" for deed in decision.deeds):
            doubt = humans.doubt(
                letter.headers, list(_paths(trace)), facts.from_address, facts.recipients, self.ours, letter.authentic
            )
            if facts.report is not None:  # also one that says so in words alone
                doubt = doubt or humans.REPORT
            return replace(decision, doubt=doubt, sender=humans.mailbox(facts.from_address))
        return decision

    def _routed(self, book: Book, own: hops.Own, facts: Facts) -> tuple[Handed, ...]:
        claims = routing.route(book, own, facts.recipients)
        if claims:
            return tuple(Handed(process_scope(one.process), "address", one.address[:320]) for one in claims)
        if self.unrouted is None:
            return ()
        return (Handed(process_scope(self.unrouted.process), "unrouted", due_hours=self.unrouted.hours),)


def _paths(trace: bytes) -> Iterator[str]:
    """What any server said of the return path, also one that nothing else is believed of."""
    block = identity.trace_headers(trace) if trace else b""
    for name, value in headers.split(block, 0, len(block), _HEADERS)[0]:
        if name.lower() == b"return-path":
            yield headers.unfold(value)


def header_block(content: Raw) -> bytes:
    """The header block of a content, so far as rules look at it."""
    head = bytes(content[:_HEADERS])
    return head[: identity.header_end(head)]


def sorter(session: Session, binding: Binding | None, first: Sequence[str]) -> Sorter:
    """What was decided for mail of a binding (None: imported for a process) that would go to these scopes.

    Private mail, what somebody drags to a desk, and what is ours is nobody's to route: no rule sees it.
    """
    if binding is not None and binding.sent:
        return ours(first)
    handed = tuple(map(Handed, first))
    private = binding.mailbox.owner is not None or binding.user is not None if binding else first[0].startswith("user:")
    if private:
        return Sorter(handed)
    some, broken = rulebook.for_intake(session, binding.id if binding else None)
    routed = binding is not None and binding.routed
    plain = Sorter(
        handed,
        tuple(some),
        broken,
        routes.book(session) if routed else None,
        routes.unrouted(session) if routed else None,
        working=hours.kept(session) if routed or some else None,
    )
    return asking(session, plain) if some else plain


def asking(session: Session, by: Sorter) -> Sorter:
    """With what rules may ask beside the mail: the organisation's zone, and whom to believe."""
    zone = installation.get(session, installation.ZONE) or "UTC"
    ours = {*routes.book(session).processes, *(one.address for one in identities.every(session))}
    return replace(by, zone=zone, trusted=routes.trusted(session), ours=frozenset(map(fold, ours)))


def ours(first: Sequence[str]) -> Sorter:
    """For mail that we wrote: no rule sees it."""
    return Sorter(tuple(Handed(scope, answers.SENT) for scope in first))


# --- acted on, in intake's transaction ---


@dataclass(frozen=True, slots=True)
class Brought:
    """A mail that came to a scope, and what rules do to its ticket there."""

    message: int
    conversation: int
    handed: Handed
    deeds: tuple[Deed, ...]
    doubt: str | None = None  # see `Decision`
    sender: str = ""
    working: Hours | None = None  # see `Sorter`

    @property
    def here(self) -> tuple[Deed, ...]:
        """What is done: nothing where it also goes."""
        return () if self.handed.also else self.deeds

    def born_as(self, now: int) -> dict[str, Any]:
        """What stands in its ticket from the start, where it makes one."""
        said = rules.values(self.here, self.handed, now, self.working)
        values = {column: value for column, (_, value) in said.items() if value is not None}
        finished = next((deed for deed in self.here if deed.do in ("silently", "spam")), None)
        if finished is not None:
            values |= {"state": tickets.DONE, "done_at": now, "done_by": f"rule:{finished.rule}"}
        return values

    @property
    def silent(self) -> bool:
        """Whether nothing is to be done because of it: neither a new ticket is open, nor one that is done again."""
        return any(deed.do == "silently" for deed in self.here)


_KINDS = {"priority": "prioritised", "due_at": "due", "spam": "spam"}


def act(
    session: Session,
    brought: Iterable[Brought],
    actor: str,
    now: int,
    words: WordsOf = deliveries.not_at_hand,
    binding: int | None = None,
) -> None:
    """Do what rules say to the tickets of a batch, which are there already; `actor` did what is of no rule.

    New tickets were born as `Brought.born_as` says: of these it is only said who did that.
    """
    some = [one for one in brought if one.here or one.handed.due_hours is not None]
    if not some:
        return
    there = _tickets(session, some)
    events: list[log.Event] = []
    groups: dict[tuple[str, int, str, str], list[Row[Any]]] = {}  # by deed, rule, value and scope
    for one in some:
        row = there.get((one.handed.scope, one.conversation))
        if row is None:
            continue
        born = row.created_at == now and row.revision is None
        for column, (rule, value) in rules.values(one.here, one.handed, now, one.working).items():
            by = f"rule:{rule}" if rule else actor
            if born and getattr(row, column) == value:
                said = {"before": {column: None}, "after": {column: value}}
                events.append(log.Event(f"ticket.{_KINDS[column]}", by, f"ticket:{row.id}", said))
            elif column == "spam":
                states.mark_spam(session, row.id, by, now)
            else:
                change(session, row.id, _KINDS[column], by, {column: value}, now)
        for deed in one.here:
            if deed.do == "silently" and born:
                said = {"before": {"state": tickets.OPEN}, "after": {"state": tickets.DONE}}
                events.append(log.Event("ticket.done", f"rule:{deed.rule}", f"ticket:{row.id}", said))
            groups.setdefault((deed.do, deed.rule, deed.value, one.handed.scope), []).append(row)
    log.write(session, events, now)
    auto_replies.want(session, list(_wishes(some, binding)), now)
    for (do, rule, value, scope), rows in groups.items():
        if do == "tag":
            tags.put(session, [row.id for row in rows], [value], f"rule:{rule}", now)
        elif do == "assign":
            _assign(session, [row.id for row in rows if row.assignee is None], scope, value, f"rule:{rule}", now)
        elif do == "case":
            _file(session, [row.id for row in rows], scope, value, f"rule:{rule}", now, words)
        elif do == "silently":
            _read_by_everybody(session, [row for row in rows if row.created_at == now], scope)
        elif do in (reply_settings.FROM, reply_settings.SIGNATURE, reply_settings.HEADER):
            reply_settings.put(session, [row.id for row in rows], do, value, rule, now)


def _wishes(some: Iterable[Brought], binding: int | None) -> Iterator[Wish]:
    """What is to be answered by itself; the first rule to say so decides, and spam is not answered."""
    for one in some:
        wish = next((deed for deed in one.here if deed.do == "reply"), None)
        if wish is not None and not any(deed.do == "spam" for deed in one.here):
            template = int(wish.value)
            yield Wish(one.message, one.handed.scope, wish.rule, template, binding, one.sender, one.doubt)


def _tickets(session: Session, some: Sequence[Brought]) -> dict[tuple[str, int], Row[Any]]:
    found: dict[tuple[str, int], Row[Any]] = {}
    for scope in sorted({one.handed.scope for one in some}):
        for part in receipts.chunks({one.conversation for one in some if one.handed.scope == scope}):
            query = select(ticket).where(ticket.c.scope == scope, ticket.c.conversation.in_(part))
            found.update(((scope, row.conversation), row) for row in session.execute(query))
    return found


def _assign(session: Session, ids: Sequence[int], scope: str, to: str, by: str, now: int) -> None:
    """Give tickets of one scope to a person, or to those whose turn it is; nobody gets what he may not work on."""
    wanted = list(dict.fromkeys(ids))
    fit = assigning.may_work(session, scope)
    if to == rules.TURN:
        chosen = assigning.round_robin(session, scope, now, len(wanted))
    elif to == rules.LEAST:
        chosen = assigning.least_loaded(session, scope, now, len(wanted))
    else:
        gets = absences.standing_in(session, int(to), now, fit)
        chosen = [gets if gets in fit else None] * len(wanted)
    for id_, who in zip(wanted, chosen, strict=True):
        if who is not None:
            said = {"instead_of": int(to)} if to.isdecimal() and int(to) != who else {}
            change(session, id_, "assigned", by, {"assignee": who}, now, details=said)


def _file(session: Session, ids: Sequence[int], scope: str, reference: str, by: str, now: int, words: WordsOf) -> None:
    """File tickets under an open case in which this process takes part: what is outside may write any reference, and
    mail gets nowhere by it that it could not be seen from anyway."""
    of = cases.by_reference(session, reference)
    if of is None or of.state != cases.OPEN or scope not in {one.scope for one in cases.participants(session, of)}:
        return
    for id_ in dict.fromkeys(ids):
        with contextlib.suppress(CaseTrouble):  # it is restricted: whoever is named there may file it
            cases.file(session, of, cases.TICKET, str(id_), by, now, words=words)


def _read_by_everybody(session: Session, rows: Sequence[Row[Any]], scope: str) -> None:
    """What was archived silently is new to nobody who belongs there today."""
    kind, _, number = scope.partition(":")
    if kind == "process" and rows:
        members = session.scalars(select(membership.c.user).where(membership.c.process == int(number))).all()
        here = [{"user": who, "ticket": row.id, "at": row.last_at} for who in members for row in rows]
        insert_missing(session, seen, list({(one["user"], one["ticket"]): one for one in here}.values()))
