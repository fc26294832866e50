"""What Outlook packs into winmail.dat is found in it. The streams are packed here by the format's description."""

import base64
import struct

import pytest

from archive.mail import inspection, reader, tnef


def attribute(level: int, kind: int, form: int, data: bytes) -> bytes:
    return struct.pack("<BHHI", level, kind, form, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def properties(*values: tuple[int, int, bytes]) -> bytes:
    """MAPI properties: (type, id, value); those of variable length are padded to four bytes."""
    out = struct.pack("<I", len(values))
    for form, key, value in values:
        out += struct.pack("<HH", form, key)
        if form in (0x0D, 0x1E, 0x1F, 0x102):
            out += struct.pack("<II", 1, len(value)) + value + b"\0" * (-len(value) % 4)
        else:
            out += value
    return out


def attachment(name: str, content: bytes, content_type: str = "") -> bytes:
    described = [(0x1F, 0x3707, (name + "\0").encode("utf-16-le")), (0x0B, 0x7FFE, b"\1\0\0\0")]
    if content_type:
        described.append((0x1E, 0x370E, content_type.encode() + b"\0"))
    return (
        attribute(2, 0x9002, 6, b"\1\0" + b"\0" * 12)
        + attribute(2, 0x8010, 1, b"SHORT~1.PDF\0")
        + attribute(2, 0x800F, 6, content)
        + attribute(2, 0x9005, 6, properties(*described))
    )


def stream(*parts: bytes) -> bytes:
    version = attribute(1, 0x9006, 8, b"\0\0\1\0")
    codepage = attribute(1, 0x9007, 6, struct.pack("<II", 1250, 0))
    return tnef.SIGNATURE + b"\1\0" + version + codepage + b"".join(parts)


def mail(winmail: bytes, text: bytes = b"Hello") -> bytes:
    return (
        b"From: anna@helpdesk.example\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n" + text + b"\n--b\n"
        b"Content-Type: application/ms-tnef; name=winmail.dat\nContent-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(winmail)
        + b"--b--\n"
    )


TWO = stream(
    attribute(1, 0x9003, 6, properties((0x1E, 0x1000, "Dobrý den".encode("cp1250") + b"\0"))),
    attachment("Nabídka číslo 2.pdf", b"%PDF-1.7 offer"),
    attachment("plan.png", b"\x89PNG", "image/png"),
)


def test_the_attachments_in_a_winmail_dat_are_listed_with_their_names() -> None:
    raw = mail(TWO)
    found = [(leaf.path, leaf.name, leaf.content_type, leaf.attachment) for leaf in reader.read(raw).leaves]
    assert found == [
        ("1", None, "text/plain", False),
        ("2", "winmail.dat", "application/ms-tnef", True),
        ("2.1", "Nabídka číslo 2.pdf", "application/pdf", True),
        ("2.2", "plan.png", "image/png", True),
    ]
    offer, plan = reader.read(raw).leaves[2:]
    assert reader.content(raw, offer) == b"%PDF-1.7 offer"
    assert b"".join(reader.content_chunks(raw, plan)) == b"\x89PNG"
    assert [part["size"] for part in inspection.describe(raw)["parts"]] == [5, len(TWO), 14, 4]


def test_a_body_in_it_is_the_text_where_there_is_no_other() -> None:
    raw = b"Content-Type: application/ms-tnef\n\n" + TWO
    assert reader.text(raw, reader.read(raw)) == "Dobrý den"


def test_a_message_attached_in_it_is_opened_too() -> None:
    inner = stream(attachment("inside.txt", b"deep"))
    embedded = bytes.fromhex("0703020000000000c000000000000046") + inner
    outer = stream(
        attribute(2, 0x9002, 6, b"\1\0" + b"\0" * 12)
        + attribute(2, 0x9005, 6, properties((0x1E, 0x3001, b"Forwarded\0"), (0x0D, 0x3701, embedded)))
    )
    assert [(item.name, item.content_type) for item in tnef.items(outer, 100)] == [
        ("Forwarded", "application/ms-tnef"),
        ("inside.txt", "text/plain"),
    ]
    last = tnef.items(outer, 100)[-1]
    assert outer[last.start : last.end] == b"deep"


@pytest.mark.parametrize("size", [*range(0, 60), *range(60, len(TWO), 7)])
def test_a_stream_cut_short_gives_what_stands_before_the_cut(size: int) -> None:
    for item in tnef.items(TWO[:size], 100):
        assert 0 <= item.start <= item.end <= size


def test_what_only_calls_itself_tnef_is_kept_and_said() -> None:
    read = reader.read(mail(b"nothing of the kind"))
    assert [leaf.name for leaf in read.leaves] == [None, "winmail.dat"]
    assert any("winmail.dat" in problem for problem in read.problems)


def test_another_reader_of_tnef_finds_the_same() -> None:
    tnefparse = pytest.importorskip("tnefparse", reason="tnefparse is not installed")
    theirs = tnefparse.TNEF(TWO)
    assert [(a.long_filename().strip("\0"), a.data) for a in theirs.attachments] == [
        (item.name, TWO[item.start : item.end]) for item in tnef.items(TWO, 100) if not item.body
    ]
