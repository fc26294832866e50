"""Who is looked at when: the broken hold up nobody, a backlog leaves room for others, a refused password rests."""

import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise

import pytest
from sqlalchemy import update

from archive.front import now
from archive.post import bindings
from archive.store.schema import binding as binding_table
from gateway.backoff import REFUSED, retry_at
from gateway.clock import Clock
from gateway.lanes import AT_ONE_SERVER, MOST_SLOW, Lane, Pass, aside, crowded, free, places
from gateway.mailbox import Connecting
from gateway.poller import Outcome, Poller, Slice
from gateway.rounds import Rounds

from ..conftest import Account
from ..servers.broken import Broken
from ..servers.scripted import Scripted
from ..world import mail
from .conftest import Office
from .test_idle import at_work, every
from .test_serve import received, until

MakeAccount = Callable[..., Account]
MANY = bool(os.environ.get("PROOF_MANY"))
BROKEN = 490 if MANY else 40
HEALTHY = 10 if MANY else 3
INTERVAL = 60 if MANY else 4  # seconds


def under_way(lane: Lane, count: int, *, since: float, arrived: bool = False) -> list[Pass]:
    return [Pass(number, number, lane, f"server{number}", since, arrived) for number in range(count)]


def test_whoever_waits_for_a_server_takes_nobodys_place() -> None:
    at = 1000.0
    assert free(Lane.STEADY, 4, under_way(Lane.STEADY, places(Lane.STEADY, 4), since=at), at) == 0
    assert free(Lane.STEADY, 4, under_way(Lane.STEADY, 500, since=at - 3), at) == places(Lane.STEADY, 4)
    arrived = under_way(Lane.STEADY, places(Lane.STEADY, 4), since=at - 3, arrived=True)
    assert free(Lane.STEADY, 4, arrived, at) == 0


def test_what_failed_is_not_tried_while_too_many_wait_and_the_others_are() -> None:
    slow = under_way(Lane.TRYING, MOST_SLOW, since=0.0)
    assert free(Lane.TRYING, 4, slow, 100.0) == 0
    assert free(Lane.STEADY, 4, slow, 100.0) == places(Lane.STEADY, 4)
    assert free(Lane.HEARD, 4, slow, 100.0) == 4


def test_a_backlog_never_takes_all_places() -> None:
    backlogs = under_way(Lane.BACKLOG, aside(4), since=0.0, arrived=True)
    assert free(Lane.BACKLOG, 4, backlogs, 100.0) == 0
    assert free(Lane.HEARD, 4, backlogs, 100.0) == 4


def test_thousands_of_mailboxes_at_one_server_do_not_set_out_for_it_together() -> None:
    heading = [Pass(number, number, Lane.STEADY, "a", 100.0) for number in range(AT_ONE_SERVER)]
    elsewhere = Pass(90, 90, Lane.STEADY, "b", 100.0)
    assert crowded(Lane.STEADY, [*heading, elsewhere], 100.0) == {"a"}
    assert crowded(Lane.TRYING, heading, 100.0) == set()  # who has a wrong password keeps nobody else out
    assert crowded(Lane.STEADY, heading, 103.0) == set()
    heading[0].arrived = True
    assert crowded(Lane.STEADY, heading, 100.0) == set()


def test_after_a_restart_all_are_watched_without_waiting_for_the_next_tick(office: Office, scripted: Scripted) -> None:
    """With one place to take mail in at, four may set out at a time; the others follow as soon as one has arrived."""
    for number in range(12):
        office.watch(scripted, name=f"box{number}")
    with office.archive.transaction() as session:
        session.execute(update(binding_table).values(succeeded_at=now(), every=3600))
    stopping = threading.Event()

    def poller() -> Poller:
        return Poller(office.archive, office.connecting, now, lease_wait=0.0, look_every=3600, stopping=stopping)

    rounds = Rounds(office.archive, poller, 1, stopping, lambda _outcome: None, keep=20)
    rounds.begin()
    try:
        rounds.tick()
        until(lambda: len(rounds._listening) == 12)
    finally:
        stopping.set()
        rounds.end(5)
    assert scripted.connections == 12
    assert scripted.offences == []


def test_those_that_failed_together_do_not_come_back_together() -> None:
    waits = {retry_at(0, 60, 3, permanent=False, chance=chance) for chance in (0.0, 0.5, 1.0)}
    assert waits == {180_000, 240_000, 300_000}
    assert retry_at(0, 60, 1, permanent=True, refused=True) == REFUSED * 1000


def test_a_refused_password_is_shown_once_and_stands_at_every_folder(office: Office, scripted: Scripted) -> None:
    ids = [office.watch(scripted, name="box", folder=folder) for folder in ("INBOX", "Other")]
    scripted.folder("Other")
    scripted.password = "another"
    every(office, 1)
    with at_work(office) as gateway:
        until(lambda: all(office.binding(id_).trouble_kind == "password" for id_ in ids))
        seen = scripted.verbs("LOGIN")
        end = time.monotonic() + 3.5
        until(lambda: time.monotonic() > end)
        assert scripted.verbs("LOGIN") == seen == ["LOGIN"]
        assert all(office.binding(id_).next_at > now() + REFUSED * 500 for id_ in ids)
        with office.archive.transaction() as session:
            box = office.binding(ids[0]).mailbox
            bindings.set_password(session, office.archive, box, "another", now())
        until(lambda: all(office.binding(id_).trouble is None for id_ in ids))
    assert gateway.outcomes


