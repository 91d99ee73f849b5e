"""Sequences: gates of recurrent layers, steps that must not see later ones, and masks."""

import keras
import pytest
from keras import layers

from nash_tf.architecture import Architecture
from nash_tf.morphisms import registry, why
from tests.helpers.small_architectures import own_activation


class TestGates:
    @pytest.mark.parametrize("wrap", [lambda layer: layer, layers.Bidirectional])
    @pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU])
    @pytest.mark.parametrize(
        ("activation", "reason"),
        [
            ("softmax", "its recurrent activation, softmax, is not kept by new channels"),
            (own_activation, "its recurrent activation, of its own, is not known"),
        ],
    )
    def test_that_mix_units_close_the_layer(self, activation, reason, kind, wrap):
        architecture = recurrent(wrap(kind(4, recurrent_activation=activation)))
        assert not registry["alter_channels"].sites(architecture)
        assert reason in why(architecture, "alter_channels", (architecture.nodes[1].name, 2))

    def test_that_keep_units_apart_do_not(self):
        assert registry["alter_channels"].sites(recurrent(layers.LSTM(4, recurrent_activation="hard_sigmoid")))


def recurrent(layer):
    steps = keras.Input((5, 3))
    return Architecture.from_keras(keras.Model(steps, layers.Dense(2)(layer(steps))))
