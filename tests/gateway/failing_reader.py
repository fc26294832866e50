"""Runs `postroom` with a reader that hangs over some mail, wherever it is read:

python -m tests.gateway.failing_reader serve --port 0
"""

import sys
import time
from functools import partial
from typing import Any

from archive import reading
from archive.mail import reader
from gateway import app

from ..archive.test_reading import work

SECONDS = 1  # of the processor's time, so that nobody has to wait


def main() -> None:
    read = reader.read

    def hanging(raw: Any, *rest: Any) -> Any:
        while b"hang the reader" in bytes(raw[:1000]):
            time.sleep(1)
        return read(raw, *rest)

    reader.read = hanging  # type: ignore[assignment]
    reading._work = work  # workers are fresh interpreters: what they run has to come by import
    app.Reading = partial(reading.Reading, seconds=SECONDS)  # type: ignore[attr-defined, assignment]

    import postroom

    sys.argv = ["postroom", *sys.argv[1:]]
    postroom.main()


if __name__ == "__main__":
    main()
