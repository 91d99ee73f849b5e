"""Reductions that take layers out of a network, or replace one: what goes, and what is refused."""

import numpy as np
import pytest
from keras import layers

from nash_tf.architecture import Architecture
from nash_tf.architecture.vanilla import vanilla
from nash_tf.morphisms import reductions, why
from nash_tf.morphisms.weight_transfer import Separate, Take, WeightTransfer, apply_to_slots, apply_to_weights
from tests.helpers.small_architectures import architecture_of, conv

BLOCK, CUT, SEPARATE = (reductions[name] for name in ("remove_block", "cut_merge", "separate_conv"))


def names(architecture: Architecture) -> list[str]:
    return [node.name for node in architecture.nodes if node.kind != "InputLayer"]


def chain(x):
    for number in (1, 2, 3):
        x = conv(f"conv_{number}", 4)(x)
        x = layers.ReLU(name=f"relu_{number}")(layers.BatchNormalization(name=f"bn_{number}")(x))
    return conv("head", 2)(x)


def residual(x):
    x = conv("stem", 4)(x)
    y = layers.ReLU(name="act")(conv("inner", 4)(x))
    return conv("head", 2)(layers.Add(name="sum")([x, y]))


def gated(x):
    x = conv("stem", 4)(x)
    gate = layers.Dense(4, name="gate")(layers.GlobalAveragePooling2D(name="mean", keepdims=True)(x))
    return conv("head", 2)(layers.Multiply(name="scaled")([x, gate]))


def joined(x):
    x = conv("stem", 4)(x)
    branches = [x, conv("b", 3)(x), conv("c", 2)(x)]
    return conv("head", 2)(layers.BatchNormalization(name="norm")(layers.Concatenate(name="both")(branches)))


class TestRemoveBlock:
    def test_a_chain_is_cut_at_the_ends_of_its_blocks(self):
        architecture = architecture_of(chain)
        assert BLOCK.sites(architecture) == [("relu_2", "relu_1"), ("relu_3", "relu_2")]
        child, transfer = BLOCK.apply(architecture, ("relu_2", "relu_1"))
        assert names(child) == ["conv_1", "bn_1", "relu_1", "conv_3", "bn_3", "relu_3", "head"] and not transfer.recipes
        assert child["conv_3"].inputs == ("relu_1",)

    def test_a_residual_block(self):
        architecture = architecture_of(residual)
        assert BLOCK.sites(architecture) == [("sum", "stem")]
        assert names(BLOCK.apply(architecture, ("sum", "stem"))[0]) == ["stem", "head"]

    def test_what_something_else_reads_stays(self):
        def build(x):
            x = conv("stem", 4)(x)
            inner = conv("inner", 4)(x)
            x = layers.Add(name="sum")([x, conv("last", 4)(inner)])
            return conv("head", 2)(layers.Concatenate(name="both")([x, inner]))

        child, _ = BLOCK.apply(architecture_of(build), ("sum", "stem"))
        assert names(child) == ["stem", "inner", "both", "head"] and child["both"].inputs == ("stem", "inner")

    @pytest.mark.parametrize(
        ("build", "site", "reason"),
        [
            (chain, ("relu_4", "relu_1"), "there is no layer 'relu_4'; the nearest is"),
            (chain, ("relu_1", "relu_2"), "relu_1 does not depend on relu_2"),
            (chain, ("head", "relu_3"), "head is an output of the network"),
            (chain, ("relu_1", "bn_1"), "nothing that is trained would go"),
            (chain, ("conv_1", "relu_2"), "conv_1 does not depend"),
            (residual, ("act", "stem"), "sum reads stem already"),
            (residual, ("sum", "act"), "not every way to sum passes act: sum is on another"),
            (joined, ("both", "stem"), r"both has the shape \(8, 8, 9\), stem \(8, 8, 4\)"),
            (residual, ("sum",), r"its sites are \(later, earlier\)"),
        ],
    )
    def test_what_is_no_block_is_refused(self, build, site, reason):
        with pytest.raises(ValueError, match=f"remove_block: .*{reason}"):
            BLOCK.apply(architecture_of(build), site)

    def test_where_no_block_is_it_says_so(self):
        assert "no block of layers begins or ends there" in why(vanilla((8, 8, 3), 3, (4, 6)), "remove_block", "conv_1")


