"""Parameters over the steps."""

from collections.abc import Sequence
from statistics import geometric_mean

from nash_tf.drawing.axes import Scale, frame, logarithmic
from nash_tf.drawing.figure import SERIES, Figure, legend, line, mark, path, star, text
from nash_tf.drawing.markup import Markup, join, tag
from nash_tf.drawing.number_words import plural, short
from nash_tf.report.analysis.behaviour import Behaviour
from nash_tf.report.analysis.family import Child, is_front
from nash_tf.report.charts.child_words import description

_WIDTH, _HEIGHT = 760, 360


def growth(children: Sequence[Child], limit: float | None) -> Figure | None:
    """Parameters of all children by step, the winners joined, and the limit where it is near."""
    known = [(child, child.params) for child in children if child.params]
    if not known:
        return None
    values = [params for _, params in known if params]
    near = [limit] if limit and limit <= 4 * max(values) else []
    steps = sorted({child.step for child, _ in known})
    x = Scale(steps[0] - 0.5, max(steps[-1] + 0.5, steps[0] + 0.6), 60, _WIDTH - 14)
    y = logarithmic([*values, *near], _HEIGHT - 84, 34)
    every = max(1, len(steps) // 12)
    parts = [
        frame(
            x,
            y,
            "step (0 is the first network)",
            "parameters",
            lambda step: f"{step:g}",
            short,
            steps[::every],
        )
    ]
    if near:
        parts += [
            line(x.start, y(near[0]), x.end, y(near[0]), "front"),
            text(x.start + 8, y(near[0]) - 6, f"limit {short(near[0])}", "halo strong"),
        ]
    members = {step: [pair for pair in known if pair[0].step == step] for step in steps}
    winners, dots = [], []
    for step in steps:
        count = len(members[step])
        for index, (child, params) in enumerate(members[step]):
            at = (x(step + 0.5 * ((index + 0.5) / count - 0.5)), y(params or 1))
            title = tag("title", description(child))
            if child.has_won:
                winners.append((x(step), at[1]))
                drawn = star(x(step), at[1], 9, "f0", title)
            else:
                drawn = mark(3, *at, 4.6, "hollow s2", title)
            dots.append(tag("g", drawn, data_child=f"{child.step}-{child.number}"))
    way: list[Markup] = [path(winners, "trunk")] if len(winners) > 1 else []
    starred = "finished, or grown from" if is_front(children) else "winner of a step"
    meaning = [(lambda a, b: star(a, b, 8, "f0"), starred)]
    if any(not child.has_won for child, _ in known):
        meaning.append((lambda a, b: mark(3, a, b, 4.6, "hollow s2"), "other children"))
    parts += [*way, *dots, legend(50, _HEIGHT - 10, meaning)]
    return Figure("growth", "Parameters of all children by step", _WIDTH, _HEIGHT, join(parts))


def by_method(rows: Sequence[Behaviour]) -> Figure | None:
    """Parameters of the winners by step, a line a method: geometric mean over runs."""
    # A method that never grows is a level line, however long.
    grown = [(series, row) for series, row in enumerate(rows) if _grows(row)]
    values = [params for _, row in grown for winners in row.winners.values() for params in winners]
    last = max((step for _, row in grown for step in row.winners), default=0)
    if not values or last == 0:
        return None
    x, y = Scale(-0.3, last + 0.3, 60, _WIDTH - 14), logarithmic(values, _HEIGHT - 84, 34)
    steps = range(0, last + 1, max(1, (last + 1) // 12))
    parts = [
        frame(x, y, "step (0 is the first network)", "winner's parameters", lambda step: f"{step:g}", short, steps)
    ]
    for series, row in grown:
        colour, shift = series % SERIES, 0.05 * (series - (len(rows) - 1) / 2)
        way = [(x(step + shift), y(geometric_mean(row.winners[step]))) for step in sorted(row.winners)]
        if way:
            parts.append(path(way, f"line s{colour} d{series % SERIES}"))
        for step, winners in row.winners.items():
            words = f"{row.method}, step {step}: {short(geometric_mean(winners))}, {plural(len(winners), 'run')}"
            at = (x(step + shift), y(geometric_mean(winners)))
            parts.append(mark(series, *at, 5.5, f"f{colour}", tag("title", words)))
    meaning = [
        (lambda a, b, series=series: mark(series, a, b, 6, f"f{series % SERIES}"), row.method) for series, row in grown
    ]
    parts.append(legend(50, _HEIGHT - 10, meaning))
    return Figure("growth", "Parameters of the winners by step and method", _WIDTH, _HEIGHT, join(parts))


def _grows(row: Behaviour) -> bool:
    return len({params for winners in row.winners.values() for params in winners}) > 1
