"""What somebody finds who opens the demo: mail that is new, and tickets that wait for somebody."""

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from archive.front import Front, Given
from archive.store.schema import delivery, ticket
from gateway.demo import show
from gateway.demo.server import MailServer
from gateway.demo.world import PROCESSES, mails


def test_the_worlds_mail_is_new_and_its_tickets_are_open(tmp_path: Path) -> None:
    front = Front(lambda: Given(tmp_path / "data", tmp_path / "key", None, "http://127.0.0.1:8460"))
    with MailServer() as server:
        show._set_up(front, server, "correct horse battery")
        show._look_first(front)
        for arrival in mails(datetime.now(UTC)):
            server.deliver(arrival.address, arrival.raw, arrival.at)
        show._archive_once(front, as_lines=True)
        with front.archive().reading() as session:
            rows = session.execute(select(ticket.c.scope, ticket.c.state, ticket.c.assignee)).all()
            old = session.scalars(select(delivery.c.message).where(delivery.c.import_mode.is_(True))).all()
        front.close()
    assert {row.state for row in rows} == {"open"}
    assert {row.assignee for row in rows} == {None}
    assert len({row.scope for row in rows}) == len(PROCESSES)
    assert old == []
