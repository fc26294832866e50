"""Sealing: what is committed is chained in batches by one sealer at a time, and each head is written down outside."""

import json
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from archive import front
from archive.events import chain, heads, log, sealer
from archive.events.chain import START, Seal
from archive.store.archive import locked
from archive.store.schema import event, seal

from ...world import mail
from ..home import NOON, Home, numbered

ROOT = Path(__file__).resolve().parents[3]


def written(home: Home) -> list[dict[str, object]]:
    return [json.loads(line) for line in (home.folder / "heads.jsonl").read_text().splitlines()]


def note(home: Home, count: int = 1) -> None:
    with home.archive.transaction() as session:
        log.write(session, [log.Event("test.done", "operator", f"test:{n}") for n in range(count)], NOON)


def seals(home: Home) -> list[Seal]:
    with home.archive.reading() as session:
        return [sealer.of_row(row) for row in session.execute(select(seal).order_by(seal.c.id))]


def test_each_seal_follows_from_the_one_before_it(home: Home) -> None:
    for count in (3, 1, 5):
        note(home, count)
        sealer.seal_all(home.archive, home.clock)
    before = START
    for one in seals(home):
        assert chain.head(before, one) == one.head
        assert chain.root(chain.leaves_of(one.leaves)) == one.root
        before = one.head
    held = [id_ for one in seals(home) for id_ in chain.ids_in(chain.read_ranges(one.events))]
    assert held == [row[0] for row in home.rows("SELECT id FROM event ORDER BY id")]
    assert len(seals(home)) == 3


def test_what_is_sealed_is_not_sealed_again_and_nothing_new_writes_nothing(home: Home) -> None:
    note(home)
    assert sealer.seal_all(home.archive, home.clock) == home.count("event")
    before = [path.read_bytes() for path in sorted(home.folder.glob("*")) if path.is_file()]
    assert sealer.seal_all(home.archive, home.clock) == 0
    assert [path.read_bytes() for path in sorted(home.folder.glob("*")) if path.is_file()] == before


def test_heads_are_written_down_for_the_owner_alone(home: Home) -> None:
    note(home)
    sealer.seal_all(home.archive, home.clock)
    assert stat.S_IMODE((home.folder / "heads.jsonl").stat().st_mode) == 0o600
    (one,) = written(home)
    (made,) = seals(home)
    assert one == {"seal": 1, "at": made.at, "last": made.last, "head": made.head.hex()}


def test_a_head_that_a_crash_kept_from_the_file_is_written_down_by_the_next_sealing(home: Home) -> None:
    for _ in range(3):
        note(home)
        sealer.seal_all(home.archive, home.clock)
    path = home.folder / "heads.jsonl"
    whole = path.read_bytes()
    for cut in (len(whole) - 1, len(whole) - 40, len(whole.splitlines(keepends=True)[0]), 0):
        path.write_bytes(whole[:cut])
        sealer.seal_all(home.archive, home.clock)
        assert {heads.read(line) for _, line in heads.lines(home.folder)} >= {
            heads.read(line) for line in whole.splitlines()
        }
    path.unlink()
    sealer.seal_all(home.archive, home.clock)
    assert path.read_bytes() == whole


def test_an_event_committed_after_later_ones_is_sealed_all_the_same(home: Home) -> None:
    """PostgreSQL gives ids before it commits: 7 may come to light when 8 and 9 are sealed."""
    sealer.seal_all(home.archive, home.clock)
    last = home.rows("SELECT max(id) FROM event")[0][0]
    row = {"at": 1, "kind": "test.done", "actor": "x", "subject": "x", "commitment": b"\0"}
    for id_ in (last + 2, last + 5):
        with home.archive.transaction() as session:
            session.execute(insert(event).values(id=id_, **row))
        assert sealer.seal_all(home.archive, home.clock) == 1
    assert seals(home)[-1].missing == f"{last + 1},{last + 3}-{last + 4}"
    for id_, missing in ((last + 4, f"{last + 1},{last + 3}"), (last + 1, f"{last + 3}")):
        with home.archive.transaction() as session:
            session.execute(insert(event).values(id=id_, **row))
        assert sealer.seal_all(home.archive, home.clock) == 1
        assert (seals(home)[-1].events, seals(home)[-1].missing) == (str(id_), missing)
        assert seals(home)[-1].last == last + 5
    assert sealer.seal_all(home.archive, home.clock) == 0


def test_every_recorded_byte_of_a_pack_is_in_one_stretch(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealer, "STRETCH", 1000)
    monkeypatch.setattr(sealer, "AT_ONCE", 2500)
    for number in range(3):
        home.take("Helpdesk", mail(attachments=[("a.bin", bytes(range(256)) * 20 + bytes([number]))]))
        sealer.seal_all(home.archive, home.clock)
    rows = home.rows('SELECT start, "end" FROM stretch ORDER BY pack, start')
    assert [start for start, _ in rows] == [0] + [end for _, end in rows[:-1]]
    size = sum(path.stat().st_size for path in (home.folder / "blobs").glob("*.pack"))
    assert rows[-1][1] == home.rows("SELECT sealed FROM pack")[0][0] == size


