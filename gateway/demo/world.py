"""The small world of the demo, the tests and the screenshots: who there is, and the mail that reaches them.

Demo is a small company that sells and services coffee machines and water dispensers. Anna owns Helpdesk, Bernd owns
Sales, and Clara (Press) may see nothing of either.
"""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from html import escape

from archive.mail import reader
from gateway.demo import compose, enclosures, quoting, trickle
from gateway.demo.compose import Field, Part, Person
from gateway.demo.letters import ANNA, BERND, CLARA, HELPDESK, KASIA, LETTERS, PRESS, SALES, Letter

ORGANISATION = "Demo"
PEOPLE = (ANNA, BERND, CLARA)
SEED = 2031

# Hours east of UTC where people of a language live; Russian is written from Almaty here.
ZONES = {"en": 0, "cs": 1, "pl": 1, "es": 1, "ru": 5}
QUOTED_LINES = 60  # beyond that the mail programs of this world cut off


@dataclass(frozen=True)
class Process:
    """A matter people work on together, with the address that its mail reaches and the person who owns it."""

    slug: str
    name: str
    address: str
    owner: Person


PROCESSES = (
    Process("helpdesk", "Helpdesk", HELPDESK, ANNA),
    Process("sales", "Sales", SALES, BERND),
    Process("press", "Press", PRESS, CLARA),
)


@dataclass(frozen=True)
class Arrival:
    """A copy of a mail that reaches one of our addresses at a time (UTC)."""

    address: str
    raw: bytes
    at: datetime


@dataclass(frozen=True)
class _Post:
    """A letter that has been sent: its identity, its whole text with what it quotes, and its raw mail."""

    letter: Letter
    at: datetime
    message_id: str
    references: tuple[str, ...]
    plain: str
    html: str
    language: str
    raw: bytes


def mails(now: datetime) -> list[Arrival]:
    """The 60 mails of the three weeks before `now`, oldest first: 55 letters, five of which reach two addresses.

    The same `now` gives the same bytes. Message-IDs hold the day, so that a world of another day is another one.
    """
    arrivals = [arrival for post in _history(now).values() for arrival in _arrive(post)]
    return sorted(arrivals, key=lambda arrival: (arrival.at, arrival.address))


def stream(now: datetime, every: timedelta = timedelta(seconds=5)) -> Iterator[Arrival]:
    """Without end, what comes in from `now` on, a mail at each interval: new matters, and answers in known ones."""
    chance = random.Random(SEED)  # noqa: S311 (variety, not secrecy)
    known = deque((post for post in _history(now).values() if _may_go_on(post)), maxlen=60)
    at, number = now.astimezone(UTC), 0
    while True:
        at, number = at + every, number + 1
        if chance.random() < 0.4:
            parent = chance.choice(known)
            post = _send(trickle.answer(chance, number, parent.letter, parent.language), at, parent)
        else:
            post = _send(trickle.open_matter(chance, number), at, None)
        known.append(post)
        yield from _arrive(post)


def answer_of(recipient: str, ours: bytes, at: datetime) -> Arrival | None:
    """What somebody outside answers to a mail of ours, shortly after; None where it asks for none, or goes nowhere."""
    mail = reader.read(ours)
    to = next((one.address.lower() for one in mail.from_), "")
    if not to.endswith("@demo.example") or not mail.message_id or mail.header("Auto-Submitted"):
        return None
    known = {one.sender.address: one.sender for one in LETTERS}
    known |= {one.address: one for some in trickle.WRITERS.values() for one in some}
    writer = known.get(recipient, Person("", recipient))
    words = trickle.ANSWERS[writer.language]
    text = f"{words[len(ours) % len(words)]}\n\n{writer.name}".rstrip()
    parent, subject = f"<{mail.message_id}>", mail.subject or ""
    letter = Letter(
        key=f"answer {mail.message_id}", sender=writer, to=to, days=0, clock="", text=text,
        subject=subject if subject.lower().startswith(trickle.REPLY_PREFIXES) else f"Re: {subject}".rstrip(),
    )  # fmt: skip
    references = (*(f"<{one}>" for one in mail.references[-9:]), parent)
    post = _Post(letter, at, _message_id(letter, at), references, text, quoting.html(text), writer.language, b"")
    raw = compose.mail(_fields(post), compose.text(text))
    return Arrival(to, _trace(letter, to, at) + raw, at)


