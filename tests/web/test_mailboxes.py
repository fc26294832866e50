"""A mailbox's owner gives a password or consent, alone: pages, gateway, mail server and provider together."""

import html
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from sqlalchemy import select

from archive.post import attempts, bindings, consents, decisions, journal, observations, providers
from archive.post.bindings import Mailbox as Box
from archive.post.journal import Entry
from archive.post.observations import Seen
from archive.store.schema import attempt, consent, event, event_detail, mailbox
from gateway.attempts import AT_ONCE, Attempts
from gateway.examination import examine
from gateway.mailbox import Connecting
from gateway.poller import Poller
from web import telling

from .. import world
from ..conftest import Account
from ..servers.between import Overhearing
from ..servers.certificates import Authority
from ..servers.dovecot import Dovecot
from ..servers.provider import CLIENT, SECRET, Fault, Provider
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


def has_given(scene: Scene, box: int, browser: Browser, *, consent: bool) -> None:
    """Anna gave what the mailbox is signed in to with, and it works."""
    if consent:
        sent = browser.get(consented(scene, browser, box))
    else:
        form = {"password": "her own password", **FOLDERS}
        sent = browser.post(f"/mailboxes/{box}/password", form, page="/mailboxes")
    assert "It works" in scene.answer(browser, sent.headers["Location"])


def secrets_of(scene: Scene, box: int) -> list[object]:
    """All that the database holds of what this mailbox is signed in to with."""
    with scene.office.archive.reading() as session:
        rows = [*session.execute(select(mailbox.c.secret).where(mailbox.c.id == box))]
        rows += session.execute(select(consent.c.access, consent.c.refresh).where(consent.c.mailbox == box))
        rows += session.execute(select(attempt.c.secret).where(attempt.c.mailbox == box))
    return [value for row in rows for value in row if value is not None]


def all_paused(scene: Scene, box: int) -> bool:
    with scene.office.archive.reading() as session:
        found = bindings.of_mailboxes(session, [bindings.mailbox_of(session, box)])
    assert found
    return all(one.paused_at is not None for one in found)


def test_anna_takes_back_her_password_and_enters_it_again(scene: Scene) -> None:
    box, anna = scene.prepared(), scene.office.browser("anna")
    has_given(scene, box, anna, consent=False)
    page = anna.get(f"/mailboxes/{box}").text
    assert "1 folder is watched." in page
    assert "The password is deleted here at once" in page
    assert len(secrets_of(scene, box)) == 1
    assert anna.post(f"/mailboxes/{box}/take-back").headers["Location"] == f"/mailboxes/{box}"
    assert secrets_of(scene, box) == []
    assert all_paused(scene, box)
    page = anna.get(f"/mailboxes/{box}").text
    assert "nobody signs in" in page
    assert "Take back" not in page
    anna.post(f"/mailboxes/{box}/resume")
    assert "Give that first." in anna.get(f"/mailboxes/{box}").text
    assert all_paused(scene, box)
    sent = anna.post(f"/mailboxes/{box}/password", {"password": "her own password"}, page="/mailboxes")
    page = scene.answer(anna, sent.headers["Location"])
    assert f'href="/mailboxes/{box}">Its folders are paused: go on' in page
    anna.post(f"/mailboxes/{box}/resume")
    assert not all_paused(scene, box)
    with scene.office.archive.reading() as session:
        kinds = session.scalars(select(event.c.kind).where(event.c.subject == f"mailbox:{box}")).all()
    assert kinds == ["mailbox.added", "mailbox.password_set", "mailbox.secret_taken_back", "mailbox.password_set"]


def test_consent_is_taken_back_and_its_provider_told(scene: Scene) -> None:
    box, anna = scene.prepared(provider=scene.with_provider(), grant="consent"), scene.office.browser("anna")
    has_given(scene, box, anna, consent=True)
    with scene.office.archive.reading() as session:
        given = consents.get(session, box)
    assert given
    assert given.refresh
    token = scene.office.archive.key.decrypt_secret(given.refresh)
    scene.provider.taken_back.clear()
    sent = anna.post(f"/mailboxes/{box}/take-back")
    with scene.office.archive.reading() as session:
        assert consents.get(session, box) is None  # before anybody was told
    page = told(scene, anna, sent.headers["Location"])
    assert "The consent is taken back" in page
    assert "fake was told" in page
    assert scene.provider.taken_back == [token]
    assert secrets_of(scene, box) == []
    assert all_paused(scene, box)


