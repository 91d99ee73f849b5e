"""The best accuracy so far over the time that a search takes, and its mean over runs."""

from collections.abc import Sequence
from itertools import accumulate
from statistics import mean

from nash_tf.report.records.runs import Run

_MOMENTS = 120  # at which the means over runs are taken


def best_so_far(run: Run) -> list[tuple[float, float]]:
    """(CPU-minutes spent, best accuracy until then) after each training that raised it, and at the end."""
    spent = list(accumulate((record.cpu_seconds or 0.0) / 60 for record in run.records))
    best = list(accumulate((-1.0 if record.accuracy is None else record.accuracy for record in run.records), max))
    course = [(minutes, accuracy) for minutes, accuracy in zip(spent, best, strict=True) if accuracy >= 0]
    return [
        point for index, point in enumerate(course) if index in (0, len(course) - 1) or point[1] > course[index - 1][1]
    ]


def mean_course(courses: Sequence[list[tuple[float, float]]]) -> list[tuple[float, float]]:
    """Means at moments from where all courses have begun; a course that has ended keeps its last value."""
    known = [course for course in courses if course]
    if not known:
        return []
    first, last = max(course[0][0] for course in known), max(course[-1][0] for course in known)
    moments = [first + (last - first) * index / _MOMENTS for index in range(_MOMENTS + 1)]
    return [
        (moment, mean([value for minutes, value in course if minutes <= moment + 1e-9][-1] for course in known))
        for moment in moments
    ]
