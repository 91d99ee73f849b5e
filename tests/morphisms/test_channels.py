"""What each kind of layer lets pass, bounds of outputs, and the sites and costs that follow, worked out by hand."""

import keras
import numpy as np
import pytest
from keras import layers

from nash_tf.architecture import Architecture, Node, layer_rules
from nash_tf.architecture.layer_rules.bounds import ACTIVATIONS
from nash_tf.architecture.vanilla import vanilla
from nash_tf.morphisms import registry, sites
from nash_tf.morphisms.slides import SLIDES
from nash_tf.morphisms.weight_transfer import (
    UNSET,
    Extend,
    ExtendTwice,
    WeightTransfer,
    apply_to_slots,
    apply_to_weights,
)
from tests.helpers.small_architectures import (
    INF,
    alter,
    architecture_of,
    between,
    concat,
    conv,
    convex,
    own_activation,
    residual,
)


class TestBounds:
    @pytest.mark.parametrize(
        ("kind", "config", "given", "expected"),
        [
            ("ReLU", {}, (-INF, INF), (0, INF)),
            ("ReLU", {"max_value": 6.0}, (-INF, INF), (0, 6)),
            ("ReLU", {}, (-1, 6), (0, 6)),
            ("ReLU", {"threshold": 1.0}, (-INF, INF), (0, INF)),
            ("ReLU", {"threshold": -1.0}, (-INF, INF), (-INF, INF)),
            ("ReLU", {"negative_slope": 0.1}, (-INF, INF), (-INF, INF)),
            ("ReLU", {"negative_slope": 0.1, "max_value": 6.0}, (0, 9), (0, 6)),
            ("ReLU", {"negative_slope": -0.1}, (-INF, INF), (-INF, INF)),
            ("LeakyReLU", {}, (-1, 2), (-INF, INF)),
            ("LeakyReLU", {}, (0, 2), (0, 2)),
            ("Activation", {"activation": "relu6"}, (-INF, INF), (0, 6)),
            ("Activation", {"activation": "silu"}, (0, INF), (0, INF)),
            ("Activation", {"activation": "silu"}, (-INF, INF), (-0.28, INF)),
            ("Activation", {"activation": "selu"}, (0, 1), (-1.76, INF)),
            ("Activation", {"activation": "linear"}, (-2, 3), (-2, 3)),
            ("Activation", {"activation": "softmax"}, (-INF, INF), (0, 1)),
            ("Activation", {"activation": "glu"}, (0, 1), (-INF, INF)),
            ("BatchNormalization", {}, (0, 1), (-INF, INF)),
            ("Dropout", {"rate": 0.5}, (0, 6), (0, 12)),
            ("Dropout", {"rate": 1.0}, (0, 6), (-INF, INF)),
            ("GaussianNoise", {"stddev": 0.1}, (0, 1), (-INF, INF)),
            ("ZeroPadding2D", {}, (1, 6), (0, 6)),
            ("UpSampling2D", {"interpolation": "bicubic"}, (0, 1), (-INF, INF)),
            ("UpSampling2D", {}, (0, 1), (0, 1)),
            ("Rescaling", {"scale": -2.0, "offset": 1.0}, (0, INF), (-INF, 1)),
            ("Rescaling", {"scale": [1.0, 2.0], "offset": 0.0}, (0, 1), (-INF, INF)),
            ("mine>Layer", {}, (0, 1), (-INF, INF)),
            ("MaxPooling2D", {"data_format": "channels_first"}, (0, 1), (-INF, INF)),
        ],
    )
    def test_of_one(self, kind, config, given, expected):
        assert layer_rules.bounds(kind, config, [layer_rules.Bounds(*given)]) == pytest.approx(expected)

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("Add", (-1, 5)),
            ("Subtract", (-4, 2)),
            ("Multiply", (-3, 6)),
            ("Average", (-1, 3)),
            ("Maximum", (0, 3)),
            ("Minimum", (-1, 2)),
            ("Concatenate", (-1, 3)),
            ("nash_tf>ConvexMerge", (-1, 3)),
        ],
    )
    def test_of_two(self, kind, expected):
        assert layer_rules.bounds(kind, {}, [layer_rules.Bounds(-1, 2), layer_rules.Bounds(0, 3)]) == expected

    def test_a_gate_of_something_unbounded(self):
        assert layer_rules.bounds("Multiply", {}, [layer_rules.Bounds(0, INF), layer_rules.Bounds(0, 1)]) == (0, INF)

    def test_values_of_activations_lie_within_their_declared_bounds(self):
        numbers = np.linspace(-30, 30, 20001).astype(np.float32)
        for name, (low, high) in ACTIVATIONS.items():
            for least, most in ((-30, 30), (0, 30), (0, 6), (-2, 1)):
                inside = numbers[(numbers >= least) & (numbers <= most)]
                values = np.asarray(keras.activations.get(name)(inside))
                bound = layer_rules.bounds("Activation", {"activation": name}, [layer_rules.Bounds(least, most)])
                assert bound.low <= values.min() and values.max() <= bound.high, (name, least, most)
                assert low <= bound.low and bound.high <= high


