"""A mailbox's owner gives a password or consent, alone: pages, gateway, mail server and provider together."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from sqlalchemy import select

from archive.post import attempts, bindings, consents, journal, observations, providers
from archive.post.observations import Seen
from archive.store.schema import attempt, event_detail
from gateway.attempts import Attempts
from gateway.mailbox import Connecting

from ..conftest import Account
from ..servers.certificates import Authority
from ..servers.dovecot import Dovecot
from ..servers.provider import CLIENT, SECRET, Provider
from .conftest import NOW, Browser, Office

DAY = 24 * 3600 * 1000


@pytest.fixture(scope="module")
def provider(authority: Authority) -> Iterator[Provider]:
    with Provider(authority.good()) as started:
        yield started


@pytest.fixture(scope="module")
def server(provider: Provider, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dovecot]:
    file = tmp_path_factory.mktemp("oauth2") / "oauth2.conf"
    file.write_text(provider.dovecot)
    extra = (
        "auth_mechanisms = plain login xoauth2 oauthbearer\n"
        f"passdb {{\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = {file}\n}}\n"
    )
    with Dovecot(certificate=authority.good(), extra=extra) as started:
        yield started


_numbers = iter(range(1, 1000))


@dataclass
class Scene:
    """The pages, a gateway beside them, and a mail server with an account for Anna."""

    office: Office
    server: Dovecot
    provider: Provider
    account: Account
    gateway: Attempts

    def prepared(self, name: str = "private", **more: object) -> int:
        """A mailbox that an admin prepared for Anna."""
        with self.office.archive.transaction() as session:
            url, owner = self.server.url(self.account.user), self.office.users["anna"]
            return bindings.add_mailbox(
                session,
                self.office.archive,
                name,
                url,
                None,
                None,
                NOW,
                owner=owner,
                **more,  # type: ignore[arg-type]
            )

    def with_provider(self) -> int:
        with self.office.archive.transaction() as session:
            return providers.add(
                session, self.office.archive, "fake", "custom", CLIENT, SECRET, self.provider.endpoints, NOW,
                consent_days=90,
            )  # fmt: skip

    def answer(self, browser: Browser, address: str) -> str:
        """The page of an attempt once the gateway has done it."""
        assert re.fullmatch(r"/mailboxes/attempts/\d+", address), address
        assert "tries to sign in" in browser.get(address).text
        self.gateway.work()
        end = time.monotonic() + 30
        while "tries to sign in" in (page := browser.get(address).text) and time.monotonic() < end:
            time.sleep(0.05)
        return page

    def attempts(self) -> list[tuple[str, bytes | None]]:
        with self.office.archive.reading() as session:
            return [(row.state, row.secret) for row in session.execute(select(attempt).order_by(attempt.c.id))]

    def folders(self) -> list[tuple[str, str, int | None]]:
        with self.office.archive.reading() as session:
            found = bindings.every(session)
        return [
            (one.folder, one.processed, one.user) for one in found if one.mailbox.imap.endswith(str(self.server.port))
        ]


@pytest.fixture
def scene(office: Office, server: Dovecot, provider: Provider, authority: Authority) -> Scene:
    user = server.add_user(f"anna{next(_numbers)}@demo.example", "her own password")
    provider.user, provider.denies, provider.lasts, provider.refresh_lasts = user, None, 3600, None
    own = [f"127.0.0.1:{server.port}", f"localhost:{server.tls_port}"]
    gateway = Attempts(office.archive, Connecting(10.0, authority.file), own, lambda: office.clock[0])
    return Scene(office, server, provider, Account(server, user, "her own password"), gateway)


FOLDERS = {"folder": "Postroom", "processed": "Postroom/Archived"}


def test_anna_enters_the_password_of_the_mailbox_that_was_prepared_for_her(scene: Scene) -> None:
    box, anna = scene.prepared(), scene.office.browser("anna")
    assert "It waits for its password." in anna.get("/mailboxes").text
    form = {"password": "her own password", **FOLDERS}
    sent = anna.post(f"/mailboxes/{box}/password", form, page="/mailboxes")
    assert sent.status_code == 303
    assert scene.attempts()[0][1] is not None
    assert "It works" in scene.answer(anna, sent.headers["Location"])
    assert scene.attempts() == [("done", None)]  # what was entered is wiped
    assert scene.folders() == [("Postroom", "Postroom.Archived", scene.office.users["anna"])]
    with scene.office.archive.reading() as session:
        kept = bindings.mailbox_of(session, box).secret
    assert kept is not None
    assert scene.office.archive.key.decrypt_secret(kept) == "her own password"


def test_a_wrong_password_is_said_at_once_and_not_kept(scene: Scene) -> None:
    box, anna = scene.prepared(), scene.office.browser("anna")
    sent = anna.post(f"/mailboxes/{box}/password", {"password": "guessed wrong", **FOLDERS}, page="/mailboxes")
    page = scene.answer(anna, sent.headers["Location"])
    assert "refuses the password of" in page
    assert "guessed wrong" not in page
    assert scene.attempts() == [("failed", None)]
    with scene.office.archive.reading() as session:
        assert bindings.mailbox_of(session, box).prepared
    assert scene.folders() == []


def test_anna_gives_consent_at_the_providers_pages(scene: Scene) -> None:
    box, anna = scene.prepared(provider=scene.with_provider(), grant="consent"), scene.office.browser("anna")
    back = consented(scene, anna, box)
    sent = anna.get(back)
    assert sent.status_code == 303
    assert "It works" in scene.answer(anna, sent.headers["Location"])
    assert scene.folders() == [("Postroom", "Postroom.Archived", scene.office.users["anna"])]
    with scene.office.archive.reading() as session:
        kept = consents.get(session, box)
    assert kept is not None
    assert kept.until == NOW + 90 * DAY
    # The mark works once.
    again = anna.get(back)
    assert again.headers["Location"] == "/mailboxes"


def consented(scene: Scene, browser: Browser, box: int) -> str:
    """Press the button, agree at the provider; the address it sends the browser back to."""
    page = browser.post(f"/mailboxes/{box}/consent", FOLDERS, page="/mailboxes")
    assert page.status_code == 200
    found = re.search(r'href="(https://[^"]+/authorize[^"]+)"', page.text)
    assert found
    on = found[1].replace("&amp;", "&")
    asked = parse_qs(urlsplit(on).query)
    assert asked["login_hint"] == [scene.account.user]
    assert asked["code_challenge_method"] == ["S256"]
    answer = requests.get(on, allow_redirects=False, verify=str(scene.server.certificate.authority), timeout=10)  # type: ignore[union-attr]
    back = urlsplit(answer.headers["Location"])
    assert back.path == "/mailboxes/back/fake"
    return f"{back.path}?{back.query}"


def test_consent_brought_back_in_another_browser_is_worth_nothing(scene: Scene) -> None:
    """Whoever gets Anna to follow his link would have her archive his mailbox, or the other way round."""
    box, anna = scene.prepared(provider=scene.with_provider(), grant="consent"), scene.office.browser("anna")
    back = consented(scene, anna, box)
    for other in (scene.office.browser("anna"), scene.office.browser("bernd"), scene.office.browser("clara")):
        assert other.get(back).headers["Location"] == "/mailboxes"
    forged = re.sub(r"state=[^&]+", "state=guessed", back)
    assert anna.get(forged).headers["Location"] == "/mailboxes"
    assert anna.get(back.replace("/back/fake", "/back/other")).headers["Location"] == "/mailboxes"
    scene.office.clock[0] += attempts.CONSENT_LIVES_MS + 1
    assert anna.get(back).headers["Location"] == "/mailboxes"
    assert scene.attempts()[0][0] == "asked"
    scene.gateway.work()
    assert scene.attempts()[0][1] is None  # what came to nothing is wiped


def test_consent_that_is_refused_is_said(scene: Scene) -> None:
    box, anna = scene.prepared(provider=scene.with_provider(), grant="consent"), scene.office.browser("anna")
    scene.provider.denies = "access_denied"
    sent = anna.get(consented(scene, anna, box))
    assert "fake did not give consent" in scene.answer(anna, sent.headers["Location"])


def test_consent_for_another_account_leaves_the_one_that_works(scene: Scene) -> None:
    box, anna = scene.prepared(provider=scene.with_provider(), grant="consent"), scene.office.browser("anna")
    sent = anna.get(consented(scene, anna, box))
    assert "It works" in scene.answer(anna, sent.headers["Location"])
    with scene.office.archive.reading() as session:
        before = consents.get(session, box)
    scene.provider.user = "bernd@demo.example"
    sent = anna.get(consented(scene, anna, box))
    assert "does not let" in scene.answer(anna, sent.headers["Location"])
    with scene.office.archive.reading() as session:
        assert consents.get(session, box) == before


def test_anna_connects_a_mailbox_of_her_own(scene: Scene) -> None:
    anna = scene.office.browser("anna")
    form = {
        "host": f"localhost:{scene.server.tls_port}", "security": "tls", "user": scene.account.user,
        "password": "her own password", **FOLDERS,
    }  # fmt: skip
    sent = anna.post("/mailboxes/new", form, page="/mailboxes")
    assert "It works" in scene.answer(anna, sent.headers["Location"])
    with scene.office.archive.reading() as session:
        box = bindings.mailbox_by_name(session, scene.account.user)
    assert box is not None
    assert box.owner == scene.office.users["anna"]
    with scene.office.archive.reading() as session:
        ((_, first),) = journal.entries(session, box.id, None, 0, None, 10)
    # Also what was sent while it was tried, before there was a mailbox to write it down for.
    told = list(first.lines)
    said = [line.partition(" ")[2] for line in scene.server.commands(scene.account.user)]
    assert told[-len(said) :] == said
    assert {line.split()[0] for line in told} >= {"LOGIN", "CREATE", "LOGOUT"}
    assert "her own password" not in " ".join(told)
    assert scene.account.user in anna.get("/mailboxes").text
    assert scene.account.user not in scene.office.browser("bernd").get("/mailboxes").text


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1:993", "[::1]", "localhost", "mail.example.org:25", "0x7f.1"])
def test_nobody_looks_for_servers_in_the_house(scene: Scene, host: str, authority: Authority) -> None:
    """Whatever answers there or does not, the sentence is the same."""
    scene.gateway = Attempts(scene.office.archive, Connecting(10.0, authority.file), None, lambda: NOW)
    anna = scene.office.browser("anna")
    form = {"host": host, "security": "tls", "user": "anna", "password": "x", **FOLDERS}
    sent = anna.post("/mailboxes/new", form, page="/mailboxes")
    if sent.headers["Location"] == "/mailboxes":  # no name of a host
        assert scene.attempts() == []
        return
    page = scene.answer(anna, sent.headers["Location"])
    assert "No mail server that Postroom can use was found at" in page


def test_where_the_operator_names_the_servers_no_other_is_asked(scene: Scene) -> None:
    anna = scene.office.browser("anna")
    form = {"host": "imap.elsewhere.example", "security": "tls", "user": "anna", "password": "x", **FOLDERS}
    sent = anna.post("/mailboxes/new", form, page="/mailboxes")
    page = scene.answer(anna, sent.headers["Location"])
    assert "Mailboxes at imap.elsewhere.example may not be connected here." in page


def test_nobody_tries_passwords_by_the_hundred(scene: Scene) -> None:
    box, anna = scene.prepared(), scene.office.browser("anna")
    token = anna.token("/mailboxes")
    ends = [
        anna.client.post(f"/mailboxes/{box}/password", data={"password": "x", "csrf_token": token}).headers["Location"]
        for _ in range(attempts.MOST + 2)
    ]
    assert ends.count("/mailboxes") == 2
    scene.office.clock[0] += attempts.LIVES_MS + 1
    scene.gateway.work()  # none of them is taken up any more
    assert {secret for _, secret in scene.attempts()} == {None}


def test_a_gateway_that_is_not_there_is_said(scene: Scene) -> None:
    box, anna = scene.prepared(), scene.office.browser("anna")
    sent = anna.post(f"/mailboxes/{box}/password", {"password": "x", **FOLDERS}, page="/mailboxes")
    scene.office.clock[0] += attempts.LIVES_MS + 1
    assert "The gateway gave no answer in time." in anna.get(sent.headers["Location"]).text


def test_the_admin_who_prepared_it_never_sees_either_secret(scene: Scene) -> None:
    """Clara looks after everything: pages, the log of events, and every file of the archive."""
    by = scene.with_provider()
    password, consent = scene.prepared(), scene.prepared("by-consent", provider=by, grant="consent")
    anna, clara = scene.office.browser("anna"), scene.office.browser("clara")
    sent = anna.post(f"/mailboxes/{password}/password", {"password": "her own password", **FOLDERS}, page="/mailboxes")
    attempt_page = sent.headers["Location"]
    assert clara.get(attempt_page).status_code == 404
    scene.answer(anna, attempt_page)
    page = clara.get("/mailboxes").text
    assert "by-consent" not in page
    assert clara.post(f"/mailboxes/{password}/password", {"password": "mine"}).status_code == 404
    assert clara.post(f"/mailboxes/{consent}/consent").status_code == 404
    done = anna.post(f"/mailboxes/{consent}/consent", page="/mailboxes")
    assert done.status_code == 200
    with scene.office.archive.reading() as session:
        details = " ".join(session.scalars(select(event_detail.c.details)))
    everything = b"".join(file.read_bytes() for file in scene.office.archive.folder.rglob("*") if file.is_file())
    for secret in ("her own password", SECRET):
        assert secret not in details
        assert secret.encode() not in everything
        for address in ("/health", "/processes", "/mailboxes"):
            assert secret not in clara.get(address).text


def test_no_page_tells_a_secret_to_anybody(scene: Scene) -> None:
    """Every address there is, to an admin, an owner, a stranger and somebody who is not signed in."""
    office, anna = scene.office, scene.office.browser("anna")
    password, consent = scene.prepared(), scene.prepared("by-consent", provider=scene.with_provider(), grant="consent")
    sent = anna.post(f"/mailboxes/{password}/password", {"password": "her own password", **FOLDERS}, page="/mailboxes")
    scene.answer(anna, sent.headers["Location"])
    sent = anna.get(consented(scene, anna, consent))
    scene.answer(anna, sent.headers["Location"])
    with office.archive.reading() as session:
        given = consents.get(session, consent)
        details = " ".join(session.scalars(select(event_detail.c.details)))
    assert given is not None
    assert given.access is not None
    assert given.refresh is not None
    secrets = [office.archive.key.decrypt_secret(one) for one in (given.access, given.refresh)]
    secrets += ["her own password", SECRET, anna.client.get_cookie("postroom").value]  # type: ignore[union-attr]
    assert all(len(one) > 10 for one in secrets)
    numbers = [*range(1, 9), *(one.id for one in office.bindings.values())]
    addresses = {
        re.sub(r"<number:[^>]+>", str(number), rule.rule)
        for rule in office.app.url_map.iter_rules()
        for number in numbers
        if "GET" in (rule.methods or ()) and not re.search(r"<(?!number:)", rule.rule)
    }
    assert {"/health", "/mailboxes", "/mailboxes/attempts/1", "/bindings/1/journal", "/metrics"} <= addresses
    told = 0
    for name in ("clara", "anna", "bernd", None):
        browser = office.browser(name)
        for address in sorted(addresses):
            answer = browser.get(address)
            told += answer.status_code == 200
            for secret in secrets:
                assert secret not in answer.text, f"{address} tells {name}"
                assert secret not in str(answer.headers), f"{address} tells {name}"
    assert told > 40
    assert not any(secret in details for secret in secrets)


@pytest.mark.parametrize(("days", "grave"), [(9, False), (3, True), (31, None)])
def test_the_health_page_says_in_time_that_consent_ends(scene: Scene, days: int, grave: bool | None) -> None:
    box = scene.prepared(provider=scene.with_provider(), grant="consent")
    tokens = consents.Tokens("a", 60, "r", days * 24 * 3600)
    with scene.office.archive.transaction() as session:
        there, by = bindings.mailbox_of(session, box), providers.every(session)[0]
        consents.give(session, scene.office.archive, there, by, tokens, NOW, "user:1")
        bindings.add(session, there, "INBOX", "Done", NOW, user=scene.office.users["anna"])
    page = scene.office.browser("anna").get("/health").text
    assert (f"(days left: {days})" in page) is (grave is not None)
    assert ("Consent for private ends on" in page) is (grave is not None)
    assert "a" * 40 not in page


def test_a_full_mailbox_and_a_certificate_that_ends_are_said_until_they_are_over(office: Office) -> None:
    box = office.bindings["helpdesk"].mailbox.id
    dana = office.browser("dana")
    with office.archive.transaction() as session:
        seen = Seen(certificate_until=NOW + 6 * DAY, quota_used=950, quota_limit=1000, ahead=5 * 60_000)
        observations.note(session, box, seen, NOW)
    page = dana.get("/health").text
    assert "office is nearly full: 95 % of its room is taken." in page
    assert "The certificate of the server of office ends on 2026-11-08 (days left: 6)." in page
    assert "differ by 5 minutes" in page
    with office.archive.transaction() as session:
        observations.note(session, box, Seen(quota_used=10, quota_limit=1000), NOW)
    page = dana.get("/health").text
    assert "nearly full" not in page
    assert "certificate" not in page
    assert "clocks" not in page
