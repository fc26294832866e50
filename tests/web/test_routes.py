"""Who gets which page: owner, colleague, stranger, admin and somebody who is not signed in, for every route."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from archive.people.scopes import MACHINE
from archive.post import attempts, bindings, messages, providers
from archive.store.schema import ticket
from web import mail_frame

from .. import world
from .conftest import NOW, Office

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


class Mail:
    """A mail that came to Helpdesk, and one that is quarantined there."""

    def __init__(self, office: Office) -> None:
        raw = world.mail(subject="Leak", html="<p>x</p>", attachments=[("leak.png", PNG)])
        self.office = office
        (self.message,) = office.take("helpdesk", raw)
        self.conversation = office.conversation(self.message)
        self.held = office.quarantine("helpdesk", b"Subject: held\r\n\r\n")
        anna, at = office.users["anna"], "https://login.example"
        ends = providers.Endpoints(f"{at}/authorize", f"{at}/token", None, "mail", None)
        with office.archive.transaction() as session:
            self.ticket = session.scalar(select(ticket.c.id).where(ticket.c.conversation == self.conversation))
            by = providers.add(session, office.archive, "fake", "custom", "id", None, ends, NOW)
            self.by_consent = bindings.add_mailbox(
                session, office.archive, "by-consent", "imaps://anna@mail.example", None, None, NOW,
                owner=anna, provider=by, grant="consent",
            )  # fmt: skip
            self.attempt = attempts.ask(session, office.archive, anna, "password", None, {}, NOW)

    def frame(self, name: str) -> str:
        with self.office.app.test_request_context():
            return mail_frame.address(self.office.users.get(name, 0), self.message)

    def picture(self, name: str) -> str:
        with self.office.app.test_request_context():
            return mail_frame._inline_address(self.office.users.get(name, 0), self.message, "2")


Address = Callable[[Mail, str], str]
SIGNED_IN, MEMBERS, LOOKS_AFTER, BY_TOKEN, PUBLIC = "signed in", "members", "looks after", "by token", "public"
ADMINS, MONITORS, OWNER = "admins", "monitors", "owner"
STEERS, NOBODY = "may decide", "nobody"

# Every route needs an entry: method, for whom, and its address (of a mail, for a person).
ENTRIES: dict[str, tuple[str, str, Address]] = {
    "conversations.everything": ("GET", SIGNED_IN, lambda m, _: "/"),
    "conversations.mine": ("GET", SIGNED_IN, lambda m, _: "/mine"),
    "conversations.of_process": ("GET", MEMBERS, lambda m, _: "/processes/helpdesk"),
    "conversations.show": ("GET", MEMBERS, lambda m, _: f"/conversations/{m.conversation}"),
    "conversations.unread": ("POST", MEMBERS, lambda m, _: f"/conversations/{m.conversation}/unread"),
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
    "drafts.keep": ("POST", MEMBERS, lambda m, _: f"/tickets/{m.ticket}/drafts/comment"),
    "search.find": ("GET", SIGNED_IN, lambda m, _: "/search?q=leak"),
    "health.show": ("GET", SIGNED_IN, lambda m, _: "/health"),
    "ledger.show": ("GET", LOOKS_AFTER, lambda m, _: f"/health/{m.office.bindings['helpdesk'].id}/ledger"),
    "bindings.show": ("GET", LOOKS_AFTER, lambda m, _: f"/bindings/{m.office.bindings['helpdesk'].id}"),
    "bindings.sent": ("GET", STEERS, lambda m, _: f"/bindings/{m.office.bindings['helpdesk'].id}/journal"),
    "bindings.accept": ("POST", STEERS, lambda m, _: f"/bindings/{m.office.bindings['helpdesk'].id}/accept"),
    "bindings.pause": ("POST", STEERS, lambda m, _: f"/bindings/{m.office.bindings['helpdesk'].id}/pause"),
    "bindings.resume": ("POST", STEERS, lambda m, _: f"/bindings/{m.office.bindings['helpdesk'].id}/resume"),
    "bindings.set_up_desk": ("POST", NOBODY, lambda m, _: f"/bindings/{m.office.bindings['helpdesk'].id}/desks"),
    "quarantine.show": ("GET", MEMBERS, lambda m, _: f"/quarantine/{m.held}"),
    "quarantine.eml": ("GET", MEMBERS, lambda m, _: f"/quarantine/{m.held}/mail.eml"),
    "health.look_again": ("POST", LOOKS_AFTER, lambda m, _: f"/health/{m.office.bindings['helpdesk'].id}/again"),
    "health.again": ("POST", LOOKS_AFTER, lambda m, _: f"/health/quarantine/{m.held}/again"),
    "mailboxes.show": ("GET", SIGNED_IN, lambda m, _: "/mailboxes"),
    "mailboxes.connect": ("POST", SIGNED_IN, lambda m, _: "/mailboxes/new"),
    "mailboxes.password": ("POST", OWNER, lambda m, _: f"/mailboxes/{m.office.bindings['anna'].mailbox.id}/password"),
    "mailboxes.consent": ("POST", OWNER, lambda m, _: f"/mailboxes/{m.by_consent}/consent"),
    "mailboxes.back": ("GET", SIGNED_IN, lambda m, _: "/mailboxes/back/fake?state=guessed&code=stolen"),
    "mailboxes.attempt": ("GET", OWNER, lambda m, _: f"/mailboxes/attempts/{m.attempt}"),
    "sign_in.form": ("GET", PUBLIC, lambda m, _: "/sign-in"),
    "sign_in.enter": ("POST", PUBLIC, lambda m, _: "/sign-in"),
    "sign_in.link": ("GET", PUBLIC, lambda m, _: "/sign-in/link/none"),
    "sign_in.use_link": ("POST", PUBLIC, lambda m, _: "/sign-in/link/none"),
    "language_switch.choose": ("POST", PUBLIC, lambda m, _: "/language"),
    "conversations.read": ("POST", MEMBERS, lambda m, _: f"/conversations/{m.conversation}/read"),
    "live.news": ("GET", SIGNED_IN, lambda m, _: f"/live?in=helpdesk&since=0&talk={m.conversation}&talk_since=0"),
    "processes.show": ("GET", SIGNED_IN, lambda m, _: "/processes"),
    "profile.show": ("GET", SIGNED_IN, lambda m, _: "/profile"),
    "profile.keys": ("GET", SIGNED_IN, lambda m, _: "/keys"),
    "profile.display": ("POST", SIGNED_IN, lambda m, _: "/profile/display"),
    "profile.change_keys": ("POST", SIGNED_IN, lambda m, _: "/profile/keys"),
    "profile.password": ("POST", SIGNED_IN, lambda m, _: "/profile/password"),
    "profile.end": ("POST", SIGNED_IN, lambda m, _: "/profile/sessions/end?mark=others"),
    "first_run.show": ("GET", ADMINS, lambda m, _: "/organisation"),
    "first_run.keep": ("POST", ADMINS, lambda m, _: "/organisation"),
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
    SIGNED_IN: {"anna", "dana", "bernd", "clara"},
    MEMBERS: {"anna", "dana"},
    STEERS: {"anna", "clara"},
    NOBODY: set(),
    LOOKS_AFTER: {"anna", "dana", "clara"},
    BY_TOKEN: {"anna", "dana"},
    ADMINS: {"clara"},
    OWNER: {"anna"},  # of a private mailbox; not even admins
    MONITORS: set(),
    PUBLIC: {"anna", "dana", "bernd", "clara", ""},
}


def test_every_route_has_an_entry(office: Office) -> None:
    rules = {(rule.endpoint, method) for rule in office.app.url_map.iter_rules() for method in rule.methods or ()}
    assert {one for one in rules if one[1] not in ("HEAD", "OPTIONS")} == {
        (endpoint, method) for endpoint, (method, _, _) in ENTRIES.items()
    }


@pytest.mark.parametrize("name", ["anna", "dana", "bernd", "clara", ""])
def test_who_gets_in(office: Office, name: str) -> None:
    mail, browser = Mail(office), office.browser(name or None)
    for endpoint, (method, whom, address) in ENTRIES.items():  # signing out comes late
        at = address(mail, name)
        if method == "GET":
            answer = browser.get(at)
        elif name:
            answer = browser.post(at)
        else:
            answer = browser.post(at, page="/sign-in")
        where = f"{endpoint} for {name or 'nobody'}: {answer.status_code}"
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


def test_a_post_without_a_token_is_refused(office: Office) -> None:
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
