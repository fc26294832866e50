"""Mailboxes without a password: tokens of a real flow, at a real Dovecot that asks the provider whose they are."""

import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from archive.post import bindings, consents, observations, providers
from archive.post.bindings import Mailbox as Box
from archive.post.consents import Consent
from archive.post.providers import Provider as Row
from gateway import credentials, smtp
from gateway.accounts import Account
from gateway.mailbox import Connecting
from gateway.tokens import LARGEST, Client
from gateway.trouble import Refused, Trouble, Unreachable

from .. import world
from ..servers.certificates import Authority
from ..servers.dovecot import Dovecot
from ..servers.provider import CLIENT, SECRET, Fault, Provider
from .conftest import Office

USER = "anna@demo.example"
NOW = 1_793_620_800_000
HOUR = 3_600_000


@pytest.fixture(scope="module")
def provider(authority: Authority) -> Iterator[Provider]:
    with Provider(authority.good()) as started:
        yield started


@pytest.fixture(scope="module")
def server(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dovecot]:
    """A Dovecot with XOAUTH2 and OAUTHBEARER that takes what the provider says."""
    file = tmp_path_factory.mktemp("oauth2") / "oauth2.conf"
    file.write_text(provider.dovecot)
    extra = (
        "auth_mechanisms = plain login xoauth2 oauthbearer\n"
        f"passdb {{\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = {file}\n}}\n"
        "auth_cache_size = 0\n"
    )
    with Dovecot(extra=extra) as started:
        started.add_user(USER)
        yield started


@dataclass
class Scene:
    """Anna's mailbox, for which she has given consent; a clock that can be turned on."""

    office: Office
    provider: Provider
    connecting: Connecting
    now: int = NOW

    def clock(self) -> int:
        return self.now

    @property
    def box(self) -> Box:
        with self.office.archive.reading() as session:
            found = bindings.mailbox_by_name(session, "anna")
        assert found
        return found

    @property
    def row(self) -> Row:
        with self.office.archive.reading() as session:
            return providers.every(session)[0]

    @property
    def kept(self) -> Consent:
        with self.office.archive.reading() as session:
            found = consents.get(session, self.box.id)
        assert found
        return found

    def give(self, refresh: str | None = None, *, lasts: int = 0) -> None:
        """Consent as a person gave it; its access token has `lasts` seconds left."""
        tokens = consents.Tokens("an-old-token", lasts, refresh or self.provider.consent(USER))
        box, row = self.box, self.row
        with self.office.archive.transaction() as session:
            consents.give(session, self.office.archive, box, row, tokens, self.now, "user:1")

    def sign_in(self) -> Account:
        with credentials.open_mailbox(self.office.archive, self.box, self.connecting, self.clock) as opened:
            opened.select("INBOX", readonly=True)
            return opened.account

    def account(self) -> Account:
        return credentials.of(self.office.archive, self.box, self.connecting, self.clock)


@pytest.fixture
def make_scene(office: Office, provider: Provider, server: Dovecot, authority: Authority) -> Callable[..., Scene]:
    def make(grant: str = "consent", url: str | None = None, **more: Any) -> Scene:
        with office.archive.transaction() as session:
            id_ = providers.add(
                session, office.archive, "fake", "custom", CLIENT, SECRET, provider.endpoints, NOW, **more
            )
            bindings.add_mailbox(
                session, office.archive, "anna", url or server.url(USER), None, None, NOW,
                owner=office.names["anna"], provider=id_, grant=grant,
            )  # fmt: skip
        provider.user, provider.rotates, provider.lasts, provider.denies = USER, True, 3600, None
        provider.clock_ahead, provider.slow, provider.refresh_lasts, provider.devices_agree = 0.0, 0.0, None, True
        provider.faults.clear()
        provider.asked.clear()
        return Scene(office, provider, Connecting(5.0, authority.file))

    return make


@pytest.fixture
def scene(make_scene: Callable[..., Scene]) -> Scene:
    made = make_scene()
    made.give()
    return made


