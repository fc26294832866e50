"""Runs `postroom` so that a backlog is taken in slices of so many mails:

python -m tests.gateway.small_slices 20 gateway
"""

import sys
from functools import partial

from gateway import app, poller, taking


def main() -> None:
    mails = int(sys.argv[1])
    app.Slice = partial(poller.Slice, mails=mails)  # type: ignore[attr-defined, assignment]
    taking.BATCH_MAILS = min(taking.BATCH_MAILS, mails)
    if mails < poller.WORTH_WORKERS:
        poller.WORTH_WORKERS = sys.maxsize  # starting them takes longer than a slice

    import postroom

    sys.argv = ["postroom", *sys.argv[2:]]
    postroom.main()


if __name__ == "__main__":
    main()
