"""Writing mail: answers, mail passed on, new mail; and the outbox, where it waits and says what became of it."""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from dataclasses import fields as parts_of
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Flask, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive import cautions, draft_files, installation, sending
from archive.draft_files import DraftFile
from archive.mail import addresses, reader, reports
from archive.outgoing import composing, guards, identities, outbox, reply_settings, returns
from archive.outgoing.composing import Attachment, Unwritable
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
from archive.store.keys import KeyTrouble
from archive.store.packs import Damaged
from archive.work import cases, drafts, tickets

from . import composed, enclosing, language, letters, meanwhile, moments, texts_to_begin_with
from .composed import Composed
from .conversations import number
from .drafts import attached, began, discarded, head, keep_files
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
_FILE_GONE = _say(
    "A file that was to go along is not there any more; it was sent or deleted elsewhere. Look at what is left."
)
_FILE_LOST = _say("The kept bytes of a file that was to go along are gone or were altered; the mail can go without it.")
_FIELDS = ("to", "cc", "bcc", "subject", "text", "quote")


def prepare(app: Flask) -> None:
    """Forms that carry files may be larger than others; before anything looks into them."""
    app.before_request(_make_room)
    app.context_processor(lambda: {"may_send": lambda scope: visitor().viewer.may(Role.SENDS, scope)})


