"""Trainings that fail, searches that are stopped, and directories that are opened again."""

import contextlib
import math
import shutil
from concurrent.futures import ThreadPoolExecutor

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from keras_tuner.engine.trial import TrialStatus

from nash_tf.files.lock import Locked, locked
from nash_tf.keras_models import checkpoint
from nash_tf.training.errors import OutOfTime
from nash_tf.tuning import chief
from nash_tf.tuning.trial_book import SearchStopped
from nash_tf.workers import roles
from tests.helpers.stand_in import begin
from tests.helpers.tuners import BORN, CLASSES, IMAGES, Still, classifier, records, tuner_of


def test_training_data_that_run_out_end_the_search(tmp_path):
    def finite():
        yield from ((IMAGES[:16], CLASSES[:16]) for _ in range(5))

    tuner = tuner_of(classifier, tmp_path, vanilla_epochs=2)
    with pytest.raises(keras_tuner.errors.FatalValueError, match="ran out after 2 of the 3 batches of epoch 2"):
        tuner.search(finite(), steps_per_epoch=3, validation_data=(IMAGES, CLASSES))


def test_so_do_those_that_run_out_among_several_batches_of_one_call(tmp_path):
    def grouped(hp):
        model = classifier(hp)
        model.steps_per_execution = 4
        return model

    def finite():
        yield from ((IMAGES[:16], CLASSES[:16]) for _ in range(5))

    tuner = tuner_of(grouped, tmp_path, vanilla_epochs=2)
    with pytest.raises(keras_tuner.errors.FatalValueError, match="ran out after 1 of the 4 batches of epoch 2"):
        tuner.search(finite(), steps_per_epoch=4, validation_data=(IMAGES, CLASSES))


def test_weights_that_vanish_while_the_search_runs_are_named_with_the_remedy(tmp_path):
    def lose(oracle):
        shutil.rmtree(tmp_path / "p" / "trial_0000" / "checkpoint")

    tuner = tuner_of(classifier, tmp_path, on_trained=lose)
    remedy = r"trial_0000/checkpoint.*: .*; remove \S+trial_0000, and its training is done again"
    with pytest.raises(keras_tuner.errors.FatalError, match=remedy):
        tuner.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES), verbose=0)


def test_a_first_network_that_fails_ends_the_search_with_its_cause_and_is_run_again(tmp_path):
    def returns(values):
        return {"val_accuracy": 0.5, "loss": math.nan if sick else 1.0}

    for sick in (True, False):
        expected = pytest.raises(SearchStopped, match="first network failed with .*not finite")
        with expected if sick else contextlib.nullcontext():
            tuner = tuner_of(Still(returns=returns), tmp_path, steps=0)
            tuner.search(IMAGES, CLASSES)
    assert [record["status"] for record in tuner.oracle.lineage()] == ["completed"]


def test_a_time_limit_reached_before_the_first_network_stops_the_search(tmp_path):
    with pytest.raises(SearchStopped, match="limit on time"):
        tuner_of(classifier, tmp_path, max_hours=1e-9).search(IMAGES, CLASSES, validation_split=0.25)


@pytest.mark.parametrize("cut", [False, True])
def test_a_search_that_a_limit_on_time_has_ended_trains_no_more_when_its_script_is_run_again(cut, tmp_path):
    trained = []

    def returns(values):
        trained.append(values["step"])
        if cut and values["step"]:
            raise OutOfTime("the limit on time is reached")
        return {"val_accuracy": 0.5, "loss": 1.0}

    for _ in range(2):
        tuner = tuner_of(Still(returns=returns), tmp_path, max_hours=1.0)
        # Time is held back for what follows: after the first network all, afterwards nothing.
        if not cut and not trained:
            tuner.oracle.limits.held.reserve = lambda: math.inf if trained else 0.0
        tuner.search(IMAGES, CLASSES, verbose=0)
        assert "limit on time" in tuner.oracle.end_reason()
    assert trained == ([0, 1] if cut else [0])
    tuner_of(Still(returns=returns), tmp_path, max_hours=2.0).search(IMAGES, CLASSES, verbose=0)
    assert len(trained) == (3 if cut else 4), "more time, more trainings"


def test_the_time_before_an_interruption_counts(tmp_path):
    def returns(values):
        tuner.oracle.limits.before = (60.0, 0.0)
        raise KeyboardInterrupt

    tuner = tuner_of(Still(returns=returns), tmp_path, max_hours=1.0)
    with pytest.raises(KeyboardInterrupt):
        tuner.search(IMAGES, CLASSES, verbose=0)
    again = tuner_of(Still(), tmp_path, max_hours=1.0)
    assert again.oracle.limits.spent()[0] >= 60 and again.oracle.end_reason() is None


