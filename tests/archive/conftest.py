"""An archive for each test, on each database: a copy of one that is made once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..servers.postgresql import PostgreSQL
from .home import Home, furnish


@pytest.fixture(scope="session")
def furnished_home(database: PostgreSQL | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = furnish(tmp_path_factory.mktemp("home") / "data", database)
    yield home
    home.remove()


@pytest.fixture(scope="module")
def common_home(furnished_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """One for all tests of a module that only look."""
    own = furnished_home.copy_to(tmp_path_factory.mktemp("home") / "home")
    yield own
    own.remove()


@pytest.fixture
def home(furnished_home: Home, tmp_path: Path) -> Iterator[Home]:
    own = furnished_home.copy_to(tmp_path / "home")
    yield own
    own.remove()
