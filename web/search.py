"""Finding mail again: what was typed, as it was understood, and the messages that have it, newest first."""

import re
from dataclasses import dataclass

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from archive.post import messages
from archive.post.messages import Message
from archive.search import fts5, highlights, query
from archive.search.highlights import Piece

from .conversations import number
from .language import gettext, zone_name
from .visit import office, visitor

blueprint = Blueprint("search", __name__)

PAGE = 50
CHIPS = 20
# One of the operators, and what belongs to it; not within a word.
_OPERATOR = re.compile(
    rf'(?<![^\s(])[-\u2212]?(?P<name>{"|".join(query.OPERATORS)}):[ ]?(?P<value>"[^"]*"?|[^\s()"]+)', re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Chip:
    """A part of what was typed that narrows the search, and what is left without it."""

    text: str
    without: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A message that was found, with what it was found by."""

    message: Message
    subject: tuple[Piece, ...]
    snippet: tuple[Piece, ...]


@blueprint.get("/search")
def find() -> ResponseReturnValue:
    """The messages found, a page of them."""
    typed = request.args.get("q", "").replace("\0", " ").strip()[: query.LONGEST]
    before, wanted, who = number("before"), query.parse(typed), visitor()
    with office().archive.reading() as session:
        planned = fts5.understand(session, wanted, who.viewer, office().now(), zone_name())
        ids = fts5.find(session, wanted, who.viewer, before, PAGE + 1, now=office().now(), zone=zone_name())
        found = messages.of_ids(session, ids[:PAGE], who.viewer)
    return render_template(
        "search/find.html",
        typed=typed,
        asked=wanted.wanted,
        chips=chips(typed),
        notes=[gettext(note.text, **note.values) for note in planned.notes],
        found=[_hit(found[id_], wanted) for id_ in ids[:PAGE] if id_ in found],
        first=before is None,
        older=ids[PAGE - 1] if len(ids) > PAGE else None,
    )


def _hit(message: Message, wanted: query.Query) -> Hit:
    subject = highlights.pieces(message.subject, wanted, "subject")
    return Hit(message, subject, highlights.pieces(message.snippet, wanted, "body"))


def chips(typed: str) -> list[Chip]:
    """The operators in what was typed, each with what would be left without it. What stands in quotes is none."""
    found = []
    for match in _OPERATOR.finditer(typed):
        if typed.count('"', 0, match.start()) % 2 == 0:
            left = typed[: match.start()] + typed[match.end() :]
            found.append(Chip(match[0], " ".join(left.replace("()", " ").split())))
    return found[:CHIPS]
