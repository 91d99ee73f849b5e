"""What can be done where, by name, pattern and limit; places of one's own; and why others are refused."""

import keras
import numpy as np
import pytest
from keras import layers

import nash_tf
from nash_tf.architecture import Architecture
from nash_tf.architecture.vanilla import vanilla
from nash_tf.morphisms import Morphism, option, registry, sites, why
from nash_tf.morphisms.base import Origin
from nash_tf.morphisms.draw import draw, replay
from tests.helpers.small_architectures import architecture_of, conv, own_activation, residual

PARENT = vanilla((8, 8, 3), 3, (4, 6))


class TestSites:
    def test_one_operator_by_name_or_several(self):
        every = sites(PARENT)
        assert (
            sites(PARENT, "split") == sites(PARENT, ["split"]) == [each for each in every if each.operator == "split"]
        )
        assert sites(PARENT, ("split", "alter_channels"))[0].operator == "split"

    @pytest.mark.parametrize(
        ("layer", "expected"),
        [("conv_1", {"conv_1"}), ("conv_*", {"conv_1", "conv_2"}), ("*", {"conv_1", "conv_2"}), ("pool_?", set())],
    )
    def test_a_layer_or_a_pattern(self, layer, expected):
        assert {each.site[0] for each in sites(PARENT, "alter_channels", layer=layer)} == expected

    def test_any_layer_that_a_site_names_counts(self):
        found = sites(PARENT, "insert_conv", layer="pool_1")
        assert [each.site for each in found] == [
            *[("relu_1", "pool_1", size) for size in (3, 5)],
            *[("pool_1", "conv_2", size) for size in (3, 5)],
        ]

    def test_a_name_that_looks_like_a_pattern(self):
        parent = architecture_of(lambda x: conv("b", 2)(conv("a[1]")(conv("a1")(x))))
        assert {each.site[0] for each in sites(parent, "alter_channels", layer="a[1]")} == {"a[1]"}

    def test_a_limit_on_what_is_added(self):
        added = sorted(each.params for each in sites(PARENT, "alter_channels"))
        assert {each.params for each in sites(PARENT, "alter_channels", max_added=added[1])} == set(added[:2])
        assert sites(PARENT, max_added=0) == []

    def test_a_limit_on_what_there_is_then(self):
        every = sites(PARENT)
        limit = PARENT.params + sorted(each.params for each in every)[1]
        assert sites(PARENT, max_params=limit) == sites(PARENT, max_added=limit - PARENT.params) != every
        assert [each for each in sites(PARENT, max_params=limit) if each.params + PARENT.params > limit] == []
        assert sites(PARENT, max_params=limit, max_added=0) == sites(PARENT, max_params=PARENT.params - 1) == []
        assert sites(PARENT, "remove_filters", max_params=1) == sites(PARENT, "remove_filters") != []  # it comes nearer

    def test_a_limit_on_channels_holds_for_images_alone(self):
        assert {each.site for each in sites(PARENT, "alter_channels", max_channels=12)} == {
            ("conv_1", 2),
            ("conv_2", 2),
        }
        wide = vanilla((8, 8, 3), 3, (301,))
        assert sites(wide, "alter_channels") == []
        assert [each.site for each in sites(wide, "alter_channels", max_channels=700)] == [("conv_1", 2)]
        assert sites(vanilla((8, 8, 3), 10, (300, 300, 301)), "merge_concat", layer="relu_3") == []
        dense = architecture_of(
            lambda x: layers.Dense(2)(layers.Dense(900, name="wide")(layers.Flatten()(x))), (2, 2, 1)
        )
        assert [each.site for each in sites(dense, "alter_channels")] == [("wide", 2), ("wide", 4)]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                {"operators": "spilt"},
                "unknown operator 'spilt'; expected one of alter_channels, .*; the nearest is 'split'$",
            ),
            ({"operators": ["split", "widen"]}, "unknown operator 'widen'; expected one of"),
            ({"operators": []}, "at least one operator"),
            ({"operators": 3}, "operators must be a name or a list of names, received 3"),
            ({"layer": "conv2"}, "there is no layer 'conv2'; the nearest is 'conv_2'$"),
            ({"layer": "dense*"}, "there is no layer 'dense.'$"),
            ({"layer": 3}, "layer must be a name or a pattern, received 3"),
            ({"max_added": "many"}, "max_added must be a number of at least 0, received 'many'"),
            ({"max_params": "few"}, "max_params must be a number of at least 0, received 'few'"),
            ({"max_channels": -1}, "max_channels must be a number of at least 0, received -1"),
        ],
    )
    def test_what_is_unknown_is_refused_with_the_nearest(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            sites(PARENT, **arguments)


class TestOwnPlaces:
    def test_any_width(self):
        found = option(PARENT, "alter_channels", "conv_1", "to", 7)
        assert found == option(PARENT, "alter_channels", ("conv_1", "to", 7)) == option(PARENT, *found[:2])
        child, _ = registry["alter_channels"].apply(PARENT, found.site)
        assert child["conv_1"].channels == child["relu_1"].channels == 7
        assert found.params == child.params - PARENT.params == 3 * (27 + 2 + 9 * 6)

    def test_a_factor_and_the_width_that_it_gives_are_the_same_but_for_the_seed(self):
        one, two = (registry["alter_channels"].apply(PARENT, site) for site in (("conv_2", 2), ("conv_2", "to", 12)))
        assert one == two

    def test_no_limit_on_channels_holds(self):
        assert option(PARENT, "alter_channels", "conv_1", "to", 1000).params > 0
        assert registry["alter_channels"].sites(PARENT) == [(f"conv_{n}", factor) for n in (1, 2) for factor in (2, 4)]
        child, _ = replay(PARENT, [("alter_channels", ["conv_1", "to", 1000], 0)])
        assert child["conv_1"].channels == 1000

    @pytest.mark.parametrize("name", ["insert_conv", "insert_separable_conv"])
    @pytest.mark.parametrize("size", [1, 7])
    def test_any_odd_kernel(self, name, size):
        found = option(PARENT, name, "relu_2", "pool", size)
        child, _ = registry[name].apply(PARENT, found.site)
        (new,) = [node for node in child.nodes if node.name not in PARENT and "kernel_size" in node.config]
        assert new.config["kernel_size"] == [size, size]

    def test_a_kernel_of_one_on_a_map_of_one_pixel(self):
        parent = architecture_of(lambda x: conv("b", 2)(conv("a", activation="relu")(x)), (1, 1, 4))
        assert option(parent, "insert_conv", "a", "b", 1).params > 0
        assert "has one pixel" in why(parent, "insert_conv", ("a", "b", 3))

    def test_where_it_has_no_place_the_reason_is_said(self):
        with pytest.raises(
            ValueError, match="alter_channels: .* is not a site of this architecture: conv_1 has 4 channels"
        ):
            option(PARENT, "alter_channels", "conv_1", "to", 4)

    def test_whole_numbers_of_numpy_become_plain(self):
        found = option(PARENT, "alter_channels", "conv_1", "to", np.int64(24))
        assert found == option(PARENT, "alter_channels", "conv_1", "to", 24) and type(found.site[2]) is int
        assert why(PARENT, "alter_channels", ("conv_1", np.int8(2))).endswith("has a place at ('conv_1', 2)")

    @pytest.mark.parametrize("operator", [None, 3, ["split"]])
    def test_an_operator_is_one_name(self, operator):
        for ask in (option, why):
            with pytest.raises(
                ValueError, match="operator must be a name, one of alter_channels, .*; received"
            ) as error:
                ask(PARENT, operator, "conv_1")
            assert str(error.value).endswith(repr(operator))

    @pytest.mark.parametrize("place", [None, 3, {"conv_1"}])
    def test_a_place_is_a_name_or_a_site(self, place):
        with pytest.raises(ValueError, match="place must be a layer's name or a site, received "):
            why(PARENT, "split", place)

    def test_limits_of_draws(self):
        limited = {"alter_channels": registry["alter_channels"].limited_to(700)}
        parent = vanilla((8, 8, 3), 3, (301,))
        assert draw(parent, 1, {"alter_channels": 1.0}, 1e9, 0)[1] == ()
        child, moves = draw(parent, 1, {"alter_channels": 1.0}, 1e9, 0, limited)
        assert child["conv_1"].channels == 602 and replay(parent, moves)[0] == child


def _soft(x):
    x = conv("a")(x)
    return conv("c", 2)(layers.Softmax(name="soft")(x))


def _frozen(x):
    frozen = conv("c", 2)
    frozen.trainable = False
    return frozen(conv("a")(x))


def _constrained(x):
    x = conv("a")(x)
    return conv("c", 2, kernel_constraint=keras.constraints.UnitNorm(axis=[0, 1]))(x)


def _merged(x):
    x = layers.ReLU(name="relu")(conv("a")(x))
    y = layers.ReLU(name="later")(conv("b", 4)(x))
    return conv("c", 2)(layers.Add(name="sum")([x, y]))


def _input_in_sum(x):
    return conv("c", 2)(layers.Add(name="add")([x, conv("a")(x)]))


REASONS = [  # what is built, operator, layer or site, reason
    (_soft, "alter_channels", "a", "soft .Softmax. cannot take new channels: it mixes its channels"),
    (_soft, "alter_channels", "c", "c is an output of the network and must keep its channels"),
    (_soft, "alter_channels", "image", "image .InputLayer. cannot be widened: it is an input of the network"),
    (_frozen, "alter_channels", "a", "c .Conv2D. cannot take new channels: it is frozen"),
    (_frozen, "alter_channels", "c", "c .Conv2D. cannot be widened: it is frozen"),
    (_constrained, "alter_channels", "a", "the constraint on c/kernel would undo it at the first step"),
    (
        _input_in_sum,
        "alter_channels",
        "a",
        "image .InputLayer. cannot be given new channels: it is an input of the network",
    ),
    (residual, "alter_channels", "last", "last grows together with stem, after which the site is named"),
    (
        residual,
        "alter_channels",
        ("stem", 3),
        r"the factor is 2 or 4; any number of channels is named by \('stem', 'to', channels\)",
    ),
    (residual, "alter_channels", ("stem", 2.0), "the factor is 2 or 4"),
    (residual, "alter_channels", ("stem", "too", 9), r"its sites are \(layer, factor\) and \(layer, 'to', channels\)"),
    (residual, "alter_channels", (), r"its sites are \(layer, factor\) and \(layer, 'to', channels\)"),
    *(
        (
            residual,
            "alter_channels",
            ("stem", "to", channels),
            f"channels must be a whole number, received {channels!r}$",
        )
        for channels in (True, 24.0, "24", None)
    ),
    *(
        (
            residual,
            "alter_channels",
            ("stem", "to", channels),
            "stem has 4 channels already; give more than 4, or make it smaller with `remove_filters`",
        )
        for channels in (-3, 0, 4)
    ),
    (residual, "alter_channels", ("stem", "to", 601), "stem would have 601 channels, over the limit of 600"),
    (residual, "alter_channels", ("steam", 2), "there is no layer 'steam'; the nearest is 'stem'"),
    (residual, "split", "head", "head is an output of the network"),
    (residual, "split", "add", "add .Add.: it has no filters or units of its own"),
    (residual, "merge_convex", "add", r"add has the shape \(8, 8, 4\), relu \(8, 8, 2\)"),
    (residual, "merge_concat", "stem", "stem .Conv2D. is not the output of an activation, a pool or a merge"),
    (_merged, "merge_concat", "sum", "sum merges what is never negative, and is left to its inputs"),
    (_merged, "merge_concat", ("later", "relu", 2), "relu is 8 x 8, not 2 times 8 x 8 as later is"),
    (_merged, "merge_concat", ("relu", "later", 1), "relu does not depend on later"),
    (residual, "insert_conv", ("stem", "head", 3), "head does not take the output of stem, but of add"),
    *(
        (
            residual,
            "insert_conv",
            ("relu", "last", size),
            f"the kernel size must be a whole odd number of at least 1, received {size!r}",
        )
        for size in (2, 0, -3, 3.0, "3")
    ),
    (residual, "insert_conv", ("relu", "last", 17), "relu is 8 x 8: of a kernel of 17 no more than 15 would see data"),
    (residual, "insert_conv", "stem", "stem .Conv2D. is not the output of an activation, a pool or a merge"),
    (_merged, "merge_concat", ("later", "relu", 1.0), "the scale is 1, 2 or 4, received 1.0"),
    (residual, "insert_conv", ("relu", "last"), r"its sites are \(source, consumer, kernel size\)"),
    (residual, "merge_concat", (), r"its sites are \(later, earlier, scale\)"),
    (residual, "merge_convex", ("add",), r"its sites are \(later, earlier\)"),
    (residual, "split", ("stem", 2), r"its sites are \(convolution,\)"),
]


@pytest.mark.parametrize(("build", "operator", "place", "reason"), REASONS)
def test_the_reason_names_what_stands_in_the_way(build, operator, place, reason):
    text = why(architecture_of(build), operator, place)
    assert text and len(text.splitlines()) == 1
    with pytest.raises(ValueError, match=reason):
        raise ValueError(text)
    if isinstance(place, tuple):
        with pytest.raises(ValueError, match=reason):
            registry[operator].apply(architecture_of(build), place)


@pytest.mark.parametrize(
    ("middle", "reason"),
    [
        (layers.Conv2D(4, 3, groups=2, name="m"), "it has 2 groups of channels"),
        (layers.UnitNormalization(name="m"), "there is no rule for this kind of layer"),
        (layers.BatchNormalization(axis=1, name="m"), "it works along axis 1"),
        (layers.Activation(own_activation, name="m"), "its activation, of its own, is not known"),
        (layers.PReLU(shared_axes=[3], name="m"), "its settings are for this number of channels"),
        (
            layers.DepthwiseConv2D(3, depth_multiplier=2, name="m"),
            "its output has another number of channels than its input",
        ),
        (layers.SeparableConv2D(4, 3, depth_multiplier=2, name="m"), "it has a depth multiplier of 2"),
        (layers.Activation("softmax", name="m"), "its activation, softmax, is not kept by new channels"),
    ],
)
def test_why_a_layer_stops_new_channels(middle, reason):
    parent = architecture_of(lambda x: conv("b", 2)(middle(conv("a")(x))))
    assert f"m ({parent['m'].kind}) cannot take new channels: {reason}" in why(parent, "alter_channels", ("a", 2))


def test_a_place_that_there_is_is_named():
    assert why(PARENT, "alter_channels", "conv_1") == "alter_channels has a place at ('conv_1', 2); ('conv_1', 4)"
    assert why(PARENT, "split", ("conv_1",)) == "split has a place at ('conv_1',)"
    assert "over the limit of 5" in why(PARENT, "alter_channels", "conv_1", max_channels=5)


def test_a_long_list_is_cut():
    parent, _ = draw(PARENT, 12, {"insert_conv": 1.0}, 1e6, 0)
    assert why(parent, "merge_concat", "relu_1").endswith(" more")


@pytest.mark.parametrize("operator", registry)
def test_a_reason_is_given_where_and_only_where_there_is_no_site(operator):
    parents = [
        PARENT,
        architecture_of(residual),
        architecture_of(_merged),
        draw(PARENT, 6, dict.fromkeys(registry, 1.0), 1e6, 2)[0],
    ]
    for parent in parents:
        found = set(registry[operator].sites(parent))
        for site in registry[operator].candidates(parent):
            assert (registry[operator].why(parent, site) == "") == (site in found)


def test_an_operator_says_what_it_refuses_or_as_once_what_it_requires():
    class Neither(Morphism):
        name = "neither"

        def candidates(self, architecture):
            yield ("conv_1",)

        def _apply(self, architecture, site):
            return architecture, None

    class Requires(Neither):
        def requires(self, architecture, site):
            return site == ("conv_1",)

    with pytest.raises(TypeError, match="Neither with abstract method.* refusal"):
        Neither()
    assert Requires().refusal(PARENT, ("conv_1",)) == ""
    assert Requires().why(PARENT, ("conv_2",)) == "what it requires does not hold there"
    with pytest.raises(ValueError, match="requires does not hold"):
        Requires().apply(PARENT, ("conv_2",))

    class Narrower(type(registry["split"])):
        def requires(self, architecture, site):
            return site[0] != "conv_1" and super().requires(architecture, site)

    assert Narrower().sites(PARENT) == [site for site in registry["split"].sites(PARENT) if site[0] != "conv_1"]


@pytest.mark.parametrize(
    ("origin", "asked"), [("FOUND", []), ("MOVED", ["refusal"]), ("NAMED", ["refusal", "pointless"])]
)
def test_what_is_asked_again_follows_from_where_a_site_comes_from(origin, asked):
    calls = []

    class Asked(type(registry["split"])):
        def refusal(self, architecture, site):
            calls.append("refusal")
            return super().refusal(architecture, site)

        def pointless(self, architecture, site):
            calls.append("pointless")
            return super().pointless(architecture, site)

    child, _ = Asked().apply(PARENT, ("conv_1",), Origin[origin])
    assert calls == asked and child.digest == registry["split"].apply(PARENT, ("conv_1",))[0].digest


def test_a_keras_model_is_read_once(monkeypatch):
    model, calls = PARENT.to_keras(), []
    read = Architecture.from_keras
    monkeypatch.setattr(Architecture, "from_keras", lambda given: calls.append(given) or read(given))
    assert sites(model) == sites(PARENT) and calls == [model]
    assert nash_tf.morphisms.why(model, "split", "conv_1").startswith("split has a place")
