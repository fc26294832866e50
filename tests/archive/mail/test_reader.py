"""The reader: what stands in an ordinary mail, and exactly where."""

from archive.mail import addresses, dates, headers, reader
from archive.mail.reader import Address, Limits

RAW = b"""\
Received: from mx.example by post.example; Mon, 2 Mar 2026 10:00:05 +0100
From: =?utf-8?Q?Kl=C3=A1ra?= <clara@press.example>
Sender: desk@press.example
To: helpdesk@office.example, "Bernd B." <bernd@office.example>
Reply-To: press@press.example
Subject: Plan for
 March
Date: Mon, 2 Mar 2026 10:00:00 +0100 (CET)
Message-ID: <1.2@press.example>
References: <0.1@office.example>
 <0.2@press.example>
In-Reply-To: <0.2@press.example>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=_1"

--=_1
Content-Type: multipart/alternative; boundary="=_2"

--=_2
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

The pl=C3=A1n.
--=_2
Content-Type: text/html; charset=utf-8

<p>The <b>p</b>lan.</p>
--=_2--
--=_1
Content-Type: image/png; name="plan.png"
Content-ID: <plan@press.example>
Content-Disposition: inline; filename="plan.png"
Content-Transfer-Encoding: base64

iVBORw==
--=_1--
"""


def test_the_header_says_who_when_and_what() -> None:
    mail = reader.read(RAW)
    assert mail.from_ == (Address("Klára", "clara@press.example"),)
    assert mail.sender == (Address("", "desk@press.example"),)
    assert mail.to == (Address("", "helpdesk@office.example"), Address("Bernd B.", "bernd@office.example"))
    assert mail.reply_to == (Address("", "press@press.example"),)
    assert (mail.cc, mail.bcc) == ((), ())
    assert mail.subject == "Plan for March"
    assert mail.date == 1772442000
    assert mail.message_id == "1.2@press.example"
    assert mail.references == ("0.1@office.example", "0.2@press.example")
    assert mail.header("auto-submitted") == "auto-replied"
    assert mail.header("X-Missing") is None
    assert mail.headers[0] == ("Received", b"from mx.example by post.example; Mon, 2 Mar 2026 10:00:05 +0100")
    assert mail.problems == ()


def test_every_leaf_stands_where_its_offsets_say() -> None:
    mail = reader.read(RAW)
    assert [(leaf.path, RAW[leaf.start : leaf.end]) for leaf in mail.leaves] == [
        ("1.1", b"The pl=C3=A1n."),
        ("1.2", b"<p>The <b>p</b>lan.</p>"),
        ("2", b"iVBORw=="),
    ]
    picture = mail.leaves[2]
    assert (picture.name, picture.content_id, picture.disposition) == ("plan.png", "plan@press.example", "inline")
    assert reader.content(RAW, picture) == b"\x89PNG"[:4]


def test_bodies_are_decoded_and_indexed() -> None:
    mail = reader.read(RAW)
    assert reader.text(RAW, mail) == "The plán."
    assert reader.html(RAW, mail) == "<p>The <b>p</b>lan.</p>"
    assert reader.words(RAW, mail) == "The plán."


def test_html_alone_is_indexed_as_its_words() -> None:
    page = b"<html><head><title>x</title><style>p {color: red}</style></head><body><p>Dear&nbsp;<b>B</b>ernd,</p>"
    page += b"<script>alert('no')</script><!-- nor this -->it<br>works &amp; runs: 1 < 2</body></html>"
    raw = b"Content-Type: text/html\n\n" + page
    assert reader.words(raw, reader.read(raw)).split() == ["Dear", "Bernd,", "it", "works", "&", "runs:", "1", "<", "2"]


def test_an_empty_plain_text_beside_html_hides_nothing_from_search() -> None:
    raw = b"Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\n \n"
    raw += b"--b\nContent-Type: text/html\n\n<p>found</p>\n--b--\n"
    assert reader.words(raw, reader.read(raw)).strip() == "found"


