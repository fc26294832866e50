"""Charts as plain shapes: where each bar, line and label stands. Colours are the stylesheet's, the words the page's."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 160
_LEFT, _TOP, _GROUND = 36, 12, 132  # of what is drawn; below it stand the labels
_AIR = 0.3  # of a place, between groups of bars


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar, and which of the series it is of."""

    x: float
    y: float
    width: float
    height: float
    series: int


@dataclass(frozen=True, slots=True)
class Text:
    """A label at a place."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars over a ground, with lines at round numbers."""

    bars: list[Bar]
    lines: list[float]  # heights
    numbers: list[Text]
    labels: list[Text]


def bars(labels: Sequence[str], *series: Sequence[float | None]) -> Chart:
    """Groups of bars, one for each label; what is None has none."""
    top = _round(max((value for some in series for value in some if value), default=1))
    scale = (_GROUND - _TOP) / top
    place = (WIDTH - _LEFT) / max(len(labels), 1)
    width = place * (1 - _AIR) / len(series)
    made = [
        Bar(_LEFT + place * (n + _AIR / 2) + width * one, _GROUND - value * scale, width, value * scale, one)
        for one, some in enumerate(series)
        for n, value in enumerate(some)
        if value
    ]
    ticks = [0, top / 2, top] if top > 1 else [0, top]
    return Chart(
        made,
        [_GROUND - tick * scale for tick in ticks],
        [Text(0, _GROUND - tick * scale + 4, f"{tick:g}") for tick in ticks],
        # Every second one, and the last: more have no room.
        [
            Text(_LEFT + place * (n + 0.5), HEIGHT - 8, label)
            for n, label in enumerate(labels)
            if (len(labels) - 1 - n) % 2 == 0
        ],
    )


def _round(most: float) -> float:
    """The next round number above, half of which is round as well."""
    step = 1.0
    while step * 10 <= most:
        step *= 10
    while step > most:
        step /= 10
    return next(factor * step for factor in (1, 2, 4, 6, 8, 10) if factor * step >= most)
