"""Imports: everything there is taken once, byte for byte, whatever it stands in, and what is not is named."""

import hashlib
import json
import mailbox
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from archive import export, installation, intake
from archive.importing import taking
from archive.importing.finding import Skip, find
from archive.importing.run import Import, Summary
from archive.importing.workers import _work as true_work
from archive.mail import facts
from archive.outgoing import composing, outbox
from archive.outgoing.outbox import Result
from archive.people.scopes import MACHINE, process_scope
from archive.post import conversations, messages
from archive.work import splitting, strays

from ... import world
from ...mails import reports
from ...world import HOSTILE, copy_for, large, mail, mails
from ..home import NOON, Home, numbered
from ..outgoing.test_outbox import EVA, claim, office, reply, send, settle  # noqa: F401  the fixture

ROOT = Path(__file__).parents[3]
FROM = b"From anna@demo.example Mon Oct  5 08:00:00 2026\n"


def imported(home: Home, *paths: Path, quoting: str = "auto", workers: int = 0) -> tuple[Summary, list[Skip]]:
    skips: list[Skip] = []
    scope = process_scope(home.ids["process helpdesk"])
    one = Import(home.archive, scope, home.clock, skips.append, workers=workers)
    return one.run(paths, quoting), skips  # type: ignore[arg-type]


def well(home: Home, *paths: Path, quoting: str = "auto", workers: int = 0) -> tuple[int, int, int]:
    """As `imported`, where everything is taken: new messages, further copies, known ones."""
    summary, skips = imported(home, *paths, quoting=quoting, workers=workers)
    assert skips == []
    return summary.counts.archived, summary.counts.copies, summary.counts.known


def mbox(path: Path, *raws: bytes) -> Path:
    path.write_bytes(b"".join(FROM + raw + b"\n" for raw in raws))
    return path


def folder(path: Path, raws: Sequence[bytes]) -> Path:
    path.mkdir()
    for number, raw in enumerate(raws):
        (path / f"{number:05}.eml").write_bytes(raw)
    return path


def kept(home: Home) -> list[bytes]:
    return [raw for _, raw in sorted(home.raws().items())]


