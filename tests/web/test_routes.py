"""Who gets which page, for every route: owner, colleague, stranger, admin, somebody who was just removed, somebody who
only hands in, an auditor, and somebody who is not signed in."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import insert, select
from werkzeug.test import TestResponse

from archive.outgoing import identities, outbox, templates
from archive.outgoing.templates import Text
from archive.people import members, processes, scopes, users
from archive.people.roles import Role
from archive.people.scopes import MACHINE
from archive.post import attempts, bindings, messages, providers
from archive.store.archive import Session
from archive.store.schema import blob, brake, event, outgoing, ticket
from archive.work import absences, cases, comments, drafts, handing, restricting, rulebook
from archive.work.rules import Action, Condition, Rule
from web import mail_frame

from .. import world
from .conftest import NOW, Office, _hashed
from .test_writing import fields

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


class Mail:
    """A mail that came to Helpdesk, and one that is quarantined there."""

    def __init__(self, office: Office) -> None:
        raw = world.mail(
            subject="Leak", html="<p>x</p>", attachments=[("leak.png", PNG)], message_id="<leak@outside.example>"
        )
        self.office = office
        (self.message,) = office.take("helpdesk", raw)
        self.conversation = office.conversation(self.message)
        also = world.mail(subject="Leak, too", from_="nosy@else.example", in_reply_to="<leak@outside.example>")
        (self.stray,) = office.take("helpdesk", also)
        self.held = office.quarantine("helpdesk", b"Subject: held\r\n\r\n")
        (given,) = office.take("anna", world.mail(subject="given"))
        with office.archive.transaction() as session:
            self.ticket = session.scalar(select(ticket.c.id).where(ticket.c.conversation == self.conversation)) or 0
            self.comments = {
                name: comments.add(session, self.ticket, office.users[name], "hm", NOW) for name in ("anna", "dana")
            }
        anna, at = office.users["anna"], "https://login.example"
        with office.archive.transaction() as session:
            self.handed = handing.hand(
                office.archive, session, scopes.viewer(session, anna), office.conversation(given),
                scopes.user_scope(anna), scopes.user_scope(office.users["bernd"]), "", NOW,
            )  # fmt: skip
        ends = providers.Endpoints(f"{at}/authorize", f"{at}/token", None, "mail", None)
        with office.archive.transaction() as session:
            self.ticket = session.scalar(select(ticket.c.id).where(ticket.c.conversation == self.conversation))
            by = providers.add(session, office.archive, "fake", "custom", "id", None, ends, NOW)
            self.by_consent = bindings.add_mailbox(
                session, office.archive, "by-consent", "imaps://anna@mail.example", None, None, NOW,
                owner=anna, provider=by, grant="consent",
            )  # fmt: skip
            here = frozenset({office.bindings["helpdesk"].id})
            one = Rule("a rule", (Condition("subject", "wildcard", ("*",)),), (Action("spam"),), bindings=here)
            self.rule, self.removed = (rulebook.add(session, one, "operator", NOW) for _ in range(2))
            helpdesk = processes.by_slug(session, "helpdesk")
            assert helpdesk
            self.template = templates.put(session, None, helpdesk.id, "Thanks", {"en": Text("x")}, "operator", NOW)
            templates.remove(session, self.template, "operator", NOW)
            self.case = cases.open_(session, "Order 2031 Leak", "", "", f"user:{anna}", [], NOW)
            self.outgoing = _queued(office, session, self.message)
            hers = office.users["anna"]
            self.absence = absences.record(session, hers, NOW, NOW + 86_400_000, f"user:{hers}", NOW)
            self.attempt = attempts.ask(session, office.archive, anna, "password", None, {}, NOW)

    def of_process(self) -> int:
        """A template that is removed, whoever asked before."""
        with self.office.archive.transaction() as session:
            templates.remove(session, self.template, "operator", NOW)
        return self.template

    def kept(self) -> int:
        """A template that is there."""
        with self.office.archive.transaction() as session:
            helpdesk = processes.by_slug(session, "helpdesk")
            assert helpdesk
            return templates.put(session, None, helpdesk.id, "Welcome", {"en": Text("x")}, "operator", NOW)

    def begun(self) -> int:
        """A new mail that Anna has begun."""
        fields = {**dict.fromkeys(("to", "cc", "bcc", "text", "quote"), ""), "subject": "Leak"}
        with self.office.archive.transaction() as session:
            form = json.dumps({"kind": "new", "identity": None, "fields": fields})
            drafts.put_mail(session, self.office.users["anna"], 7, form, NOW)
        return 7

    def frame(self, name: str) -> str:
        with self.office.app.test_request_context():
            return mail_frame.address(self.office.users.get(name, 0), self.message)

    def picture(self, name: str) -> str:
        with self.office.app.test_request_context():
            return mail_frame._inline_address(self.office.users.get(name, 0), self.message, "2")


def _queued(office: Office, session: Session, message: int) -> int:
    """A mail of Helpdesk that failed, so that nothing can be done about it but to write it anew."""
    helpdesk = processes.by_slug(session, "helpdesk")
    box = bindings.mailbox_by_name(session, "by-consent")
    assert helpdesk
    assert box
    made = identities.add(
        session,
        "helpdesk@demo.example",
        replace(box, owner=None, smtp="smtps://mail.example"),
        NOW,
        process=helpdesk.id,
    )
    one = insert(outgoing).values(
        identity=made, author="operator", scope=scopes.process_scope(helpdesk.id), kind="new", message_id="<x@y>",
        sender="helpdesk@demo.example", subject="Leak", blob=select(blob.c.id).limit(1).scalar_subquery(), sha256=b"",
        size=0, written="{}", queued_at=NOW, not_before=NOW, state="cancelled", tries=0,
    )  # fmt: skip
    return int(session.scalar(one.returning(outgoing.c.id)) or 0)


# Egon worked at Helpdesk until just now; Hana hands mail in there and reads none; Petra is the auditor.
OTHERS = ("egon", "hana", "petra")
SEES = {"anna", "dana", "petra"}  # whose pages may show the mail


def hire(office: Office) -> None:
    """Let there be the others. Egon is a member still."""
    with office.archive.transaction() as session:
        helpdesk = processes.by_slug(session, "helpdesk")
        assert helpdesk
        for name in OTHERS:
            office.users[name] = users.add(session, f"{name}@demo.example", name.title(), NOW, auditor=name == "petra")
            users.set_password(session, office.users[name], _hashed, NOW, "operator")
        members.give(session, helpdesk.id, office.users["egon"], Role.MANAGES, "operator", NOW)
        members.give(session, helpdesk.id, office.users["hana"], Role.HANDS_IN, "operator", NOW)


def dismiss(office: Office) -> None:
    """Egon belongs to Helpdesk no more."""
    with office.archive.transaction() as session:
        helpdesk = processes.by_slug(session, "helpdesk")
        assert helpdesk
        members.remove(session, helpdesk.id, office.users["egon"], "operator", NOW)


Address = Callable[[Mail, str], str]
SIGNED_IN, MEMBERS, LOOKS_AFTER, BY_TOKEN, PUBLIC = "signed in", "members", "looks after", "by token", "public"
ADMINS, MONITORS, OWNER = "admins", "monitors", "owner"
STEERS, NOBODY, WORKERS, MANAGERS = "may decide", "nobody", "workers", "managers"
RULE_MAKERS = "rule makers"
TAKE_PART = "take part"

# Every route needs an entry: method, for whom, and its address (of a mail, for a person).
ENTRIES: dict[str, tuple[str, str, Address]] = {
    "conversations.everything": ("GET", SIGNED_IN, lambda m, _: "/"),
    "conversations.mine": ("GET", SIGNED_IN, lambda m, _: "/mine"),
    "conversations.of_process": ("GET", MEMBERS, lambda m, _: "/processes/helpdesk"),
    "conversations.show": ("GET", MEMBERS, lambda m, _: f"/conversations/{m.conversation}"),
    "conversations.unread": ("POST", MEMBERS, lambda m, _: f"/conversations/{m.conversation}/unread"),
    "handing.ask": ("GET", WORKERS, lambda m, _: f"/conversations/{m.conversation}/hand-over"),
    "handing.hand": ("POST", WORKERS, lambda m, _: f"/conversations/{m.conversation}/hand-over"),
    "handing.take_back": ("POST", OWNER, lambda m, _: f"/hand-overs/{m.handed}/take-back"),
    "restricting.show": ("GET", MANAGERS, lambda m, _: f"/conversations/{m.conversation}/restriction"),
    "restricting.decide": ("POST", NOBODY, lambda m, _: "/conversations/1/restriction"),  # would hide it from the rest
    "restricting.show_case": ("GET", OWNER, lambda m, _: f"/cases/{m.case}/restriction"),
    "restricting.decide_case": ("POST", NOBODY, lambda m, _: "/cases/99/restriction"),  # none: it would hide it
    "restricting.end": ("POST", NOBODY, lambda m, _: "/restrictions/1/end"),
    "handing.own": ("GET", SIGNED_IN, lambda m, _: "/handed-over"),
    "cases.everything": ("GET", SIGNED_IN, lambda m, _: "/cases"),
    "cases.open_": ("POST", SIGNED_IN, lambda m, _: "/cases"),
    "cases.show": ("GET", TAKE_PART, lambda m, _: f"/cases/{m.case}"),
    "cases.rename": ("POST", OWNER, lambda m, _: f"/cases/{m.case}/rename"),
    "cases.close": ("POST", OWNER, lambda m, _: f"/cases/{m.case}/close"),
    "cases.take_part": ("POST", OWNER, lambda m, _: f"/cases/{m.case}/participants"),
    "cases.take_out": ("POST", OWNER, lambda m, _: f"/cases/{m.case}/take-out"),
    "cases.put_back": ("POST", OWNER, lambda m, _: f"/cases/{m.case}/put-back?kind=ticket&item={m.ticket}"),
    "cases.ask": ("GET", WORKERS, lambda m, _: f"/conversations/{m.conversation}/file"),
    "cases.file": ("POST", WORKERS, lambda m, _: f"/conversations/{m.conversation}/file?what=ticket+{m.ticket}"),
    "conversations.view": ("GET", SIGNED_IN, lambda m, _: "/views/unassigned"),
    "tickets.act": ("POST", WORKERS, lambda m, _: f"/tickets?back=/&do=watch&t={m.ticket}"),
    "tickets.save": ("POST", WORKERS, lambda m, _: f"/tickets/{m.ticket}"),
    "tickets.comment": ("POST", WORKERS, lambda m, _: f"/tickets/{m.ticket}/comments"),
    "tickets.edit_comment": ("POST", WORKERS, lambda m, name: f"/comments/{m.comments.get(name, 1)}"),
    "tickets.split": ("POST", WORKERS, lambda m, _: f"/conversations/{m.conversation}/split"),
    "joining.decide": ("POST", WORKERS, lambda m, _: f"/strays/{m.stray}?do=dismiss"),
    "messages.show": ("GET", MEMBERS, lambda m, _: f"/messages/{m.message}"),
    "messages.header": ("GET", MEMBERS, lambda m, _: f"/messages/{m.message}/headers"),
    "messages.source": ("GET", MEMBERS, lambda m, _: f"/messages/{m.message}/source"),
    "messages.eml": ("GET", MEMBERS, lambda m, _: f"/messages/{m.message}/mail.eml"),
    "messages.attachment": ("GET", MEMBERS, lambda m, _: f"/messages/{m.message}/attachments/2"),
    "previews.picture": ("GET", MEMBERS, lambda m, _: f"/messages/{m.message}/attachments/2/picture"),
    "previews.view": ("GET", MEMBERS, lambda m, _: f"/messages/{m.message}/attachments/2/view"),
    "mail_frame.show": ("GET", BY_TOKEN, lambda m, name: m.frame(name)),
    "mail_frame.inline": ("GET", BY_TOKEN, lambda m, name: m.picture(name)),
    "dashboards.show": ("GET", MEMBERS, lambda m, _: "/processes/helpdesk/dashboard"),
    "previews.gallery": ("GET", MEMBERS, lambda m, _: f"/conversations/{m.conversation}/files"),
    "printing.show": ("GET", MEMBERS, lambda m, _: f"/conversations/{m.conversation}/print"),
    "palette.show": ("GET", SIGNED_IN, lambda m, _: "/commands?q=lea"),
    "suggestions.show": ("GET", SIGNED_IN, lambda m, _: "/search/suggestions?q=lea"),
    "profile.look": ("POST", SIGNED_IN, lambda m, _: "/profile/look?density=dense"),
    "tour.step": ("GET", SIGNED_IN, lambda m, _: "/first-steps/1"),
    "tour.end": ("POST", SIGNED_IN, lambda m, _: "/first-steps/end"),
    "drafts.keep": ("POST", MEMBERS, lambda m, _: f"/tickets/{m.ticket}/drafts/comment"),
    "drafts.show": ("GET", SIGNED_IN, lambda m, _: "/drafts"),
    "drafts.delete": ("POST", SIGNED_IN, lambda m, _: "/drafts/delete?kind=mail&id=99"),
    "drafts.put_back": ("POST", SIGNED_IN, lambda m, _: "/drafts/put-back?kind=mail&id=99"),
    "writing.keep": ("POST", NOBODY, lambda m, _: "/drafts"),  # without a form that says what
    "writing.go_on": ("GET", OWNER, lambda m, _: f"/drafts/{m.begun()}"),
    "writing.compose": ("GET", SIGNED_IN, lambda m, _: "/compose"),
    "writing.reply": ("GET", WORKERS, lambda m, _: f"/messages/{m.message}/reply"),
    "writing.forward": ("GET", WORKERS, lambda m, _: f"/messages/{m.message}/forward"),
    "writing.send": ("POST", NOBODY, lambda m, _: "/outbox"),  # without a form that says what
    "writing.show_outbox": ("GET", SIGNED_IN, lambda m, _: "/outbox"),
    "writing.take_back": ("POST", WORKERS, lambda m, _: f"/outbox/{m.outgoing}/take-back"),
    "writing.look": ("POST", NOBODY, lambda m, _: "/outbox/99/look"),  # there is none
    "writing.show_before": ("GET", NOBODY, lambda m, _: "/outbox/99/look"),
    "members.second_look": ("POST", STEERS, lambda m, _: "/processes/helpdesk/second-look"),
    "profile.writing": ("POST", SIGNED_IN, lambda m, _: "/profile/writing"),
    "writing.retry": ("POST", WORKERS, lambda m, _: f"/outbox/{m.outgoing}/retry"),
    "writing.again": ("GET", WORKERS, lambda m, _: f"/outbox/{m.outgoing}/again"),
    "search.find": ("GET", SIGNED_IN, lambda m, _: "/search?q=leak"),
    "health.show": ("GET", SIGNED_IN, lambda m, _: "/health"),
    "ledger.show": ("GET", LOOKS_AFTER, lambda m, _: f"/health/{m.office.bindings['helpdesk'].id}/ledger"),
    "ledger.comparison": (
        "GET",
        LOOKS_AFTER,
        lambda m, _: f"/health/{m.office.bindings['helpdesk'].id}/ledger/comparison",
    ),
    "ledger.compare": ("POST", STEERS, lambda m, _: f"/health/{m.office.bindings['helpdesk'].id}/ledger/compare"),
    "bindings.show": ("GET", LOOKS_AFTER, lambda m, _: f"/bindings/{m.office.bindings['helpdesk'].id}"),
    "bindings.sent": ("GET", STEERS, lambda m, _: f"/bindings/{m.office.bindings['helpdesk'].id}/journal"),
    "bindings.accept": ("POST", STEERS, lambda m, _: f"/bindings/{m.office.bindings['helpdesk'].id}/accept"),
    "bindings.pause": ("POST", STEERS, lambda m, _: f"/bindings/{m.office.bindings['helpdesk'].id}/pause"),
    "bindings.resume": ("POST", STEERS, lambda m, _: f"/bindings/{m.office.bindings['helpdesk'].id}/resume"),
    "bindings.mark_answered": ("POST", STEERS, lambda m, _: f"/bindings/{m.office.bindings['helpdesk'].id}/answered"),
    "bindings.set_up_desk": ("POST", NOBODY, lambda m, _: f"/bindings/{m.office.bindings['helpdesk'].id}/desks"),
    "quarantine.show": ("GET", MEMBERS, lambda m, _: f"/quarantine/{m.held}"),
    "quarantine.eml": ("GET", MEMBERS, lambda m, _: f"/quarantine/{m.held}/mail.eml"),
    "health.look_again": ("POST", LOOKS_AFTER, lambda m, _: f"/health/{m.office.bindings['helpdesk'].id}/again"),
    "health.again": ("POST", LOOKS_AFTER, lambda m, _: f"/health/quarantine/{m.held}/again"),
    "rules.show": ("GET", RULE_MAKERS, lambda m, _: "/rules"),
    "rules.new": ("GET", RULE_MAKERS, lambda m, _: "/rules/new"),
    "rules.write": ("POST", RULE_MAKERS, lambda m, _: "/rules/new"),
    "rules.arrange": ("POST", RULE_MAKERS, lambda m, _: "/rules/order"),
    "rules.edit": ("GET", STEERS, lambda m, _: f"/rules/{m.rule}"),
    "rules.rewrite": ("POST", STEERS, lambda m, _: f"/rules/{m.rule}"),
    "rules.remove": ("POST", STEERS, lambda m, _: f"/rules/{m.removed}/remove"),
    "rules.put_back": ("POST", STEERS, lambda m, _: f"/rules/{m.removed}/put-back"),
    "mailboxes.show": ("GET", SIGNED_IN, lambda m, _: "/mailboxes"),
    "mailboxes.connect": ("POST", SIGNED_IN, lambda m, _: "/mailboxes/new"),
    "mailboxes.password": ("POST", OWNER, lambda m, _: f"/mailboxes/{m.office.bindings['anna'].mailbox.id}/password"),
    "mailboxes.consent": ("POST", OWNER, lambda m, _: f"/mailboxes/{m.by_consent}/consent"),
    "mailboxes.whole": ("GET", OWNER, lambda m, _: f"/mailboxes/{m.office.bindings['anna'].mailbox.id}"),
    "mailboxes.sent": ("GET", OWNER, lambda m, _: f"/mailboxes/{m.office.bindings['anna'].mailbox.id}/journal"),
    "mailboxes.pause": ("POST", OWNER, lambda m, _: f"/mailboxes/{m.by_consent}/pause"),
    "mailboxes.resume": ("POST", OWNER, lambda m, _: f"/mailboxes/{m.by_consent}/resume"),
    "mailboxes.take_back": ("POST", OWNER, lambda m, _: f"/mailboxes/{m.by_consent}/take-back"),
    "mailboxes.disconnect": ("POST", OWNER, lambda m, _: f"/mailboxes/{m.by_consent}/disconnect"),
    "mailboxes.back": ("GET", SIGNED_IN, lambda m, _: "/mailboxes/back/fake?state=guessed&code=stolen"),
    "mailboxes.attempt": ("GET", OWNER, lambda m, _: f"/mailboxes/attempts/{m.attempt}"),
    "sign_in.form": ("GET", PUBLIC, lambda m, _: "/sign-in"),
    "sign_in.enter": ("POST", PUBLIC, lambda m, _: "/sign-in"),
    "sign_in.link": ("GET", PUBLIC, lambda m, _: "/sign-in/link/none"),
    "sign_in.use_link": ("POST", PUBLIC, lambda m, _: "/sign-in/link/none"),
    "language_switch.choose": ("POST", PUBLIC, lambda m, _: "/language"),
    "conversations.read": ("POST", MEMBERS, lambda m, _: f"/conversations/{m.conversation}/read"),
    "live.rows": ("GET", MEMBERS, lambda m, _: f"/live/rows?in=helpdesk&talk={m.conversation}"),
    "live.news": (
        "GET",
        SIGNED_IN,
        lambda m, _: f"/live?in=helpdesk&since=0&talk={m.conversation}&talk_since=0&here=1",
    ),
    "processes.show": ("GET", SIGNED_IN, lambda m, _: "/processes"),
    "members.show": ("GET", STEERS, lambda m, _: "/processes/helpdesk/members"),
    "members.give": ("POST", STEERS, lambda m, _: "/processes/helpdesk/members"),
    "templates.show": ("GET", STEERS, lambda m, _: "/processes/helpdesk/templates"),
    "templates.keep": ("POST", STEERS, lambda m, _: "/processes/helpdesk/templates"),
    "templates.remove": ("POST", NOBODY, lambda m, _: "/processes/helpdesk/templates/99/remove"),  # there is none
    "templates.put_back": ("POST", STEERS, lambda m, _: f"/processes/helpdesk/templates/{m.of_process()}/put-back"),
    "brakes.release": ("POST", NOBODY, lambda m, _: "/brakes/99/release"),  # there is none
    "signatures.show": ("GET", SIGNED_IN, lambda m, _: "/signatures"),
    "signatures.keep": ("POST", SIGNED_IN, lambda m, _: "/signatures"),
    "people.show": ("GET", ADMINS, lambda m, _: "/people"),
    "people.invite": ("POST", ADMINS, lambda m, _: "/people"),
    "people.link": ("POST", NOBODY, lambda m, _: f"/people/{m.office.users['bernd']}/link"),  # he has a password
    "people.grace": ("POST", ADMINS, lambda m, _: "/people/hand-overs"),
    "people.disable": ("POST", ADMINS, lambda m, _: f"/people/{m.office.users['hana']}/disable"),
    "people.enable": ("POST", ADMINS, lambda m, _: f"/people/{m.office.users['hana']}/enable"),
    "profile.show": ("GET", SIGNED_IN, lambda m, _: "/profile"),
    "profile.keys": ("GET", SIGNED_IN, lambda m, _: "/keys"),
    "profile.display": ("POST", SIGNED_IN, lambda m, _: "/profile/display"),
    "profile.change_keys": ("POST", SIGNED_IN, lambda m, _: "/profile/keys"),
    "profile.password": ("POST", SIGNED_IN, lambda m, _: "/profile/password"),
    "profile.end": ("POST", SIGNED_IN, lambda m, _: "/profile/sessions/end?mark=others"),
    "first_run.show": ("GET", ADMINS, lambda m, _: "/organisation"),
    "first_run.keep": ("POST", ADMINS, lambda m, _: "/organisation"),
    "absences.show": ("GET", SIGNED_IN, lambda m, _: "/absences"),
    "absences.record": ("POST", SIGNED_IN, lambda m, _: "/absences"),
    "absences.withdraw": ("POST", STEERS, lambda m, _: f"/absences/{m.absence}/withdraw"),
    "absences.put_back": ("POST", STEERS, lambda m, _: f"/absences/{m.absence}/put-back"),
    "addresses.show": ("GET", STEERS, lambda m, _: "/organisation/addresses"),
    "addresses.test": ("POST", OWNER, lambda m, _: "/organisation/addresses/1/test"),
    "addresses.schedule": ("POST", OWNER, lambda m, _: "/organisation/addresses/1/schedule"),
    "routing.show": ("GET", ADMINS, lambda m, _: "/organisation/routing"),
    "routing.keep": ("POST", ADMINS, lambda m, _: "/organisation/routing"),
    "working_hours.show": ("GET", ADMINS, lambda m, _: "/organisation/hours"),
    "working_hours.keep": ("POST", ADMINS, lambda m, _: "/organisation/hours"),
    "first_run.next_steps": ("GET", ADMINS, lambda m, _: "/next-steps"),
    "bindings.disconnect": ("POST", STEERS, lambda m, _: f"/bindings/{m.office.bindings['helpdesk'].id}/disconnect"),
    "bindings.connect_again": (
        "POST",
        STEERS,
        lambda m, _: f"/bindings/{m.office.bindings['helpdesk'].id}/connect-again",
    ),
    "sign_in.leave": ("POST", SIGNED_IN, lambda m, _: "/sign-out"),
    "monitoring.healthz": ("GET", PUBLIC, lambda m, _: "/healthz"),
    "monitoring.readyz": ("GET", PUBLIC, lambda m, _: "/readyz"),
    "monitoring.metrics": ("GET", MONITORS, lambda m, _: "/metrics"),
    "static": ("GET", PUBLIC, lambda m, _: "/static/postroom.css"),
}
ALLOWED = {
    SIGNED_IN: {"anna", "dana", "bernd", "clara", *OTHERS},
    MEMBERS: {"anna", "dana", "petra"},
    WORKERS: {"anna", "dana"},
    TAKE_PART: {"anna", "petra"},  # an auditor reads, and changes nothing
    MANAGERS: {"anna"},
    STEERS: {"anna", "clara"},
    RULE_MAKERS: {"anna", "bernd", "clara"},
    NOBODY: set(),
    LOOKS_AFTER: {"anna", "dana", "clara"},
    BY_TOKEN: {"anna", "dana", "petra"},
    ADMINS: {"clara"},
    OWNER: {"anna"},  # of a private mailbox; not even admins
    MONITORS: set(),
    PUBLIC: {"anna", "dana", "bernd", "clara", *OTHERS, ""},
}


def test_every_route_has_an_entry(office: Office) -> None:
    rules = {(rule.endpoint, method) for rule in office.app.url_map.iter_rules() for method in rule.methods or ()}
    assert {one for one in rules if one[1] not in ("HEAD", "OPTIONS")} == {
        (endpoint, method) for endpoint, (method, _, _) in ENTRIES.items()
    }


@pytest.mark.parametrize("name", ["anna", "dana", "bernd", "clara", *OTHERS, ""])
def test_who_gets_in(office: Office, name: str) -> None:
    hire(office)
    mail, browser = Mail(office), office.browser(name or None)
    if name == "egon":  # with the page open that he was just reading
        assert "Leak" in browser.get(f"/conversations/{mail.conversation}").text
    dismiss(office)
    for endpoint, (method, whom, address) in ENTRIES.items():  # signing out comes late
        at = address(mail, name)
        if method == "GET":
            answer = browser.get(at)
        elif name:
            answer = browser.post(at)
        else:
            answer = browser.post(at, page="/sign-in")
        where = f"{endpoint} for {name or 'nobody'}: {answer.status_code}"
        assert name in SEES or "Leak" not in answer.text, where
        if name in ALLOWED[whom]:
            assert answer.status_code in (200, 302, 303, 401, 410, 422), where
            assert not answer.headers.get("Location", "").startswith("/sign-in?"), where
            continue
        if name or whom in (BY_TOKEN, MONITORS):
            assert answer.status_code == 404, where  # never 403: not allowed and not there are the same
        else:
            assert answer.status_code == 303, where
            assert answer.headers["Location"].startswith("/sign-in"), where
        assert "Leak" not in answer.text, where


def test_what_an_auditor_reads_is_written_down_and_said(office: Office) -> None:
    hire(office)
    mail, browser = Mail(office), office.browser("petra")
    petra = f"user:{office.users['petra']}"
    for endpoint, (method, whom, address) in ENTRIES.items():
        if method == "GET" and whom in (MEMBERS, BY_TOKEN) and endpoint != "mail_frame.inline":
            before = events(office, petra)
            answer = browser.get(address(mail, "petra"))
            assert answer.status_code in (200, 302), endpoint
            (made,) = events(office, petra)[len(before) :]
            assert made[0] == "archive.read"
            numbers = {"conversation": mail.conversation, "message": mail.message, "quarantine": mail.held}
            kind, _, number = made[1].partition(":")
            assert kind == "archive" or number == str(numbers[kind]), endpoint
    before = events(office, petra)
    browser.get("/search?q=leak")
    assert "You read as auditor; it is logged." in browser.get("/").text
    assert len(events(office, petra)) == len(before) + 2
    browser.get("/live?in=all&since=0")
    browser.get("/profile")
    assert len(events(office, petra)) == len(before) + 2
    assert "is logged" not in office.browser("anna").get("/").text


def events(office: Office, actor: str) -> list[tuple[str, str]]:
    with office.archive.reading() as session:
        query = select(event.c.kind, event.c.subject).where(event.c.actor == actor, event.c.kind == "archive.read")
        return [(row.kind, row.subject) for row in session.execute(query.order_by(event.c.id))]


def test_a_post_without_a_token_is_refused(office: Office) -> None:
    hire(office)
    mail, browser = Mail(office), office.browser("anna")
    for endpoint, (method, _, address) in ENTRIES.items():
        if method == "POST":
            for form in ({}, {"csrf_token": "made-up"}):
                answer = browser.client.post(address(mail, "anna"), data=form)
                assert answer.status_code == 400, endpoint
                assert "lay open too long" in answer.text, endpoint
    assert browser.get("/").status_code == 200, "still signed in"
    with office.archive.reading() as session:
        assert not messages.quarantined(session)[0].again


def test_a_token_of_another_browser_is_refused(office: Office) -> None:
    token = office.browser("bernd").token("/health")
    answer = office.browser("anna").client.post("/sign-out", data={"csrf_token": token})
    assert answer.status_code == 400


def test_a_post_from_another_site_is_refused_though_it_has_the_token(office: Office) -> None:
    browser = office.browser("anna")
    token = browser.token("/health")
    for site in ("cross-site", "same-site"):
        answer = browser.client.post("/sign-out", data={"csrf_token": token}, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 400
    assert browser.get("/").status_code == 200


def test_ids_that_are_none_are_not_found(office: Office) -> None:
    browser = office.browser("anna")
    for address in (
        "/messages/0/headers",
        f"/messages/{1 << 63}/headers",
        "/messages/9999999999999999999/source",
        "/conversations/x",
        "/conversations/-1",
        "/processes/all",
        "/processes/mine",
        "/processes/Helpdesk",
    ):
        assert browser.get(address).status_code == 404, address


def test_another_messages_attachment_and_copy_are_not_found(office: Office) -> None:
    (hers,) = office.take("helpdesk", world.mail(subject="hers"))
    (his,) = office.take("sales", world.mail(subject="his"))
    browser = office.browser("anna")
    with office.archive.reading() as session:
        copy = messages.copies(session, his, MACHINE)[0].receipt
    assert browser.get(f"/messages/{hers}/attachments/7").status_code == 404
    assert browser.get(f"/messages/{hers}/mail.eml?copy={copy}").status_code == 404
    assert browser.get(f"/messages/{hers}/headers?copy={copy}").status_code == 404


def _answer(mail: Mail) -> dict[str, str]:
    """The form of an answer to the mail, filled in."""
    page = mail.office.browser("anna").get(f"/messages/{mail.message}/reply").text
    return {**fields(page), "text": "On our way.", "anyway": "1"}


def _looked_at(mail: Mail) -> str:
    """A mail of Anna's that waits for a colleague who may send; Dana may."""
    with mail.office.archive.transaction() as session:
        helpdesk = processes.by_slug(session, "helpdesk")
        assert helpdesk
        processes.want_second_look(session, helpdesk.id, True, "operator", NOW)
        members.give(session, helpdesk.id, mail.office.users["dana"], Role.SENDS, "operator", NOW)
    assert mail.office.browser("anna").post("/outbox", _answer(mail)).status_code == 303
    with mail.office.archive.reading() as session:
        return f"/outbox/{outbox.page(session, MACHINE)[0].id}/look"


