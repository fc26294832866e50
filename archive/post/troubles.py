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
    "slow": Kind(_say("%(server)s answers too slowly (%(doing)s)."), _PATIENCE),
    "endless": Kind(_say("%(server)s answered more than can be taken in (%(doing)s): %(answer)s."), _PATIENCE),
    "garbled": Kind(_say("%(server)s answered what cannot be understood (%(doing)s): %(answer)s."), _PATIENCE),
    "throttled": Kind(_say("%(server)s asks us to wait (%(doing)s): %(answer)s."), _WAITS),
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
    "app password": Kind(
        _say("%(server)s does not take the ordinary password of %(user)s from programs: %(answer)s."),
        _say("Make an app password there and enter it, or give consent where that is offered."),
    ),
    "not let in": Kind(_say("%(server)s does not let %(user)s in at the moment: %(answer)s."), _PATIENCE),
    "no password": Kind(
        _say("Nobody has entered a password for %(mailbox)s yet."), _say("Its owner does so under “Your mailboxes”.")
    ),
    "no consent": Kind(
        _say("Nobody has given consent for %(mailbox)s yet."), _say("Its owner does so under “Your mailboxes”.")
    ),
    "consent over": Kind(
        _say("Consent for %(user)s is over: %(provider)s says %(answer)s."),
        _say("Give it again under “Your mailboxes”."),
    ),
    "no lasting consent": Kind(
        _say("%(provider)s gave consent for an hour only."),
        _say("Whoever looks after Postroom has to ask it for access that lasts (scope)."),
    ),
    "consent denied": Kind(
        _say("%(provider)s did not give consent: %(answer)s."),
        _say("Try again; if it stays so, ask whoever looks after your accounts there."),
    ),
    "client secret": Kind(
        _say("%(provider)s does not accept Postroom: %(answer)s."),
        _say("Whoever looks after Postroom has to enter a new secret with: postroom provider secret"),
    ),
    "provider": Kind(_say("%(provider)s gave no token: %(answer)s."), _WAITS),
    "provider refuses": Kind(
        _say("%(provider)s refuses: %(answer)s."),
        _say("Whoever looks after Postroom has to compare how it is registered there."),
    ),
    "not revoked": Kind(
        _say("%(provider)s could not be told that consent is taken back: %(answer)s."),
        _say("End it at its own pages, where the programs stand that may use your account."),
    ),
    "called off": Kind(
        _say("It was taken back before Postroom had tried it."), _say("Enter it again if it is to be kept.")
    ),
    "token": Kind(
        _say("%(server)s does not let %(user)s in by consent: %(answer)s."),
        _say("Was consent given by the right person, and may this mailbox be used by IMAP?"),
    ),
    "no token sign-in": Kind(_say("%(server)s knows no sign-in by consent."), _say("Use a password there.")),
    "preauth": Kind(
        _say("%(server)s lets everybody in without asking who it is; Postroom does not rely on that."), _ASK
    ),
    "no encryption": Kind(
        _say("%(server)s lets nobody in without encryption: %(answer)s."),
        _say("Use imaps:// or imap+starttls:// for this mailbox."),
    ),
    # connecting at a page
    "no mail server": Kind(
        _say("No mail server that Postroom can use was found at %(server)s."),
        _say("Is the name right? Whoever looks after that mail knows it."),
    ),
    "not allowed": Kind(
        _say("Mailboxes at %(host)s may not be connected here."), _say("Ask whoever looks after Postroom.")
    ),
    "not bound": Kind(_say("This folder cannot be watched: %(answer)s."), _say("Choose another folder.")),
    "not tried": Kind(_say("Postroom could not try that."), _say("Try again; if it stays so, its log tells more.")),
    "no mailbox": Kind(
        _say("%(server)s lets us in, but opens no mailbox (%(doing)s): %(answer)s."),
        _say("If this goes on: is the password right after all, and may this mailbox be used by IMAP?"),
    ),
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
    "desk closed": Kind(
        _say('Whose mailbox this is no longer belongs to the process of "%(folder)s".'),
        _say("Nothing is handed over; what lies there stays there."),
    ),
    "case closed": Kind(
        _say('The case of "%(folder)s" is closed, or whose mailbox this is takes no part in it any more.'),
        _say("Nothing is filed; what lies there stays there."),
    ),
    "folder name": Kind(
        _say("A folder’s name may not be empty or hold control characters."), _say("Choose another name.")
    ),
    "no uidvalidity": Kind(
        _say('%(server)s gives no UIDVALIDITY for "%(folder)s": its mail cannot be told apart.'), _ASK
    ),
    "made anew": Kind(_say("%(binding)s was made anew just now."), _say("The next pass looks again.")),
    "mailbox full": Kind(
        _say("There is no room left in the mailbox on %(server)s (%(doing)s): %(answer)s."),
        _say("Make room there; until then its mail is archived and stays where it is."),
    ),
    "forbidden": Kind(
        _say("%(server)s does not allow it (%(doing)s): %(answer)s."),
        _say("Whoever looks after that server has to allow it."),
    ),
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
    "own fault": Kind(_say("The mail cannot be read here: %(answer)s."), _KEEPER),
    "smtp": Kind(_say("%(server)s takes no mail: %(answer)s."), _PATIENCE),
    "canary refused": Kind(
        _say("%(server)s did not take the test mail: %(answer)s."),
        _say("Ask whoever looks after that server whether %(address)s may send through it."),
    ),
    "canary given up": Kind(_say("The test mail could not be sent: %(answer)s."), _KEEPER),
    "smtp unable": Kind(_say("%(server)s cannot do what was asked: %(answer)s."), _ASK),
}

# What one signs in with was not taken, or is missing: only somebody who gives another can mend that.
REFUSALS = frozenset({"password", "no password", "token", "no consent", "consent over"})


def sentence(kind: str, values: Mapping[str, str]) -> str:
    """Both sentences in English. KeyError where there is no such kind, or a value is missing."""
    found = KINDS[kind]
    return f"{found.says % values} {found.remedy % values}"
