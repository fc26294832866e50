"""Rows in all tables that people fill, for what has to hold whatever they say: verifying, backups."""

import hashlib
from typing import Any

from sqlalchemy import insert, select, true

from archive.events import log, proof
from archive.store.archive import Session
from archive.store.schema import message, ticket

from .home import NOON, Home

RAW = b"From: helpdesk@demo.example\r\nTo: eva@outside.example\r\nSubject: Re: it\r\n\r\nIt is so.\r\n"


def fill(home: Home) -> None:
    """A few rows in each of them, each told of by an event. Needs two mails and a ticket."""
    kept = _kept(home, RAW)
    with home.archive.transaction() as session:
        for table, rows in {"blob": [kept], **_rows(session, home, kept["id"])}.items():
            session.execute(insert(proof.PROVED[table].table), rows)
            digests = proof.stored(session, table, true())
            log.write(session, [log.Event(f"{table}.made", "user:1", "user:1", rows=digests)], NOON)


def _kept(home: Home, raw: bytes) -> dict[str, Any]:
    """The row of a blob that no mail refers to: of one that is to be sent."""
    writer = home.intake.writer(NOON)
    sealed = writer.add([raw], len(raw))
    writer.sync()
    keys, place = home.archive.keys, sealed.place
    keys.add({place.blob: keys.wrap(place.blob, sealed.key)})
    return {"id": place.blob, "size": place.size, "stored": place.stored, "position": place.position}


