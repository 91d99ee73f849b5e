"""Limits on CPU time: what counts against them, and the shares that trainings beside each other have."""

import json
import time

import keras_tuner
import pytest
from keras_tuner.engine.trial import TrialStatus

from nash_tf.strategy import explanations
from nash_tf.strategy.time_limits import TimeLimits
from nash_tf.tuning.results_table import why_over
from nash_tf.tuning.trial_values import lease_of
from tests.helpers.stand_in import FIRST, begin, report, training_of
from tests.helpers.tuners import CLASSES, IMAGES, Still, tuner_of

HOUR = 3600.0
FIVE = {"method": "nash", "children": 5, "epochs_per_step": 5, "max_cpu_hours": 1.0}


def share(trial):
    return lease_of(trial.hyperparameters.values)["cpu_seconds"]


def told(oracle, trial, cpu_seconds, status=TrialStatus.COMPLETED):
    """Reports as a worker does whose training has taken so much CPU time."""
    trial = type(trial).from_proto(trial.to_proto())
    values = trial.hyperparameters.values
    taken = {"cpu_seconds": cpu_seconds, "wall_seconds": cpu_seconds}
    if status == TrialStatus.COMPLETED:
        report(oracle, trial, taken=taken)
        return
    values["record"] = json.dumps(taken)
    trial.status = status
    oracle.end_trial(trial)


def asked(oracle, *names):
    return [oracle.create_trial(f"{name}|here:{name}") for name in names]


def left(oracle):
    return oracle.allowance.left()["cpu_seconds"]


@pytest.mark.parametrize("status", [TrialStatus.FAILED, TrialStatus.INVALID])
def test_a_failed_training_counts_against_the_limit_also_when_it_is_read_again(status, tmp_path):
    oracle, _ = begin(tmp_path, **FIVE)
    told(oracle, *asked(oracle, "ann"), 100.0)
    told(oracle, *asked(oracle, "ann"), 300.0, status)
    assert left(oracle) == HOUR - 400
    assert left(begin(tmp_path, **FIVE)[0]) == HOUR - 400


def test_a_training_that_is_tried_again_counts_each_time(tmp_path):
    oracle, _ = begin(tmp_path, max_retries_per_trial=1, **FIVE)
    told(oracle, *asked(oracle, "ann"), 300.0, TrialStatus.INVALID)
    assert left(oracle) == HOUR - 300 and not oracle.lineage()
    told(oracle, *asked(oracle, "ann"), 100.0)
    assert left(begin(tmp_path, **FIVE)[0]) == HOUR - 400


def test_failures_that_are_done_again_count_still(tmp_path):
    oracle, _ = begin(tmp_path, **FIVE)
    told(oracle, *asked(oracle, "ann"), 300.0, TrialStatus.FAILED)
    assert oracle.stopped_by()
    oracle.retry_failures()
    assert left(oracle) == HOUR - 300 and not oracle.lineage()


def test_a_score_that_is_no_number_counts_too(tmp_path):
    oracle, _ = begin(tmp_path, **FIVE)
    told(oracle, *asked(oracle, "ann"), 100.0)
    (trial,) = asked(oracle, "ann")
    report(oracle, trial, score=float("nan"), taken={"cpu_seconds": 300.0})
    assert left(oracle) == left(begin(tmp_path, **FIVE)[0]) == HOUR - 400


@pytest.mark.parametrize("cause", [ValueError, ZeroDivisionError], ids=["failed", "invalid"])
def test_a_training_that_raises_says_what_it_has_taken(cause, tmp_path):
    def returns(values):
        began = time.process_time()
        while values["step"] and time.process_time() < began + 0.2:
            pass
        if values["step"]:
            raise keras_tuner.errors.FailedTrialError("no") if cause is ValueError else cause("no")
        return {"val_accuracy": 0.5, "loss": 1.0}

    tuner = tuner_of(Still(returns=returns), tmp_path, max_consecutive_failed_trials=9)
    tuner.search(IMAGES, CLASSES, verbose=0)
    first, *children = tuner.oracle.search.outcomes.values()
    assert len(children) == 2 and all(0.2 <= each.cpu_seconds < 60 and each.wall_seconds >= 0.2 for each in children)