def test_what_passes_before_and_after_a_search_does_not_count(tmp_path):
    tuner, seconds = tuner_of(Still(), tmp_path, max_hours=1.0, steps=0), [0.0]
    tuner.oracle.limits._clock = lambda: (seconds[0], 0.0)
    seconds[0] += 7200.0
    tuner.search(IMAGES, CLASSES, verbose=0)
    seconds[0] += 7200.0
    assert len(records(tuner, 1)) == 1 and tuner.oracle.limits.seconds_left_in_all() == 3600.0


def test_a_training_that_is_dropped_at_a_limit_names_the_limit_as_the_end_of_the_search(tmp_path):
    def returns(values):
        if values["step"]:
            raise OutOfTime("the limit on time is reached")
        return {"val_accuracy": 0.5}

    tuner = tuner_of(Still(returns=returns), tmp_path, max_cpu_hours=1)
    tuner.search(IMAGES, CLASSES)
    assert tuner.oracle.end_reason() == "a limit on time was reached: max_cpu_hours=1"


def test_a_loss_that_is_not_a_number_fails_the_child_only(tmp_path):
    """In the last of its two epochs; in the first: `test_not_finite.py`."""

    class Sick(keras_tuner.HyperModel):
        def build(self, hp):
            return classifier(hp)

        def fit(self, hp, model, x, y, *, callbacks, **kwargs):
            def poison(epoch, logs):
                if (hp.values["step"], hp.values["child"], epoch + 1) == (1, 1, kwargs["epochs"]):
                    model.layers[-1].bias.assign([math.nan] * 3)

            extra = keras.callbacks.LambdaCallback(on_epoch_begin=poison)
            return model.fit(x, y, validation_data=(x, y), callbacks=[*callbacks, extra], **kwargs)

    tuner = tuner_of(Sick(), tmp_path, epochs_per_step=8)
    tuner.search(IMAGES, CLASSES)
    status = {tuple(r[k] for k in ("step", "rung", "child")): r["status"] for r in tuner.oracle.lineage()}
    assert status == {(0, 0, 0): "completed", (1, 0, 0): "completed", (1, 0, 1): "failed", (1, 1, 0): "completed"}
    assert [record["epochs"] for record in tuner.oracle.lineage()] == [1, 2, 2, 4]
    assert all(np.isfinite(weight).all() for weight in tuner.get_best_models()[0].get_weights())


def test_a_child_too_large_for_memory_fails_alone_and_leaves_no_weights_behind(tmp_path):
    def hungry(values):
        if values["child"] == 1:
            # What TensorFlow raises, after ten seconds of trying again.
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[17592186044416]")
        return {"val_accuracy": 0.5}

    tuner = tuner_of(Still(returns=hungry), tmp_path)
    tuner.search(IMAGES, CLASSES)
    status = {(r["step"], r["rung"], r["child"]): r["status"] for r in tuner.oracle.lineage()}
    assert status == {(0, 0, 0): "completed", (1, 0, 0): "completed", (1, 0, 1): "failed", (1, 1, 0): "completed"}
    (failed,) = [trial for trial in tuner.oracle.trials.values() if trial.status == "FAILED"]
    assert "OOM when allocating tensor" in failed.message
    assert tuner._trainer.models._trained.keys() == {(1, 0)}


class Flaky(Still):
    """The disk is full in so many trainings of the second child."""

    def __init__(self, times):
        super().__init__(returns=self.disturbed)
        self.times = times

    def disturbed(self, values):
        if values["child"] == 1 and self.times:
            self.times -= 1
            raise OSError(28, "No space left on device", "log.csv")
        return {"val_accuracy": 0.5, "loss": 1.0}


def test_a_training_that_the_disk_disturbs_fails_no_child_and_waits(tmp_path):
    told = r"trial 0002 was disturbed: OSError: .*No space left on device: 'log.csv'. .*trained when the search goes on"
    tuner = tuner_of(Flaky(2), tmp_path)
    for _ in range(2):
        with pytest.raises(keras_tuner.errors.FatalError, match=told):
            tuner.search(IMAGES, CLASSES)
        assert [record["status"] for record in tuner.oracle.lineage()] == ["completed"] * 2
    tuner.search(IMAGES, CLASSES)
    assert len(records(tuner)) == 4


@pytest.mark.parametrize("times", [1, 2])
def test_a_training_that_is_disturbed_is_tried_again_where_that_is_asked_for(times, tmp_path):
    tuner = tuner_of(Flaky(times), tmp_path, max_retries_per_trial=1)
    with pytest.raises(keras_tuner.errors.FatalError, match="disturbed") if times == 2 else contextlib.nullcontext():
        tuner.search(IMAGES, CLASSES)
    assert len(records(tuner, 2 if times == 2 else 4)) == len(tuner.oracle.end_order)


