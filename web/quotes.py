"""Where a plain text quotes another mail, and where it is signed. Pure, and linear in the length of the text.

Three things are told from an author's own words: lines marked with ">" and the attribution before them, the header
block by which Outlook and its kin begin what they quote without marks, and a signature. What stands between marked
lines is an answer and stays one. Words are needed only where the form says too little; they are those of several
languages at once, because a mail does not say which one it quotes in.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

_LOOKED_AT = 400  # characters of a line; an attribution or a header is no longer
_MOST_ATTRIBUTION = 4  # lines; Gmail wraps at 72 characters
_MOST_HEADER = 14  # lines of a header block, folded ones included


class Kind(Enum):
    """What a stretch of lines is."""

    OWN = "own"
    MARKED = "marked"  # quoted with ">"
    BARE = "bare"  # quoted behind a header block, without marks
    SIGNATURE = "signature"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Lines that belong together; the first `attribution` of them say whose the others are."""

    kind: Kind
    lines: Sequence[str]
    attribution: int = 0


def stretches(lines: Sequence[str]) -> list[Stretch]:
    """The lines, all of them and in their order, by what they are."""
    bare = _bare(lines)
    found: list[Stretch] = []
    start = 0
    for quoted, end in _runs(lines[:bare]):
        run = lines[start:end]
        start = end
        if quoted:
            taken = _attribution(found[-1].lines) if found and found[-1].kind is Kind.OWN else 0
            if taken:
                before = found.pop().lines
                if taken < len(before):
                    found.append(Stretch(Kind.OWN, before[:-taken]))
                run = [*before[-taken:], *run]
            found.append(Stretch(Kind.MARKED, run, taken))
        else:
            found.append(Stretch(Kind.OWN, run))
    if bare < len(lines):
        found.append(Stretch(Kind.BARE, lines[bare:]))
    return [part for one in found for part in _signed(one)]


def _marked(line: str) -> bool:
    return line.startswith(">")


def _runs(lines: Sequence[str]) -> Iterator[tuple[bool, int]]:
    """Whether lines are marked, and where that ends; empty lines between marked ones are theirs."""
    quoted = False
    last = -1  # the last line that is not empty
    begun = False
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        if _marked(line) != quoted and begun:
            # Empty lines before a quote are the author's, those behind it too.
            end = last + 1 if quoted else number
            yield quoted, end
        quoted, begun, last = _marked(line), True, number
    if lines:
        if quoted and last + 1 < len(lines):
            yield True, last + 1
            yield False, len(lines)
        else:
            yield quoted, len(lines)


# --- who is quoted ---------------------------------------------------------------------------------------------

_ADDRESS = re.compile(r"[^\s@<>]{1,64}@[\w.-]{1,100}\.\w{2,}")
_DATE = re.compile(r"\d{1,2}\s?[./-]\s?\d{1,2}\s?[./-]|\b(?:19|20)\d\d\b|\d{1,2}[:.]\d{2}\b")
_SAID = re.compile(
    r"\b(?:wrote|writes|said|napsal|napsala|píše|psal|psala|napísal|pisze|napisał|napisała|escribió|escribe"
    r"|пишет|писал|писала|написал|написала|пише|schrieb|écrit|scritto|escreveu|schreef|skrev|kirjoitti|írta)\b",
    re.IGNORECASE,
)
# How programs begin an attribution: a preposition, a day of the week or the date itself.
_BEGINS = re.compile(
    r"(?:on|at|dne|dňa|dnia|w dniu|el|le|am|il|em|op|den|в|во|от|from|od|от|de"
    r"|mon|tue|wed|thu|fri|sat|sun|po|út|st|čt|pá|so|ne|pon|wt|śr|czw|pt|sob|niedz|lun|mar|mié|jue|vie|sáb|dom"
    r"|пн|вт|ср|чт|пт|сб|вс|понедельник|вторник|среда|четверг|пятница|суббота|воскресенье"
    r"|\d{1,4})[\s.,/-]",
    re.IGNORECASE,
)


def _attribution(lines: Sequence[str]) -> int:
    """How many of the last lines, empty ones behind them included, say whose words follow."""
    end = len(lines)
    while end and not lines[end - 1].strip():
        end -= 1
    if not end or len(lines) - end > 2 or not lines[end - 1][:_LOOKED_AT].rstrip().endswith((":", "：")):
        return 0
    said = ""
    for start in range(end - 1, max(end - 1 - _MOST_ATTRIBUTION, -1), -1):
        line = lines[start]
        if not line.strip() or len(line) > _LOOKED_AT:
            break
        said = f"{line.strip()} {said}"
        one_line = start == end - 1
        whole = bool(_ADDRESS.search(said)) or bool(_DATE.search(said) and _SAID.search(said))
        # A line above another belongs to it only where it begins as attributions do: it might be an answer.
        begins = bool(_BEGINS.match(line.strip()) and _DATE.search(line))
        if whole and begins:
            return len(lines) - start
        if whole and one_line and not _unfinished_above(lines, start):
            return len(lines) - start
        if one_line and _SAID.search(said) and len(said.split()) <= 4 and not _unfinished_above(lines, start):
            return len(lines) - start
    return 0


