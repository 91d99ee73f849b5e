"""What trainings to come will take, from those that have ended."""

import random

import pytest

from nash_tf.strategy import forecast
from nash_tf.strategy.forecast import Cost, Size, Trained
from nash_tf.strategy.halving import Rung
from nash_tf.strategy.hill_climbing import OpenRung
from nash_tf.strategy.records import TrainingKey
from tests.scripts import time_left_table

TRUE = Cost(1.5, 0.25, 2e-8)
STEPS = [(Rung(1, 4),), *[(Rung(4, 1), Rung(2, 2), Rung(1, 4))] * 2]


def training(key, epochs, operations, pace=1.0, parent=None, score=0.5):
    seconds = pace * TRUE.seconds(epochs, Size(operations, operations), births=int(key[1] == 0))
    return Trained(TrainingKey(*key), epochs, Size(operations, operations), seconds, 2 * seconds, score, parent)


def step_one(pace=1.0):
    first = TrainingKey(0, 0, 0)
    sizes = (1e7, 3e7, 5e7, 7e7)
    born = [training((1, 0, n), 1, size, pace, first if n else None, score=n) for n, size in enumerate(sizes)]
    return [training(first, 4, 1e7, pace), *born]


def test_a_cost_is_found_again():
    found = forecast.cost_of([*step_one(), training((1, 1, 3), 2, 7e7)])
    assert found == pytest.approx(TRUE, rel=1e-6)
    assert forecast.cost_of(step_one(), of_cpu=True).seconds(3, Size(2e7, 1)) == pytest.approx(
        2 * TRUE.seconds(3, Size(2e7, 1)), rel=1e-6
    )


def test_no_part_of_a_cost_is_below_nothing():
    draw = random.Random(0)
    for _ in range(30):
        noisy = [each._replace(seconds=each.seconds * draw.uniform(0.3, 3)) for each in step_one()]
        assert min(forecast.cost_of(noisy)) >= 0


def test_the_pace_is_that_of_the_last_trainings():
    before, now = step_one(), [training((1, 1, n), 2, 7e7, pace=3.0) for n in range(12)]
    assert forecast.cost_of([*before, *now]).seconds(2, Size(7e7, 1)) == pytest.approx(now[0].seconds, rel=0.01)


def test_promoted_children_are_reckoned_at_their_own_size():
    opened = OpenRung(1, 1, (2, 3), TrainingKey(0, 0, 0))
    left = forecast.search_seconds(STEPS[:2], step_one(), opened, 1e9)
    rest = TRUE.seconds(2, Size(5e7, 1)) + TRUE.seconds(2, Size(7e7, 1))
    assert rest + TRUE.seconds(4, Size(5e7, 1)) < left < rest + TRUE.seconds(4, Size(7e7, 1))


def test_children_to_come_outgrow_their_parents_as_those_before_and_never_the_limit():
    opened = OpenRung(2, 0, (0, 1, 2, 3), TrainingKey(1, 0, 3))
    free, full = (forecast.search_seconds(STEPS, step_one(), opened, most) for most in (1e9, 7e7))
    as_parent = 4 * TRUE.seconds(1, Size(7e7, 1), births=1) + 8 * TRUE.seconds(1, Size(7e7, 1))
    grown = 3 * TRUE.seconds(1, Size(4e7, 1)) - 3 * TRUE.seconds(1, Size(0, 1))  # of the first rung alone
    assert full == pytest.approx(as_parent, rel=1e-6)
    assert free >= as_parent + grown * 0.99


def test_after_one_training_time_goes_by_operations_not_by_births():
    (only,) = [training(TrainingKey(0, 0, 0), 1, 1e7)]
    opened = OpenRung(1, 0, (0,), TrainingKey(0, 0, 0))
    left = forecast.search_seconds([(Rung(1, 1),), (Rung(1, 4), Rung(1, 3))], [only], opened, 1e9)
    assert left == pytest.approx(7 * only.seconds)


def test_a_method_that_alters_child_0_too_is_foreseen():
    first = TrainingKey(0, 0, 0)
    trainings = [training(first, 4, 1e7), training((1, 0, 0), 4, 3e7, parent=first)]
    steps = [(Rung(1, 4),), (Rung(1, 4),), (Rung(1, 4),)]
    left = forecast.search_seconds(steps, trainings, OpenRung(2, 0, (0,), TrainingKey(1, 0, 0)), 1e9)
    assert left == pytest.approx(forecast.cost_of(trainings).seconds(4, Size(5e7, 1), births=1))


def test_estimates_hold_in_past_runs():
    """Within 1.5 from a fifth of the time on; see `tests/scripts/time_left_table.py` for what the rest is."""
    by_run = [
        [
            max(factor, 1 / factor)
            for share, factor in time_left_table.factors(run)
            if time_left_table.FROM <= share <= time_left_table.UNTIL
        ]
        for run in time_left_table.runs()
    ]
    moments = [factor for factors in by_run for factor in factors]
    worst = sorted(max(factors) for factors in by_run if factors)
    # In one run the only child that goes on is 2.3 times as dear as the others, which cannot be known before.
    assert len(moments) > 600 and worst[-2] < 2 and worst[-1] < 2.5
    assert sum(factor <= 1.5 for factor in moments) > 0.94 * len(moments)
