"""Lists of conversations, and a conversation."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive.people import members, names, processes, scopes
from archive.people.processes import Process
from archive.people.roles import Role
from archive.people.scopes import Viewer
from archive.post import answers, conversations, messages
from archive.post.answers import Answered
from archive.store.archive import Session
from archive.work import cases, handing, merging, restricting, rulebook, splitting, tickets, views
from archive.work.cases import Filed
from archive.work.tickets import Cursor, Ticket
from archive.work.views import View

from . import answering, desk, handed_over, letters, mail_frame, strays
from .answering import Answering
from .desk import Choice, Desk, Item, Rows
from .handed_over import Handed
from .language import gettext, in_order
from .visit import Visitor, office, visitor

blueprint = Blueprint("conversations", __name__)

PAGE = 50  # conversations in a list, and mails of one conversation
BESIDE = 40  # conversations in the list beside one, so that the page stays light
_VIEW = ("in", "before", "at", "text", "pictures")  # what else the address of a conversation says


@dataclass(frozen=True, slots=True)
class Place:
    """A list one can be in."""

    key: str  # as `in=` names it
    title: str
    url: str
    scopes: tuple[str, ...]
    process: Process | None = None
    view: View = View.ALL

    @property
    def rail(self) -> str:
        """The line of the rail it belongs to."""
        return self.process.slug if self.process else self.key


TABS = (View.UNASSIGNED, View.OPEN, View.WAITING, View.DONE, View.ALL)  # of a process; it opens with what is open
# Of all that one works on.
VIEWS = (View.UNASSIGNED, View.MINE, View.WATCHING, View.MENTIONS, View.WAITING, View.DONE, View.SNOOZED)


def title_of(view: View) -> str:
    """What a list of this view is called."""
    return {
        View.UNASSIGNED: gettext("Unassigned"),
        View.OPEN: gettext("Open"),
        View.MINE: gettext("Assigned to you"),
        View.WATCHING: gettext("Watching"),
        View.MENTIONS: gettext("Mentions"),
        View.WAITING: gettext("Waiting"),
        View.DONE: gettext("Done"),
        View.SNOOZED: gettext("Snoozed"),
        View.ALL: gettext("All"),
    }[view]


def _of_process(one: Process, view: View) -> Place:
    show = None if view is View.OPEN else view.value
    url = url_for("conversations.of_process", slug=one.slug, show=show)
    key = one.slug if view is View.OPEN else f"{one.slug}.{view.value}"
    return Place(key, one.name, url, (scopes.process_scope(one.id),), one, view)


def place(who: Visitor, key: str) -> Place | None:
    """The list of this key, where the visitor has it."""
    if key == "all":
        url = url_for("conversations.everything")
        return Place("all", gettext("All mail"), url, who.scopes)
    if key == "mine":
        return Place("mine", gettext("My mail"), url_for("conversations.mine"), (who.own_scope,))
    slug, _, show = key.partition(".")  # no slug has a dot
    if not slug:
        view = next((one for one in VIEWS if one.value == show), None)
        url = url_for("conversations.view", name=show) if view else ""
        # Nobody's are those of processes: one's own private mail is one's own.
        some = tuple(one for one in who.scopes if one != who.own_scope) if view is View.UNASSIGNED else who.scopes
        return Place(key, title_of(view), url, some, view=view) if view else None
    tab = next((one for one in TABS if one.value == (show or View.OPEN.value)), None)
    return next((_of_process(one, tab) for one in who.processes if one.slug == slug), None) if tab else None


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of a list."""

    place: Place
    tickets: list[Ticket]
    newest: int  # when anything last happened in the whole list, UTC ms
    after: Cursor | None  # this page begins after it; None: the first page
    older: Cursor | None  # the next page begins after it
    shared: frozenset[int] = frozenset()  # conversations of one's own mail that others see, too
    tabs: tuple[tuple[Place, str, int | None], ...] = ()  # the lists of the process, what they are called and hold
    rows: Rows = field(default_factory=Rows)
    able: tuple[Choice, ...] = ()  # to whom several at once may be assigned


