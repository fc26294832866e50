"""Writing mail: answers, mail passed on, new mail; and the outbox, where it waits and says what became of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import nh3
from flask import Blueprint, Flask, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from archive import cautions, draft_files, installation, sending
from archive.mail import addresses, reader, reports
from archive.outgoing import composing, guards, identities, outbox, reply_settings, returns
from archive.outgoing.composing import Attachment, Unwritable, Written
from archive.outgoing.guards import Caution
from archive.outgoing.identities import Identity
from archive.outgoing.outbox import Outgoing
from archive.people import scopes
from archive.people.roles import Role
from archive.people.scopes import Viewer
from archive.post import answers, messages
from archive.post.answers import Answered
from archive.post.messages import Message
from archive.store.archive import Session
from archive.store.packs import Damaged
from archive.work import drafts, tickets

from . import language, letters, texts_to_begin_with
from .conversations import number
from .drafts import attached
from .language import gettext
from .visit import Visitor, office, visitor

blueprint = Blueprint("writing", __name__)


def _say(text: str) -> str:
    """Marks a sentence for the catalogues."""
    return text


LARGEST = 40 << 20  # bytes of a form with its files
QUOTED = 20_000  # characters of a mail that are quoted
LATELY = 5 * 60_000  # ms in which somebody who typed is still at it
SHOWN = 50  # mails of the outbox on a page
_NO_TIME = _say("This is no date and time.")
_FIELDS = ("to", "cc", "bcc", "subject", "text", "quote")
_OWN_TAGS = {
    *("p", "br", "strong", "em", "s", "a", "ul", "ol", "li", "blockquote", "code", "pre", "hr"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}


def prepare(app: Flask) -> None:
    """Forms that carry files may be larger than others; before anything looks into them."""
    app.before_request(_make_room)
    app.context_processor(lambda: {"may_send": lambda scope: visitor().viewer.may(Role.SENDS, scope)})


def _make_room() -> None:
    if request.endpoint in ("writing.send", "drafts.keep"):
        request.max_content_length = LARGEST
        request.max_form_memory_size = 4 << 20


@dataclass(frozen=True, slots=True)
class Form:
    """What stands in the form."""

    kind: str
    identity: int | None
    fields: Mapping[str, str]
    markdown: bool = True
    answers: int | None = None
    scope: str | None = None
    ticket: int | None = None
    opened_at: int = 0  # what came later its author has not seen
    later: str = ""
    unless_answered: bool = False
    again: int | None = None  # a mail of the outbox whose files are at hand
    kept: tuple[str, ...] = ()  # files at hand that go along
    whole: bool = False
    quoting: bool = True
    drafted: tuple[int, ...] = ()  # files of drafts that go along
    warned: tuple[str, ...] = ()  # what was shown already

    @property
    def drafts_of(self) -> int:
        """The ticket whose draft it is."""
        return self.ticket or draft_files.NEW


def _by(session: Session) -> Viewer:
    """Whoever writes, with the rights of this moment."""
    return scopes.viewer(session, visitor().user.id)


# --- the form -------------------------------------------------------------------------------------------------


@blueprint.get("/compose")
def compose() -> ResponseReturnValue:
    """A new mail."""
    with office().archive.reading() as session:
        usable = identities.usable(session, visitor().viewer)
        chosen = identities.choose(usable, [], visitor().own_scope)
        fields = dict.fromkeys(_FIELDS, "") | {"to": request.args.get("to", "")}
        kept = tuple(one.id for one in draft_files.of(session, draft_files.NEW, visitor().user.id))
        form = Form(outbox.NEW, chosen.id if chosen else None, fields, opened_at=office().now(), drafted=kept)
        return _page(session, form)


@blueprint.get("/messages/<number:id_>/reply")
def reply(id_: int) -> ResponseReturnValue:
    """An answer to a mail; `all` to everybody who got it."""
    return _begin(id_, outbox.REPLY)


@blueprint.get("/messages/<number:id_>/forward")
def forward(id_: int) -> ResponseReturnValue:
    """A mail passed on, its text in the text, or the whole of it enclosed."""
    return _begin(id_, outbox.FORWARD)


def _begin(id_: int, kind: str) -> ResponseReturnValue:
    who = visitor()
    with office().archive.reading() as session:
        answered = messages.get(session, id_, who.viewer)
        if answered is None:
            abort(404)
        on = tickets.of_conversation(session, who.viewer, answered.conversation)
        works = [one for one in on if who.viewer.may(Role.WORKS, one.scope)]
        if not works:
            abort(404)
        usable = identities.usable(session, who.viewer)
        begun = sending.begin(
            kind, "all" in request.args, answered, _text(session, answered), _introduced(kind, answered), usable,
            works[0].scope,
        )  # fmt: skip
        kept = drafts.get(session, who.user.id, works[0].id, "reply") if kind == outbox.REPLY else None
        writes, typed = who.user.id, kept.text if kept else ""
        if kind == outbox.REPLY and (other := number("draft")) is not None:  # to go on with what somebody else began
            theirs = {one.user: one for one in drafts.shared(session, who.viewer, works[0].id)}
            if other in theirs:
                writes, typed = other, theirs[other].text
        drafted = draft_files.of(session, works[0].id, who.user.id) if kind == outbox.REPLY else []
        fields = {
            "to": begun.to, "cc": begun.cc, "bcc": "", "subject": begun.subject, "text": typed,
            "quote": begun.quote,
        }  # fmt: skip
        sending_for = {each.scope for each in usable}
        scope_of = next((one.scope for one in works if one.scope in sending_for), works[0].scope)
        by_rule = reply_settings.of_conversation(session, answered.conversation, scope_of).get(reply_settings.FROM)
        wanted = int(by_rule) if by_rule and kind == outbox.REPLY else begun.identity
        chosen = next((one for one in usable if one.id == wanted), None)
        chosen = chosen or next((one for one in usable if one.id == begun.identity), None)
        scope = next((one.scope for one in works if chosen and one.scope == chosen.scope), works[0].scope)
        files = tuple(one.path for one in _files(session, answered)) if kind == outbox.FORWARD else ()
        form = Form(
            kind, chosen.id if chosen else None, fields, answers=id_, scope=scope, ticket=works[0].id,
            opened_at=office().now(), kept=files,
            drafted=tuple(one.id for one in drafted if one.user in (writes, who.user.id)),
        )  # fmt: skip
        return _page(session, form)


def _text(session: Session, one: Message) -> str:
    """What a mail says, to be quoted."""
    try:
        with letters.opened(office().archive, session, one) as raw:
            mail = letters.understood(raw, one)
            text = reader.text(raw, mail) or reader.html_words(reader.html(raw, mail))
    except (Damaged, LookupError):
        return ""
    return text[:QUOTED]


def _introduced(kind: str, one: Message) -> str:
    """The line above what is quoted."""
    sender = f"{one.from_name} <{one.from_address}>" if one.from_name else one.from_address
    when = language.full(one.date or one.arrived_at)
    if kind == outbox.FORWARD:
        to = ", ".join(address for _, address in one.recipients.get("to", ()))
        return gettext(
            "Forwarded mail, from %(sender)s to %(to)s, %(when)s, subject: %(subject)s",
            sender=sender, to=to, when=when, subject=composing.clean(one.subject),
        )  # fmt: skip
    return gettext("%(sender)s wrote on %(when)s:", sender=sender, when=when)


def _files(session: Session, one: Message) -> list[letters.File]:
    """What is enclosed in a mail and could go along."""
    (letter,) = letters.letters(office().archive, session, [one])
    return [file for file in letter.files if not file.within]


def _page(
    session: Session,
    form: Form,
    trouble: str = "",
    newer: Sequence[Any] = (),
    preview: Markup | None = None,
    cautions: Sequence[Caution] = (),
    *,
    stops: bool = False,
) -> ResponseReturnValue:
    who = visitor()
    usable = identities.usable(session, who.viewer)
    answered = messages.get(session, form.answers, who.viewer) if form.answers else None
    there: list[tuple[str, str]] = []
    if form.kind == outbox.FORWARD and answered:
        there = [(one.path, one.name) for one in _files(session, answered)]
    if form.again is not None and (before := outbox.get(session, form.again, who.viewer)):
        raw = sending.whole(office().archive, session, before)
        there = [(str(at), one.name) for at, one in enumerate(sending.enclosed(raw))]
    first: Answered | None = None
    if answered and form.kind == outbox.REPLY:
        first = answers.of(session, [answered.id], who.viewer).get(answered.id)
    draft = (
        drafts.get(session, who.user.id, form.ticket, "reply") if form.ticket and form.kind == outbox.REPLY else None
    )
    chosen = next((one for one in usable if one.id == form.identity), None)
    shown = render_template(
        "writing/form.html", form=form, usable=usable, answered=answered, first=first, files=there, newer=newer,
        trouble=trouble, preview=preview, draft=draft, cautions=[(one.key, _caution(one)) for one in cautions],
        drafted=[
            one for one in draft_files.of(session, form.drafts_of, who.user.id)
            if form.kind != outbox.FORWARD or one.id in form.drafted  # those of an answer are not its own
        ],
        theirs=drafts.shared(session, who.viewer, form.ticket) if form.ticket and form.kind == outbox.REPLY else [],
        lately=office().now() - LATELY,
        signature=identities.signature(session, chosen, who.user.id) if chosen else "",
        undeliverable=_undeliverable(session, form), stops=stops,
        offered=texts_to_begin_with.offered(session, who, form.scope, answered, _text, chosen),
    )  # fmt: skip
    return (shown, 422) if trouble or newer or stops or cautions else shown


def _undeliverable(session: Session, form: Form) -> dict[str, int]:
    """Whom several mails have not reached of late, and how many."""
    typed = ", ".join(form.fields[name] for name in ("to", "cc", "bcc"))
    named = [one.address for one in addresses.people(composing.clean(typed)) if one.address]
    return returns.undeliverable(session, named, visitor().viewer, office().now()) if named else {}


def _caution(one: Caution) -> str:
    """What somebody may want to know, in their language."""
    about, _, other = one.about.partition(" ")
    return {
        guards.COMMENT: gettext(
            "A comment stands in this mail, which only you and your colleagues read: “%(what)s”", what=one.about
        ),
        guards.NO_FILE: gettext("You write “%(what)s”, and no file is attached.", what=one.about),
        guards.MANY: gettext("This answer goes to %(number)s people.", number=one.about),
        guards.ELSEWHERE: gettext(
            "%(address)s belongs to other conversations, and not to this one.", address=one.about
        ),
        guards.ALIKE: gettext(
            "You have never written to %(domain)s; it looks like %(other)s.", domain=about, other=other
        ),
        guards.BOUNCED: gettext("The last mail to %(address)s was refused.", address=one.about),
    }[one.kind]


# --- sending --------------------------------------------------------------------------------------------------


@blueprint.post("/outbox")
def send() -> ResponseReturnValue:
    """Queue what was written; or show it (`do=preview`), or say what keeps it from being sent."""
    who, archive, form = visitor(), office().archive, _typed()
    do = request.form.get("do")
    try:
        if do == "template":
            with archive.reading() as session:
                form = _with_template(session, who, form)
            return _again(form)
        with archive.reading() as session:
            letter = _letter(session, form)
            preview = _preview(session, letter) if do == "preview" else None
            anyway = preview is not None or "anyway" in request.form
            newer = [] if anyway else _newer(session, who, form)
            lost = _undeliverable(session, form)
            some = [] if preview is not None else cautions.of(session, who.viewer, letter)
            told = {one.lower() for one in lost}
            known = form.again is not None  # one comes from where that stands
            some = [one for one in some if one.kind != guards.BOUNCED or not (known or one.about in told)]
        stops = bool(lost) and not anyway
        if preview is not None or newer or stops or cautions.unseen(some, form.warned):
            return _again(form, newer=newer, preview=preview, cautions=some, stops=stops)
        queued = sending.send(archive, _by, letter, office().now())
    except Unwritable as error:
        return _again(form, trouble=gettext(error.says, **error.values))
    except LookupError:
        abort(404)
    with archive.transaction() as session:
        if form.ticket is not None:
            drafts.remove(session, who.user.id, form.ticket, "reply")
        one = outbox.get(session, queued, _by(session))
        conversation = one.conversation if one else None
    only = form.drafted if form.kind == outbox.FORWARD else None
    draft_files.remove(archive, who.user.id, form.drafts_of, office().now(), only)
    flash(json.dumps({"id": str(queued), "later": bool(letter.not_before)}), "queued")
    if conversation is not None:
        return redirect(url_for("conversations.show", id_=conversation), 303)
    return redirect(url_for("writing.show_outbox"), 303)


def _again(form: Form, **shown: Any) -> ResponseReturnValue:
    """The form once more. The files that came with it are kept, for browsers send them only once."""
    who, archive = visitor(), office().archive
    if files := attached():
        with archive.reading() as session:
            fine = form.ticket is None or drafts.may_keep(session, who.viewer, form.ticket)
        if fine:
            made = draft_files.add(archive, who.user.id, form.drafts_of, files, office().now())
            form = replace(form, drafted=(*form.drafted, *made))
    with archive.reading() as session:
        return _page(session, form, **shown)


def _with_template(session: Session, who: Visitor, form: Form) -> Form:
    """The form with a template's text below what stands there already."""
    answered = messages.get(session, form.answers, who.viewer) if form.answers else None
    usable = identities.usable(session, who.viewer)
    chosen = next((one for one in usable if one.id == form.identity), None)
    text = texts_to_begin_with.filled(
        session, who, request.form.get("template", ""), answered, form.ticket, chosen.address if chosen else ""
    )
    if text is None:
        return form
    before = form.fields["text"].rstrip()
    return replace(form, fields={**form.fields, "text": f"{before}\n\n{text}" if before else text})


