"""The oracle with a stand-in trainer: a score that follows from the child alone, and workers in any order."""

import contextlib
import dataclasses
import hashlib
import json
import math
import random
import threading
from pathlib import Path

import keras_tuner
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_tuner import HyperParameters, Objective
from keras_tuner.engine.trial import TrialStatus

from nash_tf.architecture import Architecture
from nash_tf.architecture.vanilla import vanilla
from nash_tf.files import atomic
from nash_tf.seeds import derive
from nash_tf.strategy import halving, methods
from nash_tf.strategy.time_limits import TimeLimits
from nash_tf.tuning.hyperparameters import DeclaredHyperparameters
from nash_tf.tuning.lending import DEATHS
from nash_tf.tuning.oracle import HillClimbingOracle
from nash_tf.tuning.reopening import has_search
from nash_tf.tuning.trial_files import CHECKPOINT, TrialFiles
from nash_tf.tuning.trial_values import LEASE, key_of, take_lease
from nash_tf.workers.leases import NameTaken, Worker

FIRST = vanilla((8, 8, 3), 3, (4, 8))
TASK = {"method": "shrsep", "steps": 2, "children": 4, "mutations": 2, "epochs_per_step": 12, "vanilla_epochs": 1}


class Clock:
    now = 0.0


def begin(directory, **changed):
    oracle = HillClimbingOracle(Objective("val_accuracy", "max"), **{**TASK, "seed": 3, **changed})
    oracle._set_project_dir(str(directory), "search")
    oracle.verbose = 0
    clock = Clock()
    oracle.book.lending.leases.clock = lambda: clock.now
    if has_search(directory / "search"):
        oracle.reload()
    oracle.save()
    return oracle, clock


def score_of(values):
    return derive(7, *training_of_values(values), values["morphisms"]) / 2**31


def training_of(trial):
    return key_of(trial.hyperparameters.values)


def training_of_values(values):
    return values["step"], values["rung"], values["child"]


def report(oracle, trial, score=None, status=TrialStatus.COMPLETED):
    """Trains, as `HillClimbing` does, and tells the oracle, as it comes over the wire."""
    trial = type(trial).from_proto(trial.to_proto())
    values = trial.hyperparameters.values
    architecture = Architecture.from_json(values["architecture"]) if "architecture" in values else FIRST
    values["architecture"] = architecture.to_json()
    score = score_of(values) if score is None else score
    told = {"digest": architecture.digest, "params": architecture.params, "val_accuracy": score}
    values["record"] = json.dumps(told)
    folder = Path(oracle._get_trial_dir(trial.trial_id)) / CHECKPOINT
    folder.mkdir(exist_ok=True)
    (folder / "weights").write_text("there")
    if status == TrialStatus.COMPLETED:
        oracle.update_trial(trial.trial_id, {"val_accuracy": score})
    trial.status = status
    oracle.end_trial(trial)


def finish(oracle, workers=("tuner0",), order=None):
    """Lets workers train, in the given order of moves, until the search is over."""
    held, order = {}, order or random.Random(0)
    idle = 0
    while idle < 100 * len(workers):
        # An order may leave a worker that holds a trial unasked for ever: not that long.
        name = order.choice(workers) if idle < 50 or not held else min(held)
        if name in held:
            report(oracle, held.pop(name))
            idle = 0
            continue
        trial = oracle.create_trial(name)
        if trial.status == TrialStatus.RUNNING:
            held[name], idle = trial, 0
        elif trial.status == TrialStatus.STOPPED and not held:
            return oracle.lineage()
        else:
            idle += 1
    raise AssertionError("the search does not end")


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return finish(begin(tmp_path_factory.mktemp("alone"))[0])


