"""The rail: what stands beside every page, with what is new in it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from flask import Flask, url_for

from archive.people import scopes
from archive.people.roles import Role
from archive.post import bindings, lateness
from archive.post.lateness import Late
from archive.search import query
from archive.work import tickets, views
from archive.work.views import View

from . import moments
from .language import gettext, in_order
from .visit import Visitor, office, visitor_or_none

COUNTED = 100  # more than that is not counted exactly


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the rail."""

    key: str  # as `in=` names the list
    name: str
    url: str
    unread: int
    number: int  # of the process; 0 for a view


@dataclass(frozen=True, slots=True)
class Rail:
    """Views, processes, and which bindings are in trouble."""

    views: tuple[Entry, ...]
    processes: tuple[Entry, ...]
    cases: Entry
    states: tuple[tuple[Entry, str, str], ...]  # what is to be done, with a symbol and what a key does
    troubled: int
    late: tuple[Late, ...]  # of those one looks after, the longest first
    rules: bool  # there are rules that one may change


def prepare(app: Flask) -> None:
    """Let templates ask for the rail."""
    app.context_processor(lambda: {"visitor": visitor_or_none(), "make_rail": rail})
    app.jinja_env.globals["operators"] = "|".join(query.OPERATORS)
    app.jinja_env.globals["later_times"] = moments.later
    app.jinja_env.filters["from_json"] = json.loads


def rail() -> Rail | None:
    """The rail of who is signed in."""
    visitor = visitor_or_none()
    if visitor is None:
        return None
    with office().archive.reading() as session:
        counted = views.counts(session, visitor.viewer, set(_STATES) - {View.DONE}, visitor.scopes, office().now())
        unread = tickets.unread(session, visitor.viewer, visitor.viewer.own_scopes, COUNTED)
        troubled = sum(1 for one in bindings.in_trouble(session) if may_look_after(visitor, one))
        late = tuple(one for one in lateness.late(session, office().now()) if may_look_after(visitor, one.binding))
    everything = Entry(
        "all", gettext("All mail"), url_for("conversations.everything"), len(set().union(*unread.values())), 0
    )
    mine = Entry("mine", gettext("My mail"), url_for("conversations.mine"), len(unread.get(visitor.own_scope, ())), 0)
    sent = Entry("outbox", gettext("Outbox"), url_for("writing.show_outbox"), 0, 0)
    begun = Entry("drafts", gettext("Drafts"), url_for("drafts.show"), 0, 0)
    return Rail(
        (everything, mine, sent, begun),
        tuple(
            Entry(
                one.slug,
                one.name,
                url_for("conversations.of_process", slug=one.slug),
                len(unread.get(scopes.process_scope(one.id), ())),
                one.id,
            )
            for one in in_order(visitor.processes, "name")
        ),
        Entry("cases", gettext("Cases"), url_for("cases.everything"), 0, 0),
        _states(counted),
        troubled,
        late,
        may_write_rules(visitor),
    )


def may_write_rules(visitor: Visitor) -> bool:
    """Who has anything to do with rules: admins, and who manages a process."""
    return visitor.user.admin or any(role >= Role.MANAGES for _, role in visitor.viewer.roles)


_STATES = {
    View.UNASSIGNED: "unassigned",
    View.MINE: "person",
    View.WATCHING: "eye",
    View.MENTIONS: "comment",
    View.WAITING: "clock",
    View.DONE: "done",
    View.SNOOZED: "snooze",
}


def _states(counted: Mapping[View, int]) -> tuple[tuple[Entry, str, str], ...]:
    """How many are done is of no use, and nobody needs an empty list of what is out of the way."""
    called = {
        View.UNASSIGNED: gettext("Unassigned"),
        View.MINE: gettext("Assigned to you"),
        View.WATCHING: gettext("Watching"),
        View.MENTIONS: gettext("Mentions"),
        View.WAITING: gettext("Waiting"),
        View.DONE: gettext("Done"),
        View.SNOOZED: gettext("Snoozed"),
    }
    return tuple(
        (
            Entry(
                f".{view.value}",
                called[view],
                url_for("conversations.view", name=view.value),
                0 if view is View.DONE else counted.get(view, 0),
                0,
            ),
            symbol,
            f"view-{view.value}",
        )
        for view, symbol in _STATES.items()
        if view is not View.SNOOZED or counted.get(view)
    )


def may_look_after(visitor: Visitor, one: bindings.Binding) -> bool:
    """Whose health page shows a binding: admins see all, others those of their processes and their own mailboxes.

    A desk stands in somebody's own mailbox, whose folders are nobody's business in the process it hands mail to.
    """
    if one.desk_of is not None:
        return visitor.user.admin or one.mailbox.owner == visitor.user.id
    return visitor.user.admin or visitor.viewer.belongs(one.scope) or one.mailbox.owner == visitor.user.id
