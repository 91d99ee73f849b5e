"""Accuracy against parameters, for the children of a search and for the runs of an experiment."""

from collections.abc import Mapping, Sequence

from nash_tf.report import family
from nash_tf.report.axes import frame, linear, logarithmic
from nash_tf.report.family import Child
from nash_tf.report.figure import SERIES, Figure, legend, mark, path, star, text
from nash_tf.report.markup import Markup, join, tag
from nash_tf.report.runs import Run
from nash_tf.report.stats import pareto
from nash_tf.report.text import percent, short
from nash_tf.report.tree import description

_WIDTH, _HEIGHT = 880, 440


def accuracy_against_params(children: Sequence[Child], rungs: Mapping[int, int]) -> Figure | None:
    """All children at the end of their lives; None where no two numbers are known."""
    known = [(child, child.params, child.accuracy) for child in children if child.params and child.accuracy is not None]
    if not known:
        return None
    x = logarithmic([params for _, params, _ in known], 60, _WIDTH - 14)
    y = linear(_without_outliers([accuracy for *_, accuracy in known]), _HEIGHT - 84, 34)
    parts = [frame(x, y, "trained parameters", "validation accuracy, %", short, lambda value: percent(value, 1))]
    front = pareto([(params, accuracy) for _, params, accuracy in known])
    corners: list[tuple[float, float]] = []
    for index in front:
        _, params, accuracy = known[index]
        corners += [(x(params), corners[-1][1]), (x(params), y(accuracy))] if corners else [(x(params), y(accuracy))]
    parts.append(path([*corners, (x.end, corners[-1][1])], "front"))
    labels: list[Markup] = []
    for index, (child, params, accuracy) in enumerate(known):
        at, clipped = (x(params), min(y(accuracy), y.start - 6)), y(accuracy) > y.start
        parts.append(_point(child, *at, child.rung + 1 >= rungs.get(child.step, 1)))
        if index in front or child.chosen:
            labels.append(text(at[0] + 10, at[1] - 7, child.label, "halo strong"))
        elif clipped:
            labels.append(text(at[0] + 8, at[1] - 3, f"{child.label}: {percent(accuracy, 1)} ↓", "halo soft"))
    meaning = [
        (lambda a, b: star(a, b, 8, "f0"), "winner of a step"),
        (lambda a, b: mark(0, a, b, 5.5, "f1"), "reached the last rung"),
        (lambda a, b: mark(3, a, b, 5, "hollow s2"), "discarded earlier"),
        (lambda a, b: path([(a - 9, b), (a + 9, b)], "front"), "Pareto front"),
    ]
    parts += [*labels, legend(50, _HEIGHT - 10, meaning)]
    return Figure(
        "accuracy_params", "Validation accuracy against parameters of all children", _WIDTH, _HEIGHT, join(parts)
    )


def _point(child: Child, x: float, y: float, last: bool) -> Markup:
    title = tag("title", description(child))
    key = f"{child.step}-{child.number}"
    if child.fate == family.WINNER:
        drawn = star(x, y, 10 if child.chosen else 8, "f0", title)
    elif last:
        drawn = mark(0, x, y, 5.5, "f1", title)
    else:
        drawn = mark(3, x, y, 5, "hollow s2", title)
    return tag("g", drawn, data_child=key)


def _without_outliers(values: Sequence[float]) -> list[float]:
    """The values, those far below the others left out: they would squeeze the rest into a line."""
    ranked = sorted(values)
    low, middle = ranked[len(ranked) // 4], ranked[len(ranked) // 2]
    kept = [value for value in values if value >= low - 4 * max(middle - low, 0.005)]
    return kept or list(values)


def runs_by_method(runs: Sequence[Run], methods: Sequence[str]) -> Figure | None:
    """Test accuracy against parameters of finished runs, a mark a method."""
    known = [(run, run.result("params"), run.result("test_accuracy")) for run in runs]
    known = [(run, params, accuracy) for run, params, accuracy in known if params and accuracy is not None]
    if not known:
        return None
    x = logarithmic([params for _, params, _ in known if params], 60, _WIDTH - 14)
    y = linear([accuracy for *_, accuracy in known if accuracy is not None], _HEIGHT - 84, 34)
    parts = [frame(x, y, "trained parameters", "test accuracy, %", short, lambda value: percent(value, 1))]
    for run, params, accuracy in known:
        series = methods.index(run.method)
        words = f"{run.method}, seed {run.seed}: {percent(accuracy)} %, {short(params)} parameters"
        parts.append(mark(series, x(params), y(accuracy), 6.5, f"f{series % SERIES}", tag("title", words)))
    meaning = [
        (lambda a, b, series=series: mark(series, a, b, 6, f"f{series % SERIES}"), method)
        for series, method in enumerate(methods)
    ]
    parts.append(legend(50, _HEIGHT - 10, meaning))
    return Figure("accuracy_params", "Test accuracy against parameters, by method", _WIDTH, _HEIGHT, join(parts))
