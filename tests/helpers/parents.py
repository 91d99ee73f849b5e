"""A small network to morph, and what must be equal."""

import keras
import numpy as np
from keras import layers

_rng = np.random.default_rng(3)
IMAGES = _rng.normal(size=(32, 8, 8, 3)).astype(np.float32)
LABELS = _rng.integers(0, 3, 32)


@keras.saving.register_keras_serializable("tests")
class Holder(keras.layers.Layer):
    """A layer with a batch normalisation inside."""

    def build(self, shape):
        self.norm = keras.layers.BatchNormalization()
        self.norm.build(shape)

    def call(self, inputs, training=None):
        return self.norm(inputs, training=training)


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
    """A model after some training; it is compiled to train eagerly, since a few batches are less than a trace."""
    keras.utils.set_random_seed(0)
    model = network() if model is None else model
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9) if optimizer is None else optimizer
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False, run_eagerly=True)
    model.fit(IMAGES, LABELS, 16, epochs, verbose=0)
    return model


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