class TestCutMerge:
    def test_a_sum_of_two_goes_too(self):
        architecture = architecture_of(residual)
        assert CUT.sites(architecture) == [("sum", "act")]
        assert names(CUT.apply(architecture, ("sum", "act"))[0]) == ["stem", "head"]

    def test_a_sum_of_three_stays(self):
        def build(x):
            x = conv("stem", 4)(x)
            return conv("head", 2)(layers.Add(name="sum")([x, conv("b", 4)(x), conv("c", 4)(x)]))

        child, _ = CUT.apply(architecture_of(build), ("sum", "b"))
        assert child["sum"].inputs == ("stem", "c") and names(child) == ["stem", "c", "sum", "head"]

    def test_a_gate(self):
        architecture = architecture_of(gated)
        assert CUT.sites(architecture) == [("scaled", "gate")]
        assert names(CUT.apply(architecture, ("scaled", "gate"))[0]) == ["stem", "head"]

    def test_of_a_concatenation_the_channels_go_too(self):
        child, transfer = CUT.apply(architecture_of(joined), ("both", "b"))
        assert child["both"].inputs == ("stem", "c") and child["both"].channels == child["norm"].channels == 6
        left = (0, 1, 2, 3, 7, 8)
        assert transfer.recipes["norm", "gamma"] == Take(((0, left),))
        assert transfer.recipes["head", "kernel"] == Take(((2, left),)) and "b" not in child

    def test_a_concatenation_of_two_goes_too(self):
        def build(x):
            x = conv("stem", 4)(x)
            return conv("head", 2)(layers.Concatenate(name="both")([conv("b", 3)(x), x]))

        child, transfer = CUT.apply(architecture_of(build), ("both", "b"))
        assert names(child) == ["stem", "head"] and child["head"].inputs == ("stem",)
        assert transfer.recipes["head", "kernel"] == Take(((2, (3, 4, 5, 6)),))

    @pytest.mark.parametrize(
        ("build", "site", "reason"),
        [
            (residual, ("sum", "stem"), "nothing that is trained would go"),
            (residual, ("sum", "inner"), "inner is no input of sum; its inputs are stem, act"),
            (residual, ("act", "inner"), r"act \(ReLU\) is no merge, and no input of one"),
            (residual, ("add", "act"), "there is no layer 'add'"),
            (gated, ("scaled", "stem"), r"scaled has the shape \(8, 8, 4\), gate \(1, 1, 4\)"),
            (
                lambda x: conv("head", 2)(layers.Subtract(name="less")([conv("a", 4)(x), conv("b", 4)(x)])),
                ("less", "a"),
                "what is left of less would have the other sign",
            ),
            (
                lambda x: layers.Add(name="sum")([conv("a", 4)(x), conv("b", 4)(x)]),
                ("sum", "a"),
                "sum is an output of the network",
            ),
            (
                lambda x: conv("head", 2)(layers.Add(name="sum")([y := conv("a", 4)(x), y])),
                ("sum", "a"),
                "nothing would be left of sum",
            ),
            (
                lambda x: layers.Softmax(name="soft")(layers.Concatenate(name="both")([conv("a")(x), conv("b")(x)])),
                ("both", "a"),
                r"soft \(Softmax\) cannot take new channels",
            ),
        ],
    )
    def test_what_is_no_branch_is_refused(self, build, site, reason):
        with pytest.raises(ValueError, match=f"cut_merge: .*{reason}"):
            CUT.apply(architecture_of(build), site)


class TestSeparateConv:
    def test_a_convolution_becomes_separable(self):
        build = lambda x: conv("head", 2)(conv("a", 4, strides=2, kernel_regularizer="l2", activation="relu")(x))  # noqa: E731
        child, transfer = SEPARATE.apply(architecture_of(build), ("a",))
        config = child["a"].config
        assert child["a"].kind == "SeparableConv2D" and child["a"].channels == 4 and config["activation"] == "relu"
        assert config["depthwise_regularizer"] == config["pointwise_regularizer"] and "kernel_regularizer" not in config
        assert transfer.recipes.keys() == {("a", "depthwise_kernel"), ("a", "pointwise_kernel")}

    @pytest.mark.parametrize(("dtype", "error"), [(np.float32, 1e-5), (np.float64, 1e-12)])
    def test_the_kernel_of_a_separable_one_comes_back(self, dtype, error):
        rng = np.random.default_rng(0)
        depthwise, pointwise = rng.normal(size=(3, 3, 2, 1)), rng.normal(size=(1, 1, 2, 5))
        kernel = (depthwise * pointwise[0]).astype(dtype)
        one, two = self._separated(kernel)
        np.testing.assert_allclose(one * two[0], kernel, rtol=0, atol=error)

    def test_no_other_is_nearer(self):
        kernel = np.random.default_rng(1).normal(size=(3, 3, 2, 5)).astype(np.float32)
        one, two = self._separated(kernel)
        error = kernel - one * two[0]  # at the least it has no gradient
        np.testing.assert_allclose((error * two[0]).sum(3), 0.0, atol=1e-5)
        np.testing.assert_allclose((error * one).sum((0, 1)), 0.0, atol=1e-5)

    def _separated(self, kernel):
        parts = {"depthwise_kernel": (3, 3, 2, 1), "pointwise_kernel": (1, 1, 2, 5)}
        transfer = WeightTransfer({("a", part): Separate(("a", "kernel"), part, parts[part]) for part in parts})
        weights = apply_to_weights(transfer, {("a", "kernel"): kernel}, 0)
        slots = apply_to_slots(transfer, {("a", "kernel"): kernel})
        assert all(np.isnan(slots["a", part]).all() for part in parts)
        assert all(weights["a", part].shape == shape for part, shape in parts.items())
        return (weights["a", part] for part in parts)

    @pytest.mark.parametrize(
        ("settings", "reason"),
        [
            ({"kernel_size": 1}, "a would not become smaller: it has 12 parameters, and would 15"),
            ({"strides": (1, 2)}, "a has unequal strides, 1 x 2"),
            ({"trainable": False}, "a is frozen, and could not win back"),
            ({"kernel_constraint": "unit_norm"}, "the constraint on a/kernel would not hold"),
            ({"groups": 3, "filters": 6}, "a cannot be separated: .*groups"),
        ],
    )
    def test_where_it_cannot_the_reason_is_said(self, settings, reason):
        settings = {"filters": 4, "kernel_size": 3, "use_bias": False, **settings}
        build = lambda x: conv("head", 2)(layers.Conv2D(name="a", **settings)(x))  # noqa: E731
        with pytest.raises(ValueError, match=f"separate_conv: .*{reason}"):
            SEPARATE.apply(architecture_of(build, (8, 8, 3)), ("a",))
