"""Operators that make a network smaller: what goes with a filter, what is refused, and where they are not drawn."""

import numpy as np
import pytest
from keras import layers

from nash_tf.architecture.vanilla import vanilla
from nash_tf.morphisms import Morphism, Reduction, option, reductions, register, registry, sites, why
from nash_tf.morphisms.draw import draw, replay
from nash_tf.morphisms.remove_filters import readers
from nash_tf.morphisms.weight_transfer import Fold, Take, WeightTransfer, apply_to_slots, apply_to_weights
from tests.helpers.small_architectures import architecture_of, conv, residual

PARENT = vanilla((8, 8, 3), 3, (4, 6))
REMOVE, FOLD = reductions["remove_filters"], reductions["fold_batch_norm"]


class TestTake:
    recipe = Take(((1, (0, 2)), (0, (1,))))
    transfer = WeightTransfer({("a", "kernel"): recipe})
    parent = {("a", "kernel"): np.array([[1, 2, 3], [4, 5, 6]], np.float32)}

    def test_weights_and_slots_follow(self):
        for child in (apply_to_weights(self.transfer, self.parent, 0), apply_to_slots(self.transfer, self.parent)):
            np.testing.assert_array_equal(child["a", "kernel"], [[4, 6]])
        assert self.recipe.shape((2, 3)) == (1, 2)

    def test_a_variable_without_slots_has_none(self):
        assert apply_to_slots(self.transfer, {}) == {}