# SHA-256 of each method's lineage. A pin may move only with what defines a seeded search: the derivation of seeds, the draws of
# sites and morphisms, an operator's edit, a method's rungs, promotion, or the architecture's JSON (a version of Keras that adds
# to a layer's settings alters that). Refactoring never moves one.
PINNED = {
    "nash": "cf067ff6bed44282f4171d89726f2ee7fc65e184709f251fdd2111efc69b3efa",
    "sh": "bf4bc13bf795c4c0bf2e28027649ccc003f627fa29005fcc204571cbaf05a6f1",
    "shr": "bf4bc13bf795c4c0bf2e28027649ccc003f627fa29005fcc204571cbaf05a6f1",
    "shrsep": "e334bf051476abbef7da91ccc22b528fa8ecfe39673c98b73c3837e919c7aeb1",
    "random": "861f4ff4a5ccfb73a6acdc282afacf9137afebea0d1784d836bda449fe406aae",
    "one_epoch": "51e0a7195bce0a4ffd320375dac554af8faa9cc8919b83c65bdc6ef00ee82f75",
    "fixed": "185a63f987db827577781d271fd369a19cdee1d9fd89f1eece0fd36389c66c33",
    "wide": "185a63f987db827577781d271fd369a19cdee1d9fd89f1eece0fd36389c66c33",
}
PINNED_FIELDS = ("step", "rung", "child", "parent", "morphisms", "epochs", "digest", "val_accuracy")


@pytest.mark.parametrize("method", methods.registry)
def test_a_seeded_lineage_stays(method, tmp_path):
    lineage = finish(begin(tmp_path, method=method)[0])
    told = json.dumps([[record[name] for name in PINNED_FIELDS] for record in lineage], separators=(",", ":"))
    assert hashlib.sha256(told.encode()).hexdigest() == PINNED[method]


def test_a_search_is_whole(expected):
    places = [(record["step"], record["rung"], record["child"] is not None) for record in expected]
    sizes = {(step, rung): sum(place[:2] == (step, rung) for place in places) for step, rung, _ in places}
    assert sizes == {(0, 0): 1, (1, 0): 4, (1, 1): 2, (1, 2): 1, (2, 0): 4, (2, 1): 2, (2, 2): 1}


@settings(max_examples=30, deadline=None)
@given(order=st.randoms(use_true_random=False), count=st.integers(1, 6))
def test_any_number_of_workers_in_any_order_give_the_same_lineage(order, count, expected, tmp_path_factory):
    oracle, _ = begin(tmp_path_factory.mktemp("many"))
    assert finish(oracle, [f"worker{number}" for number in range(count)], order) == expected


@pytest.mark.parametrize("seeds", [(0, 1), (0, 2**31)])
def test_seeds_differ_and_0_is_a_seed(seeds, tmp_path):
    runs = [finish(begin(tmp_path / str(n), seed=seed)[0]) for n, seed in enumerate([*seeds, seeds[0]])]
    assert runs[0] == runs[2] != runs[1]


class Killed(BaseException):
    pass


def test_a_kill_at_every_write_loses_nothing(expected, tmp_path, monkeypatch):
    """Whatever write is the last one, before it or right after it: the search goes on to the same end."""
    write, kills, redone = atomic.os.replace, 0, 0
    monkeypatch.setattr(atomic.os, "fsync", lambda _: None)  # the processes die here, not the machine
    for at in range(1, 10**6):
        for after in (False, True):
            directory, left = tmp_path / f"{at}-{after}", [at]

            def replace(source, target, left=left, after=after):
                left[0] -= 1
                if left[0] == 0 and not after:
                    raise Killed
                write(source, target)
                if left[0] == 0:
                    raise Killed

            monkeypatch.setattr(atomic.os, "replace", replace)
            try:
                finish(begin(directory)[0])
            except Killed:
                kills += 1
            else:
                monkeypatch.setattr(atomic.os, "replace", write)
                assert kills > 100
                return
            monkeypatch.setattr(atomic.os, "replace", write)
            oracle, _ = begin(directory)
            before = len(oracle.lineage())
            assert finish(oracle) == expected
            redone = max(redone, len(oracle.trials) - len(expected))
            assert before <= len(expected) and redone == 0


