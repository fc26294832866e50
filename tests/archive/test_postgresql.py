"""Several machines on one PostgreSQL: no writer waits for another, and what two do at once comes out as one truth."""

import random
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, text

from archive import installation, rereading
from archive.events import sealer, verify
from archive.intake import Arrival, Intake
from archive.mail.second_reader import SecondReader
from archive.people import users
from archive.post import messages, timetable
from archive.store import dialects
from archive.store.archive import Archive
from archive.store.keys import InstallationKey
from archive.store.packs import LocalPacks, NotReady
from archive.store.schema import binding, message

from ..servers.postgresql import PostgreSQL
from ..world import copy_for, mail
from .home import GENERATION, KEY, NOON, Home, numbered

pytestmark = pytest.mark.databases("postgresql")


def at_once(*work: Callable[[], object]) -> None:
    """All of it begins at the same moment; whatever fails fails the test."""
    start = threading.Barrier(len(work))
    failed: list[BaseException] = []

    def run(one: Callable[[], object]) -> None:
        try:
            start.wait(10)
            one()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []


def worker(home: Home, name: str, uids: range, raws: Sequence[bytes]) -> Callable[[], object]:
    """An intake worker with a pack of its own that takes these mails of a binding."""
    watched = home.binding(name)

    def take() -> None:
        intake = Intake(home.archive)
        try:
            arrivals = [Arrival(uid, raw, NOON + uid) for uid, raw in zip(uids, raws, strict=True)]
            taken = intake.take(watched, GENERATION, arrivals, home.clock)
            assert not taken.quarantined, home.rows("SELECT reason FROM quarantine")
        finally:
            intake.close()

    return take


def check(home: Home) -> None:
    """Everything holds together: what the events say is what the rows say, and every byte comes back."""
    sealer.seal_all(home.archive, home.clock)
    done = verify.verify(home.archive, contents=True, workers=1)
    assert done.findings == []
    assert home.rows("SELECT count(*) FROM message WHERE conversation NOT IN (SELECT conversation FROM ticket)") == [
        (0,)
    ]
    keys = {row[0] for row in home.rows("SELECT blob FROM blob_key", database="keys")}
    assert keys == {row[0] for row in home.rows("SELECT id FROM blob")}


def test_the_same_mails_at_two_addresses_at_once_are_kept_once(home: Home) -> None:
    """Anna's and Bernd's copies come to two machines in the same moment: again and again."""
    for turn in range(6):
        raws = [
            mail(subject=f"both {turn} {n}", text=f"turn{turn} {n}", attachments=[("a.bin", b"x" * 5000)])
            for n in range(8)
        ]
        uids = range(turn * 100 + 1, turn * 100 + 9)
        at_once(
            worker(home, "Helpdesk", uids, raws),
            worker(home, "Sales", uids, [copy_for("sales@demo.example", raw) for raw in reversed(raws)]),
        )
    assert (home.count("message"), home.count("receipt"), home.count("delivery")) == (48, 96, 96)
    assert home.count("quarantine") == 0
    for who in ("anna", "bernd"):
        assert len(home.find(who, "both")) == 48
    assert home.find("clara", "both") == []
    check(home)


def test_an_answer_and_its_question_at_once_are_one_conversation(home: Home) -> None:
    draw = random.Random(3)
    for turn in range(6):
        names = [f"<{turn}.{n}@x.example>" for n in range(12)]
        thread = [
            mail(subject=f"turn {turn}", text=f"mail {n}", message_id=names[n], references=names[max(0, n - 3) : n])
            for n in range(12)
        ]
        draw.shuffle(thread)
        uids = range(turn * 100 + 1, turn * 100 + 7)
        at_once(worker(home, "Helpdesk", uids, thread[:6]), worker(home, "Sales", uids, thread[6:]))
    by_subject = home.rows("SELECT subject, count(*), count(DISTINCT conversation) FROM message GROUP BY subject")
    assert sorted(by_subject) == [(f"turn {turn}", 12, 1) for turn in range(6)]
    assert sorted(row[0] for row in home.rows("SELECT messages FROM ticket")) == [6] * 12
    check(home)


def test_three_machines_take_sequences_of_copies_and_answers_while_one_seals(home: Home) -> None:
    draw = random.Random(5)
    names = [f"<{n}@x.example>" for n in range(40)]
    pool = [
        mail(subject="any", text=f"mail {n}", message_id=names[n], references=draw.sample(names[: n + 1], min(n, 2)))
        for n in range(40)
    ]
    over = threading.Event()

    def seal() -> None:
        while not over.wait(0.02):
            sealer.seal_all(home.archive, home.clock)

    def take(name: str) -> Callable[[], object]:
        chosen = draw.sample(pool, 30)
        parts = [worker(home, name, range(n + 1, n + 6), chosen[n : n + 5]) for n in range(0, 30, 5)]
        return lambda: [part() for part in parts]

    sealing = threading.Thread(target=seal)
    sealing.start()
    try:
        at_once(take("Helpdesk"), take("Sales"), take("Anna"))
    finally:
        over.set()
        sealing.join()
    assert (home.count("receipt"), home.count("quarantine")) == (90, 0)
    check(home)


