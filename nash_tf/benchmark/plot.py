"""Figures of the cost of training, and of what many workers do with their time."""

from collections.abc import Sequence
from typing import Any

from nash_tf.benchmark.measure import line as least_squares
from nash_tf.drawing.axes import Scale, frame
from nash_tf.drawing.figure import Figure, legend, mark, path, text
from nash_tf.drawing.markup import Markup, join, tag

_WIDTH, _HEIGHT, _ACROSS = 380, 250, 2


def cost(rows: Sequence[Sequence[Any]]) -> Figure:
    """A figure with one panel for each row (name, values, CPU-seconds, ...): measurements and least-squares line."""
    panels = []
    for number, (name, values, seconds, *_) in enumerate(rows):
        left, top = number % _ACROSS * _WIDTH, number // _ACROSS * _HEIGHT
        x = Scale(0, 1.06 * max(values), left + 62, left + _WIDTH - 20)
        y = Scale(0, 1.12 * max(seconds), top + _HEIGHT - 52, top + 42)
        start, slope, explained = least_squares(values, seconds)
        panels += [
            frame(x, y, name, "CPU-seconds", lambda tick: f"{tick:g}", lambda tick: f"{tick:.3g}", values),
            path([(x(value), y(start + slope * value)) for value in (min(values), max(values))], "line s0"),
            *(mark(0, x(value), y(second), 5, "f0") for value, second in zip(values, seconds, strict=True)),
            text(x.start + 10, y.end + 12, f"a line explains {100 * explained:.1f} %", "soft halo"),
        ]
    height = -(-len(rows) // _ACROSS) * _HEIGHT
    return Figure(
        "cost", "CPU-seconds against batches, depth, width and children", _ACROSS * _WIDTH, height, join(panels)
    )


def shares(rows: Sequence[tuple[str, int, Sequence[float]]]) -> Figure:
    """Bars, those of one name together: (name, workers, shares of their time), busy, idle as rungs close, idle in narrow rungs."""
    left, width, high = 290, 420, 17
    shades = (("f0", "busy"), ("f4", "idle as a rung closes"), ("wash", "idle beyond what rungs have"))
    squares = [
        (lambda x, y, shade=shade: tag("rect", x=x - 6, y=y - 6, width=12, height=12, class_=shade), words)
        for shade, words in shades
    ]
    parts: list[Markup] = [legend(20, 22, squares)]
    y, last = 34, None
    for name, workers, values in rows:
        if name != last:
            y += 12
            parts.append(text(20, y + 12, name))
        last, x = name, float(left)
        parts.append(text(left - 10, y + 12, f"{workers:,}", "end soft"))
        for value, (shade, words) in zip(values, shades, strict=True):
            title = tag("title", f"{name}, {workers:,} workers: {words} {100 * value:.1f} %")
            parts.append(tag("rect", title, x=x, y=y + 2, width=value * width, height=high - 4, class_=shade))
            x += value * width
        parts.append(text(left + width + 8, y + 12, f"{100 * values[0]:.3g} %", "soft"))
        y += high
    return Figure("workers", "What many workers do with their time", left + width + 70, y + 16, join(parts))
