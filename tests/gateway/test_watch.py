"""What is seen beside mail: until when a certificate holds, how full a mailbox is, whose clock is ahead."""

from collections.abc import Callable

import pytest

from archive.front import now
from archive.post import bindings, observations, providers
from archive.post.observations import Seen
from gateway.mailbox import Connecting
from gateway.watch import MOST_AHEAD_MS, Watch, ahead

from .. import world
from ..conftest import Account
from ..servers.certificates import Authority
from ..servers.dovecot import Dovecot
from ..servers.imap import PASSWORD
from .conftest import Office

QUOTA = (
    "mail_plugins = quota\nprotocol imap {\n  mail_plugins = quota imap_quota\n}\n"
    "plugin {\n  quota = count:User quota\n  quota_vsizes = yes\n  quota_rule = *:storage=64K\n}\n"
)


def test_a_mailbox_that_fills_up_is_noticed_and_is_over_when_there_is_room(
    office: Office, make_dovecot: Callable[..., Dovecot], authority: Authority
) -> None:
    server = make_dovecot(certificate=authority.issue("soon", ["localhost"], days=9), extra=QUOTA)
    user = server.add_user("anna@demo.example")
    account = Account(server, user, PASSWORD)
    with server.connect(user) as client:
        client.append("INBOX", world.mail(subject="Big", text="x" * 60_000))

    class There:
        url, password = server.url(user, "tls"), account.password

    binding = office.watch(There(), name="office")
    connecting = Connecting(10.0, authority.file)
    office.poll_well(binding, connecting=connecting, watch=Watch(office.archive, now))
    box = office.binding(binding).mailbox
    with office.archive.reading() as session:
        told = observations.told(session, [box], now())[box.id]
    assert {one.kind for one in told} == {"nearly full", "certificate ends"}
    said = office.call("doctor").stdout
    assert "office is nearly full" in said
    assert "days left: 8" in said
    with server.connect(user) as client:
        client.select_folder("Done")
        client.delete_messages(client.search())
        client.expunge()
    office.poll_well(binding, connecting=connecting, watch=Watch(office.archive, now))
    with office.archive.reading() as session:
        told = observations.told(session, [box], now())[box.id]
    assert [one.kind for one in told] == ["certificate ends"]


def test_seeing_the_same_again_writes_nothing() -> None:
    seen = Seen(certificate_until=5, quota_used=100, quota_limit=1000, ahead=1000)
    assert not observations.news(seen, Seen(certificate_until=5, quota_used=800, quota_limit=1000, ahead=-3000))
    assert observations.news(seen, Seen(certificate_until=5, quota_used=900, quota_limit=1000))
    assert observations.news(seen, Seen(certificate_until=6))


@pytest.mark.parametrize(("latest", "by"), [(500, 0), (1000, 0), (1000 + 300_000, 300_000), (1001 + MOST_AHEAD_MS, 0)])
def test_only_a_clock_that_is_ahead_is_certain(latest: int, by: int) -> None:
    assert ahead(latest, 1000) == by


def test_an_admin_prepares_what_others_sign_in_to(office: Office) -> None:
    added = ("provider", "add", "m365", "--kind", "microsoft", "--tenant", "demo.example", "--client-id", "an-id")
    done = office.call(*added, "--secret-stdin", "--secret-until", "2030-01-01", stdin="the client secret\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("/mailboxes/back/m365")
    url = ("--imap", "imaps://anna%40demo.example@outlook.office365.com")
    assert office.call("mailbox", "add", "anna", *url, "--owner", world.ANNA.address, "--prepared").returncode == 0
    assert office.call("mailbox", "add", "shared", *url, "--provider", "m365", "--grant", "client").returncode == 0
    with office.archive.reading() as session:
        anna, shared = (bindings.mailbox_by_name(session, name) for name in ("anna", "shared"))
        (m365,) = providers.every(session)
    assert anna is not None
    assert anna.prepared
    assert shared is not None
    assert (shared.provider, shared.grant) == (m365.id, "client")
    assert "/demo.example/oauth2/v2.0/token" in m365.at.token
    assert office.call("provider", "secret", "m365", "--secret-stdin", stdin="another secret\n").returncode == 0
    shown = "".join(
        office.call(*command).stdout
        for command in (("provider", "list"), ("provider", "list", "--json"), ("mailbox", "list"), ("doctor",))
    )
    assert "m365" in shown
    assert not any(secret in shown for secret in ("the client secret", "another secret"))
    assert office.call("mailbox", "add", "none", *url).returncode == 2
    tested = office.call("mailbox", "test", "anna")
    assert "Nobody has entered a password for anna yet" in tested.stdout
    refused = office.call("provider", "consent", "anna")
    assert refused.returncode != 0


@pytest.mark.parametrize(
    "url", ["http://login.example/token", "https://a:b@login.example/", "https:///token", "ftp://x"]
)
def test_secrets_travel_to_https_only(office: Office, url: str) -> None:
    done = office.call(
        "provider", "add", "p", "--kind", "custom", "--client-id", "x", "--token", url, "--scope", "mail"
    )
    assert done.returncode != 0
    assert "write https://host/path" in done.stderr
