"""The batch that newborns are calibrated on is what their network takes: its own inputs, as many as it keeps states for."""

import keras
import numpy as np
import pytest
from keras import layers

import nash_tf
from nash_tf.keras_models.calibration import in_order, misplaced
from nash_tf.keras_models.importing import from_keras
from nash_tf.training.calibration_batch import as_taken
from nash_tf.training.errors import Unsearchable
from tests.helpers.tuners import tuner_of

RNG = np.random.default_rng(0)
STEPS, ANSWERS = RNG.normal(size=(48, 5, 2)).astype(np.float32), RNG.normal(size=(48, 1)).astype(np.float32)
ONE, TWO, MORE = (RNG.normal(size=(8, 3)).astype(np.float32) for _ in range(3))


def stateful(hp=None):
    steps = keras.Input((5, 2), batch_size=16)
    x = layers.BatchNormalization()(
        layers.Dense(4, activation="relu")(layers.LSTM(4, stateful=True, name="lstm")(steps))
    )
    model = keras.Model(steps, layers.Dense(1)(x))
    model.compile("sgd", "mse")
    return model


def by_name(structure):
    tensors = {"one": keras.Input((3,), name="one"), "two": keras.Input((3,), name="two")}
    x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(4)(layers.Concatenate()(list(tensors.values())))))
    model = keras.Model(structure(tensors), layers.Dense(1)(x))
    model.compile("sgd", "mse")
    return model


def test_a_batch_has_as_many_examples_as_layers_keep_states_for():
    model = stateful()
    inputs, labels = as_taken((STEPS, ANSWERS), model, from_keras(model))
    assert np.array_equal(inputs, STEPS[:16]) and np.array_equal(labels, ANSWERS[:16])
    assert as_taken((STEPS, None), model, from_keras(model))[1] is None
    with pytest.raises(Unsearchable, match="lstm keeps states for 16 examples, and the first batch has 9: give calib"):
        as_taken((STEPS[:9], ANSWERS[:9]), model, from_keras(model))
    assert as_taken((STEPS[:9], ANSWERS[:9]), model, from_keras(model), is_sure=False)[0] is not None


def test_a_search_of_a_network_that_keeps_states(tmp_path):
    tuner = tuner_of(stateful, tmp_path, objective="val_loss", max_trials=2)
    tuner.search(STEPS, ANSWERS, validation_data=(STEPS[:16], ANSWERS[:16]), batch_size=16, verbose=0)
    assert [each["status"] for each in tuner.oracle.lineage()] == ["completed"] * 2


@pytest.mark.parametrize(
    "structure",
    [
        lambda named: named,
        lambda named: list(named.values()),
        lambda named: {"z": {"two": named["two"]}, "one": named["one"]},
    ],
    ids=["dict", "list", "nested"],
)
def test_inputs_that_the_model_does_not_use_are_left_out(structure):
    model = by_name(structure)
    is_nested = isinstance(model.input, dict) and "z" in model.input
    given = {"one": ONE, "z": {"two": TWO}, "zero": MORE} if is_nested else {"one": ONE, "two": TWO, "zero": MORE}
    assert all(a is b for a, b in zip(in_order(from_keras(model), given), [ONE, TWO], strict=True))
    child = nash_tf.morph(model, count=3, seed=0, calibration=(given, ONE[:, :1]))
    assert child.certificate["max_difference"] < 1e-4


def test_inputs_that_keras_would_take_for_others_are_refused(tmp_path):
    model = by_name(lambda named: named)
    given = {"one": ONE, "two": TWO, "three": MORE}
    reason = "Keras takes its inputs in the order of their names: 'three' for 'two'; leave out 'three'"
    assert np.array_equal(model(given), model({"one": ONE, "two": MORE}))  # so Keras does
    assert misplaced(from_keras(model), given) == reason
    assert misplaced(from_keras(model), {"a": ONE, "b": TWO}) == ""  # other names for all: in order
    with pytest.raises(ValueError, match=reason):
        nash_tf.morph(model, "alter_channels", seed=0, calibration=given)
    tuner = tuner_of(lambda hp: by_name(lambda named: named), tmp_path, objective="val_loss", method="random")
    with pytest.raises(ValueError, match=f"x is such that {reason}"):
        tuner.search(given, ONE[:, :1], validation_data=(given, ONE[:, :1]), verbose=0)
    assert not any(each.completed for each in tuner.oracle.search.outcomes.values())
