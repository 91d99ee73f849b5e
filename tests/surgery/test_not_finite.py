"""`nash_tf.morph` and `nash_tf.shrink` where a model or its data hold NaN: what holds them is named, and no operator."""

import keras
import numpy as np
import pytest

import nash_tf
from nash_tf.surgery.certificate import Measured, NotPreserved, certify
from tests.helpers.parents import IMAGES, LABELS, network, trained

HURT = IMAGES.copy()
HURT[3, 0, 0, 0] = np.nan


@pytest.fixture(scope="module")
def spoilt():
    model = trained(epochs=1)
    kernel = np.array(model.get_layer("conv_2").kernel)
    kernel[0, 0, 0, 0] = np.nan
    model.get_layer("conv_2").kernel.assign(kernel)
    return model


def morph(model, data):
    nash_tf.morph(model, ("split", ("conv_1",)), calibration=data)


def narrow(model, data):
    nash_tf.morph(model, ("remove_filters", ("conv_1", "to", 2)), calibration=data, max_loss_change=9.0)


def shrink(model, data):
    nash_tf.shrink(model, 600, data)


@pytest.mark.parametrize("change", [morph, narrow, shrink])
def test_in_the_weights(spoilt, change):
    with pytest.raises(
        ValueError, match="the outputs of model .* itself on .* must be .*; so are weights of conv_2:"
    ) as e:
        change(spoilt, (IMAGES, LABELS))
    assert not isinstance(e.value, NotPreserved)


@pytest.mark.parametrize("change", [morph, narrow, shrink])
def test_in_the_inputs(parent, change):
    with pytest.raises(ValueError, match=r"(calibration|data) must hold finite numbers: its inputs have NaN"):
        change(parent, (HURT, LABELS))


@pytest.mark.parametrize("change", [narrow, shrink])
def test_in_the_labels(change):
    model = network()
    model.compile("sgd", "mse", jit_compile=False, run_eagerly=True)
    with pytest.raises(ValueError, match=r"(calibration|data) must hold finite numbers: its labels have NaN"):
        change(model, (IMAGES, np.full((32, 3), np.nan, np.float32)))


def test_in_neither():
    numbers = keras.Input((2,))
    x = keras.layers.Dense(4, "relu", kernel_initializer="ones", name="wide")(numbers)
    model = keras.Model(numbers, keras.ops.log(keras.layers.Dense(1, kernel_initializer="zeros")(x)), name="mine")
    with pytest.raises(ValueError, match="the outputs of model 'mine' .*; weights and batch are finite: look for what"):
        nash_tf.morph(model, ("alter_channels", ("wide", "to", 6)), calibration=np.ones((3, 2), np.float32))
    grown = nash_tf.morph(model, ("alter_channels", ("wide", "to", 6)))
    assert grown.model.get_layer("wide").units == 6


@pytest.mark.parametrize("hurt", [0, 1])
def test_in_any_output_of_a_child(hurt):
    before, after = [np.zeros(3, np.float32)] * 2, [np.zeros(3, np.float32)] * 2
    after[hurt] = np.full(3, np.nan, np.float32)
    with pytest.raises(NotPreserved, match="the outputs changed by nan"):
        certify(Measured(before, None, before, None), Measured(after, None, before, None), 1)
    found = certify(Measured(before, None, before, None), Measured(before, None, after, None), 1)
    assert np.isnan(found["training_difference"])
