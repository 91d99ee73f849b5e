"""What trainings cost, in epochs of the first network."""

import pytest

from nash_tf.architecture.costs import (
    SECONDS_PER_EPOCH,
    SECONDS_PER_STEP,
    SECONDS_PER_TRAINING,
    epoch_seconds,
    training_seconds,
)
from nash_tf.architecture.first_networks import vanilla
from nash_tf.strategy.ask_tell import Search, Settings
from nash_tf.strategy.prices import Prices
from nash_tf.strategy.records import COMPLETED, FAILED, Goal, Outcome

FIRST, WIDE = (vanilla((8, 8, 1), 10, (width, width)) for width in (16, 64))
RATIO = training_seconds(WIDE) / training_seconds(FIRST)


def test_an_epoch_has_its_examples_its_steps_and_what_is_the_same_for_all():
    fixed = SECONDS_PER_EPOCH + 8 * SECONDS_PER_STEP  # 1,000 examples are 8 batches of 128, the last one of 104
    assert epoch_seconds(FIRST, 1000, 128) == pytest.approx(fixed + 1000 * training_seconds(FIRST))
    assert epoch_seconds(FIRST, 1000) == pytest.approx(1000 * training_seconds(FIRST))


def test_the_more_is_the_same_for_all_the_less_dear_a_larger_network_is():
    few, many = (Prices(FIRST, examples, 128).epoch(WIDE) for examples in (500, 50_000))
    assert 1 < few < many < RATIO
    assert Prices(FIRST).epoch(WIDE) == Prices(FIRST, 500).epoch(WIDE) == pytest.approx(RATIO)
    assert Prices(FIRST, 500, 128).epoch(FIRST) == 1


@pytest.mark.parametrize("known", [{}, {"examples": 500}, {"batch_size": 128}, {"examples": 500, "batch_size": 128}])
def test_trainings_cost_their_epochs_and_their_beginning(known):
    search = Search(Settings("fixed", budget_epochs=400, vanilla_epochs=4, **known), Goal("val_accuracy"))
    assert search.spent(search.outcomes.values()) == 0
    (first,) = search.ask()
    search.tell(Outcome(first, COMPLETED, FIRST, {"val_accuracy": 0.5}))
    beginning = SECONDS_PER_TRAINING / epoch_seconds(FIRST, 500, 128) if len(known) == 2 else 0
    assert search.spent(search.outcomes.values()) == pytest.approx(4 + beginning)
    (second,) = search.ask()
    search.tell(Outcome(second, FAILED))
    assert search.spent(search.outcomes.values()) == pytest.approx(4 + beginning)


def test_beginnings_are_part_of_the_budget():
    """Where a training costs as much as many epochs, there are fewer of these."""
    epochs = {}
    for known in ({}, {"examples": 500, "batch_size": 128}):
        search = Search(Settings("fixed", budget_epochs=100, vanilla_epochs=4, **known), Goal("val_accuracy"))
        while not search.finished:
            for assignment in search.ask():
                search.tell(Outcome(assignment, COMPLETED, FIRST, {"val_accuracy": 0.5}))
        assert 98 < search.spent(search.outcomes.values()) <= 100
        epochs[len(known)] = sum(record["epochs"] for record in search.lineage())
    assert epochs[2] < 85 < epochs[0]