class TestRemoveFilters:
    def test_what_carries_and_reads_the_channels_loses_them_too(self):
        child, transfer = REMOVE.apply(PARENT, ("conv_1", "filters", 0, 2))
        assert [child[name].channels for name in ("conv_1", "bn_1", "relu_1", "conv_2")] == [2, 2, 2, 6]
        assert child["conv_1"].config["filters"] == 2 and child["conv_2"].weights["kernel"] == (3, 3, 2, 6)
        assert transfer.recipes["conv_1", "kernel"] == Take(((3, (1, 3)),))
        assert transfer.recipes["bn_1", "moving_mean"] == Take(((0, (1, 3)),))
        assert transfer.recipes["conv_2", "kernel"] == Take(((2, (1, 3)),))

    @pytest.mark.parametrize("flat", [layers.Flatten(), layers.Concatenate()])
    def test_channels_that_come_several_times(self, flat):
        def build(x):
            x = conv("a", 3)(x)
            return layers.Dense(2, name="head")(flat([x, x] if isinstance(flat, layers.Concatenate) else x))

        parent = architecture_of(build, (1, 2, 1))
        _, transfer = REMOVE.apply(parent, ("a", "filters", 1))
        assert transfer.recipes["head", "kernel"] == Take(((0, (0, 2, 3, 5)),))
        assert readers(parent, "a") == {("head", "kernel"): (0, tuple(range(6)))}

    def test_layers_that_a_sum_joins_lose_the_same(self):
        parent = architecture_of(residual)
        child, transfer = REMOVE.apply(parent, ("stem", 1))
        assert child["stem"].channels == child["last"].channels == child["add"].channels == 3
        assert transfer.recipes["last", "kernel"] == transfer.recipes["stem", "kernel"] == Take(((3, (0, 1, 2)),))

    def test_both_axes_of_a_kernel_that_reads_its_own_output_s_twin(self):
        def build(x):
            x = conv("a", 3)(x)
            return conv("head", 2)(layers.Add(name="sum")([x, conv("b", 3)(x)]))

        _, transfer = REMOVE.apply(architecture_of(build), ("a", "filters", 0))
        assert dict(transfer.recipes["b", "kernel"].kept) == {2: (1, 2), 3: (1, 2)}

    def test_the_inverse_of_widening(self):
        wide, _ = registry["alter_channels"].apply(PARENT, ("conv_1", "to", 9))
        child, _ = REMOVE.apply(wide, ("conv_1", "to", 4))
        assert child.digest == PARENT.digest

    def test_an_open_site_takes_the_least_important(self):
        assert REMOVE.settled(PARENT, ("conv_1", 2), [3.0, 1.0, 2.0, 9.0]) == ("conv_1", "filters", 1, 2)
        assert REMOVE.settled(PARENT, ("conv_1", "to", 3), [1.0, 1.0, 1.0, 1.0]) == ("conv_1", "filters", 3)
        assert REMOVE.settled(PARENT, ("conv_1", "filters", 0), [9.0, 0.0, 0.0, 0.0]) == ("conv_1", "filters", 0)

    def test_which_filters_go_makes_no_difference_to_the_architecture(self):
        named, opened = (
            replay(PARENT, [("remove_filters", site, 0)])[0] for site in (["conv_1", "filters", 0], ["conv_1", 1])
        )
        assert named["conv_1"].channels == 3 and opened.digest == named.digest

    @pytest.mark.parametrize(
        ("site", "reason"),
        [
            (("conv_3", 1), "there is no layer 'conv_3'; the nearest is"),
            (("relu_1", 1), r"relu_1 \(ReLU\) cannot lose channels: it has no filters"),
            (("conv_1", 4), "conv_1 has 4 channels, of which at least one must stay"),
            (("conv_1", 0), "conv_1 has 4 channels: no filter would go"),
            (("conv_1", -1), "no filter would go"),
            (("conv_1", "to", 4), "no filter would go"),
            (("conv_1", "to", 0), "at least one must stay"),
            (("conv_1", "filters", 4), "the filters of conv_1 are 0 to 3, each named once and ascending"),
            (("conv_1", "filters", 1, 0), "each named once and ascending"),
            (("conv_1", "filters", 1, 1), "each named once and ascending"),
            (("conv_1", True), "its sites are"),
            (("conv_1", "half"), "its sites are"),
            ((), r"its sites are \(layer, count\), \(layer, 'to', channels\) and \(layer, 'filters', number, ...\)"),
        ],
    )
    def test_what_is_no_site_is_refused(self, site, reason):
        with pytest.raises(ValueError, match=f"remove_filters: .*{reason}"):
            REMOVE.apply(PARENT, site)

    @pytest.mark.parametrize(
        ("build", "layer", "reason"),
        [
            (residual, "head", "head is an output of the network"),
            (residual, "last", "last loses filters together with stem, after which the site is named"),
            (
                lambda x: conv("b", 2)(layers.Softmax(name="m")(conv("a")(x))),
                "a",
                "m .Softmax. cannot lose channels: it",
            ),
            (
                lambda x: conv("b", 2, trainable=False)(conv("a")(x)),
                "a",
                "b .Conv2D. cannot lose channels: it is frozen$",
            ),
            (
                lambda x: conv("b", 2)(conv("a", trainable=False)(x)),
                "a",
                "a .Conv2D. cannot lose channels: it is frozen$",
            ),
            (
                lambda x: conv("b", 2)(conv("a", kernel_constraint="non_neg")(x)),
                "a",
                "",
            ),
            (
                lambda x: layers.Dense(2, name="b", kernel_constraint="unit_norm")(layers.Flatten()(conv("a")(x))),
                "a",
                "the constraint on b/kernel would undo it",
            ),
        ],
    )
    def test_what_stands_in_the_way_is_named(self, build, layer, reason):
        text = why(architecture_of(build), "remove_filters", (layer, 1))
        with pytest.raises(ValueError, match=reason or "has a place at"):
            raise ValueError(text)


