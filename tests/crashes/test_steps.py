"""`postroom poll` is killed at every step of a pass over forty mails; whatever was done, the next passes finish it."""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from ..archive.home import Home
from ..servers.dovecot import Dovecot
from . import invariants
from .runner import STEPS
from .scene import FORTY, Scene, set_up

MOVES = {
    "move": {"IMAP MOVE"},
    "uidplus": {"IMAP COPY", "IMAP STORE", "IMAP EXPUNGE"},
    "copy": {"IMAP COPY", "IMAP STORE"},
}
EVERY_MOVE = {"IMAP MOVE", "IMAP COPY", "IMAP STORE", "IMAP EXPUNGE"}
# Forty mails in four batches, moved in three goes: what a pass has to meet at least so often.
AT_LEAST = {"fetch": 4, "blob": 60, "durable": 4, "keys": 4, "commit": 10, "move": 2, "position": 2, "settle": 2}
NEVER = {"scopes"}  # called, but with one binding nobody else is handed anything


def steps_of(moving: str) -> list[str]:
    return [step for step in STEPS if step not in NEVER and step not in EVERY_MOVE - MOVES[moving]]


@pytest.fixture(scope="session")
def calls(
    servers: Callable[[str], Dovecot], template: Home, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Counter[str]]:
    """How often a pass that nobody kills comes to each step."""
    counted: dict[str, Counter[str]] = {}

    def count(moving: str) -> Counter[str]:
        if moving not in counted:
            folder = tmp_path_factory.mktemp("unkilled")
            scene = set_up(servers(moving), f"unkilled-{moving}", template, folder)
            child = scene.start("--log", str(folder / "log"))
            out, err = child.communicate(timeout=120)
            assert child.returncode == 0, (out, err)
            invariants.at_rest(scene, moving=moving)
            lines = (folder / "log").read_text().splitlines()
            counted[moving] = Counter(line.split(" ", 1)[1].rpartition(" ")[0] for line in lines if line[0] == "b")
        return counted[moving]

    return count


def killed_at(scene: Scene, where: str, *options: str, moving: str = "move") -> None:
    """Dies there, is looked at, and has to be whole after the next pass; the one after that finds nothing to do."""
    scene.die(where, *options)
    invariants.at_once(scene)
    scene.poll()
    invariants.at_rest(scene, moving=moving)
    again = scene.poll()
    assert (again["seen"], again["known"], again["moved"], again["trouble"]) == (0, 0, 0, None)
    invariants.folders_at_rest(scene, moving)
    invariants.verified(scene)
    if moving == "move":
        scene.deliver([b"Subject: later\r\n\r\nunmistakable99 later\r\n"])
        assert scene.poll()["archived"] == 1
        invariants.no_key_is_left_over(scene)


def numbers(step: str, often: int) -> Iterator[int]:
    """Every call; of those that come for every mail, a few of each batch."""
    if often <= 12:
        yield from range(1, often + 1)
    else:
        yield from sorted({1, 2, often, *range(5, often, often // 8)})


@pytest.mark.parametrize("moving", MOVES)
def test_a_pass_comes_to_every_step(calls: Callable[[str], Counter[str]], moving: str) -> None:
    """What is never reached kills nobody, and its tests would prove nothing."""
    found = calls(moving)
    assert set(found) - NEVER == set(steps_of(moving))
    for step, often in AT_LEAST.items():
        assert found[step] >= often, (step, found)


@pytest.mark.parametrize("step", steps_of("move"))
def test_killed_in_the_middle_before_each_step(
    scene: Callable[..., Scene], calls: Callable[[str], Counter[str]], step: str
) -> None:
    killed_at(scene(), f"before {step} {(calls('move')[step] + 1) // 2}")


@pytest.mark.parametrize("where", ["after commit 3", "after IMAP MOVE 1", "after settle 2"])
def test_killed_after_what_cannot_be_taken_back(scene: Callable[..., Scene], where: str) -> None:
    killed_at(scene(), where)


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize(
    "where",
    [
        "after commit 3",
        *(
            pytest.param(where, marks=pytest.mark.proof)
            for where in ("before durable 2", "before keys 2", "before commit 3", "after IMAP MOVE 1", "after settle 2")
        ),
    ],
)
def test_killed_with_its_rows_on_a_server(scene: Callable[..., Scene], where: str) -> None:
    killed_at(scene(), where)


@pytest.mark.parametrize(
    ("moving", "where"),
    [("uidplus", "after IMAP COPY 1"), ("uidplus", "before IMAP EXPUNGE 2"), ("copy", "before IMAP STORE 1")],
)
def test_killed_between_the_halves_of_a_move(scene: Callable[..., Scene], moving: str, where: str) -> None:
    killed_at(scene(moving), where, moving=moving)


@pytest.mark.proof
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", steps_of("move"))
def test_killed_at_every_call_of_each_step(
    scene: Callable[..., Scene], calls: Callable[[str], Counter[str]], step: str, when: str
) -> None:
    for number in numbers(step, calls("move")[step]):
        killed_at(scene(), f"{when} {step} {number}")


@pytest.mark.proof
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("moving", ["uidplus", "copy"])
@pytest.mark.parametrize("step", ["position", "move", "IMAP COPY", "IMAP STORE", "IMAP EXPUNGE", "settle", "commit"])
def test_killed_at_every_call_on_servers_that_cannot_move(
    scene: Callable[..., Scene], calls: Callable[[str], Counter[str]], moving: str, step: str
) -> None:
    for when in ("before", "after"):
        for number in numbers(step, calls(moving)[step]):
            killed_at(scene(moving), f"{when} {step} {number}", moving=moving)


def test_killed_before_anything_there_is_nothing(scene: Callable[..., Scene]) -> None:
    one = scene()
    one.die("before generation 1")
    assert (one.home.count("message"), one.home.count("pack")) == (0, 0)
    assert Counter(each.raw for each in one.watched()) == one.originals
    assert one.originals.total() == len(FORTY)
