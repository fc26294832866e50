"""Difficult mails, one for each way in which real mail is broken or odd, and what a person would say they are.

Each is made by hand; `expect` holds what matters of it, in the words of `archive.mail.inspection.describe`.
"""

import base64
from dataclasses import dataclass, field
from typing import Any

HEAD = b"From: Anna <anna@helpdesk.example>\nTo: bernd@sales.example\nDate: Mon, 2 Mar 2026 10:00:00 +0100\n"
WHEN = 1772442000


@dataclass(frozen=True)
class Difficult:
    """A mail and what is to be read from it: fields of the description, and of each part in order."""

    raw: bytes
    expect: dict[str, Any] = field(default_factory=dict)
    parts: list[dict[str, Any]] | None = None
    problem: str | None = None  # a piece of a sentence that must stand among the problems


def _header(line: str | bytes, charset: str = "utf-8") -> bytes:
    line = line.encode(charset) if isinstance(line, str) else line
    return HEAD + line + b"\n\nHello\n"


def _mixed(*parts: bytes, boundary: bytes = b"sep", end: bytes = b"--sep--\n", head: bytes = b"") -> bytes:
    kind = b'Content-Type: multipart/mixed; boundary="' + boundary + b'"\n'
    return HEAD + kind + head + b"\n" + b"".join(b"--" + boundary + b"\n" + part + b"\n" for part in parts) + end


def _people(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "address": address} for name, address in pairs]


TEXT = b"Content-Type: text/plain; charset=utf-8\n\nHello"
FORWARDED = HEAD + b"Subject: inside\nContent-Type: text/plain\n\nthe inner text\n"
PDF = b"%PDF-1.7 made by hand\n"
PDF64 = base64.encodebytes(PDF)

SUBJECTS: dict[str, Difficult] = {
    "two words, the space between them dropped": Difficult(
        _header("Subject: =?utf-8?Q?Rechnung?= =?utf-8?Q?_Nr._5?="), {"subject": "Rechnung Nr. 5"}
    ),
    "two words on two lines": Difficult(
        _header("Subject: =?utf-8?B?xb1sdcWl?=\n =?utf-8?B?b3XEjWvDvQ==?="), {"subject": "Žluťoučký"}
    ),
    "a character split across two words": Difficult(
        _header("Subject: =?utf-8?B?xb1sdcU=?= =?utf-8?B?pW91xI1rw70=?="), {"subject": "Žluťoučký"}
    ),
    "base64 split at any place": Difficult(
        _header("Subject: =?utf-8?B?xb1sdcWlb3X?= =?utf-8?B?EjWvDvQ==?="), {"subject": "Žluťoučký"}
    ),
    "base64 without its padding": Difficult(_header("Subject: =?utf-8?B?xb1sdcWl?="), {"subject": "Žluť"}),
    "padding forgotten": Difficult(_header("Subject: =?utf-8?B?QWhvag?="), {"subject": "Ahoj"}),
    "spaces inside a word": Difficult(
        _header("Subject: =?utf-8?Q?Caf=C3=A9 und Kuchen?="), {"subject": "Café und Kuchen"}
    ),
    "a question mark inside a word": Difficult(
        _header("Subject: =?iso-8859-1?Q?Wie_gro=DF??="), {"subject": "Wie groß?"}
    ),
    "a language tag": Difficult(_header("Subject: =?utf-8*cs?Q?=C4=8Das?="), {"subject": "čas"}),
    "text and words mixed": Difficult(
        _header("Subject: Re: =?utf-8?Q?p=C5=99=C3=ADloha?= 2"), {"subject": "Re: příloha 2"}
    ),
    "no word at all": Difficult(_header("Subject: a =? b ?= c"), {"subject": "a =? b ?= c"}),
    "an unknown charset": Difficult(_header("Subject: =?x-nobody-knows?Q?=C4=8Das?="), {"subject": "čas"}),
    "UTF-8 called Latin-1's neighbour": Difficult(_header("Subject: =?us-ascii?Q?=C4=8Das?="), {"subject": "čas"}),
    "control characters that claim to be UTF-8": Difficult(
        _header("Subject: =?UTF-8?B?gRuCAoMQhA==?="), {"subject": "=?UTF-8?B?gRuCAoMQhA==?="}
    ),
    "GB2312 with a character of GBK": Difficult(
        _header(b"Subject: =?gb2312?B?" + base64.b64encode("朱镕基".encode("gbk")) + b"?="), {"subject": "朱镕基"}
    ),
    "ISO-2022-JP": Difficult(
        _header(b"Subject: =?ISO-2022-JP?B?" + base64.b64encode("会議の件".encode("iso2022_jp")) + b"?="),
        {"subject": "会議の件"},
    ),
    "ISO-2022-JP with a circled digit": Difficult(
        _header(b"Subject: =?ISO-2022-JP?B?" + base64.b64encode(b"\x1b$B-!2q5D\x1b(B") + b"?="), {"subject": "①会議"}
    ),
    "raw UTF-8": Difficult(_header("Subject: Příloha číslo 2"), {"subject": "Příloha číslo 2"}),
    "raw Windows-1250, which the body names": Difficult(
        HEAD + "Subject: Žádost o příspěvek\nContent-Type: text/plain; charset=windows-1250\n\nx".encode("cp1250"),
        {"subject": "Žádost o příspěvek"},
    ),
    "raw Windows-1252, which another header names": Difficult(
        b"From: =?windows-1252?Q?Jo=E3o?= <joao@press.example>\n" + "Subject: Formação em março\n\nx".encode("cp1252"),
        {"subject": "Formação em março"},
    ),
    "folded in the middle": Difficult(_header("Subject: one\n two\n\tthree"), {"subject": "one two three"}),
    "beginning on the second line": Difficult(_header("Subject:\n  late"), {"subject": "late"}),
    "twice, the first empty": Difficult(
        _header("Subject:\nSubject: the real one"), {"subject": "the real one"}, problem="Subject stands 2 times"
    ),
    "twice": Difficult(_header("Subject: first\nSubject: second"), {"subject": "first"}, problem="stands 2 times"),
    "in capitals, with a space before the colon": Difficult(_header("SUBJECT : loud"), {"subject": "loud"}),
    "with a NUL": Difficult(_header(b"Subject: a\0b"), {"subject": "ab"}),
}