def listed(session: Session, who: Visitor, where: Place, count: int = PAGE) -> Listed:
    """The page of a list that the request asks for, of so many conversations."""
    after = Cursor.read(request.args.get("after", ""))
    now = office().now()
    found = views.page(session, who.viewer, where.view, where.scopes, now, after, count)
    last = found[count - 1] if len(found) > count else None
    newest = found[0].last_at if found and after is None else tickets.newest(session, who.viewer, where.scopes)
    private = {one.conversation for one in found if one.scope == who.own_scope}
    shared = handing.shared(session, who.viewer, private) if private else ()
    older = Cursor(last.last_at, last.id) if last else None
    tabs: list[tuple[Place, str, int | None]] = []
    if where.process is not None:
        counted = views.counts(session, who.viewer, TABS[:3], where.scopes, now)
        tabs = [(_of_process(where.process, one), title_of(one), counted.get(one)) for one in TABS]
    rows = desk.rows(session, who, found[:count], now)
    able = desk.colleagues(session, who, where.process)
    return Listed(where, found[:count], newest, after, older, frozenset(shared), tuple(tabs), rows, able)


@blueprint.get("/")
def everything() -> ResponseReturnValue:
    """All that one may see."""
    return _list("all")


@blueprint.get("/mine")
def mine() -> ResponseReturnValue:
    """What came from one's own mailbox."""
    return _list("mine")


@blueprint.get("/processes/<slug>")
@blueprint.get("/processes/<slug>/<any(unassigned, waiting, done, all):show>")
def of_process(slug: str, show: str = "") -> ResponseReturnValue:
    """What came to a process, and is open, or in another state."""
    return _list(f"{slug}.{show}".rstrip(".") if slug not in ("all", "mine") else "")


@blueprint.get("/views/<any(unassigned, mine, watching, mentions, waiting, done, snoozed):name>")
def view(name: str) -> ResponseReturnValue:
    """The tickets of all that one works on, by state."""
    return _list(f".{name}")


def _list(key: str) -> ResponseReturnValue:
    who = visitor()
    where = place(who, key)
    if where is None:
        abort(404)
    with office().archive.reading() as session:
        page = listed(session, who, where)
        of = [where.process.id] if where.process else []
        some = processes.members(session, of)
        assumed = members.assumed(session, of, office().now())
        lost = handed_over.lost(session, who, where.scopes, office().now())
    reads = some.get(where.process.id, ()) if where.process else ()
    told = assumed.get(where.process.id, []) if where.process else []
    return render_template("conversations/list.html", page=page, members=reads, assumed=told, lost=lost)


@blueprint.get("/conversations/<number:id_>")
def show(id_: int) -> ResponseReturnValue:
    """A conversation, the mails oldest first, beside the list one came from; it counts as read from now on."""
    who, archive = visitor(), office().archive
    with archive.reading() as session:
        now, found = worked_on(session, who.viewer, id_)
        if not found:
            return _without_ticket(session, who, id_)
        if now != id_:
            wanted: dict[str, Any] = {name: request.args[name] for name in _VIEW if name in request.args}
            return redirect(url_for("conversations.show", id_=now, **wanted), 301)
        where = place(who, request.args.get("in", "")) or natural_place(who, found)
        if (into := _merged_into(session, who, found)) is not None:
            kept: dict[str, Any] = {"in": where.key}
            return redirect(url_for("conversations.show", id_=into, **kept), 302)
        talk = _talk(session, who, id_, found, where)
    # What a browser fetches in advance nobody has read yet.
    if any(one.unread for one in found) and "prefetch" not in request.headers.get("Sec-Purpose", ""):
        with archive.transaction() as session:
            tickets.mark_seen(session, who.user.id, [one for one in found if _marks(who, one)])
    with archive.reading() as session:
        page = listed(session, who, where, BESIDE)
    return render_template("conversations/show.html", page=page, talk=talk)


def _without_ticket(session: Session, who: Visitor, id_: int) -> ResponseReturnValue:
    """A test mail of ours (`archive.outgoing.canaries`) is nobody's work; what it says are its headers."""
    alone = messages.of_conversation(session, id_, who.viewer, None, 1)
    if not alone:
        abort(404)
    return redirect(url_for("messages.header", id_=alone[0].id), 302)


def _merged_into(session: Session, who: Visitor, found: list[Ticket]) -> int | None:
    """The conversation where people work on it, where all that the visitor has on it is part of other tickets."""
    if any(one.merged_into is None for one in found):
        return None
    kept = tickets.of_ids(session, who.viewer, [one.merged_into for one in found if one.merged_into])
    return kept[0].conversation if kept else None


def _marks(who: Visitor, one: Ticket) -> bool:
    """Whether reading it counts: what an auditor reads stays new to those whose it is, and to the auditor, too."""
    return not who.viewer.auditor or who.viewer.belongs(one.scope)


