"""Finding mail again: what was typed, and the messages that have it, newest first."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from archive.post import messages
from archive.search import fts5, query

from .visit import office, visitor

blueprint = Blueprint("search", __name__)

PAGE = 50


@blueprint.get("/search")
def find() -> ResponseReturnValue:
    """The messages found, a page of them."""
    typed = request.args.get("q", "").replace("\0", " ").strip()[: query.LONGEST]
    before = request.args.get("before", "")
    after = int(before) if before.isascii() and before.isdigit() and len(before) < 20 else None
    wanted, who = query.parse(typed), visitor()
    with office().archive.reading() as session:
        ids = fts5.find(session, wanted, who.viewer, after, PAGE + 1)
        found = messages.of_ids(session, ids[:PAGE], who.viewer)
    return render_template(
        "search/find.html",
        typed=typed,
        asked=bool(wanted.wanted),
        found=[found[id_] for id_ in ids[:PAGE] if id_ in found],
        first=after is None,
        older=ids[PAGE - 1] if len(ids) > PAGE else None,
    )
