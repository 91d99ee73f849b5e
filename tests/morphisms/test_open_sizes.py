"""Networks whose input may have any size: what counts as equally large, and what is done with tensors of which that is not known."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

import nash_tf
from nash_tf.certificate import NotPreserved
from nash_tf.morphisms import Morphism, known, registry, why
from nash_tf.morphisms.weight_transfer import WeightTransfer
from nash_tf.surgery.certificate import Measured, certify
from nash_tf.testing import check_operator
from tests.helpers.small_architectures import architecture_of, conv

OPEN = (None, None, 4)
IMAGES = np.random.default_rng(0).normal(size=(4, 8, 8, 4)).astype(np.float32)
UNKNOWN = "relu_2 need not be as large as relu_1: the size of the input is open"


def strided(x):
    for number, strides in enumerate((1, 2, 1), start=1):
        x = layers.ReLU(name=f"relu_{number}")(conv(f"conv_{number}", strides=strides)(x))
    return conv("head", 2)(x)


def residual(x):
    """A block of stride 2 whose branches have the same strides, and one of stride 1."""
    x = layers.Activation("tanh", name="stem")(conv("first")(x))
    short = conv("short", size=1, strides=2)(x)
    x = layers.Activation("tanh", name="down")(layers.Add(name="sum_1")([conv("a", strides=2)(x), short]))
    x = layers.Add(name="sum_2")([layers.Activation("tanh", name="act")(conv("b")(x)), x])
    return conv("head", 2)(layers.MaxPooling2D(name="pool")(x))


def one_pixel(x):
    x = layers.ReLU(name="relu_1")(conv("conv_1")(x))
    return conv("head", 2)(layers.ReLU(name="relu_2")(conv("conv_2")(layers.AveragePooling2D(8, name="pool")(x))))


def u_net(x):
    fine = layers.ReLU(name="fine")(conv("conv_1")(x))
    x = layers.UpSampling2D(name="up")(layers.ReLU(name="coarse")(conv("conv_2", strides=2)(fine)))
    x = layers.ReLU(name="relu_3")(conv("conv_3")(layers.Concatenate(name="both")([x, fine])))
    return conv("head", 2)(x)


@pytest.mark.parametrize(
    ("one", "two", "equal"),
    [
        (layers.MaxPooling2D(2), conv("c", strides=2), False),  # rounded down, and up
        (layers.MaxPooling2D(2, padding="same"), conv("c", strides=2), True),
        (layers.MaxPooling2D(3, 2), layers.MaxPooling2D(2, 2), False),  # of every second length
        (layers.MaxPooling2D(32), layers.Conv2D(4, 31, strides=32), False),  # of one length in 32
        (layers.ZeroPadding2D(1), layers.ZeroPadding2D(2), False),
        (layers.ZeroPadding2D(1), layers.Conv2DTranspose(4, 3), True),
        (layers.Permute((2, 1, 3)), layers.ReLU(), False),
        (layers.Dense(3), layers.ReLU(), False),  # of other channels
        (layers.Dense(4), layers.ReLU(), True),
        (layers.Conv2D(4, 3, padding="same", groups=2), layers.ReLU(), False),  # without a rule
    ],
)
def test_sizes_are_equal_where_layers_make_them_of_one_size_alike(one, two, equal):
    one.name, two.name = "one", "two"
    sizes = architecture_of(lambda x: [one(x), two(x)], OPEN).sizes
    assert (sizes["one"] == sizes["two"]) is equal


def test_layers_one_after_the_other():
    def build(x):
        x = layers.Add(name="sum")([layers.UpSampling2D(name="up")(layers.MaxPooling2D(name="pool")(x)), x])
        return layers.Cropping2D(1, name="cropped")(layers.ZeroPadding2D(1, name="padded")(x))

    sizes = architecture_of(build, OPEN).sizes
    assert len({sizes[name] for name in ("image", "up", "sum", "padded")}) == 4  # a map of one pixel may be repeated
    assert sizes["image"][-1] == 4 and sizes["image"][0] != sizes["image"][1]


def test_fixed_sizes_are_what_they_are():
    architecture = architecture_of(strided)
    assert architecture.sizes == {node.name: node.shape for node in architecture.nodes}


@pytest.mark.parametrize("operator", ["merge_convex", "cut_merge", "remove_block"])
@pytest.mark.parametrize("build", [strided, residual])
def test_a_place_is_one_at_every_size(build, operator):
    def found(shape):
        return set(known()[operator].sites(architecture_of(build, shape)))

    everywhere = set.intersection(*(found((height, 11, 4)) for height in range(4, 20)))
    assert found(OPEN) == everywhere


def test_a_concatenation_tells_that_its_inputs_are_equally_large():
    architecture = architecture_of(u_net, OPEN)
    assert ("relu_3", "fine") in registry["merge_convex"].sites(architecture)
    assert "coarse need not be as large as fine" in why(architecture, "merge_convex", ("coarse", "fine"))


def test_no_branch_goes_where_another_may_be_of_another_size():
    def build(x):
        x = conv("stem")(x)
        up = conv("up")(layers.UpSampling2D(name="larger")(layers.MaxPooling2D(name="smaller")(x)))
        return conv("head", 2)(layers.Add(name="sum")([up, x, conv("side")(x)]))

    assert known()["cut_merge"].sites(architecture_of(build)) == [("sum", "up"), ("sum", "side")]
    assert "of sum another shape would be left" in why(architecture_of(build, OPEN), "cut_merge", "sum")


@pytest.mark.parametrize("build", [strided, one_pixel])
@pytest.mark.parametrize("operator", ["merge_convex", "remove_block"])
def test_maps_that_need_not_be_equally_large_are_not_merged(build, operator):
    image = keras.Input(OPEN)
    model = keras.Model(image, build(image))
    assert UNKNOWN in why(model, operator, ("relu_2", "relu_1"))
    for calibration in (None, IMAGES):
        with pytest.raises(ValueError, match=UNKNOWN):
            nash_tf.morph(model, (operator, ("relu_2", "relu_1")), calibration=calibration)


def test_a_strided_network_of_any_size_grows_and_shrinks():
    image = keras.Input(OPEN)
    model = keras.Model(image, strided(image))
    model.compile("adam", "mse", run_eagerly=True)
    grown = nash_tf.morph(model, count=6, operators=["merge_convex", "insert_conv"], calibration=IMAGES)
    assert grown.certificate["max_difference"] < 1e-5 and "merge_convex" in grown.moves
    labels = np.zeros((4, 4, 4, 2), np.float32)
    small = nash_tf.shrink(model, model.count_params() - 150, (IMAGES, labels)).model
    assert small(IMAGES).shape == labels.shape


class Spreads(Morphism):
    """Breaks its contract: behind it a map of one pixel is as large as the input."""

    name = "spreads"

    def candidates(self, architecture):
        yield ("relu_2", "relu_1")

    def refusal(self, architecture, site):
        return "" if site == ("relu_2", "relu_1") else "no"

    def _apply(self, architecture, site):
        spread = architecture.make("spread_1", "Maximum", {}, [architecture[name] for name in site])
        return architecture.edited([replace(architecture["head"], inputs=("spread_1",))], [spread]), WeightTransfer()


def test_an_operator_that_changes_a_size_breaks_the_contract():
    image = keras.Input(OPEN)
    with pytest.raises(AssertionError, match=r"an output has the shape \(4, 8, 8, 2\), it had \(4, 1, 1, 2\)"):
        check_operator(Spreads(), [keras.Model(image, one_pixel(image))], IMAGES)


def test_a_certificate_is_of_outputs_of_one_shape():
    small, large = np.ones((4, 1, 1, 2), np.float32), np.ones((4, 8, 8, 2), np.float32)
    parent, child = (Measured([array], None, [array], None) for array in (small, large))
    for strict in (True, False):
        with pytest.raises(NotPreserved, match=r"have the shapes \[\(4, 8, 8, 2\)\], they had \[\(4, 1, 1, 2\)\]"):
            certify(parent, child, 1, strict)