def _history(now: datetime) -> dict[str, _Post]:
    posts: dict[str, _Post] = {}
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for letter in LETTERS:
        hour, minute = letter.clock.split(":")
        second = int(_digest(letter.key)[:4], 16) % 60
        at = midnight - timedelta(days=letter.days) + timedelta(hours=int(hour), minutes=int(minute), seconds=second)
        posts[letter.key] = _send(letter, at, posts[letter.answers] if letter.answers else None)
    return posts


def _may_go_on(post: _Post) -> bool:
    letter = post.letter
    return (
        letter.sender.name != "" and letter.to.endswith("@demo.example") and letter.key not in ("bounce", "newsletter")
    )


def _send(letter: Letter, at: datetime, parent: _Post | None) -> _Post:
    language = parent.language if parent else letter.sender.language
    text = letter.text.strip()
    plain, html = text, quoting.html(text)
    references: tuple[str, ...] = ()
    if parent:
        references = (*parent.references, parent.message_id)
        references = references[:1] + references[1:][-9:]  # the first and the nearest ones, as programs do
        plain, html = _quote(letter, parent)
    letter = replace(letter, charset=_charset(letter, plain))
    post = _Post(letter, at, _message_id(letter, at), references, plain, html, language, b"")
    return replace(post, raw=compose.mail(_fields(post), _content(post)))


def _charset(letter: Letter, plain: str) -> str:
    try:
        f"{letter.sender.name}{letter.subject}{plain}".encode(letter.charset)
    except UnicodeEncodeError:
        return "utf-8"  # what is quoted has letters that the author's usual charset lacks
    return letter.charset


def _quote(letter: Letter, parent: _Post) -> tuple[str, str]:
    text, language = letter.text.strip(), letter.sender.language
    who, written = parent.letter.sender, parent.at.astimezone(_zone(language))
    below = "\n".join(parent.plain.splitlines()[:QUOTED_LINES])
    below_html = parent.html if len(parent.html) < 8000 else quoting.html(parent.letter.text)
    if letter.style == "outlook":
        block = quoting.header_block(language, who, written, parent.letter.to, parent.letter.subject)
        plain = "\n".join([text, "", quoting.OUTLOOK[language][0], *(f"{k}: {v}" for k, v in block), "", below])
        rows = "<br>\n".join(f"<b>{escape(label)}:</b> {escape(value)}" for label, value in block)
        rule = '<div style="border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm"><p>'
        html = f'{quoting.html(text)}\n<div id="divRplyFwdMsg">{rule}{rows}</p></div></div>\n{below_html}'
        return plain, html
    line = quoting.attribution(letter.style, language, who, written)
    if letter.style == "apple":
        plain = f"{text}\n\n{quoting.mark(f'{line}{chr(10)}{chr(10)}{below}')}"
        html = f'{quoting.html(text)}\n<blockquote type="cite"><div>{escape(line)}</div><br>\n{below_html}</blockquote>'
    else:
        plain = f"{text}\n\n{line}\n{quoting.mark(below)}"
        html = (
            f'{quoting.html(text)}\n<div class="gmail_quote">'
            f'<div dir="ltr" class="gmail_attr">{escape(line)}<br></div>\n'
            '<blockquote class="gmail_quote" style="margin:0px 0px 0px 0.8ex;border-left:1px solid rgb(204,204,204);'
            f'padding-left:1ex">{below_html}</blockquote></div>'
        )
    return plain, html


