"""Same or not the same: what the author wrote, apart from what transport added on the way.

A copy's transport headers are cut out of it, wherever they stand in its header block. What is left is the *content*,
the same for every copy of one message; the cut-out headers and their places are the copy's *trace*. The two give the
copy back byte for byte. The list is versioned: another list makes other content keys. What was archived under an
earlier one is read and proved as ever, for its content and trace lie as they were cut.
"""

import hmac
import re
import struct
import tempfile
from collections.abc import Iterable, Iterator
from mmap import mmap

from .mapped import Mapped

VERSION = 2  # 1: all that began with X-Spam was taken for a filter's

# Written by whoever carries the mail, never by its author. Bcc is here because it differs from copy to copy, and
# nobody may see another copy's (RFC 5322 3.6.3).
_TRANSPORT = (
    "apparently-to arc-[!-9;-~]+ authentication-results bcc content-length delivered-to dkim-filter "
    "dl-expansion-history envelope-to errors-to lines old-return-path original-recipient received received-spf "
    "resent-bcc return-path status x-amavis-[!-9;-~]+ x-antiabuse x-apparently-to x-assp-[!-9;-~]+ "
    "x-authentication-results x-bogosity x-clamav-[!-9;-~]+ x-delivered-to x-dspam-[!-9;-~]+ x-envelope-from "
    "x-envelope-to x-evolution[!-9;-~]* x-forefront-[!-9;-~]+ x-forwarded-encrypted x-forwarded-for "
    "x-forwarded-to x-getmail-[!-9;-~]+ x-gm-[!-9;-~]+ x-gmail-[!-9;-~]+ x-google-smtp-source x-greylist "
    "x-imap x-imapbase x-keywords x-loop x-microsoft-antispam[!-9;-~]* x-mozilla-[!-9;-~]+ "
    "x-ms-exchange-[!-9;-~]+ x-original-to x-originating-ip x-ovh-[!-9;-~]+ x-policyd-weight "
    "x-proofpoint-[!-9;-~]+ x-quarantine-id x-received x-resolved-to x-rspamd-[!-9;-~]+ x-sieve "
    "x-sieve-redirected-from x-spamassassin-[!-9;-~]+ x-spambayes-[!-9;-~]+ x-spamcatcher-[!-9;-~]+ "
    "x-spamd-[!-9;-~]+ x-spamexperts-[!-9;-~]+ x-spaminfo x-spamprobe x-spamscore x-spamtest-[!-9;-~]+ x-status x-uid "
    "x-uidl x-virus-[!-9;-~]+ x-vr-[!-9;-~]+ x-zoho-[!-9;-~]+"
)
# What filters write behind "X-Spam-" or, as Exim's manual has it, "X-Spam_". By name: an author may write X-Spam-Joke.
_SPAM = (
    "action asn bar category checker-version dcc details flag hits info languages level orig-to prev-content-type "
    "prev-prefs prev-subject processed pyzor rating razor rbl reasons relay-country relays-external relays-internal "
    "relays-trusted relays-untrusted report required result score score-int source-ip state status symbols tag test "
    "tests tests-score threshold token-summary user version virus"
)
_TRACE = re.compile(
    rb"^(?:"
    + "|".join(_TRANSPORT.split()).encode()
    + rb"|x-spam(?:[-_](?:"
    + "|".join(_SPAM.split()).replace("-", "[-_]").encode()
    + rb"))?)[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*",
    re.IGNORECASE | re.MULTILINE,
)
_END = re.compile(rb"\n(?=\r?\n)")
_RUN = struct.Struct(">QI")
_STEP = 1 << 20

Raw = bytes | mmap


def split(raw: Raw) -> tuple[Raw, bytes]:
    """The content, and the trace: where which transport headers were cut out."""
    kept: list[memoryview] = []
    trace: list[bytes] = []
    at = length = 0  # up to where of raw; how many bytes of content so far
    with memoryview(raw) as view:
        for run in _TRACE.finditer(raw, 0, header_end(raw)):
            start, stop = run.span()
            if start > at:
                kept.append(view[at:start])
                length += start - at
            trace.append(_RUN.pack(length, stop - start))
            trace.append(run[0])
            at = stop
        if not trace:
            return raw, b""
        kept.append(view[at:])
        content = _spooled(kept) if isinstance(raw, mmap) else b"".join(kept)
        for piece in kept:
            piece.release()
    return content, b"".join(trace)


def _spooled(pieces: Iterable[memoryview]) -> Raw:
    """The pieces one after the other in a file without a name, mapped: a large mail stays out of memory."""
    with tempfile.TemporaryFile() as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        return Mapped(file.fileno()) if file.tell() else b""


def header_end(raw: Raw) -> int:
    """The length of the header block in bytes, its last line end included (RFC 5322 2.1)."""
    if raw[:1] == b"\n" or raw[:2] == b"\r\n":
        return 0
    found = _END.search(raw)
    return found.end() if found else len(raw)


def join(content: Iterable[bytes], trace: bytes) -> Iterator[bytes]:
    """The copy as it was received, in pieces, from its message's content and its own trace."""
    at = 0
    runs = _runs(trace)
    place, header = next(runs, (None, b""))
    for piece in content:
        start = 0
        while place is not None and place <= at + len(piece):
            yield piece[start : place - at]
            yield header
            start = place - at
            place, header = next(runs, (None, b""))
        yield piece[start:]
        at += len(piece)
    while place is not None:  # nothing but transport headers: the content is empty
        yield header
        place, header = next(runs, (None, b""))


def trace_headers(trace: bytes) -> bytes:
    """The transport headers of one copy as a header block, in their order."""
    return b"".join(header for _, header in _runs(trace))


def _runs(trace: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(trace):
        place, length = _RUN.unpack_from(trace, at)
        at += _RUN.size
        yield place, trace[at : at + length]
        at += length


def content_key(content: Raw, secret: bytes) -> bytes:
    """What tells whether two copies are one message: a keyed hash of the content, useless without the key."""
    return hmac.digest(secret, content, "sha256") if isinstance(content, bytes) else _streamed_key(content, secret)


def _streamed_key(content: Raw, secret: bytes) -> bytes:
    return keyed_hash((content[start : start + _STEP] for start in range(0, len(content), _STEP)), secret)


def hashing(secret: bytes) -> hmac.HMAC:
    """A keyed hash that is given its bytes by and by (`update`, `digest`)."""
    return hmac.new(secret, digestmod="sha256")


def keyed_hash(pieces: Iterable[bytes], secret: bytes) -> bytes:
    """HMAC-SHA-256 of bytes in pieces: tells whether two are the same, useless without the key."""
    digest = hashing(secret)
    for piece in pieces:
        digest.update(piece)
    return digest.digest()