def test_what_is_indexed_is_bounded() -> None:
    raw = b"Content-Type: text/plain\n\n" + b"word " * 1000
    assert len(reader.words(raw, reader.read(raw), Limits(words=100))) == 100


def test_an_attached_mail_keeps_its_text_to_itself_unless_asked() -> None:
    raw = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nsee below\n--b\nContent-Type: message/rfc822\n\n"
    raw += b"Subject: inside\n\ninner text\n--b--\n"
    mail = reader.read(raw)
    assert reader.text(raw, mail) == "see below"
    assert reader.text(raw, mail, attached=True) == "see below\ninner text"
    inner = reader.content(raw, mail.leaves[1])
    assert reader.read(inner).subject == "inside"


def test_what_is_no_mail_at_all_is_read_without_complaint_but_said() -> None:
    mail = reader.read(b"\xff\xfe\x00nothing")
    assert mail.subject == ""
    assert "there is no date" in mail.problems


DATES = {
    "Mon, 2 Mar 2026 10:00:00 +0100": 1772442000,
    "2 Mar 2026 10:00 +0100": 1772442000,
    "Mon, 02 Mar 2026 09:00:00 GMT": 1772442000,
    "Mon,  2 Mar 2026  09:00:00 -0000": 1772442000,
    "Mon, 2 Mar 26 10:00:00 +0100": 1772442000,
    "Monday, 2 March 2026 10:00:00 CET": 1772442000,
    "Mon, 2 Mar 2026 04:00:00 EST": 1772442000,
    "Mon, 2 Mar 2026 10:00:00 +0100 (Central European Time)": 1772442000,
    "Mon, 2 Mar 2026 10:00:00 (CET)": 1772442000,
    "Mon, 2 Mar 2026 10(ten):00:00 +0100": 1772442000,
    "Mon, 2 Mar 2026 10:00:00 +01:00": 1772442000,
    "Mon, 2 Mar 2026 10:00:00 GMT+0100": 1772442000,
    "Mon, 2-Mar-2026 10:00:00 +0100": 1772442000,
    "Mon Mar  2 09:00:00 2026": 1772442000,
    "Mon Mar  2 10:00:00 CET 2026": 1772442000,
    "Mon, Mar 2, 2026 at 9:00:00 AM": 1772442000,
    "2026-03-02T10:00:00+01:00": 1772442000,
    "2026-03-02 09:00:00": 1772442000,
    "2026-03-02T09:00:00.123Z": 1772442000,
    "02.03.2026 09:00:00": 1772442000,
    "03/02/2026 09:00:00": 1772442000,
    "Mon, 2 Mar 2026 09:00:00 Z": 1772442000,
    "Mon, 2 Mar 2026": 1772409600,
    "Thu, 1 Jan 98 00:00:00 +0000": 883612800,
    "Mon, 31 Feb 2026 10:00:00 +0100": None,
    "yesterday": None,
    "": None,
}


def test_dates_are_read_in_every_form_that_is_sent() -> None:
    assert {line: dates.seconds(line) for line in DATES} == DATES


def test_a_message_id_is_what_stands_between_the_brackets() -> None:
    assert headers.message_id(" <a@b>") == "a@b"
    assert headers.message_id("a@b") == "a@b"
    assert headers.message_id("<a\t@b> <c@d>") == "a@b"
    assert headers.message_id("") == ""
    assert len(headers.message_id("<" + "x" * 10_000 + "@b>")) == 998


def test_of_too_many_references_the_first_and_the_newest_are_kept() -> None:
    line = " ".join(f"<{i}@x>" for i in range(500))
    kept = headers.references(line, 100)
    assert (len(kept), kept[0], kept[1], kept[-1]) == (100, "0@x", "401@x", "499@x")


def test_people_are_bounded() -> None:
    assert len(addresses.people(", ".join(f"p{i}@x.example" for i in range(50)), limit=10)) == 10