def _rows(session: Session, home: Home, blob: int) -> dict[str, list[dict[str, Any]]]:
    anna, bernd = home.ids["anna"], home.ids["bernd"]
    one, conversation = session.execute(select(ticket.c.id, ticket.c.conversation).order_by(ticket.c.id).limit(1)).one()
    first, other = session.scalars(select(message.c.id).order_by(message.c.id).limit(2))
    scopes, said = {"from_scope": "user:1", "to_scope": "user:2"}, {"conditions": "[]", "actions": "[]"}
    made, away = {"created_at": NOON}, {"begins_at": NOON, "ends_at": NOON + 5}
    rule = {"active": False, "any_of": False, "stop": False, "changed_at": NOON, **said, **made}
    case = {"client": "Eva", "state": "open", "created_by": "user:1", "last_at": NOON, **made}
    out = {
        "identity": 1,
        "author": "user:1",
        "scope": "process:1",
        "sender": "helpdesk@demo.example",
        "subject": "Re: it",
    }
    out |= {
        "blob": blob,
        "sha256": hashlib.sha256(RAW).digest(),
        "size": len(RAW),
        "written": "{}",
        "queued_at": NOON,
        "not_before": NOON,
    }
    return {
        "assumed_role": [{"process": home.ids["process sales"], "user": anna, "role": "reads", "at": NOON}],
        "provider": [
            {"name": "Ours", "kind": "custom", "client_id": "us", "token": "https://x", "scope": "all", **made}
        ],
        "source": [{"kind": "mbox", "name": "/old/mail.mbox", "scope": "user:1", **made}],
        "comment": [
            {"ticket": one, "author": anna, "at": NOON, "text": "Who knows?", "mentions": f"[{bernd}]"},
            {"ticket": one, "author": bernd, "at": NOON + 1, "text": "I do.", "mentions": None},
        ],
        "watcher": [{"ticket": one, "user": anna, "since": NOON}, {"ticket": one, "user": bernd, "since": NOON + 1}],
        "tag": [{"name": "Bill", "folded": "bill", **made}, {"name": "Urgent", "folded": "urgent", **made}],
        "ticket_tag": [{"ticket": one, "tag": 1}, {"ticket": one, "tag": 2}],
        "reminder": [{"ticket": one, "user": anna, "at": NOON + 9, "unless_answered": True, **made}],
        "absence": [{"user": anna, "substitute": bernd, "note": "At sea", **away, **made}],
        "hand_over": [{"conversation": conversation, "by": anna, "at": NOON, "note": "Yours", **scopes}],
        "hand_over_message": [{"hand_over": 1, "message": first}, {"hand_over": 1, "message": other}],
        "restriction": [{"conversation": conversation, "reason": "Salaries", "by": anna, "at": NOON}],
        "restriction_member": [{"restriction": 1, "user": anna}, {"restriction": 1, "user": bernd}],
        "restriction_scope": [
            {"restriction": 1, "message": first, "scope": "process:1"},
            {"restriction": 1, "message": other, "scope": "user:1"},
        ],
        "stray": [
            {"message": first, "near": other, "reason": "stranger", "at": NOON},
            {"message": other, "near": first, "reason": "stranger", "at": NOON, "ended_at": NOON + 1, "joined": True},
        ],
        "answer": [{"message": first, "by_message": other, "at": NOON, "user": anna, "name": "Anna", "address": "a@x"}],
        "rule": [{"name": "Bills", "position": 1, **rule}, {"name": "Adverts", "position": 2, **rule}],
        "rule_binding": [{"rule": 1, "binding": home.ids["Helpdesk"]}, {"rule": 2, "binding": home.ids["Sales"]}],
        "case": [
            {"reference": "C-1", "folded": "c-1", "title": "Roof", **case},
            {"reference": "C-2", "folded": "c-2", "title": "Wall", **case},
        ],
        "case_participant": [
            {"case": 1, "scope": "process:1", "since": NOON},
            {"case": 2, "scope": "user:1", "since": NOON + 1},
        ],
        "case_item": [
            {"case": 1, "kind": "ticket", "item": str(one), "at": NOON, "by": "user:1"},
            {"case": 1, "kind": "message", "item": str(first), "at": NOON, "by": "subject"},
        ],
        "identity": [{"address": "helpdesk@demo.example", "name": "Helpdesk", "mailbox": 1, "process": 1, **made}],
        "identity_right": [{"identity": 1, "user": anna, "since": NOON}, {"identity": 1, "user": bernd, "since": NOON}],
        "template": [{"process": home.ids["process helpdesk"], "name": name, **made} for name in ("Thanks", "Gone")],
        "template_text": [
            {"template": 1, "language": "en", "subject": "[{{ticket}}]", "text": "Dear {{sender_name}}"},
            {"template": 2, "language": "cs", "subject": None, "text": "Díky"},
        ],
        "identity_signature": [{"identity": 1, "user": one, "text": "Yours"} for one in (anna, bernd)],
        "reply_setting": [{"ticket": one, "name": name, "value": "1", "rule": 1} for name in ("from", "signature")],
        "auto_reply": [
            {
                "message": each,
                "rule": 1,
                "template": 1,
                "scope": "process:1",
                "sender": "eva@outside.example",
                "at": NOON,
                "state": "refused",
                "reason": "robot",
            }
            for each in (first, other)
        ],
        "brake": [{"kind": "conversation", "subject": f"{n}", "stopped_at": NOON, "evidence": "[1]"} for n in range(2)],
        "canary": [
            {
                "identity": 1,
                "message_id": f"<canary{n}@demo.example>",
                "asked_at": NOON,
                "asked_by": "schedule",
                "tries": n,
                "arrived_at": NOON + 9 if n else None,
                "rewritten": True if n else None,
                "spf": "pass" if n else None,
                "trouble_kind": None if n else "smtp",
            }
            for n in range(2)
        ],
        "outgoing": [
            {
                "kind": "reply",
                "answers": first,
                "message_id": "<out1@demo.example>",
                "state": "queued",
                "tries": 0,
                **out,
            },
            {"kind": "new", "answers": None, "message_id": "<out2@demo.example>", "state": "sent", "tries": 1, **out},
        ],
        "outgoing_recipient": [
            {"outgoing": 1, "address": "eva@outside.example", "name": "Eva", "kind": "to", "state": "queued"},
            {"outgoing": 2, "address": "jan@outside.example", "name": "", "kind": "cc", "state": "sent"},
        ],
    }
