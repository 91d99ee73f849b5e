"""Hill climbing over steps, with rungs inside a step, as a pure function of the trainings that are finished.

Elsken, Metzen and Hutter 2017, arXiv 1711.04528. Step 0 is the vanilla network, one child in one rung; in each step after it
child 0 is the unmodified parent. Nothing here depends on the order or the time in which trainings finish.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from nash_tf.strategy.halving import Rung
from nash_tf.strategy.records import TrainingKey


class OpenRung(NamedTuple):
    """The open rung.

    Attributes:
        step, rung: which it is.
        missing: its members that are not finished, in order.
        parent: the training that the step's children descend from; None in step 0.
    """

    step: int
    rung: int
    missing: tuple[int, ...]
    parent: TrainingKey | None


Scores = Mapping[TrainingKey, float | None]  # larger is better; None for a failed training


def frontier(
    steps: Sequence[Sequence[Rung]],
    promote: Callable[[Mapping[int, float | None], int], tuple[int, ...]],
    scores: Scores,
) -> tuple[OpenRung | None, TrainingKey | None]:
    """Where the search stands.

    Args:
        steps: the rungs of each step, the vanilla's first.
        promote: (scores by child, places) -> children promoted.
        scores: of all finished trainings.

    Returns:
        The open rung, None when the search is over; and the incumbent, the winner of the last closed step. If all
        children of a step fail, its parent goes on; if the vanilla fails, there is no incumbent and the search is over.
    """
    incumbent = None
    for step, rungs in enumerate(steps):
        members = tuple(range(rungs[0].children))
        for rung, _ in enumerate(rungs):
            closed = {
                child: scores[TrainingKey(step, rung, child)]
                for child in members
                if TrainingKey(step, rung, child) in scores
            }
            missing = tuple(child for child in members if child not in closed)
            if missing:
                return OpenRung(step, rung, missing, incumbent), incumbent
            places = rungs[rung + 1].children if rung + 1 < len(rungs) else 1
            members = promote(closed, places)
            if not members:
                break
        if members:
            incumbent = TrainingKey(step, rung, members[0])
        if incumbent is None:
            break
    return None, incumbent


def best(scores: Scores) -> TrainingKey | None:
    """The one with the highest score, of equals the last, of those the first child.

    Not the incumbent, from which the search goes on: what it descends from may have scored higher. One order over all
    trainings keeps the promise that the best one's weights are still there: it only ever moves to a newer one.
    """
    candidates = {training: score for training, score in scores.items() if score is not None}
    return max(candidates, key=lambda t: (candidates[t], t.step, t.rung, -t.child), default=None)


def failed_streaks(scores: Scores) -> list[list[TrainingKey]]:
    """The failed trainings, in canonical order, those together that have none between them that succeeded."""
    streaks = itertools.groupby(sorted(scores), key=lambda key: scores[key] is None)
    return [list(streak) for has_failed, streak in streaks if has_failed]


def needed(
    steps: Sequence[Sequence[Rung]],
    promote: Callable[[Mapping[int, float | None], int], tuple[int, ...]],
    scores: Scores,
) -> frozenset[TrainingKey]:
    """The trainings whose weights may still be asked for: the vanilla's, the incumbent's, those of the open rung and of the
    one before it, and the best one's."""
    opened, incumbent = frontier(steps, promote, scores)
    wanted = {incumbent, best(scores), TrainingKey(0, 0, 0)}
    if opened is not None:
        wanted |= {t for t in scores if t.step == opened.step and t.rung in (opened.rung - 1, opened.rung)}
    return frozenset(t for t in wanted if t is not None)
