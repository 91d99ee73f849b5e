"""Single values, a line a method, with their mean and its interval."""

import math
from collections.abc import Callable, Sequence
from statistics import mean
from typing import NamedTuple

from nash_tf.drawing.axes import Scale, linear, logarithmic
from nash_tf.drawing.figure import SERIES, Figure, line, mark, text
from nash_tf.drawing.markup import Markup, join, tag
from nash_tf.drawing.number_words import percent
from nash_tf.records.runs import Run
from nash_tf.report.analysis.behaviour import Behaviour
from nash_tf.report.analysis.stats import t_interval

_LEFT, _RIGHT, _TOP, _ROW = 110, 760, 44, 46  # pixels


class _Line(NamedTuple):
    """One method: its place among all, (value, words) of each mark, the mean and its interval."""

    method: str
    series: int
    values: list[tuple[float, str]]
    mean: float | None
    interval: tuple[float, float] | None


def accuracies(runs: Sequence[Run], methods: Sequence[str]) -> Figure | None:
    """Test accuracies of all runs."""
    lines = []
    for series, method in enumerate(methods):
        marks = [
            (value, f"{method}, seed {run.seed}: {percent(value)} %")
            for run in runs
            if run.method == method and (value := run.result("test_accuracy")) is not None
        ]
        values = [value for value, _ in marks]
        lines.append(_Line(method, series, marks, mean(values) if values else None, t_interval(values)))
    shown = [value for entry in lines for value, _ in entry.values]
    if not shown:
        return None
    ends = [end for entry in lines for end in entry.interval or () if 0 <= end <= 1]
    x = linear([*shown, *ends], _LEFT + 10, _RIGHT - 20)
    caption = "test accuracy of each run, %; bar: mean and 95 % interval"
    body, height = _strip(lines, x, caption, lambda value: percent(value, 1))
    return Figure("accuracy", "Test accuracy by method", _RIGHT, height, body)


def favours(rows: Sequence[Behaviour]) -> Figure | None:
    """Whom the first rung favoured: parameters of the promoted over those of the discarded, a mark a step."""
    lines = []
    for series, row in enumerate(rows):
        values = [
            (math.exp(ratio), f"{row.method}, seed {seed}, step {step}: {math.exp(ratio):.2f}×")
            for seed, ratios in row.favours
            for step, ratio in ratios.items()
        ]
        if values:
            span = t_interval(row.favours_of_runs)
            interval = (math.exp(span[0]), math.exp(span[1])) if span else None
            lines.append(_Line(row.method, series, values, math.exp(mean(row.favours_of_runs)), interval))
    if not lines:
        return None
    x = logarithmic([1.0, *(value for entry in lines for value, _ in entry.values)], _LEFT + 10, _RIGHT - 20)
    caption = "parameters of promoted over discarded, a mark a step; bar: mean of runs and 95 % interval"
    body, height = _strip(lines, x, caption, lambda value: f"{value:g}×", reference=1.0)
    return Figure("favoured", "Whom the first rung favours: below 1× small children", _RIGHT, height, body)


def _strip(
    lines: Sequence[_Line], x: Scale, caption: str, words: Callable[[float], str], reference: float | None = None
) -> tuple[Markup, float]:
    """The drawing and its height."""
    bottom = _TOP + _ROW * len(lines)
    parts: list[Markup] = [text(_LEFT, 18, caption, "soft")]
    for tick in x.ticks(7):
        parts += [
            line(x(tick), _TOP - 6, x(tick), bottom, "grid"),
            text(x(tick), bottom + 20, words(tick), "mid soft"),
        ]
    if reference is not None:
        parts.append(line(x(reference), _TOP - 6, x(reference), bottom, "front"))
    for index, entry in enumerate(lines):
        y = _TOP + _ROW * index + _ROW / 2
        parts.append(text(_LEFT - 8, y + 4.5, entry.method, "end strong"))
        for value, said in entry.values:
            parts.append(mark(entry.series, x(value), y - 7, 5, f"f{entry.series % SERIES}", tag("title", said)))
        if entry.interval:
            low, high = (min(max(x(end), x.start - 8), x.end + 8) for end in entry.interval)
            parts.append(line(low, y + 10, high, y + 10, "axis"))
            parts += [line(end, y + 6, end, y + 14, "axis") for end in (low, high)]
        if entry.mean is not None:
            parts.append(tag("rect", x=x(entry.mean) - 2, y=y + 4, width=4, height=12, class_="f6"))
    return join(parts), bottom + 30
