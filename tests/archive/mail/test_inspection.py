"""What `postroom inspect` prints of a mail."""

import base64
import hashlib
import json

from archive.mail import inspection

RAW = b"""\
From: =?utf-8?Q?Kl=C3=A1ra?= <clara@press.example>
To: helpdesk@office.example
Subject: Plan
Date: Mon, 2 Mar 2026 10:00:00 +0100
Message-ID: <1@press.example>
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain; charset=utf-8

Hello
--b
Content-Type: message/rfc822; name=old.eml
Content-Disposition: attachment; filename=old.eml

Subject: old

inner
--b--
"""


def _part(path: str, content: bytes, **said: object) -> dict[str, object]:
    ordinary = {"name": None, "content_type": "text/plain", "charset": None, "disposition": None, "attachment": False}
    measured = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return {"path": path, **ordinary, **measured, "content": base64.b64encode(content).decode(), **said}


def test_everything_the_contract_names_is_there() -> None:
    inner = b"Subject: old\n\ninner"
    assert inspection.describe(RAW, with_content=True) == {
        "subject": "Plan",
        "from": [{"name": "Klára", "address": "clara@press.example"}],
        "to": [{"name": "", "address": "helpdesk@office.example"}],
        "cc": [],
        "reply_to": [],
        "date": 1772442000,
        "message_id": "1@press.example",
        "text": "Hello\ninner",
        "html": "",
        "parts": [
            _part("1", b"Hello", charset="utf-8"),
            _part("2", inner, name="old.eml", content_type="message/rfc822", disposition="attachment", attachment=True),
            _part("2.1", b"inner"),
        ],
        "problems": [],
    }


def test_contents_are_left_out_unless_asked_for() -> None:
    assert "content" not in inspection.describe(RAW)["parts"][0]


def test_a_leading_mbox_line_is_skipped() -> None:
    assert inspection.describe(b"From clara Mon Mar  2 10:00:00 2026\n" + RAW) == inspection.describe(RAW)
    assert inspection.describe(b">From clara Mon Mar  2 10:00:00 2026\r\n" + RAW) == inspection.describe(RAW)


def test_any_text_can_be_printed_as_json() -> None:
    raw = b"Subject: \xff\xfe=?utf-16?B?2AA=?=\nContent-Type: text/plain; charset=utf-16\n\n\x00\xd8"
    json.dumps(inspection.describe(raw), ensure_ascii=False).encode("utf-8")
