"""Disks of their own for tests: small ones that fill up, and images that can be copied while they are in use."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, *what: str) -> Iterator[Path]:
    """What `mount` is given, at a folder that is made where it is missing; skipped where nothing may be mounted."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *what, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def make_image(image: Path, size: int) -> None:
    """An empty ext4 of so many bytes; skipped where none can be made."""
    if shutil.which("mkfs.ext4", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
        pytest.skip("mkfs.ext4 is not installed (apt-get install e2fsprogs)")
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)


def copy_image(image: Path, copy: Path) -> None:
    """What the disk holds at this moment: nothing that is in memory only, as after a power cut."""
    subprocess.run(["cp", "--sparse=always", str(image), str(copy)], check=True)
