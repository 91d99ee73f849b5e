"""The climb as a pure function of finished trainings."""

import itertools
import random

from nash_tf.strategy import methods
from nash_tf.strategy.halving import Rung, promote
from nash_tf.strategy.hill_climbing import best, frontier, needed
from nash_tf.strategy.records import TrainingKey

STEPS = [(Rung(1, 2),), *[methods.registry["sh"].rungs(4, 12)] * 2]


def score_of(training: TrainingKey) -> float:
    return training.step + 0.01 * training.rung + 0.1 * training.child


def climb(order, fail=()):
    """Finishes one missing training after another, the one that `order` picks, and returns all scores."""
    scores = {}
    while True:
        open_rung, incumbent = frontier(STEPS, promote, scores)
        if open_rung is None:
            return scores, incumbent
        training = TrainingKey(open_rung.step, open_rung.rung, order(open_rung.missing))
        scores[training] = None if training in fail else score_of(training)


def test_best_child_of_each_step_is_the_parent_of_the_next():
    scores, incumbent = climb(lambda missing: missing[0])
    assert incumbent == TrainingKey(2, 2, 3)
    members = {key: sorted(t.child for t in group) for key, group in itertools.groupby(sorted(scores), lambda t: t[:2])}
    assert members == {
        (0, 0): [0],
        **{(step, 0): [0, 1, 2, 3] for step in (1, 2)},
        **{(step, 1): [2, 3] for step in (1, 2)},
        **{(step, 2): [3] for step in (1, 2)},
    }


def test_parent_of_an_open_step_is_the_winner_before_it():
    scores = {TrainingKey(0, 0, 0): 0.5}
    open_rung, incumbent = frontier(STEPS, promote, scores)
    assert (open_rung.step, open_rung.rung, open_rung.missing) == (1, 0, (0, 1, 2, 3))
    assert open_rung.parent == incumbent == TrainingKey(0, 0, 0)


def test_order_in_which_trainings_finish_does_not_matter():
    expected = climb(lambda missing: missing[0])
    for seed in range(20):
        assert climb(random.Random(seed).choice) == expected


def test_failed_child_is_never_promoted():
    scores, incumbent = climb(lambda missing: missing[0], fail={TrainingKey(2, 0, 3)})
    assert incumbent == TrainingKey(2, 2, 2)
    assert TrainingKey(2, 1, 3) not in scores


def test_parent_goes_on_where_all_children_fail():
    failed = {TrainingKey(2, 0, child) for child in range(4)}
    _, incumbent = climb(lambda missing: missing[0], fail=failed)
    assert incumbent == TrainingKey(1, 2, 3)


def test_search_is_over_where_the_vanilla_fails():
    assert frontier(STEPS, promote, {TrainingKey(0, 0, 0): None}) == (None, None)


def test_best_is_what_scored_highest_and_of_equals_the_last():
    scores = {
        TrainingKey(0, 0, 0): 0.5,
        TrainingKey(1, 2, 3): 0.5,
        TrainingKey(2, 0, 1): 0.4,
        TrainingKey(2, 0, 2): None,
    }
    assert best(scores) == TrainingKey(1, 2, 3)
    assert best({**scores, TrainingKey(0, 0, 0): 0.9}) == TrainingKey(0, 0, 0)
    assert best({**scores, TrainingKey(2, 0, 0): 0.5, TrainingKey(2, 0, 3): 0.5}) == TrainingKey(2, 0, 0)
    assert best({}) is None


def test_the_weights_of_the_best_are_always_kept():
    for seed in range(20):
        draw, scores = random.Random(seed), {}
        while (opened := frontier(STEPS, promote, scores)[0]) is not None:
            kept = needed(STEPS, promote, scores)
            trained = TrainingKey(opened.step, opened.rung, draw.choice(opened.missing))
            scores[trained] = draw.choice([None, 0.1, 0.2, 0.3]) if trained.step else 0.2
            assert best(scores) in kept | {trained} and best(scores) in needed(STEPS, promote, scores)
