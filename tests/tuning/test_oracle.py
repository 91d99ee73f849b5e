"""The oracle with a stand-in trainer: a score that follows from the child alone, and workers in any order."""

import dataclasses
import hashlib
import json
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_tuner.engine.trial import TrialStatus

from nash_tf.strategy import halving, methods
from nash_tf.strategy.search_settings import Settings
from nash_tf.strategy.time_limits import TimeLimits
from nash_tf.tuning.arguments import NotUsed
from nash_tf.tuning.oracle import HillClimbingOracle
from nash_tf.tuning.trial_values import LEASE, lease_of, take_lease
from tests.helpers.stand_in import FIRST, begin, finish, report

# SHA-256 of the lineage of each method of the slides. A pin may move only with what defines a seeded search: the derivation of seeds, the draws of
# sites and morphisms, an operator's edit, a method's rungs, promotion, or the architecture's JSON (a version of Keras that adds
# to a layer's settings alters that). Refactoring never moves one.
PINNED = {
    "nash": "cf067ff6bed44282f4171d89726f2ee7fc65e184709f251fdd2111efc69b3efa",
    "sh": "bf4bc13bf795c4c0bf2e28027649ccc003f627fa29005fcc204571cbaf05a6f1",
    "shr": "bf4bc13bf795c4c0bf2e28027649ccc003f627fa29005fcc204571cbaf05a6f1",
    "shrsep": "e334bf051476abbef7da91ccc22b528fa8ecfe39673c98b73c3837e919c7aeb1",
}
PINNED_FIELDS = ("step", "rung", "child", "parent", "morphisms", "epochs", "digest", "val_accuracy")


@pytest.mark.parametrize("method", PINNED)
def test_a_seeded_lineage_stays(method, tmp_path):
    lineage = finish(begin(tmp_path, method=method)[0])
    told = json.dumps([[record[name] for name in PINNED_FIELDS] for record in lineage], separators=(",", ":"))
    assert hashlib.sha256(told.encode()).hexdigest() == PINNED[method]


def test_a_search_is_whole(expected):
    places = [(record["step"], record["rung"], record["child"] is not None) for record in expected]
    sizes = {(step, rung): sum(place[:2] == (step, rung) for place in places) for step, rung, _ in places}
    assert sizes == {(0, 0): 1, (1, 0): 4, (1, 1): 2, (1, 2): 1, (2, 0): 4, (2, 1): 2, (2, 2): 1}


@settings(max_examples=20, deadline=None)
@given(order=st.randoms(use_true_random=False), count=st.integers(1, 6))
def test_any_number_of_workers_in_any_order_give_the_same_lineage(order, count, expected, tmp_path_factory):
    oracle, _ = begin(tmp_path_factory.mktemp("many"))
    assert finish(oracle, [f"worker{number}" for number in range(count)], order) == expected


@pytest.mark.parametrize("seeds", [(0, 1), (0, 2**31)])
def test_seeds_differ_and_0_is_a_seed(seeds, tmp_path):
    runs = [finish(begin(tmp_path / str(n), seed=seed)[0]) for n, seed in enumerate([*seeds, seeds[0]])]
    assert runs[0] == runs[2] != runs[1]


