"""Whether a mail costs more the more there are: a pass over 10,000 mails at 10,000 archived ones and at many.

make bench-growth COUNT=1000000; what is measured and how is in docs/benchmarks.md.
"""

import argparse
import itertools
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.servers.dovecot import Dovecot

from . import filling
from .ingest import WORK, Ground, say
from .measure import Cost, FailedError
from .search import letters
from .web import mbox_mail, mbox_mails

DATA = WORK / "growth" / "postroom-data"
A_PASS = 10_000  # mails
WANTED = 1.2


def main() -> int:
    """Measure and print; exit status 1 where a mail costs more than it may."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="how many mails are archived in the end")
    parser.add_argument("--seed", type=int, default=1, help="of the made-up mail")
    parser.add_argument(
        "--copy", type=Path, help="an archive that large, as bench-web leaves it, instead of filling one"
    )
    given = parser.parse_args()
    try:
        filling.new(DATA)
        mails = mbox_mails(letters(given.count, given.seed), given.count, given.seed)
        with Dovecot() as server:
            filling.fill(DATA, mails, A_PASS)
            few = a_pass(server, given.seed + 1)
            if given.copy:
                copy(given.copy)
            else:
                filling.fill(DATA, mails, given.count - 2 * A_PASS)
            many = a_pass(server, given.seed + 2)
    except FailedError as failure:
        print(failure, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(DATA.parent, ignore_errors=True)
    for archived, cost in ((A_PASS, few), (given.count, many)):
        print(f"at {archived:>9,}: {cost.seconds:7.2f} s, {cost.cpu:7.2f} s of the processor, {cost.peak / 1e6:.0f} MB")
    print(f"ratio: {many.seconds / few.seconds:.2f} in time, {many.cpu / few.cpu:.2f} in processor time", flush=True)
    return 0 if many.seconds <= WANTED * few.seconds else 1


def copy(archive: Path) -> None:
    """That archive and its key in place of the one at hand."""
    shutil.rmtree(DATA)
    shutil.copytree(archive, DATA)
    shutil.copyfile(f"{archive}.key", f"{DATA}.key")


def a_pass(server: Dovecot, seed: int) -> Cost:
    """What `postroom poll` needs for so many mails that no other pass has seen."""
    folder = DATA.parent / f"mails{seed}"
    folder.mkdir()
    files = list(_written(folder, seed))
    filling.watch(DATA, Ground(server, files), f"growth{seed}")
    say(f"a pass over {len(files):,} mails …")
    cost = filling.postroom(DATA, "poll", "--json")
    if sum(json.loads(line)["archived"] for line in cost.output.splitlines()) != len(files):  # a line a binding
        raise FailedError(f"poll did not take everything: {cost.output}")
    return cost


def _written(folder: Path, seed: int) -> Iterator[Path]:
    """Text-only mails as files, with Message-IDs that no other seed has."""
    for number, one in enumerate(itertools.islice(letters(A_PASS, seed), A_PASS)):
        file = folder / f"{number:06d}.eml"
        file.write_bytes(mbox_mail(one, seed * 1_000_000_000 + number, None).partition(b"\n")[2])
        yield file


if __name__ == "__main__":
    sys.exit(main())
