"""Scales, ticks and the frame of a plot."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nash_tf.drawing.figure import line, path, text
from nash_tf.drawing.markup import Markup, join

_LEAST = 1e-12  # on a logarithmic scale


@dataclass(frozen=True)
class Scale:
    """From values to pixels, linear or logarithmic. `low` and `high` are values, `start` and `end` pixels."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        low, high = self._bend(self.low), self._bend(self.high)
        return self.start + (self._bend(value) - low) / (high - low) * (self.end - self.start)

    def _bend(self, value: float) -> float:
        return math.log(max(value, _LEAST)) if self.logarithmic else value

    def ticks(self, about: int = 5) -> list[float]:
        """Round values inside, about so many."""
        return log_ticks(self.low, self.high, about) if self.logarithmic else linear_ticks(self.low, self.high, about)


def linear(values: Sequence[float], start: float, end: float, margin: float = 0.06) -> Scale:
    """A linear scale over values, with a margin on both sides."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    width = (high - low) or max(abs(high), 1e-3) * 0.1
    return Scale(low - margin * width, high + margin * width, start, end)


def logarithmic(values: Sequence[float], start: float, end: float, margin: float = 0.08) -> Scale:
    """A logarithmic scale over positive values, with a margin on both sides."""
    positive = [max(value, _LEAST) for value in values if value > 0] or [1.0]
    low, high = math.log(min(positive)), math.log(max(positive))
    width = max(high - low, 0.5)
    return Scale(math.exp(low - margin * width), math.exp(high + margin * width), start, end, True)


def linear_ticks(low: float, high: float, about: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / max(about, 1)
    if not raw > 0:
        return [low]
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float, about: int) -> list[float]:
    """Powers of ten, with as many of the digits between as fit."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), tuple(1 + index / 4 for index in range(36))):
        ticks = [digit * 10.0**decade for decade in decades for digit in digits]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) > about + 1:
            break
        found = inside
    return found


def staircase(points: Sequence[tuple[float, float]], end: float) -> Markup:
    """The line of a front through places in pixels, in their order: level from each to below or above the next, and on to `end`."""
    corners = [points[0]]
    for x, y in points[1:]:
        corners += [(x, corners[-1][1]), (x, y)]
    return path([*corners, (end, corners[-1][1])], "front")


def frame(
    x: Scale,
    y: Scale,
    x_title: str,
    y_title: str,
    x_words: Callable[[float], str],
    y_words: Callable[[float], str],
    x_ticks: Sequence[float] | None = None,
    y_ticks: Sequence[float] | None = None,
) -> Markup:
    """Grid, axes, tick labels and titles. The y axis' title stands above its top, level and readable."""
    parts = []
    for tick in y.ticks(7) if y_ticks is None else y_ticks:
        parts += [
            line(x.start, y(tick), x.end, y(tick), "grid"),
            text(x.start - 7, y(tick) + 4.5, y_words(tick), "end soft"),
        ]
    for tick in x.ticks(6) if x_ticks is None else x_ticks:
        parts += [
            line(x(tick), y.start, x(tick), y.start + 5, "axis"),
            text(x(tick), y.start + 19, x_words(tick), "mid soft"),
        ]
    parts.append(line(x.start, y.start, x.end, y.start, "axis"))
    if x_title:
        parts.append(text(x.end, y.start + 38, x_title, "end"))
    parts.append(text(x.start - 48, y.end - 12, y_title))
    return join(parts)