def test_scores_that_cannot_be_written_fail_no_child(tmp_path, monkeypatch):
    tuner = tuner_of(Still(), tmp_path)

    def full(trial):
        raise OSError(28, "No space left on device", "trial.json")

    with monkeypatch.context() as patch:
        real = tuner.oracle.update_trial

        def update(trial_id, *told, **named):
            return full(trial_id) if trial_id == "0002" else real(trial_id, *told, **named)

        patch.setattr(tuner.oracle, "update_trial", update)
        with pytest.raises(keras_tuner.errors.FatalError, match="trial 0002 was disturbed"):
            tuner.search(IMAGES, CLASSES)
    tuner.search(IMAGES, CLASSES)
    assert len(records(tuner)) == 4


def test_a_directory_of_another_tuner_is_refused_and_left_as_it_is(tmp_path):
    common = {"directory": str(tmp_path), "project_name": "p"}
    other = keras_tuner.RandomSearch(classifier, "val_accuracy", max_trials=1, **common)
    other.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES), verbose=0)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    with pytest.raises(ValueError, match="holds the search of another tuner"):
        tuner_of(classifier, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before


def test_a_search_at_work_is_not_overwritten(tmp_path):
    with locked(tmp_path / "p"), pytest.raises(Locked, match="is at work there"):
        tuner_of(classifier, tmp_path, overwrite=True)


def test_a_disk_that_is_full_fails_no_child_and_the_search_goes_on_later(tmp_path, monkeypatch):
    real, data = checkpoint.save, {"validation_data": (IMAGES, CLASSES)}

    def full(directory, *saved):
        if "trial_0002" in str(directory):
            raise checkpoint.CheckpointError(f"{directory}: no space")
        real(directory, *saved)

    monkeypatch.setattr(checkpoint, "save", full)
    with pytest.raises(keras_tuner.errors.FatalError, match="trial_0002.*: no space"):
        tuner_of(Still(), tmp_path).search(IMAGES, CLASSES, **data)
    monkeypatch.undo()
    tuner = tuner_of(Still(), tmp_path)
    tuner.search(IMAGES, CLASSES, **data)
    assert len(records(tuner)) == 4


def test_a_worker_s_disk_that_is_full_ends_the_search_of_its_chief_and_fails_no_child(tmp_path, monkeypatch):
    def full(directory, *_):
        raise checkpoint.CheckpointError(f"{directory}: no space")

    monkeypatch.setattr(checkpoint, "save", full)
    for name, value in roles.local_chief().items():
        monkeypatch.setenv(name, value)
    oracle, clock = begin(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        serving = pool.submit(chief.serve, oracle)
        monkeypatch.setenv("KERASTUNER_TUNER_ID", "worker0")
        with pytest.raises(keras_tuner.errors.FatalError, match="trial_0000.*: no space"):
            tuner_of(Still(), tmp_path).search(IMAGES, CLASSES)
        clock.now, oracle.limits.reached = 100.0, oracle.fatal is None  # else it would go on serving
        with pytest.raises(keras_tuner.errors.FatalError, match="trial_0000.*: no space"):
            serving.result()
    assert not oracle.ongoing_trials and oracle.book.lending.deaths("0000") == 0
    assert oracle.trials["0000"].status == TrialStatus.RUNNING and oracle.end_reason() is None


def test_a_search_goes_on_under_another_tuner_id_and_is_overwritten_when_asked(tmp_path):
    data = {"validation_data": (IMAGES, CLASSES)}
    first = tuner_of(Still(), tmp_path, **BORN)
    first.search(IMAGES, CLASSES, **data)
    again = tuner_of(Still(), tmp_path, **BORN, tuner_id="other")
    assert again.oracle.lineage() == first.oracle.lineage()
    again.search(IMAGES, CLASSES, **data)
    assert again.oracle.lineage() == first.oracle.lineage()
    for name in ("tuner.json", "oracle.json"):
        (tmp_path / "p" / name).unlink()
        last = tuner_of(classifier, tmp_path, **BORN)
        assert last.oracle.lineage() == first.oracle.lineage() and last.oracle.over()
        last.oracle.save(), last.save()
    with pytest.raises(ValueError, match="seed was 0, is 1"):
        tuner_of(classifier, tmp_path, **BORN, seed=1)
    assert tuner_of(classifier, tmp_path, **BORN, seed=1, overwrite=True).oracle.lineage() == []
