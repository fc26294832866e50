"""Scenes for crashes, and which of these tests are run when: `make test` a part, `make proof` all of them."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from ..archive.home import Home
from ..servers.dovecot import Dovecot
from ..servers.postgresql import PostgreSQL
from .scene import FORTY, PROOF, Scene, furnish_for_commands, set_up

Tried = Callable[[str, int, int], None]  # a kind of crash, points tried, at how many something was wrong
CAPABILITIES = "IMAP4rev1 LITERAL+ ID ENABLE IDLE NAMESPACE UNSELECT"
_numbers = count(1)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "proof: takes long; run by `make proof`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if PROOF:
        return
    later = [item for item in items if item.get_closest_marker("proof")]
    if later:
        config.hook.pytest_deselected(items=later)
        items[:] = [item for item in items if item not in later]


@pytest.fixture(scope="session")
def template(database: PostgreSQL | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = furnish_for_commands(tmp_path_factory.mktemp("crashes") / "data", database)
    yield home
    home.remove()


@pytest.fixture(scope="session")
def servers() -> Iterator[Callable[[str], Dovecot]]:
    """Servers that can MOVE, that have UIDPLUS only, and that can do neither ("copy"); one of each."""
    started: dict[str, Dovecot] = {}
    kinds = {"move": None, "uidplus": f"{CAPABILITIES} UIDPLUS", "copy": CAPABILITIES}

    def get(moving: str) -> Dovecot:
        if moving not in started:
            started[moving] = Dovecot(capability=kinds[moving], tls=False)
            started[moving].start()
        return started[moving]

    yield get
    for server in started.values():
        server.close()


@pytest.fixture
def scene(servers: Callable[[str], Dovecot], template: Home, tmp_path: Path) -> Callable[..., Scene]:
    """Makes a scene: `scene()`, or `scene("uidplus")`."""

    def make(moving: str = "move", raws: list[bytes] = FORTY) -> Scene:
        number = next(_numbers)
        folder = tmp_path / str(number)
        folder.mkdir()
        return set_up(servers(moving), f"crash{number}", template, folder, raws)

    return make


@pytest.fixture
def tried(record_property: Callable[[str, object], None]) -> Tried:
    """Notes what a test tried, for the table (`crash_table`)."""
    return lambda kind, points, found: record_property("crashes", (kind, points, found))
