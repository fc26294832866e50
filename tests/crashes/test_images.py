"""Power cuts on a real file system: the disk's image is copied the moment a pass dies, and goes on as the disk.

What nobody had synced was in memory only, and is not in the copy; ext4's own journal is replayed when it is mounted.
"""

import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from ..archive.home import Home
from ..servers.dovecot import Dovecot
from . import invariants, strace
from .conftest import Tried
from .disks import copy_image, make_image, mounted
from .scene import SIX, set_up
from .test_calls import SMALL, Run, points

SIZE = 64 << 20  # bytes

needs_strace = pytest.mark.skipif(strace.missing() is not None, reason=strace.missing() or "")
pytestmark = [needs_strace, pytest.mark.needs("root"), pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def calls(servers: Callable[[str], Dovecot], template: Home, tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    folder = tmp_path_factory.mktemp("undisturbed")
    scene = set_up(servers("move"), "undisturbed", template, folder, SIX)
    assert Run(scene, "pass", folder / "trace").go().returncode == 0
    return strace.counted(folder / "trace")


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.proof) for part in range(1, 8))])
@pytest.mark.parametrize("call", ["fdatasync", "sendto", pytest.param("pwrite64", marks=pytest.mark.proof)])
def test_the_power_was_cut_at_each_call(
    servers: Callable[[str], Dovecot],
    template: Home,
    tmp_path: Path,
    calls: Counter[str],
    tried: Tried,
    call: str,
    part: int,
) -> None:
    numbers = list(points(calls[call], part, 3 if call == "pwrite64" else 1))
    found = []
    for number in numbers:
        try:
            power_cut(servers("move"), template, tmp_path / str(number), call, number)
        except Exception as error:  # told together at the end
            found.append(f"{call} {number}: {type(error).__name__}: {error}")
    tried(f"power cut at {call}, ext4 image", len(numbers), len(found))
    assert not found, "\n".join(found)


def power_cut(server: Dovecot, template: Home, folder: Path, call: str, number: int) -> None:
    folder.mkdir()
    image, after = folder / "before.img", folder / "after.img"
    make_image(image, SIZE)
    with mounted(folder / "disk", "-o", "loop", str(image)) as disk:
        scene = set_up(server, f"{folder.parent.name}-{call}-{number}", template, disk, SIX)
        subprocess.run(["sync", "--file-system", str(disk)], check=True)
        done = Run(scene, "pass", folder / "trace").go(f"{call}:signal=SIGKILL:when={number}")
        copy_image(image, after)
        assert done.returncode == -signal.SIGKILL, (done.returncode, done.stdout, done.stderr)
    image.unlink()
    with mounted(folder / "disk", "-o", "loop", str(after)):
        invariants.at_once(scene)
        scene.poll()
        invariants.at_rest(scene)
    after.unlink()


@pytest.mark.proof
def test_without_a_sync_the_image_lacks_what_was_written(
    servers: Callable[[str], Dovecot], template: Home, tmp_path: Path
) -> None:
    """Or all the power cuts above would prove nothing."""
    image, after = tmp_path / "before.img", tmp_path / "after.img"
    make_image(image, SIZE)
    with mounted(tmp_path / "disk", "-o", "loop", str(image)) as disk:
        scene = set_up(servers("move"), "unsynced", template, disk, SIX)
        subprocess.run(["sync", "--file-system", str(disk)], check=True)
        scene.die("after commit 4", *SMALL, "--mutant", "no fdatasync")
        copy_image(image, after)
    with mounted(tmp_path / "disk", "-o", "loop", str(after)), pytest.raises(Exception, match=r"Blob \d+|Pack \d+"):
        invariants.everything_receipted_has_its_bytes(scene)
