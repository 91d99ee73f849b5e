"""`nash_tf.morph` on a user's own model: the child computes the same and trains on, the parent is left as it was."""

import json
import re
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import nash_tf
from nash_tf.keras_models.calibration import calibrate
from nash_tf.keras_models.state import read_state
from nash_tf.morphisms import registry, sites
from nash_tf.morphisms.insert_conv import InsertConv
from nash_tf.surgery import certificate
from nash_tf.testing import random_models
from tests.scripts import applications_table, momentum_table

_rng = np.random.default_rng(3)
IMAGES = _rng.normal(size=(32, 8, 8, 3)).astype(np.float32)
LABELS = _rng.integers(0, 3, 32)


def network(activation="relu", dropout=0.0):
    image = keras.Input((8, 8, 3), name="image")
    x = image
    for number, filters in enumerate((4, 6), start=1):
        y = layers.Conv2D(filters, 3, padding="same", name=f"conv_{number}")(x)
        y = layers.BatchNormalization(momentum=0.9, name=f"bn_{number}")(y)
        x = layers.Activation(activation, name=f"act_{number}")(y)
    y = layers.Conv2D(6, 3, padding="same", name="conv_3")(x)
    x = layers.Add(name="sum")([x, y])
    x = layers.Dropout(dropout, name="dropout")(layers.GlobalAveragePooling2D(name="mean")(x))
    return keras.Model(image, layers.Dense(3, name="head", dtype="float32")(x))


def trained(model=None, optimizer=None, epochs=2):
    """A model after some training."""
    keras.utils.set_random_seed(0)
    model = network() if model is None else model
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9) if optimizer is None else optimizer
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)
    model.fit(IMAGES, LABELS, 16, epochs, verbose=0)
    return model


@pytest.fixture(scope="module")
def parent():
    return trained()


@pytest.fixture(scope="module")
def adam():
    return trained(optimizer=keras.optimizers.Adam(0.01))


def outputs(model, inputs=IMAGES):
    return [np.asarray(part, np.float32) for part in keras.tree.flatten(model(inputs, training=False))]


def states_equal(one, two):
    assert one.weights.keys() == two.weights.keys() and one.slots.keys() == two.slots.keys()
    pairs = [(one.weights, two.weights), (one.counters, two.counters)]
    pairs += [(one.slots[sort], two.slots[sort]) for sort in one.slots]
    for first, second in pairs:
        assert first.keys() == second.keys()
        for key, array in first.items():
            np.testing.assert_array_equal(array, second[key], err_msg=str(key))


def assert_preserved(parent, grown, inputs=IMAGES):
    for before, after in zip(outputs(parent, inputs), outputs(grown.model, inputs), strict=True):
        assert np.max(np.abs(after - before)) <= 1e-4 * max(1.0, np.max(np.abs(before)))


# The child ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", registry)
def test_each_operator(parent, name):
    grown = nash_tf.morph(parent, name, seed=1, calibration=(IMAGES, LABELS))
    found = grown.certificate
    assert (
        found["max_difference"]
        <= found["bound"]
        == pytest.approx(1e-5 * max(1.0, np.max(np.abs(outputs(parent)[0]))), rel=1e-6)
    )
    assert abs(found["loss_change"]) < 1e-5 and abs(found["training_loss_change"]) < 1e-3
    assert found["added_params"] > 0 and found["added_flops"] >= 0
    assert found["added_params"] == grown.model.count_params() - parent.count_params() - _statistics(
        grown.model, parent
    )
    assert_preserved(parent, grown)
    ((operator, _, _),) = json.loads(grown.edits)
    assert operator == name


def _statistics(child, parent):
    return sum(
        sum(weight.shape.num_elements() for weight in model.non_trainable_weights if weight.dtype == "float32") * sign
        for model, sign in ((child, 1), (parent, -1))
    )


def test_the_cost_that_sites_announces_is_the_one_that_comes(parent):
    grown = nash_tf.morph(parent, "alter_channels", seed=1, calibration=IMAGES)
    ((operator, site, _),) = json.loads(grown.edits)
    (option,) = [each for each in sites(parent, [operator]) if each.site == tuple(site)]
    assert (option.params, option.flops) == (grown.certificate["added_params"], grown.certificate["added_flops"])