def test_a_method_whose_rungs_have_changed_meanwhile_is_refused(tmp_path, monkeypatch):
    begin(tmp_path)
    other = dataclasses.replace(methods.registry["shrsep"], rungs=halving.one_rung)
    monkeypatch.setitem(methods.registry, "shrsep", other)
    with pytest.raises(ValueError, match="rungs was"):
        begin(tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"steps": 1.5}, "steps must be a whole number, received 1.5"),
        ({"method": "grow", "steps": 0}, "steps must be at least 1, received 0"),
        ({"max_flops": "1e6"}, "max_flops must be a number, received '1e6'"),
        ({"max_flops": -5}, "max_flops must be above 0, or None, received -5"),
        ({"budget_epochs": True}, "budget_epochs must be a number, received True"),
        ({"examples": 0}, "examples must be at least 1, received 0"),
        ({"batch_size": 2.5}, "batch_size must be a whole number, received 2.5"),
        ({"reserve": 7.0}, "reserve must be at least 0 and below 1, received 7.0"),
        ({"method": "front", "front_sizes": 20000}, "front_sizes must be a tuple of whole numbers, received 20000"),
        ({"children": "8"}, "children must be a whole number, received '8'"),
        ({"mutations": True}, "mutations must be a whole number, received True"),
        ({"seed": False}, "seed must be a whole number, received False"),
        ({"seed": ""}, "seed must be a whole number, received ''"),
        ({"vanilla_epochs": 0}, "vanilla_epochs must be at least 1, received 0"),
        ({"max_hours": "2"}, "max_hours must be a number, received '2'"),
        ({"max_hours": float("inf")}, "max_hours must be finite, or None for no limit, received inf"),
        ({"max_cpu_hours": float("inf")}, "max_cpu_hours must be finite, or None for no limit, received inf"),
        ({"max_params": 0}, "max_params must be above 0, received 0"),
        ({"seed": 0.5}, "seed must be a whole number"),
        ({"tune_hyperparameters": "no"}, "tune_hyperparameters must be True or False"),
        ({"on_trained": 3}, "on_trained must be callable"),
        ({"max_epochs": 50}, "max_epochs is no argument of this search; give vanilla_epochs"),
        ({"factor": 3}, "factor is no argument .* always halves"),
        ({"hyperband_iterations": 2}, "give steps"),
        ({"epochs": 3}, "epochs is no argument"),
    ],
)
def test_arguments_are_checked_at_once(given, message):
    with pytest.raises((TypeError, ValueError), match=message):
        HillClimbingOracle("val_accuracy", **given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "grow", "children": 4}, "children=4 is not used: a step of method grow has one child"),
        (
            {"method": "grow", "budget_epochs": 9, "epochs_per_step": 4},
            "epochs_per_step=4 is not used: the budget is that of budget_epochs",
        ),
        (
            {"method": "grow", "budget_epochs": 100, "vanilla_epochs": 30},
            "vanilla_epochs=30 is not used: it is 1, since the first network has at most 1% of the budget",
        ),
        ({"gain_factor": 2.0}, "gain_factor=2.0 is not used: method shrsep expects no gains"),
    ],
)
def test_arguments_that_change_nothing_are_told(given, message):
    with pytest.warns(NotUsed, match=message + "$"):
        HillClimbingOracle("val_accuracy", **given)


def test_numbers_of_numpy_are_taken_as_they_are_without(tmp_path):
    given = {"steps": 2, "children": 4, "seed": 3, "examples": 100, "max_params": 10**6, "max_hours": 2}
    fractions = {"max_cpu_hours": 1.5, "gain_factor": 1.0}
    numbers = {name: np.int64(value) for name, value in given.items()}
    oracle, _ = begin(tmp_path, **numbers, **{name: np.float32(value) for name, value in fractions.items()})
    oracle.limits.reached = True
    oracle.save()
    again, _ = begin(tmp_path, **given, **fractions)
    assert again.settings == oracle.settings and again.limits.reached
    front = Settings(method="front", front_sizes=tuple(np.array([5000, 9000])))
    assert json.dumps(front.to_json()["front_sizes"]) == "[5000, 9000]"


def test_settings_reach_the_search_as_they_are_given():
    changed = {"steps": 2, "seed": 3, "budget_epochs": 50.0, "max_hours": 2.0, "reserve": 0.1, "average_weights": False}
    settings = Settings(method="grow", **changed)
    assert HillClimbingOracle("val_accuracy", **dataclasses.asdict(settings)).search.settings == settings