def _typed() -> Form:
    typed = request.form
    if (kind := typed.get("kind", "")) not in (outbox.NEW, outbox.REPLY, outbox.FORWARD):
        abort(404)
    return Form(
        kind,
        number("from"),
        {name: typed.get(name, "") for name in _FIELDS},
        "plain" not in typed,
        number("answers"),
        typed.get("scope") or None,
        number("ticket"),
        number("opened_at") or 0,
        typed.get("later", ""),
        "unless_answered" in typed,
        number("again"),
        tuple(typed.getlist("kept")),
        "whole" in typed,
        "quoting" in typed,
        tuple(int(one) for one in typed.getlist("drafted") if one.isascii() and one.isdigit() and len(one) < 19),
        tuple(typed.getlist("warned")),
    )


def _letter(session: Session, form: Form) -> sending.Letter:
    who = visitor()
    files = attached()
    for one in request.files.getlist("files"):
        one.stream.seek(0)  # they may be asked for again, to be kept
    return sending.Letter(
        identity=form.identity or 0,
        kind=form.kind,
        to=form.fields["to"],
        cc=form.fields["cc"],
        bcc=form.fields["bcc"],
        subject=form.fields["subject"],
        text=form.fields["text"],
        quote=form.fields["quote"] if form.quoting else "",
        markdown=form.markdown,
        attachments=[*_at_hand(session, who, form), *files],
        answers=form.answers,
        scope=form.scope,
        not_before=_later(form.later, who),
        unless_answered=form.unless_answered and bool(form.later),
        undo=outbox.UNDO if who.user.undo is None else who.user.undo * 1000,
    )