def told(scene: Scene, browser: Browser, address: str) -> str:
    """The page of what was left for the gateway to tell a provider, once it is done."""
    assert "is being told" in browser.get(address).text
    scene.gateway.work()
    end = time.monotonic() + 30
    while "is being told" in (page := browser.get(address).text) and time.monotonic() < end:
        time.sleep(0.05)
    return page


@pytest.mark.parametrize("fault", ["500", "429", "redirect"])
def test_a_provider_that_cannot_be_told_is_said_and_stops_nothing(scene: Scene, fault: Fault) -> None:
    box, anna = scene.prepared(provider=scene.with_provider(), grant="consent"), scene.office.browser("anna")
    has_given(scene, box, anna, consent=True)
    scene.provider.faults.append(fault)
    page = told(scene, anna, anna.post(f"/mailboxes/{box}/take-back").headers["Location"])
    scene.provider.faults.clear()
    assert "fake could not be told that consent is taken back" in page
    assert "The consent is deleted here" in page
    assert secrets_of(scene, box) == []


def test_a_provider_that_nobody_can_tell_is_named(scene: Scene) -> None:
    ends = replace(scene.provider.endpoints, revoke=None)
    with scene.office.archive.transaction() as session:
        by = providers.add(session, scene.office.archive, "fake", "custom", CLIENT, SECRET, ends, NOW)
    box, anna = scene.prepared(provider=by, grant="consent"), scene.office.browser("anna")
    has_given(scene, box, anna, consent=True)
    assert "fake cannot be told by Postroom" in anna.get(f"/mailboxes/{box}").text
    assert anna.post(f"/mailboxes/{box}/take-back").headers["Location"] == f"/mailboxes/{box}"
    assert "fake cannot be told by Postroom" in anna.get(f"/mailboxes/{box}").text
    assert secrets_of(scene, box) == []


def test_where_no_gateway_tells_the_provider_that_is_said_and_the_token_goes(scene: Scene) -> None:
    box, anna = scene.prepared(provider=scene.with_provider(), grant="consent"), scene.office.browser("anna")
    has_given(scene, box, anna, consent=True)
    sent = anna.post(f"/mailboxes/{box}/take-back")
    scene.office.clock[0] += attempts.LIVES_MS + 1
    assert "The gateway did not tell fake in time." in anna.get(sent.headers["Location"]).text
    scene.provider.taken_back.clear()
    scene.gateway.work()
    assert secrets_of(scene, box) == []
    assert scene.provider.taken_back == []


