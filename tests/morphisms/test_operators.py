"""What each operator makes of a network."""

from dataclasses import replace
from functools import partial

import pytest

from nash_tf.architecture import Architecture, Node
from nash_tf.architecture.vanilla import vanilla
from nash_tf.morphisms import option, registry, why
from nash_tf.morphisms.base import MAX_CHANNELS, Move, Origin
from nash_tf.morphisms.draw import replay
from nash_tf.morphisms.names import counted
from nash_tf.morphisms.slides import SLIDES
from nash_tf.morphisms.weight_transfer import (
    Copy,
    Extend,
    Fresh,
    WeightTransfer,
)
from tests.helpers.grown import VANILLA, changed_variables, new_nodes


class TestAlterChannels:
    operator = registry["alter_channels"]

    def test_sites(self):
        assert self.operator.sites(VANILLA) == [(f"conv_{n}", factor) for n in (1, 2, 3) for factor in (2, 4)]

    def test_edit_in_the_middle(self):
        child, edit = self.operator.apply(VANILLA, ("conv_1", 2))
        ins = ((16, 16),)
        assert new_nodes(VANILLA, child) == []
        assert edit == WeightTransfer(
            {
                ("conv_1", "kernel"): Extend(3, ins, "he_normal"),
                ("bn_1", "gamma"): Extend(0, ins, "ones"),
                ("bn_1", "beta"): Extend(0, ins, "zeros"),
                ("bn_1", "moving_mean"): Extend(0, ins, "zeros"),
                ("bn_1", "moving_variance"): Extend(0, ins, "ones"),
                ("conv_2", "kernel"): Extend(2, ins, "zeros"),
            }
        )
        assert changed_variables(VANILLA, child) == set(edit.recipes)
        assert child["conv_1"].config["filters"] == 32
        assert child.params - VANILLA.params == 9 * 3 * 16 + 2 * 16 + 9 * 16 * 32

    def test_edit_at_the_end(self):
        child, edit = self.operator.apply(VANILLA, ("conv_3", 4))
        assert edit.recipes["logits", "kernel"] == Extend(0, ((64, 192),), "zeros")
        assert ("logits", "bias") not in edit.recipes
        assert child["pool"].shape == (256,)
        assert child["logits"].weights == {"kernel": (256, 10), "bias": (10,)}

    def test_the_limit_is_600(self):
        wide = vanilla((16, 16, 3), 10, (150, 151, 300, 301))
        assert self.operator.sites(wide) == [("conv_1", 2), ("conv_1", 4), ("conv_2", 2), ("conv_3", 2)]

    def test_a_network_with_wider_layers_may_go_as_far(self):
        sites = registry["alter_channels"].sites(vanilla((8, 8, 3), 3, (4, 151, 700)))
        assert ("conv_2", 4) in sites and ("conv_3", 2) not in sites

    def test_the_limit_is_600_behind_a_concatenation_too(self):
        wide, _ = registry["merge_concat"].apply(vanilla((16, 16, 3), 10, (300, 300, 64)), ("relu_2", "pool_1", 1))
        for site in self.operator.sites(wide):
            child, _ = self.operator.apply(wide, site)
            assert max(node.channels for node in child.nodes if node.kind == "Concatenate") <= MAX_CHANNELS

    def test_a_bias_grows_and_flatten_interleaves(self):
        nodes = [Node("image", "InputLayer", {}, (), (2, 1, 3))]
        alone = Architecture(tuple(nodes), ("image",))
        nodes.append(alone.make("conv", "Conv2D", {"filters": 2, "kernel_size": 1}, nodes[-1:]))
        nodes.append(alone.make("flat", "Flatten", {}, nodes[-1:]))
        nodes.append(alone.make("logits", "Dense", {"units": 5}, nodes[-1:]))
        child, edit = self.operator.apply(Architecture(tuple(nodes), ("logits",)), ("conv", 2))
        assert edit.recipes["conv", "bias"] == Extend(0, ((2, 2),), "zeros")
        assert edit.recipes["logits", "kernel"] == Extend(0, ((2, 2), (4, 2)), "zeros")
        assert child["flat"].shape == (8,)

    def test_a_concatenation_puts_them_in_the_middle(self):
        parent, _ = registry["merge_concat"].apply(VANILLA, ("relu_2", "pool_1", 1))
        child, edit = self.operator.apply(parent, ("conv_2", 2))
        assert edit.recipes["conv_3", "kernel"] == Extend(2, ((32, 32),), "zeros")
        assert child["conv_3"].weights["kernel"] == (3, 3, 80, 64)
        child, edit = self.operator.apply(parent, ("conv_1", 2))
        assert edit.recipes["conv_3", "kernel"] == Extend(2, ((48, 16),), "zeros")
        assert edit.recipes["conv_2", "kernel"] == Extend(2, ((16, 16),), "zeros")

    def test_both_sides_of_a_concatenation(self):
        parent, _ = registry["merge_concat"].apply(VANILLA, ("pool_1", "relu_1", 2))
        child, edit = self.operator.apply(parent, ("conv_1", 2))
        assert edit.recipes["conv_2", "kernel"] == Extend(2, ((16, 16), (32, 16)), "zeros")
        assert child["conv_2"].weights["kernel"] == (3, 3, 64, 32)

    def test_the_branches_of_a_split_grow_as_one(self):
        parent, _ = registry["split"].apply(VANILLA, ("conv_2",))
        found = [
            [site for site in each.sites(parent) if site[0].endswith(("_2", "_4"))]
            for each in (self.operator, SLIDES[self.operator.name])
        ]
        assert found == [[("conv_4", 2), ("conv_4", 4)], []]

    def test_an_output_stops_them(self):
        stopped = Architecture(VANILLA.nodes, ("logits", "relu_2"))
        assert self.operator.sites(stopped) == [("conv_1", 2), ("conv_1", 4), ("conv_3", 2), ("conv_3", 4)]


