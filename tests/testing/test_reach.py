"""Networks that are not of images, or that normalise over channels, keep the contract too."""

from functools import cache

import keras
import numpy as np
import pytest
from keras import layers, ops

from nash_tf import morph
from nash_tf.architecture import Architecture
from nash_tf.morphisms import option, registry, why
from nash_tf.morphisms.draw import replay
from nash_tf.testing import Parent, check_operator
from nash_tf.testing.random_models import value
from tests.helpers.small_architectures import outputs_with_other_end


def dense():
    image = keras.Input((6,))
    x = layers.LayerNormalization(name="norm")(layers.Dense(8, activation="gelu", name="first")(image))
    x = layers.RMSNormalization(name="rms")(layers.Dense(5, activation="relu", name="second")(x))
    return keras.Model(image, layers.Dense(3, name="head")(x))


def sequence(padding="same"):
    sound = keras.Input((16, 2))
    x = layers.MaxPooling1D()(layers.Conv1D(4, 3, padding=padding, activation="relu", name="first")(sound))
    y = layers.BatchNormalization()(layers.Conv1D(4, 3, padding=padding, name="second")(x))
    x = layers.ReLU(name="relu")(layers.Add(name="sum")([x, y]))
    x = layers.SeparableConv1D(5, 3, padding="same", name="third")(layers.DepthwiseConv1D(3, padding="same")(x))
    x = layers.UpSampling1D(2)(layers.Cropping1D((1, 0))(layers.ZeroPadding1D((2, 1))(x)))
    x = layers.Conv1DTranspose(3, 3, strides=2, name="up")(layers.SpatialDropout1D(0.1)(x))
    return keras.Model(sound, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def volume():
    scan = keras.Input((6, 6, 6, 1))
    x = layers.AveragePooling3D(2)(layers.Conv3D(3, 3, padding="same", activation="relu", name="first")(scan))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv3D(4, 3, padding="same", name="second")(x)))
    x = layers.Conv3DTranspose(2, 2, strides=2, activation="relu", name="up")(x)
    return keras.Model(scan, layers.Dense(3)(layers.GlobalMaxPooling3D()(x)))


def u_net():
    image = keras.Input((8, 8, 1))
    fine = layers.Conv2D(3, 3, padding="same", activation="relu", name="fine")(image)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="coarse")(layers.MaxPooling2D()(fine))
    x = layers.Conv2DTranspose(3, 3, strides=2, padding="same", use_bias=False, name="up")(x)
    x = layers.Conv2D(3, 3, padding="same", activation="relu", name="joined")(layers.Concatenate()([x, fine]))
    return keras.Model(image, layers.Conv2D(2, 1, name="mask")(x))


def normalised():
    image = keras.Input((8, 8, 2))
    x = layers.GroupNormalization(2, name="groups")(layers.Conv2D(4, 3, padding="same", name="first")(image))
    x = layers.LayerNormalization(name="norm")(layers.Conv2D(4, 3, padding="same", name="second")(layers.ReLU()(x)))
    x = layers.Add()([x, layers.DepthwiseConv2D(3, padding="same")(x)])
    x = layers.LayerNormalization(scale=False)(layers.Conv2D(4, 1, activation="gelu", name="third")(x))
    return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def recurrent():
    steps = keras.Input((2, 3))
    x = layers.LayerNormalization()(layers.LSTM(4, return_sequences=True, name="lstm")(steps))
    x = layers.GRU(3, return_sequences=True, name="gru")(x)
    x = layers.GRU(3, reset_after=False, use_bias=False, return_sequences=True, name="old_gru")(x)
    x = layers.LSTM(4, name="last")(layers.SimpleRNN(3, return_sequences=True, name="simple")(x))
    return keras.Model(steps, layers.Dense(3)(x))


