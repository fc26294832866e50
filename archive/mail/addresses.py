"""The people in a header: names and addresses, however they are written (RFC 5322 3.4)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from archive.mail import headers


@dataclass(frozen=True, slots=True)
class Address:
    """A person in a header: the name as shown (may be empty) and the address as written (empty when there is none)."""

    name: str
    address: str


_ONE = re.compile(r"(?:\"([^\"\\]*)\"\s*|([^\"<>@,;:()\\\[\]]*))<([^\s<>@,;:()\"\\\[\]]+@[^\s<>@,;:()\"\\\[\]]+)>\Z")
_QUOTED_LOCAL = re.compile(r"\s*(\"(?:[^\"\\]|\\.)*\"@[^\s\"]+)\s*\Z")
_ESCAPED = re.compile(r"\\(.)", re.S)
_BARE = re.compile(r"([^\s<>@,;:()\"\\\[\]]+@[^\s<>@,;:()\"\\\[\]]+)\Z")
_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<word>=\?[^?\s]{1,100}\?[BbQq]\?)|(?P<atom>[^\s\"(),:;<>@\[\]\\=]+|=)|(?P<special>.)", re.S
)


def people(line: str, limit: int = 10_000) -> tuple[Address, ...]:
    """The addresses of an unfolded value, groups flattened, encoded names decoded; at most *limit* of them.

    Forgiving: commas forgotten or replaced by semicolons, quotes and brackets left open, comments as names.
    """
    # The same people write to the same addresses.
    return _remembered(line, limit) if len(line) <= _SHORT else _people(line, limit)


def _people(line: str, limit: int) -> tuple[Address, ...]:
    line = line.strip()
    if not line:
        return ()
    found = _ONE.match(line)
    if found and len(line) <= _LONGEST:
        return (Address(_name(found[1] if found[1] is not None else found[2]), found[3]),)
    people_ = _listed(line, limit)
    return people_ if len(line) <= _LONGEST else tuple(map(_bounded, people_))


_SHORT = 200  # characters
_remembered = lru_cache(maxsize=4096)(_people)
_LONGEST = 1000  # characters of a name or an address; the longest address has 254 (RFC 5321 4.5.3.1)


def _bounded(person: Address) -> Address:
    return Address(person.name[:_LONGEST], person.address if len(person.address) <= _LONGEST else "")


def _listed(line: str, limit: int) -> tuple[Address, ...]:
    if not any(special in line for special in '"(:;\\[') and ("=?" not in line or "<" in line):
        pieces = line.split(",", limit + 1)
        simple = [a for piece in pieces if (a := _simple(piece.strip())) is not None]
        if len(simple) == len(pieces) <= limit:
            return tuple(simple)
    parsed = tuple(_parsed(line, limit))
    if not any(person.address for person in parsed) and "=?" in line:
        # The whole of it, address included, in one encoded word.
        decoded = headers.decode_words(line)
        if "@" in decoded and "=?" not in decoded:
            return tuple(_parsed(decoded, limit))
    return parsed


def _simple(piece: str) -> Address | None:
    bare = _BARE.match(piece)
    if bare:
        return Address("", bare[1])
    one = _ONE.match(piece)
    return Address(_name(one[1] if one[1] is not None else one[2]), one[3]) if one else None


def _name(raw: str) -> str:
    name = raw.strip()
    if "=?" in name:
        name = headers.decode_words(name).strip()
    if len(name) > 1 and name[0] == name[-1] and name[0] in "\"'":
        name = name[1:-1].strip()
    return " ".join(name.split()) if "  " in name or "\t" in name else name


def _parsed(line: str, limit: int) -> Iterator[Address]:
    """One pass over the tokens of an address list, in the order of RFC 5322 3.4, resuming after whatever is broken."""
    phrase: list[str] = []  # what stood before "<", or the address itself where there is no "<"
    comments: list[str] = []
    angle: list[str] | None = None  # what stands between "<" and ">"
    address: str | None = None
    quoted = False  # the phrase holds a quoted string: an "@" in it is part of a name
    behind = 0  # how much of the phrase stood before "<"
    position, count, end = 0, 0, len(line)
    open_quote = line.rfind('"') + 1  # behind it no quote can be closed,
    open_angle = line.rfind(">")
    open_word = line.rfind("?=")  # and behind this no encoded word
    in_group = False

    def finished() -> Address | None:
        nonlocal address, angle, quoted
        person = _person(phrase, comments, address if address is not None else _joined(angle), quoted)
        phrase.clear()
        comments.clear()
        address = angle = None
        quoted = False
        return person

    while position < end and count < limit:
        token = _TOKEN.match(line, position)
        if token is None:
            break
        position = token.end()
        piece = token[0]
        if token.lastgroup == "word":
            stop = line.find("?=", position) if position <= open_word else -1
            if stop >= 0:
                piece = line[token.start() : stop + 2]
                position = stop + 2
            (phrase if angle is None else angle).append(piece)
        elif token.lastgroup != "special":
            (phrase if angle is None else angle).append(piece)
        elif piece == '"':
            stop = _closing_quote(line, position) if position < open_quote else -1
            if stop < 0:
                open_quote = 0
                continue
            inside = line[position:stop]
            position = stop + 1
            if angle is not None:
                angle.append(f'"{inside}"')
            elif line.startswith("@", position):
                phrase.append(f'"{inside}"')
            else:
                phrase.append(_ESCAPED.sub(r"\1", inside) if "\\" in inside else inside)
                quoted = True
        elif piece == "(":
            stop = _closing_parenthesis(line, position)
            comments.append(line[position:stop])
            position = stop + 1
        elif piece == "<":
            if address is not None:  # a comma was forgotten
                name_of_next = phrase[behind:]
                del phrase[behind:]
                if (person := finished()) is not None:
                    yield person
                    count += 1
                phrase += name_of_next
            angle = []
        elif piece == ">":
            if angle is not None:
                address, angle = _joined(angle), None
                behind = len(phrase)
        elif piece == "[":
            stop = line.find("]", position, position + 300)
            literal = line[position - 1 : stop + 1] if stop >= 0 else piece
            position = stop + 1 if stop >= 0 else position
            (phrase if angle is None else angle).append(literal)
        elif piece == ":" and angle is None and address is None and "@" not in "".join(phrase[-3:]):
            phrase.clear()  # the name of a group
            comments.clear()
            quoted = False
            in_group = True
        elif piece in ",;":
            if angle and position <= open_angle and (angle[0] == "@" if piece == "," else ":" in angle):
                angle.append(piece)  # <@relay,@relay:user@host>, <undisclosed-recipients:;>
                continue
            if not phrase and not comments and angle is None and address is None:
                in_group = in_group and piece == ","
                continue
            person = finished()
            if person is not None and not (in_group and not person.address):
                yield person
                count += 1
            if piece == ";":
                in_group = False
        elif piece == "\\":
            if angle is not None:
                angle.append(piece)
        else:
            (phrase if angle is None else angle).append(piece)
    if count < limit and (person := finished()) is not None and not (in_group and not person.address):
        yield person


def _closing_quote(line: str, position: int) -> int:
    while True:
        stop = line.find('"', position)
        if stop < 0:
            return -1
        slashes = stop
        while slashes > position and line[slashes - 1] == "\\":
            slashes -= 1
        if (stop - slashes) % 2 == 0:
            return stop
        position = stop + 1


_PARENTHESIS = re.compile(r"\\.|[()]", re.S)


def _closing_parenthesis(line: str, position: int) -> int:
    depth = 1
    for found in _PARENTHESIS.finditer(line, position):
        if found[0] == "(":
            depth += 1
        elif found[0] == ")":
            depth -= 1
            if depth == 0:
                return found.start()
    return len(line)


def _joined(angle: list[str] | None) -> str | None:
    if angle is None:
        return None
    inside = "".join(angle).strip()
    if inside.startswith("@") and ":" in inside:
        inside = inside.partition(":")[2]  # a route (RFC 5322 4.4) is no part of the address
    inside = inside.removeprefix("mailto:")
    if ":" in inside and inside.endswith(";"):
        return ""  # <undisclosed-recipients:;>, a group in brackets
    if '"' not in inside and (" " in inside or "\t" in inside):
        inside = " ".join(inside.split())
        for spaced, mark in ((" .", "."), (". ", "."), (" @", "@"), ("@ ", "@")):
            inside = inside.replace(spaced, mark)
        pieces = inside.split()
        inside = next((piece for piece in reversed(pieces) if "@" in piece), "".join(pieces))
    return inside


def _person(phrase: list[str], comments: list[str], address: str | None, quoted: bool) -> Address | None:
    name = "".join(phrase)
    if address is None and '"@' in name and (found := _QUOTED_LOCAL.match(name)):
        name, address = "", found[1]
    if address is None:
        words = name.split()
        at = next((i for i in range(len(words) - 1, -1, -1) if "@" in words[i].strip("@")), None)
        if name.strip() and not quoted and at is not None:
            address = words.pop(at).strip("<>'")
            while at < len(words) and (words[at].startswith(".") or address.endswith(".")):
                address += words.pop(at)  # anna@mail . example (RFC 5322 4.4)
            if " @ " in name or "@ " in name or " @" in name:  # anna @ example.org
                address, words = "".join(name.split()), []
            name = " ".join(words)
        elif quoted and at is not None and len(words) == 1:
            address, name = words[0], ""
        elif at is not None and quoted and "=?" not in words[at]:
            address = words.pop(at).strip("<>'")
            name = " ".join(words)
        else:
            address = ""
    elif "=?" in address and "@" not in address:
        address = headers.decode_words(address)
    name = _name(name)
    if not name and address and comments:
        name = _name(" ".join(comments))
    if not name and not address:
        return None
    return Address(name, address)