@pytest.mark.parametrize("status", [TrialStatus.COMPLETED, TrialStatus.FAILED])
def test_of_a_tuner_that_tells_no_time_that_until_its_report_counts(status, tmp_path):
    oracle, clock = begin(tmp_path, **FIVE)
    trial = oracle.create_trial("tuner0")
    clock.now = 100.0
    trial.hyperparameters.values["architecture"] = FIRST.to_json()
    oracle.update_trial(trial.trial_id, {"val_accuracy": 0.5})
    trial.status = status
    oracle.end_trial(trial)
    assert left(oracle) == left(begin(tmp_path, **FIVE)[0]) == HOUR - 100
    (outcome,) = oracle.search.outcomes.values()
    assert outcome.wall_seconds == 100 and (status == TrialStatus.FAILED or outcome.metrics == {"val_accuracy": 0.5})


def test_a_tuner_of_another_make_may_tell_its_time_and_lays_out_its_budget_by_it(tmp_path):
    oracle, _ = begin(tmp_path, method="grow", max_hours=1.0)
    trial = oracle.create_trial("tuner0")
    trial.hyperparameters.values |= {
        "architecture": FIRST.to_json(),
        "record": json.dumps({"cpu_seconds": 7.0, "wall_seconds": 9.0}),
    }
    oracle.update_trial(trial.trial_id, {"val_accuracy": 0.5})
    trial.status = TrialStatus.COMPLETED
    oracle.end_trial(trial)
    (outcome,) = oracle.search.outcomes.values()
    assert (outcome.cpu_seconds, outcome.wall_seconds) == (7.0, 9.0)
    assert oracle.create_trial("tuner0").status == TrialStatus.RUNNING


def test_what_is_lent_is_not_lent_again(tmp_path):
    oracle, _ = begin(tmp_path, **FIVE)
    told(oracle, *asked(oracle, "ann"), 0.0)
    oracle.search.side_by_side = 3
    ann, *others = asked(oracle, "ann", "bob", "cat")
    assert [share(trial) for trial in (ann, *others)] == [HOUR / 3] * 3
    told(oracle, ann, 300.0)
    assert share(*asked(oracle, "ann")) == left(oracle) - 2 * HOUR / 3 == HOUR / 3 - 300


def test_what_was_lent_by_the_chief_before_is_known(tmp_path):
    oracle, _ = begin(tmp_path, **FIVE)
    told(oracle, *asked(oracle, "ann"), 0.0)
    oracle.search.side_by_side = 4
    asked(oracle, "ann", "bob")
    again, _ = begin(tmp_path, **FIVE)
    again.search.side_by_side = 4
    assert again.book.lending.cpu_seconds_lent() == HOUR / 2
    assert [share(trial) for trial in asked(again, "cat", "dan")] == [HOUR / 4] * 2


def test_a_training_whose_share_runs_out_waits_for_a_larger_one(tmp_path):
    oracle, _ = begin(tmp_path, **FIVE)
    told(oracle, *asked(oracle, "ann"), 0.0)
    oracle.search.side_by_side = 4
    ann, bob, cat, dan = asked(oracle, "ann", "bob", "cat", "dan")
    assert [share(each) for each in (ann, bob, cat, dan)] == [HOUR / 4] * 4
    told(oracle, ann, HOUR / 4, TrialStatus.STOPPED)
    assert not oracle.over() and left(oracle) == HOUR * 3 / 4
    assert asked(oracle, "ann")[0].status == TrialStatus.IDLE, "all that is left is lent"
    for trial in (bob, cat, dan):
        told(oracle, trial, 300.0)
    (last,) = asked(oracle, "bob")
    assert share(last) == HOUR / 4 and asked(oracle, "ann")[0].status == TrialStatus.IDLE, "as much was not enough"
    told(oracle, last, 300.0)
    (again,) = asked(oracle, "ann")
    assert again.trial_id == ann.trial_id and share(again) == left(oracle) == HOUR * 3 / 4 - 1200
    told(oracle, again, 1000.0)
    assert not oracle.over() and len(oracle.lineage()) == 6


def test_a_training_that_does_not_fit_what_is_left_ends_the_search(tmp_path):
    oracle, _ = begin(tmp_path, **FIVE)
    told(oracle, *asked(oracle, "ann"), 0.0)
    oracle.search.side_by_side, cuts = 2, 0
    while not oracle.over():
        for trial in asked(oracle, "ann", "bob"):
            if trial.status == TrialStatus.RUNNING:
                cuts += 1
                told(oracle, trial, share(trial), TrialStatus.STOPPED)
    assert cuts <= 5 and oracle.end_reason() == "a limit on time was reached: max_cpu_hours=1"
    assert left(oracle) >= 0 and asked(oracle, "ann")[0].status == TrialStatus.STOPPED