def _make_room() -> None:
    if request.endpoint in ("writing.send", "writing.keep", "drafts.keep"):
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
    number: str = ""  # drawn for this form: what is posted twice goes once
    enclosed: tuple[str, ...] = ()  # in mails, and goes along: 123/2.1
    case: int | None = None  # for which a new mail is written
    all: bool = False  # an answer to everybody
    began: str = ""  # of an answer: what stood in it before somebody typed

    @property
    def of_ticket(self) -> int | None:
        """The ticket whose draft it is; None for a mail whose draft is one of its own (`archive.work.drafts`)."""
        return self.ticket if self.kind == outbox.REPLY else None

    @property
    def draft(self) -> int:
        """The number of that draft."""
        return drafts.number_of(self.number)

    @property
    def drafts_of(self) -> int:
        """As files of the draft are kept."""
        return self.of_ticket or -self.draft

    @property
    def begun(self) -> bool:
        """Whether anything stands in it."""
        typed = any(self.fields[name].strip() for name in _FIELDS if name != "quote")
        return typed or bool(self.drafted or self.enclosed)


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
        case = cases.get(session, asked, visitor().viewer) if (asked := number("case")) is not None else None
        if asked is not None and case is None:
            abort(404)
        fields = dict.fromkeys(_FIELDS, "") | {"to": request.args.get("to", "")}
        fields["subject"] = case.reference if case else ""  # by which it is filed there itself
        form = Form(outbox.NEW, chosen.id if chosen else None, fields, opened_at=office().now(), case=asked)
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
        writes, on_all = who.user.id, "1" if "all" in request.args else ""
        said: dict[str, str] = {}
        typed, along = "", None
        if kind == outbox.REPLY:
            theirs = {one.user for one in drafts.shared(session, who.viewer, works[0].id)}
            if (other := number("draft")) in theirs:  # to go on with what somebody else began
                writes = other or writes
            kept = drafts.get(session, writes, works[0].id, "reply")
            typed = kept.text if kept else ""
            along = drafts.get(session, writes, works[0].id, drafts.FILES)
            said = head(drafts.get(session, writes, works[0].id, drafts.HEAD))
            if (said.get("answers"), said.get("all", "")) != (str(id_), on_all):
                said = {}  # that was for others
        drafted = draft_files.of(session, works[0].id, who.user.id) if kind == outbox.REPLY else []
        fields = {
            "to": begun.to, "cc": begun.cc, "bcc": "", "subject": begun.subject, "text": typed,
            "quote": begun.quote,
        }  # fmt: skip
        first = began(fields) if kind == outbox.REPLY else ""
        if writes != who.user.id:
            said.pop("bcc", None)  # whom its author told blindly
        fields |= {name: said[name] for name in _FIELDS if name in said}
        sending_for = {each.scope for each in usable}
        scope_of = next((one.scope for one in works if one.scope in sending_for), works[0].scope)
        by_rule = reply_settings.of_conversation(session, answered.conversation, scope_of).get(reply_settings.FROM)
        wanted = int(by_rule) if by_rule and kind == outbox.REPLY else begun.identity
        wanted = next((one.id for one in usable if str(one.id) == said.get("from")), wanted)
        chosen = next((one for one in usable if one.id == wanted), None)
        chosen = chosen or next((one for one in usable if one.id == begun.identity), None)
        scope = next((one.scope for one in works if chosen and one.scope == chosen.scope), works[0].scope)
        files = tuple(one.path for one in _files(session, answered)) if kind == outbox.FORWARD else ()
        form = Form(
            kind, chosen.id if chosen else None, fields, answers=id_, scope=scope, ticket=works[0].id,
            opened_at=office().now(), kept=files,
            drafted=tuple(one.id for one in drafted if one.user in (writes, who.user.id)),
            enclosed=tuple(along.text.split("\n")) if along else (), all=bool(on_all), began=first,
        )  # fmt: skip
        if said:
            form = replace(
                form, markdown="plain" not in said, quoting="quoting" in said, later=said.get("later", ""),
                unless_answered="unless_answered" in said,
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
    newer: Sequence[meanwhile.Written] = (),
    preview: Composed | None = None,
    cautions: Sequence[Caution] = (),
    *,
    stops: bool = False,
) -> ResponseReturnValue:
    who = visitor()
    form = replace(form, number=form.number or secrets.token_hex(16))
    usable = identities.usable(session, who.viewer)
    answered = messages.get(session, form.answers, who.viewer) if form.answers else None
    there: list[tuple[str, str]] = []
    if form.kind == outbox.FORWARD and answered:
        there = [(one.path, one.name) for one in _files(session, answered)]
    if form.again is not None and (before := _theirs(session, form.again)):
        with suppress(*sending.UNREADABLE):  # sending it says so
            raw = sending.whole(office().archive, session, before)
            there = [(str(at), one.name) for at, one in enumerate(sending.enclosed(raw))]
    first: Answered | None = None
    waiting: list[meanwhile.Waiting] = []
    if answered and form.kind == outbox.REPLY:
        first = answers.of(session, [answered.id], who.viewer).get(answered.id)
        waiting = meanwhile.waiting(session, who, answered.conversation, office().now())
    draft = drafts.mail(session, who.user.id, form.draft)
    if form.of_ticket:
        draft = drafts.get(session, who.user.id, form.of_ticket, "reply")
    chosen = next((one for one in usable if one.id == form.identity), None)
    shown = render_template(
        "writing/form.html", form=form, usable=usable, answered=answered, first=first, files=there, newer=newer,
        waiting=[one for one in waiting if (one.name, one.at) not in {(each.name, each.at) for each in newer}],
        trouble=trouble, preview=preview, draft=draft, cautions=[(one.key, _caution(one)) for one in cautions],
        drafted=_drafted(session, who, form),
        theirs=drafts.shared(session, who.viewer, form.of_ticket) if form.of_ticket else [],
        lately=office().now() - LATELY,
        signature=identities.signature(session, chosen, who.user.id) if chosen else "",
        undeliverable=_undeliverable(session, form), stops=stops,
        offered=texts_to_begin_with.offered(session, who, form.scope, answered, _text, chosen),
        along=enclosing.offered(
            session, who, answered, form.case, form.enclosed,
            but=answered if form.kind == outbox.FORWARD and form.again is None else None,
        ),
    )  # fmt: skip
    return (shown, 422) if trouble or newer or stops or cautions else composed.page(shown, preview)


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
            before = sending.queued_before(archive, session, who.viewer, form.identity or 0, _once(form))
            if before is not None and do != "preview":
                return _sent(session, before, bool(form.later))
            letter = _letter(session, form)
        if do == "preview":
            return _again(form, preview=_preview(letter))
        with archive.reading() as session:
            looked_at, newer = office().now(), _newer(session, who, form)
            if newer:  # that is shown now: only what comes after it stops the mail again
                form = replace(form, opened_at=looked_at)
            lost = _undeliverable(session, form)
            some = cautions.of(session, who.viewer, letter)
            told = {one.lower() for one in lost}
            known = form.again is not None  # one comes from where that stands
            some = [one for one in some if one.kind != guards.BOUNCED or not (known or one.about in told)]
        stops = bool(lost) and "anyway" not in request.form
        if newer or stops or cautions.unseen(some, form.warned):
            return _again(form, newer=newer, cautions=some, stops=stops)
        queued = sending.send(archive, _by, letter, office().now(), lambda session: _look_again(session, who, form))
    except _Meanwhile as error:
        return _again(replace(form, opened_at=office().now()), newer=error.newer)
    except Unwritable as error:
        return _again(form, trouble=gettext(error.says, **error.values))
    except LookupError:
        abort(404)
    with archive.transaction() as session:
        drafts.remove_mail(session, who.user.id, form.draft)
        if form.of_ticket is not None:
            drafts.remove_reply(session, who.user.id, form.of_ticket)
        if form.again is not None:
            _conclude(session, who, form.again)
    draft_files.remove(archive, who.user.id, form.drafts_of, office().now())
    with archive.reading() as session:
        return _sent(session, queued, bool(letter.not_before))


