"""Every page there is, in a furnished house: what all pages have to hold is tried over this list."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import Flask, template_rendered
from sqlalchemy import select

from archive import installation, sending
from archive.mail.reports import FAILED, About
from archive.outgoing import auto_replies, canaries, identities, outbox, returns, templates
from archive.outgoing.templates import Text
from archive.people import processes, scopes, sessions, users
from archive.people.scopes import MACHINE
from archive.post import (
    attempts,
    bindings,
    comparisons,
    consents,
    decisions,
    journal,
    ledger,
    observations,
    providers,
)
from archive.post.bindings import Mailbox
from archive.post.comparisons import Mail
from archive.post.decisions import Preview, Waiting
from archive.post.journal import Entry
from archive.post.ledger import Compared, Untaken
from archive.post.observations import Seen
from archive.store.archive import Session
from archive.store.schema import message, ticket
from archive.work import absences, cases, drafts, handing, rulebook, tickets
from archive.work.rules import Action, Condition, Rule
from web.app import Server

from .. import world
from .conftest import NOW, make_empty, open_office
from .pictures import pdf

WHERE = {world.HELPDESK: "helpdesk", world.SALES: "sales", world.PRESS: "press"}
WIDTHS = (1440, 1024, 390)  # three panes, a rail of icons, a phone
NARROW_AND_WIDE = (390, 1440)
TAIL = " and all that belongs to it, as it was agreed upon in the spring with everybody who was there"
NOBODY = world.Person("Nina Nová", "nina@demo.example")  # has an account, and belongs to no process yet


def _go_wrong() -> str:
    """A page with a fault of ours."""
    raise RuntimeError("on purpose")


class House:
    """The small world's mail in an office, its pages served, and a browser to look at them.

    Anna has read some of hers, Bernd has more than a page of them. One folder is in trouble, one mail in quarantine.
    """

    def __init__(self, folder: Path, browser: Any) -> None:
        key = make_empty(folder / "archive")
        self.office = open_office(folder / "archive", key)
        self.browser = browser
        self.attempts: dict[str, int] = {}
        self.rendered: list[str] = []  # the templates from which pages were made
        template_rendered.connect(self._note, self.office.app)
        self.office.app.add_url_rule("/gone-wrong", "gone_wrong", _go_wrong)
        self._fill()
        self._server = Server(self.office.app, "127.0.0.1", 0, 4, behind_proxy=False)
        self._running = threading.Thread(target=self._server.run)
        self.base = f"http://127.0.0.1:{self._server.address[1]}"

    def _note(self, _: Flask, template: Any, **more: object) -> None:
        self.rendered.append(template.name)

    def __enter__(self) -> "House":
        self._running.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self._running.join(10)
        self.office.close()

    def _send(self) -> None:
        """Helpdesk may send, and a mail of its has reached one of three."""
        office, at = self.office, NOW - 7_200_000
        with office.archive.transaction() as session:
            smtp = "smtps://helpdesk@mail.example"
            bindings.add_mailbox(session, office.archive, "out", "imaps://helpdesk@mail.example", smtp, "x", at)
            box, helpdesk = bindings.mailbox_by_name(session, "out"), processes.by_slug(session, "helpdesk")
            assert box
            assert helpdesk
            made = identities.add(session, "helpdesk@demo.example", box, at, name="Helpdesk", process=helpdesk.id)
            identities.permit(session, made, office.users["dana"], True, at)
            texts = {code: Text("Dear {{sender_name}}," + TAIL, "[{{ticket}}] Thanks") for code in ("en", "cs", "ru")}
            templates.put(session, None, helpdesk.id, ("Thanks" + TAIL)[:80], texts, "operator", at)
            auto_replies.choose_budget(session, auto_replies.INSTALLATION, 0, "operator", at)
            wish = auto_replies.Due(1, 1, "", 1, 1, None, "eva@outside.example", at, 1, False)
            assert auto_replies.braked(session, wish, at) == auto_replies.INSTALLATION
            templates.put(session, None, helpdesk.id, "Closed", {"en": Text("Bye", "Bye")}, "operator", at)
            self._canaries(session, box)
        to = "a@brewery.example, gone@brewery.example, " + "long" * 12 + "@brewery.example"
        letter = sending.Letter(made, outbox.NEW, to, "Offer" + TAIL, "Hello", undo=0)
        sending.send(office.archive, lambda session: scopes.viewer(session, office.users["anna"]), letter, at)
        with office.archive.transaction() as session:
            processes.want_second_look(session, helpdesk.id, True, "operator", at)
        for subject in ("Waits" + TAIL, "Given back"):
            letter = sending.Letter(made, outbox.NEW, "eva@outside.example", subject, "Hello" + TAIL)
            id_ = sending.send(office.archive, lambda session: scopes.viewer(session, office.users["dana"]), letter, at)
        with office.archive.transaction() as session:
            outbox.give_back(session, id_, f"user:{office.users['anna']}", "Say please" + TAIL, at)
            processes.want_second_look(session, helpdesk.id, False, "operator", at)
            (one,) = outbox.claim(session, box.id, bytes(16), at, 1)
            said = [outbox.Result(outbox.SENT, 250, "taken"), outbox.Result(outbox.FAILED, 550, "no such user" + TAIL)]
            said_of = dict(zip(one.recipients, said, strict=False))
            outbox.settle(session, [outbox.Said(one.id, one.claim, said_of, at)])
            back = {one.recipients[0]: About((one.recipients[0],), FAILED, "5.2.2", "552 5.2.2 Mailbox full" + TAIL)}
            returns.note(session, returns.Tied(one.id, "user:1", "process:1", "", None, back), 1, "gateway", at)

    def _canaries(self, session: Session, box: Mailbox) -> None:
        """Test mails of addresses of Press: one arrived, others are under way, were refused, and did not arrive."""
        press = processes.by_slug(session, "press")
        assert press
        checks = {"spf": {"pass"}, "dkim": {"none"}, "dmarc": {"fail"}}
        said = {"server": "mail.example:465", "answer": "550 5.7.1 not from here" + TAIL, "address": "no@demo.example"}
        for name, at in (("came", NOW - 60_000), ("goes", NOW), ("no", NOW - 90_000), ("lost", NOW - 7_200_000)):
            address = f"{name}@demo.example"
            one = identities.get(
                session, identities.add(session, address, box, at, process=press.id, sent_folder="Sent")
            )
            id_ = canaries.ask(session, self.office.archive, one, "schedule", at)
            if name == "no":
                canaries.failed(session, id_, canaries.REFUSED, said, at, 550)
            elif canaries.begin(session, id_, at) and name != "goes":
                canaries.taken(session, id_, 250, "OK", at + 1500)
            if name == "came":
                test = canaries.get(session, id_)
                canaries.arrived(
                    session, test, 1, 1, "list@" + "long" * 12 + ".example", checks, "binding:1", at + 9000
                )
            canaries.choose_every(session, one, canaries.EVERY["daily"], "operator", at)

    def _fill(self) -> None:
        office = self.office
        for one in world.mails(datetime.fromtimestamp(NOW / 1000, UTC)):
            office.clock[0] = int(one.at.timestamp() * 1000)
            office.take(WHERE[one.address], one.raw)
        office.clock[0] = NOW - 3_600_000
        subjects = (f"Прайс-лист на следующий год, часть {number}" for number in range(60))
        office.take("sales", *(world.mail(subject=one, text=TAIL) for one in subjects))
        files = [("Angebot" + "_sehr_lang" * 12 + ".pdf", pdf()), *((f"{n}.csv", b"a;b\n") for n in range(8))]
        offer = world.mail(subject="Offer" + TAIL * 2, text="> a\n" * 5, attachments=files, message_id="<offer@x>")
        nosy = world.mail(subject="Also" + TAIL, from_="nosy@else.example", in_reply_to="<offer@x>")
        office.take("helpdesk", offer, nosy)
        office.quarantine("helpdesk", b"Subject: x\r\n\r\n", "The database refuses it")
        self._send()
        viewer = office.viewer("anna")  # not within the transaction: on SQLite a second connection waits for it
        with office.archive.transaction() as session:
            helpdesk = office.bindings["helpdesk"]
            says = "The server refuses the password. Enter the new one."
            bindings.failed(session, helpdesk, NOW - 7_200_000, trouble=says, permanent=True, next_at=NOW)
            bindings.succeeded(session, office.bindings["sales"], NOW - 9000, waiting=3, empty=False)
            left = {9001: Untaken(ledger.LEFT, "A person flagged it as deleted; it is left alone.")}
            ledger.note(session, helpdesk, 1, left, left, {9002}, NOW)
            bindings.select_generation(session, helpdesk.id, 1)
            self._comparisons(session)
            box = office.bindings["anna"].mailbox
            asked = bindings.add(session, box, "Rodina", "Done", NOW - 3_600_000, user=office.users["anna"])
            office.bindings["asked"] = bindings.get(session, asked)
            some = [Waiting(NOW - day * 86_400_000, "Marek Novák", f"Dovolená, část {day}" + TAIL) for day in range(9)]
            found = Preview(NOW, 1234, 98_765_432, 2, NOW - 800 * 86_400_000, NOW, some)
            decisions.note_preview(session, office.archive, office.bindings["asked"], found)
            bindings.succeeded(session, office.bindings["asked"], NOW, waiting=1234, empty=False)
            helpdesk_process = processes.by_slug(session, "helpdesk")
            assert helpdesk_process
            own = office.bindings["anna"]
            decisions.set_up_desk(session, own, helpdesk_process, "user:1", NOW)
            self._rules(session)
            self._mailboxes(session)
            lines = [
                "LOGIN …",
                "SELECT Postroom",
                "UID SEARCH ALL",
                f"UID FETCH {','.join(map(str, range(200)))} (BODY.PEEK[])",
            ]
            journal.add(session, box.id, Entry(7, own.id, NOW - 90_000, NOW, 1, [*lines, "LOGOUT"], 200, 200), 90)
            journal.add(session, box.id, Entry(9, None, NOW - 80_000, NOW, 1, ["LOGIN …", "LOGOUT"], 0, 0, True), 90)
            filed = ["LOGIN …", "APPEND Sent (\\Seen) {812}…", "LOGOUT"]
            journal.add(session, box.id, Entry(10, None, NOW - 70_000, NOW, 1, filed, 0, 0), 90)
            once = office.bindings["ended"].id
            journal.add(session, box.id, Entry(11, once, NOW - 60_000, NOW, 1, lines[:2], 0, 0), 90)
            for _ in range(1440):
                journal.looked(session, own, Entry(8, own.id, NOW, NOW, 1, lines[:3], 0, 0))
            self._cases(session)
            seen = tickets.page(session, viewer, ["process:1"], None, 100)[2:]
            tickets.mark_seen(session, office.users["anna"], seen)
        with office.archive.transaction() as session:
            office.users["nina"] = users.add(session, NOBODY.address, NOBODY.name, NOW)
            processes.add(session, "board", "Board", ("board@demo.example",), (world.CLARA.address,), NOW)
            for name, value in (("name", "Demo"), ("zone", "UTC"), ("url", "https://mail.demo.example")):
                installation.put(session, name, value)
        self._hand_over()
        office.clock[0] = NOW

    def _hand_over(self) -> None:
        """Clara has handed two of Press on, one long ago and one just now, and will be away."""
        office, clara = self.office, self.office.users["clara"]
        viewer, press, dana = (
            office.viewer("clara"),
            f"process:{office.bindings['press'].process}",
            office.users["dana"],
        )
        with office.archive.transaction() as session:
            of_press = select(ticket.c.conversation).where(ticket.c.scope == press).order_by(ticket.c.id).limit(2)
            for conversation, at in zip(session.scalars(of_press).all(), (NOW - 9 * 86_400_000, NOW), strict=True):
                to = f"user:{dana}"
                handing.hand(office.archive, session, viewer, conversation, press, to, "For you" + TAIL, at)
            for first, substitute in ((NOW + 86_400_000, dana), (NOW - 86_400_000, None)):
                last = first + 9 * 86_400_000
                absences.record(
                    session,
                    clara,
                    first,
                    last,
                    f"user:{clara}",
                    NOW - 99_000,
                    substitute=substitute,
                    note="At sea" + TAIL,
                )

    def _comparisons(self, session: Session) -> None:
        """One that found much, one that could not be made, one that goes on."""
        helpdesk, sales, press = (self.office.bindings[name].id for name in ("helpdesk", "sales", "press"))
        for number in (helpdesk, sales, press):
            comparisons.ask(session, number, NOW)
        there = {uid: Mail(uid, NOW - uid * 60_000, uid * 1000) for uid in range(9100, 9104)}
        differ = Compared(1, 27, unseen=[*there, *range(9200, 9300)], missing=[9001], open=[1], to_move=[2], back=[3])
        comparisons.answer(session, helpdesk, comparisons.found(differ, there), NOW)
        says = {"server": "mail.example:993", "doing": "UID SEARCH", "answer": "NO [SERVERBUG] internal error" + TAIL}
        comparisons.answer(session, sales, comparisons.found(Compared(1, 3), {}), NOW - 7_200_000)
        comparisons.fail(session, sales, "cut", says)

    def _rules(self, session: Session) -> None:
        """Six of them: one that could not be asked, one for Helpdesk alone, one switched off."""
        sales, helpdesk = (self.office.bindings[name] for name in ("sales", "helpdesk"))

        def add(name: str, *conditions: Condition, then: tuple[Action, ...], **more: Any) -> int:
            return rulebook.add(session, Rule(name, conditions, then, **more), "operator", NOW)

        add(
            "Supplier invoices",
            Condition("sender", "wildcard", ("*@brzoza.example", "*@calderfinch.example", "faktury@*")),
            Condition("subject", "regular", (r"(?i)\b(invoice|faktur[ay])\b", r"(?i)doklad (?P<number>[0-9]+)")),
            Condition("attachment type", "wildcard", ("PDF",)),
            then=(Action("route", str(sales.process)), Action("tag", "invoice {number}"), Action("assign", "in turn")),
            stop=True,
        )
        lists = Condition("header", "wildcard", ("List-Unsubscribe: *",))
        out = add("Newsletters out", lists, then=(Action("silently"),), stop=True)
        words = Condition("subject", "wildcard", ("urgent", "naléhavé", "срочно"))
        broken = add("Urgent words", words, then=(Action("priority", "urgent"), Action("due", "4")))
        add("Shop questions", words, then=(Action("also", str(sales.process)),), bindings=frozenset({helpdesk.id}))
        add("Weekend", Condition("time", "within", ("Sat-Sun",)), then=(Action("due", "48"),), active=False)
        rulebook.note_matches(session, {out: 84, broken: 9}, NOW)
        first = session.scalars(select(message.c.id).where(message.c.subject == COLD).limit(1)).all()
        some = [*first, *session.scalars(select(message.c.id).where(message.c.id.not_in(first)).limit(9))]
        wishes = [
            auto_replies.Wish(id_, f"process:{helpdesk.process}", 1, 1, helpdesk.id, "eva@outside.example", why)
            for id_, why in zip(some, sorted(auto_replies.SENTENCES), strict=False)
        ]
        auto_replies.want(session, wishes, NOW)
        rulebook.note_troubles(session, {broken: "RecursionError: maximum recursion depth exceeded"}, NOW)

    def _cases(self, session: Session) -> None:
        """One with mail and documents, one that says hardly anything, one that is closed."""
        by = f"user:{self.office.users['anna']}"
        people = [f"user:{self.office.users['bernd']}", "process:1"]
        cases.open_(session, "Order 2031", "Coffee machine for the third floor" + TAIL, "Kavárna Čas", by, people, NOW)
        one = cases.by_reference(session, "Order 2031")
        assert one
        for subject in (COLD, "Offer" + TAIL * 2):
            found = session.scalar(select(message.c.conversation).where(message.c.subject == subject))
            number = session.scalar(select(ticket.c.id).where(ticket.c.conversation == found))
            cases.file(session, one, cases.TICKET, str(number), by, NOW)
        for reference in ("Order 2032", "Order 2033"):
            cases.open_(session, reference, "", "", by, [], NOW)
        gone = cases.by_reference(session, "Order 2033")
        assert gone
        cases.close(session, gone, by, NOW)

    def _mailboxes(self, session: Session) -> None:
        """Anna's other mailboxes, whose folders are paused and disconnected, and what she tried to sign in to."""
        office, anna = self.office, self.office.users["anna"]
        archive = office.archive
        for name in ("paused", "ended"):
            number = bindings.add(session, office.bindings["anna"].mailbox, name.title(), "Done", NOW, user=anna)
            office.bindings[name] = bindings.get(session, number)
        decisions.pause(session, [office.bindings["paused"]], f"user:{anna}", NOW)
        decisions.disconnect(session, [office.bindings["ended"]], f"user:{anna}", NOW)
        at = providers.preset("google")
        by = providers.add(session, archive, "Google", "google", "client", "secret", at, NOW, consent_days=90)
        url = "imaps://anna@imap.example"
        bindings.add_mailbox(
            session, archive, "consent", url, None, None, NOW, owner=anna, provider=by, grant="consent"
        )
        bindings.add_mailbox(session, archive, "waits", url, None, None, NOW, owner=anna)
        box, given = office.bindings["anna"].mailbox.id, {"password": "her own password"}
        observations.note(session, box, Seen(certificate_until=NOW + 6 * 86_400_000), NOW)
        for name in ("under way", "done", "failed", "unanswered"):
            at_time = NOW - 3_600_000 if name == "unanswered" else NOW
            self.attempts[name] = attempts.ask(session, archive, anna, "password", box, given, at_time)
        attempts.answer(session, self.attempts["done"], mailbox=office.bindings["asked"].mailbox.id)
        number = bindings.add_mailbox(
            session, archive, "given", url, None, None, NOW, owner=anna, provider=by, grant="consent"
        )
        kept, tokens = bindings.mailbox_of(session, number), consents.Tokens("access", 3600, "refresh")
        consents.give(session, archive, kept, providers.get(session, by), tokens, NOW, f"user:{anna}")
        for name in ("Google, told", "Google, being told", "Google, not told"):
            self.attempts[name] = attempts.ask(session, archive, anna, "revoke", number, {"token": "her own"}, NOW)
        attempts.answer(session, self.attempts["Google, told"], mailbox=number)
        refuses = {"provider": "Google", "answer": "HTTP 503"}
        attempts.answer(session, self.attempts["Google, not told"], kind="not revoked", values=refuses)
        says = {"server": "imap.example:993", "user": "anna@demo.example", "answer": "NO [AUTHENTICATIONFAILED] no"}
        attempts.answer(session, self.attempts["failed"], kind="password", values=says)

    def of(self, subject: str) -> int:
        """The newest message with this subject."""
        with self.office.archive.reading() as session:
            query = select(message.c.id).where(message.c.subject == subject).order_by(message.c.id.desc())
            found = session.scalar(query.limit(1))
        assert found, subject
        return int(found)

    def talk(self, subject: str) -> str:
        """The address of the conversation with this subject."""
        return f"/conversations/{self.office.conversation(self.of(subject))}"

    @contextmanager
    def visit(self, who: str | None, width: int = 1440, **options: Any) -> Iterator[Any]:
        """A page of a browser in which somebody may be signed in; nothing moves in it but at once."""
        context = self.browser.new_context(
            viewport={"width": width, "height": 900}, base_url=self.base, **{"reduced_motion": "reduce", **options}
        )
        if who:
            with self.office.archive.transaction() as session:
                token = sessions.start(session, self.office.users[who], "Mozilla/5.0 (X11; Linux) Firefox/153.0", NOW)
            context.add_cookies([{"name": "postroom", "value": token, "url": self.base}])
        try:
            yield context.new_page()
        finally:
            context.close()


