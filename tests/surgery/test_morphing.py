"""`nash_tf.morph` on a user's own model: the child computes the same and trains on, the parent is left as it was."""

import json

import keras
import numpy as np
import pytest
from keras import layers

import nash_tf
from nash_tf.keras_models.calibration import calibrate
from nash_tf.keras_models.state import read_state
from nash_tf.morphisms import registry, sites
from nash_tf.surgery import certificate
from nash_tf.surgery.ranking import ranked
from tests.helpers.parents import IMAGES, LABELS, assert_preserved, network, outputs, states_equal, trained

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


def test_what_parent_and_child_hold_together_they_change_apart():
    image = keras.Input((8, 8, 3))
    x = layers.ReLU()(layers.Conv2D(8, 3, padding="same", name="conv")(image))
    parent = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    child = nash_tf.morph(parent, "insert_conv").model
    ours, theirs = (model.get_layer("conv").kernel for model in (parent, child))
    before = ours.numpy()
    assert np.shares_memory(*(np.asarray(kernel.value.read_value()) for kernel in (ours, theirs)))
    theirs.assign_add(np.ones_like(before))
    np.testing.assert_array_equal(ours, before)
    theirs.assign(ours.value)
    ours.assign_sub(np.ones_like(before))
    np.testing.assert_array_equal(theirs, before)


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


@pytest.mark.parametrize("epochs", [0, 1])
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


def test_the_loss_is_that_of_training_and_the_penalty_on_weights_stands_for_itself():
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2", activity_regularizer="l1", name="conv")(image)
    model = trained(keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))))
    grown = nash_tf.morph(model, "split", seed=0, calibration=(IMAGES, LABELS))
    before, after = (each.evaluate(IMAGES, LABELS, 32, verbose=0)[0] for each in (model, grown.model))
    found = grown.certificate
    assert found["penalty_change"] == pytest.approx(after - before, rel=1e-3)
    assert abs(found["loss_change"]) < 1e-5 and abs(found["training_loss_change"]) < 1e-5
    decay = 0.01 * float(np.sum(np.square(model.get_layer("conv").kernel)))
    assert after - before == pytest.approx((0.3**2 + 0.7**2 - 1) * decay, rel=1e-3)


def lively(penalty):
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu", activity_regularizer=penalty, name="one")(image)
    x = layers.Conv2D(4, 3, activation="relu", activity_regularizer=penalty, name="two")(x)
    return trained(keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))), epochs=1)


def test_so_does_the_penalty_on_activities():
    model, plain = lively(keras.regularizers.L2(0.3)), lively(None)
    model.set_weights(plain.get_weights())  # a penalty so strong leaves nothing to rank
    grown = nash_tf.morph(model, ("alter_channels", ("one", 4)), calibration=(IMAGES, LABELS), max_loss_change=0.01)
    before, after = (each.evaluate(IMAGES, LABELS, 32, verbose=0)[0] for each in (model, grown.model))
    assert grown.certificate["penalty_change"] == pytest.approx(after - before, rel=1e-3) and after - before > 0.1
    assert abs(grown.certificate["loss_change"]) < 1e-5 and abs(grown.certificate["training_loss_change"]) < 1e-5
    one, two = (
        ranked(each, nash_tf.Architecture.from_keras(each), ["remove_filters"], IMAGES, LABELS)
        for each in (model, plain)
    )
    assert [each.move for each in one] == [each.move for each in two]
    assert [each.loss for each in one] == pytest.approx([each.loss for each in two], rel=1e-5)


