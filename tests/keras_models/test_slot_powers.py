"""How optimisers' slots grow with gradients, and that those of a split block do."""

import keras
import numpy as np
import pytest
from keras import layers, optimizers

import nash_tf
from nash_tf.keras_models.slot_powers import slot_powers
from nash_tf.keras_models.state import read_state
from nash_tf.optimizers import Muon

POWERS = {
    "sgd": (lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True, use_ema=True), {"momentums": 1}),
    "muon": (lambda: Muon(0.1), {"momentums": 1}),
    "adam": (lambda: optimizers.Adam(amsgrad=True), {"_momentums": 1, "_velocities": 2, "_velocity_hats": 2}),
    "adamw": (
        lambda: optimizers.AdamW(clipnorm=0.1, gradient_accumulation_steps=3),
        {"_momentums": 1, "_velocities": 2},
    ),
    "nadam": (optimizers.Nadam, {"_momentums": 1, "_velocities": 2}),
    "rmsprop": (
        lambda: optimizers.RMSprop(momentum=0.9, centered=True),
        {"_velocities": 2, "_momentums": 0, "_average_gradients": 1},
    ),
    "adagrad": (optimizers.Adagrad, {"_accumulators": 2}),
    "adamax": (optimizers.Adamax, {"_m": 1, "_u": 1}),
    "scaled": (lambda: optimizers.LossScaleOptimizer(optimizers.Adam()), {"_momentums": 1, "_velocities": 2}),
    "at rest": (lambda: optimizers.SGD(0.0, momentum=0.9), {}),
}


@pytest.mark.parametrize("name", POWERS)
def test_powers(name):
    make, powers = POWERS[name]
    assert slot_powers(make()) == powers


def test_the_slots_of_a_split_are_those_of_its_gradients():
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="bn_1")(layers.Conv2D(4, 3, name="conv_1")(image))
    model = keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.ReLU()(x))))
    model.compile(optimizers.Adam(0.01), "mse", run_eagerly=True, jit_compile=False)
    rng = np.random.default_rng(0)
    model.train_on_batch(rng.normal(size=(8, 8, 8, 3)), rng.normal(size=(8, 3)))
    before, after = read_state(model).slots, read_state(nash_tf.morph(model, "split", seed=0).model).slots
    branches = [key for key in after["_momentums"] if key[0].startswith("conv") and key[1] == "kernel"]
    assert len(branches) == 2
    for key in branches:
        share = 0.3 if key[0] == "conv_1" else 0.7
        for sort, factor in (("_momentums", share), ("_velocities", share**2)):
            np.testing.assert_allclose(after[sort][key], factor * before[sort]["conv_1", "kernel"], rtol=1e-6)
    for sort, slots in before.items():
        np.testing.assert_array_equal(after[sort]["bn_1", "gamma"], slots["bn_1", "gamma"])