def test_a_seed_of_none_is_0_and_sizes_may_be_a_list():
    given = {"method": "front", "budget_epochs": 9, "seed": None, "front_sizes": [5000, 9000]}
    oracle = HillClimbingOracle("val_accuracy", **given)
    assert oracle.search.settings == Settings(method="front", budget_epochs=9, front_sizes=(5000, 9000))
    assert oracle.seed == 0


@pytest.mark.parametrize("method", methods.registry)
def test_nobody_is_warned_of_defaults(method):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        HillClimbingOracle("val_accuracy", method=method, budget_epochs=9)


@pytest.mark.parametrize(
    ("changed", "because"),
    [
        ({}, "all 2 steps are done"),
        ({"max_params": FIRST.params}, "nothing can grow in step 1: no child fits under max_params="),
        ({"max_trials": 3}, "max_trials=3 was reached"),
        ({"max_hours": 1e-9}, "a limit on time was reached"),
    ],
)
def test_a_search_that_is_over_says_why(changed, because, tmp_path):
    oracle, _ = begin(tmp_path, **changed)
    finish(oracle)
    assert oracle.over() and oracle.end_reason().startswith(because)


@pytest.mark.parametrize(
    "changed", [{"children": 8, "epochs_per_step": 32}, {"steps": 1}, {"seed": 4}, {"method": "sh"}, {"mutations": 3}]
)
def test_changed_settings_are_refused_by_name(changed, tmp_path):
    begin(tmp_path)
    (name, value), *_ = changed.items()
    with pytest.raises(ValueError, match=f"{name} was .*, is {value!r}"):
        begin(tmp_path, **changed)


def test_limits_may_be_raised(expected, tmp_path):
    finish(begin(tmp_path)[0])
    further = finish(begin(tmp_path, steps=3, max_params=30_000_000)[0])
    assert further[: len(expected)] == expected and max(record["step"] for record in further) == 3


@pytest.mark.parametrize("method", ["fixed", "grow", "sh"])
def test_the_last_part_of_one_training_may_take_what_is_held_back_for_a_control(method, tmp_path):
    oracle, _ = begin(tmp_path, method=method, max_hours=1.0, steps=2, budget_epochs=60)
    oracle.limits.held.reserve, oracle.limits.held.least_reserve = lambda: 1200.0, lambda: 100.0
    seconds = []
    while (trial := oracle.create_trial("tuner0")).status == TrialStatus.RUNNING:
        seconds.append(lease_of(trial.hyperparameters.values)["seconds"])
        report(oracle, trial)
    assert len(seconds) > 4 and all(2300 < each <= 2400 for each in seconds[:-1])
    assert (3400 < seconds[-1] <= 3500) == (method != "sh")


def test_a_limit_that_is_lifted_does_not_live_on_in_a_trial(expected, tmp_path):
    oracle, _ = begin(tmp_path, max_hours=1.0, max_cpu_hours=1.0)
    assert take_lease(oracle.create_trial("tuner0").hyperparameters.values).keys() >= {"seconds", "cpu_seconds"}
    again, _ = begin(tmp_path, max_hours=None, max_cpu_hours=2.0)
    trial = again.create_trial("tuner0")
    lease = json.loads(trial.hyperparameters.values[LEASE])
    assert "seconds" not in lease and lease["cpu_seconds"] == 7200
    report(again, trial)
    assert finish(again) == expected


@pytest.mark.parametrize(("method", "steps"), [("sh", 0), ("random", 2), ("fixed", 1)])
def test_when_no_child_fits_a_search_ends_and_a_baseline_trains_on(method, steps, tmp_path):
    lineage = finish(begin(tmp_path, method=method, children=8, epochs_per_step=32, max_params=FIRST.params)[0])
    assert lineage[-1]["step"] == steps
    assert {record["digest"] for record in lineage} == {FIRST.digest}