def worked_on(session: Session, viewer: Viewer, id_: int) -> tuple[int, list[Ticket]]:
    """The id that a conversation has now, another's where it was joined, and the tickets on it that may be seen.

    Without a ticket there is nothing to be seen, and nothing is said of whether it was ever there.
    """
    found = tickets.of_conversation(session, viewer, id_)
    into = None if found else conversations.now_in(session, id_)
    return (id_, found) if into is None else (into, tickets.of_conversation(session, viewer, into))


def natural_place(who: Visitor, found: list[Ticket]) -> Place:
    """The list where somebody would look for a conversation."""
    scope = found[0].scope
    process = who.process_of(scope)
    where = place(who, process.slug if process else "mine" if scope == who.own_scope else "all")
    if where is None:
        raise LookupError(scope)
    return where


@dataclass(frozen=True, slots=True)
class Reach:
    """Who sees mails of a conversation, and where those came from."""

    name: str  # of the process or case, or that it is the visitor, alone or not
    private: bool  # nobody else sees it
    process: Process | None
    members: tuple[str, ...]
    bindings: tuple[str, ...]
    import_mode: bool  # all of it was there before
    reasons: tuple[str, ...]  # which address or rule brought it there


@dataclass(frozen=True, slots=True)
class Shown:
    """A mail as it stands in a conversation."""

    letter: letters.Letter
    unfolded: bool
    first_new: bool  # all before it had been read when one was last here
    as_text: bool
    frame: str  # where its HTML is shown
    pictures: bool  # remote ones are loaded
    reach: tuple[str, ...]  # the processes it came to, where not all mails came to the same


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation for a page."""

    id: int
    subject: str
    count: int  # mails the visitor may see
    mails: list[Shown]
    earlier: int | None  # there are earlier mails, before this one
    later: bool
    newest: int  # when anything last happened in it, UTC ms
    reach: list[Reach]
    handed: list[Handed]  # so far as the visitor may know of it
    may_hand_over: bool
    restricted_to: list[str] | None  # the names of those who see it; None: it is not restricted
    may_restrict: bool
    cases: list[Filed]  # that may be seen
    may_file: bool
    answered: Mapping[int, Answered]  # by message, the first answer to it
    latest_answer: Answered | None
    ours: set[int]  # messages that went out from us
    from_us: set[int]  # that say so: nobody has to answer those either
    split_after: int | None  # the mails of this conversation behind this one can be split off
    desk: Desk
    thread: list[Item]  # mails, comments and steps in the order of time
    answering: Answering
    strays: list[strays.Asked]


def _talk(session: Session, who: Visitor, id_: int, found: list[Ticket], where: Place) -> Talk:
    before = number("before")
    with_it = merging.conversations(session, [one.id for one in found])
    some = messages.of_conversation(session, id_, who.viewer, before, PAGE + 1, with_it)
    if not some:
        abort(404)
    earlier = some[1].id if len(some) > PAGE else None
    some = some[-PAGE:]
    reached = messages.deliveries(session, [one.id for one in some], who.viewer)
    seen = tickets.seen_until(session, who.user.id, found)
    at, as_text, pictures = number("at"), number("text"), number("pictures")
    everywhere = {one.scope for deliveries in reached.values() for one in deliveries}
    handed = handed_over.of_conversation(session, who, id_, office().now())
    called = _names(session, who, everywhere, handed)
    mails: list[Shown] = []
    some_new = False
    for one, letter in zip(some, letters.letters(office().archive, session, some), strict=True):
        came_to = reached.get(one.id, [])
        new = seen is None or any(delivery.at > seen for delivery in came_to)
        partly = {delivery.scope for delivery in came_to} != everywhere
        mails.append(
            Shown(
                letter,
                new or one.id in (at, as_text, pictures, some[-1].id),
                new and seen is not None and bool(mails) and not some_new,
                one.id == as_text,
                mail_frame.address(who.user.id, one.id, pictures=one.id == pictures),
                one.id == pictures,
                tuple(called.get(delivery.scope, "") for delivery in came_to) if partly else (),
            )
        )
        some_new = some_new or new
    count, newest = max(one.messages for one in found), max(one.last_at for one in found)
    subject = next((one.subject for one in found if one.subject), "")
    reach = _reach(session, who, [one for deliveries in reached.values() for one in deliveries], called)
    may_hand_over = bool(handing.sources(session, who.viewer, id_))
    count = max(count, len(mails))
    there = restricting.of_conversation(session, who.viewer, id_)
    named = names.of_scopes(session, map(scopes.user_scope, there.members)) if there else {}
    on_it = desk.of(session, who, found, where.scopes, office().now())
    unanswered = desk.not_answered(session, found, [one.id for one in some])
    filed = cases.of_conversation(session, who.viewer, id_)
    answered = answers.of(session, [one.id for one in some], who.viewer)
    latest = max(answered.values(), key=lambda one: one.at, default=None)
    ours = answers.of_ours(session, [one.id for one in some])
    from_us = answers.of_our_addresses(session, {one.id: one.from_address for one in some})
    split_after = splitting.whole_up_to(session, id_, who.viewer) if on_it.may_work else None
    return Talk(
        id_, subject, count, mails, earlier, before is not None, newest, reach, handed, may_hand_over,
        in_order(named.values()) if there else None, restricting.may_restrict(session, who.viewer, id_),
        filed, any(who.viewer.may(Role.WORKS, one.scope) for one in found), answered, latest, ours,
        from_us, split_after,
        on_it, desk.thread(mails, on_it, earlier is not None, before is not None, unanswered),
        answering.of_conversation(session, who, id_), strays.of_conversation(session, who, id_),
    )  # fmt: skip


def number(name: str) -> int | None:
    """A number the request gives; None where it gives none."""
    return number_in(request.values.get(name, ""))


def number_in(text: str) -> int | None:
    """The number that a text is, of at most 63 bits; None where it is none."""
    fine = text.isascii() and text.isdigit() and len(text) < 20 and int(text) < 1 << 63
    return int(text) if fine else None


def _names(session: Session, who: Visitor, some: set[str], handed: list[Handed]) -> dict[str, str]:
    """What scopes are called for the visitor."""
    called = names.of_scopes(session, some)
    shared = any(who.own_scope in (each.one.from_scope, each.one.to_scope) for each in handed)
    called[who.own_scope] = gettext("you") if shared else gettext("you alone")
    return called


def _reach(
    session: Session, who: Visitor, deliveries: list[messages.Delivery], called: Mapping[str, str]
) -> list[Reach]:
    sources: dict[str, dict[str, None]] = {}
    for one in deliveries:
        came_from = sources.setdefault(one.scope, {})
        if one.hand_over is None:  # else whose mailbox it came from is nobody's business
            came_from[one.binding] = None
    of_processes = {scope: who.process_of(scope) for scope in sources}
    reading = processes.members(session, [one.id for one in of_processes.values() if one])
    rules = rulebook.names(session, {one.rule for one in deliveries if one.rule is not None})
    return [
        Reach(
            called.get(scope, ""),
            scope == who.own_scope and called[scope] == gettext("you alone"),
            process,
            reading.get(process.id, ()) if process else (),
            tuple(sources[scope]),
            all(one.import_mode for one in deliveries if one.scope == scope),
            tuple(
                dict.fromkeys(_reason(one, rules) for one in deliveries if one.scope == scope and one.reason in _WHY)
            ),
        )
        for scope, process in of_processes.items()
    ]


_WHY = ("address", "unrouted", "rule")


def _reason(one: messages.Delivery, rules: Mapping[int, str]) -> str:
    """What brought a mail to where it is, beside the folder it came from."""
    if one.reason == "address":
        return gettext("It was sent to %(address)s.", address=one.address or "")
    if one.reason == "rule":
        return gettext("The rule “%(name)s” brought it here.", name=rules.get(one.rule or 0, ""))
    return gettext("No address claimed it, and this is where such mail goes.")


@blueprint.post("/conversations/<number:id_>/unread")
def unread(id_: int) -> ResponseReturnValue:
    """Mark a conversation as not read, or (`until`) what came after that time; and go back to the list."""
    until = number("until")
    return _mark(id_, "unread", lambda session, user, found: tickets.mark_unread(session, user, found, until))


@blueprint.post("/conversations/<number:id_>/read")
def read(id_: int) -> ResponseReturnValue:
    """Mark a conversation as read without opening it, and go back to the list."""
    return _mark(id_, "read", tickets.mark_seen)


def _mark(id_: int, done: str, mark: Callable[[Session, int, list[Ticket]], None]) -> ResponseReturnValue:
    who = visitor()
    with office().archive.transaction() as session:
        now, found = worked_on(session, who.viewer, id_)
        until = tickets.seen_until(session, who.user.id, found)
        mark(session, who.user.id, found)
    if not found:
        abort(404)
    where = place(who, request.form.get("in", "")) or natural_place(who, found)
    if "undo" not in request.form:  # what undoes it needs no undoing
        flash(json.dumps({"done": done, "id": str(now), "until": until, "in": where.key}), "marked")
    return redirect(where.url, 303)
