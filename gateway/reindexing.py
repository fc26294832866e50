"""What follows into the search index after intake, in the background of the gateway."""

import threading

from archive import reindexing
from archive.extraction import Extractor
from archive.store.archive import Archive

BATCH = 50  # mails a transaction: intake waits for no more than that


class Reindexing:
    """Puts stems, beginnings of words and the text of attachments into the index, when there are some missing."""

    def __init__(self, archive: Archive, stopping: threading.Event) -> None:
        self._archive = archive
        self._stopping = stopping

    def work(self) -> None:
        """Index until nothing is left or everything stops."""
        with Extractor() as extractor:
            while not self._stopping.is_set() and reindexing.pass_(self._archive, BATCH, extractor).indexed:
                pass