def _unfinished_above(lines: Sequence[str], start: int) -> bool:
    """Whether one of the lines right above begins an attribution that ends in line `start`."""
    for above in range(start - 1, max(start - _MOST_ATTRIBUTION, -1), -1):
        line = lines[above][:_LOOKED_AT].strip()
        if not line or line.endswith((".", "!", "?", ":")):
            return False
        if _BEGINS.match(line) and _DATE.search(line):
            return True
    return False


# --- header blocks ---------------------------------------------------------------------------------------------

_FROM = "from od de от von da van fra från feladó expéditeur mittente remitente"
_OTHERS = {
    "sent": "sent odesláno odeslané wysłano wysłane enviado отправлено gesendet envoyé inviato verzonden sendt skickat",
    "date": "date datum data fecha дата dato dátum",
    "to": "to komu do para кому an à a aan til till",
    "cc": "cc kopie kopia копия dw udw bcc skrytá",
    "subject": "subject předmět predmet temat asunto тема betreff objet oggetto assunto onderwerp emne ämne",
}
_LABELS = {word: kind for kind, words in _OTHERS.items() for word in words.split()} | dict.fromkeys(
    _FROM.split(), "from"
)
_LABEL = re.compile(r"[ \t*_]{0,4}(\w{1,20})[ \t*_]{0,4}[:：][ \t*_]{0,4}")
_RULE = re.compile(r"\s{0,4}(?:-{2,}|_{2,})\s{0,4}(?P<words>[^-_\s][^-_]{2,50})\s{0,4}(?:-{2,}|_{2,})\s{0,4}\Z")
_LINE = re.compile(r"\s{0,4}_{10,}\s{0,4}\Z")
_ORIGINAL = re.compile(
    r"original|původní|puvodni|pôvodn|oryginaln|исходно|оригинал|первоначальн|ursprüngl|d'origine|initial|messaggio or",
    re.IGNORECASE,
)
_FORWARDED = re.compile(
    r"forward|přepos|preposl|přesměr|przekaz|reenvi|пересыл|переслан|weitergel|transf", re.IGNORECASE
)


def is_header_block(lines: Sequence[str], start: int) -> int:
    """How many lines from `start` on are a header block as Outlook writes it; 0 where there is none."""
    first = _label(lines[start])
    if first != "from":
        return 0
    kinds, end = {first}, start + 1
    while end < min(len(lines), start + _MOST_HEADER):
        line = lines[end]
        kind = _label(line)
        if not line.strip():
            break
        if kind:
            kinds.add(kind)
        elif len(kinds) >= 3 and "subject" in kinds:
            break  # a body that follows without an empty line
        end += 1
    return end - start if len(kinds) >= 3 and kinds & {"sent", "date"} and kinds & {"to", "subject"} else 0


def _label(line: str) -> str | None:
    found = _LABEL.match(line[:_LOOKED_AT])
    return _LABELS.get(found[1].lower()) if found else None


def _bare(lines: Sequence[str]) -> int:
    """Where a quote without marks begins; the number of lines where there is none, or where marked lines follow it.

    A forwarded mail is what its sender wants to be read, so it is no quote.
    """
    for number, line in enumerate(lines):
        if _marked(line) or not line.strip():
            continue
        start = number
        rule = _RULE.match(line[:100])
        if rule and _FORWARDED.search(rule["words"]):
            return len(lines)
        original = bool(rule and _ORIGINAL.search(rule["words"]))
        if original or _LINE.match(line[:200]):
            start = next((at for at in range(number + 1, min(number + 4, len(lines))) if lines[at].strip()), number)
        if (is_header_block(lines, start) if start != number or _label(line) else 0) or original:
            return len(lines) if any(map(_marked, lines[start:])) else number
    return len(lines)


# --- signatures ------------------------------------------------------------------------------------------------


def _signed(one: Stretch) -> Iterator[Stretch]:
    """A stretch of the author's own in two where he signs (RFC 3676 4.3; some programs cut the space off)."""
    if one.kind is Kind.OWN:
        for number in range(len(one.lines) - 1, -1, -1):
            if one.lines[number].rstrip("\r") in ("-- ", "--"):
                if number:
                    yield Stretch(Kind.OWN, one.lines[:number])
                yield Stretch(Kind.SIGNATURE, one.lines[number:])
                return
    yield one


# --- answers that stand where nothing tells them from a quote ----------------------------------------------------

_POINTS_DOWN = re.compile(
    r"\b(?:below|in-?line|in red|in blue|níže|v textu|červeně|modře|poniżej|w tekście|na czerwono|abajo|entre líneas"
    r"|en rojo|en azul|ниже|в тексте|красным|синим|unten|im text|ci-dessous)\b",
    re.IGNORECASE,
)


def points_down(text: str) -> bool:
    """Whether an author says that he answered within what he quotes: then it must not be folded away."""
    return bool(_POINTS_DOWN.search(text[:2000]))
