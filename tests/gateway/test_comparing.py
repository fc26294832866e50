"""Ledgers compared with real servers for people at a page."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from archive.front import now
from archive.post import bindings, comparisons, decisions, journal
from archive.post import ledger as book
from archive.post.comparisons import Comparison
from archive.store.archive import Session
from gateway import comparing
from gateway.comparing import Comparing

from ..servers.scripted import Scripted
from ..world import mail
from .conftest import QUICK, Office

MakeAccount = Callable[..., Any]


def compare(office: Office, binding: int) -> Comparison:
    """Ask at the page, and let the gateway do it."""
    with office.archive.transaction() as session:
        comparisons.ask(session, binding, now())
    Comparing(office.archive, QUICK, now, threading.Event()).work()
    until = time.monotonic() + 30
    while (one := kept(office, binding)).under_way(now()) and time.monotonic() < until:
        time.sleep(0.05)
    return one


def kept(office: Office, binding: int) -> Comparison:
    with office.archive.reading() as session:
        one = comparisons.get(session, binding)
    assert one is not None
    return one


def uids(one: Comparison) -> dict[str, list[int]]:
    assert one.found is not None
    return {kind: [each.uid for each in difference.some] for kind, difference in one.found.differences.items()}


def test_equal_and_then_what_came_and_what_was_taken_away(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    server, user = help_.server, help_.user
    server.deliver(user, "INBOX", mail(subject="given up"), flags=["\\Deleted"])
    server.deliver(user, "INBOX", mail(subject="one"))
    binding = office.watch(help_)
    office.poll_well(binding)
    one = compare(office, binding)
    assert (one.state, uids(one)) == ("done", {})
    assert one.found is not None
    assert (one.found.seen, one.found.there) == (2, 1)
    assert one.at is not None
    assert now() - one.at < 60_000
    with server.connect(user) as client:
        client.select_folder("INBOX")
        client.uid_expunge([1])
    server.deliver(user, "INBOX", raw := mail(subject="new"))
    one = compare(office, binding)
    assert uids(one) == {"unseen": [3], "missing": [1]}
    assert one.found is not None
    (new,) = one.found.differences["unseen"].some
    assert new.size == len(raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    assert new.at is not None
    assert abs(new.at - now()) < 60_000
    (there,) = server.mails(user, "INBOX")
    assert there.flags == frozenset(), "looking changes nothing"
    with office.archive.reading() as session:
        assert journal.entries(session, office.binding(binding).mailbox.id, [binding], 0, None, 9)


def test_what_a_pass_moves_meanwhile_is_no_difference(office: Office, scripted: Scripted, monkeypatch: Any) -> None:
    """Between our asking the server and our reading the ledger a pass takes and moves the mail."""
    scripted.folder("INBOX").add(mail(subject="one"))
    binding = office.watch(scripted)
    monkeypatch.setattr(comparing, "PAUSE", 0.01)
    before = book.lines
    passes: list[object] = []

    def lines(session: Any, *arguments: Any) -> Any:
        if not passes:
            passes.append(office.poll_well(binding))
        return before(session, *arguments)

    monkeypatch.setattr(book, "lines", lines)
    one = compare(office, binding)
    assert passes
    assert (one.state, uids(one)) == ("done", {})


def test_a_server_that_lets_nobody_in_is_said(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    binding = office.watch(help_)
    with office.archive.transaction() as session:
        box = office.binding(binding).mailbox
        bindings.set_password(session, office.archive, box, "wrong", now(), actor="operator")
    one = compare(office, binding)
    assert (one.state, one.trouble_kind, one.found) == ("failed", "password", None)
    assert one.trouble_values["user"] == help_.user


def test_a_folder_that_was_paused_meanwhile_is_not_looked_at(office: Office, dovecot: MakeAccount) -> None:
    binding = office.watch(dovecot("helpdesk"))
    with office.archive.transaction() as session:
        decisions.pause(session, [office.binding(binding)], "operator", now())
    one = compare(office, binding)
    assert (one.state, one.trouble_kind) == ("failed", "not tried")
    with office.archive.reading() as session:
        assert not journal.entries(session, office.binding(binding).mailbox.id, None, 0, None, 9)


def test_the_running_gateway_does_it(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    help_.server.deliver(help_.user, "INBOX", mail(subject="one"))
    binding = office.watch(help_)
    running = office.start("gateway")
    try:
        with office.archive.transaction() as session:
            comparisons.ask(session, binding, now())
        until = time.monotonic() + 60
        while (one := kept(office, binding)).under_way(now()) and time.monotonic() < until:
            time.sleep(0.1)
    finally:
        running.terminate()
        running.wait(20)
    assert one.state == "done"


def test_an_archive_that_fails_for_a_while_does_not_use_up_all_hands(
    office: Office, scripted: Scripted, monkeypatch: Any
) -> None:
    binding = office.watch(scripted)
    office.poll_well(binding)
    with office.archive.transaction() as session:
        comparisons.ask(session, binding, now())
    gateway = Comparing(office.archive, QUICK, now, threading.Event())

    def fails(*_: object) -> bool:
        raise RuntimeError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(comparisons, "claim", fails)
        for _ in range(comparing.AT_ONCE + 1):
            with pytest.raises(RuntimeError):
                gateway.work()
    gateway.work()
    until = time.monotonic() + 30
    while (one := kept(office, binding)).under_way(now()) and time.monotonic() < until:
        time.sleep(0.05)
    assert one.state == "done"


@pytest.mark.parametrize("how", ["pause", "disconnect", "take back"])
def test_what_may_not_be_asked_any_more_is_not_asked_a_second_time(
    office: Office, dovecot: MakeAccount, monkeypatch: Any, how: str
) -> None:
    help_ = dovecot("helpdesk")
    help_.server.deliver(help_.user, "INBOX", mail(subject="one"))
    binding = office.watch(help_)
    before = comparisons.look_again

    def look_again(session: Session, id_: int, at: int) -> None:
        before(session, id_, at)
        one = office.binding(binding)
        if how == "pause":
            decisions.pause(session, [one], "operator", at)
        elif how == "disconnect":
            decisions.disconnect(session, [one], "operator", at)
        else:
            decisions.take_back(session, office.archive, one.mailbox, "operator", at)

    monkeypatch.setattr(comparisons, "look_again", look_again)
    monkeypatch.setattr(comparing, "PAUSE", 0.0)
    one = compare(office, binding)
    assert (one.state, one.trouble_kind, one.found) == ("failed", "not tried", None)