def test_a_dead_worker_s_trial_is_given_away_and_its_late_report_refused(expected, tmp_path, capsys):
    oracle, clock = begin(tmp_path)
    ann, bob = Worker("ann", "here:1"), Worker("bob", "here:2")
    trial = oracle.create_trial(str(ann))
    assert oracle.create_trial(str(bob)).status == TrialStatus.IDLE
    late = type(trial).from_proto(trial.to_proto())
    clock.now = 9.9
    assert oracle.create_trial(str(ann._replace(trial=trial.trial_id))).status == TrialStatus.RUNNING
    clock.now = 20.0
    again = oracle.create_trial(str(bob))
    assert again.trial_id == trial.trial_id
    assert oracle.create_trial(str(ann._replace(trial=trial.trial_id))).status == TrialStatus.IDLE
    report(oracle, late, score=0.99)
    assert "refused" in capsys.readouterr().out and not oracle.lineage()
    report(oracle, again)
    report(oracle, again, score=0.5)  # a second report of the same
    assert finish(oracle) == expected


def test_metrics_of_a_late_tuner_do_not_count(expected, tmp_path):
    oracle, clock = begin(tmp_path)
    trial = oracle.create_trial("ann|here:1")
    oracle.update_trial(trial.trial_id, {"val_accuracy": 1.0})
    clock.now = 11.0
    report(oracle, oracle.create_trial("bob|here:2"))
    assert finish(oracle) == expected


def test_a_worker_is_given_the_children_that_it_has_traced(tmp_path):
    oracle, _ = begin(tmp_path)
    workers = ["worker0", "worker1"]
    report(oracle, oracle.create_trial(workers[0]))
    for child in range(4):  # of equal scores those of the lower numbers are promoted
        report(oracle, oracle.create_trial(workers[child % 2]), score=0.5)
    assert [training_of(oracle.create_trial(name)) for name in reversed(workers)] == [(1, 1, 1), (1, 1, 0)]


def test_a_child_whose_processes_keep_dying_has_failed(tmp_path):
    oracle, clock = begin(tmp_path)
    report(oracle, oracle.create_trial("tuner0"))
    for number in range(DEATHS):
        trial = oracle.create_trial(f"worker{number}|here:{number}")
        assert (trial.trial_id, trial.status) == ("0001", TrialStatus.RUNNING)
        clock.now += 11.0
    records = finish(oracle)
    assert [record["status"] for record in records].count("failed") == 1
    assert "3 processes died" in oracle.trials["0001"].message
    assert max(record["step"] for record in records) == 2


def test_interruptions_of_the_whole_search_are_no_deaths_of_a_child(expected, tmp_path):
    begin(tmp_path)[0].create_trial("worker0|here:0")
    for number in range(1, DEATHS + 2):
        oracle, _ = begin(tmp_path)  # with the worker the chief was ended; the next one finds its name in use
        with pytest.raises(NameTaken):
            oracle.create_trial(f"worker0|here:{number}")
        oracle.requeue("worker0")
        assert oracle.create_trial(f"worker0|here:{number}").trial_id == "0000"
    oracle.requeue("worker0")  # this one had been heard
    assert oracle.book.lending.deaths("0000") == 1
    assert finish(oracle) == expected


def test_a_worker_that_runs_out_of_time_ends_the_search_and_no_child(expected, tmp_path):
    oracle, _ = begin(tmp_path, max_cpu_hours=1.0)
    for _ in range(2):
        report(oracle, oracle.create_trial("worker0|here:0"))
    trial = oracle.create_trial("worker0|here:0")
    told = type(trial).from_proto(trial.to_proto())
    told.status = TrialStatus.STOPPED
    oracle.end_trial(told)
    assert oracle.over() and not oracle.ongoing_trials
    assert oracle.create_trial("worker1|here:1").status == TrialStatus.STOPPED and oracle.stopped_by() is None
    assert finish(begin(tmp_path, max_cpu_hours=2.0)[0]) == expected


def test_without_a_first_network_the_search_stops_and_says_why(tmp_path):
    oracle, _ = begin(tmp_path)
    report(oracle, oracle.create_trial("tuner0"), status=TrialStatus.FAILED)
    assert oracle.create_trial("tuner0").status == TrialStatus.STOPPED
    assert oracle.stopped_by().startswith("the training of the first network failed with")


def test_a_method_whose_rungs_have_changed_meanwhile_is_refused(tmp_path, monkeypatch):
    begin(tmp_path)
    other = dataclasses.replace(methods.registry["shrsep"], rungs=halving.undivided)
    monkeypatch.setitem(methods.registry, "shrsep", other)
    with pytest.raises(ValueError, match="rungs was"):
        begin(tmp_path)


