"""The end of a classifier: its logits, its head, and what cannot be one."""

import keras
import numpy as np
import pytest
from keras import layers

from nash_tf.architecture import Architecture
from nash_tf.architecture.classifier import begins_with_preprocessing, classifier_of, frozen_layers
from nash_tf.keras_models.building import to_keras
from nash_tf.keras_models.state import State, read_state, write_state

IMAGE = (8, 8, 3)
IMAGES = np.random.default_rng(0).normal(size=(6, *IMAGE)).astype(np.float32)


def model_of(*end, shape=IMAGE, begin=()):
    """image -> begin -> convolution -> end."""
    image = x = keras.Input(shape, name="image")
    for layer in (*begin, layers.Conv2D(4, 3, activation="relu", name="conv"), *end):
        x = layer(x)
    return keras.Model(image, x)


def features(*end):
    return model_of(layers.GlobalAveragePooling2D(name="pool"), *end)


def outputs_of(network, model):
    """Logits of the classifier with the model's weights."""
    twin = to_keras(network.architecture)
    write_state(twin, State(read_state(model).weights, {}))
    return np.asarray(twin(IMAGES))


def softmax(x):
    return np.asarray(keras.ops.softmax(x))


SOFTMAXES = [
    [layers.Dense(5, "softmax", name="head")],
    [layers.Dense(5, name="head"), layers.Softmax()],
    [layers.Dense(5, name="head"), layers.Activation("softmax")],
    [layers.Dense(5, name="head"), keras.ops.softmax],
    [layers.Dense(5, name="head"), keras.activations.softmax],
    [layers.Dense(5, name="head"), lambda x: x / 2.0, layers.Softmax()],
    [layers.Reshape((1, 1, 4)), layers.Conv2D(5, 1, name="head"), layers.Flatten(), layers.Activation("softmax")],
]


@pytest.mark.parametrize("end", SOFTMAXES, ids=range(len(SOFTMAXES)))
def test_a_softmax_is_taken_off_exactly(end):
    model = features(*end)
    network = classifier_of(Architecture.from_keras(model), 5)
    assert network.keeps_head and "softmax is taken off" in network.changes[0]
    logits = outputs_of(network, model)
    assert not np.allclose(logits.sum(axis=-1), 1.0), "these are no probabilities"
    np.testing.assert_allclose(softmax(logits), model(IMAGES), atol=1e-6)


def test_logits_stay_as_they_are():
    model = features(layers.Dense(5, name="head"))
    network = classifier_of(Architecture.from_keras(model), 5)
    assert network.changes == () and network.architecture == Architecture.from_keras(model)


def test_sigmoids_become_logits_of_the_same_order():
    model = features(layers.Dense(5, "sigmoid"))
    network = classifier_of(Architecture.from_keras(model), 5)
    assert "probabilities become those of a softmax" in network.changes[0]
    np.testing.assert_array_equal(outputs_of(network, model).argmax(1), np.asarray(model(IMAGES)).argmax(1))


def test_one_output_for_two_classes_becomes_two():
    network = classifier_of(Architecture.from_keras(features(layers.Dense(1, "sigmoid", name="head"))), 2)
    assert network.architecture["head"].weights == {"kernel": (4, 2), "bias": (2,)}
    assert (network.doubled, network.new, network.keeps_head) == ("head", (), True)


@pytest.mark.parametrize(
    ("end", "kinds"),
    [
        (
            [layers.GlobalAveragePooling2D(), layers.Dense(5, "softmax", name="head")],
            ["GlobalAveragePooling2D", "Dense"],
        ),
        ([layers.Flatten(), layers.Dense(5, name="head"), layers.Softmax()], ["Flatten", "Dense"]),
        ([layers.Dropout(0.1), layers.Conv2D(5, 1, name="head"), layers.GlobalAveragePooling2D()], ["Dropout"]),
        ([layers.GlobalAveragePooling2D(), layers.Dense(1, "sigmoid", name="head")], ["Dense"]),
    ],
)
def test_a_head_of_other_classes_is_replaced_and_said_so(end, kinds):
    network = classifier_of(Architecture.from_keras(model_of(*end)), 7)
    (change,) = network.changes
    assert change.startswith("Its head, head, gave") and change.endswith("replaced by a new one for 7.")
    found = [node.kind for node in network.architecture.nodes]
    assert "head" in network.new and network.architecture["head"].shape == (7,)
    assert [kind for kind in kinds if kind not in found] == [] and "Softmax" not in found
    assert network.architecture.outputs == ("head",) and not network.keeps_head


@pytest.mark.parametrize(
    "end", [[layers.GlobalAveragePooling2D()], [layers.MaxPooling2D()], [layers.BatchNormalization()]]
)
def test_features_get_a_head(end):
    network = classifier_of(Architecture.from_keras(model_of(*end)), 7)
    assert "ends in features" in network.changes[0] and network.architecture[network.architecture.outputs[0]].shape == (
        7,
    )
    pools = [node.kind for node in network.architecture.nodes].count("GlobalAveragePooling2D")
    assert pools == 1 and network.new[-1] == "head"


def test_names_that_are_taken_are_not_given_twice():
    model = model_of(
        layers.Conv2D(3, 1, activation="relu", name="head"), layers.GlobalAveragePooling2D(name="head_pool")
    )
    assert classifier_of(Architecture.from_keras(model), 7).architecture["head_1"].shape == (7,)


def test_what_is_no_classifier_of_images_is_refused():
    image, other = keras.Input(IMAGE), keras.Input((3,), name="other")
    flat = layers.Flatten()(image)
    wide = keras.Model(other, layers.Dense(2)(other))
    two = keras.Model(image, [layers.Dense(2, name="a")(flat), layers.Dense(3, name="b")(flat)])
    joined = keras.Model([image, other], layers.Concatenate()([flat, other]))
    words = keras.Model(image, layers.Reshape((64, 3), name="tokens")(image))
    for model, reason in (
        (wide, "its input 'other' has the shape"),
        (two, "2 outputs, a, b"),
        (joined, "it has 2 inputs"),
        (words, "'tokens' has the shape .*, on which no head can be put; end the model with a pool"),
    ):
        with pytest.raises(ValueError, match=reason):
            classifier_of(Architecture.from_keras(model), 2)


def test_a_dict_of_one_output_becomes_that_output():
    image = keras.Input(IMAGE, name="image")
    model = keras.Model({"x": image}, {"y": layers.Dense(2, name="head")(layers.Flatten()(image))})
    assert classifier_of(Architecture.from_keras(model), 2).architecture.structure == {}


@pytest.mark.parametrize(
    ("begin", "expected"),
    [
        ([layers.Rescaling(1 / 255)], True),
        ([layers.RandomFlip(), layers.Normalization(mean=[1.0] * 3, variance=[2.0] * 3)], True),
        ([keras.applications.mobilenet_v2.preprocess_input], True),
        ([keras.applications.resnet50.preprocess_input], True),
        ([layers.RandomFlip()], False),
        ([layers.Conv2D(3, 1), layers.Rescaling(2.0)], False),
        ([], False),
    ],
)
def test_preprocessing_in_the_model_is_seen(begin, expected):
    assert begins_with_preprocessing(Architecture.from_keras(model_of(begin=begin))) is expected


def test_frozen_layers_are_named():
    model = features(layers.Dense(5))
    model.get_layer("conv").trainable = False
    assert frozen_layers(Architecture.from_keras(model)) == ["conv"]