@pytest.mark.parametrize(
    ("name", "kind", "fills"),
    [
        ("insert_conv", "nash_tf>IdentityConv2D", {"kernel": ((3, 3, 32, 32), "dirac")}),
        (
            "insert_separable_conv",
            "nash_tf>IdentitySeparableConv2D",
            {"depthwise_kernel": ((3, 3, 32, 1), "depthwise_dirac"), "pointwise_kernel": ((1, 1, 32, 32), "dirac")},
        ),
    ],
)
class TestInsert:
    def test_sites(self, name, kind, fills):
        edges = [
            ("relu_1", "pool_1"),
            ("pool_1", "conv_2"),
            ("relu_2", "pool_2"),
            ("pool_2", "conv_3"),
            ("relu_3", "pool"),
        ]
        assert registry[name].sites(VANILLA) == [(*edge, size) for edge in edges for size in (3, 5)]

    def test_edit(self, name, kind, fills):
        child, edit = registry[name].apply(VANILLA, ("pool_2", "conv_3", 3))
        conv, norm, relu = new_nodes(VANILLA, child)
        assert [child[new].kind for new in (conv, norm, relu)] == [kind, "BatchNormalization", "ReLU"]
        assert child["conv_3"].inputs == (relu,)
        assert (child[relu].inputs, child[norm].inputs, child[conv].inputs) == ((norm,), (conv,), ("pool_2",))
        assert changed_variables(VANILLA, child) == set()
        expected = {(conv, variable): Fresh(*fresh) for variable, fresh in fills.items()}
        expected |= {
            (norm, "gamma"): Fresh((32,), "identity_gamma"),
            (norm, "beta"): Fresh((32,), "zeros"),
            (norm, "moving_mean"): Fresh((32,), "zeros"),
            (norm, "moving_variance"): Fresh((32,), "ones"),
        }
        assert edit == WeightTransfer(expected, calibrate=(norm,))

    def test_only_that_consumer_is_moved(self, name, kind, fills):
        parent, _ = registry["merge_concat"].apply(VANILLA, ("relu_2", "pool_1", 1))
        child, _ = registry[name].apply(parent, ("pool_1", "conv_2", 3))
        (concat,) = (node for node in parent.nodes if node.kind == "Concatenate")
        assert child[concat.name].inputs == ("relu_2", "pool_1")
        assert child["conv_2"].inputs != ("pool_1",)


class TestInsertResidual:
    operator = registry["insert_residual"]

    def test_it_is_added_with_a_gamma_of_zero(self):
        assert self.operator.sites(VANILLA) == registry["insert_conv"].sites(VANILLA)
        child, edit = self.operator.apply(VANILLA, ("pool_2", "conv_3", 3))
        conv, norm, add, relu = new_nodes(VANILLA, child)
        assert [child[new].kind for new in (conv, norm, add, relu)] == ["Conv2D", "BatchNormalization", "Add", "ReLU"]
        assert child["conv_3"].inputs == (relu,) and child[add].inputs == ("pool_2", norm)
        assert edit.recipes[conv, "kernel"] == Fresh((3, 3, 32, 32), "he_normal")
        assert edit.recipes[norm, "gamma"] == Fresh((32,), "zeros") == edit.recipes[norm, "beta"]
        assert edit.calibrate == (norm,)

    def test_what_may_be_negative_is_left_to_insert_conv(self):
        signed = VANILLA.edited([replace(VANILLA["relu_1"], kind="LeakyReLU")], [])
        site = ("relu_1", "pool_1", 3)
        assert site in registry["insert_conv"].sites(signed) and site not in self.operator.sites(signed)
        assert self.operator.why(signed, site) == "relu_1 may be negative; insert_conv adds a residual block there"


