"""Finding mail again: what was typed, as it was understood, the messages that have it, and where they are."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from archive.post import messages
from archive.post.messages import Message
from archive.search import highlights, hits, query
from archive.search.highlights import Piece
from archive.search.hits import Count, Counts
from archive.store.archive import Session

from .conversations import number
from .language import gettext, zone_name
from .visit import Visitor, office, visitor

blueprint = Blueprint("search", __name__)

PAGE = 50
CHIPS = 20
SHOWN = 6  # of processes, people and years; the rest folds
BEST = "best"
_YEARS = range(1971, 2199)  # those that can be typed, and the one after
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


@dataclass(frozen=True, slots=True)
class Part:
    """A process, person or year that has some of what was found; what finds only these, and how many there are."""

    name: str
    typed: str
    count: Count


@blueprint.get("/search")
def find() -> ResponseReturnValue:
    """The messages found, a page of them: the newest first, or those that match best."""
    typed = typed_in(request.args)
    best = request.args.get("order") == BEST
    before, wanted, who = None if best else number("before"), query.parse(typed), visitor()
    now, zone = office().now(), zone_name()
    with office().archive.reading() as session:
        planned = hits.understand(session, wanted, who.viewer, now, zone)
        if best:
            ids = hits.best(session, wanted, who.viewer, PAGE, now=now, zone=zone)
        else:
            ids = hits.find(session, wanted, who.viewer, before, PAGE + 1, now=now, zone=zone)
        found = messages.of_ids(session, ids[:PAGE], who.viewer)
        shown = _hits(session, [found[id_] for id_ in ids[:PAGE] if id_ in found], wanted)
        counts = hits.count(session, wanted, who.viewer, now=now, zone=zone) if found else hits.Counts()
    return render_template(
        "search/find.html",
        typed=typed,
        asked=wanted.wanted,
        chips=chips(typed),
        notes=[gettext(note.text, **note.values) for note in planned.notes],
        found=shown,
        total=counts.total,
        parts=parts(typed, counts, who),
        shown=SHOWN,
        best=best,
        ranked=hits.RANKED,
        first=before is None,
        older=ids[PAGE - 1] if len(ids) > PAGE else None,
    )


def typed_in(args: Mapping[str, str]) -> str:
    """What was typed; the process one searched from (`in`) stands in it as if it had been typed as well."""
    typed = args.get("q", "").replace("\0", " ").strip()
    if typed and re.fullmatch(r"[a-z0-9-]{1,64}", args.get("in", "")):
        typed = f"process:{args['in']} {typed}"
    return typed[: query.LONGEST]


def _hits(session: Session, some: Sequence[Message], wanted: query.Query) -> list[Hit]:
    """Each with the words that were looked for where they stand: in its subject, its first lines or further down."""
    rows = [
        Hit(
            one,
            highlights.pieces(one.subject, wanted, "subject"),
            highlights.passage(one.snippet, wanted) or (Piece(one.snippet),),
        )
        for one in some
    ]
    unmarked = [row.message for row in rows if not any(piece.hit for piece in (*row.subject, *row.snippet))]
    elsewhere = [one.id for one in unmarked if one.reader]  # what could not be read is not tried here again
    of_texts = any(term.field in ("", "body") for term in wanted.terms)
    further = highlights.passages(office().archive, session, elsewhere, wanted) if of_texts else {}
    return [replace(row, snippet=further.get(row.message.id, row.snippet)) for row in rows]


def parts(typed: str, counts: Counts, who: Visitor) -> list[tuple[str, list[Part]]]:
    """What was found by process, sender and year, under its heading; nothing where all of it is one and the same."""
    typed, known = _finished(typed), {one.id: one for one in who.processes}
    of_processes = [
        Part(known[id_].name, f"{typed} process:{known[id_].slug}", one)
        for id_, one in counts.processes.items()
        if id_ in known
    ]
    people = [
        Part(name or address, f'{typed} from:"{address}"', one)
        for address, name, one in counts.people
        if address and '"' not in address
    ]
    years = [
        Part(str(year), f"{typed} after:{year} before:{year + 1}", one)
        for year, one in counts.years.items()
        if year in _YEARS
    ]
    headed = [(gettext("Process"), of_processes), (gettext("From"), people), (gettext("Year"), years)]
    return [(heading, some) for heading, some in headed if len(some) > 1]


def _finished(typed: str) -> str:
    """What was typed, so that more may stand behind it."""
    some = (typed + '"' * (typed.count('"') % 2)).split()
    while some and some[-1] in ("OR", "NOT", "-"):
        some.pop()
    return " ".join(some)


def chips(typed: str) -> list[Chip]:
    """The operators in what was typed, each with what would be left without it. What stands in quotes is none."""
    found = []
    for match in _OPERATOR.finditer(typed):
        if typed.count('"', 0, match.start()) % 2 == 0:
            left = typed[: match.start()] + typed[match.end() :]
            found.append(Chip(match[0], " ".join(left.replace("()", " ").split())))
    return found[:CHIPS]
