"""Models of every kind are morphed, or refused by an error that says what is wrong."""

import json
import re
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import nash_tf
from nash_tf.keras_models.state import read_state
from nash_tf.morphisms import registry
from nash_tf.morphisms.insert_conv import InsertConv
from nash_tf.surgery import certificate
from nash_tf.testing import random_models
from tests.helpers.parents import IMAGES, LABELS, _rng, assert_preserved, network, outputs, states_equal, trained
from tests.helpers.tuners import in_two_parts
from tests.scripts import applications_table

# Sorts of model -------------------------------------------------------------------------------------------------------


def test_several_inputs_and_outputs():
    left, right = keras.Input((8, 8, 3), name="left"), keras.Input((8, 8, 3), name="right")
    one, two = (layers.Conv2D(4, 3, padding="same", activation="relu")(each) for each in (left, right))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(layers.Concatenate()([one, two]))
    x = layers.GlobalMaxPooling2D()(x)
    side = layers.Dense(2, name="side")(layers.GlobalMaxPooling2D()(two))
    model = keras.Model({"left": left, "right": right}, {"main": layers.Dense(3, name="main")(x), "side": side})
    model.compile("adam", {"main": "mse", "side": "mae"}, loss_weights={"main": 2.0, "side": 0.5}, run_eagerly=True)
    inputs = {"left": IMAGES, "right": IMAGES[::-1].copy()}
    labels = {"main": _rng.normal(size=(32, 3)), "side": _rng.normal(size=(32, 2))}
    model.fit(inputs, labels, verbose=0)
    grown = nash_tf.morph(model, count=6, seed=0, calibration=(inputs, labels))
    assert_preserved(model, grown, inputs)
    assert abs(grown.certificate["loss_change"]) < 1e-5
    assert set(grown.model(inputs)) == {"main", "side"}
    before, after = (each.evaluate(inputs, labels, verbose=0) for each in (model, grown.model))
    np.testing.assert_allclose(after, before, rtol=1e-4)
    grown.model.fit(inputs, labels, verbose=0)


def test_a_list_of_inputs():
    images = [keras.Input((8, 8, 3), name=f"image_{number}") for number in (1, 2)]
    x = layers.Conv2D(3, 3, padding="same", activation="relu")(layers.Average()(images))
    model = keras.Model(images, layers.GlobalAveragePooling2D()(layers.Conv2D(2, 1)(x)))
    inputs = [IMAGES, -IMAGES]
    assert_preserved(model, nash_tf.morph(model, count=3, calibration=inputs), inputs)
    with pytest.raises(ValueError, match="calibration must be"):
        nash_tf.morph(model, count=3, calibration=IMAGES)


def test_inputs_by_their_names_are_those_of_the_list():
    last, first = keras.Input((8, 8, 3), name="z"), keras.Input((8, 8, 3), name="a")
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv_1")(last)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="bn")(x))
    x = layers.Concatenate(name="both")([x, layers.Conv2D(4, 3, padding="same", name="conv_2")(first)])
    model = keras.Model([last, first], layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    model.compile("sgd", "mse")
    labels = _rng.normal(size=(32, 2))
    listed, named = [5 * IMAGES + 3, 0.01 * IMAGES], {"z": 5 * IMAGES + 3, "a": 0.01 * IMAGES}

    def children(inputs):
        yield nash_tf.morph(model, ("insert_conv", ("relu", "both", 3)), calibration=inputs)
        yield nash_tf.morph(model, ("remove_filters", ("conv_1", "to", 2)), calibration=(inputs, labels))
        yield nash_tf.shrink(model, 200, (inputs, labels))

    for one, two in zip(children(listed), children(named), strict=True):
        assert (one.moves, one.certificate) == (two.moves, two.certificate)
        states_equal(read_state(one.model), read_state(two.model))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = trained(network())
    finally:
        keras.config.set_dtype_policy("float32")
    grown = nash_tf.morph(model, count=5, seed=0, calibration=(IMAGES, LABELS))
    # Such a bound is kept in float32 alone.
    assert grown.certificate["max_difference"] <= grown.certificate["bound"] <= 1e-4
    assert {layer.dtype_policy.name for layer in grown.model.layers if layer.weights and layer.name != "head"} == {
        policy
    }
    assert type(grown.model.optimizer) is type(model.optimizer)
    coarse = np.max(np.abs(outputs(grown.model)[0] - outputs(model)[0]))
    assert coarse < 0.05 * max(1.0, np.max(np.abs(outputs(model)[0])))
    grown.model.fit(IMAGES, LABELS, 16, verbose=0)


def test_random_models():
    # 0 and 1 of these take every operator; the suite in `nash_tf.testing` goes through each alone.
    for number, model in enumerate(random_models(6, seed=11)):
        inputs = [_rng.normal(size=(16, *tensor.shape[1:])).astype(np.float32) for tensor in model.inputs]
        inputs = inputs if len(inputs) > 1 else inputs[0]
        grown = nash_tf.morph(model, count=4, seed=number, calibration=inputs)
        assert_preserved(model, grown, inputs)


def test_a_sequential_model():
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(2)]
    )
    assert_preserved(model, nash_tf.morph(model, count=3, calibration=IMAGES))


