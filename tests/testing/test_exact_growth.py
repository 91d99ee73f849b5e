"""Widths and kernels of one's own are held to the contract that the listed ones are."""

import keras
import numpy as np
import pytest
from keras import layers

from nash_tf.architecture import Architecture
from nash_tf.architecture.vanilla import vanilla
from nash_tf.keras_models.state import restoring
from nash_tf.morphisms import registry
from nash_tf.morphisms.alter_channels import AlterChannels
from nash_tf.morphisms.insert_conv import InsertConv
from nash_tf.morphisms.insert_separable_conv import InsertSeparableConv
from nash_tf.surgery.morphing import morph
from nash_tf.testing import Parent, check_operator
from nash_tf.testing.parent import arrays
from tests.helpers.parents import Holder
from tests.helpers.small_architectures import architecture_of, conv


class Widths(AlterChannels):
    """Any layer, three channels more, and one."""

    def candidates(self, architecture):
        for node in architecture.nodes:
            for more in (3, 1) if node.channels else ():
                yield (node.name, "to", node.channels + more)


def kernels(operator):
    """The operator with other kernel sizes."""

    class Kernels(operator):
        def candidates(self, architecture):
            for source, consumer, size in super().candidates(architecture):
                yield (source, consumer, {3: 1, 5: 7}[size])

    return Kernels()


@pytest.mark.parametrize(
    "operator", [Widths(), kernels(InsertConv), kernels(InsertSeparableConv)], ids=["widths", "kernels", "separable"]
)
def test_the_contract_is_kept(operator):
    report = check_operator(operator, count=6, seed=3)
    assert report.children >= 4 and report.alive >= 3


class TestNorms:
    """New batch normalisations are set as those around them."""

    @staticmethod
    def inserted(*layers_before, after=()):
        """The new batch normalisation of an insertion before the last layer, and the recipe of its gamma."""

        def build(x):
            for layer in (conv("a"), *layers_before, layers.ReLU(name="relu"), conv("b", 2), *after):
                x = layer(x)
            return x

        parent = architecture_of(build)
        child, transfer = registry["insert_conv"].apply(parent, ("relu", "b", 3))
        (norm,) = [node for node in child.nodes if node.kind == "BatchNormalization" and node.name not in parent]
        return norm.config, transfer.recipes[norm.name, "gamma"].fill

    @pytest.mark.parametrize(
        ("settings", "config", "fill"),
        [
            ({"momentum": 0.9}, {"momentum": 0.9}, "identity_gamma"),
            ({}, {}, "identity_gamma"),
            ({"momentum": 0.97, "epsilon": 1e-5}, {"momentum": 0.97, "epsilon": 1e-5}, "identity_gamma:1e-05"),
        ],
    )
    def test_of_the_nearest_before(self, settings, config, fill):
        assert self.inserted(layers.BatchNormalization(momentum=0.5), layers.BatchNormalization(**settings)) == (
            config,
            fill,
        )

    def test_or_else_behind(self):
        assert self.inserted(after=[layers.BatchNormalization(momentum=0.8)])[0] == {"momentum": 0.8}

    def test_or_else_the_package_s_own(self):
        assert self.inserted() == ({"momentum": 0.9}, "identity_gamma")

    def test_those_of_the_first_network_are_the_package_s_own(self):
        # Else children of earlier searches would have another digest.
        parent = vanilla((8, 8, 3), 3, (4, 4))
        child, _ = registry["insert_conv"].apply(parent, ("relu_1", "pool_1", 3))
        assert child["bn_3"].config == parent["bn_1"].config == {"momentum": 0.9}

    @pytest.mark.parametrize("epsilon", [1e-5, 0.1])
    def test_with_any_epsilon_the_function_stays(self, epsilon):
        keras.utils.set_random_seed(0)
        image = keras.Input((8, 8, 3))
        x = layers.BatchNormalization(epsilon=epsilon)(layers.Conv2D(4, 3, padding="same")(image))
        x = layers.Conv2D(2, 1)(layers.MaxPooling2D()(layers.ReLU()(x)))
        model = keras.Model(image, layers.GlobalAveragePooling2D()(x))
        assert check_operator(InsertConv(), [model], per_model=2).difference <= 1e-5
        assert Architecture.from_keras(model).params


def with_norms_inside(is_timed):
    """A network with a batch normalisation inside a layer whose statistics are not those of its batch, and that."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 4))
    x = layers.Conv1D(6, 3, padding="same")(inputs)
    x = (layers.TimeDistributed(layers.BatchNormalization()) if is_timed else Holder())(x)
    for name in "cd":
        x = layers.Conv1D(6, 3, padding="same", activation="relu", name=name)(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
    return model, np.random.default_rng(0).normal(2.0, 3.0, (16, 8, 4)).astype(np.float32)


@pytest.mark.parametrize("is_timed", [True, False])
class TestNormalisationsInsideLayers:
    def test_a_child_is_exact_in_training_mode(self, is_timed):
        model, batch = with_norms_inside(is_timed)
        certificate = morph(model, ("insert_conv", ("c", "d", 3)), calibration=batch).certificate
        assert certificate["training_difference"] <= 1e-4

    def test_the_contract_holds_in_training_mode(self, is_timed):
        model, batch = with_norms_inside(is_timed)
        parent = Parent(model, batch)
        with restoring(model):
            (trained,) = arrays([model(batch, training=True)])
        np.testing.assert_allclose(parent.training_outputs[0], trained, atol=1e-5)
        assert check_operator(registry["insert_conv"], [parent]).training_difference <= 1e-4