class TestWhereMailStands:
    def test_an_mbox(self, home: Home, tmp_path: Path) -> None:
        raws = numbered(range(5))
        path = mbox(tmp_path / "old", *raws)
        assert well(home, path) == (5, 0, 0)
        assert kept(home) == raws
        assert home.find("anna", "word3") == ["mail 3"]
        assert home.find("bernd", "word3") == []
        assert home.rows("SELECT kind, name FROM source") == [("mbox", str(path))]
        assert [row[0] for row in home.rows("SELECT place FROM receipt ORDER BY id")][:2] == [
            "0",
            str(len(FROM) + len(raws[0]) + 1),
        ]

    def test_an_mbox_of_the_standard_library(self, home: Home, tmp_path: Path) -> None:
        """It quotes (mboxo), so what comes back is what stands in the file."""
        box = mailbox.mbox(tmp_path / "box")
        for text in ("From here on\n", "> and\n\nFrom there\n", "plain\n"):
            box.add(b"Subject: x\n\n" + text.encode())
        box.flush()
        assert well(home, tmp_path / "box") == (3, 0, 0)
        assert kept(home) == [
            b"Subject: x\n\n>From here on\n",
            b"Subject: x\n\n> and\n\n>From there\n",
            b"Subject: x\n\nplain\n",
        ]

    def test_quoting_is_undone_where_somebody_says_it_may_be(self, home: Home, tmp_path: Path) -> None:
        path = mbox(tmp_path / "old", b"Subject: x\n\n>From me\n>>From you\n> From\n")
        assert well(home, path, quoting="mboxrd") == (1, 0, 0)
        assert kept(home) == [b"Subject: x\n\nFrom me\n>From you\n> From\n"]
        assert home.rows("SELECT kind FROM source") == [("mboxrd",)]

    def test_a_maildir_whose_flags_change_and_whose_mail_is_seen(self, home: Home, tmp_path: Path) -> None:
        box = tmp_path / "Maildir"
        for part in ("cur", "new", "tmp", ".Sent/cur", ".Sent/new", ".Sent/tmp"):
            (box / part).mkdir(parents=True)
        one, two, three, half = numbered(range(4))
        (box / "cur" / "1700000000.M1.host:2,S").write_bytes(one)
        (box / "new" / "1700000001.M2.host").write_bytes(two)
        (box / ".Sent" / "cur" / "1700000002.M3.host:2,").write_bytes(three)
        (box / "tmp" / "1700000003.M4.host").write_bytes(half)
        (box / "dovecot-uidlist").write_text("3 V1\n")
        summary, skips = imported(home, box)
        assert (summary.counts.archived, summary.failed, summary.passed_over) == (3, 0, 1)
        assert [Path(one.what).name for one in skips] == ["dovecot-uidlist"]
        assert kept(home) == [one, two, three]
        assert [row[0] for row in home.rows("SELECT received_at FROM receipt ORDER BY id")] == [
            1_700_000_000_000, 1_700_000_001_000, 1_700_000_002_000,
        ]  # fmt: skip
        (box / "cur" / "1700000000.M1.host:2,S").rename(box / "cur" / "1700000000.M1.host:2,RS")
        (box / "new" / "1700000001.M2.host").rename(box / "cur" / "1700000001.M2.host:2,")
        assert imported(home, box)[0].counts.known == 3
        assert home.count("receipt") == 3

    def test_folders_in_folders_with_mails_an_mbox_and_other_things(self, home: Home, tmp_path: Path) -> None:
        top = folder(tmp_path / "top", numbered(range(2)))
        folder(top / "inner", numbered(range(2, 4)))
        mbox(top / "inner" / "Inbox", *numbered(range(4, 6)))
        (top / "inner" / "picture.png").write_bytes(b"\x89PNG")
        (top / "00000.EML").write_bytes(numbered([6])[0])
        (top / "link.eml").symlink_to("/etc/passwd")
        os.mkfifo(top / "pipe")
        (top / "loop").symlink_to(top)
        summary, skips = imported(home, top)
        assert sorted(kept(home)) == sorted(numbered(range(7)))
        assert (summary.failed, summary.passed_over) == (2, 2)
        assert {Path(one.what).name for one in skips} == {"picture.png", "link.eml", "pipe", "loop"}

    def test_one_mail(self, home: Home, tmp_path: Path) -> None:
        (tmp_path / "one.eml").write_bytes(FROM + b"Subject: x\n\nbody\n")
        (tmp_path / "two.txt").write_bytes(numbered([2])[0])
        (tmp_path / "none.pdf").write_bytes(b"%PDF-1.7\n")
        summary, skips = imported(home, *(tmp_path / name for name in ("one.eml", "two.txt", "none.pdf", "gone")))
        assert kept(home) == [FROM + b"Subject: x\n\nbody\n", numbered([2])[0]]
        assert summary.failed == 2
        assert [one.why for one in skips] == [
            "It is no mail, no mbox and no export.",
            "There is no such file or folder.",
        ]

    def test_a_name_that_is_no_text(self, home: Home, tmp_path: Path) -> None:
        path = os.fsencode(tmp_path) + b"/K\xfcche"
        Path(os.fsdecode(path)).mkdir()
        Path(os.fsdecode(path + b"/\xfc.eml")).write_bytes(numbered([1])[0])
        mbox(Path(os.fsdecode(path + b"/\xe4")), numbered([2])[0])
        assert well(home, Path(os.fsdecode(path))) == (2, 0, 0)
        assert well(home, Path(os.fsdecode(path))) == (0, 0, 2)