def _later(typed: str, who: Visitor) -> int | None:
    """A time as a browser gives it, of the writer's zone; UTC ms."""
    if not typed:
        return None
    try:
        local = datetime.fromisoformat(typed).replace(tzinfo=ZoneInfo(language.zone_name()))
    except ValueError:
        raise Unwritable(_NO_TIME) from None
    return int(local.astimezone(UTC).timestamp() * 1000)


def _at_hand(session: Session, who: Visitor, form: Form) -> list[Attachment]:
    """Files of the mail that is passed on, or of one that was taken back."""
    found: list[Attachment] = []
    archive = office().archive
    if form.drafted and (not form.ticket or drafts.may_keep(session, who.viewer, form.ticket)):
        mine = {one.id for one in draft_files.of(session, form.drafts_of, who.user.id)}
        found += draft_files.read(archive, session, mine & set(form.drafted))
    if form.again is not None:
        before = outbox.get(session, form.again, who.viewer)
        if before is None:
            raise LookupError(form.again)
        some = sending.enclosed(sending.whole(archive, session, before))
        found += [one for at, one in enumerate(some) if str(at) in form.kept]
    elif form.kind == outbox.FORWARD and form.answers is not None:
        answered = messages.get(session, form.answers, who.viewer)
        if answered is None:
            raise LookupError(form.answers)
        with letters.opened(archive, session, answered) as raw:
            if form.whole:
                found.append(Attachment(f"{answered.subject[:60]}.eml", "message/rfc822", bytes(raw[:])))
            mail = letters.understood(raw, answered)
            for leaf in mail.leaves:
                if leaf.path in form.kept and not leaf.mail:
                    data = reader.content(raw, leaf)
                    found.append(Attachment(leaf.name or gettext("attachment"), leaf.content_type, data))
    return found