def test_the_parent_is_left_as_it_was(adam):
    before, config = read_state(adam), adam.get_compile_config()
    layers_before = [(layer.name, layer.get_config()) for layer in adam.layers]
    settings = adam.optimizer.get_config()
    grown = nash_tf.morph(adam, count=8, seed=0, calibration=(IMAGES, LABELS))
    grown.model.fit(IMAGES, LABELS, 16, verbose=0)
    states_equal(read_state(adam), before)
    assert adam.get_compile_config() == config and adam.optimizer.get_config() == settings
    assert [(layer.name, layer.get_config()) for layer in adam.layers] == layers_before
    assert adam.optimizer is not grown.model.optimizer
    shared = {id(variable) for variable in adam.variables} & {id(variable) for variable in grown.model.variables}
    assert not shared


def restless():
    """A compiled model nearly all of which moves in a pass: a kernel, averages, random generators, recurrent states, metrics."""
    keras.utils.set_random_seed(0)
    image = keras.Input(batch_shape=(4, 8, 8, 3), name="image")
    x = layers.SpectralNormalization(layers.Conv2D(4, 3, padding="same"), name="spectral")(image)
    x = layers.ReLU(name="act")(layers.BatchNormalization(name="bn")(x))
    x = layers.Reshape((4, 64))(
        layers.Dropout(0.2)(layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(x))
    )
    x = layers.Bidirectional(layers.LSTM(3, stateful=True, recurrent_dropout=0.1), name="rnn")(x)
    model = keras.Model(image, {"one": layers.Dense(2, name="one")(x), "two": layers.Dense(1, name="two")(x)})
    model.compile("adam", {"one": "mse", "two": "mae"}, metrics={"one": ["mae"]}, run_eagerly=True)
    return model, IMAGES[:4], {"one": IMAGES[:4, 0, 0, :2], "two": IMAGES[:4, 0, 0, :1]}


def everything(model):
    """All variables of a model, those that Keras does not list too, as arrays by place."""
    rnn = model.get_layer("rnn")
    states = [state for part in (rnn.forward_layer, rnn.backward_layer) for state in part.states]
    variables = [*model.variables, *model.metrics_variables, *model.optimizer.variables, *states]
    return [np.array(variable) for variable in variables]


def assert_equal(one, two):
    for before, after in zip(one, two, strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("epochs", [0, 2])
def test_a_pass_leaves_no_trace(epochs):
    model, inputs, labels = restless()
    model.evaluate(inputs, labels, verbose=0)  # makes all of the metrics
    if epochs:
        model.fit(inputs, labels, batch_size=4, epochs=epochs, verbose=0)
    before = everything(model)
    moves = ["insert_conv", "split", "merge_convex"]
    child = nash_tf.morph(model, moves, seed=0, calibration=(inputs, labels)).model
    assert_equal(before, everything(model))
    assert any(array.any() for array in before[-4:])  # what the recurrent layer has seen
    for key, array in read_state(model).weights.items():
        if key[0] != "conv":
            np.testing.assert_array_equal(read_state(child).weights[key], array, err_msg=str(key))
    made = everything(child)
    certificate.measure(child, inputs, labels)
    assert_equal(made, everything(child))
    if epochs:  # and so they go on alike, a batch later
        np.testing.assert_allclose(child(inputs)["one"], model(inputs)["one"], atol=1e-5)
        np.testing.assert_allclose(child(inputs)["one"], model(inputs)["one"], atol=1e-5)


def test_a_pass_that_fails_leaves_no_trace(monkeypatch):
    model, inputs, labels = restless()
    model.fit(inputs, labels, batch_size=4, verbose=0)
    before, architecture = everything(model), nash_tf.Architecture.from_keras(model)

    def fails(inputs, training=None):
        raise RuntimeError("out of order")

    monkeypatch.setattr(model.get_layer("two"), "call", fails)  # the last of its layers
    for run in (
        lambda: certificate.measure(model, inputs),
        lambda: calibrate(model, architecture, ["bn"], inputs),
        lambda: nash_tf.morph(model, "split", calibration=inputs),
    ):
        with pytest.raises(RuntimeError, match="out of order"):
            run()
        assert_equal(before, everything(model))


def test_the_metrics_of_a_loss_that_is_first_computed_begin_at_zero():
    model, inputs, labels = restless()
    certificate.measure(model, inputs, labels)
    assert model.metrics_variables and not any(np.any(variable) for variable in model.metrics_variables)


def test_the_loss_is_that_of_training():
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2", activity_regularizer="l1", name="conv")(image)
    model = trained(keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))))
    grown = nash_tf.morph(model, "split", seed=0, calibration=(IMAGES, LABELS))
    before, after = (each.evaluate(IMAGES, LABELS, 32, verbose=0)[0] for each in (model, grown.model))
    assert grown.certificate["loss_change"] == pytest.approx(after - before, rel=1e-3)
    decay = 0.01 * float(np.sum(np.square(model.get_layer("conv").kernel)))
    assert after - before == pytest.approx((0.3**2 + 0.7**2 - 1) * decay, rel=1e-3)


