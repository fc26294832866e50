"""Whether nothing was lost: every mail is found by search, exported byte for byte, and lies in the processed folder."""

import collections
import email
import email.header
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from . import measure

_MOST_MAILS_A_WORD = 20
_LETTERS_READ = 8000  # of the beginning of a mail's text
_LONGEST_MAIL_READ = 40_000_000  # bytes
_PUNCTUATION = ".,;:!?()\"'"
_STOPS = str.maketrans("。、", "  ")  # no space follows them


def sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


@dataclass(frozen=True)
class Question:
    """A rare word and the mails that contain it, by the SHA-256 of their bytes."""

    word: str
    mails: frozenset[str]


def questions(mails: Iterable[bytes]) -> tuple[list[Question], int]:
    """Words such that each mail has at least one of them, and the number of mails in which no word could be read.

    A word is asked for once, although some mails contain it, at most 20 where there is such a word; all of them have
    to be among the answers.
    """
    words_of = {sha256(raw): _words(raw) for raw in mails}
    having: dict[str, set[str]] = collections.defaultdict(set)
    for mail, words in words_of.items():
        for word in words:
            having[word].add(mail)
    asked: list[Question] = []
    covered: set[str] = set()
    unread = 0
    for mail, words in words_of.items():
        if mail in covered:
            continue
        # Of equally rare words the first in the alphabet: the same questions in every run.
        ranked = sorted((len(having[word]), word) for word in words)
        few = [word for number, word in reversed(ranked) if number <= _MOST_MAILS_A_WORD]
        if not ranked:
            unread += 1
            continue
        # A mail of very common words only: the least common of them has to do.
        word = few[0] if few else ranked[0][1]
        asked.append(Question(word, frozenset(having[word])))
        covered |= having[word]
    return asked, unread


def _words(raw: bytes) -> set[str]:
    """Words of the subject and of the beginning of the text, as the author wrote them himself."""
    if len(raw) > _LONGEST_MAIL_READ:
        return set()
    try:
        mail = email.message_from_bytes(raw)
        text = f"{_subject(mail)}\n{_plain_text(mail)}"
    except Exception:  # what the standard library cannot read is no less a mail: it is counted as unread
        return set()
    lines = [line for line in text[:_LETTERS_READ].splitlines()[:-1] if not line.startswith(">")]
    words = {word.strip(_PUNCTUATION).lower() for line in lines for word in line.translate(_STOPS).split()}
    return {word for word in words if 4 <= len(word) <= 30 and word.isalpha()}


def _subject(mail: Message) -> str:
    return str(email.header.make_header(email.header.decode_header(str(mail.get("Subject", "")))))


def _plain_text(mail: Message) -> str:
    for part in mail.walk():
        if part.get_content_type() == "text/plain" and part.get_content_disposition() != "attachment":
            payload = part.get_payload(decode=True)
            if isinstance(payload, bytes):
                return payload.decode(part.get_content_charset("utf-8"))
    return ""


def ask(
    env: Mapping[str, str], asked: Sequence[Question], message_of: Mapping[str, str | None], workers: int = 2
) -> list[str]:
    """Asks `postroom search` each question; returns what was not found, as sentences."""

    def answers(some: Sequence[Question]) -> list[str]:
        say = "".join(f'"{question.word}"\n' for question in some)
        said = measure.run([sys.executable, "-m", "bench.asking"], env=env, say=say).output.splitlines()
        found = {answer["question"]: set(answer["found"]) for answer in map(json.loads, said)}
        return [
            f"the mail with SHA-256 {mail} is not found by {question.word!r}"
            for question in some
            for mail in sorted(question.mails)
            # A mail in quarantine has no message yet.
            if (message := message_of.get(mail)) is not None and message not in found[f'"{question.word}"']
        ]

    with ThreadPoolExecutor(workers) as pool:
        shares = [asked[number::workers] for number in range(workers)]
        return [sentence for sentences in pool.map(answers, shares) for sentence in sentences]


def exported(folder: Path, served: collections.Counter[str]) -> tuple[dict[str, str | None], list[str]]:
    """The message of each mail by its SHA-256, and where an export is not what the server gave, as sentences."""
    complaints = []
    message_of: dict[str, str | None] = {}
    given: collections.Counter[str] = collections.Counter()
    for line in (folder / "index.jsonl").read_text().splitlines():
        entry = json.loads(line)
        actual = sha256((folder / entry["file"]).read_bytes())
        if actual != entry["sha256"]:
            complaints.append(f"{entry['file']} is not what index.jsonl says")
        given[actual] += 1
        message_of[actual] = entry["message"]
    complaints += [f"not exported: {mail}" for mail in (served - given)]
    complaints += [f"exported, but never served: {mail}" for mail in (given - served)]
    return message_of, complaints