# On a busy machine the last of a page may be painted after it was loaded: the second frame from then on shows it all.
PAINTED = """() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(
    () => done(window.painted = performance.now()))))"""


@dataclass(frozen=True)
class Place:
    """A page: whose, its address, and what is done there before one looks."""

    name: str
    address: str | Callable[[House], str]
    who: str | None = "anna"
    first: Callable[[Any], object] = lambda page: None
    widths: tuple[int, ...] = WIDTHS

    def open(self, page: Any, house: House) -> None:
        """Go there."""
        page.goto(self.address if isinstance(self.address, str) else self.address(house))
        page.evaluate(PAINTED)
        self.first(page)
        if page.evaluate("window.painted === undefined"):  # that led to another page
            page.evaluate(PAINTED)


def _link(house: House) -> str:
    with house.office.archive.transaction() as session:
        return f"/sign-in/link/{users.new_link(session, house.office.users['nina'], NOW)}"


def _sign_in_wrongly(page: Any) -> None:
    page.fill("#email", "nobody@demo.example")
    page.fill("#password", "wrong")
    page.click("button.main")
    page.wait_for_selector("[role=alert]")


def _let_the_form_grow_old(page: Any) -> None:
    page.context.clear_cookies(name="postroom-form")
    page.fill("#email", "nobody@demo.example")
    page.fill("#password", "wrong")
    page.click("button.main")
    page.wait_for_selector("h1:has-text('lay open too long')")


