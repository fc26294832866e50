"""What comes while one types into the search field: mail that has it, people, processes, tags, cases. Nothing one may
not see."""

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive.post import messages
from archive.search import hits, query, words
from archive.store.archive import Session
from archive.work import cases, tags

from .language import gettext, zone_name
from .palette import Command, going_on
from .search import typed_in
from .visit import Visitor, office, visitor

blueprint = Blueprint("suggestions", __name__)

MAIL, PEOPLE, PROCESSES, TAGS, CASES = 6, 4, 4, 3, 3  # of each so many
_LOOKED_AT = 30  # messages whose senders are suggested
_SHORTEST = 2  # letters
_SENDERS = ("from", "to", "cc")


@blueprint.get("/search/suggestions")
def show() -> ResponseReturnValue:
    """Suggestions for what is typed so far, as a list."""
    who, typed = visitor(), typed_in(request.args)
    groups: list[tuple[str, list[Command]]] = []
    if typed:
        before, _, last = typed.rpartition(" ")
        with office().archive.reading() as session:
            groups = [
                (
                    gettext("Narrow it down"),
                    [
                        *_processes(who, before, last),
                        *_people(session, who, before, last),
                        *_tags(session, who, before, last),
                        *_cases(session, who, before, last),
                    ],
                ),
                (gettext("Mail"), _mail(session, who, typed)),
            ]
        all_ = Command(gettext("All mail with “%(typed)s”", typed=typed), url_for("search.find", q=typed), "search")
        groups.append((gettext("Search"), [all_]))
    return render_template("palette/part.html", begins=typed, groups=[group for group in groups if group[1]])


def _mail(session: Session, who: Visitor, typed: str) -> list[Command]:
    wanted = query.parse(going_on(typed))
    ids = hits.find(session, wanted, who.viewer, None, MAIL, now=office().now(), zone=zone_name())
    found = messages.of_ids(session, ids, who.viewer)
    return [
        Command(
            found[id_].subject or gettext("No subject"),
            url_for("messages.show", id_=id_),
            "right",
            found[id_].from_name or found[id_].from_address,
        )
        for id_ in ids
        if id_ in found
    ]


def _processes(who: Visitor, before: str, last: str) -> list[Command]:
    """The processes one reads whose name begins as the last word does."""
    name, colon, value = last.partition(":")
    begins = _folded(value if colon and name.lower() in ("process", "in") else "" if colon else last)
    if len(begins) < _SHORTEST and not colon:
        return []
    if colon and name.lower() not in ("process", "in"):
        return []
    fit = [one for one in who.processes if who.reads(one) and _folded(one.name).startswith(begins)]
    return [
        Command(
            gettext("Only mail of %(process)s", process=one.name),
            url_for("search.find", q=f"{before} process:{one.slug}".strip()),
            "mailbox",
            f"process:{one.slug}",
        )
        for one in fit[:PROCESSES]
    ]


def _people(session: Session, who: Visitor, before: str, last: str) -> list[Command]:
    """Senders of the newest mail whose name or address has a word that begins as the last one does."""
    name, colon, value = last.partition(":")
    operator = name.lower() if colon else "from"
    begins = value if colon else last
    if operator not in _SENDERS or len(begins) < _SHORTEST or not begins.isalnum():
        return []
    ids = hits.find(session, query.parse(f"from:{begins}*"), who.viewer, None, _LOOKED_AT, now=office().now())
    found = messages.of_ids(session, ids, who.viewer)
    senders: dict[str, str] = {}
    for id_ in ids:
        if id_ in found and found[id_].from_address and '"' not in found[id_].from_address:
            senders.setdefault(found[id_].from_address, found[id_].from_name)
    return [
        Command(
            _SAYS[operator](shown or address),
            url_for("search.find", q=f'{before} {operator}:"{address}"'.strip()),
            "person",
            address if shown else "",
        )
        for address, shown in list(senders.items())[:PEOPLE]
    ]


def _tags(session: Session, who: Visitor, before: str, last: str) -> list[Command]:
    """Tags on tickets one sees that begin as the last word does."""
    begins = _value(last, "tag")
    if begins is None:
        return []
    return [
        Command(
            gettext("Only what has the tag “%(tag)s”", tag=one.name),
            url_for("search.find", q=f'{before} tag:"{one.name}"'.strip()),
            "flag",
            f"tag:{one.name}",
        )
        for one in tags.beginning(session, who.viewer, begins, TAGS)
        if '"' not in one.name
    ]


def _cases(session: Session, who: Visitor, before: str, last: str) -> list[Command]:
    """Cases one takes part in whose reference or title has a word that begins as the last one does."""
    begins = _value(last, "case")
    if begins is None:
        return []
    return [
        Command(
            gettext("Only mail of the case %(case)s", case=one.reference),
            url_for("search.find", q=f'{before} case:"{one.reference}"'.strip()),
            "case",
            one.title,
        )
        for one in cases.page(session, who.viewer, text=begins, limit=CASES)[:CASES]
        if '"' not in one.reference
    ]


def _value(last: str, operator: str) -> str | None:
    """What was typed of a value, behind its operator or without one; None where it is another's, or too short."""
    name, colon, value = last.partition(":")
    if colon:
        return value if name.lower() == operator else None
    return last if len(last) >= _SHORTEST else None


_SAYS = {
    "from": lambda who: gettext("Mail from %(who)s", who=who),
    "to": lambda who: gettext("Mail to %(who)s", who=who),
    "cc": lambda who: gettext("Mail with a copy to %(who)s", who=who),
}


def _folded(text: str) -> str:
    return words.without_accents(words.fold(text)).lower()
