"""What a monitor may ask: does it live, can it work, and how it is in numbers. Only who has the token gets numbers.

Values in, values out; `web` answers with them, and `gateway` where it runs alone. Everything is read by index, so that
a scrape costs the same however much is archived.
"""

import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from .doctor import NO_SPACE
from .events import log, sealer
from .outgoing import canaries, identities
from .post import bindings
from .store import migrate
from .store.archive import Archive
from .store.packs import NotReady
from .store.schema import event, lease

HEALTHZ, READYZ, METRICS = "/healthz", "/readyz", "/metrics"
_PLAIN = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: its status, type and body."""

    status: int
    type: str
    body: bytes


def answer(
    archive: Archive, path: str, authorization: str, token: str | None, now: int, alive: Callable[[], bool]
) -> Answer:
    """The answer to a GET of one of the three paths, 404 for any other.

    `authorization` is the request's header, `now` UTC ms. Without a token, or with another, there are no numbers: 404,
    as if there were nothing.
    """
    if path == HEALTHZ:
        return _said(200, "ok") if alive() else _said(503, "The clock stands still. Start Postroom again.")
    if path == READYZ:
        wrong = list(not_ready(archive))
        return _said(503, "\n".join(wrong)) if wrong else _said(200, "ok")
    if path == METRICS and token and hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
        return Answer(200, CONTENT_TYPE_LATEST, exposition(archive, now))
    return _said(404, "not found")


def _said(status: int, says: str) -> Answer:
    return Answer(status, _PLAIN, f"{says}\n".encode())


def not_ready(archive: Archive) -> Iterator[str]:
    """Why no mail can be taken in and no page shown, a sentence each; nothing that a stranger should not know."""
    try:
        migrate.check(archive)
    except NotReady:
        yield "The database is not of this version. Bring it up with: postroom upgrade"
    except SQLAlchemyError:
        yield "The database does not answer."
    try:
        if archive.disk().free < NO_SPACE:
            yield "The disk is full. Make room: no mail is taken in when a batch does not fit."
    except OSError:
        yield "The data folder cannot be read."


def exposition(archive: Archive, now: int) -> bytes:
    """All numbers in the text format of Prometheus: of this process, and of the archive at `now` (UTC ms)."""
    kept = CollectorRegistry(auto_describe=False)
    kept.register(_Kept(archive, now))
    return generate_latest(REGISTRY) + generate_latest(kept)


@dataclass(frozen=True, slots=True)
class _Kept(Collector):
    """What stands in the database, at one moment."""

    archive: Archive
    now: int

    def collect(self) -> Iterator[Metric]:
        """Every number, as prometheus_client asks for it."""
        with self.archive.reading() as session:
            every = bindings.every(session)
            counts = bindings.left_open(session)
            last = sealer.newest(session)
            unsealed = select(event.c.id).where(event.c.id > (last.last if last else 0)).limit(100_000).subquery()
            tail = session.scalar(select(func.count()).select_from(unsealed)) or 0
            position = log.position(session)
            tried = identities.every(session)
            arrived = canaries.latest(session, [one.id for one in tried], arrived=True)
            troubled = {one.identity for one in canaries.troubled(session, self.now)}
            leases = session.scalar(select(func.count()).select_from(lease)) or 0

        def gauge(name: str, says: str, value: float) -> Metric:
            return GaugeMetricFamily(f"postroom_{name}", says, value=value)

        def each(name: str, says: str, value: Callable[[bindings.Binding], float]) -> Metric:
            family = GaugeMetricFamily(f"postroom_binding_{name}", says, labels=["binding"])
            for one in every:
                family.add_metric([one.name], value(one))
            return family

        def counted(name: str) -> Callable[[bindings.Binding], float]:
            return lambda one: counts.get(one.id, {}).get(name, 0)

        def of_addresses(name: str, says: str, values: Mapping[int, float]) -> Metric:
            family = GaugeMetricFamily(f"postroom_canary_{name}", says, labels=["address"])
            for one in tried:
                if one.id in values:
                    family.add_metric([one.address], values[one.id])
            return family

        yield each("up", "1 where the last pass went well.", lambda one: one.trouble is None)
        yield each(
            "last_success_seconds",
            "Seconds since a pass last went well, or since the folder is watched.",
            lambda one: max(0, self.now - (one.succeeded_at or one.created_at)) / 1000,
        )
        yield each("failures", "Passes that failed in a row.", lambda one: one.failures)
        yield each("waiting_mails", "Mails seen in the watched folder and not taken.", lambda one: one.waiting)
        yield each("unsettled_mails", "Archived, and the original not moved yet.", counted("unsettled"))
        yield each("quarantined_mails", "Kept raw because they could not be recorded.", counted("quarantined"))
        ways = {id_: one.way / 1000 for id_, one in arrived.items() if one.way is not None}
        yield of_addresses("seconds", "From sending to arrival of the test mail that last arrived.", ways)
        came = {id_: (self.now - one.arrived_at) / 1000 for id_, one in arrived.items() if one.arrived_at is not None}
        yield of_addresses("last_success_seconds", "Seconds since a test mail last arrived.", came)
        lost = {one.id: float(one.id in troubled) for one in tried if one.id in troubled or one.id in arrived}
        yield of_addresses("failed", "1 where the last test mail failed or has not arrived in 15 minutes.", lost)
        yield gauge("events", "Position of the newest event.", position)
        yield gauge("events_unsealed", "Events that no seal answers for yet, counted to 100,000.", tail)
        yield gauge("leases", "Rows of leases that machines share.", leases)
        yield gauge("disk_free_bytes", "Room where the data lies.", self.archive.disk().free)
