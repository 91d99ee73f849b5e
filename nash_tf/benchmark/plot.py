"""Figure of the cost of training."""

from collections.abc import Sequence
from typing import Any

from nash_tf.benchmark.measure import line as least_squares
from nash_tf.report.drawing.axes import Scale, frame
from nash_tf.report.drawing.figure import Figure, mark, path, text
from nash_tf.report.drawing.markup import join

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
