"""Makes mails that mean the same and look different: other boundaries, folding, transfer encodings, encoded words.

`mutate(raw, seed)` is pure. Decoded leaves keep every byte, headers their values, charsets their labels; what is not
strictly well-formed is left as it is, because nobody can say what it means. Attached mails are leaves, and untouched.

    python -m tests.mails.mutator SRC_DIR OUT_DIR --count 1000 --seed 1 [--expected EXPECTED.jsonl]

writes OUT_DIR/000000.eml … and OUT_DIR/mapping.jsonl with {"file", "source", "seed"} a line. With --expected only the
mails that the rows of EXPECTED name ("file", relative to EXPECTED's folder) are taken, and OUT_DIR/expected.jsonl holds
their rows under the mutants' names.
"""

import argparse
import base64
import binascii
import itertools
import json
import quopri
import random
import re
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_FIELD = re.compile(rb"([!-9;-~]+)([ \t]*:)(.*)", re.S)
_TYPE = re.compile(rb"\s*multipart/[a-z0-9.+-]+\s*(;|\Z)", re.I)
_BOUNDARY = re.compile(
    rb';\s*boundary\s*=\s*(?:"([^"\\\r\n]{1,70})"|([!#$%&\'*+.0-9A-Z^_`a-z{|}~-]{1,70}))(?=\s*(?:;|\Z))', re.I
)
_WORD = re.compile(rb"=\?([A-Za-z0-9_-]+)\?([BbQq])\?([!->@-~]*)\?=")
_FOLDABLE = re.compile(rb"(?<=[^ \t\r\n]) (?=[^ \t\r\n])")


@dataclass
class Part:
    """A part as it stands: header fields with their line ends, then a body, or children between delimiters."""

    prefix: bytes = b""  # a mbox "From " line
    fields: list[bytes] = field(default_factory=list)
    gap: bytes = b""  # the empty line
    body: bytes = b""
    boundary: bytes | None = None
    preamble: bytes = b""
    children: list["Part"] = field(default_factory=list)
    delimiters: list[bytes] = field(default_factory=list)  # what stands after each boundary on its line, and before it
    epilogue: bytes = b""
    opaque: bytes | None = None  # not well-formed: all of it

    def __bytes__(self) -> bytes:
        if self.opaque is not None:
            return self.opaque
        head = self.prefix + b"".join(self.fields) + self.gap
        if self.boundary is None:
            return head + self.body
        pieces = [self.preamble]
        for child, after in zip([*self.children, None], self.delimiters, strict=False):
            pieces += [b"--", self.boundary, after]
            if child is not None:
                pieces.append(bytes(child))
        return head + b"".join(pieces) + self.epilogue


def parse(raw: bytes, depth: int = 0) -> Part:
    """The parts of *raw*, so that bytes(parse(raw)) == raw; whatever is not well-formed is one opaque part."""
    part = Part()
    rest = raw
    if depth == 0 and rest.startswith(b"From "):
        line, newline, rest = rest.partition(b"\n")
        part.prefix = line + newline
    if rest[:1] == b"\n" or rest[:2] == b"\r\n":
        part.gap, part.body = (b"\n", rest[1:]) if rest[:1] == b"\n" else (b"\r\n", rest[2:])
        return part
    blank = re.search(rb"\n(\r?\n)", rest)
    if blank is None:
        return Part(opaque=raw)
    lines = rest[: blank.start() + 1].splitlines(keepends=True)
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            if not part.fields or not line.strip():
                return Part(opaque=raw)
            part.fields[-1] += line
        elif _FIELD.match(line) and b":" in line and not line.split(b":", 1)[0].endswith((b" ", b"\t")):
            part.fields.append(line)
        else:
            return Part(opaque=raw)
        if not line.endswith(b"\n"):
            return Part(opaque=raw)
    part.gap = blank[1]
    part.body = rest[blank.end() :]
    if depth < 20:
        _open(part, depth)
    return part if bytes(part) == raw else Part(opaque=raw)


