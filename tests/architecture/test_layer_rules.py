"""The table of layer rules, against the layers that Keras makes."""

import keras
import pytest
from keras import layers, ops

from nash_tf.architecture import Architecture, layer_rules
from nash_tf.architecture.layer_rules.table import LAYER_RULES
from nash_tf.keras_models import trusted
from nash_tf.morphisms import registry, sites, why
from nash_tf.testing import check_operator

CHANNELS = 4
SIDES = {"1D": (8,), "2D": (8, 8), "3D": (8, 8, 8)}
WINDOW = {"kernel_size": 3}
FILTERS = {"filters": 3, **WINDOW}
# By the beginning of a kind's name; the first that fits.
SETTINGS = {
    "DepthwiseConv": WINDOW,
    **dict.fromkeys(("Conv1", "Conv2", "Conv3", "SeparableConv"), FILTERS),
    "nash_tf>Identity": FILTERS,
    "Dense": {"units": 3},
    "Embedding": {"input_dim": 9, "output_dim": 3},
    **dict.fromkeys(("SimpleRNN", "GRU", "LSTM"), {"units": 3}),
    "MultiHeadAttention": {"num_heads": 2, "key_dim": 3},
    "GroupNormalization": {"groups": 2},
    "keras.applications>LayerScale": {"init_values": 0.1, "projection_dim": CHANNELS},
    "Rescaling": {"scale": 0.5},
    "Activation": {"activation": "relu"},
    "Reshape": {"target_shape": (64, CHANNELS)},
    "Permute": {"dims": (2, 1, 3)},
    "keras.applications>StochasticDepth": {"drop_path_rate": 0.1},
    **dict.fromkeys(("Dropout", "SpatialDropout", "GaussianDropout", "AlphaDropout"), {"rate": 0.1}),
    "GaussianNoise": {"stddev": 0.1},
    "AveragePooling": {"pool_size": 2},
}
ON_SEQUENCES = ("SimpleRNN", "GRU", "LSTM", "MultiHeadAttention")
OPERATIONS = {
    "Gelu": ops.gelu,
    "Absolute": ops.absolute,
    "Negative": ops.negative,
    "Square": ops.square,
    "Clip": lambda x: ops.clip(x, -1.0, 1.0),
}


def architecture_with(kind: str) -> Architecture:
    """input -> a layer of the kind, in the most usual way."""
    settings = next((given for begin, given in SETTINGS.items() if kind.startswith(begin)), {})
    sides = next((sides for axes, sides in SIDES.items() if axes in kind), (8,) if kind in ON_SEQUENCES else (8, 8))
    entry = keras.Input((5,), dtype="int32") if kind == "Embedding" else keras.Input((*sides, CHANNELS))
    if kind.startswith("keras.ops>"):
        return Architecture.from_keras(keras.Model(entry, OPERATIONS[kind.removeprefix("keras.ops>")](entry)))
    layer = trusted.class_of(kind)(**settings)
    if kind == "MultiHeadAttention":
        output = layer(entry, entry)
    else:
        output = layer([entry, layers.ReLU()(entry)] if LAYER_RULES[kind].role == "merge" else entry)
    return Architecture.from_keras(keras.Model(entry, output))


@pytest.mark.parametrize("kind", LAYER_RULES)
def test_the_rule_of_each_kind_holds_for_keras_own_layer(kind):
    node = architecture_with(kind).nodes[-1]
    assert node.kind == kind and node.rule is LAYER_RULES[kind]
    assert layer_rules.why_unruled(node.kind, node.config, node.rank) == ""
    grown = {**node.rule.input_growth, **node.rule.output_growth, **node.rule.inner_growth}
    assert grown.keys() <= node.weights.keys() | node.statistics.keys()


@pytest.mark.parametrize(
    "inner",
    [
        lambda: layers.Bidirectional(layers.LSTM(3)),
        lambda: layers.TimeDistributed(layers.Dense(3)),
        lambda: layers.TimeDistributed(layers.BatchNormalization()),
    ],
)
def test_a_wrapper_in_a_wrapper_has_no_rule_and_says_so(inner):
    steps = keras.Input((3, 4, CHANNELS))
    x = layers.TimeDistributed(inner(), name="wrapped")(layers.Dense(5)(steps))
    model = keras.Model(steps, layers.Dense(2)(layers.Flatten()(x)))
    assert Architecture.from_keras(model)["wrapped"].rule is None
    assert not sites(model)
    for operator in ("alter_channels", "remove_filters"):
        assert "no rule for it with this kind of layer in it" in why(model, operator, "wrapped")


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        (layers.PReLU(shared_axes=[2]), "its settings are for this number of channels"),
        (layers.PReLU(shared_axes=[1]), ""),
        (layers.Permute((2, 1)), "it moves the axis of the channels"),
        (layers.Permute((1, 2)), ""),
        (layers.Dense(4, trainable=False), "it is frozen, and what it would read of them could never be learnt"),
    ],
)
def test_the_axes_of_a_layer_in_a_wrapper_are_its_own(inner, reason):
    steps = keras.Input((3, 4, CHANNELS))
    x = layers.TimeDistributed(inner, name="wrapped")(layers.Dense(5, name="before")(steps))
    model = keras.Model(steps, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    assert bool(sites(model, "alter_channels", "before")) == (not reason)
    assert reason in why(model, "alter_channels", "before")


def like_convnext() -> keras.Model:
    """A stem, and two blocks as those of ConvNeXt, with batch normalisations, which let new channels pass."""
    scale = trusted.class_of("keras.applications>LayerScale")
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 2, strides=2, name="stem")(image)
    for number in (1, 2):
        y = layers.DepthwiseConv2D(3, padding="same")(x)
        y = layers.Dense(8, activation="gelu")(layers.BatchNormalization()(y))
        y = scale(0.5, 4, name=f"scale_{number}")(layers.Dense(4)(y))
        x = layers.Add()([x, y])
    return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def test_a_layer_scale_is_widened_exactly():
    keras.utils.set_random_seed(0)
    model = like_convnext()
    child, transfer = registry["alter_channels"].apply(Architecture.from_keras(model), ("stem", 2))
    assert child["scale_1"].weights == {"variable": (child["stem"].channels,)}
    assert transfer.recipes["scale_2", "variable"].fill == "ones"
    assert check_operator(registry["alter_channels"], [model], per_model=4).difference <= 1e-5