class Plain(keras.Model):
    """Its loss does not ask for the mode."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        return 2.0 * super().compute_loss(x, y, y_pred, sample_weight)


def test_a_loss_of_its_own_need_not_take_the_mode():
    made = network()
    model = trained(Plain(made.inputs, made.outputs, name=made.name))
    found = nash_tf.morph(model, ("alter_channels", ("conv_1", 2)), calibration=(IMAGES, LABELS)).certificate
    assert abs(found["loss_change"]) < 1e-5
    assert nash_tf.shrink(model, 690, (IMAGES, LABELS)).model


def test_dropout_draws_what_it_would_have_drawn():
    model = trained(network(dropout=0.5))
    seeds = [variable.numpy() for variable in model.variables if "seed" in variable.path]
    moves = ["split", "insert_conv", "merge_convex"]  # in a wider layer there would be other draws
    grown = nash_tf.morph(model, moves, seed=0, calibration=(IMAGES, LABELS))
    again = [variable.numpy() for variable in model.variables if "seed" in variable.path]
    assert seeds and all(np.array_equal(one, two) for one, two in zip(seeds, again, strict=True))
    assert abs(grown.certificate["training_loss_change"]) < 1e-3  # one mask for both


def noisy(kind):
    steps = keras.Input((6, 4))
    x = keras.layers.Dense(8, activation="relu", name="wide")(steps)
    if kind == "called again":
        drop = keras.layers.Dropout(0.5)
        x = drop(keras.layers.Dense(8)(drop(x)))
    elif kind == "recurrent":  # it has a seed, and draws nothing
        x = keras.layers.LSTM(3, return_sequences=True)(x)
    else:
        x = keras.layers.SpatialDropout1D(0.5)(x)
    model = keras.Model(steps, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(x)))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@pytest.mark.parametrize(
    ("kind", "operator", "alike"),
    [
        ("behind", "alter_channels", False),
        ("called again", "alter_channels", False),
        ("recurrent", "alter_channels", True),
    ],
)
def test_other_draws_are_no_difference(kind, operator, alike):
    """A wider layer has another mask, and of a layer that is called again the second call is a layer of its own."""
    data = np.random.default_rng(0).normal(size=(32, 6, 4)).astype(np.float32), LABELS[:32]
    found = nash_tf.morph(noisy(kind), (operator, ("wide", 2)), calibration=data).certificate
    assert found["max_difference"] <= found["bound"]
    assert ("training_difference" in found) is ("training_loss_change" in found) is alike


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


@pytest.fixture(scope="module")
def modern():
    return trained(network("silu"))


@pytest.mark.parametrize("name", sorted(registry.keys() - {"insert_residual", "split"}))  # which are for ReLU
def test_modern_activations(name, modern):
    grown = nash_tf.morph(modern, name, seed=0, calibration=(IMAGES, LABELS))
    assert_preserved(modern, grown)


def test_a_seed_of_none_is_0_as_of_a_search(parent):
    moves = [nash_tf.morph(parent, count=2, seed=seed).moves for seed in (None, 0, 1)]
    assert moves[0] == moves[1] != moves[2]


def test_moves_and_edits_are_one_thing():
    model = network()
    grown = nash_tf.morph(model, count=2, seed=3)
    assert grown.moves == grown.edits
    again = [nash_tf.morph(model, **{name: grown.moves}).model for name in ("moves", "edits")]
    assert [nash_tf.Architecture.from_keras(each).digest for each in again] == [
        nash_tf.Architecture.from_keras(grown.model).digest
    ] * 2
    with pytest.raises(ValueError, match="moves"):
        nash_tf.morph(model, moves=grown.moves, edits=grown.moves)


def test_what_is_returned_with_a_part_replaced_still_tells_what_changed(parent):
    first = nash_tf.morph(parent, "insert_conv", seed=1)
    other = first._replace(certificate={"max_difference": 0.0})
    model, moves, facts = other
    assert (model, moves, facts) == (first.model, first.moves, {"max_difference": 0.0}) and not first.certificate
    assert (other.before, other.after) == (first.before, first.after)
    assert other.changes() == first.changes() and other.picture() == first.picture()
    with pytest.raises(ValueError, match="unexpected field names"):
        first._replace(certificat={})