class TestChannelsPass:
    @pytest.mark.parametrize(
        "middle",
        [
            lambda: [layers.BatchNormalization(scale=False, axis=3)],
            lambda: [layers.ReLU(6.0), layers.LeakyReLU(), layers.PReLU(shared_axes=(1, 2)), layers.PReLU()],
            lambda: [layers.Activation("gelu"), layers.ELU(alpha=0.5), layers.Rescaling(0.5)],
            lambda: [layers.ZeroPadding2D(1), layers.MaxPooling2D(3, 1), layers.Cropping2D(1), layers.UpSampling2D(2)],
            lambda: [layers.DepthwiseConv2D(3, activation="relu"), layers.AveragePooling2D(2)],
            lambda: [layers.Dropout(0.1), layers.SpatialDropout2D(0.1), layers.GaussianNoise(0.1)],
            lambda: [layers.Reshape((4, 16, 4)), layers.Identity()],
        ],
    )
    def test_these(self, middle):
        parent = between(*middle())
        child, edit = alter.apply(parent, ("a", 2))
        assert edit.recipes["b", "kernel"] == Extend(2, ((4, 4),), "zeros")
        for node in child.nodes[1:]:
            assert node.channels == (2 if node.name == "b" else 8)
        again = child.to_keras()  # Keras agrees with the shapes
        assert Architecture.from_keras(again).digest == child.digest

    @pytest.mark.parametrize(
        "middle",
        [
            lambda: [layers.LayerNormalization(axis=(1, 2, 3))],
            lambda: [layers.GroupNormalization(2, axis=1)],
            lambda: [layers.Activation("softmax")],
            lambda: [layers.Activation("exponential")],
            lambda: [layers.Softmax(axis=1)],
            lambda: [layers.DepthwiseConv2D(3, depth_multiplier=2)],
            lambda: [layers.DepthwiseConv2D(3, activation="softmax")],
            lambda: [layers.Conv2D(4, 3, groups=2)],
            lambda: [layers.Conv2D(4, 3, trainable=False)],
            lambda: [layers.Permute((3, 2, 1)), layers.Permute((3, 2, 1))],
            lambda: [layers.Reshape((8, 16, 2))],
            lambda: [layers.BatchNormalization(axis=1)],
            lambda: [layers.UnitNormalization()],
            lambda: [layers.Activation(own_activation)],
            lambda: [layers.SeparableConv2D(4, 3, depth_multiplier=2)],
            lambda: [layers.PReLU(shared_axes=(1, 2, 3))],
            lambda: [layers.Rescaling([1.0, 2.0, 3.0, 4.0])],
            lambda: [layers.Rescaling(np.ones(4))],
            lambda: [layers.Rescaling(1.0, offset=[1.0, 2.0, 3.0, 4.0])],
            lambda: [layers.Dropout(0.5, noise_shape=(None, 1, 1, 4))],
        ],
    )
    def test_not_these(self, middle):
        assert ("a", 2) not in alter.sites(between(*middle()))

    @pytest.mark.parametrize("settings", [{"activation": "softmax"}, {"trainable": False}, {"groups": 2}])
    def test_nor_out_of_these(self, settings):
        parent = architecture_of(lambda x: conv("b", 2)(conv("a", 4, **settings)(x)))
        assert alter.sites(parent) == []

    def test_channels_first_is_left_alone(self):
        image = Node("image", "InputLayer", {}, (), (4, 8, 8))
        config = {"filters": 4, "kernel_size": 3, "data_format": "channels_first", "use_bias": False}
        nodes = [image, Node("a", "Conv2D", config, ("image",), (4, 6, 6), {"kernel": (3, 3, 4, 4)})]
        nodes.append(Node("r", "ReLU", {}, ("a",), (4, 6, 6)))
        nodes.append(Node("b", "Conv2D", config, ("r",), (4, 4, 4), {"kernel": (3, 3, 4, 4)}))
        architecture = Architecture(tuple(nodes), ("b",))
        assert sites(architecture) == []
        inserted = registry["insert_conv"]
        assert "the channels come first" in inserted.refusal(architecture, ("r", "b", 3))

    def test_a_hidden_dense_layer(self):
        def build(x):
            x = layers.Flatten(name="flat")(x)
            return layers.Dense(3, name="b")(layers.Dense(5, activation="gelu", name="a")(x))

        child, edit = alter.apply(architecture_of(build), ("a", 2))
        assert child["a"].config["units"] == 10
        assert edit.recipes == {
            ("a", "kernel"): Extend(1, ((5, 5),), "he_normal"),
            ("a", "bias"): Extend(0, ((5, 5),), "zeros"),
            ("b", "kernel"): Extend(0, ((5, 5),), "zeros"),
        }


