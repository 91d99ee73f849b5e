"""Networks that never look ahead along an axis, as streaming needs, get no layers that do."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from nash_tf.architecture import Architecture
from nash_tf.morphisms import known

STEPS = 12
LOWER = np.tril(np.ones((1, STEPS, STEPS), bool))


def conv(filters=4, size=3, axes=1, **settings):
    kind = {1: layers.Conv1D, 2: layers.Conv2D}[axes]
    return kind(filters, size, **{"activation": "relu", **settings})


def chomped(x):
    for _ in range(2):
        x = layers.ReLU()(layers.Cropping1D((0, 2))(layers.Conv1D(4, 3)(layers.ZeroPadding1D(2)(x))))
    return x


def sliced(x):
    for _ in range(2):
        x = layers.ReLU()(layers.Conv1D(4, 3, padding="same")(layers.ZeroPadding1D((2, 2))(x))[:, 1:-3])
    return x


def padded(x):
    for _ in range(2):
        x = conv()(ops.pad(x, [[0, 0], [2, 0], [0, 0]]))
    return x


def recurrent(x):
    return conv(size=1)(layers.GRU(4, return_sequences=True)(conv(size=1)(x)))


def attention(x):
    return conv(size=1)(layers.MultiHeadAttention(1, 2)(x, x, attention_mask=LOWER))


def reshaped(x):
    x = layers.ReLU()(layers.Reshape((STEPS, 2, 2))(conv(padding="causal")(x)))
    return conv(padding="causal")(layers.Reshape((STEPS, 4))(x))


def shifted(x):
    """What is shifted back by a step may come from one that sees the next one; to merge both would be wrong."""
    x = layers.Cropping1D((0, 1))(layers.ZeroPadding1D((1, 0))(conv(padding="same")(x)))
    return conv(size=1)(layers.ReLU()(x))


def images(x, strides=1):
    x = layers.Reshape((STEPS, 4, 2))(layers.Dense(8)(x))
    for stride in (1, strides):
        x = conv(axes=2, strides=stride)(layers.ZeroPadding2D(((2, 0), (1, 1)))(x))
    return layers.Reshape((STEPS // strides, -1))(conv(size=1, axes=2)(x))


def pooled(x):
    return images(x, strides=2)


CAUSAL = [chomped, sliced, padded, recurrent, attention, reshaped, shifted, images, pooled]
OTHERS = {
    "same": conv(padding="same"),
    "valid": conv(),
    "even": conv(size=2, strides=2, padding="same"),
    "dilated": conv(padding="causal", dilation_rate=2),
    "transposed": layers.Conv1DTranspose(3, 3, padding="same"),
    "pool": layers.MaxPooling1D(3, 2, padding="same"),
    "up": lambda x: layers.UpSampling1D(2)(layers.AveragePooling1D(2)(x)),
    "smooth": lambda x: layers.Reshape((24, 3))(
        layers.UpSampling2D((2, 1), interpolation="bilinear")(layers.Reshape((STEPS, 3, 1))(x))
    ),
    "backwards": layers.LSTM(2, return_sequences=True, go_backwards=True),
    "both": layers.Bidirectional(layers.LSTM(2, return_sequences=True)),
    "reflected": lambda x: ops.pad(x, [[0, 0], [2, 0], [0, 0]], mode="reflect"),
    "groups": layers.GroupNormalization(1),
    "permuted": lambda x: layers.Permute((2, 1))(layers.Permute((2, 1))(x)),
    "turned": lambda x: layers.Add()([y := layers.Dense(STEPS)(x), layers.Permute((2, 1))(y)]),
    "mixed": layers.Reshape((6, 6)),
    "reversed": lambda x: x[:, ::-1],
    "last": lambda x: x[:, -5:],
    "attention": lambda x: layers.MultiHeadAttention(1, 2)(x, x),
    "masked": lambda x: layers.MultiHeadAttention(1, 2)(x, x, use_causal_mask=True),
    "upper": lambda x: layers.MultiHeadAttention(1, 2)(x, x, attention_mask=LOWER.transpose(0, 2, 1)),
    "gate": lambda x: layers.Multiply()(
        [conv(3, padding="causal")(x), layers.GlobalAveragePooling1D(keepdims=True)(x)]
    ),
    "timed": layers.TimeDistributed(layers.Dense(2)),
}


def model(build):
    keras.utils.set_random_seed(0)
    sound = keras.Input((STEPS, 3))
    return keras.Model(sound, layers.Dense(2)(build(sound)))


def seen(model):
    """By position of the output the first and the last step of the input on which it depends; None where on none."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=(1, STEPS, 3))
    moved = base + np.eye(STEPS)[..., None] * rng.normal(size=(STEPS, 1, 3))
    *many, one = np.asarray(model(np.concatenate([moved, base])))
    changes = np.abs(np.array(many) - one).reshape(STEPS, len(one), -1).max(-1) > 1e-6  # [step, position]
    found = [np.flatnonzero(each) for each in changes.T]
    return [(each[0], each[-1]) if len(each) else None for each in found]


@pytest.mark.parametrize("build", [*CAUSAL, *OTHERS.values()], ids=[*(f.__name__ for f in CAUSAL), *OTHERS])
def test_no_layer_looks_further_than_is_known(build):
    made = model(build)
    architecture = Architecture.from_keras(made)
    reach = architecture.reaches[architecture.outputs[0]][0]
    for position, steps in enumerate(seen(made)):
        if steps:
            at = position * reach.step
            assert at + reach.low <= steps[0] and steps[1] <= at + reach.high
    assert bool(architecture.causal_outputs) == (build in [*CAUSAL, OTHERS["dilated"], OTHERS["masked"]])


@pytest.mark.parametrize("build", CAUSAL)
def test_children_look_no_further(build):
    parent = Architecture.from_keras(model(build))
    for name in ("insert_conv", "insert_residual", "insert_separable_conv", "merge_concat", "merge_convex"):
        sites = known()[name].sites(parent)
        for site in {*sites[:2], *sites[-1:]}:
            child = (
                known()[name].apply(parent, site)[0].to_keras()
            )  # with weights of its own: what is zero at birth is not
            stride = STEPS // child.output_shape[1]
            assert all(each is None or each[1] <= at * stride for at, each in enumerate(seen(child))), (name, site)


@pytest.mark.parametrize("build", [chomped, padded, recurrent, attention])
def test_sequences_still_have_places_for_convolutions(build):
    assert known()["insert_conv"].sites(Architecture.from_keras(model(build)))


def test_what_would_look_ahead_is_refused_in_words():
    parent = Architecture.from_keras(model(images))
    source = next(node for node in parent.nodes if node.kind == "Conv2D")
    why = known()["insert_conv"].why(parent, (source.name, parent.consumers[source.name][0], 3))
    assert why.startswith("the output dense") and "sees no later positions along its axis 1" in why
    assert not known()["insert_conv"].sites(parent) and known()["alter_channels"].sites(parent)


def test_networks_of_images_keep_their_places():
    image = keras.Input((9, 9, 3))
    x = conv(axes=2, strides=2, padding="same")(conv(size=1, axes=2)(image))
    parent = Architecture.from_keras(keras.Model(image, conv(size=1, axes=2)(x)))
    assert not parent.causal_outputs and len(known()["insert_separable_conv"].sites(parent)) == 4
