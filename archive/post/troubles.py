"""What can go wrong with a binding, by kind: a sentence that says so and one that says what to do.

The commands print both in English; the pages translate them. What stands between %( and )s is plain text, such as a
server's own words.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """The two sentences of one kind."""

    says: str
    remedy: str


def _say(text: str) -> str:
    """Marks a sentence for the catalogues."""
    return text


_PATIENCE = _say("If this goes on, ask whoever looks after that server.")
_ASK = _say("Ask whoever looks after that server.")
_KEEPER = _say("Whoever looks after Postroom has to mend that; nothing is lost.")
_WAITS = _say("Nothing is lost; it is tried again.")

KINDS: Mapping[str, Kind] = {
    # on the way to the server
    "host": Kind(_say("The name %(host)s cannot be found."), _say("Is it spelled right?")),
    "not listening": Kind(
        _say("%(server)s accepts no connection."), _say("Is the port right, and the server running?")
    ),
    "silent": Kind(_say("%(server)s gave no answer within %(seconds)s s (%(doing)s)."), _PATIENCE),
    "cut": Kind(_say("%(server)s ended the connection (%(doing)s): %(answer)s."), _PATIENCE),
    "line": Kind(_say("The connection to %(server)s failed (%(doing)s): %(answer)s."), _PATIENCE),
    "disobedient": Kind(_say("%(server)s did not do as asked (%(doing)s): %(answer)s."), _PATIENCE),
    "encryption": Kind(
        _say("No encrypted connection to %(server)s: %(answer)s."),
        _say("Are the port and the kind of encryption right?"),
    ),
    "no starttls": Kind(
        _say("%(server)s does not offer STARTTLS."), _say("Use imaps://, or ask whoever looks after that server.")
    ),
    "certificate expired": Kind(
        _say("The certificate of %(server)s has expired."), _say("Whoever looks after that server has to renew it.")
    ),
    "certificate untrusted": Kind(
        _say("The certificate of %(server)s is from an authority that is not trusted here (%(answer)s)."),
        _say("Set gateway.ca_file to a file with the certificate of that authority."),
    ),
    "certificate name": Kind(
        _say("The certificate of %(server)s is for another name (%(answer)s)."),
        _say("Use the name that stands in it."),
    ),
    "certificate": Kind(_say("The certificate of %(server)s will not do: %(answer)s."), _ASK),
    # signing in
    "settings": Kind(
        _say("What is set for this mailbox will not do: %(answer)s."),
        _say("Whoever looks after Postroom has to enter it anew."),
    ),
    "password": Kind(
        _say("%(server)s refuses the password of %(user)s: %(answer)s."),
        _say("Enter the new one with: postroom mailbox password"),
    ),
    "not let in": Kind(_say("%(server)s does not let %(user)s in at the moment: %(answer)s."), _PATIENCE),
    # folders
    "folder gone": Kind(
        _say('The folder "%(folder)s" is not there (any more): %(answer)s.'), _say("Make it again, or bind another.")
    ),
    "folder closed": Kind(_say('The folder "%(folder)s" cannot be opened at the moment: %(answer)s.'), _PATIENCE),
    "folder forbidden": Kind(
        _say('The folder "%(folder)s" may not be opened: %(answer)s.'),
        _say("Whoever looks after that server has to allow it."),
    ),
    "folder not made": Kind(
        _say('The folder "%(folder)s" cannot be made: %(answer)s.'), _say("Make it in a mail program.")
    ),
    "folder name": Kind(
        _say("A folder’s name may not be empty or hold control characters."), _say("Choose another name.")
    ),
    "no uidvalidity": Kind(
        _say('%(server)s gives no UIDVALIDITY for "%(folder)s": its mail cannot be told apart.'), _ASK
    ),
    "made anew": Kind(_say("%(binding)s was made anew just now."), _say("The next pass looks again.")),
    # mail
    "withheld": Kind(
        _say('%(server)s did not give %(count)s of the mails it has in "%(folder)s" (UID %(uids)s).'),
        _say("They stay there and are tried again."),
    ),
    "not moved": Kind(
        _say('%(server)s said that it moved %(count)s mails to "%(folder)s", but it did not.'),
        _say("They are archived; moving them is tried again."),
    ),
    "fatal": Kind(_say("A mail (UID %(uid)s) ended the worker that took it."), _say("It stays where it is.")),
    # our own side
    "busy": Kind(_say("%(binding)s is being polled by %(who)s."), _say("Wait until that has ended.")),
    "no room": Kind(
        _say("There is no room left where the archive lies (%(place)s)."), _say("Make room; nothing is lost.")
    ),
    "place": Kind(_say("The archive cannot write to %(place)s: %(answer)s."), _KEEPER),
    "archive": Kind(_say("The archive cannot write: %(answer)s."), _KEEPER),
    "store": Kind(_say("The archive’s mail cannot be kept just now: %(answer)s."), _KEEPER),
    "reading": Kind(_say("Mail cannot be read here just now: %(answer)s."), _WAITS),
    "stumbled": Kind(_say("Postroom stumbled over this binding; its log tells more."), _WAITS),
    # sending
    "smtp": Kind(_say("%(server)s takes no mail: %(answer)s."), _PATIENCE),
    "smtp unable": Kind(_say("%(server)s cannot do what was asked: %(answer)s."), _ASK),
}


def sentence(kind: str, values: Mapping[str, str]) -> str:
    """Both sentences in English. KeyError where there is no such kind, or a value is missing."""
    found = KINDS[kind]
    return f"{found.says % values} {found.remedy % values}"