class TestFoldBatchNorm:
    def test_the_layer_takes_its_place(self):
        child, transfer = FOLD.apply(PARENT, ("bn_1",))
        assert "bn_1" not in child and child["relu_1"].inputs == ("conv_1",)
        assert child["conv_1"].weights["bias"] == (4,) and "use_bias" not in child["conv_1"].config
        assert transfer.recipes["conv_1", "kernel"] == Fold("bn_1", 1e-3, (3, 3, 3, 4), 3)

    def test_in_numbers(self):
        transfer = WeightTransfer(
            {("a", "kernel"): Fold("n", 1.0, (1, 2), 1), ("a", "bias"): Fold("n", 1.0, (2,), None)}
        )
        parent = {
            ("a", "kernel"): np.array([[1.0, 1.0]]),
            ("a", "bias"): np.array([5.0, 2.0]),
            ("n", "gamma"): np.array([4.0, 3.0]),
            ("n", "beta"): np.array([1.0, 0.0]),
            ("n", "moving_mean"): np.array([3.0, 0.0]),
            ("n", "moving_variance"): np.array([3.0, 8.0]),
        }
        child = apply_to_weights(transfer, parent, 0)
        np.testing.assert_allclose(child["a", "kernel"], [[2.0, 1.0]])
        np.testing.assert_allclose(child["a", "bias"], [5.0, 2.0])
        assert np.isnan(apply_to_slots(transfer, parent)["a", "kernel"]).all()
        for dtype in (np.float64, np.float32, np.float16):
            without_bias = {key: array.astype(dtype) for key, array in parent.items() if key != ("a", "bias")}
            made = apply_to_weights(transfer, without_bias, 0)
            assert made["a", "kernel"].dtype == made["a", "bias"].dtype == dtype

    @pytest.mark.parametrize(
        ("build", "reason"),
        [
            (lambda x: layers.BatchNormalization(name="n")(conv("a")(x)), "n is an output of the network"),
            (
                lambda x: conv("b")(layers.BatchNormalization(name="n")(layers.ReLU(name="r")(conv("a")(x)))),
                r"r \(ReLU\), before n, cannot take it: it has no kernel with filters",
            ),
            (
                lambda x: conv("b")(
                    layers.BatchNormalization(name="n")(layers.DepthwiseConv2D(3, depth_multiplier=2, name="d")(x))
                ),
                r"d \(DepthwiseConv2D\), before n, cannot take it: its depth_multiplier is 2, not 1",
            ),
            (
                lambda x: conv("b")(layers.BatchNormalization(name="n")(conv("a", activation="relu")(x))),
                "a ends in relu, before n",
            ),
            (
                lambda x: conv("b")(layers.BatchNormalization(name="n", axis=1)(conv("a")(x))),
                "n cannot be folded: it works along axis 1",
            ),
            (
                lambda x: layers.Add(name="s")([y := conv("a")(x), layers.BatchNormalization(name="n")(y)]),
                "s too takes the output of a, without n",
            ),
            (
                lambda x: conv("b")(layers.BatchNormalization(name="n")(conv("a", kernel_constraint="non_neg")(x))),
                "the constraint on a/kernel would undo it",
            ),
        ],
    )
    def test_where_it_cannot_the_reason_is_said(self, build, reason):
        with pytest.raises(ValueError, match=reason):
            FOLD.apply(architecture_of(build), ("n",))

    def test_at_another_layer_the_one_behind_it_is_named(self):
        behind = "conv_1 (Conv2D) is no batch normalisation; ask about the one behind it, bn_1"
        assert why(PARENT, "fold_batch_norm", "conv_1") == f"fold_batch_norm has no place at conv_1: {behind}"
        assert why(PARENT, "fold_batch_norm", ("conv_1",)) == behind
        assert why(PARENT, "fold_batch_norm", "relu_1").endswith(
            "(ReLU) is no batch normalisation, and none is behind it"
        )


def test_what_can_be_separated_is_said():
    parent = architecture_of(lambda x: conv("b")(layers.DepthwiseConv2D(3, name="c")(x)))
    wanted = "no place at c: c (DepthwiseConv2D) cannot be separated: only a full 2-D convolution can"
    assert why(parent, "separate_conv", "c").endswith(wanted)


class TestRegistry:
    def test_reductions_are_found_by_name_alone(self):
        assert not {each.operator for each in sites(PARENT)} & reductions.keys()
        found = sites(PARENT, ["remove_filters", "fold_batch_norm"])
        assert [each.site for each in found] == [("conv_1", "to", 2), ("conv_2", "to", 3), ("bn_1",), ("bn_2",)]
        assert all(each.params < 0 for each in found if each.operator == "remove_filters")
        assert option(PARENT, "remove_filters", "conv_1", "to", 3).params == -(27 + 2 + 9 * 6)

    def test_searches_do_not_know_them(self):
        assert not registry.keys() & reductions.keys()
        with_all = draw(PARENT, 5, dict.fromkeys(registry, 1.0), 1e6, 0)
        assert {move.operator for move in with_all[1]} <= registry.keys()

    def test_register(self, monkeypatch):
        class Own(type(FOLD)):
            name = "own_fold"

        class Neither(Morphism):
            name, exact, refusal = "neither", False, lambda self, architecture, site: ""
            candidates = _apply = lambda self, *arguments: iter(())

        monkeypatch.setitem(reductions, "own_fold", None)
        del reductions["own_fold"]
        assert register(Own()) is reductions["own_fold"] and isinstance(reductions["own_fold"], Reduction)
        assert "own_fold" not in registry
        with pytest.raises(TypeError, match="that is not exact must be a Reduction"):
            register(Neither())
