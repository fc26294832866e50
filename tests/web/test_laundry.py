"""Workers that make HTML harmless: a hostile mail costs one of them, never a page."""

import threading
import time
from collections.abc import Iterator

import pytest

from web.laundry import Laundry
from web.safe_html import TooTangled

SLOW = "<p " + " ".join(f"a{n}=1" for n in range(150_000)) + ">"


@pytest.fixture
def laundry() -> Iterator[Laundry]:
    one = Laundry(workers=2, seconds=2)
    yield one
    one.close()


def test_markup_comes_back_harmless(laundry: Laundry) -> None:
    done = laundry.clean(
        '<img src="cid:a"><img src="http://x.example/"><script>x</script>', {"a": "/a"}, pictures=False
    )
    assert 'src="/a"' in done.html
    assert "script" not in done.html
    assert done.blocked == 1


def test_a_mail_that_takes_too_long_costs_a_worker_and_nothing_else(laundry: Laundry) -> None:
    laundry.clean("<p>warm", {}, pictures=False)
    start = time.monotonic()
    with pytest.raises(TooTangled):
        laundry.clean(SLOW, {}, pictures=False)
    assert time.monotonic() - start < 10
    assert "next" in laundry.clean("<p>next", {}, pictures=False).html


def test_a_worker_that_died_is_replaced(laundry: Laundry) -> None:
    laundry.clean("<p>one", {}, pictures=False)
    worker = laundry.workers.idle.queue[-1]
    assert worker
    worker.process.kill()
    worker.process.wait()
    assert "two" in laundry.clean("<p>two", {}, pictures=False).html


def test_one_worker_is_enough_while_nobody_waits(laundry: Laundry) -> None:
    for _ in range(5):
        laundry.clean("<p>x", {}, pictures=False)
    assert sum(1 for one in laundry.workers.idle.queue if one) == 1


def test_threads_share_them(laundry: Laundry) -> None:
    made: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: made.append(laundry.clean(f"<p>mail {n}", {}, pictures=False).html))
        for n in range(12)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert sorted(made) == sorted(f"<div><p>mail {n}</p></div>" for n in range(12))


def test_too_tangled_is_an_answer_and_costs_nobody(laundry: Laundry) -> None:
    with pytest.raises(TooTangled):
        laundry.clean("<div>" * 50_000, {}, pictures=False)
    worker = laundry.workers.idle.queue[-1]
    assert worker
    assert worker.process.poll() is None
