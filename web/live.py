"""What came since a page was made, asked for every two seconds: cheap, and no page is made for it."""

import re

from flask import Blueprint, Response, abort, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from archive.events import log
from archive.work import handing, tickets
from archive.work import news as news_of

from . import desk
from .conversations import number, place, worked_on
from .language import gettext, ngettext
from .visit import office, visitor

blueprint = Blueprint("live", __name__)

ROWS = 20  # of a list that are made anew at a time


@blueprint.get("/live")
def news() -> ResponseReturnValue:
    """Sentences about a list (`in`, `since`) and an open conversation (`talk`, `talk_since`), and the log's position.

    204 where nothing at all has happened since position `at`: one look at the end of an index.
    """
    who = visitor()
    with office().archive.reading() as session:
        position = log.position(session)
        if position == number("at"):
            return Response(status=204)
        where, since = place(who, request.args.get("in", "")), number("since")
        talk, talk_since = number("talk"), number("talk_since")
        active: set[int] = set()
        changed: dict[int, int] = {}
        if where is not None and since is not None:
            active = tickets.active_since(session, who.viewer, where.scopes, since)
            changed = news_of.changed(session, who.viewer, where.scopes, number("at") or 0)
        wrote = []
        if talk is not None and talk_since is not None:
            _, found = worked_on(session, who.viewer, talk)
            wrote = [one.people for one in found if one.last_at > talk_since]
    count = len(active)
    return jsonify(
        at=position,
        rows=list(changed.items())[:ROWS],
        new=ngettext("%(num)d new: show", "%(num)d new: show", count) if count else "",
        wrote=gettext("%(who)s wrote just now: show", who=wrote[0] or gettext("Nobody named")) if wrote else "",
    )


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
