"""How mail programs quote the letter they answer, in the words of each language."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from html import escape

from gateway.demo.compose import Person

# Weekdays from Monday and months from January as the programs shorten them.
DAYS = {
    "en": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
    "cs": ["po", "út", "st", "čt", "pá", "so", "ne"],
    "pl": ["pon.", "wt.", "śr.", "czw.", "pt.", "sob.", "niedz."],
    "es": ["lun", "mar", "mié", "jue", "vie", "sáb", "dom"],
    "ru": ["пн", "вт", "ср", "чт", "пт", "сб", "вс"],
}
MONTHS = {
    "en": ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
    "cs": ["led", "úno", "bře", "dub", "kvě", "čvn", "čvc", "srp", "zář", "říj", "lis", "pro"],
    "pl": ["sty", "lut", "mar", "kwi", "maj", "cze", "lip", "sie", "wrz", "paź", "lis", "gru"],
    "es": ["ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sept", "oct", "nov", "dic"],
    "ru": ["янв.", "февр.", "мар.", "апр.", "мая", "июн.", "июл.", "авг.", "сент.", "окт.", "нояб.", "дек."],
}

Attribution = Callable[[Person, datetime, str, str], str]

THUNDERBIRD: dict[str, Attribution] = {
    "en": lambda who, at, day, month: f"On {at:%d/%m/%Y %H:%M}, {who.name or who.address} wrote:",
    "cs": lambda who, at, day, month: f"Dne {at:%d. %m. %y} v {at.hour}:{at:%M} {who.name or who.address} napsal(a):",
    "pl": lambda who, at, day, month: f"W dniu {at.day}.{at:%m.%Y} o {at:%H:%M}, {who.name or who.address} pisze:",
    "es": lambda who, at, day, month: f"El {at.day}/{at.month}/{at:%y} a las {at.hour}:{at:%M}, {who.name} escribió:",
    "ru": lambda who, at, day, month: f"{at:%d.%m.%Y %H:%M}, {who.name or who.address} пишет:",
}
GMAIL: dict[str, Attribution] = {
    "en": lambda who, at, day, month: (
        f"On {day}, {at.day} {month} {at.year} at {at:%H:%M}, {who.name} <{who.address}>\nwrote:"
    ),
    "cs": lambda who, at, day, month: (
        f"{day} {at.day}. {at.month}. {at.year} v {at.hour}:{at:%M} odesílatel {who.name}\n<{who.address}> napsal:"
    ),
    "pl": lambda who, at, day, month: (
        f"{day}, {at.day} {month} {at.year} o {at:%H:%M} {who.name} <{who.address}>\nnapisał(a):"
    ),
    "es": lambda who, at, day, month: (
        f"El {day}, {at.day} {month} {at.year} a las {at.hour}:{at:%M}, {who.name}\n(<{who.address}>) escribió:"
    ),
    "ru": lambda who, at, day, month: f"{day}, {at.day} {month} {at.year} г. в {at:%H:%M}, {who.name} <{who.address}>:",
}
APPLE: dict[str, Attribution] = {
    "en": lambda who, at, day, month: (
        f"On {at.day} {month} {at.year}, at {at:%H:%M}, {who.name} <{who.address}> wrote:"
    ),
    "cs": lambda who, at, day, month: (
        f"{at.day}. {at.month}. {at.year} v {at.hour}:{at:%M}, {who.name} <{who.address}>:"
    ),
    "pl": lambda who, at, day, month: (
        f"Wiadomość napisana przez {who.name} <{who.address}> w dniu {at.day} {month} {at.year}, o godz. {at:%H:%M}:"
    ),
    "es": lambda who, at, day, month: (
        f"El {at.day} {month} {at.year}, a las {at.hour}:{at:%M}, {who.name} <{who.address}> escribió:"
    ),
    "ru": lambda who, at, day, month: (
        f"{at.day} {month} {at.year} г., в {at:%H:%M}, {who.name} <{who.address}> написал(а):"
    ),
}
PROGRAMS = {"plain": THUNDERBIRD, "gmail": GMAIL, "apple": APPLE}

# Outlook's title above the header block, and its From, Sent, To, Subject.
OUTLOOK = {
    "en": ("-----Original Message-----", "From", "Sent", "To", "Subject"),
    "cs": ("-----Původní zpráva-----", "Od", "Odesláno", "Komu", "Předmět"),
    "pl": ("-----Wiadomość oryginalna-----", "Od", "Wysłano", "Do", "Temat"),
    "es": ("-----Mensaje original-----", "De", "Enviado el", "Para", "Asunto"),
    "ru": ("-----Исходное сообщение-----", "От", "Отправлено", "Кому", "Тема"),
}


def attribution(style: str, language: str, who: Person, at: datetime) -> str:
    """The line (or two) above quoted text: who wrote it, and when (`at` in the reader's zone)."""
    line = PROGRAMS[style][language]
    return line(who, at, DAYS[language][at.weekday()], MONTHS[language][at.month - 1])


def header_block(language: str, who: Person, at: datetime, to: str, subject: str) -> list[tuple[str, str]]:
    """What Outlook writes above the letter answered: labels in its language, and their values."""
    _, sender, sent, recipient, topic = OUTLOOK[language]
    month = MONTHS[language][at.month - 1]
    return [
        (sender, f"{who.name} <{who.address}>"),
        (sent, f"{at.day} {month} {at.year} {at:%H:%M}"),
        (recipient, to),
        (topic, subject),
    ]


def mark(text: str) -> str:
    """Quoted text: a > before each line, as RFC 3676 4.5 has it."""
    return "\n".join(">" + line if line.startswith(">") else f"> {line}".rstrip() for line in text.splitlines())


def html(text: str) -> str:
    """Plain text as the paragraphs of an HTML letter."""
    paragraphs = escape(text, quote=False).strip().split("\n\n")
    return "\n".join("<p>{}</p>".format(p.replace("\n", "<br>\n")) for p in paragraphs)