def _sent(session: Session, id_: int, later: bool) -> ResponseReturnValue:
    """To where a mail that was queued just now is seen; also for whoever sends it twice."""
    one = outbox.get(session, id_, _by(session))
    flash(json.dumps({"id": str(id_), "later": later}), "queued")
    if one is not None and one.conversation is not None:
        return redirect(url_for("conversations.show", id_=one.conversation), 303)
    return redirect(url_for("writing.show_outbox"), 303)


def _again(form: Form, **shown: Any) -> ResponseReturnValue:
    """The form once more. The files that came with it are kept, for browsers send them only once."""
    form = _kept(form) if any(one.filename for one in request.files.getlist("files")) else form
    with office().archive.reading() as session:
        return _page(session, form, **shown)


def _kept(form: Form) -> Form:
    """The form with the files that came with it, which are kept; of a mail that is no answer the form is, too."""
    who, archive, now = visitor(), office().archive, office().now()
    form = replace(form, number=form.number or secrets.token_hex(16))
    if files := attached():
        with archive.reading() as session:
            fine = form.of_ticket is None or drafts.may_keep(session, who.viewer, form.of_ticket)
        if fine:
            made = keep_files(files, form.drafts_of)
            form = replace(form, drafted=(*form.drafted, *made))
    if form.of_ticket is None:
        with archive.transaction() as session:
            # As long as files are kept, something is begun: what nothing names would stay for ever.
            if form.begun or draft_files.of(session, form.drafts_of, who.user.id):
                drafts.put_mail(session, who.user.id, form.draft, _written_down(form), now)
            else:
                drafts.remove_mail(session, who.user.id, form.draft)
    return form


def _written_down(form: Form) -> str:
    """As it is kept; what is longer than anybody types is kept so far."""
    short = {name: form.fields[name][: drafts.LONGEST] for name in _FIELDS}
    return json.dumps(asdict(replace(form, fields=short, warned=())))


def _read_again(text: str) -> Form:
    """What was kept."""
    there = {one.name for one in parts_of(Form)}  # another version may know others
    said: dict[str, Any] = {name: one for name, one in json.loads(text).items() if name in there}
    said |= {name: tuple(one) for name, one in said.items() if isinstance(one, list)}
    return Form(**said)


@blueprint.post("/drafts")
def keep() -> ResponseReturnValue:
    """Keep a mail that is no answer, as it was typed so far; the script asks for nothing to be shown (`quiet`)."""
    form = _typed()
    if form.of_ticket is not None or not form.number:
        abort(404)
    if "discard" in request.form:
        return discarded("mail", form.draft)
    form = _kept(form)
    if "quiet" in request.form:
        return "", 204
    if not form.begun:
        draft_files.remove(office().archive, visitor().user.id, form.drafts_of, office().now())
        with office().archive.transaction() as session:
            drafts.remove_mail(session, visitor().user.id, form.draft)
        flash(gettext("The draft is discarded."))
        return redirect(url_for("writing.compose"), 303)
    flash(gettext("The draft is kept."))
    return redirect(url_for("writing.go_on", id_=form.draft), 303)


