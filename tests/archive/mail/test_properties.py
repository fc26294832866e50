"""What holds for every mail, tried with mails that nobody thought of."""

from hypothesis import given, settings
from hypothesis import strategies as some

from archive.mail import addresses, dates, headers, inspection, leaves, reader
from archive.mail.reader import Mail
from tests.mails import difficult

SAMPLES = [
    m.raw
    for group in (difficult.SUBJECTS, difficult.PEOPLE, difficult.SHAPES, difficult.ATTACHMENTS)
    for m in group.values()
]
PIECES = some.sampled_from(
    [
        b"\n",
        b"\r\n",
        b"\n\n",
        b"--sep",
        b"--sep--",
        b"Content-Type: ",
        b"multipart/mixed; boundary=sep",
        b"message/rfc822",
        b"Content-Transfer-Encoding: base64",
        b"From: ",
        b"=?utf-8?B?",
        b"?=",
        b"<",
        b">",
        b'"',
        b"\\",
        b"(",
        b";",
        b"\0",
        b"\xff",
    ]
)


@some.composite
def spliced(draw: some.DrawFn) -> bytes:
    """A piece of one difficult mail, something in between, a piece of another."""
    one, two = draw(some.sampled_from(SAMPLES)), draw(some.sampled_from(SAMPLES))
    between = b"".join(draw(some.lists(PIECES | some.binary(max_size=8), max_size=6)))
    return one[: draw(some.integers(0, len(one)))] + between + two[draw(some.integers(0, len(two))) :]


def _read_everything(raw: bytes) -> Mail:
    mail = reader.read(raw)
    assert not any("could not be read" in problem for problem in mail.problems), mail.problems
    reader.words(raw, mail)
    described = inspection.describe(raw, with_content=True)
    assert len(described["parts"]) == len(reader.read(raw).leaves) or raw[:5] in (b"From ", b">From")
    return mail


@given(some.binary(max_size=2000))
def test_any_bytes_are_read(raw: bytes) -> None:
    _read_everything(raw)


@settings(max_examples=400)
@given(spliced())
def test_spliced_mails_are_read(raw: bytes) -> None:
    mail = _read_everything(raw)
    for leaf in mail.leaves:
        if leaf.container is None:
            assert 0 <= leaf.start <= leaf.end <= len(raw)


@given(spliced())
def test_no_text_of_a_mail_can_break_a_line_or_a_database(raw: bytes) -> None:
    mail = reader.read(raw)
    for line in (
        mail.subject,
        mail.message_id,
        *mail.references,
        *(p.address for p in (*mail.from_, *mail.to, *mail.cc)),
    ):
        assert not set("\r\n\0") & set(line)
        line.encode("utf-8")
    reader.words(raw, mail).encode("utf-8")


@given(some.text(max_size=300))
def test_any_line_is_an_address_list_a_date_and_a_parameter_list(line: str) -> None:
    addresses.people(line)
    dates.seconds(line)
    headers.parameters(line)
    headers.decode_words(line)


@given(some.binary(max_size=3000), some.integers(1, 80))
def test_base64_is_read_however_its_lines_are_broken(data: bytes, width: int) -> None:
    import base64

    digits = base64.b64encode(data)
    lines = b"\r\n".join(digits[i : i + width] for i in range(0, len(digits), width))
    assert headers.base64_bytes(lines) == data
    assert headers.base64_bytes(lines.rstrip(b"=")) == data


@given(some.binary(max_size=2000))
def test_chunks_are_the_content(data: bytes) -> None:
    import base64

    raw = b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(data * 2000)
    (leaf,) = reader.read(raw).leaves
    assert b"".join(leaves.content_chunks(raw, leaf)) == reader.content(raw, leaf) == data * 2000
