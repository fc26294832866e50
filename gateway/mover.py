"""Originals: moved once they are archived, and what a crash or a lost answer left, resolved by looking.

A receipt is settled only when its original is known to be where it belongs. The processed folder's UIDNEXT is
recorded before each move, so that afterwards only what came since has to be compared, by hash.
"""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from archive.events import log
from archive.post import bindings, receipts
from archive.post.bindings import Binding
from archive.post.receipts import Unsettled
from archive.store.archive import Archive, Session

from .mailbox import Mailbox
from .trouble import Unreachable

FETCH_BYTES = 16 << 20  # of processed mail compared at a time


@dataclass
class Mover:
    """Moves one binding's originals during one pass."""

    archive: Archive
    binding: Binding
    mailbox: Mailbox
    uidvalidity: int
    clock: Callable[[], int]
    fence: Callable[[Session], None] = lambda _session: None  # raises where this pass is somebody else's by now
    moved: int = 0
    _waiting: list[int] = field(default_factory=list)

    def add(self, uids: Iterable[int]) -> None:
        """These are archived. Moves cost per call, not per mail, so they wait for `flush`."""
        self._waiting.extend(uids)

    @property
    def waiting(self) -> int:
        """How many wait to be moved."""
        return len(self._waiting)

    def flush(self) -> None:
        """Move what waits, and settle it."""
        uids, self._waiting = self._waiting, []
        if not uids:
            return
        self.record_position()
        moved = self.mailbox.move(uids, self.binding.processed)
        self.moved += len(moved.done)
        self.check(moved.still)
        usual = receipts.LEFT if self.mailbox.moving == "copy" else receipts.MOVED
        self.settle({usual: moved.done, receipts.TAKEN_AWAY: set(uids) - moved.done})

    def check(self, still: Collection[int]) -> None:
        """Where some were not moved although the server said so nothing is settled: the next pass looks again."""
        if still:
            server, folder = self.mailbox.account.server, self.binding.processed
            raise Unreachable("not moved", server=server, count=len(still), folder=folder)

    def record_position(self) -> None:
        """Before a move: from where on its copies will be found."""
        if self.mailbox.find_folder(self.binding.processed) is None:
            self.mailbox.create_folder(self.binding.processed)
        validity, following = self.mailbox.status(self.binding.processed, "UIDVALIDITY", "UIDNEXT")
        with self.archive.intake() as session:
            self.fence(session)
            bindings.about_to_move(session, self.binding.id, validity, following)

    def settle(self, outcomes: Mapping[str, Collection[int]]) -> None:
        """What became of these originals is known; no move is under way any more."""
        now = self.clock()
        with self.archive.intake() as session:
            for how, uids in outcomes.items():
                if uids:
                    receipts.settle(session, self.binding.id, self.uidvalidity, uids, how, now)
                    details = {"uidvalidity": self.uidvalidity, "uids": sorted(uids), "how": how}
                    event = log.Event("receipts.settled", self.binding.actor, self.binding.actor, details)
                    log.write(session, [event], now)
            # From here on a copy in the processed folder proves nothing about what is archived later.
            bindings.no_move_under_way(session, self.binding.id)

    def resolve(self, open_receipts: Sequence[Unsettled], there: set[int]) -> int:
        """Settle what an earlier pass left open (states S2, S3, S5); `there` is what the watched folder holds.

        Returns how many are still there and only have to be moved. Another folder may be selected afterwards.
        """
        if not open_receipts:
            return 0
        arrived = self._arrived_since(open_receipts)
        gone = [one for one in open_receipts if one.uid not in there]
        still = [one for one in open_receipts if one.uid in there]
        moved, taken_away = claim(gone, arrived)
        copied, untouched = claim(still, arrived)
        if self.mailbox.select(self.binding.folder).uidvalidity != self.uidvalidity:
            raise Unreachable("made anew", binding=self.binding.name)
        # An earlier pass copied them and was cut off before it took the originals away.
        self.mailbox.finish_move(copied)
        finished = receipts.MOVED if "UIDPLUS" in self.mailbox.capabilities else receipts.LEFT
        if finished == receipts.MOVED:
            self.check(self.mailbox.there(copied))
        outcomes = {receipts.MOVED: moved, receipts.TAKEN_AWAY: taken_away}
        outcomes[finished] = outcomes.get(finished, []) + copied
        self.settle(outcomes)
        self.add(untouched)
        return len(still)

    def _arrived_since(self, wanted: Sequence[Unsettled]) -> Counter[bytes]:
        """What came to the processed folder since the last recorded position: how many mails of each hash."""
        if self.binding.processed_uidnext is None:  # no move was under way
            return Counter()
        if self.mailbox.find_folder(self.binding.processed) is None:
            return Counter()
        selected = self.mailbox.select(self.binding.processed, readonly=True)
        same = selected.uidvalidity == self.binding.processed_uidvalidity
        first = self.binding.processed_uidnext if same else 1
        # "n:*" names the last mail even where that is older (RFC 9051 6.4.4).
        uids = [uid for uid in self.mailbox.uids("UID", f"{first}:*") if uid >= first]
        sizes = self.mailbox.sizes(uids)
        expected = {one.size for one in wanted}
        likely = {uid: size for uid, size in sizes.items() if size in expected}
        found = Counter(sha256 for _, sha256 in self._hashes(likely))
        if found.total() < len(wanted):  # some servers are wrong about sizes
            others = {uid: size for uid, size in sizes.items() if uid not in likely}
            found.update(sha256 for _, sha256 in self._hashes(others))
        return found

    def unchanged(self, of: Sequence[Unsettled]) -> list[int]:
        """UIDs in the watched folder, which is selected, whose mail is byte for byte what they stood for."""
        expected = {one.uid: one.sha256 for one in of}
        return [uid for uid, sha256 in self._hashes(self.mailbox.sizes(expected)) if sha256 == expected[uid]]

    def _hashes(self, sizes: Mapping[int, int]) -> Iterator[tuple[int, bytes]]:
        small: list[int] = []
        size = 0
        for uid in sorted(sizes):
            if sizes[uid] > FETCH_BYTES:
                with tempfile.TemporaryFile() as file:
                    self.mailbox.fetch_into(uid, file)
                    file.seek(0)
                    yield uid, hashlib.file_digest(file, "sha256").digest()
                continue
            small.append(uid)
            size += sizes[uid]
            if size > FETCH_BYTES:
                yield from ((one.uid, hashlib.sha256(one.raw).digest()) for one in self.mailbox.fetch(small))
                small, size = [], 0
        yield from ((one.uid, hashlib.sha256(one.raw).digest()) for one in self.mailbox.fetch(small))


def claim(wanted: Iterable[Unsettled], arrived: Counter[bytes]) -> tuple[list[int], list[int]]:
    """Pure but for `arrived`, which it uses up: UIDs whose copy was found, and those whose was not."""
    found, missing = [], []
    for one in wanted:
        if arrived[one.sha256]:
            arrived[one.sha256] -= 1
            found.append(one.uid)
        else:
            missing.append(one.uid)
    return found, missing
