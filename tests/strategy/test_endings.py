"""Which training is handed over."""

import math
import random

from nash_tf.architecture.first_networks import vanilla
from nash_tf.strategy.ask_tell import Search, Settings
from nash_tf.strategy.endings import winner
from nash_tf.strategy.hill_climbing import best
from nash_tf.strategy.methods import registry
from nash_tf.strategy.records import COMPLETED, Goal, Outcome, TrainingKey

FIRST = vanilla((8, 8, 1), 10, (4, 8))


def test_one_network_s_last_part_is_handed_over_though_luck_put_another_above_it():
    scores = {
        TrainingKey(0, 0, 0): 0.5,
        TrainingKey(1, 0, 0): 0.6,
        TrainingKey(1, 1, 0): 0.8,
        TrainingKey(1, 2, 0): 0.79,
    }
    assert winner(scores, registry["grow"]) == TrainingKey(1, 2, 0) == winner(scores, registry["fixed"])
    for method in ("shr", "one_epoch", "front"):  # children are compared
        assert winner(scores, registry[method]) == best(scores) == TrainingKey(1, 1, 0)
    # With few validation images all the others may be above it; where it is below the first network, it went wrong.
    lowest = {**scores, TrainingKey(1, 2, 0): 0.55}
    assert winner(lowest, registry["grow"]) == TrainingKey(1, 2, 0)
    assert winner(lowest, registry["grow"], is_accuracy=False) == TrainingKey(1, 1, 0)  # a loss may have risen
    assert winner({**scores, TrainingKey(1, 2, 0): 0.45}, registry["grow"]) == TrainingKey(1, 1, 0)
    assert winner({**scores, TrainingKey(1, 2, 0): None}, registry["grow"]) == TrainingKey(1, 1, 0)
    assert winner({}, registry["grow"]) is None


def test_the_weights_of_the_winner_are_always_kept():
    """Of one network's parts, where any may fail at last."""
    for seed in range(20):
        draw, search = random.Random(seed), Search(Settings("grow", steps=2, budget_epochs=100), Goal("val_accuracy"))
        kept = frozenset()
        while not search.finished:
            (assignment,) = search.ask()
            scores = {"val_accuracy": draw.choice([math.nan, 0.1, 0.2, 0.3]) if assignment.key.step else 0.2}
            search.tell(Outcome(assignment, COMPLETED, assignment.architecture or FIRST, scores))
            assert search.best in kept | {assignment.key} and search.best in search.needed()
            kept = search.needed()
