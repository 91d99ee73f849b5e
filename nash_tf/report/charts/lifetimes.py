"""Accuracy by method: over a child's life, with what restarts cost, and over the time that a search takes."""

from collections.abc import Callable, Mapping, Sequence
from statistics import mean

from nash_tf.drawing.axes import Scale, frame, linear
from nash_tf.drawing.figure import SERIES, Figure, legend, line, path
from nash_tf.drawing.markup import Markup, join, tag
from nash_tf.drawing.number_words import percent
from nash_tf.records.runs import Run
from nash_tf.report.analysis import accuracy_course
from nash_tf.report.analysis.behaviour import Behaviour

_WIDTH, _HEIGHT = 760, 400


def lives(rows: Sequence[Behaviour]) -> Figure | None:
    """Validation accuracy of those that lived to the last rung, less their parent's, by epochs since birth."""
    courses = {row.method: [(float(epoch), mean(row.lives[epoch])) for epoch in sorted(row.lives)] for row in rows}
    if not any(courses.values()):
        return None
    title = "Accuracy over the life of those that reach the last rung, against their parent's"
    y_title = "validation accuracy less the parent's, points"
    lacks = any(row.steps and not courses[row.method] for row in rows)
    x_title = f"epochs since birth{'; methods with one budget are left out' if lacks else ''}"
    return _figure("lives", title, courses, x_title, y_title, _whole_points, level=0.0)


def anytime(runs: Sequence[Run], methods: Sequence[str]) -> Figure | None:
    """Best validation accuracy after any epoch so far by CPU time spent on trainings, means over finished runs."""
    courses = {
        method: accuracy_course.mean_course(
            [accuracy_course.best_so_far(run) for run in runs if run.method == method and run.state == "finished"]
        )
        for method in methods
    }
    if not any(courses.values()):
        return None
    title = "Best validation accuracy so far against time spent"
    y_title = "best validation accuracy so far, %"
    return _figure("anytime", title, courses, "CPU-minutes of trainings", y_title, lambda value: percent(value, 1))


def _whole_points(difference: float) -> str:
    return f"{100 * difference:+.0f}".replace("-", "−")


def _figure(
    name: str,
    title: str,
    courses: Mapping[str, list[tuple[float, float]]],
    x_title: str,
    y_title: str,
    words: Callable[[float], str],
    level: float | None = None,
) -> Figure:
    """A line a method, in its colour and dashes."""
    everything = [point for course in courses.values() for point in course]
    x = Scale(0.0, max(*(at for at, _ in everything), 1e-3), 60, _WIDTH - 14)
    y = linear([value for _, value in everything], _HEIGHT - 84, 34)
    parts: list[Markup] = [frame(x, y, x_title, y_title, lambda value: f"{value:g}", words)]
    if level is not None:
        parts.append(line(x.start, y(level), x.end, y(level), "front"))
    drawn = [(series, method, course) for series, (method, course) in enumerate(courses.items()) if course]

    def style(series: int) -> str:
        return f"line s{series % SERIES} d{series % SERIES}"

    for series, method, course in drawn:
        way = path([(x(at), y(value)) for at, value in course], style(series))
        parts.append(tag("g", tag("title", f"{method}: {words(course[-1][1])} at the end"), way))
    meaning = [
        (lambda a, b, series=series: path([(a - 9, b), (a + 9, b)], style(series)), method)
        for series, method, _ in drawn
    ]
    parts.append(legend(50, _HEIGHT - 10, meaning))
    return Figure(name, title, _WIDTH, _HEIGHT, join(parts))