def test_two_sealers_at_once_make_one_chain(home: Home) -> None:
    note(home, 50)
    threads = [threading.Thread(target=sealer.seal_all, args=(home.archive, lambda: NOON, 10.0)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(len(list(chain.ids_in(chain.read_ranges(one.events)))) for one in seals(home)) == home.count("event")
    assert [one["seal"] for one in written(home)] == [one.id for one in seals(home)]


def test_what_becomes_true_while_a_command_works_is_sealed_meanwhile(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archive.front._SEALED_EVERY", 0.05)
    with front.sealing(home.archive):
        for _ in range(2):
            note(home, 3)
            with home.archive.reading() as session:
                newest = log.position(session)
            end = time.monotonic() + 60
            while not any(one.last == newest for one in seals(home)):
                assert time.monotonic() < end
                time.sleep(0.02)
    assert not [one for one in threading.enumerate() if one.name == "sealing"]


def test_a_sealer_at_work_elsewhere_is_left_to_it(home: Home) -> None:
    note(home)
    with locked(home.folder / "locks" / "sealer"):
        assert sealer.seal_all(home.archive, home.clock) == 0
    assert seals(home) == []


def test_of_two_sealers_that_share_no_lock_one_wins(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """On two machines: the number of the next seal is given once."""
    note(home)
    made = sealer._made

    def overtaken(*arguments: object) -> Seal:
        monkeypatch.setattr(sealer, "_made", made)
        one = made(*arguments)  # type: ignore[arg-type]
        with home.archive.transaction() as session:
            session.execute(insert(seal), [sealer._row(one)])
        return one

    monkeypatch.setattr(sealer, "_made", overtaken)
    assert sealer.seal_all(home.archive, home.clock) == 0
    assert len(seals(home)) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from archive.events import heads, sealer
from tests.archive.home import Home
heads.append = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
sealer.seal_all(Home(Path(sys.argv[1])).archive, lambda: 1)
"""


def test_a_sealer_killed_between_database_and_file_loses_nothing(home: Home) -> None:
    note(home)
    home.close()
    done = subprocess.run([sys.executable, "-c", KILLED, str(home.folder)], check=False, timeout=60, cwd=ROOT)
    assert done.returncode == -9
    assert len(seals(home)) == 1
    assert not (home.folder / "heads.jsonl").exists()
    assert sealer.seal_all(home.archive, home.clock) == 0
    assert len(written(home)) == 1


def test_a_pack_that_is_gone_keeps_no_event_from_being_sealed(home: Home) -> None:
    home.take("Sales", *numbered(range(2)))
    home.close()
    for path in (home.folder / "blobs").glob("*.pack"):
        path.unlink()
    assert sealer.seal_all(home.archive, home.clock) == home.count("event")
    assert sealer.seal_all(home.archive, home.clock) == 0


@given(st.sets(st.integers(1, 200)))
def test_ids_come_back_from_ranges(ids: set[int]) -> None:
    text = chain.write_ranges(chain.ranges(sorted(ids)))
    assert list(chain.ids_in(chain.read_ranges(text))) == sorted(ids)


@given(st.sets(st.integers(1, 60)), st.sets(st.integers(1, 60)))
def test_ranges_without_some_ids_hold_the_others(ids: set[int], taken: set[int]) -> None:
    left = chain.without(chain.ranges(sorted(ids)), taken)
    assert list(chain.ids_in(left)) == sorted(ids - taken)
    assert chain.read_ranges(chain.write_ranges(left)) == left


@settings(max_examples=50)
@given(st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=40), st.data())
def test_any_other_leaf_or_order_gives_another_root(leaves: list[bytes], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(leaves) - 1))
    other = bytes([leaves[at][0] ^ 1]) + leaves[at][1:]
    assert chain.root([*leaves[:at], other, *leaves[at + 1 :]]) != chain.root(leaves)
    assert chain.root([*leaves, leaves[-1]]) != chain.root(leaves)
    if leaves != leaves[::-1]:
        assert chain.root(leaves[::-1]) != chain.root(leaves)


@pytest.mark.parametrize("text", ["x", "3-1", "1,1", "5,4", "1-", "-1", "1,,2"])
def test_ranges_that_make_no_sense_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        chain.read_ranges(text)


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[1]", b"[" * 3000, b'{"seal": 1}', b'{"seal": 1, "at": 2, "last": 3, "head": "x" }']
)
def test_a_line_nobody_wrote_is_no_head(line: bytes) -> None:
    assert heads.read(line) is None


def test_a_head_comes_back_from_its_line(tmp_path: Path) -> None:
    some = [heads.Head(number, NOON, 10 * number, "ab" * 32) for number in range(1, 4)]
    heads.append(tmp_path, some[:1])
    heads.append(tmp_path, some[1:])
    assert [heads.read(line) for _, line in heads.lines(tmp_path)] == some
