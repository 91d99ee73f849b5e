"""How a search ends, by its method: which training is handed over, and what is lost where the last one failed."""

import statistics
from collections.abc import Collection, Sequence

from nash_tf.strategy.halving import Rung
from nash_tf.strategy.hill_climbing import OpenRung, Scores, best
from nash_tf.strategy.methods import Method
from nash_tf.strategy.records import TrainingKey


def winner(scores: Scores, method: Method, is_accuracy: bool = True) -> TrainingKey | None:
    """The training to hand over: the best one; of a front the best that has finished a network, where one has; of a method with one network
    the last, unless it has failed.

    The parts of one training differ by more than luck only where it has failed; the last has the lowest rate. Where the validation
    examples are few, the highest score may be any part's, and the last may be the lowest of all in which the rate falls.

    Args:
        scores: of the trainings that have ended.
        method: that of the search.
        is_accuracy: whether scores are accuracies: then the last has failed where the first network scored higher. Others, such as
            losses, may get worse though accuracies do not: then it has where half of the trainings did.
    """
    scored = {training: score for training, score in scores.items() if score is not None}
    if method.has_front:  # the first network is one that others grow out of, and may be above the limits
        return best({training: score for training, score in scored.items() if training.step}) or best(scored)
    if method.has_one_network and scored:
        last = max(scored)
        least = scored[min(scored)] if is_accuracy else statistics.median(scored.values())
        if scored[last] >= least:
            return last
    return best(scores)


def is_end(key: TrainingKey, steps: Sequence[Sequence[Rung]], method: Method) -> bool:
    """Whether a training is the one in which the rate falls to zero, of a search that is one training in parts."""
    return method.has_one_network and (key.step, key.rung) == (len(steps) - 1, len(steps[-1]) - 1)


def can_be_shortened(key: TrainingKey, steps: Sequence[Sequence[Rung]], method: Method) -> bool:
    """Whether a training that cannot end in time is made shorter and not dropped: the first network's, without which there is nothing, and
    the one without which nothing is finished."""
    return key.step == 0 or is_end(key, steps, method) or (method.has_front and key.step == 1)


def lacks_end(
    opened: OpenRung | None,
    method: Method,
    scores: Scores,
    finished: Collection[TrainingKey] = (),
    diverged: Collection[TrainingKey] = (),
) -> bool:
    """Whether a search under one budget is over since its last training failed, and would come to its end if that were done again. Its
    rate has not fallen to zero, so that nothing is finished.

    Args:
        opened: the open rung.
        method: that of the search.
        scores: of the trainings that have ended.
        finished: the trainings that have finished a network, of a method with a front: one of them can be handed over.
        diverged: the trainings whose numbers were no longer finite. Done again they end so again: what was trained before them is all
            that there is to hand over.
    """
    lost = lost_end(opened, method, scores, finished)
    return bool(lost) and not (lost <= set(diverged) and best(scores) is not None)


def lost_end(
    opened: OpenRung | None, method: Method, scores: Scores, finished: Collection[TrainingKey] = ()
) -> set[TrainingKey]:
    """The failed trainings of the last rung of a search under one budget which is over with them; none where the last one did not fail, or
    something is finished without it. Arguments as of `lacks_end`."""
    if opened is not None or not method.is_budgeted or finished or scores[max(scores)] is not None:
        return set()
    return {key for key, score in scores.items() if key[:2] == max(scores)[:2] and score is None}
