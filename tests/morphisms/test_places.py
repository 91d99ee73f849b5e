"""Where operators have a place, by what the layers around it let pass, and what it costs."""

import os
import subprocess
import sys
from dataclasses import replace

import keras
import pytest
from keras import layers, ops

from nash_tf.architecture import Architecture, layer_rules
from nash_tf.architecture.costs import flops
from nash_tf.architecture.vanilla import vanilla
from nash_tf.morphisms import Option, registry, sites
from nash_tf.morphisms.weight_transfer import (
    Fresh,
)
from tests.helpers.small_architectures import architecture_of, concat, conv, convex, split

# By kind of each activation a call of it that may give negative numbers.
ACTIVATIONS = {
    "ReLU": lambda: layers.ReLU(negative_slope=0.1),
    "LeakyReLU": lambda: layers.LeakyReLU(0.1),
    "PReLU": lambda: layers.PReLU(shared_axes=[1, 2]),
    "ELU": lambda: layers.ELU(),
    "Activation": lambda: layers.Activation("silu"),
    "keras.ops>Gelu": lambda: ops.gelu,
}


class TestInsert:
    def test_relu6_behind_relu6(self):
        parent = vanilla((8, 8, 3), 3, (4, 4))
        parent = parent.edited([replace(parent["relu_1"], config={"max_value": 6.0})])
        child, _ = registry["insert_conv"].apply(parent, ("pool_1", "conv_2", 3))
        assert child["relu_3"].config == {"max_value": 6.0}
        child, _ = registry["insert_conv"].apply(parent, ("relu_2", "pool", 3))
        assert child["relu_3"].config == {}

    @pytest.mark.parametrize("name", ["insert_conv", "insert_separable_conv"])
    def test_a_sum_where_the_source_may_be_negative(self, name):
        def build(x):
            x = layers.Activation("silu", name="act")(conv("a")(x))
            return conv("b", 2)(layers.AveragePooling2D(2, name="mean")(x))

        parent = architecture_of(build)
        edges = [("act", "mean"), ("mean", "b")]
        assert registry[name].sites(parent) == [(*edge, size) for edge in edges for size in (3, 5)]
        child, edit = registry[name].apply(parent, ("mean", "b", 3))
        assert child["b"].inputs == ("add_1",) and child["add_1"].inputs == ("mean", "bn_1")
        assert child["act_1"].kind == "Activation" and child["act_1"].config == {"activation": "silu"}
        assert edit.recipes["bn_1", "gamma"] == edit.recipes["bn_1", "beta"] == Fresh((4,), "zeros")
        assert edit.calibrate == ("bn_1",) and not any("dirac" in recipe.fill for recipe in edit.recipes.values())

    @pytest.mark.parametrize("name", ["insert_conv", "insert_separable_conv"])
    @pytest.mark.parametrize(
        ("shape", "offered"),
        [((1, 1, 4), False), ((1, 3, 4), True), ((3, 1, 4), True), ((2, 2, 4), True), ((None, None, 4), True)],
    )
    def test_nothing_on_a_map_of_one_pixel(self, name, shape, offered):
        # Of all places of its kernel only the middle would ever see data.
        parent = architecture_of(lambda x: conv("b", 2)(conv("a", activation="relu")(x)), shape)
        assert registry[name].sites(parent) == [("a", "b", size) for size in (3, 5) if offered]

    @staticmethod
    def inserted_after(activation, scale):
        """A child with a block where the last activation is this one, scaled and shifted, and the one before a LeakyReLU."""

        def build(x):
            x = layers.LeakyReLU(0.1, name="leaky")(conv("a")(x))
            x = layers.Rescaling(scale, -1.0, name="scale")(layers.Activation(activation, name="last")(conv("b")(x)))
            return conv("c", 2)(layers.MaxPooling2D(2, name="pool")(x))

        return registry["insert_conv"].apply(architecture_of(build), ("pool", "c", 3))[0]

    def test_each_activation_may_be_that_of_a_block(self):
        assert {kind for kind, rule in layer_rules.LAYER_RULES.items() if rule.role == "activation"} == set(ACTIVATIONS)
        for kind, activation in ACTIVATIONS.items():
            parent = architecture_of(lambda x: conv("b", 2)(activation()(conv("a")(x))))  # noqa: B023
            (last,) = parent["b"].inputs
            child, _ = registry["insert_conv"].apply(parent, (last, "b", 3))
            new = [node for node in child.nodes if node.name not in parent]
            assert new[1].kind == ("ReLU" if kind == "PReLU" else kind)  # none with variables

    def test_behind_an_operation_a_block_has_its_policy(self):
        half = "mixed_bfloat16"
        parent = architecture_of(lambda x: conv("b", 2, dtype=half)(ops.gelu(conv("a", dtype=half)(x))))
        child, _ = registry["insert_conv"].apply(parent, (*parent["b"].inputs, "b", 3))
        new = [node for node in child.nodes if node.name not in parent]
        assert [node.config.get("dtype") for node in new] == [half, None, half, half]
        assert child.to_keras()

    def test_no_exponential_in_a_block(self):
        # Zero times infinity is no zero.
        child = self.inserted_after("exponential", 1.0)
        assert child["act_1"].kind == "LeakyReLU"

    def test_gates_are_no_activation_for_a_block(self):
        child = self.inserted_after("sigmoid", 2.0)
        assert (child["act_1"].kind, child["act_1"].config) == ("LeakyReLU", {"negative_slope": 0.1})

    def test_no_activation_at_all(self):
        parent = architecture_of(lambda x: conv("b", 2)(layers.AveragePooling2D(2, name="pool")(conv("a")(x))))
        child, _ = registry["insert_conv"].apply(parent, ("pool", "b", 3))
        assert (child["act_1"].kind, child["act_1"].config) == ("ReLU", {})


