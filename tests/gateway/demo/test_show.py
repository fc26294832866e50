"""What somebody finds who opens the demo: mail that is new, and tickets that wait for somebody."""

import queue
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Row, select

from archive import sending
from archive.front import Front, Given, now
from archive.outgoing import identities, outbox
from archive.people import users
from archive.people.scopes import MACHINE, viewer
from archive.post import bindings, messages
from archive.sending import Letter
from archive.store.schema import delivery, message, ticket
from gateway import app
from gateway.demo import show
from gateway.demo.server import MailServer
from gateway.demo.world import PEOPLE, PROCESSES, answer_of, mails
from gateway.mailbox import Connecting
from gateway.sender import Sender


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


def test_an_answer_goes_out_and_is_answered_itself_from_each_address(tmp_path: Path) -> None:
    front = Front(lambda: Given(tmp_path / "data", tmp_path / "key", None, "http://127.0.0.1:8460"))
    letters: show.Letters = queue.SimpleQueue()
    stop = threading.Event()
    with MailServer(outside=lambda recipient, raw: letters.put((recipient, raw))) as server:
        show._set_up(front, server, "correct horse battery")
        show._look_first(front)
        (first,) = [one for one in mails(datetime.now(UTC)) if one.address == PROCESSES[0].address][:1]
        server.deliver(first.address, first.raw, first.at)
        show._archive_once(front, as_lines=True)
        archive = front.archive()
        with archive.reading() as session:
            anna = users.by_email(session, PEOPLE[0].address)
            assert anna
            usable = {one.address: one for one in identities.usable(session, viewer(session, anna.id))}
            (asked,) = messages.newest(session, MACHINE, None, 10)
            (there,) = session.scalars(select(ticket.c.scope)).all()
        assert set(usable) == {PROCESSES[0].address, PEOPLE[0].address}
        wanted = Letter(0, outbox.REPLY, asked.from_address, "Re: that", "Soon.", answers=asked.id, scope=there, undo=0)
        for one in usable.values():
            sending.send(archive, lambda session: viewer(session, anna.id), replace(wanted, identity=one.id), now())
        done = Sender(archive, Connecting(), now, stop).round()
        assert (done.sent, done.left, done.troubles) == (2, 0, ())
        answering = threading.Thread(target=show._keep_answering, args=(server, letters, stop, 0.0), daemon=True)
        answering.start()
        before = {row.id for row in _all(front)}
        poller = app.poller(front)
        for _ in range(100):
            with archive.reading() as session:
                bound = bindings.every(session)
            for each in bound:
                assert poller.poll(each.id).trouble is None
            came = [row for row in _all(front) if row.id not in before]
            if len(came) == 2:
                break
            stop.wait(0.1)
        poller.close()
        stop.set()
        answering.join(5)
    assert {row.from_address for row in came} == {asked.from_address}
    assert {row.conversation for row in came} == {asked.conversation}
    front.close()


def _all(front: Front) -> list[Row[Any]]:
    with front.archive().reading() as session:
        return list(session.execute(select(message)).all())


def test_nobody_answers_what_a_machine_wrote_or_what_has_no_way_back() -> None:
    at = datetime.now(UTC)
    ours = b"From: Helpdesk <helpdesk@demo.example>\r\nMessage-ID: <1@demo.example>\r\nSubject: Re: x\r\n"
    assert answer_of("eva@outside.example", ours + b"\r\nHi\r\n", at) is not None
    assert answer_of("eva@outside.example", ours + b"Auto-Submitted: auto-replied\r\n\r\nHi\r\n", at) is None
    assert answer_of("eva@outside.example", ours.replace(b"demo", b"else") + b"\r\nHi\r\n", at) is None
