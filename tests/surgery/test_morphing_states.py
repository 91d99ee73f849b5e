"""States of layers and optimisers that no config tells: they are carried to the child, or the model is refused."""

import json

import keras
import numpy as np
import pytest
from keras import layers

import nash_tf
from nash_tf.architecture import Architecture
from nash_tf.surgery import certificate
from nash_tf.surgery.birth import make_child
from nash_tf.surgery.ranking import ranked

RNG = np.random.default_rng(0)
INPUTS, TARGETS = RNG.random((16, 6), np.float32), RNG.random((16, 2), np.float32)


@keras.saving.register_keras_serializable("test_morphing_states")
class Pair(layers.Layer):
    """Two layers in a layer."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units, self.one, self.two = units, layers.Dense(units, name="one"), layers.Dense(units, name="two")

    def build(self, shape):
        self.one.build(shape)
        self.two.build((*shape[:-1], self.units))

    def call(self, inputs):
        return self.two(self.one(inputs))

    def compute_output_shape(self, shape):
        return (*shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("test_morphing_states")
class Shifted(layers.Layer):
    """A layer in a layer, whose bias it sets when it is built."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units, self.one = units, layers.Dense(units, name="one")

    def build(self, shape):
        self.one.build(shape)
        self.one.bias.assign(np.full(self.units, -2.0))

    def call(self, inputs):
        return self.one(inputs)

    def compute_output_shape(self, shape):
        return (*shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def network(*before, optimizer=None):
    inputs = keras.Input((6,))
    x = inputs
    for layer in before:
        x = layer(x)
    x = layers.Dense(4, activation="relu", name="to")(x)
    model = keras.Model(inputs, layers.Dense(2, name="out")(x))
    model.compile(optimizer or "sgd", "mse")
    return model


def grown(model):
    return nash_tf.morph(model, ("alter_channels", ("to", 2)), calibration=(INPUTS, TARGETS)).model


def test_variables_that_a_layer_sets_when_it_is_built_have_the_parents_values():
    model = network(Shifted(5, name="shifted"))
    model.get_layer("shifted").one.bias.assign(np.ones(5))
    np.testing.assert_allclose(grown(model).predict(INPUTS, verbose=0), model.predict(INPUTS, verbose=0), atol=1e-5)


def test_what_is_frozen_within_a_layer_or_as_a_whole_stays_so():
    model = network(Pair(5, name="pair"))
    model.get_layer("pair").one.trainable = False
    names = [variable.path for variable in model.trainable_variables]
    assert [variable.path for variable in grown(model).trainable_variables] == names and len(names) == 6
    model.trainable = False
    model.get_layer("to").trainable = model.get_layer("out").trainable = True  # of a model that trains nothing
    child = grown(model)
    assert (
        child.trainable_variables == [] and child.get_layer("out").trainable and not child.get_layer("pair").trainable
    )


def test_the_scale_of_low_rank_updates_is_the_parents():
    model = network(layers.Dense(5, name="low"))
    low = model.get_layer("low")
    low.enable_lora(2, lora_alpha=8)
    low.lora_kernel_b.assign(RNG.random(low.lora_kernel_b.shape))
    child = grown(model)
    assert child.get_layer("low").lora_alpha == 8
    np.testing.assert_allclose(child.predict(INPUTS, verbose=0), model.predict(INPUTS, verbose=0), atol=1e-5)


@pytest.mark.parametrize("change", [lambda part: part.enable_lora(2), lambda part: part.quantize("int8")])
def test_low_rank_updates_and_quantization_within_a_layer_are_refused(change):
    model = network(Pair(5, name="pair"))
    change(model.get_layer("pair").two)
    with pytest.raises(ValueError, match="layer 'pair' .* two in it is quantized or has LoRA"):
        grown(model)


def test_slots_that_happen_to_begin_at_a_number_are_no_copies_of_weights():
    model = network(optimizer=keras.optimizers.Adagrad(0.01, initial_accumulator_value=0.5))
    model.fit(INPUTS, TARGETS, verbose=0)
    child = grown(model)
    before = model.evaluate(INPUTS, TARGETS, verbose=0)
    child.train_on_batch(INPUTS, TARGETS)
    assert child.evaluate(INPUTS, TARGETS, verbose=0) < before


def test_in_half_precision_a_model_is_not_judged_by_a_copy_that_computes_something_else():
    inputs = keras.Input((6,), dtype="float32")
    policy = keras.DTypePolicy("mixed_bfloat16")
    x = layers.Dense(4, activation="relu", dtype=policy, name="a")(inputs)
    model = keras.Model(inputs, layers.Dense(2, dtype=policy, name="out")(x))
    certificate.measure_parent(model, INPUTS)
    model.get_layer("a").activation = keras.activations.tanh  # which no config tells
    model.get_layer("a").get_config = lambda: {
        **layers.Dense(4, activation="relu", dtype=policy, name="a").get_config()
    }
    with pytest.raises(
        ValueError, match="is not supported: one made again of its configs and weights computes something"
    ):
        certificate.measure_parent(model, INPUTS)


class TestStatesBetweenBatches:
    """A network with a stateful layer takes batches of one size alone, and what it gives depends on those before."""

    SIZE = 144  # more than is measured at once elsewhere

    def network(self):
        keras.utils.set_random_seed(0)
        steps = keras.Input(batch_shape=(self.SIZE, 2, 5))
        x = layers.Dense(24, activation="relu", name="first")(steps)
        x = layers.BatchNormalization()(layers.Dense(5, name="second")(x))
        x = layers.LSTM(6, stateful=True)(x)
        x = layers.Dense(12, activation="relu", name="last")(x)
        model = keras.Model(steps, layers.Dense(2)(x))
        model.compile("sgd", "mse")
        rng = np.random.default_rng(0)
        data = rng.normal(size=(self.SIZE, 2, 5)).astype(np.float32), rng.normal(size=(self.SIZE, 2))
        model(rng.normal(size=(self.SIZE, 2, 5)).astype(np.float32) * 9)  # so that its states are not 0
        return model, data

    def test_it_shrinks(self):
        model, data = self.network()
        small = nash_tf.shrink(model, 600, data, operators="remove_filters")
        assert small.model.count_params() <= 600 + 2 * 5 and json.loads(small.moves)
        assert small.model(data[0]).shape == (self.SIZE, 2)

    def test_the_loss_of_a_reduction_is_that_of_the_child(self):
        model, data = self.network()
        architecture = Architecture.from_keras(model)
        found = ranked(model, architecture, ["remove_filters"], *data)
        assert {each.move.site[0] for each in found} == {"first", "last"}
        for each in found:
            made, _ = make_child(model, architecture, [each.move], data[0])
            assert each.loss == pytest.approx(certificate.measure(made, *data).loss, rel=1e-5)