PEOPLE: dict[str, Difficult] = {
    "a group": Difficult(
        _header("Cc: The team: clara@press.example, Dan <dan@press.example>; , eve@press.example"),
        {"cc": _people(("", "clara@press.example"), ("Dan", "dan@press.example"), ("", "eve@press.example"))},
    ),
    "an empty group": Difficult(_header("Cc: undisclosed-recipients:;"), {"cc": []}),
    "an empty group in brackets": Difficult(_header("Cc: <undisclosed-recipients:;>"), {"cc": []}),
    "comments everywhere": Difficult(
        _header("Cc: Clara (of (the) press) <clara(her account)@press.example (the host)>"),
        {"cc": _people(("Clara", "clara@press.example"))},
    ),
    "the name as a comment": Difficult(
        _header("Cc: clara@press.example (Clara Press)"), {"cc": _people(("Clara Press", "clara@press.example"))}
    ),
    "a comma in quotes": Difficult(
        _header('Cc: "Press, Clara" <clara@press.example>'), {"cc": _people(("Press, Clara", "clara@press.example"))}
    ),
    "a comma in an encoded word": Difficult(
        _header("Cc: =?utf-8?Q?Press,_Clara?= <clara@press.example>, dan@press.example"),
        {"cc": _people(("Press, Clara", "clara@press.example"), ("", "dan@press.example"))},
    ),
    "an encoded word in quotes": Difficult(
        _header('Cc: "=?utf-8?Q?Kl=C3=A1ra?=" <clara@press.example>'), {"cc": _people(("Klára", "clara@press.example"))}
    ),
    "quotes inside an encoded word": Difficult(
        _header("Cc: =?utf-8?B?IkNsYXJhIg==?= <clara@press.example>"), {"cc": _people(("Clara", "clara@press.example"))}
    ),
    "quotes inside quotes": Difficult(
        _header(r'Cc: "Clara \"C.\" Press" <clara@press.example>'),
        {"cc": _people(('Clara "C." Press', "clara@press.example"))},
    ),
    "everything in one encoded word": Difficult(
        _header(b"Cc: =?utf-8?B?" + base64.b64encode("Klára <clara@press.example>".encode()) + b"?="),
        {"cc": _people(("Klára", "clara@press.example"))},
    ),
    "semicolons between": Difficult(
        _header("Cc: clara@press.example; dan@press.example"),
        {"cc": _people(("", "clara@press.example"), ("", "dan@press.example"))},
    ),
    "commas in a row": Difficult(
        _header("Cc: clara@press.example,, ,dan@press.example,"),
        {"cc": _people(("", "clara@press.example"), ("", "dan@press.example"))},
    ),
    "a forgotten comma": Difficult(
        _header("Cc: Clara <clara@press.example> Dan <dan@press.example>"),
        {"cc": _people(("Clara", "clara@press.example"), ("Dan", "dan@press.example"))},
    ),
    "a quote left open": Difficult(
        _header('Cc: "Clara <clara@press.example>'), {"cc": _people(("Clara", "clara@press.example"))}
    ),
    "a bracket left open": Difficult(
        _header("Cc: Clara <clara@press.example"), {"cc": _people(("Clara", "clara@press.example"))}
    ),
    "no brackets": Difficult(
        _header("Cc: Clara Press clara@press.example"), {"cc": _people(("Clara Press", "clara@press.example"))}
    ),
    "a route": Difficult(
        _header("Cc: <@relay.example,@other.example:clara@press.example>"), {"cc": _people(("", "clara@press.example"))}
    ),
    "spaces around the dots": Difficult(
        _header("Cc: clara@press . example, <dan @ press.example>"),
        {"cc": _people(("", "clara@press.example"), ("", "dan@press.example"))},
    ),
    "two things in brackets": Difficult(
        _header("Cc: <press.example clara@press.example>"), {"cc": _people(("", "clara@press.example"))}
    ),
    "a quoted local part": Difficult(
        _header('Cc: "clara press"@press.example, <"dan,d"@press.example>'),
        {"cc": _people(("", '"clara press"@press.example'), ("", '"dan,d"@press.example'))},
    ),
    "an at sign in the name": Difficult(
        _header("Cc: clara@old.example <clara@press.example>"),
        {"cc": _people(("clara@old.example", "clara@press.example"))},
    ),
    "an address literal": Difficult(
        _header("Cc: clara@[192.0.2.7], <dan@[IPv6:2001:db8::1]>"),
        {"cc": _people(("", "clara@[192.0.2.7]"), ("", "dan@[IPv6:2001:db8::1]"))},
    ),
    "an address in letters of its own": Difficult(
        _header("Cc: Čeněk <čeněk@pošta.example>"), {"cc": _people(("Čeněk", "čeněk@pošta.example"))}
    ),
    "two headers of one name": Difficult(
        _header("Cc: clara@press.example\nCc: dan@press.example"),
        {"cc": _people(("", "clara@press.example"), ("", "dan@press.example"))},
    ),
    "folded between name and address": Difficult(
        _header("Cc: =?utf-8?Q?Kl=C3=A1ra?=\n\t<clara@press.example>,\n dan@press.example"),
        {"cc": _people(("Klára", "clara@press.example"), ("", "dan@press.example"))},
    ),
    "a name without an address": Difficult(
        b"From: MAILER-DAEMON\nDate: x\n\nx", {"from": _people(("MAILER-DAEMON", ""))}, problem="no sender's address"
    ),
    "two senders": Difficult(
        b"From: anna@helpdesk.example, bernd@sales.example\n\nx",
        {"from": _people(("", "anna@helpdesk.example"), ("", "bernd@sales.example"))},
        problem="several senders",
    ),
    "two From headers": Difficult(
        b"From: anna@helpdesk.example\nFrom: eve@evil.example\n\nx",
        {"from": _people(("", "anna@helpdesk.example"))},
        problem="From stands 2 times",
    ),
}

