"""Learning curves of a step's children, their learning rate below, and the drops at restarts."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from statistics import mean

from nash_tf.drawing.axes import Scale, linear, linear_ticks
from nash_tf.drawing.figure import SERIES, Figure, line, mark, path, star, text
from nash_tf.drawing.markup import Markup, join, tag
from nash_tf.drawing.number_words import percent, points, short
from nash_tf.report.analysis.family import Child
from nash_tf.report.analysis.restart_drops import Drop
from nash_tf.strategy import schedules
from nash_tf.strategy.halving import Rung
from nash_tf.strategy.schedules import Phase

_WIDTH, _LEFT, _TOP, _PLOT, _RATE = 540, 58, 46, 220, 54
_COLUMNS = 4


def span_of(children: Sequence[Child], metric: str, birth: float | None = None) -> tuple[float, float]:
    """Least and largest value of a metric, from the parent's at `birth` on; accuracies far below the others are left out."""
    values = sorted(value for child in children for _, value in child.series(metric))
    if not values:
        return (0.0, 1.0)
    values = sorted([*values, *([] if birth is None else [birth])])
    low, middle = values[len(values) // 4], values[len(values) // 2]
    bottom = max(values[0], low - 15 * max(middle - low, 0.005))
    return (bottom, values[-1]) if metric.endswith("accuracy") else (values[0], values[-1])


def widened(limits: tuple[float, float], width: float) -> tuple[float, float]:
    """A range of at least that width about the same middle; from zero where that would go below it and no value does."""
    middle, half = sum(limits) / 2, max(width, limits[1] - limits[0]) / 2
    return (0.0, 2 * half) if limits[0] >= 0 and middle < half else (middle - half, middle + half)


def learning_curves(
    step: int,
    children: Sequence[Child],
    rungs: Sequence[Rung],
    phases: Sequence[Phase],
    rate: float | None,
    birth: float | None,
    drops: Sequence[Drop],
    limits: tuple[float, float],
    metric: str = "val_accuracy",
    without_rate: str = "learning rate not known",
) -> Figure:
    """Draws one step.

    Args:
        step: which one.
        children: of this step.
        rungs: of this step; each is drawn equally wide, so that the short ones can be read too, but for parts of one child's training.
            One that has no epochs yet is not drawn.
        phases: of the rate, lengths in epochs; none where they are not known.
        rate: initial learning rate.
        birth: the parent's value of the metric at the children's birth.
        drops: of this step.
        limits: least and largest value of the axis.
        metric: name in the histories.
        without_rate: what is said where no rate can be drawn.
    """
    shares, title = metric.endswith("accuracy"), f"Step {step}" if step else "First network"
    borders = [0, *accumulate(rung.epochs for rung in rungs if rung.epochs)]
    is_selected = any(rung.children > 1 for rung in rungs)
    x = _Piecewise(borders if is_selected else [0, borders[-1]], _LEFT, _WIDTH - 12)
    y = linear(limits, _TOP + _PLOT, _TOP)
    parts: list[Markup] = [text(0, 18, title, "strong big")]
    parts.append(text(_WIDTH - 12, 18, f"{words_of(metric)}{', %' if shares else ''}", "end soft"))
    for tick in y.ticks(5):
        words = percent(tick, 1) if shares else f"{tick:g}"
        parts += [line(x.start, y(tick), x.end, y(tick), "grid"), text(x.start - 7, y(tick) + 4.5, words, "end soft")]
    for border in borders[1:-1]:
        parts.append(line(x(border), _TOP, x(border), _TOP + _PLOT + 26 + _RATE, "mark"))
    drawn = sorted(enumerate(children), key=lambda pair: pair[1].stands_out)  # winners lie above
    curves = [_curve(child, rank, x, y, metric, birth) for rank, child in drawn]
    clip = f"clip-{metric}-{step}"
    parts.append(
        tag("clipPath", tag("rect", x=x.start - 8, y=_TOP - 8, width=x.end - x.start + 16, height=_PLOT + 9), id=clip)
    )
    parts.append(tag("g", *curves, clip_path=f"url(#{clip})"))
    series = {child.label: child.series(metric) for child in children}
    lowest = [(min(value for _, value in values), label) for label, values in series.items() if values]
    lowest += [(birth, "the parent's")] if birth is not None and lowest else []
    below = sorted(pair for pair in lowest if pair[0] < y.low)
    if below and shares:
        words = ", ".join(f"{percent(least, 1)} ({label})" for least, label in below[:3])
        words += f" and {len(below) - 3} more" if len(below) > 3 else ""
        parts.append(text(x.end, _TOP + _PLOT + 16, f"lowest, below the axis: {words}", "end soft"))
    if metric == "val_accuracy":
        parts += _restart_labels(drops, x)
    bottom = _TOP + _PLOT + 26
    parts += _rate(x, bottom, phases, rate, without_rate)
    rows = _legend(children, bottom + _RATE + 64, metric)
    height = bottom + _RATE + 64 + 22 * ((len(children) - 1) // _COLUMNS) + 12
    name = f"curves_{metric}_step_{step}"
    return Figure(name, f"{words_of(metric)} of {title} by epoch", _WIDTH, height, join([*parts, *rows]))


class _Piecewise:
    """Epochs to pixels, the stretches between borders equally wide."""

    def __init__(self, borders: Sequence[int], start: float, end: float):
        self.borders, self.start, self.end = borders, start, end

    def __call__(self, epoch: float) -> float:
        pieces = max(len(self.borders) - 1, 1)
        for piece, (low, high) in enumerate(pairwise(self.borders)):
            if epoch <= high or piece == pieces - 1:
                within = min((epoch - low) / max(high - low, 1), 1.0)
                return self.start + (piece + within) / pieces * (self.end - self.start)
        return self.end


def words_of(metric: str) -> str:
    """val_balanced_accuracy -> "validation balanced accuracy"."""
    images = "validation" if metric.startswith("val_") else "training"
    return f"{images} {metric.removeprefix('val_').replace('_', ' ')}"


def _curve(child: Child, rank: int, x: _Piecewise, y: Scale, metric: str, birth: float | None) -> Markup:
    series: list[tuple[float, float]] = list(child.series(metric))
    parts: list[Markup] = [tag("title", f"Child {child.label}, {child.words()}")]
    drawn = [(x(epoch), y(value)) for epoch, value in series]
    if birth is not None and drawn:
        drawn.insert(0, (x(0), y(birth)))
    if drawn:
        parts.append(path(drawn, f"line {_look(child, rank)}"))
        end = drawn[-1]
        if child.stands_out:
            parts.append(star(*end, 8, f"f{rank % SERIES}"))
        else:
            parts.append(mark(rank, *end, 4.2, f"f{rank % SERIES}"))
    return tag("g", *parts, data_child=f"{child.step}-{child.number}")


def _look(child: Child, rank: int) -> str:
    """Colour and dashes; a winner's line is thick and whole."""
    return f"s{rank % SERIES} " + ("won" if child.stands_out else f"d{rank % SERIES}")


def _restart_labels(drops: Sequence[Drop], x: _Piecewise) -> list[Markup]:
    """The mean drop at each restart, above it."""
    parts = []
    for start in sorted({drop.epoch for drop in drops}):
        change = mean(drop.after - drop.before for drop in drops if drop.epoch == start)
        class_ = "drop" if change < 0 else "axis"
        at = x(start) + (2 if start == 0 else 0)
        words = f"{'birth ' if start == 0 else ''}{points(change)}"
        parts.append(text(at, _TOP - 8, words, "halo strong" if start == 0 else "halo strong mid"))
        parts.append(line(at, _TOP - 4, at, _TOP + 8, class_))
    return parts


def _rate(x: _Piecewise, top: float, phases: Sequence[Phase], rate: float | None, without: str) -> list[Markup]:
    """The learning rate, and the epochs below it."""
    bottom, borders = top + _RATE, x.borders
    parts: list[Markup] = []
    if phases and rate:
        y = Scale(0.0, rate, bottom, top + 4)
        total = borders[-1]
        samples = sorted({*(total * index / 240 for index in range(240)), *borders[:-1]})
        way: list[tuple[float, float]] = []
        for sample in samples:
            if sample in borders and way:
                way.append((x(sample), y(schedules.phased(sample - 1e-6, phases, rate))))
            way.append((x(sample), y(schedules.phased(sample, phases, rate))))
        way.append((x(total), y(schedules.phased(total, phases, rate))))
        parts.append(path(way, "line s0"))
        parts += [text(x.start - 7, top + 10, f"{rate:g}", "end soft"), text(x.start - 7, bottom + 3, "0", "end soft")]
    else:
        parts.append(text(x.start + 8, top + 24, without, "soft"))
    parts.append(line(x.start, bottom, x.end, bottom, "axis"))
    ticks = [round(tick) for tick in linear_ticks(0, borders[1], 6) if tick == round(tick)] if len(borders) == 2 else []
    parts += [text(x(border), bottom + 18, border, "mid soft") for border in sorted({*borders, *ticks[:-1]})]
    drawn = "learning rate (blue); " if phases and rate else ""
    widths = ", each rung equally wide" if len(borders) > 2 else ""
    parts.append(text(0, bottom + 36, f"{drawn}epochs of a child's life{widths}", "soft"))
    return parts


def _legend(children: Sequence[Child], top: float, metric: str) -> list[Markup]:
    parts = []
    for index, child in enumerate(children):
        row, column = divmod(index, _COLUMNS)
        x, y = column * _WIDTH / _COLUMNS, top + 22 * row
        colour = index % SERIES
        series = child.series(metric)
        last = series[-1][1] if series else None
        words = percent(last) if metric.endswith("accuracy") else short(last)
        shown = (
            star(x + 30, y - 4, 7, f"f{colour}") if child.stands_out else mark(index, x + 30, y - 4, 4, f"f{colour}")
        )
        entry = [
            tag("title", f"Child {child.label}, {child.words()}"),
            path([(x, y - 4), (x + 30, y - 4)], f"line {_look(child, index)}"),
            shown,
            text(x + 43, y, child.label, "strong"),
            text(x + 73, y, words, "soft"),
        ]
        parts.append(tag("g", *entry, data_child=f"{child.step}-{child.number}", tabindex=0))
    return parts