def test_a_share_in_which_others_of_the_rung_would_not_have_ended_is_not_begun_with_while_more_may_come_back(tmp_path):
    oracle, _ = begin(tmp_path, **FIVE)
    told(oracle, *asked(oracle, "ann"), 0.0)
    oracle.search.side_by_side = 2
    ann, bob = asked(oracle, "ann", "bob")
    told(oracle, ann, 1000.0)
    assert asked(oracle, "ann")[0].status == TrialStatus.IDLE
    told(oracle, bob, 1000.0)
    (third,) = asked(oracle, "ann")
    assert share(third) == HOUR - 2000, "half of it would not do"
    told(oracle, third, 1000.0)
    assert share(*asked(oracle, "ann")) == HOUR - 3000, "nobody will give more back"


def may_be_shortened(trial):
    return lease_of(trial.hyperparameters.values).get("shortened")


@pytest.mark.parametrize(("method", "share"), [("nash", 1.0), ("grow", 0.3)])
def test_the_first_network_and_the_end_of_one_training_are_made_shorter_and_not_dropped(method, share, tmp_path):
    oracle, _ = begin(tmp_path, **{**FIVE, "method": method, "steps": 1})
    (first,) = asked(oracle, "ann")
    assert may_be_shortened(first) == [None, share * HOUR]
    told(oracle, first, 10.0)
    shortened = {}
    while (trial := oracle.create_trial("ann|here:ann")).status == TrialStatus.RUNNING:
        shortened[training_of(trial)] = may_be_shortened(trial)
        told(oracle, trial, 10.0)
    end = max(shortened)
    assert bool(shortened.pop(end)) == (method == "grow") and not any(shortened.values())


def test_the_largest_network_of_a_front_may_take_its_share(tmp_path):
    oracle, _ = begin(tmp_path, **{**FIVE, "method": "front", "steps": 1})
    told(oracle, *asked(oracle, "ann"), 10.0)
    (largest,) = asked(oracle, "ann")
    plan, params = oracle.search.front.plan, FIRST.params
    share = plan.share(2 * params, is_cut=False)
    assert share > 0.5 and may_be_shortened(largest) == [None, pytest.approx(share * (HOUR - 10))]
    told(oracle, largest, 10.0)
    (smaller,) = asked(oracle, "ann")
    assert not may_be_shortened(smaller) and oracle.search.outcomes[1, 0, 0].architecture.params > params


def test_what_follows_is_held_back_of_a_first_network_that_is_made_shorter(tmp_path):
    oracle, _ = begin(tmp_path, **{**FIVE, "max_cpu_hours": None, "max_hours": 1.0})
    oracle.limits = oracle.allowance._limits = TimeLimits(1.0, None, lambda: (0.0, 0.0))
    oracle.limits.held.reserve, oracle.limits.held.first_reserve = lambda: 100.0, lambda: 600.0
    (first,) = asked(oracle, "ann")
    assert lease_of(first.hyperparameters.values)["seconds"] == HOUR - 100
    assert may_be_shortened(first) == [HOUR - 700, None]


def test_without_a_limit_nothing_is_made_shorter(tmp_path):
    oracle, _ = begin(tmp_path, **{**FIVE, "max_cpu_hours": None})
    assert "shortened" not in lease_of(asked(oracle, "ann")[0].hyperparameters.values)


def test_a_training_that_was_made_shorter_is_read_again_as_it_was(tmp_path):
    oracle, _ = begin(tmp_path, **{**FIVE, "vanilla_epochs": 20})
    taken = {"epochs": 3, "is_shortened": True, "rate": [1.0, 0.7, 0.2, 0.0], "cpu_seconds": 3590.0}
    report(oracle, *asked(oracle, "ann"), taken=taken)
    again, _ = begin(tmp_path, **{**FIVE, "vanilla_epochs": 20})
    (record,) = again.lineage()
    assert [record] == oracle.lineage() and record["epochs"] == 3 and record["rate"] == [1.0, 0.7, 0.2, 0.0]
    told(again, *asked(again, "ann"), 20.0, TrialStatus.STOPPED)
    assert why_over(again).startswith("a limit on time was reached: max_cpu_hours=1; time was left for 3 of 20")
    assert explanations.shortened(again.search.outcomes.values()) == (
        "time was left for 3 of 20 epochs of the first network's training"
    )
    assert again.search.spent(again.search.outcomes.values()) == pytest.approx(3)