def _preview(session: Session, letter: sending.Letter) -> Markup:
    """The mail as others see it; our own HTML, and cleaned all the same."""
    one = next((each for each in identities.usable(session, visitor().viewer) if each.id == letter.identity), None)
    if one is None:
        raise LookupError(letter.identity)
    sending.parsed(letter)
    me = composing.Person(one.name, one.address)
    signature = identities.signature(session, one, visitor().user.id)
    written = Written(me, [], [], "", letter.text, "<preview@localhost>", 0, letter.quote, signature)
    if not letter.markdown:
        return Markup("<pre>{}</pre>").format(composing.as_text(written))
    html, _ = composing.as_html(written, lambda _: "")
    return Markup(nh3.clean(html, tags=_OWN_TAGS, attributes={"a": {"href"}}))  # noqa: S704  cleaned just now


def _newer(session: Session, who: Visitor, form: Form) -> list[tuple[str, int]]:
    """What others have written there since the form was opened: who, and when."""
    answered = messages.get(session, form.answers, who.viewer) if form.answers and form.kind == outbox.REPLY else None
    if answered is None:
        return []
    came = messages.of_conversation(session, answered.conversation, who.viewer, None, 20)
    found = [(one.from_name or one.from_address, one.arrived_at) for one in came if one.arrived_at > form.opened_at]
    waiting = outbox.of_conversation(session, who.viewer, answered.conversation)
    found += [
        (one.author_name, one.queued_at)
        for one in waiting
        if one.queued_at > form.opened_at and one.author != who.viewer.actor
    ]
    return found


