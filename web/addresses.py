"""Addresses that mail goes out from, and whether their way is open: test mails to themselves. For admins and managers.

The pages talk to no mail server: a test is asked for in the database, and the gateway sends it (`gateway.canaries`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Flask, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive.outgoing import canaries, identities
from archive.outgoing.canaries import Canary
from archive.outgoing.identities import Identity
from archive.people import names
from archive.people.roles import Role
from archive.post import bindings, messages, troubles
from archive.post.bindings import Mailbox
from archive.store.archive import Session

from . import health
from .language import gettext, number
from .visit import Visitor, office, visitor

blueprint = Blueprint("addresses", __name__)

ROWS = 25  # addresses on a page


def _say(text: str) -> str:
    """Marks a sentence for the catalogues."""
    return text


# What a receiving server says (RFC 8601 2.7), with its tone; of several signatures one that passed is enough.
_WORDS: Mapping[str, tuple[str, str]] = {
    "pass": ("ok", _say("passed")),
    "fail": ("bad", _say("failed")),
    "softfail": ("warn", _say("doubtful")),
    "neutral": ("warn", _say("neither yes nor no")),
    "none": ("warn", _say("nothing is set up")),
    "temperror": ("warn", _say("could not be checked")),
    "permerror": ("bad", _say("set up wrongly")),
}
_REMEDIES: Mapping[str, str] = {
    "spf": _say("Let the SPF record of %(domain)s name the server that sends."),
    "dkim": _say("Let the server that sends sign its mail for %(domain)s with DKIM."),
    "dmarc": _say("Publish a DMARC record for %(domain)s; SPF or DKIM has to pass for that domain itself."),
}
_OFTEN: Mapping[str, str] = {
    "never": _say("never"),
    "hourly": _say("every hour"),
    "6h": _say("every 6 hours"),
    "daily": _say("every day"),
}


@dataclass(frozen=True, slots=True)
class Check:
    """What the receiving server found out."""

    name: str
    tone: str
    says: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Tried:
    """An address, and how the last test of it went."""

    identity: Identity
    whose: str
    box: Mailbox
    last: Canary | None
    state: str  # of `canaries`; "unseen": nobody can see it arrive; "" where it was never tried
    says: str
    remedy: str
    way: str
    checks: tuple[Check, ...]
    by: str  # who asked for it, where a person did
    mail: int | None  # as which it arrived, where the visitor sees that
    may: bool  # the visitor may try it

    @property
    def goes_on(self) -> bool:
        """Whether there is something to wait for."""
        return self.state in (canaries.ASKED, canaries.TAKEN)

    @property
    def often(self) -> str:
        """How often it is tried by itself, as `canaries.EVERY` names it."""
        every = self.identity.canary_every
        return next((name for name, ms in canaries.EVERY.items() if ms == every), "")


def shown_to(who: Visitor, one: Identity) -> bool:
    """Who sees how an address is: admins, and who manages the process whose it is; one's own."""
    return who.user.admin or who.viewer.may(Role.MANAGES, one.scope)


def _may_try(who: Visitor, one: Identity, box: Mailbox) -> bool:
    """Nobody but its owner lets mail come to a private mailbox."""
    return shown_to(who, one) and box.owner in (None, who.user.id)


@blueprint.get("/organisation/addresses")
def show() -> ResponseReturnValue:
    """The addresses one looks after, with how the last test of each went."""
    who, start, only = visitor(), health.number_of("from"), health.number_of("only")
    with office().archive.reading() as session:
        every = _every(session, who)
        if not every and not who.user.admin:
            abort(404)
        some = [one for one in every if one.id == only] if only else every[start : start + ROWS]
        tried = list(_tried(session, who, some))
    more = start + ROWS if not only and len(every) > start + ROWS else None
    return render_template("addresses/show.html", tried=tried, start=start, more=more, often=_OFTEN)


def _every(session: Session, who: Visitor) -> list[Identity]:
    return [one for one in identities.every(session) if shown_to(who, one)]


def _tried(session: Session, who: Visitor, some: list[Identity]) -> Iterator[Tried]:
    now = office().now()
    last = canaries.latest(session, [one.id for one in some])
    seen = canaries.watched(session, some)
    people = {one.asked_by for one in last.values() if one.asked_by.startswith("user:")}
    called = names.of_scopes(session, {one.scope for one in some} | people)
    boxes = {one.id: one for one in bindings.mailboxes(session)}
    came = messages.of_ids(session, [one.message for one in last.values() if one.message is not None], who.viewer)
    for one in some:
        box, test = boxes[one.mailbox], last.get(one.id)
        state = _state(test, one.id in seen, now)
        says, remedy = _told(test, state, box.name) if test is not None else (gettext("Not tried yet."), "")
        yield Tried(
            one, called.get(one.scope, ""), box, test, state, says, remedy,
            _way(test) if test is not None else "",
            tuple(_checks(test)) if test is not None and test.arrived_at is not None else (),
            called.get(test.asked_by, "") if test is not None else "",
            test.message if test is not None and test.message in came else None,
            _may_try(who, one, box),
        )  # fmt: skip


