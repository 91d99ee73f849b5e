"""Accuracy against parameters, for the children of a search and for the runs of an experiment."""

from collections.abc import Mapping, Sequence

from nash_tf.drawing import label_places
from nash_tf.drawing.axes import frame, linear, logarithmic, staircase
from nash_tf.drawing.figure import SERIES, Figure, legend, mark, path, star, text
from nash_tf.drawing.markup import Markup, join, tag
from nash_tf.drawing.number_words import percent, short
from nash_tf.records.runs import Run
from nash_tf.report.analysis.family import Child, is_front
from nash_tf.report.analysis.stats import pareto
from nash_tf.report.charts.child_words import axis, description

_WIDTH, _HEIGHT = 760, 440


def accuracy_against_params(
    children: Sequence[Child], rungs: Mapping[int, int], has_front: bool = True
) -> Figure | None:
    """All children at the end of their lives; None where no two numbers are known.

    Args:
        children: all of them.
        rungs: step -> number of rungs.
        has_front: whether a Pareto front is drawn, through what was trained to an end.
    """
    known = [(child, child.params, child.score) for child in children if child.params and child.score is not None]
    if not known:
        return None
    objective = known[0][0].objective
    title, words = axis(objective)
    x = logarithmic([params for _, params, _ in known], 60, _WIDTH - 14)
    y = linear(_without_outliers([score for *_, score in known]), _HEIGHT - 84, 34)
    parts = [frame(x, y, "parameters", title, short, words)]
    finished = [entry for entry in known if has_front and not entry[0].is_between]
    front = [finished[index] for index in pareto([(params, score) for _, params, score in finished])]
    if front:  # what is far below lies on the axis
        parts.append(staircase([(x(params), min(y(score), y.start)) for _, params, score in front], x.end))
    named = {child.label for child, *_ in front} | {
        child.label for child, *_ in known if child.chosen or (not has_front and child.stands_out)
    }
    marks, wanted, points = [], [], []
    for child, params, score in known:
        at, below = (x(params), min(y(score), y.start - 6)), y(score) > y.start
        marks.append(at)
        points.append((child.stands_out, _point(child, *at, _sort(child, rungs))))
        if child.label in named or below:
            name = f"{child.label}: {words(score)} ↓" if below else child.label
            wanted.append((not child.chosen, -score, (*at, name)))
    parts += [drawn for _, drawn in sorted(points, key=lambda pair: pair[0])]  # winners lie above
    labels = label_places.place(marks, [entry for *_, entry in sorted(wanted)])
    parts += [text(*label, "halo strong") for label in labels if label]
    starred, last = "winner of a step", "reached the last rung"
    if is_front(children):
        starred, last = "winner, or only grown from", "finished"
    meaning = [(lambda a, b: star(a, b, 8, "f0"), starred)]
    if any(_sort(child, rungs) == "last" for child, *_ in known):
        meaning.append((lambda a, b: mark(0, a, b, 5.5, "f1"), last))
    if any(_sort(child, rungs) == "earlier" for child, *_ in known):
        meaning.append((lambda a, b: mark(3, a, b, 5, "hollow s2"), "other children"))
    if front:
        meaning.append((lambda a, b: path([(a - 9, b), (a + 9, b)], "front"), "Pareto front"))
    parts.append(legend(50, _HEIGHT - 10, meaning))
    return Figure(
        "accuracy_params",
        f"{objective.words.capitalize()} against parameters of all children",
        _WIDTH,
        _HEIGHT,
        join(parts),
    )


def _sort(child: Child, rungs: Mapping[int, int]) -> str:
    if child.stands_out:
        return "winner"
    return "last" if child.rung + 1 >= rungs.get(child.step, 1) else "earlier"


def _point(child: Child, x: float, y: float, sort: str) -> Markup:
    title = tag("title", description(child))
    if sort == "winner":
        drawn = star(x, y, 10 if child.chosen else 8, "f0", title)
    elif sort == "last":
        drawn = mark(0, x, y, 5.5, "f1", title)
    else:
        drawn = mark(3, x, y, 5, "hollow s2", title)
    return tag("g", drawn, data_child=f"{child.step}-{child.number}")


def _without_outliers(values: Sequence[float]) -> list[float]:
    """The values, those far below the others left out: they would squeeze the rest into a line."""
    ranked = sorted(values)
    low, middle = ranked[len(ranked) // 4], ranked[len(ranked) // 2]
    kept = [value for value in values if value >= low - 4 * max(middle - low, 0.005)]
    return kept or list(values)


def runs_by_method(runs: Sequence[Run], methods: Sequence[str]) -> Figure | None:
    """Test accuracy against parameters of finished runs, a mark a method."""
    known = [
        (run, params, accuracy)
        for run in runs
        if (params := run.result("params")) and (accuracy := run.result("test_accuracy")) is not None
    ]
    if not known:
        return None
    x = logarithmic([params for _, params, _ in known], 60, _WIDTH - 14)
    y = linear([accuracy for *_, accuracy in known], _HEIGHT - 84, 34)
    parts = [frame(x, y, "parameters", "test accuracy, %", short, lambda value: percent(value, 1))]
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
