"""Reading mail where it may be killed: what a mail does to its reader costs a worker, not the process that takes it in.

For whoever takes in a few mails beside other work. Intake and import workers read by themselves: they may be killed.
"""

import errno
import tempfile
from dataclasses import fields
from typing import Any

from .confinement import Confinement, Lost, NoWorker, handed
from .mail import facts
from .mail.facts import Facts
from .mail.headers import Raw

SECONDS = 8.0  # of the processor's time that a mail may take; none needs two
_PATIENCE = 60.0  # seconds for all of it, on a machine that has much else to do
MEMORY = 400 << 20  # bytes a worker may use; no mail needs 200 MB
RESTED = 300.0  # seconds without a mail after which a worker is not worth its memory
_TRIES = 2  # somebody else may have ended the first worker
_MAPPED = 1 << 40  # bytes: a large mail is mapped, however large it is
_NAMES = [field.name for field in fields(Facts)]
_STEP = 1 << 20


class NotReading(OSError):
    """No process can be started that reads mail: not the mail's fault, and trying again may help."""


class Reading:
    """Our reader in workers, started with the first mail; threads may share it."""

    def __init__(self, seconds: float = SECONDS, workers: int = 2) -> None:
        self.workers = Confinement(_work, count=workers, seconds=_PATIENCE, cpu=seconds, memory=MEMORY, mapped=_MAPPED)

    def facts(self, content: Raw) -> Facts:
        """As `archive.mail.facts.read`; of a mail that ends every worker it says just that. May raise NotReading."""
        for _ in range(_TRIES):
            try:
                return Facts(*self._read(content))
            except NoWorker as error:
                raise NotReading(errno.EAGAIN, str(error)) from None
            except Lost:
                continue
        return facts.unread(facts.FATAL)

    def _read(self, content: Raw) -> tuple[Any, ...]:
        if isinstance(content, bytes):
            return self.workers.ask(content)
        with tempfile.TemporaryFile() as file:  # without a name; a map does not tell its file
            for start in range(0, len(content), _STEP):
                file.write(content[start : start + _STEP])
            file.flush()
            return self.workers.ask(None, files=[file.fileno()])

    def rest(self) -> None:
        """End the workers that have had no mail for some minutes; to be called now and then."""
        self.workers.rest(RESTED)

    def close(self) -> None:
        """End them all."""
        self.workers.close()


def _work(content: bytes | None) -> tuple[Any, ...]:
    from mmap import ACCESS_READ, mmap

    if content is None:
        (descriptor,) = handed()
        with mmap(descriptor, 0, access=ACCESS_READ) as mapped:
            return _told(facts.read(mapped))
    return _told(facts.read(content))


def _told(said: Facts) -> tuple[Any, ...]:
    return tuple(getattr(said, name) for name in _NAMES)
