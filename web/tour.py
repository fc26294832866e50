"""The first steps: five pages for whoever is new here, each with something to try. Kept is how far one has come."""

from collections.abc import Mapping
from dataclasses import dataclass

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive.people import users

from . import shortcuts
from .language import gettext
from .sign_in import local
from .visit import office, visitor

blueprint = Blueprint("tour", __name__)

STEPS = 5


@dataclass(frozen=True, slots=True)
class Step:
    """A page of it."""

    title: str
    says: tuple[str, ...]
    keys: tuple[tuple[str, tuple[str, ...]], ...]  # what they do, and the keys for it
    to_try: tuple[str, str]  # where a link leads, and what it says


@blueprint.get("/first-steps/<number:number>")
def step(number: int) -> ResponseReturnValue:
    """One of the five steps."""
    if not 1 <= number <= STEPS:
        abort(404)
    who = visitor()
    if who.user.tour != 0 and (who.user.tour or 0) < number:
        with office().archive.transaction() as session:
            users.set_tour(session, who.user.id, number)
    some = _steps(shortcuts.of(who.user).keys)
    return render_template("tour/step.html", steps=some, step=some[number - 1], number=number)


@blueprint.post("/first-steps/end")
def end() -> ResponseReturnValue:
    """Been through, or not wanted: it is not offered again, and stays to be found among the commands."""
    with office().archive.transaction() as session:
        users.set_tour(session, visitor().user.id, 0)
    return redirect(local(request.form.get("back", "")), 303)


def _steps(keys: Mapping[str, str]) -> tuple[Step, ...]:
    return (
        Step(
            gettext("Every mail has a place"),
            (
                gettext(
                    "Beside each page stand your views and your processes. A process is what people work on together: "
                    "it has addresses, and whoever belongs to it sees the mail that came to them."
                ),
                gettext("“My mail” is what came from your own mailbox. Nobody but you sees that."),
            ),
            (
                (gettext("All mail"), (keys["go"], "a")),
                (gettext("My mail"), (keys["go"], "m")),
                (gettext("A process, by its place"), (keys["go"], "1…9")),
            ),
            (url_for("conversations.everything"), gettext("See all mail")),
        ),
        Step(
            gettext("Read without the mouse"),
            (
                gettext(
                    "What is new is bold and has a dot. What came since you were last in a conversation is marked "
                    "there, and unfolded."
                ),
                gettext("New mail never moves what you read: it waits above the list until you want to see it."),
            ),
            (
                (gettext("Next conversation, previous conversation"), (keys["next"], keys["previous"])),
                (gettext("Open the conversation"), ("Enter",)),
                (gettext("Next mail, previous mail"), (keys["next-mail"], keys["previous-mail"])),
                (gettext("Mark as read or unread"), (keys["unread"],)),
            ),
            (url_for("conversations.everything"), gettext("Try it in the list")),
        ),
        Step(
            gettext("Find it again"),
            (
                gettext(
                    "Type a few letters: mail, people and processes show up at once. Accents and capitals do not "
                    "matter, and attachments are searched as well."
                ),
                gettext("from:anna, has:attachment or after:7d narrow it down, and become chips you can take away."),
            ),
            ((gettext("Search"), (keys["search"],)), (gettext("Commands"), ("Ctrl", "K"))),
            (url_for("search.find"), gettext("Search for something")),
        ),
        Step(
            gettext("Who sees this, and why"),
            (
                gettext(
                    "Below each subject stands who sees the conversation. One click tells which folder or rule "
                    "brought it here, and who the people are."
                ),
                gettext(
                    "Whoever a mail has not reached does not find it: not in lists, not in search, not by its address."
                ),
            ),
            (),
            (url_for("processes.show"), gettext("See the processes and their people")),
        ),
        Step(
            gettext("Make it yours"),
            (
                gettext("Light or dark, strong contrast, dense lists, your language: your account has them all."),
                gettext("Each key can be changed or switched off there. All pages work without them, too."),
            ),
            (
                (gettext("Dense or cosy lists"), (keys["dense"],)),
                (gettext("All keys"), (keys["help"],)),
                (gettext("Account"), (keys["go"], "s")),
            ),
            (url_for("profile.show"), gettext("To your account")),
        ),
    )
