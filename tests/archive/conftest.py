"""An archive for each test: a copy of one that is made once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .home import Home, furnish


@pytest.fixture(scope="session")
def furnished_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return furnish(tmp_path_factory.mktemp("home") / "data")


@pytest.fixture
def home(furnished_home: Home, tmp_path: Path) -> Iterator[Home]:
    own = furnished_home.copy_to(tmp_path / "home")
    yield own
    own.close()
