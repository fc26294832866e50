"""Why the text of an attachment is not searchable, or not all of it: it was too much, or made to hurt.

The commands print the sentences in English; the pages translate them.
"""

from collections.abc import Mapping


def _say(text: str) -> str:
    """Marks a sentence for the catalogues."""
    return text


LARGE = "large"
UNPACKS = "unpacks"
SLOW = "slow"
LOST = "lost"
DECLARES = "declares"
LONG = "long"
CROWDED = "crowded"

SAYS: Mapping[str, str] = {
    LARGE: _say("Its text is not searchable: the file is larger than 25 MB."),
    UNPACKS: _say("Its text is not searchable: it unpacks to more than 64 MB, or to more than 10,000 files."),
    SLOW: _say("Its text is not searchable: reading it takes too long."),
    LOST: _say("Its text is not searchable: reading it takes too much memory."),
    DECLARES: _say("Its text is not searchable: it holds instructions that no ordinary document has."),
    LONG: _say("Only the beginning of its text is searchable: there is too much of it."),
    CROWDED: _say("Its text is not searchable: there is too much attached to this mail."),
}
