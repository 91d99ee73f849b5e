"""A model against the one that is built from its architecture."""

import keras
import numpy as np
from keras import layers, ops

from nash_tf.architecture import Architecture
from nash_tf.keras_models.state import State, read_state, write_state
from nash_tf.keras_models.variables import variables

IMAGE = (8, 8, 4)


def perturbed(model, seed=1):
    """The model with weights, and statistics too, that no initialiser gives."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if "float" in variable.dtype and not variable.path.startswith("seed_generator"):
            positive = variable.name in ("gamma", "moving_variance", "variance")
            values = rng.uniform(0.5, 1.5, variable.shape) if positive else rng.normal(0.0, 0.3, variable.shape)
            variable.assign(values)
    return model


def batch(model, seed=2):
    """Inputs of the model's own structure."""
    rng = np.random.default_rng(seed)

    def of(tensor):
        shape = [4 if size is None else size for size in tensor.shape]
        if "int" in tensor.dtype:
            return rng.integers(0, 5, shape).astype(tensor.dtype)
        return rng.normal(size=shape).astype(tensor.dtype)

    return keras.tree.map_structure(of, model.input)


def round_trip(model, inputs=None):
    """The rebuilt model, checked: function, weights, JSON and digest are the same."""
    architecture = Architecture.from_keras(model)
    assert "keras.src" not in architecture.to_json()
    assert Architecture.from_json(architecture.to_json()) == architecture
    twin = Architecture.from_json(architecture.to_json()).to_keras()
    state = read_state(model)
    write_state(twin, State(state.weights, {}))
    inputs = batch(model) if inputs is None else inputs
    expected, received = model(inputs, training=False), twin(inputs, training=False)
    received, expected = keras.tree.flatten(received), keras.tree.flatten(expected)
    assert all(np.std(output) > 0 for output in expected), "the test would see no difference"
    for output, other in zip(received, expected, strict=True):
        np.testing.assert_array_equal(output, other)
    again = read_state(twin)
    assert set(again.weights) == set(state.weights)
    for key, array in state.weights.items():
        np.testing.assert_array_equal(again.weights[key], array)
    assert Architecture.from_keras(twin).digest == architecture.digest
    assert len(twin.trainable_variables) == len(model.trainable_variables)
    assert architecture.params == sum(
        array.size for key, array in state.weights.items() if key[1] in _trained(twin, key)
    )
    return architecture, twin


def _trained(model, key):
    layer = model.get_layer(key[0])
    parts = [variable for part in layer._flatten_layers() for variable in part._trainable_variables]
    return {name for name, variable in variables(layer).items() if any(variable is part for part in parts)}


def on_image(body, shape=IMAGE):
    image = keras.Input(shape, name="image")
    return perturbed(keras.Model(image, body(image)))


@keras.saving.register_keras_serializable(package="tests")
class Scaled(layers.Layer):
    def __init__(self, factor, inner_units=3, **kwargs):
        super().__init__(**kwargs)
        self.factor, self.inner_units = factor, inner_units
        self.inner = layers.Dense(inner_units)

    def build(self, shape):
        self.inner.build(shape)
        self.offset = self.add_weight(shape=(self.inner_units,), name="offset", trainable=False)

    def call(self, inputs, shift=0.0, then=ops.tanh):
        return then(self.inner(inputs) * self.factor + self.offset + shift)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor, "inner_units": self.inner_units}