def _break(page: Any) -> None:
    page.fill("#url", "https://mail.demo.example/path")
    page.click("main button.main")
    page.wait_for_selector("[aria-invalid]")


def _be_away_backwards(page: Any) -> None:
    page.fill("#first", "2026-12-24")
    page.fill("#last", "2026-12-01")
    page.click("main form.form button.main")
    page.wait_for_selector("#last[aria-invalid]")


def _attempt(name: str) -> Callable[[House], str]:
    return lambda house: f"/mailboxes/attempts/{house.attempts[name]}"


def _whole(name: str) -> Callable[[House], str]:
    def address(house: House) -> str:
        with house.office.archive.reading() as session:
            found = bindings.mailbox_by_name(session, name)
        assert found, name
        return f"/mailboxes/{found.id}"

    return address


def _unfold(page: Any) -> None:
    for one in page.locator("main details > summary").all():
        one.click()


def _consent(page: Any) -> None:
    page.click("button:has-text('Give consent')")
    page.wait_for_selector("h1:has-text('On to Google')")


def _mark_as_unread(page: Any) -> None:
    page.click("#talk button:has-text('Mark as unread')")
    page.wait_for_selector(".toast")


def _type_into_search(page: Any) -> None:
    page.keyboard.press("/")
    page.keyboard.type("has:attachment káv")
    page.wait_for_selector("#suggestions [role=option]")