def test_a_network_of_keras():
    # All seven with each operator: tests/scripts/applications_table.py.
    small = keras.applications.MobileNetV3Small((32, 32, 3), alpha=0.35, weights=None)
    model = applications_table.perturbed(small)
    before = read_state(model)
    images = np.repeat(np.repeat(IMAGES[:4], 4, 1), 4, 2) * 50
    grown = nash_tf.morph(model, count=5, seed=0, calibration=images)
    assert_preserved(model, grown, images)
    states_equal(read_state(model), before)


def test_the_code_in_the_readme_runs(monkeypatch, tmp_path):
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.setattr("builtins.print", lambda *words, **settings: None)
    monkeypatch.setattr("nash_tf.surgery.shrinking.STEP", 0.5)  # fewer steps
    in_two_parts(monkeypatch)
    monkeypatch.chdir(tmp_path)
    np.random.seed(0)  # the images of the blocks are noise
    found: dict = {}
    for code in blocks:
        for number in (512, 256):  # of the images
            code = code.replace(f"size=({number},", "size=(64,").replace(f"size={number}", "size=64")
        code = code.replace("budget_epochs=100", "budget_epochs=60")
        exec(compile(code, "README.md", "exec"), found)
    tuner = found["tuner"]
    assert tuner.get_best_models()[0].count_params() > tuner.first_model().count_params()
    assert tuner.oracle.end_reason() == "all 5 steps are done"  # and the budget was kept
    assert len(json.loads(found["grown"].edits)) == 5 and found["grown"].certificate["added_params"] > 0


# Errors ---------------------------------------------------------------------------------------------------------------


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def sparse():
    words = keras.Input((5,), sparse=True, name="words")
    return keras.Model(words, layers.Dense(2)(words))


