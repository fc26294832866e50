"""Debian packages that are unpacked and not installed (tests/setup/unpacked): where they are, what they need."""

from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2] / "build" / "servers"


def root(package: str) -> Path:
    """The root in which a package's files stand."""
    return _ROOT / package


def missing(package: str) -> str | None:
    """Why a package cannot be used, None where it can."""
    return None if root(package).exists() else f"{package} is not unpacked (tests/setup/unpacked {package})"


def libraries(root: Path) -> str:
    """The folders of a root that hold shared libraries, as LD_LIBRARY_PATH names them."""
    return ":".join(sorted({str(file.parent) for file in root.rglob("lib*.so*")}))