# --- the outbox -----------------------------------------------------------------------------------------------


@blueprint.get("/outbox")
def show_outbox() -> ResponseReturnValue:
    """Mails that wait, and what became of the others, the newest first."""
    who, before = visitor(), number("before")
    wanted = request.args.get("state", "")
    states = {"waiting": outbox.WAITS, "failed": (outbox.FAILED,)}.get(wanted, ())
    with office().archive.reading() as session:
        some = outbox.page(session, who.viewer, states, before, SHOWN)
        usable: list[Identity] = identities.usable(session, who.viewer)
        held = installation.held(session)
    older = some[SHOWN - 1].id if len(some) > SHOWN else None
    return render_template(
        "writing/outbox.html", found=some[:SHOWN], older=older, state=wanted, usable=usable, held=held
    )


def _found(session: Session, id_: int) -> Outgoing:
    """A mail of the outbox that one may do something about."""
    who = visitor()
    one = outbox.get(session, id_, who.viewer)
    if one is None or not (one.author == who.viewer.actor or who.viewer.may(Role.WORKS, one.scope)):
        abort(404)
    return one


def _written_by_somebody(one: Outgoing) -> None:
    """What goes out by itself nobody goes on writing."""
    if one.automatic:
        abort(404)


@blueprint.post("/outbox/<number:id_>/take-back")
def take_back(id_: int) -> ResponseReturnValue:
    """Take a mail back and go on writing it; of one that some may have got, the others will not."""
    now, who = office().now(), visitor()

    def work(session: Session) -> tuple[Outgoing, bool, bool]:
        one = _found(session, id_)
        back = outbox.cancel(session, id_, who.viewer.actor, now)
        return one, back, not back and outbox.give_up(session, id_, who.viewer.actor, now)

    # Whoever makes a message of it has its ticket first, and we the mail: one of us begins anew.
    one, back, done = office().archive.recording(work)
    if back:
        return _back(one) if one.automatic else redirect(url_for("writing.again", id_=id_), 303)
    flash(gettext("Those who have not got it will not.") if done else gettext("It is too late: it is on its way."))
    return _back(one)