@blueprint.get("/drafts/<number:id_>")
def go_on(id_: int) -> ResponseReturnValue:
    """A mail somebody has begun, with all that stood in it; what it answers only where they may still see that."""
    who = visitor()
    with office().archive.reading() as session:
        found = drafts.mail(session, who.user.id, id_)
        if found is None:
            abort(404)
        form = _read_again(found.text)
        if form.answers and messages.get(session, form.answers, who.viewer) is None:
            form = replace(form, fields={**form.fields, "quote": ""})
        return _page(session, form)


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
        typed.get("number", "")[:64],
        tuple(typed.getlist("enclosed")[: draft_files.MOST + 1]),
        number("case"),
        "all" in typed,
        typed.get("began", "")[:40_000],
    )


def _once(form: Form) -> str:
    """What is the same for a form that is posted twice, and no other: its number, whose it is, and what stands in it.

    Whoever goes back to a form that was sent and writes something else there sends another mail.
    """
    if not form.number:
        return ""
    said = {**asdict(form), "opened_at": 0, "warned": (), "began": "", "user": visitor().user.id}
    said["files"] = [(one.name, hashlib.sha256(one.data).hexdigest()) for one in attached()]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _letter(session: Session, form: Form) -> sending.Letter:
    who = visitor()
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
        attachments=[*_readable(session, who, form), *attached()],
        answers=form.answers,
        scope=form.scope,
        not_before=_later(form.later, who),
        unless_answered=form.unless_answered and bool(form.later),
        undo=outbox.UNDO if who.user.undo is None else who.user.undo * 1000,
        once=_once(form),
    )


