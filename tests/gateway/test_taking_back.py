"""A password or a consent is taken back while the gateway uses it: it notices soon, and signs in no more."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
from sqlalchemy import update

from archive import sending
from archive.front import now
from archive.outgoing import identities, outbox
from archive.people.scopes import MACHINE
from archive.post import attempts, bindings, consents, decisions
from archive.sending import Letter
from archive.store.schema import mailbox
from gateway import credentials, sender
from gateway.tokens import Client, Given
from gateway.trouble import Refused

from ..conftest import Account
from ..servers.between import Overhearing
from ..servers.scripted import Scripted
from ..servers.smtp import Smtp
from ..world import mail
from .conftest import Office
from .test_consent import Scene, make_scene, provider, scene, server
from .test_journal import port_of, through
from .test_sending import Outbox
from .test_serve import often, received, running, stop, tracebacks, until

__all__ = ["make_scene", "provider", "scene", "server"]

MakeAccount = Callable[..., Account]


def take_back(office: Office, name: str) -> None:
    with office.archive.transaction() as session:
        box = bindings.mailbox_by_name(session, name)
        assert box
        decisions.take_back(session, office.archive, box, "user:1", now())


def logins(line: Overhearing) -> int:
    return sum(one.startswith("LOGIN") for one in line.commands())


@pytest.mark.databases("sqlite", "postgresql")
def test_a_gateway_that_waits_for_news_signs_out_and_never_in_again(office: Office, dovecot: MakeAccount) -> None:
    anna = dovecot("anna")
    with Overhearing(port_of(anna)) as line:
        often(office, through(anna, line))  # type: ignore[arg-type]
        with running(office, "gateway") as process:
            until(lambda: line.commands()[-1:] == ["IDLE"])
            at = logins(line)
            assert at >= 1
            take_back(office, "box1")
            until(lambda: not line._ends, 10)  # the connection has ended
            anna.server.deliver(anna.user, "INBOX", mail(subject="Not for you"))
            time.sleep(5)
            assert logins(line) == at
            assert received(office) == 0
            assert anna.server.count(anna.user, "INBOX") == 1
            with office.archive.transaction() as session:
                box = bindings.mailbox_by_name(session, "box1")
                assert box
                bindings.set_password(session, office.archive, box, anna.password, now())
                decisions.resume(session, bindings.of_mailboxes(session, [box]), "user:1", now())
            until(lambda: received(office) == 1)
            assert logins(line) > at
            stop(process)
            assert tracebacks(process) == []


def test_a_pass_ends_with_the_batch_in_hand_and_the_next_does_not_sign_in(office: Office, dovecot: MakeAccount) -> None:
    anna = dovecot("anna")
    anna.server.deliver(anna.user, "INBOX", *(mail(subject=f"Question {number}") for number in range(600)))
    with Overhearing(port_of(anna)) as line:
        binding = office.watch(through(anna, line))
        outcome = office.poll_well(binding, told=lambda _done, _of: take_back(office, "box1"))
        assert (outcome.archived, outcome.moved) == (500, 500)
        assert logins(line) == 1
        assert office.poll_well(binding).rests
        with office.archive.transaction() as session:  # by its folder's own button
            decisions.resume(session, [bindings.get(session, binding)], "user:1", now())
        assert "Nobody has entered a password" in (office.poll(binding).trouble or "")
        assert logins(line) == 1
    assert anna.server.count(anna.user, "INBOX") == 100


def test_consent_that_is_taken_back_while_it_is_renewed_signs_nobody_in(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the provider gives in that very moment is given back."""
    renew, given = Client.renew, list[Given]()

    def slowly(self: Client, *asked: Any) -> Given:
        given.append(renew(self, *asked))
        take_back(scene.office, "anna")
        return given[0]

    monkeypatch.setattr(Client, "renew", slowly)
    scene.provider.taken_back.clear()
    with pytest.raises(Refused) as met:
        credentials.of(scene.office.archive, scene.box, scene.connecting, scene.clock)
    assert met.value.kind == "no consent"
    assert scene.provider.taken_back == [given[0].tokens.refresh]
    with scene.office.archive.reading() as session:
        assert consents.get(session, scene.box.id) is None