def _state(test: Canary | None, seen: bool, now: int) -> str:
    if test is None:
        return ""
    state = test.state(now)
    unseen = not seen and test.taken_at is not None and state in (canaries.TAKEN, canaries.OVERDUE)
    return "unseen" if unseen else state


def _told(test: Canary, state: str, box: str) -> tuple[str, str]:
    """How a test went and what to do about it, in the visitor's language."""
    if state == canaries.FAILED:
        kind = troubles.KINDS.get(test.trouble_kind or "")
        return health.said(kind, test.trouble_values) or (gettext("It could not be sent."), "")
    if state == canaries.ARRIVED:
        return gettext("It arrived."), ""
    if state == "unseen":
        return (
            gettext("The server took it. Nobody watches where it arrives."),
            gettext("Watch a folder of %(mailbox)s, so that it can be seen to arrive.", mailbox=box),
        )
    if state == canaries.OVERDUE and test.taken_at is None:
        return (
            gettext("It has not been sent in a quarter of an hour."),
            gettext("Is the gateway running? After a restore nothing leaves before: postroom release"),
        )
    if state == canaries.OVERDUE:
        return (
            gettext("The server took it, and it has not arrived in a quarter of an hour."),
            gettext("Look for it in the junk folder of %(mailbox)s, and at its watched folders.", mailbox=box),
        )
    if state == canaries.TAKEN:
        return gettext("Under way: the server took it, and it is not here yet."), ""
    return gettext("Under way: it is being sent."), ""


def _seconds(ms: int) -> str:
    return number(round(ms / 1000, 0 if ms >= 10_000 else 1))


def _way(test: Canary) -> str:
    """How long it took, and where."""
    if test.way is None:
        return ""
    whole = gettext("%(seconds)s s from sending to arrival", seconds=_seconds(test.way))
    if test.until_taken is None:
        return whole
    taken, rest = _seconds(test.until_taken), _seconds(test.way - test.until_taken)
    split = gettext("taken by the server after %(taken)s s, seen here %(rest)s s later", taken=taken, rest=rest)
    return f"{whole}: {split}"


def _checks(test: Canary) -> Iterator[Check]:
    domain = test.address.rpartition("@")[2]
    for method in _REMEDIES:
        said = test.results.get(method, ())
        if not said:
            yield Check(method.upper(), "", gettext("the receiving server says nothing of it"), "")
            continue
        word = "pass" if "pass" in said else said[0]
        tone, says = _WORDS.get(word, ("warn", word))
        remedy = "" if word == "pass" else gettext(_REMEDIES[method], domain=domain)
        yield Check(method.upper(), tone, gettext(says) if word in _WORDS else word, remedy)
    if test.rewritten:
        says = gettext("rewritten to %(address)s", address=test.came_from or "?")
        yield Check("From", "warn", says, gettext("Ask whoever looks after the servers on the way who rewrites it."))
    else:
        yield Check("From", "ok", gettext("as it was sent"), "")


# --- on the health page -----------------------------------------------------------------------------------------------


def prepare(app: Flask) -> None:
    """Let templates show what failed."""
    app.context_processor(lambda: {"tests_in_trouble": _in_trouble})


def _in_trouble() -> list[tuple[Canary, str, str]]:
    """Of addresses one looks after the tests that failed or did not arrive: what to say, and what to do."""
    who, now = visitor(), office().now()
    with office().archive.reading() as session:
        some = canaries.troubled(session, now)
        if not some:
            return []
        every = {one.id: one for one in _every(session, who)}
        boxes = {one.id: one.name for one in bindings.mailboxes(session)}
    return [
        (one, *_told(one, one.state(now), boxes[every[one.identity].mailbox])) for one in some if one.identity in every
    ]


# --- deeds ------------------------------------------------------------------------------------------------------------


@blueprint.post("/organisation/addresses/<number:id_>/test")
def test(id_: int) -> ResponseReturnValue:
    """Ask for a test mail."""
    who = visitor()
    with office().archive.transaction() as session:
        one = _found(session, who, id_)
        canaries.ask(session, office().archive, one, who.viewer.actor, office().now())
    return redirect(_back(id_), 303)


@blueprint.post("/organisation/addresses/<number:id_>/schedule")
def schedule(id_: int) -> ResponseReturnValue:
    """Say how often an address is tried by itself."""
    who, often = visitor(), request.form.get("often", "never")
    with office().archive.transaction() as session:
        one = _found(session, who, id_)
        if often not in canaries.EVERY:
            abort(400)
        canaries.choose_every(session, one, canaries.EVERY[often], who.viewer.actor, office().now())
    flash(gettext("Kept."))
    return redirect(_back(id_), 303)


def _found(session: Session, who: Visitor, id_: int) -> Identity:
    try:
        one = identities.get(session, id_)
    except LookupError:
        abort(404)
    if one.removed_at is not None or not _may_try(who, one, bindings.mailbox_of(session, one.mailbox)):
        abort(404)
    return one


def _back(id_: int) -> str:
    """The page one came from, at this address."""
    start = request.form.get("from", "")
    known = start.isascii() and start.isdigit() and len(start) < 7 and int(start)
    kept: dict[str, Any] = {"from": int(start)} if known else {}
    return url_for("addresses.show", **kept, _anchor=f"a{id_}")
