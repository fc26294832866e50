"""Each fault at each command of a pass, once: Helpdesk's mail gets through all the same, and its health page says why.

A sample of the cells is run here; `make proof-imap` runs all of them and prints what became of each.
"""

import hashlib
import os
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import pytest

from archive.post import ledger, troubles
from gateway import mailbox, taking
from gateway.mailbox import Connecting

from ..servers.certificates import Authority
from ..servers.dovecot import Dovecot
from ..servers.imap import PASSWORD
from ..servers.relay import Relay
from ..world import copy_for, large, mail
from .conftest import Office
from .faults import CELLS, NOTHING, WAITING_CELLS, Fault
from .test_idle import at_work
from .test_serve import received, until

PATIENT = Connecting(timeout=30.0)
HASTY = Connecting(timeout=1.0)
MOST_MEMORY = 48 << 20  # bytes: a line of 8 MB, twice in pieces, and whatever a pass takes
EVERY = 31  # cells: one is in the sample
RAWS = [
    mail(subject="A question"),
    mail(subject="Seen already", text="A person has read it."),
    mail(subject="Literals", text="{10}\r\n)\r\n* 9 FETCH (UID 3 BODY[] {4}\r\n"),
    copy_for("helpdesk@demo.example", mail(subject="Twice")),
    copy_for("sales@demo.example", mail(subject="Twice")),
    b"Subject: 8 bit \xe1\r\n\r\n\xff\xfe\r\n",
    large(150_000),
    mail(subject="The last", attachments=[("last.bin", bytes(range(256)) * 20)]),
]
SEEN = hashlib.sha256(RAWS[1]).digest()
OLDER = mail(subject="Processed long ago")
CAPABILITIES = "IMAP4rev1 SASL-IR LITERAL+ UIDPLUS UNSELECT IDLE NAMESPACE"
_numbers = count(1)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Dovecot]]:
    """A server that can MOVE and one that has UIDPLUS only, each started when it is first asked for."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    kinds = {"move": None, "uidplus": CAPABILITIES}
    started: dict[str, Dovecot] = {}

    def get(moving: str) -> Dovecot:
        if moving not in started:
            started[moving] = Dovecot(capability=kinds[moving], certificate=authority.good())
            started[moving].start()
            started[moving].authority = authority.file  # type: ignore[attr-defined]
        return started[moving]

    yield get
    for server in started.values():
        server.close()


@dataclass
class Scene:
    """Helpdesk's mailbox behind a relay, and what may never be seen of it."""

    server: Dovecot
    user: str
    relay: Relay
    url: str
    delivered: list[bytes]
    password: str = PASSWORD
    lost: str = ""

    def look(self) -> None:
        """Invariant 4: the watched folder is read first; what is moved in between is seen twice, never missed."""
        there = Counter(one.raw for folder in ("INBOX", "Done") for one in self.server.mails(self.user, folder))
        if missing := Counter(self.delivered) - there:
            self.lost = f"{missing.total()} originals were in neither folder"

    def at_rest(self, *, older: bool) -> None:
        self.look()
        assert self.lost == ""
        assert self.relay.offences == []
        assert self.server.mails(self.user, "INBOX") == []
        done = self.server.mails(self.user, "Done")
        assert Counter(one.raw for one in done) == Counter(RAWS + [OLDER] * older)
        seen = [hashlib.sha256(one.raw).digest() for one in done if r"\Seen" in one.flags]
        assert seen == [SEEN]
        assert not any(r"\Deleted" in one.flags for one in done)
        assert {"INBOX", "Done"} >= self.server.selected(self.user)


@pytest.fixture
def scene(servers: Callable[[str], Dovecot], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Scene]]:
    """Makes the scene for a fault at this command."""
    monkeypatch.setattr(taking, "LARGE", 100_000)
    monkeypatch.setattr(mailbox, "RANGE", 60_000)
    relays: list[Relay] = []

    def make(command: str, raws: Sequence[bytes] = RAWS) -> Scene:
        server = servers("uidplus" if command in ("COPY", "STORE", "EXPUNGE") else "move")
        user = server.add_user(f"fault{next(_numbers)}", listen=command == "TLS")
        server.deliver(user, "INBOX", *RAWS[:1])
        server.deliver(user, "INBOX", RAWS[1], flags=[r"\Seen"])
        server.deliver(user, "INBOX", *raws[2:])
        if command != "CREATE":
            server.deliver(user, "Done", OLDER)
        encrypted = command == "TLS"
        relay = Relay(server.tls_port if encrypted else server.port, encrypted, frozenset({"INBOX", "Done"}))
        relays.append(relay)
        relay.__enter__()
        url = f"imaps://{user}@localhost:{relay.port}" if encrypted else f"imap+plain://{user}@127.0.0.1:{relay.port}"
        made = Scene(server, user, relay, url, list(raws))
        relay.changed = made.look
        return made

    yield make
    for relay in relays:
        relay.__exit__(None, None, None)