def test_a_renewal_that_comes_late_does_not_take_the_place_of_consent_given_anew(scene: Scene) -> None:
    archive, before, late = scene.office.archive, scene.kept, consents.Tokens("late", 60, "late as well")
    take_back(scene.office, "anna")
    scene.now += 1000
    scene.give()
    given = scene.kept
    assert given.number == before.number
    with archive.transaction() as session:
        assert not consents.renew(session, archive, scene.box, scene.row, before, late, scene.now)
        consents.forget_access(session, before)
    assert scene.kept == given


def test_a_command_that_disconnects_tells_the_provider_and_says_where_it_cannot(scene: Scene) -> None:
    office = scene.office
    office.environment["POSTROOM_GATEWAY__CA_FILE"] = str(scene.connecting.ca_file)
    scene.provider.taken_back.clear()
    done = office.call("mailbox", "disconnect", "anna")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(scene.provider.taken_back) == 1
    with office.archive.reading() as session:
        assert consents.get(session, scene.box.id) is None

    for fault, says in (("500", "HTTP 500"), ("cut inside", "it cannot be reached")):
        scene.give()
        scene.provider.faults.append(fault)  # type: ignore[arg-type]
        done = office.call("mailbox", "disconnect", "anna")
        assert done.returncode == 0
        assert f"fake could not be told that consent is taken back: {says}" in done.stderr
        with office.archive.reading() as session:
            assert consents.get(session, scene.box.id) is None


# --- and what is to go out --------------------------------------------------------------------------------------


def forget(office: Office, box: int) -> None:
    with office.archive.transaction() as session:
        decisions.take_back(session, office.archive, bindings.mailbox_of(session, box), "user:1", now())


def test_what_is_not_claimed_yet_does_not_leave_after_the_password_is_taken_back(office: Office) -> None:
    with Smtp(user="help") as smtp:
        box = Outbox(office, smtp.url)
        ids = [box.queue(f"eva{number}@outside.example") for number in range(sender.FIRST + 3)]

        def first(_: object) -> None:
            if not smtp.accepted:
                forget(office, box.box)

        smtp.answers["DATA"] = first
        box.round()
        assert len(smtp.accepted) == sender.FIRST  # what was in hand
        assert smtp.connections == 1
    assert [box.seen(one).trouble_kind for one in ids[sender.FIRST :]] == ["no password"] * 3


def test_another_connection_is_not_opened_with_what_was_taken_back(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "ON_A_LINE", 2)
    with Smtp(user="help") as smtp:
        box = Outbox(office, smtp.url)
        for number in range(5):
            box.queue(f"eva{number}@outside.example")

        def first(_: object) -> None:
            if not smtp.accepted:
                forget(office, box.box)

        smtp.answers["DATA"] = first
        box.round()
        assert (len(smtp.accepted), smtp.connections) == (2, 1)


def test_a_new_password_is_used_from_the_next_claim_on(office: Office) -> None:
    with Smtp(user="help") as smtp:
        box = Outbox(office, smtp.url)
        for number in range(sender.FIRST + 1):
            box.queue(f"eva{number}@outside.example")

        def first(_: object) -> None:
            if not smtp.accepted:
                with office.archive.transaction() as session:
                    it = bindings.mailbox_of(session, box.box)
                    bindings.set_password(session, office.archive, it, "another", now())
                smtp._password = "another"

        smtp.answers["DATA"] = first
        assert box.round().sent == sender.FIRST + 1
        assert smtp.connections == 2


def test_a_copy_is_not_put_into_a_mailbox_whose_password_has_just_been_taken_back(
    office: Office, dovecot: MakeAccount, smtp: Smtp
) -> None:
    helpdesk = dovecot("helpdesk")
    with Overhearing(port_of(helpdesk)) as line:
        box = Outbox(office, smtp.url, sent="Sent", imap=through(helpdesk, line))  # type: ignore[arg-type]
        box.queue()
        box.round()
        box.later()
        box.queue("jan@x.example")
        smtp.answers["DATA"] = lambda _: forget(office, box.box)
        assert box.round().sent == 1
        assert logins(line) == 0