def test_dovecot_takes_the_token_and_mail_is_archived(scene: Scene, server: Dovecot) -> None:
    server.load(USER, "INBOX", [])
    with server.connect(USER) as client:
        client.append("INBOX", world.mail(subject="By consent"))
    box, anna = scene.box, scene.office.names["anna"]
    with scene.office.archive.transaction() as session:
        binding = bindings.add(session, box, "INBOX", "Done", NOW, user=anna, preview=False)
    outcome = scene.office.poll_well(binding, connecting=scene.connecting)
    assert (outcome.archived, outcome.moved) == (1, 1)
    assert scene.provider.asked == ["refresh_token"]


@pytest.mark.parametrize("kind", ["OAUTHBEARER", "XOAUTH2"])
def test_either_way_of_showing_a_token_lets_anna_in_and_says_why_not(
    scene: Scene, server: Dovecot, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway import mailbox

    other = "XOAUTH2" if kind == "OAUTHBEARER" else "OAUTHBEARER"
    plain = mailbox.initial_response
    shown: list[str] = []

    def shows(account: Account, chosen: str) -> bytes:
        shown.append(chosen)
        return plain(account, chosen)

    monkeypatch.setattr(mailbox, "initial_response", shows)
    connect = mailbox.Mailbox._connect

    def without_the_other(self: Any) -> Any:
        client = connect(self)
        client._imap.capabilities = tuple(one for one in client._imap.capabilities if one != f"AUTH={other}")
        return client

    monkeypatch.setattr(mailbox.Mailbox, "_connect", without_the_other)
    account = scene.sign_in()
    assert shown == [kind]
    with pytest.raises(Refused) as met:
        mailbox.Mailbox(replace(account, password="stolen-token-of-nobody"), scene.connecting)
    assert (met.value.kind, met.value.signing_in) == ("token", True)
    assert "stolen-token-of-nobody" not in str(met.value)


def test_a_token_is_used_as_long_as_it_lives_and_renewed_before_it_ends(scene: Scene) -> None:
    first = scene.sign_in().password
    scene.now += HOUR - credentials.MARGIN_MS - 1000
    assert scene.sign_in().password == first
    scene.now += 2000
    second = scene.sign_in().password
    assert second != first
    assert scene.provider.asked == ["refresh_token"] * 2


def test_a_rotated_token_is_durable_before_the_new_access_token_is_used(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever dies between keeping and signing in goes on with the new one; the old one would end everything."""
    seen: list[bytes | None] = []
    before = scene.kept.refresh

    def dies(*_: object) -> Any:
        seen.append(scene.kept.refresh)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(credentials, "Mailbox", dies)
        with pytest.raises(KeyboardInterrupt):
            scene.sign_in()
    assert seen[0] != before
    scene.now += 2 * HOUR
    scene.sign_in()


def test_a_provider_whose_clock_differs_is_noticed_until_it_does_no_more(scene: Scene) -> None:
    found = []
    for ahead in (-600.0, 0.0):
        scene.provider.clock_ahead = ahead
        scene.sign_in()
        scene.now += 2 * HOUR
        box = scene.box
        with scene.office.archive.reading() as session:
            told = observations.told(session, [box], scene.now)[box.id]
        found.append([(one.kind, one.values["minutes"]) for one in told])
    assert found == [[("clock", "10")], []]


def test_ten_at_once_renew_once(scene: Scene) -> None:
    scene.provider.slow = 0.3
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(scene.account().password)) for _ in range(10)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert len(found) == 10
    assert len(set(found)) == 1
    assert scene.provider.asked == ["refresh_token"]


def test_a_lost_answer_costs_a_mailbox_nothing_where_old_tokens_still_count(scene: Scene) -> None:
    scene.provider.rotates = False
    scene.provider.faults.append("lost")
    with pytest.raises(Unreachable) as met:
        scene.sign_in()
    assert met.value.kind == "provider"
    scene.sign_in()


def test_a_lost_answer_with_a_rotated_token_is_said_to_need_consent(scene: Scene) -> None:
    scene.provider.faults.append("lost")
    with pytest.raises(Unreachable):
        scene.sign_in()
    with pytest.raises(Refused, match="Give it again under “Your mailboxes”") as met:
        scene.sign_in()
    assert met.value.kind == "consent over"


def test_a_provider_that_is_away_stops_nobody_whose_token_still_lives(scene: Scene) -> None:
    scene.give(lasts=200)  # under the margin, above the last seconds
    scene.provider.faults.append("500")
    assert scene.account().password == "an-old-token"


@pytest.mark.parametrize(
    "fault", ["500", "429", "garbage", "list", "huge", "cut inside", "redirect", "no token", "bad token"]
)
def test_what_a_provider_answers_makes_no_harm(scene: Scene, fault: Fault) -> None:
    scene.provider.faults.append(fault)
    before = scene.kept
    with pytest.raises(Unreachable) as met:
        scene.sign_in()
    assert met.value.kind == "provider"
    assert len(str(met.value)) < LARGEST
    assert scene.kept == before
    scene.sign_in()


@pytest.mark.parametrize("fault", ["stall", "stall inside"])
def test_a_provider_that_says_nothing_is_waited_for_a_while(scene: Scene, fault: Fault) -> None:
    scene.provider.faults.extend([fault, fault])
    scene.connecting = replace(scene.connecting, timeout=0.5)
    with pytest.raises(Unreachable, match="no answer within"):
        scene.account()
    with pytest.raises(Refused, match="no answer within") as met:
        Client(scene.row, SECRET, scene.connecting).revoke("a token")
    assert met.value.kind == "not revoked"


def test_a_provider_with_a_certificate_nobody_knows_gets_no_secret(scene: Scene) -> None:
    before = len(scene.provider.forms)
    scene.connecting = Connecting(5.0)
    with pytest.raises(Unreachable, match="certificate"):
        scene.account()
    assert len(scene.provider.forms) == before


def test_consent_that_was_taken_back_is_said_with_the_remedy(scene: Scene) -> None:
    scene.provider.revoke()
    with pytest.raises(Refused) as met:
        scene.sign_in()
    assert met.value.kind == "consent over"
    assert met.value.signing_in
    assert "AADSTS700082" in str(met.value)


def test_a_token_that_is_taken_no_more_is_renewed_once(scene: Scene) -> None:
    scene.sign_in()
    scene.provider.expire()
    scene.now += 10 * 60 * 1000  # it would have lived on
    scene.sign_in()
    assert scene.provider.asked == ["refresh_token"] * 2


def test_a_fresh_token_that_is_not_taken_is_a_refusal(scene: Scene) -> None:
    """Somebody else's consent: asking again and again would not help, and locks accounts."""
    scene.give(scene.provider.consent("bernd@demo.example"))
    with pytest.raises(Refused) as met:
        scene.sign_in()
    assert met.value.kind == "token"
    assert scene.provider.asked == ["refresh_token"]


def test_before_consent_is_given_the_remedy_is_said(make_scene: Callable[..., Scene]) -> None:
    with pytest.raises(Refused, match="Nobody has given consent for anna yet") as met:
        make_scene().sign_in()
    assert met.value.permanent


def test_a_shared_mailbox_is_opened_as_the_application_itself(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene("client")
    scene.sign_in()
    scene.now += 2 * HOUR
    scene.sign_in()
    assert scene.provider.asked == ["client_credentials"] * 2
    assert scene.kept.refresh is None


def test_an_unknown_client_is_the_operators_to_mend(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene("client")
    row = scene.row
    with scene.office.archive.transaction() as session:
        providers.set_secret(session, scene.office.archive, row, "one that has expired", NOW)
    with pytest.raises(Refused, match="postroom provider secret") as met:
        scene.sign_in()
    assert met.value.kind == "client secret"


def test_a_code_for_a_device_becomes_consent(scene: Scene) -> None:
    client = Client(scene.row, SECRET, scene.connecting)
    device = client.begin_device()
    assert (device.user_code, device.url) == ("WDJB-MJHT", f"{scene.provider.base}/go")
    scene.provider.devices_agree = False
    assert client.after_device(device, USER) is None
    scene.provider.devices_agree = True
    given = client.after_device(device, USER)
    assert given is not None
    assert given.tokens.refresh is not None


def test_a_code_without_its_verifier_is_worth_nothing(scene: Scene) -> None:
    asked = {
        "state": "s", "code_challenge": "x" * 43, "code_challenge_method": "S256", "response_type": "code",
        "redirect_uri": "https://mail.demo.example/mailboxes/back/fake",
    }  # fmt: skip
    code = scene.provider.authorize(asked).rpartition("code=")[2]
    with pytest.raises(Refused) as met:
        Client(scene.row, SECRET, scene.connecting).exchange(code, "guessed" * 8, asked["redirect_uri"], USER)
    assert met.value.kind == "consent over"
    assert code not in str(met.value)


@pytest.mark.parametrize(
    ("error", "kind", "permanent"),
    [
        ("interaction_required AADSTS50076: multi-factor", "consent over", True),
        ("invalid_grant AADSTS700082: expired", "consent over", True),
        ("invalid_client AADSTS7000222: expired secret", "client secret", True),
        ("temporarily_unavailable AADSTS90033: try later", "provider", False),
        ("invalid_scope nothing of the kind", "provider refuses", True),
    ],
)
def test_what_an_error_means(scene: Scene, error: str, kind: str, permanent: bool) -> None:
    code, _, description = error.partition(" ")
    trouble: Trouble = Client(scene.row, SECRET, scene.connecting)._judged(code, f"{description} {SECRET}", USER)
    assert (trouble.kind, trouble.permanent) == (kind, permanent)
    assert SECRET not in str(trouble)


def test_nothing_secret_is_shown_by_what_is_handed_round(scene: Scene) -> None:
    account = scene.account()
    shown = f"{account!r} {consents.Tokens('abc-secret', 5)!r} {Client(scene.row, SECRET, scene.connecting)!r}"
    assert account.password not in shown
    assert "abc-secret" not in shown
    assert SECRET not in shown


class _Smtp(socketserver.StreamRequestHandler):
    """As much of an SMTP server as signing in needs."""

    provider: Provider
    kinds = "XOAUTH2"

    def handle(self) -> None:
        import base64

        self.say("220 mail")
        while line := self.rfile.readline().decode().strip():
            if line.upper().startswith("EHLO"):
                self.say("250-mail", f"250 AUTH PLAIN {self.kinds}")
            elif line.startswith("AUTH"):
                shown = base64.b64decode(line.split()[2]).decode()
                token = shown.partition("Bearer ")[2].strip("\x01")
                if self.provider.owner(token) == USER:
                    self.say("235 welcome")
                    continue
                self.say("334 " + base64.b64encode(b'{"status":"400"}').decode())
                assert self.rfile.readline() == (b"\r\n" if "XOAUTH2" in line else b"AQ==\r\n")
                self.say("535 5.7.8 no")
            else:
                self.say("221 bye")
                return

    def say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


@pytest.mark.parametrize("kinds", ["XOAUTH2", "OAUTHBEARER XOAUTH2"])
def test_smtp_takes_the_same_token(scene: Scene, kinds: str) -> None:
    account = scene.account()
    handler = type("Handler", (_Smtp,), {"provider": scene.provider, "kinds": kinds})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        there = Account("smtp", "plain", "127.0.0.1", server.server_address[1], USER, account.password, True)
        assert "takes mail" in smtp.check(there, scene.connecting)
        with pytest.raises(Refused) as met:
            smtp.check(replace(there, password="somebody-elses"), scene.connecting)
        server.shutdown()
    assert met.value.kind == "token"
    assert '{"status":"400"}' in str(met.value)


def test_one_context_serves_all_who_trust_the_same(authority: Authority) -> None:
    from gateway.mailbox import tls_context

    assert tls_context(authority.file) is tls_context(authority.file)
    assert tls_context(None) is tls_context(None)
    assert tls_context(None) is not tls_context(authority.file)
    assert tls_context(None).minimum_version is ssl.TLSVersion.TLSv1_2
    assert tls_context(None).verify_mode is ssl.CERT_REQUIRED
    assert tls_context(None).check_hostname
