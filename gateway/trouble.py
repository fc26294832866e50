"""Trouble: the last failure as one readable sentence, and whether trying again can help."""

from archive.post import troubles


class Trouble(Exception):
    """Something outside did not do what was asked; the text is a sentence for people, of one of `troubles.KINDS`."""

    permanent = False
    signing_in = False  # whether the server was reached and did not let us in

    def __init__(self, kind: str, **values: object) -> None:
        self.kind = kind
        self.values = {name: quoted(value).rstrip(".") for name, value in values.items()}
        super().__init__(troubles.sentence(kind, self.values))

    def __reduce__(self) -> tuple[object, ...]:
        # Workers hand theirs to the poller.
        return _again, (type(self), self.kind, self.values)


def _again(of: type[Trouble], kind: str, values: dict[str, str]) -> Trouble:
    return of(kind, **values)


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
