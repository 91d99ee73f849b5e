"""Searches whose time is too short for what was planned, on a clock that stands in for the real one: nothing is lost, and it is said."""

import keras_tuner
import pytest

from nash_tf.architecture import costs
from nash_tf.strategy import prices
from nash_tf.tuning.results_table import why_over
from nash_tf.tuning.trial_book import SearchStopped
from tests.helpers.machines import Machine
from tests.helpers.tuners import CLASSES, IMAGES, classifier, in_two_parts, plainest, tuner_of


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr(prices, "SECONDS_PER_TRAINING", 0.0)  # here all is in the epochs
    monkeypatch.setattr(costs, "SECONDS_PER_EPOCH", 0.0)
    return Machine(monkeypatch)


def searched(tmp_path, machine, build=plainest, **given):
    tuner = tuner_of(build, tmp_path, keras_tuner.Objective("val_loss", "min"), **given)
    limits = tuner.oracle.limits
    limits._clock, limits._own = lambda: (machine.now, machine.now), lambda: machine.now
    tuner.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES), batch_size=16, callbacks=[machine], verbose=0)
    return tuner


@pytest.mark.parametrize("limit", ["max_hours", "max_cpu_hours"])
def test_a_first_network_that_does_not_fit_is_trained_for_as_long_as_does_and_handed_over(limit, machine, tmp_path):
    tuner = searched(tmp_path, machine, classifier, method="nash", vanilla_epochs=40, **{limit: 100 / 3600})
    first = tuner.oracle.lineage()[0]
    assert first["status"] == "completed" and 6 <= first["epochs"] <= 9 and first["rate"][-1] == 0.0
    assert machine.now <= 100 + 10 and len(tuner.get_best_models()) == 1
    expected = (
        f"a limit on time was reached: {limit}=0.0277778; time was left for {first['epochs']} of 40 epochs of the first"
    )
    assert why_over(tuner.oracle).startswith(expected)


def test_a_first_network_that_is_to_grow_in_one_budget_leaves_most_of_it(machine, tmp_path):
    tuner = searched(tmp_path, machine, classifier, method="grow", steps=1, vanilla_epochs=40, max_hours=400 / 3600)
    first, *others = tuner.oracle.lineage()
    assert 8 <= first["epochs"] <= 12 and first["rate"][-1] == 1.0
    assert len(others) == 5 and tuner.oracle.end_reason() == "its one step is done" and machine.now <= 400


@pytest.mark.parametrize("limit", ["max_hours", "max_cpu_hours"])
def test_where_not_one_epoch_fits_it_is_said_what_came_and_what_to_do(limit, machine, tmp_path):
    machine.epochs = {0: 1000.0}
    words = r"before the first network had been trained for one epoch \(1 of 3 batches .*; give more time, or fewer"
    with pytest.raises(SearchStopped, match=f"{limit}=0.0277778 {words}"):
        searched(tmp_path, machine, method="nash", vanilla_epochs=4, **{limit: 100 / 3600})


def test_a_cooldown_that_cannot_end_as_planned_ends_in_time(machine, tmp_path, monkeypatch):
    in_two_parts(monkeypatch)
    given = {"method": "fixed", "vanilla_epochs": 1, "max_hours": 300 / 3600}
    planned = searched(tmp_path / "planned", machine, **given).oracle.search.outcomes[(1, 1, 0)].assignment
    machine.now, machine.epochs = 0.0, dict.fromkeys(range(planned.initial_epoch, planned.epochs), 100.0)
    tuner = searched(tmp_path / "slow", machine, **given)
    last = tuner.oracle.lineage()[-1]
    assert (last["step"], last["rung"], last["status"]) == (1, 1, "completed") and tuner.oracle.search.best == (1, 1, 0)
    assert 1 <= last["epochs"] < planned.epochs - planned.initial_epoch and machine.now <= 300 + 40
    assert "epochs of the last training" in why_over(tuner.oracle)