class TestAgain:
    def test_importing_again_changes_nothing_but_the_log(self, home: Home, tmp_path: Path) -> None:
        path = mbox(tmp_path / "old", *numbered(range(5)))
        well(home, path)
        blobs = (home.folder / "blobs").stat().st_mtime_ns, home.count("blob"), home.count("receipt")
        assert well(home, path) == (0, 0, 5)
        assert ((home.folder / "blobs").stat().st_mtime_ns, home.count("blob"), home.count("receipt")) == blobs

    def test_a_file_that_grew_brings_what_is_new(self, home: Home, tmp_path: Path) -> None:
        well(home, mbox(tmp_path / "old", *numbered(range(5))))
        assert well(home, mbox(tmp_path / "old", *numbered(range(8)))) == (3, 0, 5)

    def test_a_file_that_was_packed_brings_known_mail_and_loses_none(self, home: Home, tmp_path: Path) -> None:
        well(home, mbox(tmp_path / "old", *numbered(range(5))))
        same_length = mbox(tmp_path / "old", *numbered([9, 1]))
        assert well(home, same_length) == (1, 0, 1)
        assert sorted(kept(home)) == sorted(numbered([*range(5), 9]))

    def test_known_mail_is_a_further_copy(self, home: Home, tmp_path: Path) -> None:
        raws = numbered(range(3))
        home.take("Helpdesk", *raws)
        assert well(home, mbox(tmp_path / "old", *raws, copy_for("x@demo.example", raws[0]))) == (0, 4, 0)
        assert (home.count("message"), home.count("receipt"), home.count("delivery")) == (3, 7, 3)

    def test_the_same_mail_twice_in_a_file_is_two_copies(self, home: Home, tmp_path: Path) -> None:
        assert well(home, mbox(tmp_path / "old", *numbered([1, 1]))) == (1, 1, 0)

    @pytest.mark.parametrize("after", [1, 3, 8])
    def test_killed_in_the_middle_it_goes_on(self, home: Home, tmp_path: Path, after: int) -> None:
        raws = numbered(range(60))
        path = mbox(tmp_path / "old", *raws)
        home.close()
        code = f"""
import os, signal
from pathlib import Path
from archive import export, intake
from archive.importing import taking
from tests.archive.home import Home
from tests.archive.importing.test_import import well

left, record = [{after}], intake.record
def killing(*given, **named):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return record(*given, **named)
intake.record = killing
taking.BATCH_MAILS = 5
well(Home(Path({str(home.folder)!r}), {home.ids!r}), Path({str(path)!r}))
"""
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == -9, done.stderr
        assert home.count("receipt") == (after - 1) * 5
        archived, _, known = well(home, path)
        assert (archived, known) == (60 - (after - 1) * 5, (after - 1) * 5)
        assert kept(home) == raws


def test_the_command_killed_with_its_workers_at_any_moment_doubles_nothing_when_called_again(
    home: Home, tmp_path: Path
) -> None:
    """Large enough for workers; killed when it is a tenth through, again when more than half is there."""
    raws = numbered(range(2000), "and many more words " * 460)
    path = mbox(tmp_path / "old", *raws)
    with home.archive.transaction() as session:
        installation.put(session, installation.KEY, home.archive.key.fingerprint)
    home.archive.key.write(home.folder.with_name(f"{home.folder.name}.key"))
    home.close()
    url = {"POSTROOM_DATABASE__URL": home.url} if home.url else {}
    environment = {**os.environ, "POSTROOM_DATA": str(home.folder), **url}
    command = [sys.executable, "-m", "postroom", "import", str(path), "--process", "helpdesk", "--json"]
    there = 0
    for share in (0.1, 0.55):
        child = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            end = time.monotonic() + 120
            while home.count("receipt") <= share * len(raws):
                assert child.poll() is None, child.communicate()[1]
                assert time.monotonic() < end
                time.sleep(0.01)
        finally:
            child.kill()
            child.communicate()
        assert child.returncode == -signal.SIGKILL
        assert there < (there := home.count("receipt")) < len(raws)
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["archived"] + said["known"], said["copies"], said["failed"]) == (len(raws), 0, 0)
    assert said["known"] >= there
    assert [home.count(table) for table in ("message", "receipt", "delivery")] == [len(raws)] * 3
    assert home.rows("SELECT count(*) FROM event WHERE kind = 'message.archived'") == [(len(raws),)]
    assert home.rows("SELECT DISTINCT import_mode FROM delivery") == [(True,)]
    assert kept(home) == raws