def test_rights_of_copies_that_come_at_once_are_all_in_the_index(home: Home) -> None:
    """Two workers bring further copies of one message: the second must not write the marks it saw before the first."""
    for turn in range(5):
        raw = mail(subject=f"shared {turn}")
        home.take("Helpdesk", raw)
        uids = range(500 + turn, 501 + turn)
        at_once(*(worker(home, name, uids, [copy_for(name, raw)]) for name in ("Sales", "Anna", "Clara")))
        for who in ("anna", "bernd", "clara"):
            assert len(home.find(who, "shared")) == turn + 1, who


def in_between(home: Home, table: Table, low: int, high: int, work: Callable[[], object]) -> None:
    """What others do while a transaction has the first of two rows and then takes the second: they have to wait."""

    def holds() -> None:
        with home.archive.intake() as session:
            dialects.hold(session, table, [low])
            holding.set()
            until_somebody_waits(home)
            dialects.hold(session, table, [high])

    def works() -> None:
        holding.wait(10)
        work()

    holding = threading.Event()
    at_once(holds, works)


def until_somebody_waits(home: Home) -> None:
    end = time.monotonic() + 30
    while not home.rows(
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    ):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_second_reading_waits_for_the_index_and_not_crosswise(home: Home) -> None:
    """What is read again goes from the newest mail to older ones, the index holds them by their numbers."""
    with SecondReader() as second:
        home.take("Helpdesk", mail(subject="Oldest"))
        rereading.pass_(home.archive, 10, home.clock, second)  # it takes its time to start
        for hour in (1, 2):
            home.take("Helpdesk", mail(subject=f"Later {hour}"), at=NOON + hour * 3_600_000)
        _, low, high = (id_ for (id_,) in home.rows("SELECT id FROM message ORDER BY id"))
        in_between(home, message, low, high, lambda: rereading.pass_(home.archive, 10, home.clock, second))
    assert home.rows("SELECT count(*) FROM message WHERE second_reader IS NULL") == [(0,)]
    assert home.verify() == []


def test_what_two_machines_read_again_at_once_is_on_record_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.take("Helpdesk", mail(subject="One"))
    record = rereading._record

    def after_another(*arguments: Any) -> None:
        monkeypatch.setattr(rereading, "_record", record)
        assert rereading.pass_(home.archive, 10, home.clock).read == 1
        with home.archive.intake() as session:
            record(session, *arguments[1:])

    monkeypatch.setattr(rereading, "_record", after_another)
    rereading.pass_(home.archive, 10, home.clock)
    assert home.rows("SELECT count(*) FROM event WHERE kind = 'message.reread'") == [(1,)]
    assert home.verify() == []


def test_gateways_that_begin_together_do_not_wait_crosswise(home: Home) -> None:
    """A row that was written stands behind the others, so that whoever writes all comes to it last."""
    low, high = sorted(one for (one,) in home.rows("SELECT id FROM binding"))[:2]
    with home.archive.intake() as session:
        timetable.put(session, high, NOON + 1000)
    with home.archive.intake() as session:
        timetable.put(session, low, NOON + 1000)

    def begin() -> None:
        with home.archive.intake() as session:
            timetable.bring_forward(session, [low, high], NOON)

    in_between(home, binding, low, high, begin)
    assert home.rows("SELECT count(*) FROM binding WHERE next_at = ?", NOON)[0][0] >= 2


def test_a_reader_that_tries_to_write_is_refused(home: Home) -> None:
    with pytest.raises(Exception, match="read-only"), home.archive.reading() as session:
        session.execute(text("DELETE FROM installation"))


def test_after_the_server_was_restarted_it_goes_on_by_itself(tmp_path_factory: pytest.TempPathFactory) -> None:
    from .home import furnish

    with PostgreSQL(sync=True) as server:
        home = furnish(tmp_path_factory.mktemp("restarted") / "data", server)
        home.take("Helpdesk", *numbered(range(3)))
        server.stop()  # in the middle of everything
        with pytest.raises(Exception, match=r"connection|server"):
            home.take("Helpdesk", *numbered(range(3, 4)))
        server.start()
        home.take("Helpdesk", *numbered(range(4, 6)))
        assert home.count("message") == 5  # what was acknowledged is there, what was not is taken again
        check(home)
        home.remove()