def transformer():
    steps = keras.Input((4, 6))
    x = layers.Dense(4, name="stream")(steps)
    y = layers.LayerNormalization()(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 3, name="attention")(y, y, use_causal_mask=True)])
    y = layers.Dense(6, activation="gelu", name="feed")(layers.LayerNormalization()(x))
    x = layers.Add()([x, layers.Dense(4, name="back")(y)])
    return keras.Model(steps, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def operations():
    """Operations of Keras in place of layers."""
    image = keras.Input((8, 8, 2))
    x = ops.relu(layers.Conv2D(4, 3, padding="same", name="first")(image))
    y = ops.gelu(layers.Conv2D(4, 3, padding="same", name="second")(x) * 0.5)
    gate = layers.Dense(4, name="gate")(ops.mean(x, axis=(1, 2)))
    x = x + y * ops.sigmoid(gate)[:, None, None, :]
    x = ops.max_pool(ops.concatenate([x, ops.abs(y)], axis=-1), 2)
    x = ops.transpose(layers.Conv2D(3, 3, activation="relu", name="third")(x), (0, 2, 1, 3))
    return keras.Model(image, layers.Dense(3)(ops.reshape(ops.clip(x, 0.0, 6.0), (-1, 12))))


def both_ways():
    steps = keras.Input((2, 3))
    x = layers.Dense(3, name="first")(steps)
    x = layers.Bidirectional(layers.LSTM(2, return_sequences=True), name="joined")(x)
    return keras.Model(steps, layers.Dense(2)(layers.Bidirectional(layers.GRU(2), "mul", name="product")(x)))


def video():
    frames = keras.Input((2, 6, 6, 1))
    x = layers.TimeDistributed(layers.Conv2D(3, 3, activation="relu"), name="conv")(frames)
    x = layers.TimeDistributed(layers.MaxPooling2D())(layers.TimeDistributed(layers.BatchNormalization())(x))
    x = layers.TimeDistributed(layers.Dense(4, activation="relu"), name="dense")(
        layers.TimeDistributed(layers.Flatten())(x)
    )
    return keras.Model(frames, layers.SimpleRNN(3, name="last")(x))


def decoder():
    """Attention to another source, and with a mask."""
    steps = keras.Input((4, 6))
    x, source = layers.Dense(4, name="stream")(steps), layers.Dense(3, name="source")(steps)
    y = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(1, 2, name="cross")(query=y, value=source)
    x = x + layers.MultiHeadAttention(2, 2, name="own")(x, x, attention_mask=np.tril(np.ones((1, 4, 4), bool)))
    return keras.Model(steps, layers.Dense(3)(ops.mean(x, axis=1)))


def parent(model):
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if "seed" not in variable.name:
            variable.assign(value(rng, variable.name, tuple(variable.shape)) / (1 + ("recurrent" in variable.path)))
    return Parent(model)


@cache
def of(make):
    """The architecture of one of the models."""
    return Architecture.from_keras(make())


ON_MAPS = {"alter_channels", "insert_conv", "insert_residual", "merge_concat", "split"}
ON_IMAGES = {*ON_MAPS, "insert_separable_conv", "merge_convex"}
# The operators that have sites there, and those that are checked: all where the convolutions are of another kind, and else
# those that change the layers of which the model is made.
WIDENED = {"alter_channels"}
MODELS = {
    dense: (WIDENED, WIDENED),
    sequence: (ON_IMAGES, ON_IMAGES),
    volume: (ON_MAPS, ON_MAPS),
    u_net: (ON_IMAGES, {"alter_channels", "merge_concat", "split"}),
    normalised: (
        ON_IMAGES - {"split"},
        {"alter_channels", "merge_concat"},
    ),  # it has no activation next to a convolution
    recurrent: (WIDENED, WIDENED),
    transformer: (WIDENED, WIDENED),
    operations: (ON_IMAGES, {"alter_channels", "insert_conv", "merge_concat", "split"}),
    both_ways: (WIDENED, WIDENED),
    video: (WIDENED, WIDENED),
    decoder: (WIDENED, WIDENED),
}


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_operators_conform(make):
    one, (found, checked) = parent(make()), MODELS[make]
    assert {name for name, each in registry.items() if each.sites(one.architecture)} == found
    for name in checked:
        report = check_operator(registry[name], [one], per_model=2 if name == "alter_channels" else 1)
        assert report.alive == report.children > 0, name


def test_each_layer_is_widened():
    expected = {
        dense: {"first", "second"},
        recurrent: {"lstm", "gru", "old_gru", "simple", "last"},
        transformer: {"stream", "attention", "feed"},  # "back" and the attention's output grow with the stream
        operations: {"first", "third"},  # "second" and the gate grow with the first
        both_ways: {"first", "joined", "product"},
        video: {"conv", "dense"},
        decoder: {"stream", "source", "cross", "own"},
    }
    for make, names in expected.items():
        sites = registry["alter_channels"].sites(of(make))
        assert {name for name, _ in sites} == names


class TestAttention:
    def test_more_heads_leave_the_width(self):
        architecture = of(transformer)
        child, transfer = registry["alter_channels"].apply(architecture, ("attention", "to", 5))
        assert child["attention"].config["num_heads"] == 5 and child["attention"].channels == 4
        assert transfer.recipes["attention", "kernel:3"].fill == "zeros"
        assert "2 heads already; give more than 2" in why(architecture, "alter_channels", ("attention", "to", 2))

    def test_only_the_kernel_that_reads_a_source_grows_with_it(self):
        architecture = of(decoder)
        _, transfer = registry["alter_channels"].apply(architecture, ("source", "to", 5))
        assert {name for node, name in transfer.recipes if node == "cross"} == {"kernel:1", "kernel:2"}
        child, transfer = registry["alter_channels"].apply(architecture, ("stream", 2))
        grown = {name for node, name in transfer.recipes if node == "cross"}
        assert grown == {"kernel", "kernel:3", "bias:3"} and child["cross"].channels == 8

    def test_masks(self):
        """Words of different lengths: recurrent layers are widened, and masks stay."""
        words = keras.Input((5,), dtype="int32")
        x = layers.Embedding(9, 4, mask_zero=True, name="words")(words)
        model = keras.Model(words, layers.Dense(2)(layers.LSTM(3, name="lstm")(x)))
        batch = np.array([[1, 2, 0, 0, 0], [3, 4, 5, 6, 7]])
        places = [("alter_channels", (name, 2)) for name in ("words", "lstm")]
        grown = morph(model, places, calibration=batch)
        assert grown.certificate["max_difference"] <= grown.certificate["bound"]
        assert grown.model.get_layer("lstm").units == 6 and grown.model.get_layer("words").mask_zero


class TestBothWays:
    def test_the_units_of_both_grow_alike(self):
        architecture = of(both_ways)
        child, transfer = registry["alter_channels"].apply(architecture, ("joined", "to", 6))
        assert child["joined"].weights["recurrent_kernel:1"] == (3, 12)
        assert transfer.recipes["product", "kernel"].insertions == ((2, 1), (4, 1))
        assert "grow alike" in why(architecture, "alter_channels", ("joined", "to", 5))

    def test_others_stay_as_they_are(self):
        steps = keras.Input((3, 4))
        back = layers.LSTM(3, go_backwards=True, activation="relu")
        model = keras.Model(
            steps, layers.Dense(2)(layers.Bidirectional(layers.LSTM(3), backward_layer=back, name="both")(steps))
        )
        assert "set up differently" in why(model, "alter_channels", "both")
        model = keras.Model(steps, layers.TimeDistributed(layers.Normalization(), name="each")(steps))
        assert "of the layer in it: there is no rule" in why(model, "alter_channels", "each")


class TestNormalisation:
    def test_all_channels_are_copied(self):
        architecture = of(dense)
        _, transfer = registry["alter_channels"].apply(architecture, ("first", 2))
        assert transfer.recipes["first", "kernel"].fill == "copies:8"
        assert transfer.recipes["norm", "gamma"].fill == "copies:8"
        assert transfer.recipes["second", "kernel"].fill == "zeros"

    def test_another_width_is_refused_with_the_reason(self):
        with pytest.raises(ValueError, match="norm .LayerNormalization. .*only 2, 3, ... times as many"):
            option(of(dense), "alter_channels", "first", "to", 12)
        assert option(of(dense), "alter_channels", "first", "to", 24).params > 0

    def test_groups_are_added(self):
        architecture = of(normalised)
        child, _ = registry["alter_channels"].apply(architecture, ("first", "to", 6))
        assert (child["groups"].config["groups"], child["groups"].channels) == (3, 6)
        assert "must be a multiple of 2" in why(architecture, "alter_channels", ("first", "to", 5))

    def test_fewer_are_refused(self):
        assert "fewer have another mean" in why(of(dense), "remove_filters", ("first", "to", 4))


class TestSequences:
    def test_later_steps_are_not_seen(self):
        """What is computed of a step does not depend on later steps, before and after."""
        sound = keras.Input((8, 2))
        x = layers.Conv1D(3, 3, padding="causal", activation="relu")(sound)
        x = layers.Conv1D(3, 1, activation="relu", name="mixed")(x)
        architecture = Architecture.from_keras(keras.Model(sound, layers.Conv1D(1, 1, name="out")(x)))
        assert not registry["insert_separable_conv"].sites(architecture)
        child, _ = replay(architecture, [("insert_conv", ("mixed", "out", 3), 0)])
        before, after = outputs_with_other_end(child)
        np.testing.assert_array_equal(before[:, :5], after[:, :5])
        assert np.abs(before - after)[:, 5:].min() > 0

    def test_words_are_no_map(self):
        words = keras.Input((5,), dtype="int32")
        x = layers.Dense(4, activation="relu", name="mixed")(layers.Embedding(9, 4)(words))
        model = keras.Model(words, layers.Dense(2, name="out")(x))
        assert not registry["insert_conv"].sites(Architecture.from_keras(model))
        assert "comes from no 1-D convolution" in why(model, "insert_conv", ("mixed", "out", 3))


def test_a_sequence_of_one_step_takes_no_larger_kernel():
    sound = keras.Input((1, 2))
    x = layers.ReLU(name="relu")(layers.Conv1D(3, 1)(sound))
    model = keras.Model(sound, layers.Conv1D(2, 1, name="out")(x))
    assert "the map of relu has one pixel" in why(model, "insert_conv", ("relu", "out", 3))


def test_a_layer_that_keeps_states_is_closed():
    steps = keras.Input(batch_shape=(2, 5, 3))
    model = keras.Model(steps, layers.Dense(2)(layers.LSTM(4, stateful=True, name="lstm")(steps)))
    assert "keeps states" in why(model, "alter_channels", "lstm")


@pytest.mark.parametrize("make", [dense, normalised, transformer, recurrent, both_ways], ids=lambda make: make.__name__)
def test_what_foresight_chooses_from_applies(make):
    architecture = of(make)
    for operator in registry.values():
        found = operator.choices(architecture)
        assert len(set(found)) == len(found) and set(operator.sites(architecture)) <= set(found)
        for site in found:
            operator.apply(architecture, site)
