"""What can be done and where one can go, found by typing: a page, and with a script the palette over any page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive.people import processes
from archive.post import messages
from archive.search import hits, query, words
from archive.store.archive import Session
from archive.work import tickets

from .language import gettext, zone_name
from .rail import Entry, Rail, rail
from .visit import Visitor, office, visitor

blueprint = Blueprint("palette", __name__)

LISTED = 6  # people and conversations
_LONGEST = 200  # characters of what is typed


@dataclass(frozen=True, slots=True)
class Command:
    """Something one can choose: a place to go to, or what a form would send."""

    label: str
    url: str
    icon: str
    hint: str = ""
    form: tuple[tuple[str, str], ...] = ()  # what is sent; none: it is a link


@blueprint.get("/commands")
def show() -> ResponseReturnValue:
    """The commands whose words begin as typed (`q`), conversations that have them, and people one works with."""
    who, typed = visitor(), request.args.get("q", "").replace("\0", " ").strip()[:_LONGEST]
    with office().archive.reading() as session:
        people = colleagues(session, who)
        talks = _found(session, who, typed) if typed else _latest(session, who)
    groups = [
        (gettext("Go to"), fitting(_places(who), typed)),
        (gettext("Conversations"), talks),
        (gettext("How the pages look"), fitting(_looks(who), typed)),
        (gettext("Mail of people you work with"), fitting(people, typed)[:LISTED] if typed else []),
    ]
    if typed:
        search = Command(gettext("Search mail for “%(typed)s”", typed=typed), url_for("search.find", q=typed), "search")
        groups.append((gettext("Search"), [search]))
    template = "palette/part.html" if "part" in request.args else "palette/show.html"
    return render_template(template, begins=typed, groups=[group for group in groups if group[1]])


def fitting(some: Iterable[Command], typed: str) -> list[Command]:
    """Those of which each word typed begins one; accents and capitals do not matter."""
    wanted = words.tokens(words.without_accents(words.fold(typed)))
    found = []
    for one in some:
        has = words.tokens(words.without_accents(words.fold(f"{one.label} {one.hint}")))
        if all(any(word.startswith(begins) for word in has) for begins in wanted):
            found.append(one)
    return found


def _places(who: Visitor) -> list[Command]:
    beside = rail()
    found = [Command(one.name, one.url, "list") for one in _lists(beside)] if beside else []
    for process in who.processes:
        if beside and any(one.key == process.slug for one in beside.processes):
            label = gettext("How %(process)s is doing", process=process.name)
            found.append(Command(label, url_for("dashboards.show", slug=process.slug), "chart"))
    found += [
        Command(gettext("Search"), url_for("search.find"), "search"),
        Command(gettext("Set-up"), url_for("processes.show"), "mailbox", gettext("processes, addresses, people")),
        Command(gettext("Health"), url_for("health.show"), "pulse", gettext("mailboxes and watched folders")),
        Command(gettext("Absences"), url_for("absences.show"), "clock"),
        Command(gettext("Account"), url_for("profile.show"), "person", gettext("language, colours, password, keys")),
        Command(gettext("Your mailboxes"), url_for("mailboxes.show"), "mailbox"),
        Command(gettext("Keys"), url_for("profile.keys"), "keys"),
        Command(gettext("First steps"), url_for("tour.step", number=1), "info", gettext("five pages")),
    ]
    if who.user.admin:
        found += [
            Command(gettext("Organisation"), url_for("first_run.show"), "globe"),
            Command(gettext("Working hours"), url_for("working_hours.show"), "clock"),
            Command(gettext("Where mail goes"), url_for("routing.show"), "split", gettext("addresses, unclaimed mail")),
            Command(gettext("Addresses mail goes out from"), url_for("addresses.show"), "send", gettext("test mails")),
            Command(gettext("What comes next"), url_for("first_run.next_steps"), "right"),
        ]
    return found


def _lists(beside: Rail) -> tuple[Entry, ...]:
    return (*beside.views, *(one for one, _, _ in beside.states), *beside.processes)


def _looks(who: Visitor) -> list[Command]:
    def command(label: str, icon: str, name: str, value: str) -> Command:
        return Command(label, url_for("profile.look"), icon, "", ((name, value),))

    dense = who.user.density == "dense"
    lists = gettext("Cosy lists, three lines each") if dense else gettext("Dense lists, two lines each")
    return [
        command(lists, "list", "density", "" if dense else "dense"),
        command(gettext("Light colours"), "eye", "theme", "light"),
        command(gettext("Dark colours"), "eye", "theme", "dark"),
        command(gettext("Light colours, strong contrast"), "eye", "theme", "light-contrast"),
        command(gettext("Dark colours, strong contrast"), "eye", "theme", "dark-contrast"),
        command(gettext("Colours as the browser says"), "eye", "theme", ""),
    ]


def colleagues(session: Session, who: Visitor) -> list[Command]:
    """The people of the processes one reads, each as a search for what they wrote."""
    names = processes.members(session, [one.id for one in who.processes if who.reads(one)])
    some = sorted({name for members in names.values() for name in members})
    return [Command(name, url_for("search.find", q=f'from:"{name}"'), "person") for name in some if '"' not in name]


def _found(session: Session, who: Visitor, typed: str) -> list[Command]:
    """The conversations of the newest messages that have these words, the last of which may go on."""
    wanted = query.parse(going_on(typed))
    ids = hits.find(session, wanted, who.viewer, None, LISTED * 2, now=office().now(), zone=zone_name())
    found = messages.of_ids(session, ids, who.viewer)
    some = {found[id_].conversation: found[id_] for id_ in reversed(ids) if id_ in found}
    shown = [_talk(one.conversation, one.subject, one.from_name or one.from_address) for one in reversed(some.values())]
    return shown[:LISTED]


def _latest(session: Session, who: Visitor) -> list[Command]:
    some = tickets.page(session, who.viewer, who.scopes, None, LISTED)[:LISTED]
    return list({one.conversation: _talk(one.conversation, one.subject, one.people) for one in some}.values())


def _talk(conversation: int, subject: str, people: str) -> Command:
    url = url_for("conversations.show", id_=conversation)
    return Command(subject or gettext("No subject"), url, "right", people)


def going_on(typed: str) -> str:
    """What was typed, its last word perhaps not yet to its end."""
    return f"{typed}*" if typed and typed[-1].isalnum() and _goes_on(typed.split()) else typed


def _goes_on(typed: Sequence[str]) -> bool:
    """Whether the last word may go on: not in quotes that are open, nor behind an operator that takes no word."""
    name, colon, _ = typed[-1].lstrip("-").partition(":")
    return " ".join(typed).count('"') % 2 == 0 and (not colon or name.lower() in query.FIELDS)
