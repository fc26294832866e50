"""Work that may be killed: what it costs when it goes wrong, what a worker can do, and how little it is believed."""

import mmap
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from archive import confinement
from archive.confinement import Busy, Confinement, Lost, TooSlow, Worker

MEMORY = 100 << 20


def work(order: Any) -> Any:
    """What the workers of these tests do: (what, with what)."""
    what, given = order
    return globals()[f"_{what}"](given)


def _echo(given: Any) -> Any:
    return given


def _who(_: Any) -> int:
    return os.getpid()


def _sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


def _loop_in_c(_: Any) -> int:
    return sum(range(10**12))


def _grow(size: int) -> int:
    return len(b"x" * size)


def _raise(text: str) -> None:
    raise ValueError(text)


def _write(path: str) -> str:
    try:
        Path(path).write_text("something")
    except OSError as error:
        return type(error).__name__
    return "written"


def _object(path: str) -> Any:
    return _Trap(path)


class _Trap:
    """Whoever reads it as a pickle makes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (Path(self.path),))


def _mapped(_: Any) -> bytes:
    (descriptor,) = confinement.handed()
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as file:
        return file[:5] + file[-5:]


@pytest.fixture
def confined() -> Iterator[Confinement[Any, Any]]:
    with Confinement(work, seconds=20, memory=MEMORY, mapped=1 << 30) as one:
        yield one


def pid(confined: Confinement[Any, Any]) -> int:
    answer: int = confined.ask(("who", None))
    return answer


def runs(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends(number: int, within: float) -> bool:
    deadline = time.monotonic() + within
    while runs(number) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not runs(number)


def test_one_worker_does_one_thing_after_another(confined: Confinement[Any, Any]) -> None:
    plain = ("text \ud800 ž", b"\0" * 3_000_000, 1 << 70, 1.5, True, None, [1, {"a": (2,)}])
    assert confined.ask(("echo", plain)) == plain
    first = pid(confined)
    assert first != os.getpid()
    assert pid(confined) == first


def test_what_takes_too_long_costs_the_worker_and_nothing_else(confined: Confinement[Any, Any]) -> None:
    before = pid(confined)
    start = time.monotonic()
    with pytest.raises(TooSlow, match=r"longer than 0\.5 s"):
        confined.ask(("loop_in_c", None), seconds=0.5)
    assert time.monotonic() - start < 5
    assert not runs(before)
    assert confined.ask(("echo", "next")) == "next"


@pytest.mark.parametrize(
    ("what", "make"),
    [("grow", lambda: 10 * MEMORY), ("raise", lambda: "no"), ("echo", lambda: b"x" * (2 * MEMORY))],
    ids=["memory", "an exception", "an order it cannot hold"],
)
def test_what_is_too_much_costs_the_worker_and_nothing_else(
    confined: Confinement[Any, Any], what: str, make: Callable[[], Any]
) -> None:
    before = pid(confined)
    with pytest.raises(Lost):
        confined.ask((what, make()))
    assert ends(before, 2)
    assert confined.ask(("echo", "next")) == "next"


def test_a_worker_that_was_killed_meanwhile_costs_nobody_anything(confined: Confinement[Any, Any]) -> None:
    before = pid(confined)
    os.kill(before, signal.SIGKILL)
    assert confined.ask(("echo", "next")) == "next"
    assert pid(confined) != before


def test_a_stop_meant_for_the_parent_leaves_the_work_alone(confined: Confinement[Any, Any]) -> None:
    """A service that is stopped, and Ctrl-C at a terminal, signal all processes of a group."""
    at = pid(confined)
    for number in (signal.SIGTERM, signal.SIGINT):
        threading.Timer(0.2, os.kill, (at, number)).start()
    assert confined.ask(("sleep", 0.6)) == "slept"
    assert pid(confined) == at


def test_nothing_but_plain_values_is_made_of_an_answer(confined: Confinement[Any, Any], tmp_path: Path) -> None:
    """A decoder that was taken over must not reach whoever asked."""
    trap = tmp_path / "sprung"
    with pytest.raises(Lost):
        confined.ask(("object", str(trap)))
    assert not trap.exists()
    assert confined.ask(("echo", "next")) == "next"


@pytest.mark.parametrize("said", [b"", b"(", b"garbage", b"\x80\x05.", b"i1\nx\n.", pickle.dumps(_Trap("x"))[:-3]])
def test_an_answer_that_makes_no_sense_costs_the_worker_that_gave_it(said: bytes) -> None:
    class Odd(Worker):
        def _receive(self, size: int, deadline: float) -> bytes:
            received = super()._receive(size, deadline)
            return said if size > 8 else received

    with Confinement(work, seconds=20, memory=MEMORY) as confined:
        odd = Odd(confined._life)
        confined.idle.get()
        confined.idle.put(odd)
        with pytest.raises(Lost):
            confined.ask(("echo", "a longer answer"))
        assert odd.process.poll() is not None
        assert confined.ask(("echo", "next")) == "next"


def test_a_worker_writes_no_file(confined: Confinement[Any, Any], tmp_path: Path) -> None:
    assert confined.ask(("write", str(tmp_path / "file"))) == "OSError"
    assert (tmp_path / "file").read_bytes() == b""


def test_a_large_file_is_handed_over_without_being_copied(confined: Confinement[Any, Any]) -> None:
    for _ in range(3):  # a worker keeps none of them
        with tempfile.TemporaryFile() as file:
            file.write(b"first")
            file.truncate(2 * MEMORY)
            file.seek(0, os.SEEK_END)
            file.write(b"final")
            file.flush()
            assert confined.ask(("mapped", None), files=[file.fileno()]) == b"firstfinal"
    assert len(os.listdir(f"/proc/{pid(confined)}/fd")) < 8


def test_who_was_interrupted_leaves_no_answer_to_the_next(confined: Confinement[Any, Any]) -> None:
    pid(confined)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(KeyboardInterrupt):
            confined.ask(("sleep", 1))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert confined.ask(("echo", "mine")) == "mine"


def test_a_second_one_is_started_only_when_two_things_come_at_a_time() -> None:
    with Confinement(work, seconds=20, memory=MEMORY, count=2) as confined:
        for _ in range(3):
            confined.ask(("echo", 1))
        assert sum(one is not None for one in confined.idle.queue) == 1
        said: list[Any] = []
        threads = [threading.Thread(target=lambda: said.append(confined.ask(("sleep", 0.5)))) for _ in range(4)]
        for one in threads:
            one.start()
        time.sleep(0.2)
        with pytest.raises(Busy):
            confined.ask(("echo", 1), wait=0.0)
        for one in threads:
            one.join()
        assert said == ["slept"] * 4
        assert sum(one is not None for one in confined.idle.queue) == 2


def test_who_has_nothing_to_do_is_sent_home(confined: Confinement[Any, Any]) -> None:
    at = pid(confined)
    confined.rest(60)
    assert runs(at), "it had something to do a moment ago"
    confined.rest(0)
    assert ends(at, 2)
    assert pid(confined) != at


@pytest.mark.parametrize("order", ["('echo', 1)", "('sleep', 60)"], ids=["idle", "at work"])
def test_a_worker_ends_with_its_parent_within_a_second(order: str) -> None:
    code = f"""
import os, threading, time
from archive.confinement import Confinement
from tests.archive.test_confinement import work
confined = Confinement(work, seconds=100, memory={MEMORY})
print(confined.ask(("who", None)), flush=True)
threading.Thread(target=confined.ask, args=({order},), daemon=True).start()
time.sleep(0.3)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ends(int(done.stdout), 1.0)
