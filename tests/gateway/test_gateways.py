"""Gateways that are killed: each folder is one gateway's, and what a killed one held goes on with the next."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from archive.events import sealer, verify
from archive.front import now
from archive.store.schema import lease

from ..conftest import Account
from ..world import mail
from .conftest import Office
from .test_serve import received, stop, tracebacks, until
from .test_workers import letters

MakeAccount = Callable[..., Account]
MANY = bool(os.environ.get("PROOF_MANY"))
GATEWAYS = 4 if MANY else 2
FOLDERS = 200 if MANY else 4
SECONDS = 60 if MANY else 3
MAILS = 3000 if MANY else 160
KILLS = 10 if MANY else 2
PATIENCE = 600 if MANY else 120  # seconds: nothing here is about time

pytestmark = pytest.mark.timeout(2400 if MANY else 300)


@pytest.mark.databases("postgresql")
def test_gateways_that_are_killed_lose_and_double_nothing(office: Office, dovecot: MakeAccount) -> None:
    office.environment |= {"POSTROOM_GATEWAY__KEPT_LOOK": "5", "POSTROOM_GATEWAY__AT_ONCE": "4"}
    accounts = [dovecot(f"user{number}") for number in range(FOLDERS)]
    folders = {office.binding(office.watch(account, every=2)).name: account for account in accounts}
    gateways: list[subprocess.Popen[str]] = [office.start("gateway") for _ in range(GATEWAYS)]
    chance = random.Random(7)
    sent = 0
    try:
        until(lambda: all(row.succeeded_at for row in office.rows("binding")), PATIENCE, lambda: office.rows("binding"))
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for account in chance.sample(accounts, min(5, FOLDERS)):
                account.server.deliver(account.user, "INBOX", mail(subject=f"Question {sent}"))
                sent += 1
            for number in chance.sample(range(GATEWAYS), GATEWAYS // 2):
                gateways[number].kill()
                gateways[number].communicate()
                gateways[number] = office.start("gateway")
            time.sleep(chance.uniform(1.0, 4.0))
        until(lambda: received(office) == sent, PATIENCE)
        until(lambda: set(office.settlements()) == {"moved"}, PATIENCE, lambda: Counter(office.settlements()))
        until(lambda: holders(office) == set(range(1, FOLDERS + 1)), PATIENCE)
        for one in gateways:
            one.terminate()
            assert one.wait(30) in (0, -signal.SIGTERM)  # the newest may only just have begun
            assert tracebacks(one) == []
    finally:
        for one in gateways:
            one.kill()
            one.communicate()
    assert len(office.messages()) == len(office.copies()) == sent
    assert Counter(office.settlements()) == {"moved": sent}
    kept = {name: Counter[bytes]() for name in folders}
    for one_copy in office.copies():
        kept[one_copy.binding][office.raw(one_copy)] += 1
    for name, account in folders.items():
        assert account.server.count(account.user, "INBOX") == 0
        done = Counter(one.raw for one in account.server.mails(account.user, "Done"))
        assert done == kept[name], "in Done stands what the archive has from there, byte by byte"
        assert set(done.values()) <= {1}
    sealer.seal_all(office.archive, now)
    assert verify.verify(office.archive, contents=True).findings == []


def test_a_gateway_that_is_killed_among_the_slices_of_a_backlog_loses_and_doubles_nothing(
    office: Office, dovecot: MakeAccount, tmp_path: Path
) -> None:
    help_ = dovecot("helpdesk")
    server, user = help_.server, help_.user
    server.load(user, "INBOX", letters(tmp_path / "mails", MAILS, 1000))
    office.watch(help_)
    for kill in range(1, KILLS + 1):
        with in_slices(office) as process:
            until(lambda reached=kill * MAILS // (KILLS + 1): received(office) >= reached, PATIENCE)  # type: ignore[misc]
            process.kill()
    with in_slices(office) as process:
        until(lambda: server.count(user, "Done") == MAILS, PATIENCE)
        until(lambda: office.settlements() == ["moved"] * MAILS)
        stop(process)
        assert tracebacks(process) == []
    assert len(office.messages()) == len(office.copies()) == MAILS
    assert Counter(office.raws()) == Counter(one.raw for one in server.mails(user, "Done"))
    assert server.count(user, "INBOX") == 0


@contextmanager
def in_slices(office: Office) -> Iterator[subprocess.Popen[str]]:
    """A gateway that takes twenty mails of a folder, and then looks what else is due."""
    words = [sys.executable, "-m", "tests.gateway.small_slices", "20", "gateway"]
    process = subprocess.Popen(words, env=office.environment, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def holders(office: Office) -> set[int]:
    """Bindings whose lease somebody holds."""
    with office.archive.reading() as session:
        held = session.scalars(select(lease.c.name).where(lease.c.until > 0, lease.c.name.like("binding-%"))).all()
    return {int(name.removeprefix("binding-")) for name in held}