def test_what_may_lose_mail_is_said(home: Home) -> None:
    with home.archive.reading() as session:
        assert dialects.described(session).startswith("PostgreSQL 1")
        assert dialects.unfit(session) == []
        assert dialects.unsafe(session) == [
            "PostgreSQL runs with fsync off: a power cut may lose mail. Set it to on.",
            "PostgreSQL runs with full_page_writes off: a power cut may lose mail. Set it to on.",
        ]


def test_a_commit_is_durable_whatever_the_server_is_set_to(home: Home) -> None:
    assert home.server
    name = str(home.url).partition("@/")[2].partition("?")[0]
    home.server.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    home.archive.close()
    with home.archive.transaction() as session:
        assert session.scalar(text("SHOW synchronous_commit")) == "on"


def test_what_a_dead_machine_held_is_free_again(home: Home) -> None:
    with home.archive.transaction() as session:
        assert session.scalar(text("SHOW idle_in_transaction_session_timeout")) == "15min"
        assert session.scalar(text("SELECT setting FROM pg_settings WHERE name = 'jit'")) == "off"


def test_a_nul_that_somebody_typed_fails_nothing(home: Home) -> None:
    with home.archive.reading() as session:
        assert users.by_email(session, "anna@demo.example\0") is None
        assert users.by_email(session, "anna@demo.example") is not None
    assert home.find("anna", "what\0ever") == []


def test_a_mail_with_more_different_words_than_a_row_has_room_for_is_found_by_its_first(home: Home) -> None:
    many = " ".join(f"w{n:07x}" for n in range(150_000))
    home.take("Helpdesk", mail(subject="long", text=f"beginning {many}"))
    assert home.find("anna", "beginning") == home.find("anna", '"beginning w0000000"') == ["long"]
    assert home.find("anna", '"w0000000 beginning"') == []


def test_words_longer_than_postgresql_takes_are_found(home: Home) -> None:
    longest = "ж" * 1500  # 3,000 bytes
    home.take("Helpdesk", mail(subject="long", text=f"{longest} {longest}я"))
    assert home.find("anna", longest) == home.find("anna", f"{longest}я") == ["long"]
    assert home.find("anna", f"{longest}а") == []


def test_every_copy_comes_back_byte_for_byte(home: Home) -> None:
    raws = [*numbered(range(20)), mail(attachments=[("a.pdf", bytes(range(256)) * 500)])]
    home.take("Helpdesk", *raws)
    assert sorted(home.raws().values()) == sorted(raws)
    with home.archive.reading() as session:
        assert len(list(messages.every_copy(session, home.viewer("anna"), limit=100))) == 21


class TestOneFolderForAll:
    """Mail in a folder: every machine has to have the same one, or half of it would be missing on each."""

    @staticmethod
    def machine(home: Home, folder: Path) -> Archive:
        """Another one, with a data folder of its own."""
        (folder / "locks").mkdir(parents=True)
        return Archive(folder, InstallationKey(KEY), home.url)

    def test_a_machine_with_a_folder_of_its_own_does_not_start(self, home: Home, tmp_path: Path) -> None:
        with home.archive.transaction() as session:
            installation.settle_blobs(session, home.archive)
        other = self.machine(home, tmp_path / "other")
        for make in (lambda: None, lambda: LocalPacks(tmp_path / "other" / "blobs").give_number()):
            make()
            with pytest.raises(NotReady, match=r"another folder than .*other/blobs.*Mount that folder there.*a bucket"):
                installation.check_blobs(other)
        installation.check_blobs(home.archive)
        shutil.rmtree(tmp_path / "other" / "blobs")
        (tmp_path / "other" / "blobs").symlink_to(home.folder / "blobs")
        installation.check_blobs(other)
        other.close()

    def test_a_folder_may_be_moved(self, home: Home, tmp_path: Path) -> None:
        home.take("Helpdesk", *numbered(range(3)))
        installation.check_blobs(home.archive)
        home.intake.close()
        shutil.copytree(home.folder, tmp_path / "moved")
        moved = Archive(tmp_path / "moved", InstallationKey(KEY), home.url)
        installation.check_blobs(moved)
        moved.close()

    def test_an_archive_of_an_earlier_version_goes_on_where_its_mail_is(self, home: Home, tmp_path: Path) -> None:
        home.take("Helpdesk", *numbered(range(3)))
        other = self.machine(home, tmp_path / "other")
        with pytest.raises(NotReady, match="another folder"):
            installation.check_blobs(other)
        installation.check_blobs(home.archive)
        with pytest.raises(NotReady, match="another folder"):
            installation.check_blobs(other)
        installation.check_blobs(home.archive)
        other.close()
