"""Trouble: the last failure as one readable sentence, and whether trying again can help."""


class Trouble(Exception):
    """Something outside did not do what was asked; the text is a sentence for people."""

    permanent = False
    signing_in = False  # whether the server was reached and did not let us in


class Unreachable(Trouble):
    """Trying again may help: no answer, a line cut, a server too busy."""


class Busy(Unreachable):
    """Another gateway is at it."""


class Refused(Trouble):
    """Trying again cannot help before somebody changes something: a password, a folder, a certificate."""

    permanent = True


def quoted(answer: object) -> str:
    """A server's own words for a sentence: one line, bounded, nothing that moves a cursor."""
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else str(answer)
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return text[:300]