def _open(part: Part, depth: int) -> None:
    """Take a multipart apart when its boundary and every one of its delimiters are beyond doubt."""
    stated = _values(part, b"content-type")
    if len(stated) != 1 or not _TYPE.match(stated[0]) or stated[0].lower().count(b"boundary") != 1:
        return
    if b"multipart/digest" in stated[0].lower():
        return  # its parts are mails where nothing else is said (RFC 2046 5.1.5), and mails are left as they are
    found = _BOUNDARY.search(_unfolded(stated[0]))
    boundary = (found[1] or found[2]) if found else b""
    if not boundary or boundary != boundary.rstrip() or boundary not in stated[0]:
        return
    lines = list(re.finditer(rb"(?:\A|(?<=\n))--" + re.escape(boundary), part.body))
    exact = list(re.finditer(rb"(?:\A|(?<=\n))--" + re.escape(boundary) + rb"(--)?[ \t]*(?:\r?\n|\Z)", part.body))
    if not exact or len(lines) != len(exact) or exact[-1][1] is None or any(m[1] for m in exact[:-1]) or len(exact) < 2:
        return
    part.preamble = part.body[: exact[0].start()]
    for one, two in itertools.pairwise(exact):
        part.delimiters.append(part.body[one.start() + 2 + len(boundary) : one.end()])
        part.children.append(parse(part.body[one.end() : two.start()], depth + 1))
    part.delimiters.append(part.body[exact[-1].start() + 2 + len(boundary) : exact[-1].end()])
    part.epilogue = part.body[exact[-1].end() :]
    part.boundary, part.body = boundary, b""


def _unfolded(value: bytes) -> bytes:
    return re.sub(rb"\r?\n(?=[ \t])", b"", value).strip()


def _values(part: Part, name: bytes) -> list[bytes]:
    return [m[3] for f in part.fields if (m := _FIELD.match(f)) and m[1].lower() == name]


def mutate(raw: bytes, seed: int) -> bytes:
    """A mail that means the same as *raw*; the same one for the same seed."""
    dice = random.Random(seed)
    mail = parse(raw)
    newline = b"\r\n" if b"\r\n" in raw[:2000] else b"\n"
    _change(mail, dice, newline, raw, in_multipart=False)
    return bytes(mail)


def _change(part: Part, dice: random.Random, newline: bytes, raw: bytes, in_multipart: bool) -> None:
    if part.opaque is not None:
        return
    if part.boundary is not None:
        if dice.random() < 0.8:
            _rename(part, dice, raw)
        if dice.random() < 0.2 and not part.preamble.strip():
            part.preamble = b"This is a message in several parts." + newline + part.preamble
        for child in part.children:
            _change(child, dice, newline, raw, in_multipart=True)
    elif dice.random() < 0.7:
        _encode_otherwise(part, dice, newline, in_multipart)
    if dice.random() < 0.6:
        part.fields = [_rewrite_words(f, dice) for f in part.fields]
    if dice.random() < 0.7:
        part.fields = [_fold(f, dice, newline) for f in part.fields]
    if dice.random() < 0.4:
        part.fields = [_other_case(f, dice) for f in part.fields]


_STYLES: list[Callable[[random.Random], str]] = [
    lambda dice: f"----=_Part_{dice.randrange(99999)}_{dice.getrandbits(64):x}",
    lambda dice: f"=_{dice.getrandbits(96):x}",
    lambda dice: "".join(dice.choices(string.ascii_letters + string.digits, k=dice.randint(1, 69))),
    lambda dice: "b1 " + "".join(dice.choices("'()+_,-./:=? abc", k=dice.randint(4, 60))) + "x",
    lambda dice: "--" + "-" * dice.randrange(20) + str(dice.getrandbits(60)),
]


def _rename(part: Part, dice: random.Random, raw: bytes) -> None:
    """Another boundary, sometimes the old one with something behind it; never one that stands in the mail already."""
    assert part.boundary is not None
    old = part.boundary
    new = dice.choice(_STYLES)(dice).encode()
    if dice.random() < 0.15 and len(old) < 60:
        new = old + b"-%d" % dice.randrange(10)
    if b"--" + new in raw or len(new) > 70:
        return
    for index, stated in enumerate(part.fields):
        name, _, value = stated.partition(b":")
        if name.strip().lower() == b"content-type":
            quoted = b'"' + new + b'"'
            changed = value.replace(b'"' + old + b'"', quoted)
            if changed == value:
                bare = re.search(rb"boundary\s*=\s*(?=" + re.escape(old) + rb")", value, re.I)
                if bare is None:
                    return
                changed = value[: bare.end()] + quoted + value[bare.end() + len(old) :]
            if changed.count(quoted) != 1:
                return
            part.fields[index] = name + b":" + changed
            part.boundary = new


# --- Transfer encodings ---