def test_news_over_a_line_that_is_open_do_not_show_a_refused_password_again(office: Office, scripted: Scripted) -> None:
    """Sales' folder listens since before the password changed; Helpdesk's was refused."""
    with scripted.lock:
        scripted.folder("Other")
    other = office.watch(scripted, name="box", folder="Other", process="sales")
    every(office, 3600)
    with at_work(office, look_every=3600) as gateway:
        until(lambda: gateway.waiting == 1)
        scripted.password = "another"
        inbox = office.watch(scripted, name="box")
        until(lambda: office.binding(inbox).trouble_kind == "password")
        for number in (1, 2):
            with scripted.lock:
                scripted.folder("Other").add(mail(subject=f"Question {number}"))
            until(lambda expected=number: received(office) == expected)  # type: ignore[misc]
        until(lambda: office.binding(other).trouble is None)
        assert office.binding(inbox).trouble_kind == "password"
        assert office.binding(inbox).next_at > now() + REFUSED * 500
        assert scripted.verbs("LOGIN") == ["LOGIN"] * 2


def test_a_new_password_is_tried_although_a_line_is_open(office: Office, scripted: Scripted) -> None:
    with scripted.lock:
        scripted.folder("Other")
    ids = [office.watch(scripted, name="box", folder="Other")]
    every(office, 3600)
    with at_work(office, look_every=3600) as gateway:
        until(lambda: gateway.waiting == 1)
        scripted.password = "another"
        ids.append(office.watch(scripted, name="box"))
        until(lambda: all(office.binding(id_).trouble_kind == "password" for id_ in ids))
        with office.archive.transaction() as session:
            bindings.set_password(session, office.archive, office.binding(ids[0]).mailbox, "another", now())
        until(lambda: all(office.binding(id_).trouble is None for id_ in ids))
        until(lambda: gateway.waiting == 2)


def test_poll_leaves_a_refused_mailbox_alone_unless_it_is_named(office: Office, scripted: Scripted) -> None:
    office.watch(scripted)
    scripted.password = "another"
    for _ in range(3):
        done = office.call("poll")
        assert done.returncode == 1
        assert "refuses the password" in done.stdout
    assert scripted.verbs("LOGIN") == ["LOGIN"]
    office.call("poll", "box1/INBOX")
    assert scripted.verbs("LOGIN") == ["LOGIN"] * 2


def test_a_backlog_is_taken_in_slices_and_new_mail_elsewhere_comes_between(
    office: Office, dovecot: MakeAccount
) -> None:
    many, few = dovecot("helpdesk"), dovecot("sales")
    count = 1200
    big = office.watch(many)
    small = office.watch(few, process="sales", name="few")
    office.poll_well(small)
    few.server.create(few.user, "Done")
    for start in range(0, count, 300):
        numbers = range(start, start + 300)
        many.server.deliver(many.user, "INBOX", *(mail(subject=f"Old {number}") for number in numbers))
    stopping = threading.Event()
    outcomes: list[Outcome] = []

    def poller() -> Poller:
        some = Slice(mails=200)
        return Poller(office.archive, office.connecting, now, lease_wait=0.0, slice=some, stopping=stopping)

    clock = Clock(office.archive, poller, 1, stopping, outcomes.append, keep=10)
    clock.start()
    try:
        until(lambda: received(office) > 200, 60)
        few.server.deliver(few.user, "INBOX", mail(subject="New"))
        until(lambda: few.server.count(few.user, "Done") == 1)
        assert many.server.count(many.user, "INBOX") > 0
        until(lambda: many.server.count(many.user, "Done") == count, 120)
    finally:
        clock.stop()
    assert sum(one.archived for one in outcomes if one.binding == office.binding(big).name) == count
    assert len([one for one in outcomes if one.archived > 1]) >= 2
    assert received(office) == count + 1


@pytest.mark.timeout(900 if MANY else 300)
def test_mailboxes_broken_in_ten_ways_do_not_delay_the_healthy(office: Office, dovecot: MakeAccount) -> None:
    with Broken() as broken:
        with office.archive.transaction() as session:
            kinds = sorted(broken.urls)
            for number in range(BROKEN):
                name = f"broken{number}"
                bindings.add_mailbox(session, office.archive, name, broken.urls[kinds[number % 10]], None, "x", now())
                box = bindings.mailbox_by_name(session, name)
                assert box is not None
                bindings.add(session, box, "INBOX", "Done", now(), process=office.names["helpdesk"])
        healthy = [office.watch(dovecot(f"well{number}"), name=f"well{number}") for number in range(HEALTHY)]
        with office.archive.transaction() as session:
            session.execute(update(binding_table).values(every=INTERVAL))
        looked: dict[int, list[int]] = defaultdict(list)
        with at_work(office, keep=0, connecting=Connecting(timeout=60.0 if MANY else 5.0)) as gateway:
            until(lambda: all(office.binding(id_).succeeded_at for id_ in healthy), 120)
            end = time.monotonic() + (INTERVAL * 4 if MANY else INTERVAL * 3)
            while time.monotonic() < end:
                for id_ in healthy:
                    at = office.binding(id_).succeeded_at or 0
                    if at not in looked[id_]:
                        looked[id_].append(at)
                time.sleep(0.05)
        late = [(after - before) / 1000 - INTERVAL for times in looked.values() for before, after in pairwise(times)]
        assert len(late) >= HEALTHY
        # A tenth of a minute, which is how often is looked where nobody says otherwise.
        assert max(late) <= 6.0, late
        print(f"{BROKEN} broken, {HEALTHY} healthy every {INTERVAL} s: at most {max(late):.1f} s late")
        in_trouble = {one.binding for one in gateway.outcomes if one.trouble and one.binding.startswith("broken")}
        assert len(in_trouble) >= BROKEN // 2
        refused = len([number for number in range(BROKEN) if kinds[number % 10] == "wrong password"])
        assert broken.sign_ins <= refused