class TestWorkers:
    def test_they_record_in_the_order_of_the_file(
        self, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(taking, "BATCH_MAILS", 20)
        raws = [*numbered(range(200)), large(9 << 20), *numbered(range(200, 300))]
        assert well(home, mbox(tmp_path / "old", *raws), workers=2) == (301, 0, 0)
        assert kept(home) == raws
        assert well(home, tmp_path / "old", workers=2) == (0, 0, 301)

    def test_a_mail_that_ends_every_worker_is_kept_unread_and_its_neighbours_are_archived(
        self, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("archive.importing.workers._work", deadly_work)
        raws = [mail(subject="fine"), mail(subject="kill the reader"), mail(subject="fine too")]
        assert well(home, mbox(tmp_path / "old", *raws), workers=2) == (3, 0, 0)
        assert kept(home) == raws
        assert [row[0] > 0 for row in home.rows("SELECT reader FROM message ORDER BY id")].count(False) == 1

    def test_one_that_is_killed_costs_nothing(
        self, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(taking, "BATCH_MAILS", 10)
        monkeypatch.setattr("archive.importing.workers._work", dying_work)
        raws = numbered(range(100))
        (tmp_path / "died").mkdir()
        monkeypatch.setenv("DIED", str(tmp_path / "died" / "one"))
        archived, _, known = well(home, mbox(tmp_path / "old", *raws), workers=2)
        assert (tmp_path / "died" / "one").exists()
        assert archived + known == 100
        assert kept(home) == raws


def deadly_work(*arguments: object) -> None:
    """A worker in which reading one mail ends the process."""
    read = facts.read

    def deadly(raw: object) -> object:
        if b"kill the reader" in bytes(raw):  # type: ignore[call-overload]
            os._exit(11)
        return read(raw)  # type: ignore[arg-type]

    facts.read = deadly  # type: ignore[assignment]
    true_work(*arguments)  # type: ignore[arg-type]


def dying_work(*arguments: object) -> None:
    """A worker that dies when it has just recorded its second batch; but one only."""
    record, calls = intake.record, []

    def recorded(*given: object, **named: object) -> object:
        calls.append(1)
        done = record(*given, **named)  # type: ignore[arg-type]
        if len(calls) == 2 and not Path(os.environ["DIED"]).exists():
            Path(os.environ["DIED"]).touch()
            os._exit(9)
        return done

    intake.record = recorded  # type: ignore[assignment]
    true_work(*arguments)  # type: ignore[arg-type]


class TestWhatIsNotTaken:
    def test_a_mail_that_cannot_be_recorded_is_named_and_tried_again(
        self, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = mbox(tmp_path / "old", *numbered(range(3)))
        record = intake.record

        def failing(
            session: object, origin: object, prepared: Sequence[intake.Prepared], *rest: object, **named: object
        ) -> object:
            if any(b"word1" in bytes(one.arrival.raw) for one in prepared):
                raise ValueError("a fault of ours")
            return record(session, origin, prepared, *rest, **named)  # type: ignore[arg-type]

        with monkeypatch.context() as broken:
            broken.setattr(intake, "record", failing)
            summary, skips = imported(home, path)
        assert (summary.counts.archived, summary.failed) == (2, 1)
        (one,) = skips
        assert "byte" in one.what
        assert "ValueError: a fault of ours" in one.why
        assert home.count("quarantine") == 0
        assert well(home, path) == (1, 0, 2)

    def test_a_file_that_goes_away_or_shrinks_in_between_is_named(self, home: Home, tmp_path: Path) -> None:
        top = folder(tmp_path / "top", numbered(range(3)))
        items = [one for one in find(top) if not isinstance(one, Skip)]
        (top / "00000.eml").unlink()
        (top / "00001.eml").write_bytes(b"")
        answer = taking.take(
            home.intake,
            taking.Files(home.folder),
            process_scope(1),
            taking.Batch(tuple(items), _sources(home, len(items))),
            home.clock,
        )
        assert answer.archived == 1
        assert [one.why for one in answer.skipped] == [
            "It cannot be read: No such file or directory.",
            "It cannot be read: it is shorter than it was.",
        ]


def _sources(home: Home, count: int) -> tuple[int, ...]:
    from archive.post import sources

    with home.archive.transaction() as session:
        return (sources.at(session, "folder", "top", process_scope(1), NOON),) * count


class TestWhenItCame:
    @pytest.mark.parametrize(
        ("head", "separator", "seconds"),
        [
            (b"Received: by a; Mon, 2 Nov 2026 11:00:00 +0100\nReceived: by b; Mon, 2 Nov 2020 11:00:00 +0100\n"
             b"Date: Mon, 2 Nov 2020 09:00:00 +0000\n", FROM, 1_793_613_600),
            (b"Received: nonsense\nDate: Mon, 2 Nov 2020 09:00:00 +0000\n", FROM, 1_791_187_200),
            (b"Received: by a;\n\tThu, 2 Nov 2090 11:00:00 +0000\nDate: Mon, 2 Nov 2020 09:00:00 +0000\n",
             b"From x Mon Nov  2 12:00:00 1900\n", 1_604_307_600),
            (b"Subject: nothing\n", b"From x Thu Nov  2 12:00:00 2090\n", NOON // 1000),
            (b"Date: Fri, 1 Jan 1960 00:00:00 +0000\n", b"From x\n", NOON // 1000),
        ],
    )  # fmt: skip
    def test_the_best_witness_is_believed(
        self, home: Home, tmp_path: Path, head: bytes, separator: bytes, seconds: int
    ) -> None:
        (tmp_path / "old").write_bytes(separator + head + b"\nbody\n")
        well(home, tmp_path / "old")
        ((received, id_),) = home.rows("SELECT received_at, message FROM receipt")
        assert received // 1000 == seconds
        assert id_ >> 30 == seconds


def strange(home: Home) -> None:
    """Mail that is where it is for every reason there can be, and not where its references alone would put it."""
    asked, anna = home.ids["question"], home.viewer("anna")
    send(home, "anna", reply(home))
    (one,) = claim(home)
    settle(home, one, {EVA: Result(outbox.SENT, 250, "taken")})
    tagged = composing.with_tag(world.HELPDESK, one.message_id, composing.secret(home.archive))

    ticks = count(NOON + 120_000, 1000)  # in the order of their ids

    def take(subject: str, *, sender: str = EVA, to: str = world.HELPDESK, **more: Any) -> int:
        home.take("Helpdesk", mail(subject=subject, from_=sender, to=to, **more), at=next(ticks))
        ((id_,),) = home.rows("SELECT id FROM message WHERE subject = ?", subject)
        return int(id_)

    home.take("Helpdesk", reports.postfix(one.message_id), at=NOON + 100_000)
    take("by its tag", sender="eva@home.example", to=tagged)
    take("what had been referred to", message_id="<0@outside.example>")
    take("another of that name", message_id="<1@outside.example>")
    joined = take("joined", sender="jan@else.example", in_reply_to="<1@outside.example>", message_id="<j@else.example>")
    take("apart", sender="kim@else.example", in_reply_to="<1@outside.example>", message_id="<k@else.example>")
    # She takes no part in what Kim began, which she names last.
    take("the farther one lets it in", references=["<1@outside.example>", "<k@else.example>"])
    take("a question beside", in_reply_to="<1@outside.example>", message_id="<s@outside.example>")
    split = take("the question beside, again", in_reply_to="<1@outside.example>", message_id="<t@outside.example>")
    with home.archive.transaction() as session:
        strays.join(session, anna, joined, NOON + 130_000)
        splitting.split(session, asked, split, anna, NOON + 131_000)
    take("an answer to what was split off", in_reply_to="<t@outside.example>")
    take("and one to both", references=["<t@outside.example>", "<1@outside.example>"])


class TestExports:
    def exported(self, home: Home, path: Path) -> list[dict[str, object]]:
        export.write(home.archive, path, MACHINE, lambda _: None)
        return [json.loads(line) for line in (path / "index.jsonl").read_text().splitlines()]

    def threads(self, home: Home) -> set[frozenset[int]]:
        by_conversation: dict[int, set[int]] = {}
        for id_, conversation in home.rows("SELECT id, conversation FROM message"):
            by_conversation.setdefault(conversation, set()).add(id_)
        return {frozenset(ids) for ids in by_conversation.values()}

    @pytest.mark.parametrize("form", ["eml", "zip"])
    def test_the_whole_world_and_hostile_mail_come_back_as_they_were(
        self, home: Home, furnished_home: Home, tmp_path: Path, form: str
    ) -> None:
        """Bytes, receipts, ids and threads; and an export of the import is the export."""
        home.take("Helpdesk", *(one.raw for one in mails(world.NOON)), *(make() for make in HOSTILE.values()))
        home.take("Sales", *(one.raw for one in mails(world.NOON) if one.address.startswith("sales")), large(9 << 20))
        well(home, mbox(tmp_path / "old", *numbered(range(3))))
        home.take("Helpdesk", world.mail(subject="q", message_id="<q@x>"))
        home.take("Helpdesk", world.mail(subject="a", from_="nosy@else.example", in_reply_to="<q@x>"))
        before = self.exported(home, tmp_path / "out")
        assert [one for one in before if "stray" in one] == before[-1:]
        source = tmp_path / "out"
        if form == "zip":
            export.write(home.archive, tmp_path / "zip", MACHINE, lambda _: None, form)
            source = tmp_path / "zip" / export.ZIP
        other = furnished_home.copy_to(tmp_path / "other")
        try:
            assert sum(well(other, source)) == len(before)
            assert kept(other) == kept(home)
            assert self.threads(other) == self.threads(home)
            strays = "SELECT message, near, reason FROM stray"
            assert len(other.rows(strays)) == 1
            assert other.rows(strays) == home.rows(strays)
            assert self.exported(other, tmp_path / "again") == before
            assert well(other, source) == (0, 0, len(before))
            shutil.move(source, tmp_path / "moved")
            assert well(other, tmp_path / "moved") == (0, 0, len(before))
        finally:
            other.close()

    def told(self, home: Home) -> list[tuple[int, str]]:
        """Why each message is in its conversation."""
        return [tuple(row) for row in home.rows("SELECT id, joined_by FROM message ORDER BY id")]

    @pytest.mark.parametrize("workers", [0, 2])
    def test_every_mail_is_in_its_conversation_for_the_reason_it_was(
        self,
        office: Home,  # noqa: F811
        furnished_home: Home,
        tmp_path: Path,
        workers: int,
    ) -> None:
        """By tokens and reports that names no reference, by what people split off and joined, and as let in."""
        strange(office)
        assert {why for _, why in self.told(office)} == set(conversations.REASONS)
        before = self.exported(office, tmp_path / "out")
        other = furnished_home.copy_to(tmp_path / "other")
        try:
            assert sum(well(other, tmp_path / "out", workers=workers)) == len(before)
            assert self.told(other) == self.told(office)
            assert self.threads(other) == self.threads(office)
            strays = "SELECT message, near, reason FROM stray WHERE ended_at IS NULL ORDER BY message"
            assert other.rows(strays) == office.rows(strays)
            assert len(other.rows(strays)) == 1
            assert self.exported(other, tmp_path / "again") == before
            assert other.verify() == []
            # Whom a report names takes no part because of it.
            robot = world.mail(
                subject="robot", from_="mailer-daemon@mx.outside.example", in_reply_to="<1@outside.example>"
            )
            other.take("Helpdesk", robot)
            assert other.rows("SELECT joined_by FROM message WHERE subject = 'robot'") == [("first",)]
        finally:
            other.close()

    def test_what_is_alone_in_an_export_goes_where_its_references_lead(
        self,
        office: Home,  # noqa: F811
        furnished_home: Home,
        tmp_path: Path,
    ) -> None:
        """The mail beside which it stood was not exported; a report stays one."""
        strange(office)
        only = {int(id_) for id_, why in self.told(office) if why in ("report", "parent", "repeated", "split")}
        export.write(office.archive, tmp_path / "out", MACHINE, lambda _: None, "eml", only)
        other = furnished_home.copy_to(tmp_path / "other")
        try:
            assert sum(well(other, tmp_path / "out")) == len(only)
            assert [id_ for id_, why in self.told(other) if why == "report"] == [
                id_ for id_, why in self.told(office) if why == "report"
            ]
            assert other.verify() == []
        finally:
            other.close()

    @pytest.mark.parametrize("line", [{"joined_by": "force"}, {"beside": "-1"}, {"beside": "x"}, {"joined_by": 3}])
    def test_what_no_export_says_is_not_believed(self, home: Home, tmp_path: Path, line: dict[str, object]) -> None:
        home.take("Helpdesk", *numbered([1]))
        self.exported(home, tmp_path / "out")
        index = tmp_path / "out" / export.INDEX
        index.write_text(json.dumps({**json.loads(index.read_text()), **line}) + "\n")
        _, skips = imported(home, tmp_path / "out")
        assert len(skips) == 1

    @pytest.mark.parametrize("form", ["mbox", "maildir"])
    def test_mbox_and_maildir_keep_bytes_times_and_threads(
        self, home: Home, furnished_home: Home, tmp_path: Path, form: str
    ) -> None:
        """They have no place for bindings and UIDs, nor for milliseconds; a Maildir is read by time."""
        raws = [*(one.raw for one in mails(world.NOON)), *(make() for make in HOSTILE.values())]
        raws += [FROM + b"Subject: x\n\n" + FROM + b">" + FROM, b"no end", b"\n\n", large(9 << 20)]
        raws.append(large(9 << 20) + b"\n\n".join([b"", FROM, b">" + FROM, b"From "]))
        home.take("Helpdesk", *raws)
        export.write(home.archive, tmp_path / "out", MACHINE, lambda _: None, form)
        other = furnished_home.copy_to(tmp_path / "other")
        assert sum(well(other, tmp_path / "out" / export.MBOX if form == "mbox" else tmp_path / "out")) == len(raws)
        assert kept(other) == raws == kept(home)
        received = "SELECT received_at FROM receipt ORDER BY id"
        assert other.rows(received) == home.rows(received)
        assert {len(one) for one in self.threads(other)} == {len(one) for one in self.threads(home)}
        other.close()

    def test_what_other_programs_make_of_our_mbox_and_maildir(self, home: Home, tmp_path: Path) -> None:
        raws = numbered(range(3))
        home.take("Helpdesk", *raws)
        for form in ("mbox", "maildir"):
            export.write(home.archive, tmp_path / form, MACHINE, lambda _: None, form)
        boxes = (mailbox.mbox(tmp_path / "mbox" / export.MBOX), mailbox.Maildir(tmp_path / "maildir"))
        for box in boxes:
            assert sorted(one["Subject"] for one in box) == ["mail 0", "mail 1", "mail 2"]

    def test_into_the_archive_it_came_from_it_brings_nothing(self, home: Home, tmp_path: Path) -> None:
        home.take("Helpdesk", *numbered(range(5)))
        self.exported(home, tmp_path / "out")
        assert well(home, tmp_path / "out") == (0, 0, 5)

    def test_where_it_came_from_is_told_to_people(self, home: Home, furnished_home: Home, tmp_path: Path) -> None:
        home.take("Helpdesk", *numbered([1]))
        self.exported(home, tmp_path / "out")
        other = furnished_home.copy_to(tmp_path / "other")
        well(other, tmp_path / "out", mbox(tmp_path / "old", *numbered([2])))
        with other.archive.reading() as session:
            one, two = messages.every_copy(session, other.viewer("anna"))
            told = messages.deliveries(session, [one.message, two.message], other.viewer("anna"))
        assert (one.binding, one.folder, one.uid, one.uidvalidity) == ("office/Helpdesk", "Helpdesk", 1, 7)
        assert (two.binding, two.folder, two.uid, two.uidvalidity) == ("old", None, None, None)
        assert [told[id_][0].binding for id_ in (one.message, two.message)] == ["office/Helpdesk", "old"]
        other.close()

    @pytest.mark.parametrize(
        "line",
        [
            b"nonsense", b"[]", b"{}", b'{"file": "../data.key"}', b'{"file": ".."}', b'{"file": 5}',
            b'{"file": "0000000001.eml"}', b"[" * 5000, b"\xff",
            b'{"file": "0000000001.eml", "sha256": "00", "message": "x", "binding": "a/b", "uidvalidity": 1, '
            b'"uid": -1}',
        ],
    )  # fmt: skip
    def test_a_line_that_is_not_ours_is_named_and_the_others_are_taken(
        self, home: Home, furnished_home: Home, tmp_path: Path, line: bytes
    ) -> None:
        home.take("Helpdesk", *numbered(range(3)))
        self.exported(home, tmp_path / "out")
        index = tmp_path / "out" / "index.jsonl"
        lines = index.read_bytes().splitlines(keepends=True)
        index.write_bytes(line + b"\n" + b"".join(lines))
        other = furnished_home.copy_to(tmp_path / "other")
        summary, skips = imported(other, tmp_path / "out")
        assert (summary.counts.archived, summary.failed) == (3, 1)
        assert skips[0].what.endswith("line 1 of index.jsonl")
        other.close()

    def test_altered_missing_and_unlisted_files_are_named(
        self, home: Home, furnished_home: Home, tmp_path: Path
    ) -> None:
        home.take("Helpdesk", *numbered(range(4)))
        one, two, *_ = self.exported(home, tmp_path / "out")
        (tmp_path / "out" / str(one["file"])).write_bytes(b"Subject: forged\n\n")
        (tmp_path / "out" / str(two["file"])).unlink()
        (tmp_path / "out" / "more.eml").write_bytes(b"Subject: more\n\n")
        other = furnished_home.copy_to(tmp_path / "other")
        summary, skips = imported(other, tmp_path / "out")
        assert (summary.counts.archived, summary.failed) == (2, 3)
        assert sorted(one.why for one in skips) == [
            "Its bytes are not those that were exported.",
            f"The file {two['file']} is not there.",
            "index.jsonl does not list it.",
        ]
        other.close()

    def test_a_zip_of_something_else_and_half_a_zip(self, home: Home, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "other.zip", "w") as made:
            made.writestr("a.eml", b"Subject: x\n\n")
        (tmp_path / "half.zip").write_bytes((tmp_path / "other.zip").read_bytes()[:60])
        _, skips = imported(home, tmp_path / "other.zip", tmp_path / "half.zip")
        assert [one.why.split(":")[0] for one in skips] == ["There is no index.jsonl in it", "It cannot be read"]

    def test_an_export_cut_short_is_refused(self, home: Home, tmp_path: Path) -> None:
        folder(tmp_path / "out", numbered(range(2)))
        (tmp_path / "out" / ".index.jsonl").touch()
        summary, (skip,) = imported(home, tmp_path / "out")
        assert (summary.counts.archived, summary.failed) == (0, 1)
        assert "cut short" in skip.why


def test_imports_are_events_that_say_so(home: Home, tmp_path: Path) -> None:
    """What later sends because of events has to pass these over."""
    path = mbox(tmp_path / "old", *numbered(range(2)))
    well(home, path)
    rows = home.rows("SELECT kind, actor, details FROM event JOIN event_detail ON event = id ORDER BY id")
    assert [row[0] for row in rows[-5:]] == [
        "import.started",
        "source.added",
        "message.archived",
        "message.archived",
        "import.finished",
    ]
    for kind, actor, details in rows[-3:-1]:
        assert (kind, actor) == ("message.archived", "source:1")
        assert json.loads(details)["imported"] is json.loads(details)["import_mode"] is True
    home.take("Helpdesk", *numbered(range(2, 4)))
    assert home.rows("SELECT import_mode FROM delivery ORDER BY message") == [(True,), (True,), (None,), (None,)]
    assert json.loads(rows[-1][2])["archived"] == 2
    assert home.rows("SELECT DISTINCT settlement FROM receipt WHERE settled_at IS NOT NULL") == [("imported",)]


def test_hostile_mail_in_every_kind_of_place(home: Home, tmp_path: Path) -> None:
    raws = [make() for make in HOSTILE.values()]
    assert sum(well(home, folder(tmp_path / "mails", raws))) == len(raws)
    assert sorted(kept(home)) == sorted(raws)
    hashes = {hashlib.sha256(raw).hexdigest() for raw in raws}
    assert {row[0].hex() for row in home.rows("SELECT sha256 FROM receipt")} == hashes