SHAPES: dict[str, Difficult] = {
    "no closing boundary": Difficult(
        _mixed(TEXT, end=b""), {"text": "Hello\n"}, [{"path": "1", "size": 6}], problem="not closed"
    ),
    "text before the first boundary": Difficult(
        HEAD
        + b"Content-Type: multipart/mixed; boundary=sep\n\nfor old programs\n--sep\n"
        + TEXT
        + b"\n--sep--\nbehind\n",
        {"text": "Hello"},
        [{"path": "1", "size": 5}],
    ),
    "spaces behind the boundary": Difficult(
        HEAD + b"Content-Type: multipart/mixed; boundary=sep\n\n--sep  \n" + TEXT + b"\n--sep-- \n", {"text": "Hello"}
    ),
    "words behind the boundary": Difficult(
        HEAD
        + b"Content-Type: multipart/mixed; boundary=sep\n\n--sep here it comes\n"
        + TEXT
        + b"\n--sep-- that was it\n",
        {"text": "Hello"},
        [{"size": 5}],
    ),
    "a boundary that ends in spaces": Difficult(
        HEAD
        + b'Content-Type: multipart/mixed; boundary="sep  "\n\n--sep  \n'
        + TEXT
        + b"\n--sep\nno delimiter\n--sep  --\n",
        {"text": "Hello\n--sep\nno delimiter"},
    ),
    "a boundary whose spaces were taken away": Difficult(
        HEAD + b'Content-Type: multipart/mixed; boundary="sep  "\n\n--sep\n' + TEXT + b"\n--sep--\n", {"text": "Hello"}
    ),
    "the wrong boundary declared": Difficult(
        HEAD + b"Content-Type: multipart/mixed; boundary=other\n\n--sep\nContent-Type: text/plain\n\nHello\n--sep--\n",
        {"text": "Hello"},
        problem="guessed",
    ),
    "no boundary declared": Difficult(
        HEAD + b"Content-Type: multipart/mixed\n\n--sep\nContent-Type: text/plain\n\nHello\n--sep--\n",
        {"text": "Hello"},
        problem="guessed",
    ),
    "a multipart that is only text": Difficult(
        HEAD + b"Content-Type: multipart/alternative; boundary=sep\n\nJust text.\n",
        {"text": "Just text.\n"},
        problem="without parts",
    ),
    "one boundary the beginning of the other": Difficult(
        _mixed(
            b'Content-Type: multipart/alternative; boundary="sep2"\n\n--sep2\n' + TEXT + b"\n--sep2\n"
            b"Content-Type: text/html\n\n<b>Hello</b>\n--sep2--",
            b"Content-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\n\n" + PDF64,
        ),
        {"text": "Hello", "html": "<b>Hello</b>"},
        [{"path": "1.1"}, {"path": "1.2"}, {"path": "2", "name": "a.pdf", "attachment": True, "size": len(PDF)}],
    ),
    "the inner multipart not closed": Difficult(
        _mixed(b"Content-Type: multipart/alternative; boundary=in\n\n--in\n" + TEXT, b"\nBye", end=b"--sep--\n"),
        {"text": "Hello\nBye"},
        [{"path": "1.1", "size": 5}, {"path": "2"}],
    ),
    "an empty part": Difficult(_mixed(b"", TEXT), {"text": "\nHello"}, [{"size": 0}, {"size": 5}]),
    "a part without a header": Difficult(_mixed(b"\nHello"), {"text": "Hello"}, [{"content_type": "text/plain"}]),
    "a digest": Difficult(
        HEAD + b"Content-Type: multipart/digest; boundary=sep\n\n--sep\n\n" + FORWARDED + b"\n--sep--\n",
        {},
        [{"content_type": "message/rfc822", "path": "1"}, {"content_type": "text/plain", "path": "1.1"}],
    ),
    "encoded as a whole": Difficult(
        HEAD
        + b"Content-Type: multipart/mixed; boundary=sep\nContent-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(b"--sep\n" + TEXT + b"\n--sep--\n"),
        {"text": "Hello"},
        [{"path": "1", "size": 5}],
        problem="encoded as a whole",
    ),
    "bare carriage returns": Difficult(
        b"From: anna@helpdesk.example\rSubject: old Macintosh\r\rline one\rline two",
        {"subject": "old Macintosh", "text": "line one\rline two"},
    ),
    "no empty line before the body": Difficult(
        b"From: anna@helpdesk.example\nSubject: hasty\nDear Bernd,\nthis is it.\n",
        {"subject": "hasty", "text": "Dear Bernd,\nthis is it.\n"},
        problem="no headers",
    ),
    "a space in the empty line": Difficult(
        b"From: anna@helpdesk.example\nSubject: nearly\n \nDear Bernd,\n\nthis is it.\n",
        {"subject": "nearly", "text": "Dear Bernd,\n\nthis is it.\n"},
    ),
    "junk between the headers": Difficult(
        b"From: anna@helpdesk.example\nwhat is this\nSubject: still there\n\nHello\n",
        {"subject": "still there", "text": "Hello\n"},
        problem="no headers",
    ),
    "a mbox line before it": Difficult(
        b"From anna@helpdesk.example Mon Mar  2 10:00:00 2026\nSubject: from a box\n\nHello\n",
        {"subject": "from a box", "text": "Hello\n"},
    ),
    "empty lines and a byte order mark before it": Difficult(
        b"\xef\xbb\xbf\r\n\r\nSubject: late start\r\n\r\nHello\r\n", {"subject": "late start", "text": "Hello\r\n"}
    ),
    "nothing at all": Difficult(b"", {"subject": "", "text": "", "from": [], "date": None}),
    "no header": Difficult(b"\nonly text\n", {"text": "only text\n"}),
    "only headers": Difficult(b"Subject: headers only", {"subject": "headers only", "text": ""}),
}

