"""What was measured after each epoch over the time that trainings take; the best accuracy so far, and its mean over runs."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from statistics import mean

from nash_tf.records.runs import Record, Run

_MOMENTS = 120  # at which the means over runs are taken

Course = list[tuple[float, float]]  # (CPU-minutes spent, value)


def ends(records: Sequence[Record]) -> list[float]:
    """CPU-minutes spent before the first training, and after each."""
    return [0.0, *accumulate((record.cpu_seconds or 0.0) / 60 for record in records)]


def of_epochs(records: Sequence[Record], metric: str) -> list[Course]:
    """The values after the epochs of each training, which are taken to be equally long; None are left out."""
    found = []
    for record, (begin, end) in zip(records, pairwise(ends(records)), strict=True):
        course = record.course(metric)
        pace = (end - begin) / course[-1][0] if course else 0.0
        found.append([(begin + pace * epoch, value) for epoch, value in course if value is not None])
    return found


def best_so_far(run: Run) -> Course:
    """The best accuracy until then, after each epoch that raised it and at the end.

    Epochs count, not trainings: of methods that are compared one may have 5 trainings, another one of as long. Those of a training
    that failed do not.
    """
    every: list[tuple[float, float | None]] = []
    for record, epochs, end in zip(
        run.records, of_epochs(run.records, "val_accuracy"), ends(run.records)[1:], strict=True
    ):
        every += [*(epochs if record.accuracy is not None else ()), (end, record.accuracy)]
    best = accumulate((-1.0 if accuracy is None else accuracy for _, accuracy in every), max)
    course = [(minutes, accuracy) for (minutes, _), accuracy in zip(every, best, strict=True) if accuracy >= 0]
    kept = (
        point for index, point in enumerate(course) if index in (0, len(course) - 1) or point[1] > course[index - 1][1]
    )
    return list(dict.fromkeys(kept))  # a last epoch is an end too


def mean_course(courses: Sequence[Course]) -> Course:
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