class TestMerges:
    def test_features(self):
        def build(x):
            x = conv("a", activation="gelu")(x)
            y = layers.Add(name="add")([x, conv("b")(x)])
            return conv("c", 2)(layers.BatchNormalization(name="norm")(y))

        assert convex.sites(architecture_of(build)) == [("add", "a")]
        assert concat.sites(architecture_of(build)) == [("add", "a", 1)]

    def test_a_relu_of_what_is_never_negative_is_not_merged_with_it(self):
        def build(x):
            x = conv("a", activation="relu")(x)
            x = layers.MaxPooling2D(3, 1, "same", name="pool")(layers.ReLU(name="again")(x))
            return conv("c", 2)(x)

        assert convex.sites(architecture_of(build)) == [("pool", "a"), ("pool", "again")]

    def test_sums_of_what_is_never_negative_are_left_to_their_inputs(self):
        parent, _ = split.apply(vanilla((8, 8, 3), 3, (4, 4)), ("conv_1",))
        assert not any("add_3" in site for site in concat.sites(parent))


_WHY = """
import sys
from nash_tf.architecture import Architecture
from nash_tf.morphisms import why
print(why(Architecture.from_json(sys.stdin.read()), "alter_channels", "conv"))
"""


def test_the_reason_does_not_depend_on_the_process():
    """Of two layers that both stand in the way always the same is named, whatever the order of Python's sets."""
    one, two = keras.Input((8, 8, 4), name="one"), keras.Input((8, 8, 4), name="two")
    x = layers.Add()([layers.Conv2D(4, 3, padding="same", name="conv")(one), layers.Add()([one, two])])
    model = keras.Model([one, two], layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    told = {
        subprocess.run(
            [sys.executable, "-c", _WHY],
            input=Architecture.from_keras(model).to_json(),
            env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(6)
    }
    assert len(told) == 1


class TestCosts:
    def test_flops_by_hand(self):
        def build(x):
            x = layers.Conv2D(6, 3, strides=2, padding="same", name="a")(x)  # 4 x 4
            x = layers.SeparableConv2D(5, 3, padding="same", name="b")(x)
            x = layers.BatchNormalization(name="norm")(x)
            x = layers.DepthwiseConv2D((3, 1), padding="same", depth_multiplier=2, name="c")(x)
            x = layers.Conv2D(4, 1, groups=2, name="d")(x)
            x = layers.Dense(3, name="e")(x)
            return layers.Dense(2, name="f")(layers.Flatten(name="flat")(x))

        a, b, c, d, e, f = 3 * 3 * 4 * 6, 3 * 3 * 6 + 6 * 5, 3 * 10, 5 * 4, 4 * 3, 48 * 2
        assert flops(architecture_of(build)) == 2 * (16 * (a + b + c + d + e) + f)

    def test_open_sides(self):
        assert flops(vanilla((None, None, 3), 3, (4, 4))) is None

    def test_options(self):
        parent = vanilla((8, 8, 3), 3, (4, 4))
        options = sites(parent)
        assert [option.operator for option in options] == sorted(option.operator for option in options)
        assert Option("insert_conv", ("relu_1", "pool_1", 3), 9 * 16 + 8, 2 * 64 * 9 * 16) in options
        assert Option("alter_channels", ("conv_2", 2), 9 * 16 + 8 + 4 * 3, 2 * (16 * 9 * 16 + 12)) in options
        assert sites(parent, ["split"]) == [option for option in options if option.operator == "split"]
        assert sites(parent.to_keras()) == options
        assert {option.flops for option in sites(vanilla((None, None, 3), 3, (4, 4)))} == {None}