ATTACHMENTS: dict[str, Difficult] = {
    "an attached mail, itself and opened": Difficult(
        _mixed(TEXT, b"Content-Type: message/rfc822\n\n" + FORWARDED),
        {"text": "Hello\nthe inner text"},
        [
            {"path": "1"},
            {"path": "2", "content_type": "message/rfc822", "attachment": True, "size": len(FORWARDED)},
            {"path": "2.1", "content_type": "text/plain", "attachment": False, "size": 15},
        ],
    ),
    "an attached mail in base64": Difficult(
        _mixed(
            TEXT,
            b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
            + base64.encodebytes(
                _mixed(TEXT, b"Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n\n" + PDF64)
            ),
        ),
        {"text": "Hello"},
        [
            {"path": "1"},
            {"path": "2", "content_type": "message/rfc822"},
            {"path": "2.1", "size": 5},
            {"path": "2.2", "content_type": "application/pdf", "size": len(PDF), "attachment": True},
        ],
    ),
    "a mbox line before an attached mail": Difficult(
        _mixed(TEXT, b"Content-Type: message/rfc822\n\nFrom x Mon Mar  2 10:00:00 2026\n" + FORWARDED),
        {},
        [{}, {"size": len(FORWARDED)}, {"size": 15}],
    ),
    "a part without any name": Difficult(
        _mixed(TEXT, b"Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n\n" + PDF64),
        {},
        [{}, {"name": None, "attachment": True, "size": len(PDF)}],
    ),
    "a mail that is a PDF": Difficult(
        HEAD + b"Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n\n" + PDF64,
        {"text": ""},
        [{"path": "1", "attachment": True, "size": len(PDF)}],
    ),
    "text that is attached": Difficult(
        _mixed(TEXT, b"Content-Type: text/plain\nContent-Disposition: attachment; filename=notes.txt\n\nnotes"),
        {"text": "Hello"},
        [{"attachment": False}, {"attachment": True, "name": "notes.txt"}],
    ),
    "a delivery report": Difficult(
        _mixed(
            TEXT,
            b"Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\nAction: failed\n",
            b"Content-Type: text/rfc822-headers\n\nSubject: lost\n",
        ),
        {"text": "Hello"},
        [{"attachment": False}, {"attachment": False}, {"attachment": False}],
    ),
    "a delivery report in prose": Difficult(
        _mixed(b"Content-Type: message/delivery-status\n\nNobody of this name lives here any more.\n"),
        {"text": "Nobody of this name lives here any more.\n"},
        problem="in prose",
    ),
    "a footer behind the base64": Difficult(
        _mixed(
            b"Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n\n"
            + PDF64
            + b"\n-- \nThe list's footer\n"
        ),
        {},
        [{"size": len(PDF)}],
    ),
    "base64 in several padded pieces": Difficult(
        _mixed(b"Content-Type: application/pdf\nContent-Transfer-Encoding: BASE64\n\nYWI=\nYWI=\nYQ=="),
        {},
        [{"size": 5}],
    ),
    "quoted-printable with spaces behind its soft breaks": Difficult(
        HEAD + b"Content-Transfer-Encoding: quoted-printable\n\none=  \n two=3D2 =ZZ\n", {"text": "one two=2 =ZZ\n"}
    ),
    "uuencoded": Difficult(
        _mixed(
            b"Content-Type: application/octet-stream; name=c\nContent-Transfer-Encoding: x-uuencode\n\n"
            b"begin 644 c\n#0V%T\n`\nend"
        ),
        {},
        [{"size": 3, "name": "c"}],
    ),
    "an encoding nobody knows": Difficult(HEAD + b"Content-Transfer-Encoding: 7-bit\n\nplain\n", {"text": "plain\n"}),
}

