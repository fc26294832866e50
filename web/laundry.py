"""Making HTML harmless where it may be killed: the parsers below `safe_html` are quick, but not for markup made so.

Such markup keeps them busy for a minute or overflows their stack, which would end whatever process they run in.
"""

from collections.abc import Mapping

from archive.confinement import Confinement, Lost

from . import safe_html
from .safe_html import Cleaned, TooTangled

MEMORY = 512 << 20  # bytes a worker may use


class Laundry:
    """The workers for that; threads may share it."""

    def __init__(self, workers: int = 2, seconds: float = 3.0) -> None:
        self.workers = Confinement(_work, count=workers, seconds=seconds, memory=MEMORY)

    def clean(self, markup: str, enclosed: Mapping[str, str], *, pictures: bool, forwarded: bool = False) -> Cleaned:
        """As `safe_html.clean`; `enclosed` gives addresses by Content-ID. TooTangled also where it takes too long."""
        try:
            answer = self.workers.ask((markup, dict(enclosed), pictures, forwarded))
        except Lost as error:
            raise TooTangled(str(error)) from None
        if answer is None:
            raise TooTangled("too large or nested too deeply")
        return Cleaned(*answer)

    def close(self) -> None:
        """End the workers that are idle."""
        self.workers.close()


_Order = tuple[str, dict[str, str], bool, bool]


def _work(order: _Order) -> tuple[str, int, str] | None:
    markup, enclosed, pictures, forwarded = order
    try:
        cleaned = safe_html.clean(markup, inline=enclosed.get, pictures=pictures, forwarded=forwarded)
    except TooTangled:
        return None
    return cleaned.html, cleaned.blocked, cleaned.sheet
