"""Composing: what a person wrote, as others read it, and nothing anybody typed becomes a header."""

import email
from email import policy
from email.message import EmailMessage

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from archive.mail import reader
from archive.outgoing import composing
from archive.outgoing.composing import Attachment, Person, Unwritable, Written, compose

NOON = 1_793_620_800_000
SECRET = bytes(range(32))
HELP = Person("Helpdesk", "help@demo.example")
EVA = Person("Eva Nováková", "eva@outside.example")


def letter(**other: object) -> Written:
    values: dict[str, object] = {
        "sender": HELP, "to": [EVA], "cc": [], "subject": "Re: Invoice", "text": "Hello Eva",
        "message_id": composing.message_id(HELP.address, SECRET, NOON), "date": NOON,
    }  # fmt: skip
    return Written(**{**values, **other})  # type: ignore[arg-type]


def parsed(raw: bytes) -> EmailMessage:
    found = email.message_from_bytes(raw, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def test_an_answer_has_text_and_html_and_says_what_it_answers() -> None:
    raw = compose(
        letter(
            text="**Yes**, on [Monday](https://demo.example/a).\n\n- one\n- two",
            quote="Eva wrote:\n> Is it *ready*?\n>> an older <b>line</b>",
            signature="Helpdesk\nPhone 123",
            in_reply_to="<1@outside.example>",
            references=["<0@outside.example>"],
        )
    )
    mail = parsed(raw)
    assert mail["In-Reply-To"] == "<1@outside.example>"
    assert mail["References"].split() == ["<0@outside.example>", "<1@outside.example>"]
    assert body(mail, "plain") == (
        "**Yes**, on [Monday](https://demo.example/a).\n\n- one\n- two\n\n-- \nHelpdesk\nPhone 123\n\n"
        "Eva wrote:\n> Is it *ready*?\n>> an older <b>line</b>\n"
    )
    html = body(mail, "html")
    assert "<strong>Yes</strong>" in html
    assert '<a href="https://demo.example/a">Monday</a>' in html
    assert "Is it *ready*?" in html  # what others wrote is no Markdown of ours
    assert "an older &lt;b&gt;line&lt;/b&gt;" in html
    assert html.count("<blockquote") == 2


def test_no_markup_and_no_script_of_anybody_comes_into_the_html() -> None:
    text = '<script>x</script> [a](javascript:x) ![b](https://spy.example/p.png) <img src="x">'
    html = body(parsed(compose(letter(text=text, signature="<i>s</i>", quote="<u>q</u>\n> <u>r</u>"))), "html")
    assert "<script" not in html
    assert "<img" not in html
    assert 'href="javascript' not in html
    assert "<i>" not in html
    assert "<u>" not in html
    assert "spy.example" not in html


def test_a_picture_named_in_the_text_stands_in_it_and_other_files_are_attached() -> None:
    picture = Attachment("plán 1.png", "image/png", b"\x89PNG\r\n\x1a\n\0")
    table = Attachment("Übersicht;x=1.csv", "text/csv", b"a;b\r\n" * 100)
    raw = compose(letter(text="Look: ![the plan](<plán 1.png>)", attachments=[picture, table]))
    mail = parsed(raw)
    (attached,) = [part for part in mail.walk() if part.get_content_disposition() == "attachment"]
    assert attached.get_filename() == table.name
    assert attached.get_payload(decode=True) == table.data
    (inline,) = [part for part in mail.walk() if part.get_content_disposition() == "inline"]
    assert inline.get_filename() == picture.name
    assert inline.get_payload(decode=True) == picture.data
    assert f'src="cid:{inline["Content-ID"].strip("<>")}"' in body(mail, "html")
    ours = reader.read(raw)
    assert [leaf.name for leaf in ours.leaves if leaf.attachment] == [picture.name, table.name]


def test_a_plain_mail_has_no_html() -> None:
    mail = parsed(compose(letter(markdown=False, text="**stars** stay")))
    assert mail.get_content_type() == "text/plain"
    assert body(mail, "plain") == "**stars** stay\n"


def test_a_mail_is_passed_on_as_it_is_or_encoded_where_it_would_be_altered() -> None:
    as_it_is = b"From: a@b.example\r\nSubject: x\r\n\r\nHello\r\n"
    altered = b"From: a@b.example\nSubject: x\n\n\xff" + b"y" * 2000
    whole = [Attachment("one.eml", "message/rfc822", as_it_is), Attachment("two.eml", "message/rfc822", altered)]
    raw = compose(letter(attachments=whole))
    assert as_it_is in raw
    kinds = [part.get_content_type() for part in parsed(raw).walk()]
    assert "message/rfc822" in kinds
    assert "application/octet-stream" in kinds
    (encoded,) = [part for part in parsed(raw).walk() if part.get_content_type() == "application/octet-stream"]
    assert encoded.get_payload(decode=True) == altered


HOSTILE = "\r\nBcc: spy@evil.example\r\n\r\nbody\u2028X: 1\u2029\x85Y: 2\x00\x0bZ: 3\n.\n\rW: 4"
TEXT = some.text(max_size=200) | some.text(alphabet='\r\n\u2028\u2029\0\x85\x0b\x0c\x1c ab:<>@,"\\=?é😀', max_size=300)


@given(name=TEXT, subject=TEXT, file=TEXT, text=TEXT, quote=TEXT, reference=TEXT, kind=TEXT)
@settings(max_examples=300, deadline=None)
@example(*[HOSTILE] * 7)
@example('Novák, Jan "x\\', "=?utf-8?q?x?=", "a\u202egpj.exe", "From me\n.\n..", "> \n>>>", "<a@b>\r\n", "a/b; c=d")
@example("é" * 200, "ž" * 900, "ř" * 300 + ".pdf", "x" * 5000, ">" * 500, "<1@x>", "multipart/mixed")
def test_whatever_is_typed_the_mail_has_the_headers_it_should_have(
    name: str, subject: str, file: str, text: str, quote: str, reference: str, kind: str
) -> None:
    raw = compose(
        letter(
            sender=Person(name, HELP.address), to=[Person(name, EVA.address)], cc=[Person(subject, "c@demo.example")],
            subject=subject, text=text, quote=quote, signature=quote, in_reply_to=reference, references=[reference],
            attachments=[Attachment(file, kind, b"data\r\n.\r\n")],
        )
    )  # fmt: skip
    assert raw.isascii()
    assert b"\0" not in raw
    lines = raw.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert max(map(len, lines)) <= 998
    assert not any(line.startswith(b"From ") for line in lines)
    head = raw[: raw.index(b"\r\n\r\n")].split(b"\r\n")
    names = [line.split(b":")[0] for line in head if not line.startswith(b" ")]
    allowed = [b"Date", b"From", b"To", b"Cc", b"Subject", b"Message-ID", b"In-Reply-To", b"References"]
    assert [one for one in names if one not in (b"In-Reply-To", b"References")] == [
        *allowed[:6], b"MIME-Version", b"Content-Type",
    ]  # fmt: skip
    ours = reader.read(raw)
    assert [one.address for one in ours.to] == [EVA.address]
    assert (ours.subject or "").split() == composing.clean(subject)[:900].split()
    assert [one.name for one in ours.leaves if one.attachment] != []
    second = parsed(raw)
    assert second["Bcc"] is None
    assert len(list(second.walk())) == 5
    attached = [part for part in second.walk() if part.get_content_disposition() == "attachment"]
    assert [part.get_payload(decode=True) for part in attached] == [b"data\r\n.\r\n"]


@pytest.mark.parametrize(
    "name", ["Jan Novák", 'Jan "Joe" Novak', "Novak, Jan", "o'Brien (x)", "=?utf-8?q?x?=", "a" * 50]
)
def test_names_come_back_as_they_were(name: str) -> None:
    raw = compose(letter(to=[Person(name, EVA.address)]))
    assert [one.name for one in reader.read(raw).to] == [name]
    assert parsed(raw)["To"].addresses[0].display_name == name


@pytest.mark.parametrize(
    "address",
    ["", "eva", "@x.example", "eva@", "a b@x.example", "eva@x..example", "eva@-x.example", "a\r\nb@x.example",
     "e,f@x.example",
     "<eva@x.example>", "eva\u2028@x.example", "eva@x.example>",
     "e" * 65 + "@x.example", ".eva@x.example", "eva@[127.0.0.1]"],
)  # fmt: skip
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(Unwritable):
        composing.checked(address)


def test_a_domain_in_any_script_is_written_in_ascii() -> None:
    assert composing.checked("eva@Bücher.example") == "eva@xn--bcher-kva.example"
    assert composing.needs_utf8([composing.checked("žofie@outside.example")])


def test_our_message_ids_are_known_and_nobody_else_makes_one() -> None:
    ours = composing.message_id(HELP.address, SECRET, NOON)
    assert composing.is_ours(ours, SECRET)
    assert ours.endswith("@demo.example>")
    assert not composing.is_ours(ours, bytes(32))
    assert not composing.is_ours(ours.replace(".", "0.", 1), SECRET)
    assert not composing.is_ours("<1@outside.example>", SECRET)
    assert not composing.is_ours("<é.ü@x>", SECRET)


@pytest.mark.parametrize("before", ["Invoice", "Re: Invoice", "RE: AW: Fwd: Invoice", "Odp: Re[2]: Invoice"])
def test_subjects_are_answered_once(before: str) -> None:
    assert composing.reply_subject(before) == "Re: Invoice"
    assert composing.forward_subject(before) == "Fwd: Invoice"


def test_a_quote_leaves_out_the_signature_and_deepens_what_was_quoted() -> None:
    assert composing.quoted("Hello\n> older\n\n-- \nEva") == "> Hello\n>> older"
