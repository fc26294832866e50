"""Verifying: whatever was altered, lost, added or put into another order is found, and its place is said."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from archive import intake, rereading
from archive.events import log, proof, sealer, verify
from archive.events.verify import Verified
from archive.post import bindings, ledger, receipts
from archive.post.ledger import Untaken
from archive.store.archive import Archive, Session
from archive.store.keys import InstallationKey
from archive.store.schema import event, event_detail

from ...servers.postgresql import PostgreSQL
from ...world import HOSTILE, copy_for, large, mail
from ..home import GENERATION, KEY, NOON, Home, furnish, numbered
from ..rows import fill
from .tampering import Tamperer, copied

PROOF = bool(os.environ.get("PROOF"))
CHANGES, ON_SERVER = (1000, 1000) if PROOF else (60, 24)  # a server's database is copied for each of them
SHARES = 4


@pytest.fixture(scope="session")
def proved(database: PostgreSQL | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """An archive with something in every table that is answered for, all of it sealed, in several seals."""
    home = furnish(tmp_path_factory.mktemp("proved") / "data", database)
    pdf = ("paper.pdf", os.urandom(3000))
    home.take("Helpdesk", *numbered(range(6)), mail(attachments=[pdf]))
    _seal(home)
    home.take("Sales", copy_for("sales@demo.example", numbered([3])[0]), mail(subject="again", attachments=[pdf]))
    home.take("Anna", *numbered(range(10, 13)), HOSTILE["8-bit header"](), large(400_000))
    # Two conversations turn out to be one when the mail between them comes.
    home.take(
        "Helpdesk", mail(message_id="<a@x>", references=["<root@x>"]), mail(message_id="<b@x>", references=["<c@x>"])
    )
    _seal(home)
    home.take("Helpdesk", mail(message_id="<c@x>", references=["<root@x>"]))
    _quarantined(home)
    one = home.binding("Helpdesk")
    with home.archive.transaction() as session:
        left = {900: Untaken(ledger.LEFT, "flagged"), 901: Untaken(ledger.WAITING, "withheld")}
        ledger.note(session, one, GENERATION, left, {900, 901}, {902, 903}, NOON)
        _settle(session, home)
    fill(home)
    rereading.pass_(home.archive, 8, home.clock)
    _seal(home)
    home.close()
    yield home
    home.remove()


def _seal(home: Home) -> None:
    assert sealer.seal_all(home.archive, home.clock) > 0


def _settle(session: Session, home: Home) -> None:
    one = home.binding("Helpdesk")
    receipts.settle(session, one.id, GENERATION, [1, 2, 3], "moved", NOON)
    details = {"uidvalidity": GENERATION, "uids": [1, 2, 3], "how": "moved"}
    log.write(session, [log.Event("receipts.settled", one.actor, one.actor, details)], NOON)


def _quarantined(home: Home) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intake, "_write_receipts", lambda *_: 1 / 0)
        assert home.take("Sales", mail(subject="stumbled over")).quarantined


@pytest.fixture
def own(proved: Home, tmp_path: Path) -> Iterator[Home]:
    home = proved.copy_to(tmp_path / "own")
    yield home
    home.remove()


def verified(home: Home, *, contents: bool = True, sample: int | None = None) -> Verified:
    archive = Archive(home.folder, InstallationKey(KEY), home.url)
    try:
        return verify.verify(archive, contents=contents, sample=sample, workers=1)
    finally:
        archive.close()


def test_an_archive_nobody_touched_is_as_it_was(own: Home) -> None:
    done = verified(own)
    assert done.findings == []
    assert (done.unsealed, done.unsealed_bytes) == (0, 0)
    assert done.copies == sum(map(own.count, ("receipt", "quarantine", "outgoing")))
    assert done.events == own.count("event")
    assert done.seals == own.count("seal") == 3
    for table in {one.table.name for one in proof.PROVED.values()} | {"stretch"}:
        assert own.count(table), table  # or no change would be tried in it
    assert own.rows("SELECT count(*) FROM event WHERE kind = 'conversation.joined'") == [(1,)]


def test_without_the_key_rows_chain_and_every_byte_are_read(own: Home) -> None:
    archive = Archive(own.folder, InstallationKey.new(), own.url)
    done = verify.verify(archive, contents=False)
    archive.close()
    assert (done.findings, done.copies) == ([], 0)
    assert done.packed == sum(path.stat().st_size for path in (own.folder / "blobs").glob("*.pack"))


@pytest.mark.timeout(3600 if PROOF else 300)
@pytest.mark.parametrize("share", range(SHARES))
def test_every_single_change_is_found_and_located(proved: Home, tmp_path: Path, share: int) -> None:
    """Rows altered, deleted, forged, exchanged; bytes of packs, keys and heads; tails cut off. `make proof`: 1,000."""
    missed: list[object] = []
    made: Counter[str] = Counter()
    seeds = range(share, ON_SERVER if proved.server else CHANGES, SHARES)
    for seed in seeds:
        home = copied(proved, tmp_path / "own")
        change = Tamperer(home.folder, seed).change()
        made[re.split(r"[ /.]", change.what)[0]] += 1
        places = [one.where for one in verified(home).findings]
        if not any(_is_in(place, change.where) for place in places):
            missed.append((seed, change, places[:5]))
        if seed % 5 == 0 and not change.needs_key:
            places = [one.where for one in verified(home, contents=False).findings]
            if not any(_is_in(place, change.where) for place in places):
                missed.append((seed, "without the key", change, places[:5]))
    assert missed == []
    assert len(made) > min(5, len(seeds) // 3), made
    home.remove()


def _is_in(place: str, wanted: tuple[str, ...]) -> bool:
    return any(re.match(re.escape(one) + r"(?!\d)", place) for one in wanted)


def test_what_is_not_sealed_is_named(own: Home) -> None:
    last = own.rows("SELECT max(id) FROM event")[0][0]
    own.take("Sales", *numbered(range(50, 53)))
    own.close()
    done = verified(own)
    assert done.findings == []
    assert (done.unsealed, done.unsealed_first) == (3, last + 1)
    assert done.unsealed_bytes > 100


def test_details_and_rows_altered_together_are_found_once_they_are_sealed(own: Home) -> None:
    """Whoever alters a row can make its event agree: the details, their commitment, but not the chain."""
    from archive.events import chain

    ((id_, salt, details),) = own.rows(
        "SELECT e.id, d.salt, d.details FROM event e JOIN event_detail d ON d.event = e.id WHERE e.kind = 'user.added' "
        "ORDER BY e.id LIMIT 1"
    )
    digest = proof.digest("user", {"email": "evil@demo.example", "name": "Anna", "admin": True, "created_at": NOON})
    forged = re.sub(r'"user":\{"1":"[^"]+"', f'"user":{{"1":"{digest}"', details)
    assert forged != details
    with own.archive.transaction() as session:
        session.exec_driver_sql("UPDATE \"user\" SET email = 'evil@demo.example', admin = true WHERE id = 1")
        session.execute(update(event_detail).where(event_detail.c.event == id_).values(details=forged))
        commitment = chain.commitment(salt, forged)
        session.execute(update(event).where(event.c.id == id_).values(commitment=commitment))
    own.close()
    assert [one.where for one in verified(own).findings] == ["event 1", "user 1"]


def test_a_chain_made_anew_is_not_the_one_that_was_written_down(own: Home) -> None:
    """Everything in the database is consistent: all seals are made again after an event was altered."""
    with own.archive.transaction() as session:
        session.exec_driver_sql("UPDATE event SET actor = 'user:2' WHERE id = 2")
        for table in ("stretch", "seal"):
            session.exec_driver_sql(f"DELETE FROM {table}")
        session.exec_driver_sql("UPDATE pack SET sealed = 0")
    kept = (own.folder / "heads.jsonl").read_bytes()
    (own.folder / "heads.jsonl").unlink()
    _seal(own)
    own.close()
    assert verified(own).findings == []  # without what was written down nobody could tell
    (own.folder / "heads.jsonl").write_bytes(kept)
    places = [one.where for one in verified(own).findings]
    assert places[0] == "heads.jsonl, line 1"


def test_a_sample_reads_the_log_and_all_rows_but_few_bytes(own: Home) -> None:
    whole, some = verified(own), verified(own, sample=2)
    assert (some.events, some.rows) == (whole.events, whole.rows)
    assert 2 <= some.copies < whole.copies
    assert 0 < some.packed < whole.packed


def test_other_cores_find_the_same(own: Home) -> None:
    data = bytearray((own.folder / "blobs" / "000001.pack").read_bytes())
    data[200] ^= 1
    (own.folder / "blobs" / "000001.pack").write_bytes(data)
    here = verified(own)
    archive = Archive(own.folder, InstallationKey(KEY), own.url)
    there = verify.verify(archive, contents=True, workers=2)
    archive.close()
    assert sorted(map(str, here.findings)) == sorted(map(str, there.findings)) != []
    assert (here.copies, here.bytes, here.packed) == (there.copies, there.bytes, there.packed)


def test_a_key_of_another_installation_opens_nothing(own: Home) -> None:
    archive = Archive(own.folder, InstallationKey.new(), own.url)
    done = verify.verify(archive, contents=True)
    archive.close()
    blobs = {f"blob {row[0]}" for row in own.rows("SELECT id FROM blob")}
    assert blobs <= {one.where for one in done.findings}


def test_an_archive_that_grows_meanwhile_is_as_it_was(own: Home) -> None:
    """Rows are read in one view; mail that comes in between is no finding."""
    other = Home(own.folder, own.ids)
    uids = iter(range(5000, 6000))

    def told(_stage: str, _done: int, _of: int | None) -> None:
        one = intake.Arrival(next(uids), numbered([next(uids)])[0], NOON)
        other.intake.take(own.binding("Helpdesk"), GENERATION, [one], own.clock)

    done = verify.verify(own.archive, contents=True, told=told)
    other.close()
    own.close()
    assert done.findings == []
    assert verified(own).findings == []


def test_bindings_change_all_the_time_and_only_what_they_are_is_answered_for(own: Home) -> None:
    one = own.binding("Sales")
    with own.archive.transaction() as session:
        bindings.failed(session, one, NOON, trouble="No answer.", permanent=False, next_at=NOON + 1)
    own.close()
    assert verified(own).findings == []
