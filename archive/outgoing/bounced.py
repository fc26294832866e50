"""Addresses that mail of ours did not reach the last time."""

from collections.abc import Iterable, Iterator

from sqlalchemy import func, select

from ..mail import reports
from ..people.scopes import Viewer
from ..store.archive import Session
from ..store.schema import outgoing, outgoing_recipient
from . import outbox

_FOR_GOOD = 500  # codes from here on
_LATELY = 20_000  # mails of ours that are looked at


def among(session: Session, addresses: Iterable[str], viewer: Viewer) -> Iterator[str]:
    """Those of these addresses that a server refused for good when we wrote to them last, at once or later.

    Only of mail that the viewer sees.
    """
    wanted = sorted({one.lower() for one in addresses})
    newest = session.scalar(select(func.max(outgoing_recipient.c.outgoing))) or 0
    latest: dict[str, bool] = {}
    address = func.lower(outgoing_recipient.c.address)
    lately = outgoing_recipient.c.outgoing > newest - _LATELY
    ended = lately & outgoing_recipient.c.state.in_((outbox.SENT, outbox.FAILED))
    query = select(outgoing_recipient, address.label("folded")).where(address.in_(wanted), ended)
    query = query.join(outgoing, outgoing.c.id == outgoing_recipient.c.outgoing).where(outbox.visible_outgoing(viewer))
    for row in session.execute(query.order_by(outgoing_recipient.c.outgoing)):
        refused = row.state == outbox.FAILED and (row.code or 0) >= _FOR_GOOD
        latest[row.folded] = refused or row.returned == reports.FAILED
    return (one for one, failed in latest.items() if failed)
