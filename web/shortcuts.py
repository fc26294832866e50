"""Keys for what the pages can do: which there are, and which of them somebody changed or switched off."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from flask import Flask

from archive.people.users import User

from .language import gettext
from .visit import visitor_or_none

# What a single key does, and the key it comes with; "go" is followed by a second one.
KEYS = {
    "next": "j",
    "previous": "k",
    "next-mail": "n",
    "previous-mail": "p",
    "unread": "u",
    "hand-over": "h",
    "done": "e",
    "take": "i",
    "assign": "I",
    "snooze": "s",
    "comment": "m",
    "tick": "x",
    "tick-range": "X",
    "reply": "r",
    "reply-all": "a",
    "forward": "f",
    "compose": "c",
    "undo": "z",
    "search": "/",
    "dense": "d",
    "help": "?",
    "go": "g",
}
# The second key, and the place it leads to.
PLACES = {
    "u": "view-unassigned",
    "i": "view-mine",
    "v": "view-watching",
    "n": "view-mentions",
    "w": "view-waiting",
    "e": "view-done",
    "a": "all",
    "m": "mine",
    "c": "cases",
    "r": "rules",
    "p": "processes",
    "h": "health",
    "s": "profile",
    "b": "mailboxes",
}


@dataclass(frozen=True, slots=True)
class Shortcuts:
    """Somebody's keys."""

    off: bool
    keys: Mapping[str, str]  # of what each does

    def as_map(self) -> str:
        """What the script looks pressed keys up in, as JSON."""
        if self.off:
            return "{}"
        go = self.keys["go"]
        found = {key: does for does, key in self.keys.items()}
        found |= {go + key: place for key, place in PLACES.items()}
        return json.dumps(found | {f"{go}{number}": f"process-{number}" for number in range(1, 10)})

    def groups(self) -> list[tuple[str, list[tuple[str, list[str]]]]]:
        """What the sheet shows: headings, and under each what is done and the keys for it."""
        keys = self.keys
        go = keys["go"]
        return [
            (
                gettext("In lists"),
                [
                    (gettext("Next conversation"), [keys["next"]]),
                    (gettext("Previous conversation"), [keys["previous"]]),
                    (gettext("Open the conversation"), ["Enter"]),
                    (gettext("Mark as read or unread"), [keys["unread"]]),
                    (gettext("Tick, or tick a range"), [keys["tick"], keys["tick-range"]]),
                    (gettext("Assign those that are ticked"), [keys["assign"]]),
                ],
            ),
            (
                gettext("In a conversation"),
                [
                    (gettext("Next mail"), [keys["next-mail"]]),
                    (gettext("Previous mail"), [keys["previous-mail"]]),
                    (gettext("Hand over"), [keys["hand-over"]]),
                    (gettext("Done, or open again"), [keys["done"]]),
                    (gettext("Assign to me"), [keys["take"]]),
                    (gettext("Assign to somebody"), [keys["assign"]]),
                    (gettext("Snooze"), [keys["snooze"]]),
                    (gettext("Comment"), [keys["comment"]]),
                    (gettext("Reply"), [keys["reply"]]),
                    (gettext("Reply to all"), [keys["reply-all"]]),
                    (gettext("Forward"), [keys["forward"]]),
                    (gettext("One step back"), ["Esc"]),
                    (gettext("Undo"), [keys["undo"]]),
                    (gettext("Send, say or keep what one types"), ["Ctrl", "Enter"]),
                ],
            ),
            (
                gettext("Everywhere"),
                [
                    (gettext("Search"), [keys["search"]]),
                    (gettext("New mail"), [keys["compose"]]),
                    (gettext("Commands"), ["Ctrl", "K"]),
                    (gettext("Dense or cosy lists"), [keys["dense"]]),
                    (gettext("This sheet"), [keys["help"]]),
                    (gettext("Unassigned"), [go, "u"]),
                    (gettext("Assigned to you"), [go, "i"]),
                    (gettext("Watching"), [go, "v"]),
                    (gettext("Mentions"), [go, "n"]),
                    (gettext("Waiting"), [go, "w"]),
                    (gettext("Done"), [go, "e"]),
                    (gettext("All mail"), [go, "a"]),
                    (gettext("My mail"), [go, "m"]),
                    (gettext("A process, by its place"), [go, "1…9"]),
                    (gettext("Cases"), [go, "c"]),
                    (gettext("Processes"), [go, "p"]),
                    (gettext("Health"), [go, "h"]),
                    (gettext("Rules"), [go, "r"]),
                    (gettext("Account"), [go, "s"]),
                    (gettext("Your mailboxes"), [go, "b"]),
                ],
            ),
        ]


def names() -> dict[str, str]:
    """What each key that can be changed does, in words."""
    return {
        "next": gettext("Next conversation"),
        "previous": gettext("Previous conversation"),
        "next-mail": gettext("Next mail"),
        "previous-mail": gettext("Previous mail"),
        "unread": gettext("Mark as read or unread"),
        "done": gettext("Done, or open again"),
        "take": gettext("Assign to me"),
        "assign": gettext("Assign to somebody"),
        "snooze": gettext("Snooze"),
        "comment": gettext("Comment"),
        "tick": gettext("Tick"),
        "tick-range": gettext("Tick a range"),
        "hand-over": gettext("Hand over"),
        "reply": gettext("Reply"),
        "reply-all": gettext("Reply to all"),
        "forward": gettext("Forward"),
        "compose": gettext("New mail"),
        "undo": gettext("Undo"),
        "search": gettext("Search"),
        "dense": gettext("Dense or cosy lists"),
        "help": gettext("Keys"),
        "go": gettext("Go to, with a second key"),
    }


def prepare(app: Flask) -> None:
    """Let templates ask for the visitor's keys."""
    app.context_processor(lambda: {"make_shortcuts": _own})


def _own() -> Shortcuts:
    who = visitor_or_none()
    return of(who.user) if who else Shortcuts(True, KEYS)


def of(user: User) -> Shortcuts:
    """Somebody's keys; as they come where nothing else is kept."""
    try:
        kept = json.loads(user.shortcuts or "{}")
        chosen = {does: key for does, key in kept.get("keys", {}).items() if does in KEYS and fits(key)}
        return Shortcuts(bool(kept.get("off")), {**KEYS, **chosen})
    except (ValueError, AttributeError):
        return Shortcuts(False, KEYS)


def fits(key: object) -> bool:
    """Whether this can be a key: one visible character."""
    return isinstance(key, str) and len(key) == 1 and key.isprintable() and not key.isspace()


def kept(off: bool, keys: Mapping[str, str]) -> str | None:
    """As `User.shortcuts` keeps it; None where all is as it comes."""
    changed = {does: key for does, key in keys.items() if key != KEYS[does]}
    return json.dumps({"off": off, "keys": changed}) if off or changed else None
