"""Calls that are read as more than the layer that is called: operations, layers called again, several outputs, Lambdas."""

import json
from collections import Counter

import keras
import numpy as np
import pytest
from keras import layers, ops

from nash_tf import morph
from nash_tf.architecture import Architecture
from nash_tf.architecture.layer_rules import CALL
from nash_tf.keras_models import private_api
from nash_tf.keras_models.graph_calls import operations
from nash_tf.morphisms import registry, why
from tests.helpers.round_trips import IMAGE, batch, on_image, perturbed, round_trip


def kinds(architecture):
    return [node.kind for node in architecture.nodes if node.kind != "InputLayer"]


# Operations -----------------------------------------------------------------------------------------------------------

ACTIVATIONS = (
    *("relu6", "sigmoid", "silu", "tanh", "hard_sigmoid", "hard_silu", "log_sigmoid", "softplus", "softsign", "selu"),
    *("softmax", "celu", "hard_tanh", "tanh_shrink", "soft_shrink", "hard_shrink", "sparse_plus", "sparse_sigmoid"),
)


def test_activations():
    def body(x):
        y = [getattr(ops, name)(x) for name in ACTIVATIONS] + [keras.activations.gelu(x)]
        y += [ops.relu(x), keras.activations.relu(x, negative_slope=0.1, max_value=2.0)]
        return layers.Concatenate()([*y, ops.leaky_relu(x, 0.3), ops.elu(x, 0.5)])

    architecture, _ = round_trip(on_image(body, (2, 2, 3)))
    found = [node.config.get("activation") for node in architecture.nodes if node.kind == "Activation"]
    assert found == [*ACTIVATIONS, "gelu"]
    assert kinds(architecture)[-5:] == ["ReLU", "ReLU", "LeakyReLU", "ELU", "Concatenate"]


def test_merges_and_numbers():
    def body(x):
        y = layers.Conv2D(4, 3, padding="same")(x)
        both = [x + y, x - y, x * y, ops.maximum(x, y), ops.minimum(x, y)]
        return ops.concatenate([*both, 1.0 - x, x - 2, 3.0 + x, x * 0.7], axis=-1)

    architecture, _ = round_trip(on_image(body, (2, 2, 4)))
    merges = ["Add", "Subtract", "Multiply", "Maximum", "Minimum"]
    assert kinds(architecture) == ["Conv2D", *merges, *["Rescaling"] * 4, "Concatenate"]


def test_pools_and_shapes():
    def body(x):
        gate = ops.max(x, axis=(1, 2), keepdims=True) + ops.mean(x, axis=[1, -2])[:, None, None, :]
        y = ops.max_pool(x * gate, 2, 2) + ops.average_pool(x, 2, padding="same")
        y = ops.expand_dims(ops.mean(ops.reshape(ops.transpose(y, (0, 2, 1, 3)), (-1, 16, 4)), axis=1), 1)
        return layers.Dense(2)(ops.squeeze(y, 1) + ops.reshape(x, (-1, 256))[:, :4])

    architecture, _ = round_trip(on_image(body))
    expected = ["GlobalMaxPooling2D", "GlobalAveragePooling2D", "Reshape", "Add", "Multiply", "MaxPooling2D"]
    expected += ["AveragePooling2D", "Add", "Permute", "Reshape", "GlobalAveragePooling1D", "Reshape", "Reshape"]
    assert sorted(kinds(architecture)) == sorted(
        [*expected[:-1], "Flatten", "Flatten", "keras.ops>GetItem", "Add", "Dense"]
    )


def test_what_no_layer_computes_stays_an_operation():
    def body(x):
        y = ops.mean(x, axis=-1, keepdims=True) + ops.gelu(x) + x[:, ::-1]
        return ops.clip(ops.abs(-ops.square(y + np.float32(1.0))), 0.5, 3.0) / 3.0

    architecture, _ = round_trip(on_image(body, (1, 1, 4)))
    found = {kind.removeprefix("keras.ops>") for kind in kinds(architecture) if ">" in kind}
    assert found == {"Mean", "Gelu", "GetItem", "Square", "Add", "Negative", "Absolute", "Clip", "TrueDivide"}


def test_a_reshape_that_moves_examples_stays_an_operation():
    """Into the axis of examples and out of it again: a layer keeps to one example."""
    rows = keras.Input((4, 8))
    x = layers.Dense(8)(ops.reshape(rows, (-1, 8)))
    model = perturbed(keras.Model(rows, ops.reshape(x, (-1, 4, 8))))
    architecture, _ = round_trip(model)
    assert kinds(architecture) == ["keras.ops>Reshape", "Dense", "keras.ops>Reshape"]