def without_sites():
    image = keras.Input((5,))
    return keras.Model(image, layers.Dense(2)(image))


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        (Subclassed, {"operators": "split"}, "expected a functional keras.Model, received .* of class Subclassed"),
        (
            sparse,
            {"operators": "split"},
            r"layer 'words' \(InputLayer\) is not supported: it is sparse",
        ),
        (network, {"operators": "widen"}, "unknown operator 'widen'; expected one of alter_channels, insert_conv"),
        (network, {"operators": ["split", 3]}, "unknown operator 3; expected one of"),
        (network, {"operators": 3}, "operators must be a name or a list of names, received 3"),
        (network, {"operators": []}, "at least one operator"),
        (network, {"operators": {"split": 1.0}}, "operators must be a name or a list of names"),
        (without_sites, {"operators": "split"}, r"split \(number 1 of 1\): there is no place for it in this model$"),
        (without_sites, {"count": 2}, "only 0 of 2 morphisms could be made with alter_channels, .*, split$"),
        (network, {"operators": "split", "max_params": 10}, "no place for it in this model under 10 parameters"),
        (network, {"count": 3, "max_params": 10}, "only 0 of 3 morphisms .* under 10 parameters"),
        (network, {"operators": "split", "max_params": "ten"}, "max_params must be a number above 0, received 'ten'"),
        (
            network,
            {"operators": "split", "max_params": float("nan")},
            "max_params must be a number above 0, received nan",
        ),
        (network, {"count": -1}, "count must be a whole number of at least 1, received -1"),
        (network, {"count": 0}, "count must be .* received 0"),
        (network, {"count": 2.5}, "count must be .* received 2.5"),
        (network, {"count": True}, "count must be .* received True"),
        (network, {}, "say which morphisms to make"),
        (network, {"count": 1, "edits": "[]"}, "edits already say which"),
        (network, {"edits": "[["}, "edits must be those that morph returned"),
        (network, {"edits": [["split", ["conv_1"]]]}, "edits must be those that morph returned"),
        (network, {"edits": [["widen", ["conv_1"], 0]]}, "no such move: .*widen"),
        (
            network,
            {"edits": [["split", ["elsewhere"], 0]]},
            r"split: \('elsewhere',\) is not a site of this architecture",
        ),
        (network, {"operators": "split", "noise": -0.1}, "noise must be a number of at least 0, received -0.1"),
        (network, {"operators": "split", "noise": "much"}, "noise must be .* received 'much'"),
        (network, {"operators": "split", "seed": -1}, "seed must be a whole number of at least 0, received -1"),
        (network, {"operators": "split", "seed": 1.5}, "seed must be .* received 1.5"),
        (
            network,
            {"operators": "split", "calibration": IMAGES[:, :6]},
            r"calibration must be a batch of the model's inputs, of shape \('batch', 8, 8, 3\), .*; received \[\(32, 6, 8, 3\)\]",
        ),
        (network, {"operators": "split", "calibration": IMAGES[0]}, r"received \[\(8, 8, 3\)\]"),
        (network, {"operators": "split", "calibration": IMAGES[:0]}, r"received \[\(0, 8, 8, 3\)\]"),
        (
            network,
            {"operators": "split", "calibration": [IMAGES, LABELS]},
            r", or a tuple \(inputs, labels\); received \[\(32, 8, 8, 3\), \(32,\)\]",
        ),
        *(
            (
                trained,
                {"operators": operators, "calibration": (IMAGES, LABELS + 10)},
                r"the loss cannot be measured on these labels: Received a label value of 12 .* valid range of \[0, 3\)",
            )
            for operators in ("split", ("remove_filters", ("conv_1", 1)), "remove_filters", "cut_merge")
        ),
        (
            trained,
            {"operators": "split", "calibration": (IMAGES, np.eye(3)[LABELS])},
            "the loss cannot be measured on these labels: .*target.shape",
        ),
        (
            network,
            {"operators": "split", "calibration": (IMAGES, LABELS)},
            "holds labels, but the model is not compiled",
        ),
        (
            trained,
            {"operators": "split", "calibration": (IMAGES, LABELS[:5])},
            r"labels of each of its 32 inputs, received \[5\]",
        ),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_errors(model, settings, message):
    with pytest.raises(ValueError, match=message) as raised:
        nash_tf.morph(model(), **settings)
    assert len(str(raised.value).splitlines()) == 1


class Inexact(InsertConv):
    """Forgets what a batch normalisation is to begin with."""

    name = "inexact"

    def _apply(self, architecture, site):
        child, edit = super()._apply(architecture, site)
        recipes = {key: replace(made, fill="ones") if key[1] == "beta" else made for key, made in edit.recipes.items()}
        return child, replace(edit, recipes=recipes)


def test_a_child_that_computes_something_else_is_refused(parent, monkeypatch):
    monkeypatch.setitem(registry, "inexact", Inexact())
    moves = [["insert_conv", ["act_2", "sum", 3], 1], ["inexact", ["act_1", "conv_2", 3], 2], ["split", ["conv_1"], 3]]
    with pytest.raises(certificate.NotPreserved, match=r"^inexact at \('act_1', 'conv_2', 3\): the outputs changed by"):
        nash_tf.morph(parent, edits=moves, calibration=IMAGES)
    nash_tf.morph(parent, edits=moves, calibration=IMAGES, noise=1e-3)  # whoever wants another function may have it