def _fields(post: _Post) -> list[Field]:
    letter, charset = post.letter, post.letter.charset
    fields = [("From", compose.mailbox(letter.sender, charset)), ("To", letter.to)]
    if letter.key == "newsletter":
        fields[1] = ("To", f"Customers of Bright Bean <{letter.sender.address}>")
        fields += [("List-Unsubscribe", "<https://bright-bean.example/unsubscribe>"), ("Precedence", "bulk")]
    elif letter.copy:
        fields.append(("Cc", letter.copy))
    elif not letter.to.endswith("@demo.example"):
        fields.append(("Cc", letter.sender.address))  # how our own answers reach the mailbox of the process
    if letter.subject:
        fields.append(("Subject", compose.words(letter.subject, charset)))
    fields.append(("Date", compose.stamp(post.at.astimezone(_zone(letter.sender.language)))))
    if letter.key != "device":  # small devices know no Message-ID
        fields.append(("Message-ID", post.message_id))
    if post.references:
        fields.append(("In-Reply-To", post.references[-1]))
        fields.append(("References", "\r\n ".join(post.references)))
    if letter.key == "away":
        unseen = f"<{_digest('contract')[:16]}@demo.example>"
        fields += [("In-Reply-To", unseen), ("References", unseen)]
    if letter.key in ("away", "bounce", "device"):
        fields.append(("Auto-Submitted", "auto-replied" if letter.key == "away" else "auto-generated"))
    fields.append(("Content-Language", post.language))
    return fields


def _content(post: _Post) -> Part:
    letter = post.letter
    if letter.key == "bounce":
        return _bounce(post)
    if letter.key == "newsletter":
        return compose.alternatives(post.plain, _NEWSLETTER, letter.charset, letter.encoding)
    pictures: list[Part] = []
    if letter.style == "plain" and letter.key != "draft":
        body = compose.text(post.plain, letter.charset, letter.encoding)
    else:
        html = post.html
        if letter.key == "draft":
            pictures = [
                compose.file("logotipo.png", enclosures.logo((214, 92, 18)), "image/png", "logo@naranjo.example")
            ]
            html = f'<p><img src="cid:logo@naranjo.example" alt="Demo" width="96" height="96"></p>\n{html}'
        elif letter.sender == KASIA:
            logo = enclosures.logo((30, 92, 170))
            pictures = [compose.file("image001.png", logo, "image/png", "image001.png@wisla")]
            html = f'{html}\n<p><img src="cid:image001.png@wisla" width="96" height="96"></p>'
        page = f"<html><head></head><body>\n{html}\n</body></html>"
        body = compose.alternatives(post.plain, page, letter.charset, letter.encoding)
    if pictures:
        body = compose.several("related", [body, *pictures], ' type="multipart/alternative";')
    files = _enclose(post)
    return compose.several("mixed", [body, *files]) if files else body


def _enclose(post: _Post) -> list[Part]:
    key = post.letter.key
    if key == "cold-3":
        return [compose.file("IMG_2214.png", enclosures.photo(), "image/png")]
    if key in ("quote-2", "quote-3", "prices-2"):
        return [_pdf("Demo_price_list.pdf", _PRICE_LIST)]
    if key == "order-2":
        return [_pdf("Obchodní podmínky.pdf", _TERMS)]
    if key == "damaged-3":
        return [_pdf("protokol_szkody_2031.pdf", _DAMAGE)]
    if key == "freight":
        return [_pdf("FV_1187.pdf", _FREIGHT), _pdf("protokol_szkody_2031.pdf", _DAMAGE)]
    if key in ("invoice-2", "invoice-3"):
        return [_pdf("Счёт № 7715.pdf", _INVOICE)]
    if key == "stock":
        return [compose.file("existencias.csv", enclosures.csv(_STOCK), 'text/csv; charset="utf-8"')]
    if key == "log":
        return [compose.file("Záznam chyb – kávovar č. 7.txt", _LOG.encode(), 'text/plain; charset="utf-8"')]
    if key == "visit":
        start = post.at.replace(hour=9, minute=0, second=0) + timedelta(days=9)
        invitation = enclosures.invitation(
            f"{_digest(key)[:12]}@radio-ribera.example",
            title="Entrevista: La mañana de la Ribera",
            place="Estudio 2",
            start=start,
            minutes=15,
            organiser=post.letter.sender.address,
            guest=post.letter.to,
        )
        return [compose.file("invitación.ics", invitation, 'text/calendar; charset="utf-8"; method=REQUEST')]
    if key == "forward":
        return [compose.attached(_confirmation(post.at - timedelta(days=6)), "Order confirmation 2049.eml")]
    if key.startswith("stream-"):
        return [compose.file(name, data, kind) for name, kind, data in trickle.enclosures_of(post.letter)]
    return []


