"""How long everything takes to be read again: `postroom verify` of an archive of made-up mail.

make bench-verify COUNT=100000; what is measured and how is in docs/benchmarks.md.
"""

import argparse
import json
import shutil
import sys

from . import filling
from .ingest import WORK
from .measure import FailedError

DATA = WORK / "verify" / "postroom-data"
WANTED = 600.0 / 100_000  # seconds a mail
MEMORY = 200_000_000  # bytes a process


def main() -> int:
    """Measure and print; exit status 1 where something is found, or it takes too long."""
    parser = argparse.ArgumentParser(prog="python -m bench.verify", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="how many mails")
    parser.add_argument("--seed", type=int, default=1, help="of the made-up mail")
    parser.add_argument("--again", action="store_true", help="verify the archive that a run with --keep has left")
    parser.add_argument("--keep", action="store_true", help="leave the archive at the end")
    given = parser.parse_args()
    try:
        if not given.again:
            filling.new(DATA)
            filling.fill(DATA, filling.office(given.seed), given.count)
        cost = filling.postroom(DATA, "verify", "--json")
    except FailedError as failure:
        print(failure, file=sys.stderr)
        return 1
    finally:
        if not given.keep:
            shutil.rmtree(DATA.parent, ignore_errors=True)
    said = json.loads(cost.output.splitlines()[-1])
    print(f"{said['copies']:,} mails, {said['bytes'] / 1e9:.1f} GB, {said['events']:,} events, {said['rows']:,} rows")
    rate = f"{said['copies'] / cost.seconds:,.0f} mails/s, {said['bytes'] / 1e6 / cost.seconds:.0f} MB/s"
    print(f"{cost.seconds:.0f} s: {rate}")
    print(f"{cost.cpu:.0f} s of the processor, largest process {cost.peak / 1e6:.0f} MB", flush=True)
    return 0 if cost.seconds <= WANTED * said["copies"] + 10 and cost.peak <= MEMORY else 1


if __name__ == "__main__":
    sys.exit(main())
