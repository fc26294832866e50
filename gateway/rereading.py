"""The second reading, in the background of the gateway."""

import threading

from archive import rereading
from archive.front import now
from archive.mail.second_reader import SecondReader
from archive.store.archive import Archive

BATCH = 50  # mails between looks at the clock


class Rereading:
    """Reads every mail a second time, when there is one that has not been."""

    def __init__(self, archive: Archive, stopping: threading.Event) -> None:
        self._archive = archive
        self._stopping = stopping

    def work(self) -> None:
        """Read until nothing is left or everything stops."""
        with self._archive.reading() as session:
            if not rereading.waiting(session):
                return
        with SecondReader() as second:
            while not self._stopping.is_set() and rereading.pass_(self._archive, BATCH, now, second).read:
                pass