class TestMergeConcat:
    operator = registry["merge_concat"]

    def test_sites(self):
        expected = {("pool_1", "relu_1", 2), ("relu_2", "relu_1", 2), ("relu_2", "pool_1", 1), ("pool_2", "relu_1", 4)}
        expected |= {("pool_2", "pool_1", 2), ("pool_2", "relu_2", 2), ("relu_3", "relu_1", 4), ("relu_3", "pool_1", 2)}
        expected |= {("relu_3", "relu_2", 2), ("relu_3", "pool_2", 1)}
        sites = self.operator.sites(VANILLA)
        assert set(sites) == expected and len(sites) == 10

    def test_edit_without_a_pool(self):
        child, edit = self.operator.apply(VANILLA, ("relu_2", "pool_1", 1))
        (joined,) = new_nodes(VANILLA, child)
        assert child[joined].kind == "Concatenate" and child[joined].inputs == ("relu_2", "pool_1")
        assert child[joined].shape == (16, 16, 48)
        assert child["pool_2"].inputs == (joined,) and child["pool_2"].shape == (8, 8, 48)
        assert edit == WeightTransfer({("conv_3", "kernel"): Extend(2, ((32, 16),), "zeros")})
        assert child.params - VANILLA.params == 9 * 16 * 64

    def test_edit_with_a_pool(self):
        child, edit = self.operator.apply(VANILLA, ("relu_3", "relu_1", 4))
        pooled, joined = new_nodes(VANILLA, child)
        assert child[pooled].kind == "MaxPooling2D" and child[pooled].shape == (8, 8, 16)
        assert child[joined].inputs == ("relu_3", pooled)
        assert edit == WeightTransfer({("logits", "kernel"): Extend(0, ((64, 16),), "zeros")})

    def test_the_limit_is_600(self):
        sites = self.operator.sites(vanilla((8, 8, 3), 10, (300, 300, 301)))
        assert ("relu_2", "pool_1", 1) in sites
        assert not [site for site in sites if site[0] == "relu_3"]

    def test_all_consumers_are_moved(self):
        parent, _ = self.operator.apply(VANILLA, ("relu_3", "pool_2", 1))
        child, edit = self.operator.apply(parent, ("pool_2", "pool_1", 2))
        joined = new_nodes(parent, child)[-1]
        assert child["conv_3"].inputs == (joined,)
        assert set(edit.recipes) == {("conv_3", "kernel"), ("logits", "kernel")}
        assert edit.recipes["logits", "kernel"] == Extend(0, ((96, 16),), "zeros")


class TestMergeConvex:
    operator = registry["merge_convex"]

    @pytest.fixture
    def parent(self):
        return registry["insert_conv"].apply(VANILLA, ("relu_2", "pool_2", 3))[0]

    def test_sites(self, parent):
        assert self.operator.sites(VANILLA) == []
        assert self.operator.sites(parent) == [("relu_4", "relu_2")]

    def test_edit(self, parent):
        child, edit = self.operator.apply(parent, ("relu_4", "relu_2"))
        (merged,) = new_nodes(parent, child)
        assert child[merged].kind == "nash_tf>ConvexMerge" and child[merged].inputs == ("relu_4", "relu_2")
        assert child["pool_2"].inputs == (merged,)
        assert changed_variables(parent, child) == set()
        assert edit == WeightTransfer({(merged, "alpha"): Fresh((), "ones")})
        assert child.params == parent.params + 1

    def test_not_the_same_twice(self, parent):
        child, _ = self.operator.apply(parent, ("relu_4", "relu_2"))
        assert self.operator.sites(child) == []


