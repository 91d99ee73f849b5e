"""Trainings that are saved while they go on: what a search makes of them after an interruption."""

import json
from dataclasses import asdict

import pytest
from keras_tuner.engine.trial import TrialStatus

from nash_tf.keras_models.state import State
from nash_tf.training import saved_training
from nash_tf.training.resumable_training import TrainingState
from nash_tf.tuning import trial_values
from nash_tf.tuning.lending import DEATHS
from tests.helpers.stand_in import FIRST, begin, report

IN_TIME = {"method": "grow", "max_hours": 1.0, "steps": 3, "children": 8, "epochs_per_step": 160}


def save(oracle, trial, epochs, wall_seconds=10.0, cpu_seconds=10.0):
    """What a training leaves that is interrupted after so many of its epochs."""
    assignment = trial_values.decode(trial.hyperparameters.values)
    state = TrainingState(assignment.digest, assignment.initial_epoch + epochs, {}, None, [], cpu_seconds, wall_seconds)
    folder = oracle.book.files.unfinished(trial.trial_id)
    saved_training.save(folder, asdict(state), FIRST, State({}, {}))
    return folder


def timed(oracle, trial, seconds):
    """Trains in so many seconds."""
    finished = type(trial).from_proto(trial.to_proto())
    report(oracle, finished)
    stored = oracle.trials[trial.trial_id].hyperparameters.values
    outcome = oracle.search.outcomes[trial_values.key_of(stored)]
    object.__setattr__(outcome, "wall_seconds", seconds)
    object.__setattr__(outcome, "cpu_seconds", seconds)
    stored["record"] = json.dumps({**json.loads(stored["record"]), "wall_seconds": seconds, "cpu_seconds": seconds})
    oracle.book.write(oracle.trials[trial.trial_id])


def course(trial):
    assignment = trial_values.decode(trial.hyperparameters.values)
    return assignment.epochs, assignment.phases


@pytest.fixture
def interrupted(tmp_path):
    """A search under a limit on time, and the second of its trainings, in which it is interrupted when half of the time is over."""
    oracle, _ = begin(tmp_path, **IN_TIME)
    timed(oracle, oracle.create_trial("tuner0"), 4.0)
    trial = oracle.create_trial("tuner0")
    oracle.limits.before = (1800.0, 1800.0)
    oracle.save()
    return oracle, trial


def test_a_training_goes_on_as_it_was_planned_though_the_clock_has_gone_on(interrupted, tmp_path):
    oracle, trial = interrupted
    save(oracle, trial, epochs=3)
    again = begin(tmp_path, **IN_TIME)[0].create_trial("tuner0")
    assert (again.trial_id, course(again)) == (trial.trial_id, course(trial))


@pytest.mark.parametrize("seconds", [None, {"wall_seconds": 1200.0}])
def test_it_is_planned_anew_where_nothing_is_saved_or_no_time_is_left_for_the_rest(seconds, interrupted, tmp_path):
    oracle, trial = interrupted
    if seconds:  # for 3 of its epochs, where 1,800 are left
        save(oracle, trial, 3, **seconds)
    again = begin(tmp_path, **IN_TIME)[0].create_trial("tuner0")
    assert again.trial_id == trial.trial_id and course(again)[0] < course(trial)[0]


def test_what_is_saved_of_a_training_goes_when_it_has_ended_and_no_sooner(tmp_path):
    oracle, _ = begin(tmp_path)
    trial = oracle.create_trial("tuner0")
    folder = save(oracle, trial, epochs=1)
    again, _ = begin(tmp_path)
    assert folder.is_dir()
    report(again, again.create_trial("tuner0"))
    assert not folder.exists() and again.book.files.checkpoint(trial.trial_id).is_dir()
    save(again, trial, epochs=1)  # a process died between both
    begin(tmp_path)
    assert not folder.exists()
    failed = again.create_trial("tuner0")
    folder = save(again, failed, epochs=1)
    report(again, failed, status=TrialStatus.FAILED)
    assert not folder.exists()


def test_a_death_tells_nothing_of_a_child_that_got_on_before_it(tmp_path):
    oracle, clock = begin(tmp_path)
    report(oracle, oracle.create_trial("tuner0"))

    def die(number, epochs):
        trial = oracle.create_trial(f"worker{number}|here:{number}")
        assert (trial.trial_id, trial.status) == ("0001", TrialStatus.RUNNING)
        save(oracle, trial, epochs)
        clock.now += 11.0
        oracle.requeue_dead()

    for number in range(2 * DEATHS):
        die(number, epochs=1 + number)
    assert oracle.trials["0001"].status == TrialStatus.RUNNING
    for number in range(DEATHS):
        die(number, epochs=2 * DEATHS)
    assert "3 processes died" in oracle.trials["0001"].message