@pytest.mark.parametrize("again", [False, True])
def test_a_connection_that_is_kept_is_not_used_after_its_consent(scene: Scene, smtp: Smtp, again: bool) -> None:
    archive = scene.office.archive
    with archive.transaction() as session:
        session.execute(update(mailbox).where(mailbox.c.id == scene.box.id).values(smtp=smtp.url))
    with archive.transaction() as session:
        identity = identities.add(session, "anna@demo.example", scene.box, scene.now, user=scene.office.names["anna"])

    def send() -> None:
        letter = Letter(identity, outbox.NEW, "eva@outside.example", "Invoice", "Hello", undo=0)
        sending.send(archive, lambda _: MACHINE, letter, scene.now)
        outward.work()
        outward.finish()

    outward = sender.Sender(archive, scene.connecting, scene.clock, threading.Event())
    send()
    send()
    assert (len(smtp.accepted), smtp.connections) == (2, 1)
    take_back(scene.office, "anna")
    scene.now += 1000
    if again:
        scene.give()
    send()
    outward.end(1.0)
    assert (len(smtp.accepted), smtp.connections) == ((3, 2) if again else (2, 1))


# --- and in the very moment in which it is given ----------------------------------------------------------------


@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.parametrize("how", [decisions.take_back, decisions.disconnect_mailbox])
def test_what_is_taken_back_in_the_moment_it_is_kept_is_not_kept(
    office: Office, scripted: Scripted, how: Callable[..., object]
) -> None:
    archive = office.archive
    box = office.binding(office.watch(scripted)).mailbox
    with archive.transaction() as session:
        given = {"password": "another"}
        id_ = attempts.ask(session, archive, office.names["anna"], "password", box.id, given, now())
        assert attempts.claim(session, id_, now())

    def take_it_back() -> None:
        with archive.transaction() as session:
            how(session, archive, box, "user:1", now())

    with ThreadPoolExecutor(1) as beside:
        with archive.transaction() as session:
            assert attempts.goes_on(session, id_)
            done = beside.submit(take_it_back)
            wait([done], 1.0)
            bindings.set_password(session, archive, box, "another", now())
        done.result(30)
    with archive.reading() as session:
        assert bindings.mailbox_of(session, box.id).secret is None
        assert all(one.paused_at or one.ended_at for one in bindings.every(session, ended=True))


def test_what_its_owner_entered_as_a_new_mailbox_is_called_off_and_nobody_elses(scene: Scene) -> None:
    archive, names = scene.office.archive, scene.office.names
    with archive.transaction() as session:
        mine, theirs = (
            attempts.ask(session, archive, names[name], "new", None, {"password": "x"}, scene.now)
            for name in ("anna", "bernd")
        )
        for one in (mine, theirs):
            assert attempts.claim(session, one, scene.now)
    take_back(scene.office, "anna")
    with archive.transaction() as session:
        assert [attempts.goes_on(session, one) for one in (mine, theirs)] == [False, True]


def test_what_waited_for_a_password_is_sent_as_soon_as_there_is_one(office: Office, smtp: Smtp) -> None:
    box = Outbox(office, smtp.url)
    forget(office, box.box)
    waits, planned = box.queue(), box.queue("jan@x.example", not_before=now() + 3_600_000)
    assert box.round().left == 1
    assert (box.seen(waits).trouble_kind, box.round().left) == ("no password", 0)
    before = box.seen(planned).next_at
    with office.archive.transaction() as session:
        bindings.set_password(session, office.archive, bindings.mailbox_of(session, box.box), "correct horse", now())
    assert box.round().sent == 1
    assert (box.seen(waits).state, box.seen(planned).next_at) == (outbox.SENT, before)