def _send_in_haste(page: Any) -> None:
    """Promise a file, write to a look-alike, and press once."""
    page.fill("#to", page.input_value("#to") + ", x@kancelar-rnorava.example")
    page.fill("textarea[name=text]", "See the attachment")
    page.set_input_files("#files", [])
    page.click(".compose .bar .main")
    page.wait_for_selector("[name=warned]", state="attached")


def _preview(page: Any) -> None:
    """With copies, and files that are at hand."""
    page.fill("#to", "Jan Malý <jan@brewery.example>, eva@outside.example")
    page.click("summary:has-text('Copies')")
    page.fill("#bcc", "quiet@brewery.example")
    page.fill("textarea[name=text]", "**Yes**, it is as you say:\n\n| what | how many |\n|---|--:|\n| cups | 12 |")
    page.click("button[value=preview]")
    page.wait_for_selector(".as-sent iframe")


def _mistype_a_rule(page: Any) -> None:
    page.fill("#c1", "(?i)\\b(invoice|faktur[ay])\\b\n(?i)doklad [0-9+")
    page.click("button.main[value=save]")
    page.wait_for_selector("#c1-e")


def _rehearse(page: Any) -> None:
    page.fill("#name", "Complaints")
    page.check("[name=binding]")
    page.fill("#c0", "reklam*")
    page.select_option("#a0-do", "silently")
    page.wait_for_selector("small:has-text('born done')")
    page.click("button[value=rehearse]")
    page.wait_for_selector("#reh")