def _pdf(name: str, lines: tuple[str, ...]) -> Part:
    return compose.file(name, enclosures.pdf(lines), "application/pdf")


def _confirmation(at: datetime) -> bytes:
    text = (
        "Dear Priya,\n\nthank you for order 2049 (4 x Aqua 20). We deliver to 18 Old Wharf Road.\n\nBernd Keller\nDemo"
    )
    fields = [
        ("From", compose.mailbox(Person("Bernd Keller", SALES))),
        ("To", "Priya Raman <priya.raman@northgate-council.example>"),
        ("Subject", "Order confirmation 2049"),
        ("Date", compose.stamp(at)),
        ("Message-ID", f"<{at:%Y%m%d}.{_digest('2049')[:10]}@demo.example>"),
    ]
    terms = _pdf("General terms.pdf", _TERMS)
    return compose.mail(fields, compose.several("mixed", [compose.text(text, "us-ascii", "7bit"), terms]))


def _bounce(post: _Post) -> Part:
    # RFC 3464: the text for people, the report for programs, and the header of what could not be delivered.
    status = (
        "Reporting-MTA: dns; mx.harbour-coworking.example\r\n\r\n"
        "Final-Recipient: rfc822; reception@harbour-coworking.example\r\n"
        "Action: failed\r\nStatus: 4.2.2\r\nDiagnostic-Code: smtp; 452 4.2.2 Mailbox full\r\n"
    )
    returned = (
        f"From: Demo Helpdesk <{HELPDESK}>\r\nTo: reception@harbour-coworking.example\r\n"
        f"Subject: Your service visit\r\nMessage-ID: <{_digest('visit')[:16]}@demo.example>\r\n"
    )
    parts = [
        compose.text(post.plain, "us-ascii", "7bit"),
        Part((("Content-Type", "message/delivery-status"),), status.encode()),
        Part((("Content-Type", "text/rfc822-headers"),), returned.encode()),
    ]
    return compose.several("report", parts, " report-type=delivery-status;")


def _arrive(post: _Post) -> list[Arrival]:
    letter = post.letter
    ours = letter.to if letter.to.endswith("@demo.example") else letter.sender.address
    addresses = [ours, letter.copy] if letter.copy else [ours]
    arrivals = []
    for number, address in enumerate(addresses):
        at = post.at + timedelta(seconds=3 + 2 * number)
        arrivals.append(Arrival(address, _trace(letter, address, at) + post.raw, at))
    return arrivals


def _trace(letter: Letter, address: str, at: datetime) -> bytes:
    host = "mx." + letter.sender.address.rpartition("@")[2].removeprefix("mx.")
    last = int(_digest(host)[:2], 16) % 200 + 10
    sender = "" if letter.key == "bounce" else letter.sender.address
    queued = _digest(f"{letter.key} {address} {at}")[:10].upper()
    return (
        f"Return-Path: <{sender}>\r\nDelivered-To: {address}\r\n"
        f"Received: from {host} ({host} [192.0.2.{last}])\r\n"
        f"\tby mail.demo.example (Postfix) with ESMTPS id {queued}\r\n"
        f"\tfor <{address}>; {compose.stamp(at)}\r\n"
    ).encode()


