"""Made-up mail of an office, the same for the same seed: python -m bench.mail FOLDER [--count N] [--seed S].

Written as a delivery agent stores it: one file a mail, LF line ends, trace headers on top. What it resembles, and how
closely, is in docs/benchmarks.md.
"""

import argparse
import base64
import binascii
import collections
import datetime
import itertools
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from email.header import Header
from pathlib import Path
from typing import NamedTuple

_COPY_SHARE = 0.06
_REPLY_SHARE = 0.55
_HTML_SHARE = 0.30
_ATTACHMENT_SHARE = 0.25
_REPEATED_ATTACHMENT_SHARE = 0.20
_LARGEST_ATTACHMENT = 18_000_000  # bytes, about what mail servers accept once it is in base64
_DOMAIN = "office.example"


class _Sounds(NamedTuple):
    """What the words of a language are put together from, each a list of syllable parts separated by spaces."""

    share: int
    onsets: str
    vowels: str
    codas: str
    endings: str
    charsets: tuple[tuple[str, int], ...]
    domain: str


# The words mean nothing, but they are as long, as repetitive and as accented as real ones, and they are inflected.
_LANGUAGES = {
    "en": _Sounds(
        40,
        "b c d f g h l m n p r s t w st tr pl br gr sh th cl fr",
        "a e i o u ea ou ee ai",
        "n r s t l m ck nd st rt ss",
        " s ed ing er ly tion ment",
        (("us-ascii", 45), ("utf-8", 45), ("iso-8859-1", 10)),
        "com",
    ),
    "cs": _Sounds(
        25,
        "b č d h k l m n p r ř s š t v z ž př st vz kl pr hr",
        "a e i o u á é í ů ě ý",
        "n l k t d v st",
        " a u y ů ách ami ovat ní ost ého ými",
        (("utf-8", 65), ("iso-8859-2", 20), ("windows-1250", 15)),
        "cz",
    ),
    "pl": _Sounds(
        12,
        "b c d g k l ł m n p r s ś t w z ż sz cz rz prz st",
        "a e i o u ą ę ó y ie",
        "n l k t d w m ść",
        " a u y ów ach ami ować nie ość ego ymi",
        (("utf-8", 65), ("iso-8859-2", 25), ("windows-1250", 10)),
        "pl",
    ),
    "es": _Sounds(
        13,
        "b c d f g l m n ñ p r s t v ll qu ch tr pr cr",
        "a e i o u á é í ó ue ia",
        "n r s l d z",
        " o a os as ción mente ar ado ando idad",
        (("utf-8", 65), ("iso-8859-1", 25), ("windows-1252", 10)),
        "es",
    ),
    "ru": _Sounds(
        10,
        "б в г д ж з к л м н п р с т х ч ш ст пр тр кр",
        "а е и о у ы я ю ё",
        "н л к т д в м р ст",
        " а у ы ов ах ами ать ние ость ого ыми",
        (("utf-8", 60), ("koi8-r", 20), ("windows-1251", 20)),
        "ru",
    ),
}
_BOXES = ("orders", "invoices", "helpdesk", "sales", "claims", "travel", "projects", "legal", "press", "office")
_PROGRAMS = (
    "Mozilla Thunderbird",
    "Microsoft Outlook 16.0",
    "Apple Mail (2.3774)",
    "Roundcube Webmail/1.6",
    "K-9 Mail",
)
# Kind, content type, first bytes, share of bytes that compress well, weight
_ATTACHMENTS = (
    ("pdf", "application/pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", 0.12, 42),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", b"PK\x03\x04\x14\0", 0.02, 16),
    ("png", "image/png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 0.0, 14),
    ("jpg", "image/jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF\0", 0.0, 14),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", b"PK\x03\x04\x14\0", 0.02, 9),
    ("csv", "text/csv", b"number;date;amount\r\n", 1.0, 5),
)


@dataclass(frozen=True)
class Person:
    """Somebody who writes."""

    name: str
    address: str
    language: str


@dataclass(frozen=True)
class _Told:
    """What later mails of a thread take from an earlier one."""

    author: Person
    language: str
    subject: str
    message_id: str
    references: tuple[str, ...]
    box: str
    opening: tuple[str, ...]


@dataclass(frozen=True)
class _Attachment:
    name: str
    content_type: str
    encoded: bytes
    inline: bool


class Vocabulary:
    """The words of one language, the most frequent first, drawn as Zipf and Mandelbrot found words to be."""

    def __init__(self, language: str, seed: int, size: int = 20_000) -> None:
        sounds = _LANGUAGES[language]
        rng = random.Random(f"{seed}/words/{language}")
        onsets, vowels, codas = sounds.onsets.split(), sounds.vowels.split(), [*sounds.codas.split(), "", ""]
        endings = sounds.endings.split(" ")
        words: dict[str, None] = {}
        while len(words) < size:
            # Frequent words are short: one syllable at first, up to four later.
            syllables = 1 + min(3, int(rng.random() * (0.4 + len(words) ** 0.5 / 45)))
            stem = "".join(rng.choice(onsets) + rng.choice(vowels) for _ in range(syllables)) + rng.choice(codas)
            for ending in rng.sample(endings, 1 if len(words) < 100 else 4):
                words[stem + ending] = None
        self.words = list(words)[:size]
        self.weights = list(itertools.accumulate(1 / (rank + 2.7) ** 1.05 for rank in range(size)))

    def draw(self, rng: random.Random, count: int) -> list[str]:
        return rng.choices(self.words, cum_weights=self.weights, k=count)


class Office:
    """Where the mail arrives; `mails` gives one after the other, for ever."""

    def __init__(self, seed: int = 1) -> None:
        self.seed = seed
        self._vocabularies = {language: Vocabulary(language, seed) for language in _LANGUAGES}
        rng = random.Random(f"{seed}/people")
        self._people = [self._person(rng, number) for number in range(3000)]
        # Few write much, many write little.
        self._writes = list(itertools.accumulate(1 / (rank + 3) ** 0.8 for rank in range(len(self._people))))
        self._recent: collections.deque[_Told] = collections.deque(maxlen=600)
        self._attached: collections.deque[_Attachment] = collections.deque(maxlen=1500)

    def mails(self) -> Iterator[bytes]:
        for number in itertools.count():
            rng = random.Random(f"{self.seed}/mail/{number}")
            author = rng.choices(self._people, cum_weights=self._writes)[0]
            box, trace, rest = self._mail(rng, number, author)
            yield (trace + rest).encode("latin-1")
            if rng.random() < _COPY_SHARE:
                other = rng.choice([each for each in _BOXES if each != box])
                yield (self._trace(rng, author, other, _date(number)) + rest).encode("latin-1")

    def _person(self, rng: random.Random, number: int) -> Person:
        language = rng.choices(list(_LANGUAGES), [sounds.share for sounds in _LANGUAGES.values()])[0]
        words = self._vocabularies[language].words
        name = f"{rng.choice(words[100:4000]).title()} {rng.choice(words[200:9000]).title()}"
        domain = f"firm{int(rng.paretovariate(0.7)) % 400}.{_LANGUAGES[language].domain}.example"
        return Person(name, f"person{number}@{domain}", language)

    def _mail(self, rng: random.Random, number: int, author: Person) -> tuple[str, str, str]:
        """The address it goes to, the trace headers, and all else, as text in which a character is a byte."""
        parent = None
        if self._recent and rng.random() < _REPLY_SHARE:
            parent = self._recent[-1 - int(min(len(self._recent) - 1, rng.expovariate(1 / 60)))]
        language = parent.language if parent and rng.random() < 0.8 else author.language
        box = parent.box if parent and rng.random() < 0.9 else _BOXES[min(9, int(rng.paretovariate(0.9)) - 1)]
        subject = parent.subject if parent else " ".join(self._vocabularies[language].draw(rng, rng.randint(2, 7)))
        lines = self._text(rng, language, int(min(6000, max(8, rng.lognormvariate(5.0, 1.0)))))
        told = _Told(
            author,
            language,
            subject,
            f"<{number}.{rng.getrandbits(64):x}@{author.address.partition('@')[2]}>",
            (*parent.references, parent.message_id)[-12:] if parent else (),
            box,
            tuple(lines[:8]),
        )
        self._recent.append(told)
        date = _date(number)
        headers = self._headers(rng, told, date, "Re: " if parent else "")
        if parent and rng.random() < 0.7:
            lines += ["", f"On {date:%d %b %Y}, {parent.author.name} wrote:", *(f"> {each}" for each in parent.opening)]
        # A word that no other mail has, but replies may quote.
        lines += ["", f"Ref. {_reference(self.seed, number)}", "", "-- ", author.name]
        lines.append(f"Tel. +420 {zlib.crc32(author.address.encode()) % 10**9:09d}")
        return box, self._trace(rng, author, box, date), headers + self._body(rng, number, language, lines)

    def _text(self, rng: random.Random, language: str, words: int) -> list[str]:
        """Sentences, wrapped, with an empty line now and then."""
        drawn = iter(self._vocabularies[language].draw(rng, words))
        lines, line = [], ""
        while sentence := list(itertools.islice(drawn, rng.randint(5, 20))):
            if rng.random() < 0.12:
                sentence.append(_figure(rng))
            sentence[0] = sentence[0].capitalize()
            sentence[-1] += rng.choice("....?!")
            for word in sentence:
                if len(line) + len(word) > 74:
                    lines.append(line)
                    line = ""
                line = f"{line} {word}" if line else word
            if rng.random() < 0.2:
                lines += [line, ""]
                line = ""
        return [*lines, line]

    def _trace(self, rng: random.Random, author: Person, box: str, date: datetime.datetime) -> str:
        """What the servers on the way wrote, anew for each copy."""
        stamp = f"{date:%a, %d %b %Y %H:%M:%S} +0000"
        theirs = author.address.partition("@")[2]
        lines = [f"Return-Path: <{author.address}>", f"Delivered-To: {box}@{_DOMAIN}"]
        for hop in range(rng.randint(2, 6)):
            lines.append(
                f"Received: from mx{hop}.{theirs} (mx{hop}.{theirs} [192.0.2.{rng.randint(1, 254)}])\n"
                f"\tby mail{hop}.{_DOMAIN} (Postfix) with ESMTPS id {rng.getrandbits(44):X}\n"
                f"\tfor <{box}@{_DOMAIN}>; {stamp}"
            )
        if rng.random() < 0.5:
            checked = f"dkim=pass header.d={theirs}; spf=pass smtp.mailfrom={theirs}"
            lines.append(f"Authentication-Results: mail.{_DOMAIN};\n\t{checked}")
        return "\n".join(lines) + "\n"

    def _headers(self, rng: random.Random, told: _Told, date: datetime.datetime, prefix: str) -> str:
        """What the author's program wrote."""
        theirs = told.author.address.partition("@")[2]
        lines = []
        if rng.random() < 0.7:
            signature = "\n\t ".join(_base64(rng.randbytes(48)) for _ in range(5))
            lines.append(
                f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={theirs}; s=one;\n"
                f"\th=from:to:subject:date:message-id; bh={_base64(rng.randbytes(32))};\n\tb={signature}"
            )
        lines.append(f"From: {_encoded_word(told.author.name)} <{told.author.address}>")
        lines.append(f"To: {told.box}@{_DOMAIN}")
        if rng.random() < 0.3:
            others = rng.choices(self._people, cum_weights=self._writes, k=rng.randint(1, 5))
            lines.append("Cc: " + ",\n ".join(f"{_encoded_word(each.name)} <{each.address}>" for each in others))
        lines.append(f"Subject: {_encoded_word(prefix + told.subject)}")
        lines.append(f"Date: {date:%a, %d %b %Y %H:%M:%S} +0000")
        if rng.random() > 0.004:
            lines.append(f"Message-ID: {told.message_id}")
        if told.references:
            lines += [f"In-Reply-To: {told.references[-1]}", "References: " + "\n ".join(told.references)]
        lines += ["MIME-Version: 1.0", f"X-Mailer: {rng.choice(_PROGRAMS)}"]
        return "\n".join(lines) + "\n"

    def _body(self, rng: random.Random, number: int, language: str, lines: list[str]) -> str:
        """From the content headers on."""
        charsets = _LANGUAGES[language].charsets
        charset = rng.choices([name for name, _ in charsets], [weight for _, weight in charsets])[0]
        body = _text_part(rng, "plain", "\n".join(lines) + "\n", charset)
        if rng.random() < _HTML_SHARE:
            body = _multipart(rng, number, "alternative", [body, _text_part(rng, "html", _html(rng, lines), charset)])
        if rng.random() < _ATTACHMENT_SHARE:
            count = 1 + (rng.random() < 0.25) + 3 * (rng.random() < 0.06)
            body = _multipart(rng, number, "mixed", [body, *(self._attachment(rng) for _ in range(count))])
        return body

    def _attachment(self, rng: random.Random) -> str:
        if self._attached and rng.random() < _REPEATED_ATTACHMENT_SHARE:
            chosen = self._attached[int(len(self._attached) * rng.random() ** 0.5)]
        else:
            chosen = self._new_attachment(rng)
            self._attached.append(chosen)
        name = chosen.name
        if name.isascii():
            file_name = f'filename="{name}"'
        else:
            plain = "".join(char if char.isascii() else _percent(char) for char in name)
            file_name = f"filename*=UTF-8''{plain}"
        disposition = "inline" if chosen.inline else "attachment"
        content_id = f"Content-ID: <image{rng.randint(1, 99)}@x>\n" if chosen.inline else ""
        return (
            f'Content-Type: {chosen.content_type}; name="{_encoded_word(name)}"\n'
            f"Content-Transfer-Encoding: base64\nContent-Disposition: {disposition}; {file_name}\n{content_id}\n"
        ) + chosen.encoded.decode("ascii")

    def _new_attachment(self, rng: random.Random) -> _Attachment:
        weights = [kind[-1] for kind in _ATTACHMENTS]
        ending, content_type, head, soft_share, _ = rng.choices(_ATTACHMENTS, weights)[0]
        size = int(min(_LARGEST_ATTACHMENT, max(600, rng.lognormvariate(10.7, 1.55))))
        if ending == "csv":
            size = min(size, 40_000)
        soft = int(size * soft_share)
        row = "".join(f"{rng.randint(0, 10**6)};2026-01-{day:02d};{rng.randint(0, 9999)}\r\n" for day in range(1, 29))
        content = head + (row.encode() * (soft // len(row) + 1))[:soft] + rng.randbytes(size - soft)
        words = self._vocabularies[rng.choice(("en", "cs") if rng.random() < 0.2 else ("en",))]
        name = "_".join(words.draw(rng, rng.randint(1, 3))) + f"-{rng.randint(1, 999)}.{ending}"
        return _Attachment(name, content_type, base64.encodebytes(content), ending == "png" and rng.random() < 0.5)


def _date(number: int) -> datetime.datetime:
    return datetime.datetime(2021, 1, 4, 6, tzinfo=datetime.UTC) + datetime.timedelta(minutes=10 * number)


def _reference(seed: int, number: int) -> str:
    """Eight letters, different for every number below 26^8."""
    # A multiplier without common factor with 26 permutes the numbers, so that neighbours do not look alike.
    value = (number * 100_000_007 + seed) % 26**8
    letters = []
    for _ in range(8):
        value, letter = divmod(value, 26)
        letters.append("QWERTZUIOPASDFGHJKLYXCVBNM"[letter])
    return "".join(letters)


def _figure(rng: random.Random) -> str:
    return rng.choice(
        (
            f"{rng.randint(1, 99999)}",
            f"INV-{rng.randint(0, 999999):06d}",
            f"{rng.randint(1, 9999)}.{rng.randint(0, 99):02d} EUR",
            f"https://www.firm{rng.randint(1, 400)}.example/{rng.getrandbits(40):x}",
        )
    )


def _text_part(rng: random.Random, subtype: str, text: str, charset: str) -> str:
    try:
        data = text.encode(charset)
    except UnicodeEncodeError:
        charset = "utf-8"
        data = text.encode(charset)
    if charset == "us-ascii":
        encoding, encoded = "7bit", data
    else:
        encoding = rng.choices(("quoted-printable", "base64", "8bit"), (55, 25, 20))[0]
        if encoding == "8bit" and max(map(len, data.split(b"\n"))) > 990:
            encoding = "base64"
        if encoding == "quoted-printable":
            encoded = binascii.b2a_qp(data)
        else:
            encoded = base64.encodebytes(data) if encoding == "base64" else data
    flowed = "; format=flowed" if subtype == "plain" and rng.random() < 0.2 else ""
    return (
        f'Content-Type: text/{subtype}; charset="{charset}"{flowed}\nContent-Transfer-Encoding: {encoding}\n\n'
        + encoded.decode("latin-1")
    )


def _html(rng: random.Random, lines: list[str]) -> str:
    """As wordy as office programs make it."""
    rules = "".join(
        f"p.Style{number}, li.Style{number} {{margin:0cm; font-size:1{number % 9}.0pt; font-family:sans-serif;}}\n"
        for number in range(rng.randint(5, 60))
    )
    paragraphs = "".join(
        f'<p class="Style1"><span style="font-size:11.0pt; color:#1F3864">{_escaped(line) or "&nbsp;"}</span></p>\n'
        for line in lines
    )
    return f"<html><head><style>{rules}</style></head><body>\n{paragraphs}</body></html>\n"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _multipart(rng: random.Random, number: int, subtype: str, parts: list[str]) -> str:
    boundary = f"=_{subtype}_{number}_{rng.getrandbits(64):x}"
    opened = "".join(f"--{boundary}\n{part}" + ("" if part.endswith("\n") else "\n") for part in parts)
    return f'Content-Type: multipart/{subtype}; boundary="{boundary}"\n\n{opened}--{boundary}--\n'


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode())


def _encoded_word(text: str) -> str:
    return text if text.isascii() else Header(text, "utf-8", maxlinelen=70).encode()


def write(folder: Path, count: int, seed: int = 1) -> None:
    """Writes so many mails as 000000.eml, 000001.eml and so on into a folder, which is made when missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, raw in enumerate(itertools.islice(Office(seed).mails(), count)):
        (folder / f"{number:06d}.eml").write_bytes(raw)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.mail", description="Writes made-up mail into a folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    write(given.folder, given.count, given.seed)


if __name__ == "__main__":
    main()