def test_what_is_taken_back_while_it_is_tried_is_not_kept(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway is signed in with the new password already, and Anna has changed her mind."""
    box, anna = scene.prepared(), scene.office.browser("anna")
    looked = scene.gateway._looked

    def slowly(*given: Any) -> Any:
        found = looked(*given)
        anna.post(f"/mailboxes/{box}/disconnect")
        return found

    monkeypatch.setattr(scene.gateway, "_looked", slowly)
    sent = anna.post(f"/mailboxes/{box}/password", {"password": "her own password", **FOLDERS}, page="/mailboxes")
    page = scene.answer(anna, sent.headers["Location"])
    assert "It was taken back before Postroom had tried it." in page
    assert secrets_of(scene, box) == []
    assert scene.folders() == []

    sent = anna.post(f"/mailboxes/{box}/password", {"password": "her own password", **FOLDERS}, page="/mailboxes")
    anna.post(f"/mailboxes/{box}/disconnect")
    assert secrets_of(scene, box) == []
    scene.gateway.work()
    assert "It was taken back" in anna.get(sent.headers["Location"]).text


@pytest.mark.parametrize("what", [(attempts, "claim"), (threading.Thread, "start")])
def test_a_machine_that_fails_for_a_while_does_not_use_up_all_hands(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, what: tuple[object, str]
) -> None:
    box, anna = scene.prepared(), scene.office.browser("anna")

    def entered() -> str:
        form = {"password": "her own password"}
        return anna.post(f"/mailboxes/{box}/password", form, page="/mailboxes").headers["Location"]

    def fails(*_: object) -> None:
        raise RuntimeError("no more of these")

    for _ in range(AT_ONCE + 1):
        entered()
        with monkeypatch.context() as patched:
            patched.setattr(*what, fails)
            with pytest.raises(RuntimeError):
                scene.gateway.work()
    last, end = entered(), time.monotonic() + 30
    while "tries to sign in" in (page := anna.get(last).text) and time.monotonic() < end:
        scene.gateway.work()
        time.sleep(0.05)
    assert "It works" in page


def test_a_mailbox_is_paused_goes_on_and_is_disconnected_as_a_whole(scene: Scene) -> None:
    box, anna = scene.prepared(), scene.office.browser("anna")
    has_given(scene, box, anna, consent=False)
    anna.post(f"/mailboxes/{box}/pause")
    assert all_paused(scene, box)
    assert "All its folders are paused." in anna.get(f"/mailboxes/{box}").text
    anna.post(f"/mailboxes/{box}/resume")
    assert not all_paused(scene, box)
    page = anna.get(f"/mailboxes/{box}").text
    for says in ("On the server everything stays where it is", "There is nothing from here in the archive.",
                 "The password is deleted here.", "It can be connected again at any time."):  # fmt: skip
        assert says in page
    anna.post(f"/mailboxes/{box}/disconnect")
    assert scene.folders() == []
    assert secrets_of(scene, box) == []
    page = anna.get(f"/mailboxes/{box}").text
    assert "Disconnected" in page
    assert "Disconnect the mailbox" not in page
    has_given(scene, box, anna, consent=False)
    assert scene.folders() == [("Postroom", "Postroom.Archived", scene.office.users["anna"])]
    with scene.office.archive.reading() as session:
        kinds = session.scalars(select(event.c.kind).where(event.c.kind == "binding.connected_again")).all()
    assert len(kinds) == 1


def test_a_private_mailbox_is_its_owners_and_an_office_mailbox_whoever_gives_it_its_password(scene: Scene) -> None:
    office, private = scene.office, scene.prepared()
    has_given(scene, private, office.browser("anna"), consent=False)
    shared = office.bindings["helpdesk"].mailbox.id
    for box, allowed in ((private, "anna"), (shared, "clara")):
        for name in ("anna", "bernd", "clara", "dana"):
            browser = office.browser(name)
            assert (browser.get(f"/mailboxes/{box}").status_code == 200) is (name == allowed)
            for does in () if name == allowed else ("pause", "resume", "take-back", "disconnect"):
                assert browser.post(f"/mailboxes/{box}/{does}").status_code == 404
    assert len(secrets_of(scene, private)) == 1
    clara = office.browser("clara")
    assert f'href="/mailboxes/{shared}"' in clara.get(f"/bindings/{office.bindings['helpdesk'].id}").text
    assert clara.post(f"/mailboxes/{shared}/take-back").status_code == 303
    assert secrets_of(scene, shared) == []
    assert all_paused(scene, shared)
    assert clara.get("/mailboxes/99999").status_code == 404


@dataclass
class Shown:
    """A session as the page shows it."""

    summary: str
    commands: list[tuple[str, str]]  # in words, and as it was sent
    times: int


def shown(browser: Browser, address: str) -> list[Shown]:
    """All sessions of a journal, page after page, the newest first."""
    found = []
    while address:
        page = browser.get(address)
        assert page.status_code == 200
        for part in re.findall(r'<details class="card session".*?</details>', page.text, re.DOTALL):
            summary = re.sub(r"<[^>]+>", "", part.partition("</summary>")[0])
            times = re.search(r"(?:Looked|failed) ([\d,]+) times", summary)
            rows = re.findall(r'scope="row">(.*?)</th>.*?<code dir="ltr">(.*?)</code>', part)
            commands = [(html.unescape(says), html.unescape(line)) for says, line in rows]
            found.append(Shown(summary, commands, int(times[1].replace(",", "")) if times else 1))
        older = re.search(r'href="([^"]+before=\d+)"', page.text)
        address = older[1] if older else ""
    return found


def test_the_page_of_a_whole_mailbox_compares_with_the_relays_own_record(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong password, the right one, mail, looks that find nothing, a folder that is disconnected, an examination."""
    monkeypatch.setattr(telling, "ENTRIES", 2)
    office, anna, connecting = scene.office, scene.office.browser("anna"), Connecting(10.0)
    with Overhearing(scene.server.port) as line:
        url = scene.server.url(scene.account.user).replace(f":{scene.server.port}", f":{line.port}")
        with office.archive.transaction() as session:
            hers = office.users["anna"]
            box = bindings.add_mailbox(session, office.archive, "hers", url, None, None, NOW, owner=hers)
        for password, folders in (("guessed wrong", {}), ("her own password", FOLDERS)):
            sent = anna.post(f"/mailboxes/{box}/password", {"password": password, **folders}, page="/mailboxes")
            scene.answer(anna, sent.headers["Location"])
        with office.archive.transaction() as session:
            there = bindings.mailbox_of(session, box)
            (one,) = bindings.of_mailboxes(session, [there])
            decisions.accept(session, one, "user:1", NOW)
            # Its folder is there already.
            two = bindings.add(session, there, "INBOX", one.processed, NOW, user=hers, preview=False)
        scene.server.deliver(scene.account.user, "Postroom", *(world.mail(subject=f"{number}") for number in range(3)))
        scene.server.deliver(scene.account.user, "INBOX", world.mail(subject="Of once"))
        poller = Poller(office.archive, connecting, lambda: office.clock[0])
        for binding in (one.id, two, one.id, two, one.id, two, one.id):
            assert poller.poll(binding).trouble is None
        poller.close()
        anna.post(f"/bindings/{two}/disconnect")
        assert all(step.well for step in examine(office.archive, still(office, box), ["INBOX"], False, connecting))
        anna.post(f"/mailboxes/{box}/take-back")
        heard = line.commands()
    told = shown(anna, f"/mailboxes/{box}/journal")
    commands = [line for one in told for _, line in one.commands * one.times]
    assert sorted(commands) == sorted(heard)
    assert len(heard) > 60
    words = " ".join(f"{one.summary} {one.commands}" for one in told)
    assert "password" not in words
    (failed,) = [one for one in told if "Sign-in failed" in one.summary]
    assert ("Tried to sign in, and was not let in.", "LOGIN …") in failed.commands
    assert ("Signed in.", "LOGIN …") not in failed.commands
    tried = [one for one in told if "The mailbox was tried out" in one.summary]
    assert len(tried) >= 2
    assert any("INBOX (disconnected)" in one.summary and "1 mail archived" in one.summary for one in told)
    assert any("Postroom ·" in one.summary and "3 mails archived" in one.summary for one in told)
    # Of a folder's own page it is a part.
    of_one = [line for each in shown(anna, f"/bindings/{two}/journal") for _, line in each.commands * each.times]
    assert of_one
    assert not Counter(of_one) - Counter(commands)
    for name in ("bernd", "clara", "dana"):
        assert office.browser(name).get(f"/mailboxes/{box}/journal").status_code == 404


def still(office: Office, box: int) -> Box:
    with office.archive.reading() as session:
        return bindings.mailbox_of(session, box)


def test_of_an_office_mailbox_admins_see_all_that_was_sent(office: Office) -> None:
    box = office.bindings["helpdesk"].mailbox
    with office.archive.transaction() as session:
        journal.add(session, box.id, Entry(1, None, NOW, NOW, 1, ["APPEND Sent {12}…"], 0, 0), 90)
    page = office.browser("clara").get(f"/mailboxes/{box.id}/journal")
    assert "A sent mail was put into its folder" in page.text
    assert "Put a copy of a mail that was sent into its folder." in page.text
    for name in ("anna", "bernd", "dana"):
        assert office.browser(name).get(f"/mailboxes/{box.id}/journal").status_code == 404


def test_what_is_only_counted_yet_has_pages_too(office: Office) -> None:
    """A mailbox of a hundred folders in which nothing happens, and what was sent before."""
    box, anna = office.bindings["anna"].mailbox, office.browser("anna")
    with office.archive.transaction() as session:
        for number in range(50):
            journal.add(session, box.id, Entry(1, None, NOW, NOW, 1, [f"NOOP {number}"], 0, 0), 90)
        for number in range(100):
            one = bindings.add(session, box, f"F{number}", "Done", NOW, user=office.users["anna"])
            entry = Entry(2, one, NOW, NOW, 1, [f"SELECT F{number}"], 0, 0)
            journal.looked(session, bindings.get(session, one), entry)
    found = [line for one in shown(anna, f"/mailboxes/{box.id}/journal") for _, line in one.commands]
    assert found == [
        *(f"SELECT F{number}" for number in reversed(range(100))),
        *(f"NOOP {number}" for number in reversed(range(50))),
    ]


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