def _later(typed: str, who: Visitor) -> int | None:
    """A time as a browser gives it, of the writer's zone; UTC ms."""
    if not typed:
        return None
    try:
        local = datetime.fromisoformat(typed).replace(tzinfo=ZoneInfo(language.zone_name()))
        return int(local.astimezone(UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise Unwritable(_NO_TIME) from None


def _readable(session: Session, who: Visitor, form: Form) -> list[Attachment]:
    try:
        return _at_hand(session, who, form)
    except (Damaged, KeyTrouble, OSError):
        raise Unwritable(_FILE_LOST) from None


def _drafted(session: Session, who: Visitor, form: Form) -> list[DraftFile]:
    """The files of drafts that may go along; those of colleagues where they are shared with the writer."""
    if form.of_ticket is None:
        return draft_files.of(session, form.drafts_of, who.user.id)
    if not drafts.may_keep(session, who.viewer, form.of_ticket):
        return []
    shared = drafts.may_share(session, who.viewer, form.of_ticket)
    return [one for one in draft_files.of(session, form.drafts_of, who.user.id) if shared or one.user == who.user.id]


def _at_hand(session: Session, who: Visitor, form: Form) -> list[Attachment]:
    """Files of the mail that is passed on, of one that was taken back, of drafts, and what is enclosed in others."""
    found: list[Attachment] = []
    archive = office().archive
    if form.drafted:
        there = {one.id: one.size for one in _drafted(session, who, form)}
        if set(form.drafted) - set(there):
            raise Unwritable(_FILE_GONE)
        if sum(there[one] for one in set(form.drafted)) > sending.room():
            raise sending.too_large()
        found += draft_files.read(archive, session, form.drafted)
    if form.again is not None:
        before = _theirs(session, form.again)
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
                if len(raw) > sending.room():
                    raise sending.too_large()
                found.append(Attachment(f"{answered.subject[:60]}.eml", "message/rfc822", bytes(raw[:])))
            mail = letters.understood(raw, answered)
            chosen = [leaf for leaf in mail.leaves if leaf.path in form.kept and not leaf.mail]
            if sum(letters.size(raw, leaf) for leaf in chosen) > sending.room():
                raise sending.too_large()
            for leaf in chosen:
                data = reader.content(raw, leaf)
                found.append(Attachment(leaf.name or gettext("attachment"), leaf.content_type, data))
    return found + enclosing.read(session, who.viewer, form.enclosed)


def _preview(letter: sending.Letter) -> Composed:
    """The mail as others will see it, and nothing of it is kept; fails as sending it would."""
    raw = sending.preview(office().archive, _by, letter, office().now())
    return composed.read(raw, [(one.name, one.address) for kind, one in sending.parsed(letter) if kind == outbox.BCC])


class _Meanwhile(Exception):
    """Somebody has written there while this was being sent."""

    def __init__(self, newer: Sequence[meanwhile.Written]) -> None:
        super().__init__("somebody has written there")
        self.newer = newer


def _look_again(session: Session, who: Visitor, form: Form) -> None:
    """In the transaction that queues the answer, so that two of them do not pass each other; raises _Meanwhile."""
    if newer := _newer(session, who, form):
        raise _Meanwhile(newer)


def _conclude(session: Session, who: Visitor, id_: int) -> None:
    """What was given back to this visitor, and has a successor now, waits no more."""
    one = outbox.get(session, id_, who.viewer)
    if one is not None and one.state == outbox.RETURNED and one.author == who.viewer.actor:
        outbox.cancel(session, id_, who.viewer.actor, office().now())


def _newer(session: Session, who: Visitor, form: Form) -> list[meanwhile.Written]:
    """What others have written there since the form was opened, or since that was shown last."""
    answered = messages.get(session, form.answers, who.viewer) if form.answers and form.kind == outbox.REPLY else None
    return meanwhile.since(session, who, answered.conversation, form.opened_at) if answered else []


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
    return _theirs(session, id_) or abort(404)


def _theirs(session: Session, id_: int) -> Outgoing | None:
    """It, where the visitor wrote it or works where it stands; who only reads there may not write it once more."""
    who = visitor()
    one = outbox.get(session, id_, who.viewer)
    return one if one and (one.author == who.viewer.actor or who.viewer.may(Role.WORKS, one.scope)) else None


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


def _of_a_colleague(session: Session, id_: int) -> Outgoing:
    """A mail of somebody else that one may let go."""
    who = visitor()
    one = outbox.get(session, id_, who.viewer)
    if one is None or not who.viewer.may(Role.SENDS, one.scope) or one.author == who.viewer.actor:
        abort(404)
    return one


def _blind(one: Outgoing) -> composed.People:
    """Who gets it and is not named in it."""
    return [(of.name, of.address) for of in one.recipients if of.kind == outbox.BCC]


@blueprint.get("/outbox/<number:id_>/look")
def show_before(id_: int) -> ResponseReturnValue:
    """What waits for a second person, as whoever gets it will see it: from its bytes, which never change."""
    archive, shown = office().archive, None
    with archive.reading() as session:
        one = _of_a_colleague(session, id_)
        if one.state != outbox.REVIEW:
            flash(gettext("It does not wait for anybody any more."))
            return _back(one)
        with suppress(*sending.UNREADABLE):
            shown = composed.read(sending.whole(archive, session, one), _blind(one))
    return composed.page(render_template("writing/look.html", one=one, shown=shown), shown)


@blueprint.post("/outbox/<number:id_>/look")
def look(id_: int) -> ResponseReturnValue:
    """Let somebody else's mail go (`do=go`), or give it back to its author with a note."""
    who, now = visitor(), office().now()
    with office().archive.transaction() as session:
        one = _of_a_colleague(session, id_)
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
    if one.conversation is not None and "outbox" not in request.values:
        return redirect(url_for("conversations.show", id_=one.conversation), 303)
    return redirect(url_for("writing.show_outbox"), 303)


@blueprint.get("/outbox/<number:id_>/again")
def again(id_: int) -> ResponseReturnValue:
    """What was written once more in the form: it was taken back, or has not reached everybody."""
    with office().archive.reading() as session:
        one, now = _found(session, id_), office().now()
        _written_by_somebody(one)
        written = one.written
        fields = {name: str(written.get(name, "")) for name in _FIELDS}
        if one.state not in (outbox.CANCELLED, outbox.RETURNED, outbox.REVIEW):  # for those who have not got it
            left = [of for of in one.recipients if of.state == outbox.FAILED or of.returned == reports.FAILED]
            for kind in (outbox.TO, outbox.CC, outbox.BCC):
                fields[kind] = ", ".join(of.address for of in left if of.kind == kind)
        if one.author != visitor().viewer.actor:
            fields["bcc"] = ""  # whom its author told blindly
        names = written.get("attachments", [])
        form = Form(
            one.kind, one.identity, fields, bool(written.get("markdown", True)), one.answers,
            one.scope if one.answers else None, None, now, again=id_,
            later=moments.as_typed(one.not_before) if one.not_before - now > outbox.LONGEST_UNDO else "",
            unless_answered=one.unless_answered,
            kept=tuple(str(at) for at in range(len(names))),
        )  # fmt: skip
        return _page(session, form)