class TestJoined:
    def test_a_residual_sum_grows_as_one(self):
        parent = architecture_of(residual)
        assert alter.sites(parent) == [("stem", 2), ("stem", 4), ("inner", 2), ("inner", 4)]
        child, edit = alter.apply(parent, ("stem", 2))
        assert child["add"].channels == child["last"].channels == child["stem"].channels == 8
        assert edit.recipes == {
            ("stem", "kernel"): Extend(3, ((4, 4),), "he_normal"),
            ("last", "kernel"): Extend(3, ((4, 4),), "he_normal"),
            ("inner", "kernel"): Extend(2, ((4, 4),), "zeros"),
            ("head", "kernel"): Extend(2, ((4, 4),), "zeros"),
        }

    def test_a_kernel_with_new_filters_and_new_inputs(self):
        def build(x):
            x = conv("stem", 2)(x)
            return conv("head", 1)(layers.Add(name="add")([x, conv("only", 2, 1)(x)]))

        _, edit = alter.apply(architecture_of(build), ("stem", 2))
        recipe = ExtendTwice(Extend(3, ((2, 2),), "he_normal"), Extend(2, ((2, 2),), "zeros"))
        assert edit.recipes["only", "kernel"] == recipe
        edit = WeightTransfer({("only", "kernel"): recipe})
        kernel = {("only", "kernel"): np.array([[1, 2], [3, 4]], np.float32).reshape(1, 1, 2, 2)}
        child = apply_to_weights(edit, kernel, seed=0)["only", "kernel"][0, 0]
        np.testing.assert_array_equal(child[:2, :2], [[1, 2], [3, 4]])
        assert child[:2, 2:].all() and not child[2:].any()
        slots = apply_to_slots(edit, kernel)["only", "kernel"][0, 0]
        np.testing.assert_array_equal(slots, [[1, 2, UNSET, UNSET], [3, 4, UNSET, UNSET], [UNSET] * 4, [UNSET] * 4])

    def test_the_networks_input_in_the_sum_forbids_it(self):
        parent = architecture_of(lambda x: conv("head", 2)(layers.Add(name="add")([x, conv("a")(x)])))
        assert alter.sites(parent) == []

    def test_a_gate_of_one_channel_need_not_grow(self):
        def build(x):
            x = conv("stem")(x)
            gate = conv("gate", 1, activation="sigmoid")(x)
            return conv("head", 2)(layers.Multiply(name="gated")([gate, x]))

        child, _ = alter.apply(architecture_of(build), ("stem", 2))
        assert child["gated"].channels == 8 and child["gate"].channels == 1
        assert ("gate", 2) not in alter.sites(architecture_of(build))

    @pytest.mark.parametrize("target", [(1, 1, 4), (1, 1, -1)])
    def test_squeeze_and_excitation(self, target):
        def build(x):
            x = conv("stem")(x)
            gate = layers.Dense(2, "relu", name="reduce")(layers.GlobalAveragePooling2D(name="squeeze")(x))
            gate = layers.Reshape(target, name="shape")(layers.Dense(4, "sigmoid", name="excite")(gate))
            return conv("head", 2)(layers.Multiply(name="gated")([x, gate]))

        parent = architecture_of(build)
        assert alter.sites(parent) == [("stem", 2), ("stem", 4), ("reduce", 2), ("reduce", 4)]
        child, edit = alter.apply(parent, ("stem", 2))
        assert child["shape"].shape == (1, 1, 8) and child["excite"].config["units"] == 8
        assert edit.recipes["reduce", "kernel"] == Extend(0, ((4, 4),), "zeros")
        assert edit.recipes["excite", "bias"] == Extend(0, ((4, 4),), "zeros")

    def test_a_concatenation_behind_the_sum_is_not_gone_back_through(self):
        def build(x):
            x = conv("stem")(x)
            y = layers.Concatenate(name="concat")([conv("left", 2)(x), conv("right", 2)(x)])
            return conv("head", 2)(layers.Add(name="add")([x, y]))

        assert alter.sites(architecture_of(build)) == []

    def test_merges_of_relus_are_passed_but_by_the_slides(self):
        parent, _ = registry["insert_conv"].apply(vanilla((8, 8, 3), 3, (4, 4)), ("relu_1", "pool_1", 3))
        parent, _ = convex.apply(parent, ("relu_3", "relu_1"))
        assert alter.sites(parent) == [("conv_1", 2), ("conv_1", 4), ("conv_2", 2), ("conv_2", 4)]
        assert SLIDES["alter_channels"].sites(parent) == [("conv_2", 2), ("conv_2", 4)]
        child, edit = alter.apply(parent, ("conv_1", 2))
        assert child["convex_4"].channels == child["conv_3"].channels == child["conv_1"].channels == 8
        assert edit.recipes["conv_2", "kernel"] == Extend(2, ((4, 4),), "zeros")
        with pytest.raises(ValueError, match="not a site"):
            SLIDES["alter_channels"].apply(parent, ("conv_1", 2))

    def test_a_concatenation_in_front_of_a_sum(self):
        def build(x):
            x = layers.ReLU(name="early")(conv("first", 2)(x))
            x = layers.ReLU(name="late")(conv("second")(x))
            return conv("head", 2)(layers.Add(name="add")([x, conv("last")(x)]))

        child, edit = concat.apply(architecture_of(build), ("late", "early", 1))
        assert child["add"].channels == child["last"].channels == 6 and child["late"].channels == 4
        assert edit.recipes["last", "kernel"] == ExtendTwice(
            Extend(3, ((4, 2),), "he_normal"), Extend(2, ((4, 2),), "zeros")
        )

    def test_an_append_may_not_come_back_to_where_it_started(self):
        def build(x):
            x = layers.ReLU(name="early")(conv("first")(x))
            y = layers.ReLU(name="late")(layers.BatchNormalization(name="norm")(x))
            return conv("head", 2)(layers.Add(name="add")([x, conv("last")(y), layers.ELU(name="elu")(y)]))

        # The sum would have `first` grow, and through it the very tensors that are concatenated.
        assert ("late", "early", 1) not in concat.sites(architecture_of(build))

    def test_what_is_appended_may_not_grow_with_it(self):
        def build(x):
            x = layers.ReLU(name="early")(conv("first")(x))
            y = layers.ReLU(name="late")(conv("second")(x))
            return conv("head", 2)(layers.Add(name="add")([x, layers.ELU(name="elu")(y)]))

        # New channels behind `late` would have the sum ask for as many of `first`, and so of `early` itself.
        assert ("late", "early", 1) not in concat.sites(architecture_of(build))

    def test_what_is_appended_to_may_take_new_channels_itself(self):
        def build(x):
            x = layers.ReLU(name="early")(conv("first", 3)(x))
            x = layers.ELU(name="middle")(conv("second", 2)(x))
            y = layers.BatchNormalization(name="norm")(conv("late", 2, activation="relu")(x))
            return conv("head", 1)(layers.Add(name="add")([x, y]))

        child, edit = concat.apply(architecture_of(build), ("late", "early", 1))
        assert edit.recipes["second", "kernel"] == Extend(3, ((2, 3),), "he_normal")
        assert edit.recipes["late", "kernel"] == Extend(2, ((2, 3),), "zeros")
        assert child["late"].shape == (8, 8, 2) and child["late"].config["filters"] == 2


def test_a_depthwise_kernel_grows_by_kernels_of_its_own_scale():
    def build(x):
        return conv("last", 2)(layers.DepthwiseConv2D(3, name="depth")(conv("first")(x)))

    _, edit = registry["alter_channels"].apply(architecture_of(build), ("first", 2))
    assert edit.recipes["depth", "kernel"] == Extend(2, ((4, 4),), "he_normal_depthwise")
