"""What came since a page was made, and who else is there, asked for every two seconds: no page is made for it."""

import re
from collections.abc import Sequence

from flask import Blueprint, Response, abort, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from archive.events import log
from archive.people import names
from archive.people.scopes import user_scope
from archive.store.archive import Session
from archive.work import comments, handing, tickets
from archive.work import news as news_of
from archive.work.tickets import Ticket

from . import desk, meanwhile, presence
from .conversations import number, place, worked_on
from .language import gettext, ngettext
from .visit import office, visitor

blueprint = Blueprint("live", __name__)

ROWS = 20  # of a list that are made anew at a time


@blueprint.get("/live")
def news() -> ResponseReturnValue:
    """Sentences about a list (`in`, `since`) and an open conversation (`talk`, `talk_since`), and the log's position.

    Who answers one (`talk`, `reply_since`) is told of what somebody else wrote there meanwhile.
    Whoever has a conversation before the eyes (`here`), or writes there (`writing`), is noted, and told who else does.
    204 where nothing at all has happened since position `at`, and who is there is known (`there`).
    """
    who = visitor()
    there = presence.note(who, number("talk")) if "here" in request.args else request.args.get("there", "")
    with office().archive.reading() as session:
        position = log.position(session)
        if position == number("at") and there == request.args.get("there", ""):
            return Response(status=204)
        where, since = place(who, request.args.get("in", "")), number("since")
        talk, talk_since, reply_since = number("talk"), number("talk_since"), number("reply_since")
        active: set[int] = set()
        changed: dict[int, int] = {}
        if where is not None and since is not None:
            active = tickets.active_since(session, who.viewer, where.scopes, since)
            changed = news_of.changed(session, who.viewer, where.scopes, number("at") or 0)
        wrote = ""
        if talk is not None and talk_since is not None:
            _, found = worked_on(session, who.viewer, talk)
            wrote = _wrote(session, [one for one in found if one.last_at > talk_since])
        if talk is not None and reply_since is not None:
            now_in, _ = worked_on(session, who.viewer, talk)
            wrote = "".join(one.says for one in meanwhile.since(session, who, now_in, reply_since)[-1:])
    count = len(active)
    return jsonify(
        at=position,
        rows=list(changed.items())[:ROWS],
        new=ngettext("%(num)d new: show", "%(num)d new: show", count) if count else "",
        wrote=wrote,
        there=there,
    )


def _wrote(session: Session, some: Sequence[Ticket]) -> str:
    """Who wrote last, a mail or a comment, on the first of these tickets on which something happened."""
    if not some:
        return ""
    last = max((one for one in comments.of_ticket(session, some[0].id)), key=lambda one: one.at, default=None)
    if last is None or last.at < some[0].last_at:
        return gettext("%(who)s wrote just now: show", who=some[0].people or gettext("Nobody named"))
    scope = user_scope(last.author)
    return gettext("%(who)s commented just now: show", who=names.of_scopes(session, {scope}).get(scope, ""))


@blueprint.get("/live/rows")
def rows() -> ResponseReturnValue:
    """The rows of some conversations (`talk`) as they stand in a list (`in`) now."""
    who, where = visitor(), place(visitor(), request.args.get("in", ""))
    if where is None:
        abort(404)
    talks = [int(one) for one in request.args.getlist("talk")[:ROWS] if re.fullmatch("[0-9]{1,19}", one)]
    with office().archive.reading() as session:
        every = [one for id_ in talks if id_ < 1 << 63 for one in tickets.of_conversation(session, who.viewer, id_)]
        found = [one for one in every if one.scope in where.scopes]
        marks = desk.rows(session, who, found, office().now())
        private = {one.conversation for one in found if one.scope == who.own_scope}
        shared = handing.shared(session, who.viewer, private) if private else ()
    return render_template("conversations/rows.html", tickets=found, place=where, rows=marks, shared=shared)