def test_a_name_has_one_process(tmp_path):
    oracle, _ = begin(tmp_path)
    oracle.create_trial("ann|here:1")
    with pytest.raises(NameTaken, match="here:1"):
        oracle.create_trial("ann|there:2")
    assert oracle.create_trial("bob").status == TrialStatus.IDLE


def test_a_worker_outlives_its_chief(expected, tmp_path):
    oracle, _ = begin(tmp_path)
    trial = oracle.create_trial("ann|here:1")
    restarted, clock = begin(tmp_path)
    assert restarted.create_trial("bob|here:2").status == TrialStatus.IDLE
    assert restarted.create_trial(f"ann|here:1|{trial.trial_id}").status == TrialStatus.RUNNING
    report(restarted, trial)
    assert finish(restarted) == expected
    # One that does not come back loses its trial.
    second, clock = begin(tmp_path / "other")
    trial = second.create_trial("ann|here:1")
    second, clock = begin(tmp_path / "other")
    clock.now = 11.0
    assert second.create_trial("bob|here:2").trial_id == trial.trial_id


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_never_wins(score, tmp_path):
    oracle, _ = begin(tmp_path)
    report(oracle, oracle.create_trial("tuner0"))
    bad = oracle.create_trial("tuner0")
    report(oracle, bad, score=score)
    records = finish(oracle)
    assert all(record["child"] != 0 for record in records if record["step"] == 1 and record["rung"])


def test_too_many_failures_in_a_row_stop_the_search_and_say_why(tmp_path):
    oracle, _ = begin(tmp_path)
    report(oracle, oracle.create_trial("tuner0"))
    for _ in range(3):
        trial = oracle.create_trial("tuner0")
        oracle.trials[trial.trial_id].message = "x"
        report(oracle, trial, status=TrialStatus.FAILED)
    assert oracle.create_trial("tuner0").status == TrialStatus.STOPPED
    assert oracle.stopped_by().startswith("3 trainings in a row failed")


def test_a_step_after_one_whose_children_all_failed_breeds_others_and_so_it_does_resumed(tmp_path):
    def drawn(resumed):
        oracle, _ = begin(tmp_path / str(resumed), max_consecutive_failed_trials=9)
        report(oracle, oracle.create_trial("tuner0"))
        for _ in range(4):
            report(oracle, oracle.create_trial("tuner0"), status=TrialStatus.FAILED)
        if resumed:
            oracle, _ = begin(tmp_path / str(resumed), max_consecutive_failed_trials=9)
        records = finish(oracle)
        return [[r["morphisms"] for r in records if (r["step"], r["rung"]) == (step, 0)] for step in (1, 2)]

    first, second = drawn(False)
    assert len(second) == 4 and first[1:] != second[1:]
    assert [first, second] == drawn(True)


@pytest.mark.parametrize("first", [0, 1], ids=["first network", "children"])
def test_failures_that_stopped_the_search_are_run_again_and_others_are_not(first, expected, tmp_path):
    def fail(oracle, trial):
        oracle.trials[trial.trial_id].message = "out of memory"
        report(oracle, trial, status=TrialStatus.FAILED)

    oracle, _ = begin(tmp_path)
    if first:
        report(oracle, oracle.create_trial("tuner0"))
    while (trial := oracle.create_trial("tuner0")).status == TrialStatus.RUNNING:
        fail(oracle, trial)
    again, _ = begin(tmp_path)
    assert again.over() and again.stopped_by() == oracle.stopped_by() is not None
    again.retry_failures()
    assert not again.over() and again.stopped_by() is None
    resumed, _ = begin(tmp_path)  # killed before they have run
    assert finish(resumed) == expected
    alone, _ = begin(tmp_path / "alone")
    report(alone, alone.create_trial("tuner0"))
    fail(alone, lost := alone.create_trial("tuner0"))
    alone.retry_failures()
    assert alone.trials[lost.trial_id].status == TrialStatus.FAILED