def archived_once(office: Office, binding: int) -> None:
    """Invariants 1 to 3 on the archive's side."""
    assert Counter(office.raws()) == Counter(RAWS)
    assert len(office.messages()) == len(RAWS) - 1  # two are copies of one message
    assert office.settlements() == ["moved"] * len(RAWS)
    assert office.quarantined() == []
    assert office.events().count("message.archived") == len(RAWS) - 1
    with office.archive.reading() as session:
        lines = list(ledger.lines(session, binding))
    assert Counter(line.outcome for line in lines) == {ledger.ARCHIVED: len(RAWS) - 1, ledger.COPY: 1}
    assert len({(line.uidvalidity, line.uid) for line in lines}) == len(RAWS)
    verified = office.call("verify")
    assert verified.returncode == 0, verified.stdout


def in_cells(cells: Sequence[tuple[Fault, str]], first: int) -> pytest.MarkDecorator:
    """A test for each of these; for every 31st where it is not the proof that runs."""
    chosen = cells if os.environ.get("PROOF_IMAP") else cells[first::EVERY]
    named = [pytest.param(fault, command, id=f"{fault.name} at {command}") for fault, command in chosen]
    return pytest.mark.parametrize(("fault", "command"), named)


@pytest.mark.timeout(120)
@pytest.mark.needs("dovecot")
@in_cells(CELLS, 5)
def test_a_fault_at_a_command_costs_nothing_and_is_told(
    office: Office,
    scene: Callable[..., Scene],
    fault: Fault,
    command: str,
    record_property: Callable[[str, object], None],
) -> None:
    one = scene(command)
    authority = one.server.authority  # type: ignore[attr-defined]
    patient = Connecting(PATIENT.timeout, authority)
    binding = office.watch(one)
    one.relay.strike(fault, command, times=fault.lasts)

    if fault.large:
        tracemalloc.start()
    office.poll(binding, connecting=Connecting(HASTY.timeout, authority) if fault.hasty else patient)
    if fault.large:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MOST_MEMORY
    assert one.relay.struck
    kept = office.binding(binding)
    kind = kept.trouble_kind or ""
    record_property("cell", (fault.name, command, kind))
    assert kind in fault.expected(command), kept.trouble
    if kind:
        assert kept.trouble == troubles.sentence(kind, kept.trouble_values)
        assert kept.trouble.isprintable()

    passes = 1
    while office.poll(binding, connecting=patient).trouble is not None:
        passes += 1
        assert passes <= fault.lasts + 1, office.binding(binding).trouble
    assert office.binding(binding).trouble is None
    before = len(one.relay.commands)
    again = office.poll_well(binding, connecting=patient)
    assert (again.seen, again.known, again.moved) == (0, 0, 0)
    assert not {"MOVE", "COPY", "STORE", "EXPUNGE"} & {name for _, name, _ in one.relay.commands[before:]}
    one.at_rest(older=command != "CREATE")
    archived_once(office, binding)


@pytest.mark.timeout(180)
@pytest.mark.needs("dovecot")
@in_cells(WAITING_CELLS, 4)
def test_a_fault_while_a_connection_waits_for_news_costs_nothing(
    office: Office,
    scene: Callable[..., Scene],
    fault: Fault,
    command: str,
    record_property: Callable[[str, object], None],
) -> None:
    """Mail that comes afterwards is taken all the same, by a new connection where need be."""
    one = scene(command, RAWS[:2])
    binding = office.watch(one, every=1)
    if command == "IDLE":
        one.relay.strike(fault, command, times=fault.lasts)
    if fault.large:
        tracemalloc.start()
    kinds: list[str] = []
    look_every = 40 if command == "news" else 2  # a look must not take the mail before the server has told of it
    with at_work(office, look_every=look_every, connecting=HASTY if fault.hasty else PATIENT) as gateway:
        until(lambda: received(office) == 2 and gateway.waiting == 1, 60)
        if command != "IDLE":
            one.relay.strike(fault, command, times=fault.lasts)
        one.delivered += RAWS[2:]
        one.server.deliver(one.user, "INBOX", *RAWS[2:])
        until(lambda: received(office) == len(RAWS) and one.relay.struck > 0, 90)
        until(lambda: office.binding(binding).trouble is None and gateway.waiting == 1, 60)
        kinds += [kind for kind in gateway.kinds if kind]
    if fault.large:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MOST_MEMORY
    kind = kinds[0] if kinds else ""
    record_property("cell", (fault.name, command, kind))
    assert kind in fault.expected(command) | NOTHING, [outcome.trouble for outcome in gateway.outcomes]
    office.poll_well(binding, connecting=PATIENT)
    one.at_rest(older=True)
    archived_once(office, binding)
