"""Messages: their ids, and their bytes given back or said to be damaged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive import intake
from archive.people.scopes import MACHINE
from archive.post import messages
from archive.store.packs import Damaged

from ...world import HOSTILE, copy_for, mail
from ..home import NOON, Home

YEAR_2242 = ((1 << 33) - 1) * 1000


class TestIds:
    @given(st.integers(-(2**63), 2**63))
    def test_they_are_63_bits_for_any_claimed_time(self, at: int) -> None:
        assert 0 <= messages.new_id(at) < 1 << 63

    @given(st.integers(0, YEAR_2242), st.integers(0, YEAR_2242))
    def test_they_are_in_the_order_of_arrival_by_the_second(self, one: int, other: int) -> None:
        if one // 1000 < other // 1000:
            assert messages.new_id(one) < messages.new_id(other)

    @pytest.mark.parametrize(
        ("at", "second"),
        [
            (0, 0),
            (-1, 0),
            (-(10**15), 0),
            (999, 0),
            (1000, 1),
            (NOON, NOON // 1000),
            (YEAR_2242, (1 << 33) - 1),
            (YEAR_2242 + 1000, (1 << 33) - 1),
            (10**18, (1 << 33) - 1),
        ],
    )
    def test_the_second_is_that_of_arrival_within_1970_and_2242(self, at: int, second: int) -> None:
        assert messages.new_id(at) >> 30 == second

    def test_the_rest_is_random(self) -> None:
        assert len({messages.new_id(NOON) for _ in range(1000)}) > 990

    def test_one_that_clashes_is_drawn_again(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        drawn = iter([7, 7, 7, 8, 8, 9, 10, 11])
        monkeypatch.setattr(intake, "new_id", lambda _at: next(drawn))
        home.take("Helpdesk", mail(subject="first"))  # 7
        home.take("Helpdesk", mail(subject="second"))  # 7 is taken, 7 again, 8
        home.take("Helpdesk", mail(subject="third"), mail(subject="fourth"))  # 8 is taken; 9 beside it; 10
        found = dict(home.rows("SELECT subject, id FROM message"))
        assert (found["first"], found["second"]) == (7, 8)
        assert len(set(found.values())) == 4

    def test_what_comes_within_a_second_stands_in_order(self, home: Home) -> None:
        wanted = [f"number {number}" for number in range(30)]
        home.take("Helpdesk", *(mail(subject=one) for one in wanted))
        assert [row[0] for row in home.rows("SELECT subject FROM message ORDER BY id")] == wanted

    def test_two_of_a_batch_that_draw_the_same_are_drawn_again(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drawn = iter([7, 7, 8, 9])
        monkeypatch.setattr(intake, "new_id", lambda _at: next(drawn))
        home.take("Helpdesk", mail(subject="first"), mail(subject="second"))
        assert sorted(row[0] for row in home.rows("SELECT id FROM message")) == [8, 9]


@pytest.mark.parametrize("at", [-(10**15), -1, 0, 253_402_300_800_000, 10**17])
def test_mail_of_an_impossible_time_is_taken_and_listed(home: Home, at: int) -> None:
    home.take("Helpdesk", mail(subject="strange"), at=at)
    assert home.find("anna", "strange") == ["strange"]
    with home.archive.reading() as session:
        assert messages.newest(session, MACHINE, None, 1)[0].subject == "strange"


@pytest.mark.parametrize("name", HOSTILE)
def test_every_copy_comes_back_byte_for_byte(home: Home, name: str) -> None:
    raw = HOSTILE[name]()
    copies = [raw, copy_for("helpdesk@demo.example", raw), copy_for("sales@demo.example", raw)]
    home.take("Helpdesk", *copies[:2])
    home.take("Sales", copies[2])
    assert sorted(home.raws().values()) == sorted(copies)
    # Transport headers above no header block at all are a header block: another content.
    assert home.count("message") in (1, 2)


def test_altered_or_missing_bytes_are_said_and_never_given_out_whole(home: Home) -> None:
    home.take("Helpdesk", mail(text="x" * 50))
    home.take("Helpdesk", mail(text="y" * 50))
    pack = home.folder / "blobs" / "000001.pack"
    whole = pack.read_bytes()
    position, stored = home.rows("SELECT position, stored FROM blob JOIN message ON message.blob = blob.id")[0]
    for at in range(position, position + 32 + stored):
        pack.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with pytest.raises(Damaged):
            home.raws()
    pack.unlink()
    with pytest.raises(Damaged, match="gone"):
        home.raws()


def test_a_trace_of_another_copy_is_noticed(home: Home) -> None:
    """The receipt's own hash is the last word, whatever stands in the rows."""
    raw = mail()
    home.take("Helpdesk", copy_for("a@demo.example", raw), copy_for("b@demo.example", raw))
    with home.archive.transaction() as session:
        session.exec_driver_sql("UPDATE receipt SET trace = (SELECT max(trace) FROM receipt)")
    with pytest.raises(Damaged, match="not what was received"):
        home.raws()


def test_a_large_mail_is_given_back_in_pieces(home: Home) -> None:
    raw = copy_for("helpdesk@demo.example", mail(text="line\r\n" * 2_000_000))
    home.take("Helpdesk", raw)
    with home.archive.reading() as session:
        (copy,) = messages.every_copy(session, MACHINE)
        pieces = list(messages.raw(home.archive, session, copy))
    assert b"".join(pieces) == raw
    assert max(map(len, pieces)) <= 1 << 20