NAMES: dict[str, tuple[bytes, str | None]] = {
    "plain": (b'Content-Disposition: attachment; filename="a b.pdf"', "a b.pdf"),
    "without quotes, with spaces": (b"Content-Disposition: attachment; filename=a b.pdf", "a b.pdf"),
    "only in the type": (b"Content-Type: application/pdf; name=a.pdf", "a.pdf"),
    "the semicolon forgotten": (b"Content-Type: application/pdf name=a.pdf", "a.pdf"),
    "RFC 2231": (b"Content-Disposition: attachment; filename*=utf-8''p%C5%99%C3%ADloha.pdf", "příloha.pdf"),
    "RFC 2231 in pieces": (
        b"Content-Disposition: attachment;\n filename*0*=utf-8''p%C5%99;\n filename*1*=%C3%ADlo;\n"
        b' filename*2="ha.pdf"',
        "příloha.pdf",
    ),
    "the pieces in disorder": (b"Content-Disposition: attachment; filename*1=b.pdf; filename*0=a", "ab.pdf"),
    "a character split across pieces": (
        b"Content-Disposition: attachment; filename*0*=utf-8''p%C5; filename*1*=%99.pdf",
        "př.pdf",
    ),
    "both ways": (b"Content-Disposition: attachment; filename=x.pdf; filename*=utf-8''%C4%8D.pdf", "č.pdf"),
    "an encoded word": (b'Content-Disposition: attachment; filename="=?utf-8?Q?=C4=8D.pdf?="', "č.pdf"),
    "encoded words on two lines": (
        b'Content-Disposition: attachment; filename="=?utf-8?B?cMWZw61sb2g=?=\n =?utf-8?B?YS5wZGY=?="',
        "příloha.pdf",
    ),
    "raw UTF-8": ("Content-Disposition: attachment; filename=příloha.pdf".encode(), "příloha.pdf"),
    "raw Windows-1250 beside its charset": (
        "Content-Type: text/csv; charset=windows-1250\nContent-Disposition: attachment; filename=žluť.csv".encode(
            "cp1250"
        ),
        "žluť.csv",
    ),
    "an escaped quote": (rb'Content-Disposition: attachment; filename="a\"b.pdf"', 'a"b.pdf'),
    "a path of Windows": (rb'Content-Disposition: attachment; filename="C:\dir\a.pdf"', r"C:\dir\a.pdf"),
    "a semicolon in quotes": (b'Content-Disposition: attachment; filename="a;b.pdf"', "a;b.pdf"),
    "quotes in quotes": (b'Content-Disposition: attachment; filename="the "good" one.pdf"', 'the "good" one.pdf'),
    "the quote left open": (b'Content-Disposition: attachment; filename="a.pdf', "a.pdf"),
    "empty": (b'Content-Disposition: attachment; filename=""', None),
}