def test_dropout_draws_what_it_would_have_drawn():
    model = trained(network(dropout=0.5))
    seeds = [variable.numpy() for variable in model.variables if "seed" in variable.path]
    moves = ["split", "insert_conv", "merge_convex"]  # in a wider layer there would be other draws
    grown = nash_tf.morph(model, moves, seed=0, calibration=(IMAGES, LABELS))
    again = [variable.numpy() for variable in model.variables if "seed" in variable.path]
    assert seeds and all(np.array_equal(one, two) for one, two in zip(seeds, again, strict=True))
    assert abs(grown.certificate["training_loss_change"]) < 1e-3  # one mask for both


@pytest.mark.parametrize("calibration", [IMAGES, None], ids=["calibrated", "not"])
def test_edits_replay_to_the_bit(adam, calibration):
    first = nash_tf.morph(adam, count=8, seed=4, calibration=calibration)
    second = nash_tf.morph(adam, edits=first.edits, calibration=calibration)
    third = nash_tf.morph(adam, count=8, seed=4, calibration=calibration)
    for other in (second, third):
        assert other.edits == first.edits and other.certificate == first.certificate
        states_equal(read_state(other.model), read_state(first.model))
        for one, two in zip(outputs(first.model), outputs(other.model), strict=True):
            np.testing.assert_array_equal(one, two)
    assert nash_tf.morph(adam, edits=json.loads(first.edits)).edits == first.edits
    assert nash_tf.morph(adam, count=8, seed=5).edits != first.edits


def test_the_operators_asked_for_are_applied(parent):
    def made(*arguments, **settings):
        return [name for name, _, _ in json.loads(nash_tf.morph(parent, *arguments, **settings).edits)]

    assert made("split") == ["split"]
    assert made(["alter_channels", "insert_conv", "alter_channels"]) == [
        "alter_channels",
        "insert_conv",
        "alter_channels",
    ]
    assert len(made(count=7)) == 7
    assert set(made("insert_conv", count=3)) == {"insert_conv"}
    assert set(made(["split", "merge_concat"], count=6)) == {"split", "merge_concat"}


def test_max_params(parent):
    room = parent.count_params() + 400
    for seed in range(5):
        grown = nash_tf.morph(parent, count=3, seed=seed, max_params=room)
        assert nash_tf.Architecture.from_keras(grown.model).params <= room


def test_without_calibration_there_is_no_certificate(parent):
    grown = nash_tf.morph(parent, "insert_conv", seed=0)
    assert grown.certificate == {}
    assert_preserved(parent, grown)


def test_labels_may_be_left_out(parent):
    found = nash_tf.morph(parent, "insert_conv", calibration=IMAGES).certificate
    assert set(found) == {"max_difference", "bound", "training_difference", "added_params", "added_flops"}


def test_an_uncompiled_model():
    model = network()
    grown = nash_tf.morph(model, count=4, seed=0, calibration=IMAGES)
    assert not grown.model.compiled and grown.certificate["max_difference"] <= grown.certificate["bound"]
    assert_preserved(model, grown)


@pytest.mark.parametrize("name", registry)
def test_modern_activations(name):
    model = trained(network("silu"))
    grown = nash_tf.morph(model, name, seed=0, calibration=(IMAGES, LABELS))
    assert_preserved(model, grown)


