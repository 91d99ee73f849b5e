"""What users give by mistake is refused before the first training, with what to give instead."""

import re
import types

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

from nash_tf.morphisms import registry
from nash_tf.morphisms.split import Split
from nash_tf.tuning.grown_hypermodel import GrownHyperModel
from nash_tf.tuning.oracle import HillClimbingOracle
from tests.helpers.tuners import CLASSES, IMAGES, OwnFit, Still, classifier, network, records, tuner_of

SINGLE = tf.data.Dataset.from_tensor_slices((IMAGES, CLASSES))
ONE_HOT = tf.data.Dataset.from_tensor_slices((IMAGES, np.eye(3, dtype=np.float32)[CLASSES]))


def test_a_model_in_place_of_a_function(tmp_path):
    expected = "hypermodel must be a function of hp that returns .* or a HyperModel, received a model, 'mine'"
    with pytest.raises(ValueError, match=expected):
        tuner_of(keras.Model(*network(), name="mine"), tmp_path)


def test_a_class_in_place_of_a_hypermodel(tmp_path):
    with pytest.raises(ValueError, match=r"received the class; give OwnFit\(\)"):
        tuner_of(OwnFit, tmp_path)


def test_a_class_of_functional_models(tmp_path):
    class Mine(keras.Model):
        """Made of inputs and outputs."""

    def build(hp):
        model = Mine(*network())
        model.compile("sgd", "mse")
        return model

    with pytest.raises(ValueError, match="children would be of class Model, not Mine"):
        tuner_of(build, tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("methd", "; the nearest is 'method'"),
        ("max_trial", "; the nearest is 'max_trials'"),  # of Keras Tuner's oracle
        ("on_train", "; the nearest is 'on_trained'"),  # of the search's
        ("factor", "; successive halving always halves"),
        ("x", "; see help("),
    ],
)
def test_an_argument_that_there_is_not(name, said, tmp_path):
    for owner in (lambda **given: tuner_of(Still(), tmp_path, **given), lambda **given: HillClimbingOracle(**given)):
        with pytest.raises(TypeError, match=f"^{name} is no argument of this search{re.escape(said)}"):
            owner(**{name: 1})


def test_an_argument_of_the_tuner_alone(tmp_path):
    with pytest.raises(TypeError, match="^calibraton is no argument of this search; the nearest is 'calibration'$"):
        tuner_of(Still(), tmp_path, calibraton=1)


def test_sizes_in_a_string(tmp_path):
    with pytest.raises(TypeError, match="front_sizes must be a tuple of whole numbers, received '100,600'"):
        tuner_of(Still(), tmp_path, method="front", budget_epochs=30, front_sizes="100,600")


@pytest.mark.parametrize("given", [["EarlyStopping"], [keras.callbacks.EarlyStopping], "EarlyStopping"])
def test_callbacks_that_are_none(given, tmp_path):
    tuner = tuner_of(classifier, tmp_path)
    with pytest.raises(ValueError, match=r"callbacks must be instances of keras.callbacks.Callback, received .*Early"):
        tuner.search(IMAGES, CLASSES, validation_split=0.25, callbacks=given)
    assert not tuner.oracle.trials


@pytest.mark.parametrize("data", [SINGLE, ONE_HOT], ids=["classes", "one hot"])
def test_data_sets_without_batches(data, tmp_path):
    tuner = tuner_of(classifier, tmp_path)
    for x, validation, name in ((data, data.batch(16), "x"), (data.batch(16), data, "validation_data")):
        with pytest.raises(ValueError, match=rf"{name} must be a data set of batches.*{name}\.batch\(32\)$"):
            tuner.search(x, validation_data=validation)
    assert not tuner.oracle.trials


def test_an_own_fit_may_make_batches_where_calibration_is_given(tmp_path):
    with pytest.raises(ValueError, match="or calibration, a batch of it"):
        tuner_of(Still(), tmp_path / "a").search(SINGLE)
    tuner = tuner_of(Still(), tmp_path / "b", calibration=(IMAGES[:8], CLASSES[:8]))
    tuner.search(SINGLE)
    assert len(records(tuner)) == 4


@pytest.mark.parametrize(
    ("given", "is_said"),
    [
        ({"method": "grow", "budget_epochs": 20, "max_trials": 2}, True),
        ({"method": "grow", "budget_epochs": 20}, False),
        ({"method": "shr", "steps": 1, "max_trials": 2}, False),
    ],
)
def test_trials_that_may_end_before_the_one_budget_does(given, is_said, recwarn):
    HillClimbingOracle(keras_tuner.Objective("val_loss", "min"), **given)
    told = [str(each.message) for each in recwarn if "max_trials" in str(each.message)]
    assert len(told) == is_said
    assert not told or "max_trials=2 may end the search" in told[0] and "as budget_epochs or max_hours" in told[0]


@pytest.mark.parametrize(("method", "is_told"), [("shr", True), ("random", True), ("grow", False), ("fixed", False)])
def test_a_registered_operator_that_a_method_does_not_draw_is_told(monkeypatch, recwarn, method, is_told):
    class Own(Split):
        name = "own_split"

    monkeypatch.setitem(registry, "own_split", Own())
    HillClimbingOracle("val_accuracy", method=method, **({} if method == "shr" else {"budget_epochs": 9.0}))
    told = [str(each.message) for each in recwarn if "registered operators" in str(each.message)]
    assert (
        told
        == [
            f"registered operators are not drawn by method {method!r}, which has its own: own_split; grow, scale, front weigh them"
        ]
        * is_told
    )


class TestEpochsOfAnOwnFit:
    def warnings_of(self, tmp_path, recwarn, epochs):
        """What a search says of a `fit` that tells of so many epochs where it should train `values["tuner/epochs"]`."""

        def returns(values):
            history = keras.callbacks.History()
            history.epoch = list(range(epochs(values["tuner/epochs"] - values["tuner/initial_epoch"])))
            history.history = {"loss": [1.0], "val_accuracy": [0.5]}
            return history

        hypermodel = Still(returns=returns)
        tuner = tuner_of(hypermodel, tmp_path)
        tuner.search(IMAGES, CLASSES)
        assert len(records(tuner)) == 4
        return [str(each.message) for each in recwarn if "HyperModel.fit was asked for" in str(each.message)]

    def test_more_are_told_once(self, tmp_path, recwarn):
        (warning,) = self.warnings_of(tmp_path, recwarn, lambda asked: 50)
        assert "was asked for 1 epochs and trained 50: rate and budget are laid out for those" in warning

    def test_fewer_are_told(self, tmp_path, recwarn):
        (warning,) = self.warnings_of(tmp_path, recwarn, lambda asked: asked - 1)
        assert "was asked for 1 epochs and trained 0" in warning

    def test_as_many_are_not(self, tmp_path, recwarn):
        assert self.warnings_of(tmp_path, recwarn, lambda asked: asked) == []

    @pytest.mark.parametrize(("done", "is_told"), [(2, False), (6, True)])
    def test_fewer_that_a_callback_has_ended_are_not(self, done, is_told, recwarn):
        history = keras.callbacks.History()
        history.epoch = list(range(done))
        stopped = types.SimpleNamespace(optimizer=types.SimpleNamespace(iterations=0), weights=[], stop_training=True)
        hypermodel = GrownHyperModel(Still(returns=lambda values: history))
        assert hypermodel.fit(keras_tuner.HyperParameters(), stopped, initial_epoch=4, epochs=8) is history
        assert any("HyperModel.fit was asked for" in str(each.message) for each in recwarn) == is_told