def _restricted(mail: Mail) -> str:
    with mail.office.archive.transaction() as session:
        anna = scopes.viewer(session, mail.office.users["anna"])
        made = restricting.restrict(mail.office.archive, session, anna, mail.conversation, [], "staff", NOW)
    return f"/restrictions/{made}/end"


def _braked(mail: Mail) -> str:
    """Nothing goes out by itself any more, to anybody."""
    with mail.office.archive.transaction() as session:
        row = {"kind": "installation", "subject": "", "stopped_at": NOW, "evidence": "[]"}
        return f"/brakes/{session.scalar(insert(brake).values(**row).returning(brake.c.id))}/release"


def _for_helpdesk(mail: Mail) -> dict[str, str]:
    with mail.office.archive.reading() as session:
        helpdesk = processes.by_slug(session, "helpdesk")
        assert helpdesk
        return {"process": str(helpdesk.id)}


BEGUN = {"kind": "new", "number": "1", "subject": "x"}

# What can be done once, or hides the mail from the rest: whom it lets, where, and with what typed.
ONCE: dict[str, tuple[set[str], Callable[[Mail], str], Callable[[Mail], dict[str, str]]]] = {
    "restricting.decide": (
        {"anna"},
        lambda m: f"/conversations/{m.conversation}/restriction",
        lambda _: {"reason": "x"},
    ),
    "restricting.decide_case": ({"anna"}, lambda m: f"/cases/{m.case}/restriction", lambda _: {"reason": "x"}),
    "restricting.end": ({"anna"}, _restricted, lambda _: {}),
    "writing.send": ({"anna", "dana"}, lambda _: "/outbox", _answer),
    "writing.keep": ({"anna", "dana", "bernd", "clara", *OTHERS}, lambda _: "/drafts", lambda _: BEGUN),
    "writing.look": ({"dana"}, _looked_at, lambda _: {"do": "go"}),
    "writing.show_before": ({"dana"}, _looked_at, lambda _: {}),
    "templates.remove": (
        {"anna", "clara"},
        lambda m: f"/processes/helpdesk/templates/{m.kept()}/remove",
        lambda _: {},
    ),
    "brakes.release": ({"clara"}, _braked, lambda _: {}),
    "bindings.set_up_desk": ({"anna"}, lambda m: f"/bindings/{m.office.bindings['anna'].id}/desks", _for_helpdesk),
}


@pytest.mark.parametrize("endpoint", ONCE)
def test_who_does_what_is_done_once(office: Office, endpoint: str) -> None:
    """The others are not let, whatever they know; whoever is, does it then."""
    hire(office)
    mail, browsers = Mail(office), {name: office.browser(name) for name in ("anna", "dana", "bernd", "clara", *OTHERS)}
    dismiss(office)
    whom, address, typed = ONCE[endpoint]
    at, form = address(mail), typed(mail)
    method, nobody, _ = ENTRIES[endpoint]
    assert nobody == NOBODY

    def ask(name: str) -> TestResponse:
        return browsers[name].get(at) if method == "GET" else browsers[name].post(at, form)

    for name in browsers.keys() - whom:
        answer = ask(name)
        assert answer.status_code == 404, f"{name}: {answer.status_code}"
    for name in sorted(whom)[:1]:
        answer = ask(name)
        assert answer.status_code == (200 if method == "GET" else 303), (
            f"{name}: {answer.status_code} {answer.text[:2000]}"
        )


def test_whatever_lets_nobody_in_is_asked_again_where_it_does() -> None:
    assert {one for one, (_, whom, _) in ENTRIES.items() if whom == NOBODY} - {"people.link"} == ONCE.keys()