# Training on ----------------------------------------------------------------------------------------------------------


def test_slots_and_steps_are_carried(adam):
    grown = nash_tf.morph(adam, ["alter_channels", "insert_conv"], seed=2, calibration=IMAGES)
    before, after = read_state(adam), read_state(grown.model)
    assert set(before.slots) == {"_momentums", "_velocities"} == set(after.slots)
    assert after.counters["iteration"] == before.counters["iteration"] == 4
    for sort, slots in before.slots.items():
        for key, slot in slots.items():
            carried = after.slots[sort][key]
            old = tuple(slice(size) for size in slot.shape)
            np.testing.assert_array_equal(carried[old], slot, err_msg=str(key))
            assert np.count_nonzero(carried) == np.count_nonzero(slot)  # what is new begins without any
    assert grown.model.optimizer.get_config() == adam.optimizer.get_config()


@pytest.mark.parametrize("operator", ["insert_conv", "split"])
def test_carried_slots_keep_to_the_parents_path(parent, operator):
    # Of every operator, and with Adam: tests/scripts/momentum_table.py.
    state = read_state(parent)
    images, labels = np.tile(IMAGES, (20, 1, 1, 1)), np.tile(LABELS, 20)
    architecture = nash_tf.Architecture.from_keras(parent)
    make = momentum_table.OPTIMIZERS["SGD, momentum 0.9"]
    carried, empty = momentum_table.distances(architecture, state, make, operator, 0, images, labels)
    assert carried < 0.5 * empty


def test_moving_averages_of_the_weights_begin_at_the_newborn(parent):
    model = trained(optimizer=keras.optimizers.SGD(0.01, momentum=0.9, use_ema=True))
    child = nash_tf.morph(model, "insert_conv", seed=0, calibration=(IMAGES, LABELS)).model
    averages = child.optimizer._model_variables_moving_average
    for average, weight in zip(averages, child.trainable_variables, strict=True):
        np.testing.assert_array_equal(average, weight)
    before = model.evaluate(IMAGES, LABELS, verbose=0)[0]
    child.optimizer.learning_rate = 0.0
    child.fit(IMAGES, LABELS, verbose=0)  # at its end the averages become the weights
    assert child.evaluate(IMAGES, LABELS, verbose=0)[0] < before + 0.5


def test_it_is_compiled_like_the_parent_and_learns(parent):
    grown = nash_tf.morph(parent, count=5, seed=0, calibration=(IMAGES, LABELS)).model
    assert grown.loss.get_config() == parent.loss.get_config()
    before = grown.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)
    assert before == pytest.approx(parent.evaluate(IMAGES, LABELS, verbose=0, return_dict=True), rel=1e-4)
    grown.fit(IMAGES, LABELS, 16, 3, verbose=0)
    assert grown.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)["loss"] < before["loss"]


def test_copies_stay_copies_without_noise_and_do_not_with_it(parent):
    def halves(noise):
        grown = nash_tf.morph(parent, "split", seed=0, calibration=(IMAGES, LABELS), noise=noise)
        weights = read_state(grown.model).weights
        (new,) = {key for key in weights if key not in read_state(parent).weights and key[1] == "kernel"}
        old = json.loads(grown.edits)[0][1][0]
        one, two = weights[old, "kernel"], weights[new]
        return one / np.linalg.norm(one) - two / np.linalg.norm(two), grown.certificate

    same, exact = halves(0.0)
    other, moved = halves(0.1)
    assert np.max(np.abs(same)) < 1e-6 and np.max(np.abs(other)) > 1e-2
    assert exact["max_difference"] <= exact["bound"] < moved["max_difference"] < 1.0
    assert moved["loss_change"] != 0


def test_noise_leaves_what_is_old_alone(parent):
    grown = nash_tf.morph(parent, "insert_conv", seed=0, noise=0.2)
    weights = read_state(grown.model).weights
    for key, array in read_state(parent).weights.items():
        np.testing.assert_array_equal(weights[key], array)


