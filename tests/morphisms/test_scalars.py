"""Tensors of one number for each example, whose shape without the batch axis is ()."""

import keras
import numpy as np
import pytest
from keras import layers

import nash_tf
from nash_tf.morphisms import architecture_of, known, options_of

RNG = np.random.default_rng(0)
SIX, IMAGES = RNG.normal(size=(16, 6)).astype(np.float32), RNG.normal(size=(16, 8, 8, 3)).astype(np.float32)
NUMBERS, IDS = SIX[:, 0], RNG.integers(0, 10, size=16)


def dense(x):
    return layers.Dense(4, activation="relu")(x)


def ids():
    one, two = (keras.Input((), dtype="int32") for _ in range(2))
    return [one, two], layers.Dense(1)(
        layers.Concatenate()([dense(layers.Embedding(10, 4)(each)) for each in (one, two)])
    )


def text():
    words = keras.Input((), dtype="string")
    indices = layers.TextVectorization(20, output_sequence_length=4, vocabulary=["good", "bad", "film"])(words)
    return words, layers.Dense(1)(dense(layers.GlobalAveragePooling1D()(layers.Embedding(20, 4)(indices))))


def number_flattened():
    number = keras.Input(())
    return number, layers.Dense(1)(dense(layers.Flatten()(layers.Rescaling(2.0)(number))))


def number_reshaped():
    number = keras.Input(())
    return number, layers.Dense(1)(dense(layers.Reshape((1,))(number)))


def summed():
    six = keras.Input((6,))
    return six, keras.ops.sum(dense(dense(six)), axis=-1)


def squeezed():
    six = keras.Input((6,))
    return six, layers.Reshape(())(layers.Dense(1)(dense(six)))


def joined():
    six, number = keras.Input((6,)), keras.Input(())
    answer = layers.Add()([layers.Reshape(())(layers.Dense(1)(dense(six))), layers.Activation("tanh")(number)])
    return [six, number], layers.ReLU()(answer)


def pictures():
    image = keras.Input((8, 8, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(image)))
    x = layers.ReLU()(layers.Conv2D(4, 3, padding="same")(layers.MaxPooling2D()(x)))
    return image, keras.ops.squeeze(layers.Dense(1)(layers.GlobalAveragePooling2D()(x)), axis=-1)


@pytest.mark.parametrize(
    ("build", "examples"),
    [
        (ids, [IDS, IDS[::-1]]),
        (text, keras.ops.convert_to_tensor(["good film", "bad film"] * 8)),
        (number_flattened, NUMBERS),
        (number_reshaped, NUMBERS),
        (summed, SIX),
        (squeezed, SIX),
        (joined, [SIX, NUMBERS]),
        (pictures, IMAGES),
    ],
)
def test_a_tensor_of_one_number_for_each_example_is_no_obstacle(build, examples):
    model = keras.Model(*build())
    model.compile("sgd", "mse")
    architecture = architecture_of(model)
    places = {name: [each.site for each in options_of(operator, model)] for name, operator in known().items()}
    reasons = [
        operator.why(architecture, site) for operator in known().values() for site in operator.candidates(architecture)
    ]
    assert reasons.count("") == sum(map(len, places.values())) > 0
    for operator in ("alter_channels", "merge_concat", "insert_conv", "remove_filters"):
        if places[operator]:
            child = nash_tf.morph(model, operator, seed=0, calibration=(examples, SIX[:, 0]))
            assert child.certificate["max_difference"] < 1e-4 or operator == "remove_filters"