def _waits(house: House) -> str:
    """Dana's, that Anna may let go."""
    with house.office.archive.reading() as session:
        return f"/outbox/{next(one.id for one in outbox.page(session, MACHINE, [outbox.REVIEW]))}/look"


def _again(house: House) -> str:
    """What has not reached all it was written to, to be written anew."""
    with house.office.archive.reading() as session:
        failed = next(one for one in outbox.page(session, MACHINE) if one.subject.startswith("Offer"))
        return f"/outbox/{failed.id}/again"


def _begun(house: House) -> str:
    """Anna has begun an answer, and a mail with a long subject."""
    viewer, anna = house.office.viewer("anna"), house.office.users["anna"]
    with house.office.archive.transaction() as session:
        query = select(ticket.c.id).join(message, message.c.conversation == ticket.c.conversation)
        number = session.scalar(query.where(message.c.subject == COLD).limit(1)) or 0
        if drafts.get(session, anna, number, "reply") is None:
            drafts.put(session, viewer, number, "reply", "It will be warm" + TAIL * 3, NOW)
            said = {
                "cc": "",
                "bcc": "",
                "to": "long" * 20 + "@brewery.example",
                "subject": "Angebot" + "_sehr_lang" * 12,
                "text": TAIL,
            }
            drafts.put_mail(session, anna, 7, json.dumps({"kind": "new", "identity": None, "fields": said}), NOW)
    return "/drafts"


