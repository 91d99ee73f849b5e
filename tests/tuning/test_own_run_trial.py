"""A tuner with a `run_trial` of its own: what it returns is what networks are compared by."""

import json

import numpy as np
import pytest
from keras_tuner import HyperParameters
from keras_tuner.engine.trial import Trial

import nash_tf
from nash_tf.engines import on_ray
from nash_tf.tuning import reported_scores
from tests.helpers.tuners import BORN, CLASSES, IMAGES, SMALL, Still, classifier, plainest, records

WITHIN = {"validation_data": (IMAGES, CLASSES), "verbose": 0}


class Otherwise(nash_tf.HillClimbing):
    """The later a child, the better it is reported; with a number more."""

    def run_trial(self, trial, *args, **named):
        values = trial.hyperparameters.values
        found = super().run_trial(trial, *args, **named)
        return {**found, "val_accuracy": 2.0 + values["step"] + values["child"], "size": 7.0, "params": -1.0}


class Folds(nash_tf.HillClimbing):
    """Trains twice, and returns the mean as a number."""

    def run_trial(self, trial, *args, **named):
        return float(np.mean([super(Folds, self).run_trial(trial, *args, **named)["val_accuracy"] for _ in range(2)]))


class Tells(nash_tf.HillClimbing):
    """Reports in the way that Keras Tuner had before."""

    def run_trial(self, trial, *args, **named):
        super().run_trial(trial, *args, **named)
        self.oracle.update_trial(trial.trial_id, {"val_accuracy": 0.25 + trial.hyperparameters.values["child"]})


def tuner_of(kind, tmp_path, hypermodel=classifier, **changed):
    return kind(hypermodel, "val_accuracy", directory=str(tmp_path), project_name="p", **{**SMALL, **BORN, **changed})


def test_what_it_returns_is_compared_recorded_and_read_again(tmp_path):
    tuner = tuner_of(Otherwise, tmp_path)
    tuner.search(IMAGES, CLASSES, **WITHIN)
    found = records(tuner, 3)
    assert [(each["val_accuracy"], each["size"]) for each in found] == [(2.0, 7.0), (3.0, 7.0), (4.0, 7.0)]
    assert all(each["params"] > 0 for each in found)
    assert [trial.score for trial in tuner.oracle.ranking()] == [4.0, 3.0, 2.0]
    changes = [each["certificate"]["val_accuracy_change"] for each in found if each["certificate"]]
    assert changes and changes == pytest.approx([0.0] * len(changes), abs=1e-6), "of the weights, as before"
    again = tuner_of(Otherwise, tmp_path)
    assert again.oracle.lineage() == found and again.oracle.search.best == (1, 0, 1)


@pytest.mark.parametrize(("kind", "scores"), [(Folds, [0.5, 0.5, 1.5]), (Tells, [0.25, 0.25, 1.25])])
def test_a_mean_and_a_report_of_one_s_own(kind, scores, tmp_path):
    trainings = iter([0.25, 0.75, 0.25, 0.75, 1.25, 1.75])
    hypermodel = Still(classifier, lambda values: {"val_accuracy": next(trainings), "loss": 1.0})
    tuner = tuner_of(kind, tmp_path, hypermodel)
    tuner.search(IMAGES, CLASSES, **WITHIN)
    assert [each["val_accuracy"] for each in records(tuner, 3)] == scores


def test_what_scores_lose_on_their_way_from_a_worker_makes_them_no_others():
    trial, told = Trial(HyperParameters(), "0"), Trial(HyperParameters(), "0")
    measured = {"val_accuracy": 0.1234567, "recall": float("nan"), "size": 3.0}
    trial.hyperparameters.values["record"] = json.dumps({"digest": "...", **measured})
    for name, value in {**measured, "size": 0.7654321}.items():
        told.metrics.update(name, value)
    came = Trial.from_proto(told.to_proto())
    assert came.metrics.get_best_value("val_accuracy") != 0.1234567
    reported_scores.note(trial, came)
    assert reported_scores.of(trial.hyperparameters.values) == {"size": 0.7654321}


def test_what_is_returned_as_it_was_measured_changes_nothing(tmp_path):
    tuner = tuner_of(nash_tf.HillClimbing, tmp_path, Still(), steps=0)
    tuner.search(IMAGES, CLASSES, **WITHIN)
    assert reported_scores.NAME not in tuner.oracle.trials["0000"].hyperparameters.values


def test_a_search_leaves_the_generators_alone(tmp_path):
    found = []
    for number in range(2):
        tuner = tuner_of(nash_tf.HillClimbing, tmp_path / str(number), Still(plainest), steps=0)
        tuner.search(IMAGES, CLASSES, **WITHIN)
        found.append(np.random.rand())
        tuner.untrained_first_model()
        found.append(np.random.rand())
    assert len(set(found)) == 4


def test_one_that_is_not_finite_has_failed(tmp_path):
    class Lost(nash_tf.HillClimbing):
        def run_trial(self, trial, *args, **named):
            found = super().run_trial(trial, *args, **named)
            return float("nan") if trial.hyperparameters.values["child"] else found

    tuner = tuner_of(Lost, tmp_path, Still())
    tuner.search(IMAGES, CLASSES, **WITHIN)
    assert [each["status"] for each in tuner.oracle.lineage()] == ["completed", "completed", "failed"]


def test_an_engine_that_would_pass_it_over_refuses(tmp_path):
    with pytest.raises(ValueError, match="without the tuner, whose run_trial is its own"):
        on_ray.Engine().search(tuner_of(Otherwise, tmp_path), (), {})


def test_a_method_that_only_keras_tuner_s_own_calls_is_told(tmp_path):
    class Builds(nash_tf.HillClimbing):
        def _build_and_fit_model(self, trial, *args, **named):
            raise AssertionError

    with pytest.warns(UserWarning, match="_build_and_fit_model of the tuner is never called; override run_trial"):
        tuner_of(Builds, tmp_path)