@pytest.mark.parametrize("place", ["id", "parent"])
def test_with_an_id_that_is_a_path_nothing_outside_is_touched(place, tmp_path):
    oracle, _ = begin(tmp_path)
    report(oracle, oracle.create_trial("tuner0"))
    report(oracle, oracle.create_trial("tuner0"), status=TrialStatus.FAILED)
    outside = tmp_path / "outside" / CHECKPOINT
    outside.mkdir(parents=True)
    file = max(tmp_path.glob("search/trial_*/trial.json"))
    saved = json.loads(file.read_text())
    values = saved if place == "id" else saved["hyperparameters"]["values"]
    values["trial_id" if place == "id" else "tuner/trial_id"] = f"{saved['trial_id']}/../../outside"
    file.write_text(json.dumps(saved))
    with contextlib.suppress(ValueError):
        finish(begin(tmp_path)[0])
    assert outside.is_dir()


@pytest.mark.parametrize("found", ["", "..", "1/../2", "\uff11", "1\n"])
def test_an_id_is_digits(found, tmp_path):
    with pytest.raises(ValueError, match="must be a number"):
        TrialFiles(tmp_path).folder(found)


def test_a_link_in_the_project_is_refused(tmp_path):
    oracle, _ = begin(tmp_path)
    report(oracle, oracle.create_trial("tuner0"))
    (tmp_path / "search" / "trial_0001").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="holds a link"):
        begin(tmp_path)


def test_only_checkpoints_that_are_needed_are_kept(tmp_path):
    oracle, _ = begin(tmp_path)
    most = 0
    while (trial := oracle.create_trial("tuner0")).status == TrialStatus.RUNNING:
        source = trial.hyperparameters.values.get("tuner/trial_id")
        assert source is None or (tmp_path / "search" / f"trial_{source}" / CHECKPOINT).exists()
        report(oracle, trial)
        most = max(most, len(list(tmp_path.rglob(CHECKPOINT))))
    kept = {training_of(oracle.trials[path.parent.name[6:]]) for path in tmp_path.rglob(CHECKPOINT)}
    assert most <= 1 + 1 + 4 + 2 and (0, 0, 0) in kept
    assert training_of(oracle.get_best_trials()[0]) in kept and len(kept) <= 3  # the first, the incumbent, the best


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"steps": 1.5}, "steps must be a whole number, received 1.5"),
        ({"children": "8"}, "children must be a whole number, received '8'"),
        ({"mutations": True}, "mutations must be a whole number, received True"),
        ({"vanilla_epochs": 0}, "vanilla_epochs must be at least 1, received 0"),
        ({"max_hours": "2"}, "max_hours must be a number, received '2'"),
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


def test_a_tuner_that_sets_no_architecture_is_told_so_after_its_first_training(tmp_path):
    oracle, _ = begin(tmp_path)
    trial = oracle.create_trial("tuner0")
    trial.status = TrialStatus.COMPLETED
    with pytest.raises(keras_tuner.errors.FatalValueError, match="trial 0000: .*architecture.* is missing"):
        oracle.end_trial(trial)


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


def test_a_limit_that_is_lifted_does_not_live_on_in_a_trial(expected, tmp_path):
    oracle, _ = begin(tmp_path, max_hours=1.0, max_cpu_hours=1.0)
    assert take_lease(oracle.create_trial("tuner0").hyperparameters.values).keys() >= {"seconds", "cpu_seconds"}
    again, _ = begin(tmp_path, max_hours=None, max_cpu_hours=2.0)
    trial = again.create_trial("tuner0")
    lease = json.loads(trial.hyperparameters.values[LEASE])
    assert "seconds" not in lease and lease["cpu_seconds"] == 7200
    report(again, trial)
    assert finish(again) == expected


@pytest.mark.parametrize(("method", "steps"), [("sh", 0), ("random", 2), ("fixed", 2)])
def test_where_nothing_fits_a_search_ends_and_a_baseline_trains_on(method, steps, tmp_path):
    lineage = finish(begin(tmp_path, method=method, children=8, epochs_per_step=32, max_params=FIRST.params)[0])
    assert lineage[-1]["step"] == steps
    assert {record["digest"] for record in lineage} == {FIRST.digest}


def test_time_spent_before_an_interruption_counts(tmp_path):
    oracle, _ = begin(tmp_path)
    oracle.limits = TimeLimits(None, None, iter([(0.0, 100.0), (1.0, 107.0)]).__next__)
    oracle.save()
    assert begin(tmp_path)[0].limits.before == (1.0, 7.0)


