"""Over a real Postfix as a relay: what leaves arrives, and what it refuses or does not offer is known in words."""

import time
from collections.abc import Iterator

import pytest

from archive.outgoing import outbox
from gateway.accounts import parse
from gateway.smtp import Outward

from ..servers.postfix import Postfix
from ..servers.smtp import Received, Smtp
from .conftest import QUICK, Office
from .test_sending import EVA, HELP, Outbox

pytestmark = pytest.mark.needs("postfix")
GONE = "gone@outside.example"
WIDE = "žofie@bücher.example"


@pytest.fixture
def relay(smtp: Smtp) -> Iterator[Postfix]:
    with Postfix(smtp.port, refused={GONE: "550 5.1.1 Nobody of that name works here"}) as server:
        yield server


def arrived(smtp: Smtp, count: int) -> list[Received]:
    """What came through, once so many did."""
    until = time.monotonic() + 30
    while len(smtp.accepted) < count:
        assert time.monotonic() < until, smtp.accepted
        time.sleep(0.05)
    return smtp.accepted


def test_a_mail_leaves_and_arrives_and_who_is_refused_is_named(office: Office, smtp: Smtp, relay: Postfix) -> None:
    box = Outbox(office, relay.url)
    both, nobody = box.queue(f"{EVA}, {GONE}", text=".\n..\n"), box.queue(GONE)
    assert box.round().sent == 1
    said = {one.address: (one.state, one.code) for one in box.seen(both).recipients}
    assert said == {EVA: (outbox.SENT, 250), GONE: (outbox.FAILED, 550)}
    assert (box.seen(both).state, box.seen(nobody).state) == (outbox.SENT, outbox.FAILED)
    assert "Nobody of that name works here" in box.seen(nobody).recipients[0].answer
    (one,) = arrived(smtp, 1)
    assert one.recipients == (EVA,)
    (copy,) = office.copies()
    assert one.raw.endswith(office.raw(copy))  # below what the relay says of itself
    box.later()
    box.round()
    assert len(smtp.accepted) == 1  # who refused for good is never asked again


def test_addresses_in_other_letters_and_eight_bits_pass(office: Office, smtp: Smtp, relay: Postfix) -> None:
    box = Outbox(office, relay.url)
    box.queue(WIDE)
    assert box.round().sent == 1
    raw = "Subject: x\r\n\r\nŽluťoučký kůň\r\n".encode()
    with Outward(parse(relay.url, "smtp"), QUICK) as line:
        assert {"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8"} <= set(line.offered)
        assert line.send(HELP, [EVA], raw)[EVA].state == outbox.SENT
    by = {one.recipients: one.raw for one in arrived(smtp, 2)}
    assert "žofie@xn--bcher-kva.example" in by[("žofie@xn--bcher-kva.example",)].decode()
    assert by[(EVA,)].endswith(raw.partition(b"\r\n\r\n")[2])


def test_what_the_relay_does_not_take_is_known_before_it_is_tried(office: Office, smtp: Smtp) -> None:
    with Postfix(smtp.port, limit=4000, without=["SMTPUTF8", "8BITMIME"]) as relay:
        box = Outbox(office, relay.url)
        large, wide, small = box.queue(text="x" * 5000), box.queue(WIDE), box.queue()
        assert box.round().sent == 1
        answers = [box.seen(one).recipients[0] for one in (large, wide, small)]
        assert [(one.state, one.code) for one in answers] == [("failed", 552), ("failed", 553), ("sent", 250)]
        assert "takes mails of 4000 bytes" in answers[0].answer
        assert "other letters" in answers[1].answer
        with Outward(parse(relay.url, "smtp"), QUICK) as line:
            said = line.send(HELP, [EVA], "Subject: x\r\n\r\nŽ\r\n".encode())[EVA]
            assert (said.state, said.code) == (outbox.FAILED, 554)
        assert len(arrived(smtp, 1)) == 1
        assert relay.maillog().count(": client=") == 1  # nothing else was begun