def _encode_otherwise(part: Part, dice: random.Random, newline: bytes, in_multipart: bool) -> None:
    kinds = _values(part, b"content-type")
    kind = _unfolded(kinds[0]).lower() if kinds else b"text/plain"
    if len(kinds) > 1 or kind.startswith((b"message/", b"multipart/")) or b"/" not in kind.split(b";")[0]:
        return
    stated = _values(part, b"content-transfer-encoding")
    if len(stated) > 1:
        return
    # The line end before a delimiter belongs to the delimiter (RFC 2046 5.1.1).
    body, tail = part.body, b""
    if in_multipart:
        match = re.search(rb"\r?\n\Z", body)
        if match is None:
            return
        body, tail = body[: match.start()], match[0]
    encoding = stated[0].strip().lower() if stated else b"7bit"
    data = _decoded(body, encoding)
    if data is None:
        return
    choices = ["base64", "quoted-printable"]
    if _may_stand_as_it_is(data, newline):
        choices.append("7bit" if data.isascii() else "8bit")
    new = dice.choice(choices)
    if new == "base64":
        width = 4 * dice.choice((19, 19, 19, 15, 18, 4, 1))
        digits = base64.b64encode(data)
        lines = [digits[i : i + width] for i in range(0, len(digits), width)]
        encoded = newline.join(lines)
    elif new == "quoted-printable":
        encoded = _quoted_printable(data, dice, newline)
    else:
        encoded = data
    if not in_multipart and new == "base64" and encoded:
        encoded += newline
    part.body = encoded + tail
    label = dice.choice((new, new.upper(), new.capitalize())).encode()
    line = b"Content-Transfer-Encoding: " + label + newline
    for index, written in enumerate(part.fields):
        if written.split(b":")[0].strip().lower() == b"content-transfer-encoding":
            part.fields[index] = line
            return
    part.fields.append(line)


def _decoded(body: bytes, encoding: bytes) -> bytes | None:
    """The bytes that *body* stands for when that is beyond doubt, else None."""
    if encoding in (b"7bit", b"8bit", b"binary"):
        return body if encoding != b"7bit" or body.isascii() else None
    if encoding == b"base64":
        try:
            return base64.b64decode(b"".join(body.split()), validate=True)
        except binascii.Error:
            return None
    if encoding == b"quoted-printable" and re.fullmatch(rb"(?:[!-<>-~\t ]|=[0-9A-F]{2}|=\r?\n|\r?\n)*", body):
        return quopri.decodestring(body) if not re.search(rb"[ \t]\r?\n|[ \t]\Z", body) else None
    return None


def _may_stand_as_it_is(data: bytes, newline: bytes) -> bool:
    lines = data.split(newline)
    return not (
        b"\0" in data
        or any(len(line) > 900 or line.startswith((b"--", b"From ", b">From ")) for line in lines)
        or b"\r" in data.replace(b"\r\n", b"")
        or (newline == b"\r\n" and b"\n" in data.replace(b"\r\n", b""))
        or (newline == b"\n" and b"\r" in data)
        or data[:1] in (b"\r", b"\n")
    )


def _quoted_printable(data: bytes, dice: random.Random, newline: bytes) -> bytes:
    """Quoted-printable with line ends as they are, soft breaks at a width of its own and some letters encoded."""
    width = dice.randint(20, 73)
    eager = dice.choice((0.0, 0.0, 0.1))
    out: list[bytes] = []
    for number, line in enumerate(data.split(newline)):
        if number:
            out.append(newline)
        length = 0
        for position, byte in enumerate(line):
            last = position == len(line) - 1
            plain = (33 <= byte <= 126 and byte != 61) or (byte in (32, 9) and not last)
            if plain and not (byte in b".F-" and position == 0) and dice.random() >= eager:
                piece = bytes([byte])
            else:
                piece = b"=%02X" % byte
            if length + len(piece) > width:
                if piece in (b" ", b"\t", b".", b"-"):
                    piece = b"=%02X" % byte
                if out and out[-1] in (b" ", b"\t"):
                    out[-1] = b"=%02X" % out[-1][0]
                out.append(b"=" + newline)
                length = 0
            out.append(piece)
            length += len(piece)
    return b"".join(out)


# --- Headers ---