def test_time_spent_before_an_interruption_counts(tmp_path):
    oracle, _ = begin(tmp_path)
    oracle.limits = TimeLimits(None, None, iter([(0.0, 100.0), (1.0, 107.0)]).__next__)
    oracle.limits.begin()
    oracle.save()
    assert begin(tmp_path)[0].limits.before == (1.0, 7.0)


def test_time_counts_from_the_first_trial_on(tmp_path):
    oracle, _ = begin(tmp_path, max_hours=1.0)
    now = [0.0]
    oracle.limits = TimeLimits(1.0, None, lambda: (now[0], 0.0), lambda: 0.0)
    now[0] = 1e6
    assert oracle.create_trial("tuner0").status == TrialStatus.RUNNING
    now[0] += 60.0
    assert oracle.limits.spent()[0] == 60.0


def test_a_pause_does_not_count():
    now, cpu = [0.0], [0.0]
    limits = TimeLimits(1.0, None, lambda: (now[0], cpu[0]), lambda: cpu[0])
    for _ in range(2):
        now[0] += 1000.0
        with limits.counting():
            now[0], cpu[0], limits.trained_by_workers = now[0] + 10.0, cpu[0] + 1.0, 5.0
    now[0] += 1000.0
    assert limits.spent() == (20.0, 12.0)
    limits.count_from((now[0] - 30.0, 0.0))
    with limits.counting():
        pass
    now[0] += 30.0
    assert limits.spent()[0] == 80.0, "who counts already goes on"


@pytest.mark.parametrize(("waited_for", "spent"), [(0.0, 35.0), (40.0, 45.0)])
def test_what_workers_train_counts_once_whether_they_are_waited_for_or_not(waited_for, spent):
    cpu = [7.0, 7.0]
    limits = TimeLimits(None, None, lambda: (0.0, cpu[0]), lambda: cpu[1])
    limits.begin()
    cpu[:] = 12.0 + waited_for, 12.0
    limits.trained_by_workers = 30.0
    assert limits.spent()[1] == spent
    limits.resume(limits.spent())
    assert limits.spent()[1] == spent


def test_a_limit_that_was_reached_stays_so_until_it_is_raised(tmp_path):
    oracle, _ = begin(tmp_path, max_hours=1.0)
    oracle.limits.reached = True
    oracle.save()
    assert begin(tmp_path, max_hours=1.0)[0].over()
    assert not begin(tmp_path, max_hours=2.0)[0].over()


def test_a_part_of_the_limit_is_held_back_and_time_before_the_search_counts():
    limits = TimeLimits(1.0, None, lambda: (100.0, 0.0))
    limits.count_from((40.0, 0.0))
    limits.held.reserve = lambda: 600.0
    assert (limits.seconds_left_in_all(), limits.seconds_left()) == (3540.0, 2940.0)
    assert limits.reached_by([]) is None
    limits.held.reserve = lambda: 3540.0
    assert limits.reached_by([]) == "a limit on time was reached: max_hours=1"


def test_of_two_limits_on_time_the_one_that_was_reached_is_named():
    seconds = [0.0]
    limits, spent = TimeLimits(1.0, 0.5, lambda: (seconds[0], 0.0)), [SimpleNamespace(cpu_seconds=1800.0)]
    limits.begin()
    assert limits.reached_by([]) is None
    assert limits.reached_by(spent) == "a limit on time was reached: max_cpu_hours=0.5"
    limits.reached, seconds[0] = True, 4000.0  # what follows the search takes time
    assert limits.reached_by(spent) == "a limit on time was reached: max_cpu_hours=0.5"
    again = TimeLimits(1.0, 0.5, lambda: (seconds[0], 0.0))
    again.restore(limits.state())
    assert again.reached_by(spent) == "a limit on time was reached: max_cpu_hours=0.5"
    limits = TimeLimits(1.0, 0.5, lambda: (0.0, 0.0))
    limits.reached = True  # by a training that was cut, and is in no outcome
    assert limits.reached_by([]) == "a limit on time was reached: max_hours=1 or max_cpu_hours=0.5"