@blueprint.post("/outbox/<number:id_>/look")
def look(id_: int) -> ResponseReturnValue:
    """Let somebody else's mail go (`do=go`), or give it back to its author with a note."""
    who, now = visitor(), office().now()
    with office().archive.transaction() as session:
        one = outbox.get(session, id_, who.viewer)
        if one is None or not who.viewer.may(Role.SENDS, one.scope) or one.author == who.viewer.actor:
            abort(404)
        if request.form.get("do") == "go":
            done, says = outbox.let_go(session, id_, who.viewer.actor, now), gettext("It goes out now.")
        else:
            note = request.form.get("note", "")
            done = outbox.give_back(session, id_, who.viewer.actor, note, now)
            says = gettext("It is given back to %(name)s.", name=one.author_name or one.address)
    flash(says if done else gettext("It does not wait for anybody any more."))
    return _back(one)


@blueprint.post("/outbox/<number:id_>/retry")
def retry(id_: int) -> ResponseReturnValue:
    """Try at once what waits for its next try."""
    with office().archive.transaction() as session:
        one = _found(session, id_)
        done = outbox.hurry(session, id_, visitor().viewer.actor, office().now())
    flash(gettext("It is tried again now.") if done else gettext("There is nothing left to try."))
    return _back(one)


def _back(one: Outgoing) -> ResponseReturnValue:
    if one.conversation is not None and "outbox" not in request.form:
        return redirect(url_for("conversations.show", id_=one.conversation), 303)
    return redirect(url_for("writing.show_outbox"), 303)


@blueprint.get("/outbox/<number:id_>/again")
def again(id_: int) -> ResponseReturnValue:
    """What was written once more in the form: it was taken back, or has not reached everybody."""
    with office().archive.reading() as session:
        one = _found(session, id_)
        _written_by_somebody(one)
        written = one.written
        fields = {name: str(written.get(name, "")) for name in _FIELDS}
        if one.state not in (outbox.CANCELLED, outbox.RETURNED, outbox.REVIEW):  # for those who have not got it
            left = [of for of in one.recipients if of.state == outbox.FAILED or of.returned == reports.FAILED]
            for kind in (outbox.TO, outbox.CC, outbox.BCC):
                fields[kind] = ", ".join(of.address for of in left if of.kind == kind)
        names = written.get("attachments", [])
        form = Form(
            one.kind, one.identity, fields, bool(written.get("markdown", True)), one.answers,
            one.scope if one.answers else None, None, office().now(), again=id_,
            kept=tuple(str(at) for at in range(len(names))),
        )  # fmt: skip
        return _page(session, form)
