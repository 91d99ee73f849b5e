"""Sequences: gates of recurrent layers, steps that must not see later ones, and masks."""

import keras
import numpy as np
import pytest
from keras import layers

from nash_tf.architecture import Architecture
from nash_tf.morphisms import registry, why
from nash_tf.morphisms.draw import replay
from tests.helpers.small_architectures import outputs_with_other_end, own_activation


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


def attending(x):
    return layers.Conv1D(4, 1)(layers.MultiHeadAttention(2, 2)(x, x, use_causal_mask=True))


def padded_in_front(x):
    return layers.Conv1D(4, 3)(layers.ZeroPadding1D((2, 0))(x))


def padded_at_both_ends(x):
    return layers.Conv1D(4, 3)(layers.ZeroPadding1D(1)(x))


class TestLaterSteps:
    """What is computed of a step does not depend on later steps, before and after."""

    @pytest.mark.parametrize("make", [attending, padded_in_front])
    @pytest.mark.parametrize("operator", ["insert_conv", "insert_residual"])
    def test_are_not_seen(self, make, operator):
        architecture = sequence(make)
        assert not registry["insert_separable_conv"].sites(architecture)
        before, after = outputs_with_other_end(architecture)
        np.testing.assert_array_equal(before[:, :5], after[:, :5])
        child, _ = replay(architecture, [(operator, ("mixed", "out", 5), 0)])
        before, after = outputs_with_other_end(child)
        np.testing.assert_array_equal(before[:, :5], after[:, :5])
        assert np.abs(before - after)[:, 5:].min() > 0

    def test_may_be_seen_where_padding_is_at_both_ends(self):
        assert registry["insert_separable_conv"].sites(sequence(padded_at_both_ends))


def sequence(make):
    steps = keras.Input((8, 4))
    x = layers.Conv1D(4, 1, activation="relu", name="mixed")(make(steps))
    return Architecture.from_keras(keras.Model(steps, layers.Conv1D(2, 1, name="out")(x)))


class TestMasks:
    INSERTIONS = ("insert_conv", "insert_residual", "insert_separable_conv")

    @pytest.mark.parametrize("operator", [*INSERTIONS, "merge_convex", "merge_concat"])
    def test_are_not_dropped(self, operator):
        masked = of_words(layers.Embedding(9, 4, mask_zero=True))
        assert registry[operator].sites(of_words(layers.Embedding(9, 4)))
        assert not registry[operator].sites(masked)
        assert "it may have a mask" in why(masked, operator, "later")

    def test_of_other_layers_are_not_dropped(self):
        image = keras.Input((4, 6, 3))
        x = layers.ReLU(name="relu")(layers.Masking()(image))
        architecture = Architecture.from_keras(keras.Model(image, layers.Dense(2, name="out")(x)))
        assert "relu is no image: it may have a mask" in why(architecture, "insert_conv", ("relu", "out", 3))

    @pytest.mark.parametrize("operator", INSERTIONS)
    def test_behind_a_convolution_there_are_none(self, operator):
        words = keras.Input((4, 6), dtype="int32")
        x = layers.Conv2D(4, 3, padding="same")(layers.Embedding(9, 4, mask_zero=True)(words))
        x = layers.Dense(4, activation="relu", name="relu")(x)
        architecture = Architecture.from_keras(keras.Model(words, layers.Dense(2, name="out")(x)))
        assert ("relu", "out", 3) in registry[operator].sites(architecture)


def of_words(embedding):
    words = keras.Input((4, 6), dtype="int32")
    x = layers.Dense(4, activation="relu", name="earlier")(embedding(words))
    x = layers.Dense(4, activation="relu", name="later")(x)
    return Architecture.from_keras(keras.Model(words, layers.Dense(2, name="out")(x)))


def recurrent(layer):
    steps = keras.Input((5, 3))
    return Architecture.from_keras(keras.Model(steps, layers.Dense(2)(layer(steps))))