def test_an_exception_leaves_the_oracle_usable(tmp_path):
    oracle, _ = begin(tmp_path)
    trial = oracle.create_trial("tuner0")
    with pytest.raises(ValueError, match="Objective value missing"):
        oracle.update_trial(trial.trial_id, {"other": 1.0})
    report(oracle, trial)
    assert oracle.create_trial("tuner0").status == TrialStatus.RUNNING


def test_a_torn_state_file_is_never_left(tmp_path, monkeypatch):
    oracle, _ = begin(tmp_path)
    monkeypatch.setattr(atomic.os, "fsync", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError):
        oracle.save()
    assert json.loads((tmp_path / "search" / "oracle.json").read_text())["settings"]["seed"] == 3


def space():
    hp = HyperParameters()
    hp.Float("rate", 1e-4, 1e-1, sampling="log", default=0.01)
    hp.Int("units", 4, 64, step=4, default=16)
    hp.Choice("kind", ["a", "b", "c"])
    hp.Choice("decay", [0.1, 0.01, 0.001], default=0.01)
    hp.Boolean("flag")
    hp.Fixed("constant", 5)
    return hp


@given(seed=st.integers(0, 10**6))
def test_perturbed_hyperparameters_stay_in_their_range(seed):
    values = DeclaredHyperparameters(space).defaults()
    for number in range(5):
        values = DeclaredHyperparameters(space).perturbed(values, seed + number)
        assert 0.99e-4 <= values["rate"] <= 1.01e-1 and values["units"] in range(4, 65, 4)
        assert min(abs(values["decay"] - declared) for declared in (0.1, 0.01, 0.001)) < 1e-8
        assert values["kind"] in "abc" and isinstance(values["flag"], bool) and values["constant"] == 5


def test_children_inherit_and_child_0_keeps_hyperparameters(tmp_path):
    def values(tune):
        oracle, _ = begin(tmp_path / str(tune), tune_hyperparameters=tune)
        oracle.update_space(space())
        finish(oracle)
        return {training_of(trial): trial.hyperparameters.values for trial in oracle.trials.values()}

    plain, tuned = values(False), values(True)
    assert len({each["rate"] for each in plain.values()}) == 1
    assert len({tuned[1, 0, child]["rate"] for child in range(4)}) == 4
    assert tuned[1, 0, 0]["rate"] == tuned[0, 0, 0]["rate"]
    for (step, rung, child), each in tuned.items():
        if rung:
            assert each["rate"] == tuned[step, rung - 1, child]["rate"]


def test_a_report_that_cannot_be_written_changes_nothing_and_can_be_made_again(expected, tmp_path, monkeypatch):
    oracle, _ = begin(tmp_path)
    report(oracle, oracle.create_trial("tuner0"))
    trial = oracle.create_trial("tuner0")

    def full(*_):
        raise OSError(28, "No space left on device", "trial.json")

    with monkeypatch.context() as patch:
        patch.setattr(oracle.book, "write", full)
        with pytest.raises(OSError, match="No space left"):
            report(oracle, trial)
    with monkeypatch.context() as patch:
        patch.setattr(oracle.book, "write", lambda trial: full() if trial.status == TrialStatus.COMPLETED else None)
        with pytest.raises(OSError, match="No space left"):
            report(oracle, trial)
    assert oracle.trials[trial.trial_id].status == TrialStatus.RUNNING and len(oracle.end_order) == 1
    assert oracle.create_trial("tuner0").trial_id == trial.trial_id
    assert finish(oracle) == expected


def test_trials_are_told_while_others_are_lent(tmp_path):
    """Also to a chief that looks at them from its own thread."""
    oracle, _ = begin(tmp_path)
    held = threading.Event()

    def look():
        held.wait()
        found.append(oracle.ongoing_trials)
        found.append(oracle.get_best_trials(5))
        found.append(oracle.get_space())

    found = []
    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    with oracle._mutex:  # as while a trial is created
        held.set()
        looking.join(0.2)
        assert not found
    looking.join(10)
    assert len(found) == 3