def test_masks_stay_where_they_are():
    """A layer would hand a mask on, or use it, where the operation does not."""
    words = keras.Input((5,), dtype="int32")
    x = layers.Embedding(7, 4, mask_zero=True)(words)
    x = ops.concatenate([ops.mean(x, axis=1), layers.LSTM(4)(x * x), ops.mean(x * 2.0, axis=1)], axis=-1)
    architecture, _ = round_trip(perturbed(keras.Model(words, layers.Dense(2)(x))))
    carried = {"keras.ops>Multiply": 2, "keras.ops>Mean": 1}  # behind an operation there is no mask any more
    assert Counter(kind for kind in kinds(architecture) if "ops" in kind) == carried
    assert {"GlobalAveragePooling1D", "Concatenate"} <= set(kinds(architecture))


def test_an_output_keeps_the_loss_that_it_has():
    """The layer would give the loss the logits, the operation does not."""
    architecture, _ = round_trip(on_image(lambda x: ops.softmax(ops.sigmoid(x))))
    assert [node.kind for node in architecture.nodes[1:]] == ["Activation", "keras.ops>Softmax"]


def test_operations_of_a_model_are_those_of_its_nodes():
    model = on_image(lambda x: ops.relu(layers.Conv2D(4, 3, padding="same", name="conv")(x) + x))
    architecture, found = Architecture.from_keras(model), operations(model)
    assert {name: type(each).__name__ for name, each in found.items()} == {
        node.name: node.kind for node in architecture.nodes
    }


# Layers that are called again -----------------------------------------------------------------------------------------


def test_a_layer_without_weights_is_one_of_its_own_at_each_call():
    relu, pool, drop = layers.ReLU(name="relu"), layers.MaxPooling2D(name="pool"), layers.Dropout(0.2, name="drop")

    def body(x):
        for name in ("one", "two"):
            x = drop(pool(relu(layers.Conv2D(4, 3, padding="same", name=name)(x))))
        return x

    architecture, twin = round_trip(on_image(body))
    assert tuple(node.name for node in architecture.nodes[-3:]) == ("relu_call_2", "pool_call_2", "drop_call_2")
    assert {name for name, _ in registry["alter_channels"].sites(architecture)} == {"one"}
    assert len(twin.layers) == len(architecture.nodes)


def branch():
    image = keras.Input((4, 4, 2), name="in")
    x = layers.ReLU(name="relu")(layers.Conv2D(3, 3, name="conv")(image))
    return keras.Model(image, layers.Dense(3, name="out")(layers.GlobalAveragePooling2D(name="pool")(x)), name="branch")


def siamese():
    left, right = keras.Input((4, 4, 2), name="left"), keras.Input((4, 4, 2), name="right")
    both, dense = branch(), layers.Dense(4, activation="relu", name="dense")
    x = layers.Concatenate(name="both")([dense(both(left)), dense(both(right))])
    return perturbed(keras.Model([left, right], layers.Dense(2, name="head")(layers.Dense(4, name="mixed")(x))))


def test_calls_of_one_layer_with_weights_stay_calls_of_one_layer():
    model = siamese()
    architecture, twin = round_trip(model)
    assert twin.count_params() == model.count_params() == architecture.params
    assert architecture["dense_call_2"].config[CALL]["layer_of"] == "dense"
    assert "called more than once" in why(architecture, "alter_channels", "dense")
    assert {name for name, _ in registry["alter_channels"].sites(architecture)} == {"mixed"}


def twice_wrapped():
    """One model in two wrappers."""
    films = [keras.Input((3, 4, 4, 2)), keras.Input((3, 4, 4, 2))]
    both = branch()
    return films, layers.Add()(
        [layers.TimeDistributed(both, name=name)(film) for name, film in zip(("two", "one"), films, strict=True)]
    )


def wrapped_and_plain():
    """One layer by itself and in a wrapper."""
    dense, rows = layers.Dense(3, name="one"), keras.Input((5, 4))
    return rows, layers.TimeDistributed(dense, name="two")(rows) + dense(rows)


def assigned():
    """One variable that was set into another layer."""
    one, two, row = layers.Dense(4, name="one"), layers.Dense(4, name="two"), keras.Input((4,))
    outputs = two(one(row))
    two._tracker.unlock()
    two._trainable_variables[0] = two._kernel = one._kernel
    two._tracker.lock()
    return row, outputs


