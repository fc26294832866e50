"""mbox: where mails begin and end, whoever wrote the file; and quoting that can be undone."""

import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.importing import mbox
from archive.importing.mbox import Span, quoted, separator, spans, unquoted

FROM = b"From anna@demo.example Mon Nov  2 12:00:00 2026\n"


def mails(raw: bytes, *, by_length: bool = False) -> list[bytes]:
    return [raw[one.start : one.end] for one in found(raw, by_length=by_length)]


def found(raw: bytes, *, by_length: bool = False) -> list[Span]:
    return list(spans(io.BytesIO(raw), by_length=by_length))


def test_mails_are_what_stands_between_the_separators() -> None:
    raw = FROM + b"Subject: one\n\nfirst\n\n" + FROM + b"Subject: two\n\nsecond\n\n"
    assert mails(raw) == [b"Subject: one\n\nfirst\n", b"Subject: two\n\nsecond\n"]
    assert [one.separator.offset for one in found(raw)] == [0, raw.index(b"From ", 10)]
    assert found(raw)[0].separator.at == 1_793_620_800
    assert found(raw)[0].separator.sender == b"anna@demo.example"


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
def test_the_last_mail_loses_the_empty_line_and_nothing_else(end: bytes) -> None:
    assert mails(FROM + b"Subject: x\n\nbody" + end) == [b"Subject: x\n\nbody" + end[:1]]


def test_line_ends_of_windows_are_kept() -> None:
    crlf = FROM.replace(b"\n", b"\r\n")
    raw = crlf + b"Subject: one\r\n\r\nfirst\r\n\r\n" + crlf + b"Subject: two\r\n\r\nsecond\r\n\r\n"
    assert mails(raw) == [b"Subject: one\r\n\r\nfirst\r\n", b"Subject: two\r\n\r\nsecond\r\n"]


@pytest.mark.parametrize(
    "text",
    [
        b"From the mountains at 12:00 in 2026\n",  # no empty line before it
        b"\nFrom the mountains\n",  # tells no time
        b"\n>From anna@demo.example Mon Nov  2 12:00:00 2026\n",  # quoted
        b"\nFrom " + b"x" * 2000 + b" Mon Nov  2 12:00:00 2026\n",  # no line anybody writes
    ],
)
def test_text_that_looks_like_a_separator_is_text(text: bytes) -> None:
    mail = b"Subject: one\n\nfirst\n" + text + b"more\n"
    assert mails(FROM + mail + b"\n" + FROM + b"Subject: two\n\n\n") == [mail, b"Subject: two\n\n"]


def test_where_the_first_separator_tells_no_time_none_has_to() -> None:
    assert mails(b"From anna\nSubject: 1\n\na\n\nFrom bernd\nSubject: 2\n\nb\n") == [
        b"Subject: 1\n\na\n",
        b"Subject: 2\n\nb\n",
    ]


def test_a_content_length_is_believed_only_when_asked_and_where_it_leads_to_a_separator() -> None:
    body = b"quoting nobody\n\n" + FROM + b"Subject: inside\n\nstill the first\n"
    first = b"Subject: one\nContent-Length: %d\n\n" % len(body) + body
    raw = FROM + first + b"\n" + FROM + b"Subject: two\n\nsecond\n"
    assert mails(raw, by_length=True) == [first, b"Subject: two\n\nsecond\n"]
    assert len(mails(raw)) == 3
    for wrong in (5, len(body) + 7, len(raw) * 2, 10**15 - 1):
        lying = raw.replace(b"Content-Length: %d" % len(body), b"Content-Length: %d" % wrong)
        assert mails(lying, by_length=True) == mails(lying)
    assert mails(FROM + first, by_length=True) == [first]


def test_no_mbox_has_no_mails() -> None:
    assert mails(b"") == mails(b"Subject: x\n\nbody\n") == []
    assert mails(FROM) == [b""]
    assert mails(FROM + b"\n") == [b""]
    assert mails(FROM + b"\n" + FROM + b"\n") == [b"", b""]


@pytest.mark.parametrize("step", [1 << 20, 1000 + 60, 2048])
def test_separators_are_found_wherever_the_steps_of_reading_fall(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setattr(mbox, "_STEP", step)
    wanted = [b"Subject: %d\n\n" % n + b"x" * n + b"\n" for n in range(0, 2500, 7)]
    raw = b"".join(FROM + one + b"\n" for one in wanted)
    assert mails(raw) == wanted
    assert mails(raw, by_length=True) == wanted


def test_ten_times_the_mail_takes_ten_times_as_long() -> None:
    def seconds(count: int, *, by_length: bool) -> float:
        text = b"\n\nFrom x\n\nFrom "
        raw = (FROM + b"Content-Length: 999999999\n\n" + text * 50 + b"\n\n") * count
        started = time.process_time()
        assert len(found(raw, by_length=by_length)) == count
        return time.process_time() - started

    for by_length in (False, True):
        assert seconds(3000, by_length=by_length) < 40 * max(0.05, seconds(300, by_length=by_length))


LINES = st.lists(
    st.sampled_from([b"From ", b">From ", b">>From x", b">", b"\n", b"\r\n", b"F", b"From", b"rom ", b"x", b" "])
)


@given(LINES, st.integers(1, 7))
def test_quoting_can_be_undone_whatever_the_mail_and_its_pieces(lines: list[bytes], step: int) -> None:
    raw = b"".join(lines)
    pieces = [raw[at : at + step] for at in range(0, len(raw), step)]
    written = b"".join(quoted(pieces))
    assert unquoted(written) == raw
    assert not any(line.startswith(b"From ") for line in written.split(b"\n"))
    assert written == b"".join(quoted([raw]))


@given(st.lists(LINES, max_size=6))
def test_what_is_written_is_read_again(bodies: list[list[bytes]]) -> None:
    wanted = [b"".join(one) for one in bodies]
    raw = b""
    for one in wanted:
        cut = not one.endswith(b"\n")
        raw += separator(1_793_620_800_999, cut=cut) + b"".join(quoted([one])) + b"\n" * (1 + cut)
    read = []
    for span in found(raw):
        mail = unquoted(raw[span.start : span.end])
        read.append(mail.removesuffix(b"\n") if span.separator.sender == mbox.CUT else mail)
        assert span.separator.at == 1_793_620_800
    assert read == wanted


def test_separators_are_always_as_long() -> None:
    assert len({len(separator(at, cut=cut)) for at in (0, 10**12, 1 << 62) for cut in (True, False)}) == 1


def test_a_line_of_nothing_but_quotes_costs_what_its_length_costs() -> None:
    pieces = [b">" * (1 << 20)] * 20
    started = time.process_time()
    assert sum(map(len, quoted([*pieces, b"From x\n"]))) == (20 << 20) + 7 + 1
    assert time.process_time() - started < 5