def _message_id(letter: Letter, at: datetime) -> str:
    domain = letter.sender.address.rpartition("@")[2]
    return f"<{at:%Y%m%d%H%M%S}.{_digest(letter.key)[:10]}@{domain}>"


def _digest(text: str) -> str:
    return hashlib.sha256(f"{SEED} {text}".encode()).hexdigest()


def _zone(language: str) -> timezone:
    return timezone(timedelta(hours=ZONES[language]))


_PRICE_LIST = (
    "Demo: price list",
    "",
    "Barista 300, coffee machine ............ 1 190.00 EUR",
    "Milk module for Barista 300 .............. 240.00 EUR",
    "Aqua 20, water dispenser ................. 480.00 EUR",
    "Filter AF-2 ............................... 19.50 EUR",
    "Descaling set ............................. 12.00 EUR",
    "",
    "All prices without VAT. Delivery within the EU is free from 500 EUR.",
)
_TERMS = (
    "General terms of sale",
    "",
    "1. An offer is valid for 30 days.",
    "2. Goods remain ours until they are paid in full.",
    "3. Warranty: 24 months; spare parts are kept for ten years.",
    "4. Damage in transport must be reported within three working days.",
)
_DAMAGE = ("Protokol szkody 2031", "", "Przesylka: 2 x Aqua 20", "Karton wgnieciony, oslona boczna pekla.")
_FREIGHT = ("Faktura FV/1187", "", "Transport, zlecenie 2031: 186,00 EUR", "Termin platnosci: 14 dni")
_INVOICE = ("Invoice 7715", "", "Service visit, 2 coffee machines: 140.00 EUR", "Due within 14 days")
_STOCK = (
    ("Referencia", "Artículo", "Existencias", "Reposición"),
    ("AF-2", "Filtro de agua", "48", "día 15"),
    ("AQ-20", "Dispensador Aqua 20", "112", ""),
    ("B3", "Cafetera Barista 300", "37", ""),
    ("DS-1", "Juego de descalcificación", "260", ""),
)
_LOG = """\
06:02:11  proplach zahájen
06:03:40  E09  průtok mimo rozsah (očekáváno 2,1 l/min, naměřeno 1,4 l/min)
06:03:52  proplach opakován
06:05:20  připraveno
"""
_NEWSLETTER = """\
<html><head><meta charset="utf-8"><title>Winter roasts</title>
<style>.offer { color: #7a1f1f; font-weight: bold } a { color: #2b5d34 }</style></head>
<body style="margin:0;background:#f3efe8">
<div style="display:none">15 % off until Sunday with the code FROST15</div>
<table width="100%" cellpadding="0" cellspacing="0" border="0"><tr><td align="center">
<table width="600" cellpadding="0" cellspacing="0" border="0" style="background:#ffffff;font-family:Georgia,serif">
<tr><td colspan="2"><img src="https://bright-bean.example/img/winter.png" width="600" height="180" alt="Winter roasts">
</td></tr>
<tr><td colspan="2" style="padding:24px"><h1>Winter roasts are here</h1>
<p class="offer">15 % off both until Sunday with the code FROST15.</p></td></tr>
<tr><td width="300" style="padding:0 24px 24px"><h2>Fireside</h2><p>Dark, with cocoa and a little smoke.</p></td>
<td width="300" style="padding:0 24px 24px"><h2>First Frost</h2><p>Light, with orange peel.</p></td></tr>
<tr><td colspan="2" align="center" style="padding:24px"><a href="https://bright-bean.example/winter">See the roasts</a>
</td></tr>
<tr><td colspan="2" style="padding:24px;font-size:12px;color:#777777">
You get this mail because your company buys from us.
<a href="https://bright-bean.example/unsubscribe">Unsubscribe</a></td></tr>
</table></td></tr></table>
<img src="https://bright-bean.example/open.gif?c=8841" width="1" height="1" alt="">
</body></html>
"""
