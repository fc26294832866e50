"""A server that refuses, stalls, cuts, greylists and lies, and a sender that is killed again and again.

A sample of it is run here; `make proof-outbox` sends 10,000 mails and prints what became of them.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from sqlalchemy import func, select, update

from archive.front import now
from archive.outgoing import identities, outbox
from archive.post import bindings
from archive.store import schema

from ..full_outbox import queue
from ..servers.hostile import Chances, Hostile
from .conftest import ROOT, Office

MAILS = int(os.environ.get("PROOF_OUTBOX", "150"))
KILLS = max(3, MAILS // 150)
PATIENCE = 2.0  # seconds
LONGEST = 1500.0  # seconds
# Of a thousand mails; each kind is met in the sample, too.
CHANCES = Chances(
    cut_early=10, closing=5, later=20, cut_late=10, said_late=2, stall=2, confused=10, surplus=10, doubled=10
)


def recipients(number: int) -> list[str]:
    """Most go to one who takes them; each other kind is there."""
    address = f"{number}@x.example"
    return {
        0: [f"gone{address}"],
        1: [f"grey{address}"],
        2: [f"gone{address}", f"ok{address}", f"grey{address}"],
        3: [f"spam{address}"],
    }.get(number % 20, [f"ok{address}"])


@pytest.mark.timeout(LONGEST + 600)
def test_every_mail_once_and_twice_only_in_the_window(office: Office) -> None:
    """Killed at random moments while the server is at its worst; then the rest is sent."""
    with Hostile(CHANCES, PATIENCE) as server:
        ids = fill(office, server.url)
        began = time.monotonic()
        killed = sum(one_round(office, kill=True, chance=random.Random(number)) for number in range(KILLS))
        while left(office):
            assert time.monotonic() - began < LONGEST, f"{left(office)} mails are left"
            one_round(office, kill=False, chance=random.Random(0))
        seconds = time.monotonic() - began
        table = told(office, server, killed, seconds)
    print(f"\n{table}")
    wanted = {one for number in range(MAILS) for one in recipients(number)}
    refused = {one for one in wanted if "gone" in one or "spam" in one}
    got = Counter[str]()
    for mail in server.mails.values():
        got.update(mail.recipients)
    assert set(got) == wanted - refused  # at least once; and who refused for good has nothing
    assert set(server.refused) == refused
    assert server.asked_again == []  # although the sender knew
    assert [one for one in server.mails.values() if one.again or one.altered] == []
    # Twice only: taken and not told, or killed between the answer and the slate.
    doubled = [one for one in server.mails.values() if max(one.recipients.values()) > 1]
    assert sum(max(max(one.recipients.values()) - 1 - one.untold, 0) for one in doubled) <= killed
    states = counted(office, "outgoing")
    nobody = sum(all("gone" in one or "spam" in one for one in recipients(number)) for number in range(MAILS))
    assert states == {outbox.FAILED: nobody, outbox.SENT: MAILS - nobody}
    assert len(ids) == MAILS
    with office.archive.reading() as session:
        assert session.scalar(select(func.count()).select_from(schema.message)) == MAILS - nobody
        assert session.scalars(select(schema.outgoing.c.claim).distinct()).all() == [None]
    assert office.call("verify").returncode == 0


def fill(office: Office, url: str) -> list[int]:
    with office.archive.transaction() as session:
        bindings.add_mailbox(session, office.archive, "out", "imap+plain://x@127.0.0.1:1", url, "x", now())
        box = bindings.mailbox_by_name(session, "out")
        assert box
        made = identities.add(session, "helpdesk@demo.example", box, now(), process=office.names["helpdesk"])
        identity = identities.get(session, made)
    return queue(office.archive, identity, ((recipients(n), f"Mail {n}", f"Hello {n}\n.\n..") for n in range(MAILS)))


def one_round(office: Office, *, kill: bool, chance: random.Random) -> bool:
    """Whatever waits is due; True where the sender was killed at it."""
    with office.archive.transaction() as session:
        waits = schema.outgoing.c.next_at.is_not(None)
        session.execute(update(schema.outgoing).where(waits).values(next_at=0))
    key = office.archive.folder.with_name(f"{office.archive.folder.name}.key")
    sender = subprocess.Popen(
        [sys.executable, "-m", "tests.gateway.sending_alone", office.archive.folder, key, str(PATIENCE)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert sender.stdout is not None
    sender.stdout.readline()
    if not kill:
        sender.wait(LONGEST)
        return False
    try:
        sender.wait(chance.uniform(0.05, 2.5))
    except subprocess.TimeoutExpired:
        sender.send_signal(signal.SIGKILL)
        sender.wait()
        return True
    return False


def left(office: Office) -> int:
    with office.archive.reading() as session:
        waits = schema.outgoing.c.state.in_(outbox.WAITS) | schema.outgoing.c.file_at.is_not(None)
        return session.scalar(select(func.count()).select_from(schema.outgoing).where(waits)) or 0


def counted(office: Office, table: str) -> Counter[str]:
    return Counter(row.state for row in office.rows(table))


def told(office: Office, server: Hostile, killed: int, seconds: float) -> str:
    states = counted(office, "outgoing")
    people = counted(office, "outgoing_recipient")
    mails = server.mails.values()
    doubled = [one for one in mails if max(one.recipients.values()) > 1]
    rows = [
        ("mails", MAILS), ("seconds", round(seconds)), ("the sender was killed", killed),
        ("connections", server.connections), *((f"the server: {name}", n) for name, n in sorted(server.did.items())),
        *((f"mails {name}", n) for name, n in sorted(states.items())),
        *((f"recipients {name}", n) for name, n in sorted(people.items())),
        ("taken by the server", len(server.mails)),
        ("taken twice or more by somebody", len(doubled)),
        ("… for the sender was not told", sum(bool(one.untold) for one in doubled)),
        ("… for it was killed in the window", sum(not one.untold for one in doubled)),
        ("… although it knew", sum(one.again for one in mails)),
        ("under another Message-ID or altered", sum(one.altered for one in mails)),
        ("asked again after a refusal for good", len(server.asked_again)),
    ]  # fmt: skip
    return "\n".join(f"{name:<42} {number:>8,}" for name, number in rows)