def _begin_a_mail(page: Any) -> None:
    page.fill("#to", "eva@outside.example")
    page.fill("[name=text]", "As agreed")
    page.wait_for_selector(".kept:has-text('Draft kept')")
    page.goto("/drafts")
    page.click("main a:has-text('No subject') >> nth=0")
    page.wait_for_selector(".kept time")


def _change_what_somebody_changed(page: Any) -> None:
    """Two have the panel open; the other was quicker."""
    _fill_panel(page, "form.querySelector('[name=was-priority]').value = 'high'; form.priority.value = 'urgent'")
    page.wait_for_selector("h1:has-text('Somebody changed')")


def _type_no_time(page: Any) -> None:
    _fill_panel(page, "form.due.type = 'text'; form.due.value = 'soon'")
    page.wait_for_selector("h1:has-text('could not be kept')")


def _fill_panel(page: Any, typed: str) -> None:
    here = "document.querySelector('[name=was-priority]').form"
    page.evaluate(f"() => {{ const form = {here}; {typed}; HTMLFormElement.prototype.submit.call(form) }}")


COLD = "Re: Reklamace: kávovar Barista 300 nehřeje"
PLACES = (
    Place("list", "/"),
    Place("list of a process", "/processes/helpdesk"),
    Place("list, a full page", "/processes/sales", "bernd"),
    Place("list, its end", "/?after=1.1"),
    Place("list, nothing of one's own", "/mine"),
    Place("list, what one watches", "/views/watching"),
    Place("list, where one is named", "/views/mentions"),
    Place("list, no process", "/", "nina"),
    Place("list, no mail", "/processes/board", "clara"),
    Place("conversation", lambda house: house.talk(COLD)),
    Place(
        "conversation with a newsletter",
        lambda house: house.talk("Winter roasts are here – and 15 % off until Sunday"),
        "bernd",
    ),
    Place("conversation with many attachments", lambda house: house.talk("Offer" + TAIL * 2)),
    Place("conversation that may belong to another", lambda house: house.talk("Also" + TAIL)),
    Place(
        "conversation, who sees it",
        lambda house: house.talk(COLD),
        first=lambda page: page.click("[popovertarget=why]"),
    ),
    Place("conversation, marked", lambda house: house.talk(COLD), first=_mark_as_unread),
    Place("commands", "/commands"),
    Place("commands, typed", "/commands?q=kávovar"),
    Place("commands, over a page", "/processes/helpdesk", first=lambda page: page.keyboard.press("Control+k")),
    Place("suggestions", "/processes/helpdesk", first=_type_into_search),
    Place("first steps", "/first-steps/2"),
    Place("header", lambda house: f"/messages/{house.of(COLD)}/headers"),
    Place("source", lambda house: f"/messages/{house.of(COLD)}/source"),
    Place("attachment", lambda house: f"/messages/{house.of('Offer' + TAIL * 2)}/attachments/2/view"),
    Place("files of a conversation", lambda house: f"{house.talk('Offer' + TAIL * 2)}/files"),
    Place("conversation for paper", lambda house: f"{house.talk(COLD)}/print"),
    Place("answer", lambda house: f"/messages/{house.of(COLD)}/reply?all=1"),
    Place(
        "answer, with files of a case",
        lambda house: f"/messages/{house.of(COLD)}/reply",
        first=lambda page: page.locator("details:has([name=enclosed]) > summary").last.click(),
    ),
    Place("answer, warned", lambda house: f"/messages/{house.of(COLD)}/reply?all=1", first=_send_in_haste),
    Place("forward", lambda house: f"/messages/{house.of('Offer' + TAIL * 2)}/forward"),
    Place("templates", "/processes/helpdesk/templates"),
    Place("templates, one", "/processes/helpdesk/templates?template=1"),
    Place("templates, none yet", "/processes/sales/templates", "bernd"),
    Place("signatures", "/signatures"),
    Place("signatures, no address", "/signatures", "nina"),
    Place("new mail", "/compose"),
    Place("once more", _again),
    Place(
        "mail passed on, previewed", lambda house: f"/messages/{house.of('Offer' + TAIL * 2)}/forward", first=_preview
    ),
    Place("mail of a colleague, before it goes", _waits),
    Place("drafts", _begun),
    Place("draft, gone on with", lambda house: f"{_begun(house)}/7"),
    Place("drafts, nothing there", "/drafts", "bernd"),
    Place("draft of a new mail", "/compose", first=_begin_a_mail),
    Place("outbox", "/outbox"),
    Place("outbox, nothing there", "/outbox", "bernd"),
    Place("search", "/search"),
    Place("search with hits", "/search?q=kávovar -subject:nic after:2026-01"),
    Place("search without hits", "/search?q=nowhere from:nobody before:nonsense"),
    Place("cases", "/cases"),
    Place("cases, none yet", "/cases", "nina"),
    Place("cases, none found", "/cases?q=zeppelin"),
    Place("case", "/cases/1"),
    Place("case, closed", "/cases/3"),
    Place("case, restrict", "/cases/1/restriction"),
    Place("ticket, changed by two", lambda house: house.talk(COLD), first=_change_what_somebody_changed),
    Place("ticket, mistyped", lambda house: house.talk(COLD), first=_type_no_time),
    Place("case, filing", lambda house: f"{house.talk(COLD).partition('?')[0]}/file"),
    Place("processes", "/processes"),
    Place("processes, none", "/processes", "nina"),
    Place("hand over", lambda house: house.talk(COLD) + "/hand-over"),
    Place("what was handed over", "/handed-over", "clara"),
    Place("what was handed over, nothing", "/handed-over"),
    Place("restrict", lambda house: house.talk(COLD) + "/restriction"),
    Place("members", "/processes/helpdesk/members"),
    Place("people", "/people", "clara"),
    Place("dashboard", "/processes/helpdesk/dashboard"),
    Place("dashboard, nothing waits", "/processes/board/dashboard", "clara"),
    Place("health", "/health", "clara"),
    Place("health, nothing watched", "/health", "nina"),
    Place("folder with a preview", lambda house: f"/bindings/{house.office.bindings['asked'].id}"),
    Place("folder with desks", lambda house: f"/bindings/{house.office.bindings['anna'].id}"),
    Place("folder, what was sent", lambda house: f"/bindings/{house.office.bindings['anna'].id}/journal"),
    Place("folder in trouble", lambda house: f"/bindings/{house.office.bindings['helpdesk'].id}"),
    Place("folder that is paused", lambda house: f"/bindings/{house.office.bindings['paused'].id}"),
    Place("folder that is disconnected", lambda house: f"/bindings/{house.office.bindings['ended'].id}"),
    Place("mail in quarantine", "/quarantine/1"),
    Place("ledger", lambda house: f"/health/{house.office.bindings['helpdesk'].id}/ledger", "clara"),
    Place("ledger, compared", lambda house: f"/health/{house.office.bindings['helpdesk'].id}/ledger"),
    Place("ledger, not compared", lambda house: f"/health/{house.office.bindings['sales'].id}/ledger", "bernd"),
    Place("ledger, being compared", lambda house: f"/health/{house.office.bindings['press'].id}/ledger", "clara"),
    Place("ledger, nothing seen", lambda house: f"/health/{house.office.bindings['anna'].id}/ledger"),
    Place("profile", "/profile"),
    Place("keys", "/keys"),
    Place("keys, over a page", "/", first=lambda page: page.keyboard.press("?")),
    Place("account", "/", first=lambda page: page.click("[popovertarget=me]")),
    Place("rail of a phone", "/", first=lambda page: page.click("[popovertarget=rail]"), widths=(390,)),
    Place("sign-in", "/sign-in", None),
    Place("sign-in, mistyped", "/sign-in", None, _sign_in_wrongly),
    Place("sign-in by link", _link, None),
    Place("sign-in by a dead link", "/sign-in/link/none", None),
    Place("rules", "/rules", "clara"),
    Place("rules, none yet", "/rules"),
    Place("rule", "/rules/1", "clara"),
    Place("rule, mistyped", "/rules/1", "clara", _mistype_a_rule),
    Place("rule, rehearsed", "/rules/new", first=_rehearse),
    Place("your mailboxes", "/mailboxes"),
    Place("your mailboxes, none yet", "/mailboxes", "nina"),
    Place("consent, on the way", "/mailboxes", first=_consent),
    *(Place(f"sign-in of a mailbox, {name}", _attempt(name)) for name in ("under way", "done", "failed", "unanswered")),
    Place("a whole mailbox", _whole("anna"), first=_unfold),
    Place("a whole mailbox, consent given", _whole("given"), first=_unfold),
    Place("a whole mailbox, nothing to sign in with", _whole("waits")),
    Place("a whole mailbox of the organisation", _whole("out"), "clara", first=_unfold),
    Place("a whole mailbox, what was sent", lambda house: f"{_whole('anna')(house)}/journal"),
    Place("a whole mailbox, nothing sent", lambda house: f"{_whole('given')(house)}/journal"),
    *(Place(name, _attempt(name)) for name in ("Google, told", "Google, being told", "Google, not told")),
    Place("organisation", "/organisation", "clara"),
    Place("absences", "/absences", "clara"),
    Place("absences, none", "/absences"),
    Place("absences, mistyped", "/absences", first=_be_away_backwards),
    Place("addresses", "/organisation/addresses", "clara"),
    Place("where mail goes", "/organisation/routing", "clara"),
    Place("working hours", "/organisation/hours", "clara"),
    Place("organisation, mistyped", "/organisation", "clara", _break),
    Place("what comes next", "/next-steps", "clara"),
    Place("no such page", "/nowhere"),
    Place("not that way", "/outbox/1/retry"),
    Place("gone wrong", "/gone-wrong"),
    Place("form too old", "/sign-in", None, _let_the_form_grow_old),
)
