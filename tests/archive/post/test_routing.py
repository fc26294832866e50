"""By which address a mail goes to which processes, and whose word is believed about that."""

import json

import pytest

from archive.mail import hops
from archive.post import routing
from archive.post.routing import Book

HELP, SALES, PRESS, REST, VIP = 1, 2, 3, 4, 5
BOOK = Book(
    {
        "helpdesk@demo.example": HELP,
        "help@demo.example": HELP,  # an alias
        "sales@demo.example": SALES,
        "sales+vip@demo.example": VIP,
        "press@xn--hnt-qma4z.example": PRESS,
        "*@demo.example": REST,
    }
)
IN = "Received: from outside.example (outside.example [192.0.2.1]) by mx.demo.example (Postfix) with ESMTPS id 1; x"
LMTP = "Received: from mx.demo.example by store.demo.example with LMTP id 2; x"
GOOGLE = "Received: by 2002:a05:6402:1f:b0:5 with SMTP id 3; x"
HELO = "Received: from x with LMTP y by z (evil [192.0.2.6]) by mx.demo.example (Postfix) with ESMTP id 4; x"
FOR = 'Received: from a (b [192.0.2.7]) by mx.demo.example with ESMTP id 5 for <" by q with LMTP "@demo.example>; x'
SCRIPT = "Received: by mx.demo.example (Postfix, from userid 33) id 6; x"
SUBMIT = "Received: (from anna@localhost) by mx.demo.example (8.15/Submit) id 7; x"


def sent(trace: str, to: str = "", cc: str = "") -> list[int]:
    """The processes that a copy with these transport headers is for."""
    own = hops.own("".join(f"{line}\r\n" for line in trace.split("\n") if line).encode())
    people = {"to": [["", one] for one in to.split()], "cc": [["", one] for one in cc.split()], "reply_to": []}
    return [claim.process for claim in routing.route(BOOK, own, json.dumps(people))]


CELLS = {
    # To and Cc
    "its address": ("", "helpdesk@demo.example", "", [HELP]),
    "an alias": ("", "help@demo.example", "", [HELP]),
    "upper case": ("", "HelpDesk@DEMO.example", "", [HELP]),
    "both names are one process": ("", "help@demo.example helpdesk@demo.example", "", [HELP]),
    "two processes": ("", "helpdesk@demo.example", "sales@demo.example", [HELP, SALES]),
    "in Cc alone": ("", "eva@outside.example", "sales@demo.example", [SALES]),
    "plus": ("", "helpdesk+order-2031@demo.example", "", [HELP]),
    "plus of an alias": ("", "help+x@demo.example", "", [HELP]),
    "a plus that is somebody's": ("", "sales+vip@demo.example", "", [VIP]),
    "two pluses": ("", "sales+vip+x@demo.example", "", [SALES]),
    "nothing before the plus": ("", "+x@demo.example", "", [REST]),
    "another domain": ("", "helpdesk@other.example", "", []),
    "nobody": ("", "", "", []),
    "the rest of a domain": ("", "whoever@demo.example", "", [REST]),
    "the rest, only where nobody is named": ("", "whoever@demo.example", "sales@demo.example", [SALES]),
    "a domain with a dot behind": ("", "helpdesk@demo.example.", "", [HELP]),
    "no address": ("", "undisclosed", "", []),
    # the receiving server's word
    "X-Original-To": (f"X-Original-To: sales@demo.example\n{IN}", "helpdesk@demo.example", "", [SALES]),
    "Envelope-To": (f"Envelope-To: sales@demo.example\n{IN}", "helpdesk@demo.example", "", [SALES]),
    "Envelope-To names two": (f"Envelope-To: sales@demo.example, help@demo.example\n{IN}", "", "", [SALES, HELP]),
    "Delivered-To": (f"Delivered-To: sales@demo.example\n{IN}", "helpdesk@demo.example", "", [SALES]),
    "X-Original-To before Delivered-To": (
        f"Delivered-To: sales@demo.example\nX-Original-To: help@demo.example\n{IN}", "", "", [HELP],
    ),
    "Google's": (f"X-Gm-Original-To: sales@demo.example\n{GOOGLE}\n{IN}", "", "", [SALES]),
    "plus, before an alias": (f"X-Original-To: sales+9@demo.example\n{IN}", "", "", [SALES]),
    "Bcc": (f"X-Original-To: sales@demo.example\n{IN}", "eva@outside.example", "", [SALES]),
    "the mailbox's own address says nothing": (
        f"Delivered-To: office@other.example\n{IN}", "helpdesk@demo.example", "", [HELP],
    ),
    "a catch-all does not swallow what To says": (
        f"Delivered-To: office@demo.example\n{IN}", "helpdesk@demo.example", "", [HELP],
    ),
    "what was sent to nobody's address": (f"X-Original-To: x@demo.example\n{IN}", "help@demo.example", "", [REST]),
    "the mailbox's address, at last": (f"Delivered-To: office@demo.example\n{IN}", "a@outside.example", "", [REST]),
    # within the receiving server
    "behind LMTP": (f"Delivered-To: o@x.example\n{LMTP}\nX-Original-To: sales@demo.example\n{IN}", "", "", [SALES]),
    "behind Google's own hop": (f"{GOOGLE}\nDelivered-To: sales@demo.example\n{IN}", "", "", [SALES]),
    # what anybody may write
    "below the hop": (f"{IN}\nX-Original-To: sales@demo.example", "helpdesk@demo.example", "", [HELP]),
    "below, Delivered-To": (f"{IN}\nDelivered-To: sales@demo.example", "helpdesk@demo.example", "", [HELP]),
    "below LMTP and the hop": (f"{LMTP}\n{IN}\nX-Original-To: sales@demo.example", "help@demo.example", "", [HELP]),
    "without any hop nobody vouches": ("X-Original-To: sales@demo.example", "help@demo.example", "", [HELP]),
    "a client that says LMTP in HELO": (f"{HELO}\nX-Original-To: sales@demo.example", "help@demo.example", "", [HELP]),
    "an address that says LMTP": (f"{FOR}\nX-Original-To: sales@demo.example", "help@demo.example", "", [HELP]),
    "a script on the server": (f"{SCRIPT}\nX-Original-To: sales@demo.example", "help@demo.example", "", [HELP]),
    "somebody on the server": (f"{SUBMIT}\nX-Original-To: sales@demo.example", "help@demo.example", "", [HELP]),
    "an empty Received": ("Received:\nX-Original-To: sales@demo.example", "help@demo.example", "", [HELP]),
}  # fmt: skip


@pytest.mark.parametrize("cell", CELLS)
def test_a_mail_goes_where_its_address_says(cell: str) -> None:
    trace, to, cc, wanted = CELLS[cell]
    assert sent(trace, to, cc) == wanted


def test_the_address_stands_beside_the_process_as_it_was_written() -> None:
    (claim,) = routing.route(BOOK, hops.NOBODY, json.dumps({"to": [["", "Help+Order@Demo.example"]], "cc": []}))
    assert (claim.process, claim.address) == (HELP, "Help+Order@Demo.example")


def test_a_domain_is_compared_as_dns_has_it() -> None:
    assert routing.fold("Press@BÜCHER.example") == "press@xn--bcher-kva.example"


def test_a_great_many_addresses_take_no_time() -> None:
    people = {"to": [["", f"x{n}@demo.example"] for n in range(100_000)], "cc": []}
    assert [one.process for one in routing.route(BOOK, hops.NOBODY, json.dumps(people))] == [REST]