def _rewrite_words(written: bytes, dice: random.Random) -> bytes:
    """Well-formed encoded words in the other encoding, in headers and charsets where nobody can object."""
    name = written.split(b":")[0].lower()
    if name not in (b"subject", b"from", b"to", b"cc", b"reply-to", b"sender") or written.count(b"=?") != len(
        _WORD.findall(written)
    ):
        return written

    def other(match: re.Match[bytes]) -> bytes:
        charset, encoding, payload = match[1], match[2].upper(), match[3]
        try:
            if encoding == b"B":
                data = base64.b64decode(payload, validate=True)
            elif re.fullmatch(rb"(?:[!-<>@-~]|=[0-9A-F]{2})*", payload):
                data = binascii.a2b_qp(payload, header=True)
            else:
                return match[0]
            data.decode(charset.decode())
        except (ValueError, LookupError):
            return match[0]
        if charset.lower().startswith(b"iso-2022") or not data or dice.random() < 0.3:
            return match[0]
        if encoding == b"B":
            safe = (string.ascii_letters + string.digits).encode()
            word = b"".join(bytes([c]) if c in safe else b"_" if c == 32 else b"=%02X" % c for c in data)
            changed = b"=?" + charset + b"?Q?" + word + b"?="
        else:
            changed = b"=?" + charset + b"?B?" + base64.b64encode(data) + b"?="
        return changed if len(changed) <= 75 else match[0]

    return _WORD.sub(other, written)


_NOT_FOLDED = (b"content-type", b"content-disposition", b"content-transfer-encoding", b"content-id")


def _fold(written: bytes, dice: random.Random, newline: bytes) -> bytes:
    """The same field folded at other spaces: all of its own folds taken out where they are one space or tab wide."""
    match = _FIELD.fullmatch(written)
    if match is None or not match[3].strip():
        return written
    if match[1].lower() in _NOT_FOLDED:
        return match[1] + match[2] + _fold_between_parameters(match[3], dice, newline)
    value = re.sub(rb"(?<=[^ \t\r\n])\r?\n[ \t](?=[^ \t\r\n])", b" ", match[3]) if dice.random() < 0.7 else match[3]
    every = dice.choice((1.0, 0.5, 0.2, 0.05))
    value = _FOLDABLE.sub(
        lambda m: newline + dice.choice((b" ", b"\t", b" ")) if dice.random() < every else m[0], value
    )
    if value[:1] == b" " and value[1:2] not in (b" ", b"\t", b"\r", b"\n") and dice.random() < 0.1:
        value = newline + value
    return match[1] + match[2] + value


def _fold_between_parameters(value: bytes, dice: random.Random, newline: bytes) -> bytes:
    """Folds behind semicolons only: a fold inside a quoted boundary is read in two ways."""
    if any(b";" in quoted for quoted in re.findall(rb'"[^"]*"', value)):
        return value
    return re.sub(
        rb";[ \t]*(?:\r?\n[ \t])?[ \t]*(?=[A-Za-z*0-9-]+=)",
        lambda _: dice.choice((b"; ", b";" + newline + b"\t", b";" + newline + b" ")),
        value,
    )


def _other_case(written: bytes, dice: random.Random) -> bytes:
    name, colon, value = written.partition(b":")
    return dice.choice((bytes.upper, bytes.lower, bytes.title, bytes))(name) + colon + value


# --- The command ---


def main() -> None:
    """Write mutants of a folder's mails, and what they are mutants of."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--expected", type=Path, help="rows that name mails and what is expected of them")
    options = parser.parse_args()
    rows: dict[Path, dict[str, object]] = {}
    if options.expected:
        for line in options.expected.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            rows[(options.expected.parent / row["file"]).resolve()] = row
    sources = sorted(p for p in options.source.resolve().rglob("*") if p.is_file() and (not rows or p in rows))
    if not sources:
        parser.error("no mails there")
    options.out.mkdir(parents=True, exist_ok=True)
    mapping, expected = [], []
    changed = 0
    for number in range(options.count):
        source = sources[number % len(sources)]
        seed = options.seed * 1_000_003 + number
        raw = source.read_bytes()
        mutant = mutate(raw, seed)
        changed += mutant != raw
        name = f"{number:06d}.eml"
        (options.out / name).write_bytes(mutant)
        mapping.append({"file": name, "source": str(source.relative_to(options.source.resolve())), "seed": seed})
        if source in rows:
            expected.append({**rows[source], "file": name})
    _write(options.out / "mapping.jsonl", mapping)
    if options.expected:
        _write(options.out / "expected.jsonl", expected)
    print(f"{options.count} mutants of {len(sources)} mails, {changed} of them changed")


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
