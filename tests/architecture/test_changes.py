"""Changes between two networks, as lines to read."""

import keras
from keras import layers

from nash_tf.architecture import Architecture
from nash_tf.architecture.changes import Sort, changes, listed
from nash_tf.architecture.vanilla import vanilla
from nash_tf.morphisms.draw import replay

PARENT = vanilla((8, 8, 3), 4, (2, 3, 4))


def after(*places):
    return replay(PARENT, [(operator, site, 0) for operator, site in places])[0]


def sorts(child):
    return {change.name: change.sort for change in changes(PARENT, child)}


def test_nothing():
    assert changes(PARENT, PARENT) == []


def test_wider():
    child = after(("alter_channels", ("conv_1", "to", 5)))
    carried = dict.fromkeys(("bn_1", "relu_1", "pool_1"), Sort.CARRIES)
    assert sorts(child) == {"conv_1": Sort.WIDENED, **carried, "conv_2": Sort.READS}
    assert listed(PARENT, child)[:2] == [
        "↔ conv_1 (Conv2D) has 5 channels, 2 before",
        "» conv_2 (Conv2D) reads 5 channels, 2 before",
    ]
    assert listed(PARENT, child)[-2:] == [
        "= bn_1, relu_1, pool_1: other numbers of channels go through",
        f"parameters: {PARENT.params:,} before, {child.params:,} now",
    ]


def test_new():
    child = after(("insert_conv", ("relu_1", "pool_1", 3)))
    found = sorts(child)
    assert sorted(sort.value for sort in found.values()) == ["+", "+", "+", "↷"]
    assert found["pool_1"] is Sort.TAKES
    (line,) = [line for line in listed(PARENT, child) if line.startswith("+ conv")]
    assert line.endswith("is new, 2 channels, 36 parameters, behind relu_1, before bn_4")


def test_narrower_and_gone():
    child = after(("remove_filters", ("conv_3", "filters", 0)), ("fold_batch_norm", ("bn_1",)))
    found = sorts(child)
    assert found["conv_3"] is Sort.NARROWED and found["bn_1"] is Sort.REMOVED and found["conv_1"] is Sort.ALTERED
    assert "− bn_1 (BatchNormalization) is gone, with 4 parameters" in listed(PARENT, child)


def test_another_kind_is_named():
    child = after(("separate_conv", ("conv_2",)))
    (change,) = changes(PARENT, child)
    params = PARENT["conv_2"].params, child["conv_2"].params
    assert str(change) == "* conv_2 (SeparableConv2D) was Conv2D, and has {1} parameters, {0} before".format(*params)


def test_a_mask_is_not_read_as_channels():
    inputs = keras.Input((7,), dtype="int32")
    x = layers.Embedding(9, 8, mask_zero=True, name="words")(inputs)
    parent = Architecture.from_keras(keras.Model(inputs, layers.LSTM(3, name="steps")(x)))
    child = replay(parent, [("alter_channels", ("words", "to", 10), 0)])[0]
    assert "» steps (LSTM) reads 10 channels, 8 before" in listed(parent, child)


def test_an_input_taken_twice_is_read_once():
    inputs = keras.Input((7, 5))
    x = layers.Dense(8, name="wide")(inputs)
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    parent = Architecture.from_keras(keras.Model(inputs, x))
    child = replay(parent, [("alter_channels", ("wide", "to", 12), 0)])[0]
    (line,) = [line for line in listed(parent, child) if "attention" in line]
    assert line == "» attention (MultiHeadAttention) reads 12 channels, 8 before"
