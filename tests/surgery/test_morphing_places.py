"""`nash_tf.morph` at places that the user names, and what of a model stays as it is."""

import json

import keras
import numpy as np
import pytest
from keras import layers

import nash_tf
from nash_tf.morphisms import option, sites
from nash_tf.surgery.morphing import morph
from tests.helpers.parents import IMAGES, LABELS, assert_preserved, network, outputs, trained

WIDER = ("alter_channels", ("conv_1", "to", 7))
LARGER = ("insert_conv", ("act_1", "conv_2", 7))


def made(grown):
    return [(operator, tuple(site)) for operator, site, _ in json.loads(grown.moves)]


def test_an_option_as_sites_gives_it(parent):
    (found,) = sites(parent, "split", layer="conv_1")
    grown = morph(parent, found, calibration=(IMAGES, LABELS))
    assert made(grown) == [("split", ("conv_1",))] and grown.certificate["added_params"] == found.params
    assert_preserved(parent, grown)


def test_a_list_of_options_places_and_names(parent):
    given = [option(parent, WIDER[0], *WIDER[1]), LARGER, "split"]
    grown = morph(parent, given, seed=3, calibration=(IMAGES, LABELS))
    assert made(grown)[:2] == [WIDER, LARGER] and made(grown)[2][0] == "split"
    assert grown.model.get_layer("conv_1").filters == 7
    assert grown.certificate["max_difference"] <= grown.certificate["bound"]
    again = morph(parent, moves=grown.moves, calibration=(IMAGES, LABELS))
    for one, two in zip(grown.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("place", [WIDER, option], ids=["place", "option"])
def test_a_name_before_a_place_is_a_wish_of_its_own(place, parent):
    given = place if place is WIDER else option(parent, WIDER[0], *WIDER[1])
    grown = morph(parent, ["split", given], seed=1, calibration=IMAGES)  # not at conv_1, which would grow with its copy
    assert made(grown)[0][0] == "split" and made(grown)[1] == WIDER


def test_whole_numbers_of_numpy_are_taken(parent):
    place = ("alter_channels", ("conv_1", "to", np.int64(7)))
    for grown in (morph(parent, place), morph(parent, moves=[(*place, 0)])):
        assert made(grown) == [WIDER]


def test_slots_follow_and_the_child_trains(adam):
    grown = morph(adam, [WIDER, LARGER])
    kernel = next(v for v in grown.model.trainable_variables if v.path == "conv_1/kernel")
    before = next(v for v in adam.trainable_variables if v.path == "conv_1/kernel")
    slots = [
        m.optimizer._momentums[m.optimizer._get_variable_index(v)] for m, v in ((grown.model, kernel), (adam, before))
    ]
    np.testing.assert_array_equal(slots[0][..., :4], slots[1])
    assert not np.asarray(slots[0])[..., 4:].any()
    grown.model.fit(IMAGES, LABELS, 16, verbose=0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"operators": ("alter_channels", ("conv_1", "to", 4))},
            "not a site of this architecture: conv_1 has 4 channels already",
        ),
        ({"operators": [WIDER, WIDER]}, "conv_1 has 7 channels already"),
        ({"operators": [LARGER, ("split", ("conv_9",))]}, "there is no layer 'conv_9'; the nearest is 'conv_"),
        ({"operators": ("widen", ("conv_1", 2))}, "unknown operator 'widen'"),
        ({"operators": [WIDER, "spilt"]}, "unknown operator 'spilt'; .*; the nearest is 'split'"),
        ({"operators": [WIDER, 3]}, "unknown operator 3"),
        ({"operators": [WIDER], "count": 2}, "count draws places, and one is given"),
        ({"operators": [WIDER], "max_params": 700}, r"alter_channels at .* .number 1 of 1.: .* under 700 parameters"),
        (
            {"operators": [WIDER], "max_channels": 6},
            r"alter_channels: .* conv_1 would have 7 channels, over the limit of 6",
        ),
        (
            {"moves": [(*WIDER, 0), (*LARGER, 1)], "max_params": 900},
            r"moves must stay within max_params=900: they make a model of [\d,]+ parameters",
        ),
        ({"edits": [(*WIDER, 0)], "max_params": 700}, "edits must stay within max_params=700"),
        ({"moves": [(*WIDER, 0)], "max_channels": 6}, "conv_1 would have 7 channels, over the limit of 6"),
        ({"operators": "split", "max_channels": "many"}, "max_channels must be a number"),
        (
            {"operators": "alter_channels", "max_channels": 5},
            "there is no place for it in this model with max_channels=5$",
        ),
        (
            {"operators": "alter_channels", "max_channels": 5, "max_params": 700},
            "there is no place for it in this model under 700 parameters with max_channels=5$",
        ),
        (
            {"operators": ["alter_channels"], "count": 2, "max_channels": 5},
            "only 0 of 2 morphisms could be made .* with max_channels=5$",
        ),
        *(
            ({"operators": given}, r"'conv_1' is a layer, and no operator: a place is \(operator, \(layer, ...\)\)")
            for given in (
                "conv_1",
                ("split", "conv_1"),
                ["split", "conv_1"],
                [WIDER, ("split", "conv_1")],
                ("alter_channels", "conv_1", "to", 40),
            )
        ),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(given, message):
    with pytest.raises(ValueError, match=message) as error:
        morph(network(), **given)
    assert len(str(error.value).splitlines()) == 1


