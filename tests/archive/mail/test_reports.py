"""Reports of machines as our reader understands them; what they say is nobody's word but theirs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.mail import reader, reports
from archive.mail.reports import AWAY, COMPLAINED, DELAYED, FAILED, Report

from ...mails import reports as made

OURS = "<1a19.abc.def@demo.example>"
EVA = "eva@outside.example"


def read(raw: bytes) -> Report | None:
    return reports.read(raw, reader.read(raw))


@pytest.mark.parametrize("name", made.BOUNCES)
def test_what_each_server_writes_is_understood(name: str) -> None:
    found = read(made.BOUNCES[name](OURS))
    assert found is not None
    (one,) = found.about
    assert EVA in one.addresses
    assert one.outcome == FAILED
    assert one.status.startswith("5.") or name == "Exim, a report"
    assert any(
        word in one.says for word in ("no such user", "not found", "RecipNotFound", "exist", "no mailbox", "NotFound")
    )
    assert found.named[0] == OURS.strip("<>")


def test_a_delay_a_relay_and_what_an_address_was_before_an_alias() -> None:
    late = read(made.postfix(OURS, action="delayed"))
    assert late
    assert late.about[0].outcome == DELAYED
    moved = read(made.postfix(OURS, "eva@elsewhere.example", original=EVA))
    assert moved
    assert moved.about[0].addresses == (EVA, "eva@elsewhere.example")


def test_a_complaint_names_whom_it_can() -> None:
    found = read(made.complaint(OURS))
    assert found
    assert [(one.addresses, one.outcome) for one in found.about] == [((EVA,), COMPLAINED)]
    assert found.named == (OURS.strip("<>"),)
    hidden = read(made.complaint(OURS, redacted=True))
    assert hidden
    assert hidden.about[0].addresses == ()


@pytest.mark.parametrize("name", made.AWAY)
def test_that_somebody_is_away_is_known_by_what_is_written_for_it(name: str) -> None:
    marks, subject = made.AWAY[name]
    found = read(made.away(OURS, *marks, subject=subject))
    assert found
    assert [(one.addresses, one.outcome) for one in found.about] == [((EVA,), AWAY)]
    assert OURS.strip("<>") in found.named


@pytest.mark.parametrize("name", made.WRITTEN)
def test_what_a_person_wrote_is_no_report(name: str) -> None:
    marks, subject = made.WRITTEN[name]
    assert read(made.away(OURS, *marks, subject=subject)) is None


def test_a_report_that_is_attached_or_quoted_is_none() -> None:
    bounce = made.postfix(OURS)
    head = b'From: eva@outside.example\r\nContent-Type: multipart/mixed; boundary="m"\r\n\r\n--m\r\n'
    attached = head + b"Content-Type: message/rfc822\r\n\r\n" + bounce + b"\r\n--m--\r\n"
    assert read(attached) is None
    quoted = b"From: eva@outside.example\r\n\r\n> Hi. This is the qmail-send program\r\n> <eva@outside.example>:\r\n"
    assert read(quoted) is None


def test_of_a_mail_that_came_back_only_its_own_name_counts() -> None:
    """A server returns Eva's mail to Jan, in which ours is answered: that is no report about ours."""
    other = made.postfix("<hers@outside.example>").replace(
        b"\r\nMessage-ID: <hers", b"\r\nReferences: " + OURS.encode() + b"\r\nMessage-ID: <hers"
    )
    found = read(other)
    assert found
    assert found.named == ("hers@outside.example",)


HOSTILE = {
    "no fields": made.postfix(OURS).replace(b"Final-Recipient", b"X"),
    "no action": made.postfix(OURS).replace(b"Action", b"X"),
    "an action nobody knows": made.postfix(OURS, action="exploded"),
    "an empty part": b'From: x@x\r\nContent-Type: multipart/report; boundary="b"\r\n\r\n--b\r\n'
    b"Content-Type: message/delivery-status\r\n\r\n--b--\r\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_report_that_says_nothing_is_none(name: str) -> None:
    assert read(HOSTILE[name]) is None


def test_what_is_said_is_one_short_line_whatever_stands_there() -> None:
    evil = "550 \x1b[31m\u202e<script>alert(1)</script>\x00" + "x" * 5000
    found = read(made.postfix(OURS).replace(made.SAID.encode(), evil.encode()))
    assert found
    assert len(found.about[0].says) <= reports.LONGEST
    assert found.about[0].says.isprintable()


def test_a_report_about_very_many_is_bounded_and_read_in_no_time() -> None:
    one = b"Final-Recipient: rfc822; a%d@x.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
    many = b"".join(one % number for number in range(3000))
    raw = made.postfix(OURS).replace(b"Final-Recipient: rfc822; eva", many + b"Final-Recipient: rfc822; eva")
    found = read(raw)
    assert found
    assert len(found.about) <= 501
    assert (
        read(made.postfix(OURS).replace(b"Final-", b"Final-Recipient: x\r\n" * 100_000 + b"Final-")) is None
    )  # too large
    for line in (b"-" * 200_000, b"<" * 200_000, b"a@" * 100_000, b"\n \n" * 60_000, b"Message-ID: <" * 20_000):
        for raw in (made.qmail(OURS), made.exim(OURS), made.exchange_text(OURS)):
            read(raw.replace(b"\r\n\r\n", b"\r\n\r\n" + line + b"\r\n", 1))


@given(st.binary(max_size=400), st.sampled_from(sorted(made.BOUNCES)), st.integers(0, 2000))
@settings(max_examples=150, deadline=None)
def test_whatever_stands_in_a_report_reading_it_raises_nothing(noise: bytes, name: str, at: int) -> None:
    raw = made.BOUNCES[name](OURS)
    read(raw[:at] + noise + raw[at:])
