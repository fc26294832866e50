"""`postroom reread`: every mail is read a second time, and where the two readers disagree it is marked."""

import json
from typing import Any

from sqlalchemy import select, update

from archive.commands.messages import messages
from archive.commands.reread import reread
from archive.people import scopes, users
from archive.post import messages as post
from archive.store.schema import message
from tests import world

from .conftest import Office

PLAIN = world.mail(subject="Plain", attachments=[("a.pdf", b"%PDF")])
# Two From headers: one program shows the first, another the last.
TWO_FACED = b"From: Chef <boss@demo.example>\r\n" + world.mail(subject="Two faces")
HOPS = (
    b"Received: from mx.outside.example (mx.outside.example [192.0.2.1])\r\n"
    b"\tby mail.demo.example with ESMTPS id 4711 for <secret@demo.example>;\r\n\tMon, 2 Nov 2026 12:00:00 +0000\r\n"
)


def rows(office: Office) -> list[Any]:
    archive = office.archive()
    with archive.reading() as session:
        found = list(session.execute(select(message).order_by(message.c.id)))
    archive.close()
    return found


def test_all_mail_is_read_a_second_time_once(office: Office) -> None:
    office.take(office.helpdesk, *(world.mail(subject=f"Number {i}") for i in range(60)))
    assert office.call(reread, "--json").object == {"read": 60, "ambiguous": 0, "unreadable": 0}
    assert office.call(reread, "--json").object == {"read": 0, "ambiguous": 0, "unreadable": 0}


def test_a_mail_on_which_they_disagree_is_marked(office: Office) -> None:
    office.take(office.helpdesk, PLAIN, TWO_FACED)
    said = office.call(reread, "--json").object
    assert said["read"] == 2
    assert said["ambiguous"] == 1
    plain, two_faced = rows(office)
    assert plain.ambiguous is None
    assert "sender" in json.loads(two_faced.ambiguous)[0]
    (event,) = office.events("message.marked_ambiguous")
    assert event.subject == f"message:{two_faced.id}"
    assert office.call(messages, "show", str(two_faced.id), "--json").object["ambiguous"]


def test_hops_are_for_those_who_may_see_that_copy(office: Office) -> None:
    office.take(office.helpdesk, HOPS + PLAIN)
    office.take(office.sales, PLAIN)
    office.call(reread)
    archive = office.archive()
    with archive.reading() as session:
        (id_,) = session.scalars(select(message.c.id))
        owner = {"anna@demo.example": 1, "bernd@demo.example": 0}
        for email, hops in owner.items():
            user = users.by_email(session, email)
            assert user is not None
            one = post.get(session, id_, scopes.viewer(session, user.id))
            assert one is not None
            assert len(one.hops) == hops
        seen = post.get(session, id_, scopes.MACHINE)
        assert seen is not None
        assert seen.hops[0]["by"] == "mail.demo.example"
    archive.close()


def test_blind_copies_and_hops_are_no_disagreement(office: Office) -> None:
    office.take(office.helpdesk, HOPS + b"Bcc: secret@demo.example\r\n" + PLAIN)
    assert office.call(reread, "--json").object["ambiguous"] == 0
    assert all("secret@" not in (row.ambiguous or "") for row in rows(office))


def test_what_an_earlier_version_read_is_read_again(office: Office) -> None:
    office.take(office.helpdesk, PLAIN)
    office.call(reread)
    archive = office.archive()
    with archive.transaction() as session:
        session.execute(update(message).values(second_reader=0))
    archive.close()
    assert office.call(reread, "--json").object["read"] == 1


def test_bytes_that_do_not_come_back_are_marked_and_stop_nobody(office: Office) -> None:
    office.take(office.helpdesk, PLAIN, world.mail(subject="Whole"))
    (pack,) = (office.data / "blobs").glob("*.pack")
    stored = bytearray(pack.read_bytes())
    stored[60] ^= 1
    pack.write_bytes(stored)
    said = office.call(reread, "--json")
    assert said.code == 1
    assert said.object["read"] == 2
    assert said.object["unreadable"] == 1


def test_a_large_mail_is_read_without_its_leaves(office: Office) -> None:
    office.take(office.helpdesk, world.large(20 << 20))
    assert office.call(reread, "--json").object == {"read": 1, "ambiguous": 0, "unreadable": 0}