def test_a_picture_is_svg(parent, tmp_path):
    grown = morph(parent, WIDER)
    drawn = grown.picture(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text() == drawn
    for name in ("a.png", "a"):
        with pytest.raises(ValueError, match=f"path must end in .svg, .* received '.*{name}'"):
            grown.picture(str(tmp_path / name))
        assert not (tmp_path / name).exists()
    with pytest.raises(FileNotFoundError, match="there is no folder '.*none' to write it in: '.*none/a.svg'"):
        grown.picture(tmp_path / "none" / "a.svg")


def test_a_reduction_may_leave_more_than_the_limit():
    fewer = ("remove_filters", ("conv_1", "filters", 3))
    assert morph(network(), fewer, max_params=10, max_channels=1).model.get_layer("conv_1").filters == 3
    assert morph(network(), moves=[(*fewer, 0)], max_params=10, max_channels=1).model.get_layer("conv_1").filters == 3


def test_a_raised_limit_on_channels():
    image = keras.Input((4, 4, 1))
    x = layers.Conv2D(2, 1, name="head")(layers.Conv2D(301, 1, name="wide")(image))
    model = keras.Model(image, layers.GlobalAveragePooling2D()(x))
    grown = morph(model, "alter_channels", max_channels=800)
    assert grown.model.get_layer("wide").filters == 602
    assert morph(model, moves=grown.moves).model.get_layer("wide").filters == 602


# What stays -----------------------------------------------------------------------------------------------------------


def named(outputs_of, cls=keras.Model):
    image = keras.Input((8, 8, 3), name="image")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu", name="conv")(image))
    one, two = layers.Dense(2, name="one")(x), layers.Dense(3, name="two")(x)
    return cls(image, outputs_of(one, two), name="mine")


@pytest.mark.parametrize(
    "outputs_of",
    [
        lambda one, two: (one, two),
        lambda one, two: [one, two],
        lambda one, two: {"b": one, "a": two},
        lambda one, two: {"x": (two, one), "y": [one]},
        lambda one, two: [one],
        lambda one, two: one,
    ],
)
def test_the_nesting_of_outputs_and_the_name(outputs_of):
    model = named(outputs_of)
    grown = morph(model, "alter_channels", calibration=IMAGES)
    before, after = model(IMAGES), grown.model(IMAGES)
    keras.tree.assert_same_structure(before, after)
    assert type(before) is type(after) and grown.model.name == "mine"
    for one, two in zip(outputs(model), outputs(grown.model), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


@pytest.mark.parametrize("inputs_of", [lambda a, b: (a, b), lambda a, b: {"one": a, "two": b}])
def test_the_nesting_of_inputs(inputs_of):
    a, b = keras.Input((8, 8, 3), name="one"), keras.Input((8, 8, 3), name="two")
    x = layers.Conv2D(4, 3, activation="relu")(layers.Concatenate()([a, b]))
    model = keras.Model(inputs_of(a, b), layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    batch = inputs_of(IMAGES, -IMAGES)
    # A tuple of two would be inputs and labels.
    grown = morph(model, "alter_channels", calibration=list(batch) if isinstance(batch, tuple) else batch)
    assert_preserved(model, grown, batch)


@keras.saving.register_keras_serializable(package="test_places")
class Doubling(keras.Model):
    """Trains in a way of its own."""

    def train_step(self, data):
        return {**super().train_step(data), "doubled": 2.0}


def test_a_subclass_made_of_inputs_and_outputs_stays_one(tmp_path):
    keras.utils.set_random_seed(0)
    model = trained(named(lambda one, two: two, Doubling))
    grown = nash_tf.morph(model, ["alter_channels", "split"], calibration=(IMAGES, LABELS))
    assert type(grown.model) is Doubling
    assert grown.model.fit(IMAGES, LABELS, verbose=0).history["doubled"] == [2.0]
    grown.model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is Doubling
    np.testing.assert_allclose(outputs(loaded)[0], outputs(grown.model)[0], atol=1e-6)


class Needy(keras.Model):
    def __init__(self, inputs, outputs, needed, name=None):
        super().__init__(inputs, outputs, name=name)


class Calling(keras.Model):
    def call(self, inputs):
        return -super().call(inputs)


def test_a_subclass_that_cannot_be_made_again_is_refused():
    model = named(lambda one, two: two, lambda *args, **kwargs: Needy(*args, needed=1, **kwargs))
    with pytest.raises(
        ValueError, match="'mine' of class Needy is not supported: it cannot be made again by Needy.inputs"
    ):
        morph(model, "alter_channels")
    with pytest.raises(ValueError, match="expected a functional keras.Model, received 'mine' of class Calling"):
        morph(named(lambda one, two: two, Calling), "alter_channels")


def test_a_sequential_model_becomes_a_functional_one_of_its_name():
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)], name="mine"
    )
    assert morph(model, "alter_channels").model.name == "mine"