CHARSETS: dict[str, tuple[str, str, str]] = {  # label, what it is really written in, the text
    "Latin-1 is what Windows writes": ("iso-8859-1", "cp1252", "„Preis“: 5 €"),
    "UTF-8": ("utf-8", "utf-8", "Příliš žluťoučký"),
    "UTF-8 without a word": ("", "utf-8", "Příliš žluťoučký"),
    "UTF-8 called ASCII": ("us-ascii", "utf-8", "Příliš žluťoučký"),
    "UTF-8 called unknown-8bit": ("unknown-8bit", "utf-8", "Příliš žluťoučký"),
    "UTF-8 called Big5": ("big5", "utf-8", "Příliš žluťoučký kůň úpěl ďábelské ódy"),
    "a charset with a space": ('" windows-1250 "', "cp1250", "Příliš žluťoučký"),
    "cp-1250": ("cp-1250", "cp1250", "Příliš žluťoučký"),
    "Polish": ("iso-8859-2", "iso8859_2", "Zażółć gęślą jaźń"),
    "Russian": ("koi8-r", "koi8_r", "Съешь ещё этих мягких булок"),
    "Korean by its old name": ("ks_c_5601-1987", "cp949", "똠방각하"),
    "GB2312 that is GBK": ("gb2312", "gbk", "朱镕基先生"),
    "Japanese for Windows": ("shift_jis", "cp932", "①髙橋"),
    "Thai": ("tis-620", "cp874", "สวัสดี"),
    "Turkish": ("iso-8859-9", "cp1254", "İstanbul €"),
    "UTF-7": ("utf-7", "utf-7", "Příliš"),
    "UTF-16": ("utf-16", "utf-16", "Příliš"),
}