@pytest.mark.parametrize("made", [twice_wrapped, wrapped_and_plain, assigned], ids=lambda made: made.__name__)
def test_a_weight_of_two_layers_is_refused_with_both(made):
    with pytest.raises(
        ValueError, match=r"'(one|two)' .* its weight kernel is one of '(?!\1)(one|two)' .* call one of"
    ):
        Architecture.from_keras(keras.Model(*made()))


def test_a_layer_is_not_removed_from_under_its_other_calls():
    image = keras.Input((4, 4, 3))
    conv = layers.Conv2D(3, 1, name="conv")
    x = layers.ReLU(name="first")(image)
    y = layers.ReLU(name="second")(conv(layers.Conv2D(3, 1)(x)))
    model = keras.Model(image, conv(y))
    assert "conv would go, whose layer conv_call_2 calls again" in why(model, "remove_block", ("second", "first"))


# Several outputs ------------------------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable(package="tests")
class Statistics(layers.Layer):
    def call(self, inputs):
        return {"mean": ops.mean(inputs, axis=-1), "most": ops.max(inputs, axis=-1), "all": inputs}


def test_each_output_is_a_node():
    def body(x):
        one, two = ops.split(layers.Conv2D(4, 3, name="before")(x), 2, axis=-1)
        named = Statistics(name="facts")(layers.Conv2D(2, 1, activation="relu", name="after")(one * two))
        states = layers.LSTM(3, return_state=True, name="lstm")(named["most"])
        return layers.Dense(2)(layers.Concatenate()([*states, layers.Flatten()(named["all"])]))

    architecture, _ = round_trip(on_image(body, (4, 4, 2)))
    assert architecture["facts:0"].shape == (2, 2, 2) and architecture["facts"].shape == (16,)
    assert [architecture[f"lstm:{number}"].shape for number in range(3)] == [(3,)] * 3
    assert {name for name, _ in registry["alter_channels"].sites(architecture)} == set()
    assert registry["insert_conv"].sites(architecture)
    assert "several outputs" in why(architecture, "alter_channels", "lstm")
    assert "one of several outputs" in why(architecture, "alter_channels", "facts:0")


def test_outputs_of_the_network_may_be_among_them():
    image = keras.Input((4, 6))
    x, state = layers.GRU(3, return_state=True, return_sequences=True, name="gru")(image)
    architecture, _ = round_trip(perturbed(keras.Model(image, {"steps": x, "last": layers.Dense(2)(state)})))
    assert architecture.structure["outputs"]["steps"] == "gru:0"


# Lambdas --------------------------------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable(package="tests")
def doubled(x):
    return 2.0 * x


def test_a_function_that_is_registered_is_carried():
    architecture, _ = round_trip(on_image(layers.Lambda(doubled, name="twice")))
    assert "no rule for this kind" in why(architecture, "alter_channels", "twice")


def test_a_python_lambda_is_carried_where_that_is_allowed():
    model = on_image(layers.Lambda(lambda x: x * 2.0, name="twice"))
    with pytest.raises(ValueError, match="'twice'.*register_keras_serializable.*enable_unsafe_deserialization"):
        Architecture.from_keras(model)
    with private_api.serialization_lib.SafeModeScope(False):  # as `keras.config.enable_unsafe_deserialization` sets it
        round_trip(model)


# All together ---------------------------------------------------------------------------------------------------------


def test_such_a_model_grows_and_is_saved(tmp_path):
    relu = layers.ReLU(name="relu")

    def body(x):
        x = relu(layers.Conv2D(4, 3, padding="same", name="one")(x))
        one, two = ops.split(layers.Conv2D(8, 3, padding="same", name="two")(x), 2, axis=-1)
        x = layers.Lambda(doubled)(relu(one + two) * ops.sigmoid(ops.mean(x, axis=(1, 2), keepdims=True)))
        x = ops.mean(relu(layers.Conv2D(4, 3, name="three")(x)), axis=(1, 2))
        return layers.Dense(3)(ops.gelu(layers.Dense(4, name="four")(x)))

    model = on_image(body)
    before, inputs = model.get_weights(), batch(model)
    grown = morph(
        model,
        [("alter_channels", ("three", 2)), ("alter_channels", ("four", "to", 5)), "insert_conv"],
        calibration=inputs,
    )
    assert grown.certificate["max_difference"] <= grown.certificate["bound"]
    assert all(np.array_equal(one, two) for one, two in zip(before, model.get_weights(), strict=True))
    assert json.loads(grown.moves) and IMAGE
    grown.model.save(tmp_path / "grown.keras")
    again = keras.models.load_model(tmp_path / "grown.keras")
    np.testing.assert_array_equal(again(inputs), grown.model(inputs))