def test_noise_comes_from_the_seed(parent):
    def kernels(seed):
        edits = nash_tf.morph(parent, "split", seed=0).edits
        return read_state(nash_tf.morph(parent, edits=edits, noise=0.2, seed=seed).model)

    states_equal(kernels(1), kernels(1))
    with pytest.raises(AssertionError):
        states_equal(kernels(1), kernels(2))


# Sorts of model -------------------------------------------------------------------------------------------------------


def test_several_inputs_and_outputs():
    left, right = keras.Input((8, 8, 3), name="left"), keras.Input((8, 8, 3), name="right")
    one, two = (layers.Conv2D(4, 3, padding="same", activation="relu")(each) for each in (left, right))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(layers.Concatenate()([one, two]))
    x = layers.GlobalMaxPooling2D()(x)
    side = layers.Dense(2, name="side")(layers.GlobalMaxPooling2D()(two))
    model = keras.Model({"left": left, "right": right}, {"main": layers.Dense(3, name="main")(x), "side": side})
    model.compile("adam", {"main": "mse", "side": "mae"}, loss_weights={"main": 2.0, "side": 0.5}, jit_compile=False)
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
    for number, model in enumerate(random_models(12, seed=11)):
        inputs = [_rng.normal(size=(16, *tensor.shape[1:])).astype(np.float32) for tensor in model.inputs]
        inputs = inputs if len(inputs) > 1 else inputs[0]
        grown = nash_tf.morph(model, count=4, seed=number, calibration=inputs)
        assert_preserved(model, grown, inputs)


def test_a_sequential_model():
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(2)]
    )
    assert_preserved(model, nash_tf.morph(model, count=3, calibration=IMAGES))


@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small"])
def test_networks_of_keras(name):
    # All seven with each operator: tests/scripts/applications_table.py.
    model = applications_table.perturbed(getattr(keras.applications, name)((32, 32, 3), alpha=0.35, weights=None))
    before = read_state(model)
    images = np.repeat(np.repeat(IMAGES[:4], 4, 1), 4, 2) * 50
    grown = nash_tf.morph(model, count=5, seed=0, calibration=images)
    assert_preserved(model, grown, images)
    states_equal(read_state(model), before)


def test_the_code_in_the_readme_runs(monkeypatch, tmp_path):
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.setattr("builtins.print", lambda *words, **settings: None)
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    for code in blocks:
        exec(compile(code, "README.md", "exec"), found)
    assert found["tuner"].oracle.lineage()[-1]["status"] == "completed"
    assert len(json.loads(found["grown"].edits)) == 5 and found["grown"].certificate["added_params"] > 0


# Errors ---------------------------------------------------------------------------------------------------------------


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def called_twice():
    layer, image = layers.Conv2D(3, 3, padding="same", name="shared"), keras.Input((8, 8, 3))
    return keras.Model(image, layer(layer(image)))


def without_sites():
    image = keras.Input((5,))
    return keras.Model(image, layers.Dense(2)(image))


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        (Subclassed, {"operators": "split"}, "expected a functional keras.Model, received .* of class Subclassed"),
        (
            called_twice,
            {"operators": "split"},
            r"layer 'shared' \(Conv2D\) is not supported: it is called more than once",
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
            r"calibration must be a batch of the model's inputs, of shape \('batch', 8, 8, 3\); received \[\(32, 6, 8, 3\)\]",
        ),
        (network, {"operators": "split", "calibration": IMAGES[0]}, r"received \[\(8, 8, 3\)\]"),
        (network, {"operators": "split", "calibration": IMAGES[:0]}, r"received \[\(0, 8, 8, 3\)\]"),
        (network, {"operators": "split", "calibration": [IMAGES, IMAGES]}, "received"),
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


def test_moves_and_edits_are_one_thing():
    model = network()
    grown = nash_tf.morph(model, count=2, seed=3)
    assert grown.moves == grown.edits
    again = [nash_tf.morph(model, **{name: grown.moves}).model for name in ("moves", "edits")]
    assert [nash_tf.Architecture.from_keras(each).digest for each in again] == [nash_tf.Architecture.from_keras(grown.model).digest] * 2
    with pytest.raises(ValueError, match="moves"):
        nash_tf.morph(model, moves=grown.moves, edits=grown.moves)
