"""What somebody may want to know before a mail goes: gentle warnings, none of which keeps it from being sent. Pure."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import idna

CROWD = 20  # recipients of an answer that are many

COMMENT, ELSEWHERE, NO_FILE, MANY, ALIKE, BOUNCED = "comment", "elsewhere", "no file", "many", "alike", "bounced"

_ATTACHED = re.compile(
    r"\b(?:attach(?:ed|ment|ments|ing)|enclosed|enclosing|anbei|anhang|anh[äa]ngend|angeh[äa]ngt|beigef[üu]gt|beiliegend"
    r"|anlage|p[řr][íi]lo(?:ha|hy|ze|hou|hách)|p[řr]ilo[žz]en\w*|p[řr]ikl[áa]d[áa]m\w*|za[łl][ąa]cz\w+|adjunt\w+"
    r"|прилож\w+|прилаг\w+|вложен\w+|прикреп\w+|pr[íi]lo(?:ha|hy|he|hou))\b",
    re.IGNORECASE,
)
_SHORTEST = 12  # characters of a comment that is looked for
# Letters that look like another (Unicode TR 39, those that domains are forged with), and pairs that look like one.
_LOOKS = str.maketrans(
    "аеорсухіјѕһԁԛԝѵмтвнкοαεινρτυχωıɩӏℓĸ0135",
    "aeopcyxijshdqwvmtbhkoaeivptuxwiillkoles",
)
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"), ("nn", "m"), ("ii", "u"))
_LONG = 12  # characters of a domain in which two letters may differ


@dataclass(frozen=True, slots=True)
class Caution:
    """Something to know: its kind, and what it is about."""

    kind: str
    about: str = ""

    @property
    def key(self) -> str:
        """By which the form knows that it was shown."""
        return self.kind if self.kind in (MANY, NO_FILE) else f"{self.kind} {self.about}"[:300]


def speaks_of_a_file(*texts: str) -> str | None:
    """The word by which a text promises a file; None where it does not. What is quoted does not count."""
    for text in texts:
        own = "\n".join(line for line in text.split("\n") if not line.lstrip().startswith(">"))
        if found := _ATTACHED.search(unicodedata.normalize("NFC", own)):
            return found[0]
    return None


def said_inside(comments: Iterable[str], *texts: str) -> str | None:
    """The beginning of a comment that stands in a text that goes out; None where none does."""
    whole = " ".join(_plain(text) for text in texts)
    for comment in comments:
        lines = [line for line in map(_plain, comment.split("\n")) if len(line) >= _SHORTEST]
        if found := next((line for line in lines if line in whole), None):
            return found[:60]
    return None


def _plain(text: str) -> str:
    return " ".join(text.replace(">", " ").casefold().split())


def alike(domain: str, known: Collection[str]) -> str | None:
    """A known domain that this one, which is not known, could be taken for."""
    one = _shown(domain)
    names = sorted({_shown(each) for each in known})
    if one in names:
        return None
    looks = _looks(one)
    return next((each for each in names if _looks(each) == looks or _near(one, each)), None)


def _shown(domain: str) -> str:
    """A domain as people see it."""
    try:
        return idna.decode(domain.lower()) if "xn--" in domain.lower() else domain.lower()
    except (idna.IDNAError, UnicodeError):
        return domain.lower()


def _looks(domain: str) -> str:
    """Two domains of which this is the same look the same, or nearly."""
    bare = "".join(char for char in unicodedata.normalize("NFKD", domain) if not unicodedata.combining(char))
    bare = bare.translate(_LOOKS)
    for pair, letter in _PAIRS:
        bare = bare.replace(pair, letter)
    return bare


def _near(one: str, other: str) -> bool:
    """Whether one letter, of long ones two, is other, missing, more, or in another place."""
    most = 2 if min(len(one), len(other)) >= _LONG else 1
    if abs(len(one) - len(other)) > most or min(len(one), len(other)) < 5:
        return False
    return _distance(one, other) <= most


def _distance(one: str, other: str) -> int:
    """Edits, neighbours that change places among them (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, before, row = before, row, [i]
        for j, b in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]


def domains(addresses: Iterable[str]) -> Iterator[str]:
    """The domains of addresses, in lower case."""
    for one in addresses:
        if domain := one.rpartition("@")[2].lower():
            yield domain