class TestSplit:
    operator = registry["split"]

    def test_sites(self):
        assert self.operator.sites(VANILLA) == [("conv_1",), ("conv_2",), ("conv_3",)]

    def test_edit(self):
        child, edit = self.operator.apply(VANILLA, ("conv_2",))
        assert sorted(new_nodes(VANILLA, child)) == ["add_4", "bn_4", "conv_4", "relu_4"]
        assert child["add_4"].inputs == ("relu_2", "relu_4")
        assert child["pool_2"].inputs == ("add_4",)
        assert changed_variables(VANILLA, child) == set()
        expected = {}
        for end, share in (("2", 0.3), ("4", 0.7)):
            expected["conv_" + end, "kernel"] = Copy(("conv_2", "kernel"), 1.0, share)
            expected["bn_" + end, "gamma"] = Copy(("bn_2", "gamma"), share, 1.0)
            expected["bn_" + end, "beta"] = Copy(("bn_2", "beta"), share, 1.0)
            expected["bn_" + end, "moving_mean"] = Copy(("bn_2", "moving_mean"))
            expected["bn_" + end, "moving_variance"] = Copy(("bn_2", "moving_variance"))
        assert edit == WeightTransfer(expected)
        assert child.params - VANILLA.params == 9 * 16 * 32 + 2 * 32

    def split_at(self, parent):
        """What the sum takes, and what takes the sum, after a split of the second block."""
        child, _ = self.operator.apply(parent, ("conv_2",))
        branches = child["add_4"].inputs
        is_pointless = branches == ("bn_2", "bn_4")  # the sum of these is one convolution
        assert (("conv_2",) in self.operator.sites(parent)) is not is_pointless
        assert ("its block ends in bn_2" in why(parent, "split", "conv_2")) is is_pointless
        assert SLIDES["split"].sites(parent) == [("conv_1",), ("conv_2",), ("conv_3",)]
        return branches, child.consumers["add_4"]

    def test_a_second_consumer_ends_the_block(self):
        taker = VANILLA.make("more", "GlobalAveragePooling2D", {}, [VANILLA["bn_2"]])
        parent = Architecture((*VANILLA.nodes, taker), ("logits", "more"))
        assert self.split_at(parent) == (("bn_2", "bn_4"), ("relu_2", "more"))

    def test_an_output_ends_the_block(self):
        assert self.split_at(Architecture(VANILLA.nodes, ("logits", "relu_2"))) == (("bn_2", "bn_4"), ("relu_2",))

    @pytest.mark.parametrize("config", [{"max_value": 6.0}, {"threshold": 1.0}])
    def test_a_relu_that_is_not_homogeneous_comes_after_the_sum(self, config):
        parent = VANILLA.edited([replace(VANILLA["relu_2"], config=config)])
        assert self.split_at(parent) == (("bn_2", "bn_4"), ("relu_2",))

    def test_a_pointless_place_is_refused_where_it_is_named_and_replayed(self):
        parent = Architecture(VANILLA.nodes, ("logits", "relu_2"))
        for asked in (
            partial(option, parent, "split", "conv_2"),
            partial(self.operator.apply, parent, ("conv_2",), Origin.NAMED),
        ):
            with pytest.raises(ValueError, match="bn_2, without an activation .* one convolution for ever"):
                asked()
        child, _ = replay(parent, [Move("split", ("conv_2",), 0)])
        assert "bn_4" in child

    def test_two_separable_convolutions_are_more_than_one(self):
        config = {"filters": 32, "kernel_size": 3, "padding": "same"}
        conv = VANILLA.make("conv_2", "SeparableConv2D", config, [VANILLA["pool_1"]])
        parent = VANILLA.edited([conv, replace(VANILLA["pool_2"], inputs=("conv_2",))])
        assert ("conv_2",) in self.operator.sites(parent)

    def test_a_leaky_relu_is_homogeneous(self):
        parent = VANILLA.edited([replace(VANILLA["relu_2"], config={"negative_slope": 0.1})])
        assert self.split_at(parent) == (("relu_2", "relu_4"), ("pool_2",))

    def test_a_convolution_alone_is_scaled_itself(self):
        config = {"filters": 32, "kernel_size": 3, "padding": "same", "activation": "relu"}
        conv = VANILLA.make("conv_2", "Conv2D", config, [VANILLA["pool_1"]])
        parent = VANILLA.edited([conv, replace(VANILLA["pool_2"], inputs=("conv_2",))])
        child, edit = self.operator.apply(parent, ("conv_2",))
        assert child["add_4"].inputs == ("conv_2", "conv_4")
        for end, share in (("2", 0.3), ("4", 0.7)):
            assert edit.recipes["conv_" + end, "kernel"] == Copy(("conv_2", "kernel"), share, 1.0)
            assert edit.recipes["conv_" + end, "bias"] == Copy(("conv_2", "bias"), share, 1.0)
        assert len(edit.recipes) == 4


@pytest.mark.parametrize(
    "operators, words",
    [((), ""), (("split",), "split"), (("split", "split", "insert_conv", "split"), "2 split, insert_conv, split")],
)
def test_names_of_operators_in_a_row_are_counted(operators, words):
    assert counted(operators) == words
