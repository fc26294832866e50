"""Attachments are cut out of a mail only where they come back byte for byte."""

import base64
import os
from mmap import mmap

from hypothesis import given
from hypothesis import strategies as st

from archive.mail import cutting

NEWLINES = st.sampled_from([b"\r\n", b"\n"])


def encoded(plain: bytes, width: int = 76, newline: bytes = b"\r\n") -> bytes:
    code = base64.b64encode(plain)
    return newline.join(code[at : at + width] for at in range(0, len(code), width))


def there_and_back(mail: bytes, spans: list[tuple[int, int]]) -> tuple[list[bytes], bytes]:
    cuts = cutting.find(mail, spans)
    leaves = [b"".join(cutting.decoded(mail, cut)) for cut in cuts]
    left = b"".join(cutting.skeleton(mail, cuts))
    pieces = [left[at : at + 100] for at in range(0, len(left), 100)]
    parts = [[leaf[at : at + 1000] for at in range(0, len(leaf), 1000)] for leaf in leaves]
    assert b"".join(cutting.join(pieces, zip(cuts, parts, strict=True))) == mail
    return leaves, left


@given(st.binary(min_size=1200, max_size=5000), st.sampled_from([4, 60, 64, 72, 76, 996]), NEWLINES, st.integers(0, 3))
def test_base64_as_it_is_written_is_cut_out_and_comes_back(
    plain: bytes, width: int, newline: bytes, empty: int
) -> None:
    body = encoded(plain, width, newline)
    mail = b"Subject: x" + newline * 2 + body + newline * empty + b"--boundary--"
    start = mail.index(body)
    leaves, left = there_and_back(mail, [(start, start + len(body) + len(newline) * empty)])
    assert leaves == [plain]
    assert left == b"Subject: x" + newline * 2 + newline * empty + b"--boundary--"


@given(st.binary(min_size=1200, max_size=3000), st.integers(0, 4000), st.binary(min_size=1, max_size=3))
def test_whatever_was_changed_in_it_the_mail_comes_back(plain: bytes, at: int, dirt: bytes) -> None:
    body = encoded(plain)
    dirty = body[:at] + dirt + body[at:]
    there_and_back(b"A: b\r\n\r\n" + dirty, [(8, 8 + len(dirty))])


def test_a_last_character_with_spare_bits_set_stays_as_it_came() -> None:
    body = encoded(b"x" * 1300)
    assert body.endswith(b"eA==")
    _, left = there_and_back(body[:-3] + b"B==", [(0, len(body))])
    assert len(left) == len(body)


def test_lines_of_two_lengths_stay_as_they_came() -> None:
    body = encoded(b"x" * 3000, 76) + b"\r\n" + encoded(b"y" * 1500, 72)
    _, left = there_and_back(body, [(0, len(body))])
    assert left == body


def test_two_leaves_are_cut_each_at_its_place() -> None:
    first, second = os.urandom(2000), os.urandom(3001)
    one, two = encoded(first), encoded(second, 64, b"\n")
    mail = b"head\r\n" + one + b"\r\nbetween\r\n" + two + b"\nend"
    spans = [(mail.index(one), mail.index(one) + len(one)), (mail.index(two), mail.index(two) + len(two))]
    leaves, left = there_and_back(mail, spans)
    assert leaves == [first, second]
    assert left == b"head\r\n\r\nbetween\r\n\nend"


def test_a_large_leaf_goes_through_in_blocks() -> None:
    plain = os.urandom(5_000_001)
    mail = b"head\r\n\r\n" + encoded(plain) + b"\r\n"
    with mmap(-1, len(mail)) as mapped:
        mapped.write(mail)
        cuts = cutting.find(mapped, [(8, len(mail))])
        pieces = list(cutting.decoded(mapped, cuts[0]))
        assert max(map(len, pieces)) < 1 << 20
        assert b"".join(pieces) == plain
        back = cutting.join(cutting.skeleton(mapped, cuts), zip(cuts, [pieces], strict=True))
        assert b"".join(back) == mail
