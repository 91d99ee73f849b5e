"""Models from files: what is read, what is refused and why; and models that take another size."""

import zipfile

import keras
import numpy as np
import pytest
from keras import layers

from nash_tf.architecture import Architecture
from nash_tf.keras_models import model_file
from nash_tf.keras_models.building import taking, to_keras
from nash_tf.keras_models.state import State, read_state, write_state

IMAGE = (8, 8, 3)


def saved(tmp_path, *middle, cls=keras.Model):
    image = keras.Input(IMAGE, name="image")
    x = image
    for layer in middle:
        x = layer(x)
    model = cls(image, layers.Dense(3, name="head")(layers.Flatten()(x)))
    model.save(tmp_path / "model.keras")
    return model, str(tmp_path / "model.keras")


def test_a_model_is_read_with_its_weights_and_without_its_compile_state(tmp_path):
    model, path = saved(tmp_path, layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization())
    model.compile("adam", "mse")
    model.save(path)
    architecture, state = model_file.load(path)
    assert architecture == Architecture.from_keras(model)
    assert (state.slots, state.counters) == ({}, {})
    for key, value in read_state(model).weights.items():
        np.testing.assert_array_equal(state.weights[key], value)


class Own(layers.Layer):
    def call(self, x):
        return x


class Subclassed(keras.Model):
    """Made of inputs and outputs, as a functional model is."""


def test_a_model_that_cannot_be_read_or_searched_is_refused_with_the_reason(tmp_path):
    refused = {
        "it has a Lambda layer": [layers.Lambda(lambda x: 2 * x)],
        "Own is not Keras'; give the model to nash_tf.HillClimbing": [Own()],
    }
    for reason, middle in refused.items():
        with pytest.raises(ValueError, match=reason) as error:
            model_file.load(saved(tmp_path, *middle)[1])
        assert len(str(error.value).splitlines()) == 1
    _, path = saved(tmp_path, cls=Subclassed)
    with pytest.raises(ValueError, match="of class Subclassed; only functional .*: .*save keras.Model.model.input,"):
        model_file.load(path)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 and then nothing"])
def test_a_file_that_is_no_model_is_refused(content, tmp_path):
    (tmp_path / "model.keras").write_bytes(content)
    with pytest.raises(ValueError, match="is not a file that model.save wrote"):
        model_file.load(str(tmp_path / "model.keras"))


def test_a_file_without_its_weights_is_refused(tmp_path):
    _, path = saved(tmp_path)
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config)
    with pytest.raises(ValueError, match="cannot be loaded: "):
        model_file.load(path)


def test_a_model_of_any_size_and_type_takes_the_size_that_it_is_given():
    image = keras.Input((None, None, 3), name="image", dtype="uint8", batch_size=4)
    x = layers.Conv2D(4, 3, strides=2, name="conv")(layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, layers.Dense(2, name="head")(layers.GlobalAveragePooling2D()(x)))
    taken = taking(Architecture.from_keras(model), IMAGE)
    assert taken["image"].shape == IMAGE and taken["image"].config == {} and taken["conv"].shape == (3, 3, 4)
    pixels = np.random.default_rng(0).integers(0, 256, (4, *IMAGE))
    twin = to_keras(taken)
    write_state(twin, State(read_state(model).weights, {}))
    np.testing.assert_allclose(twin(pixels.astype(np.float32)), model(pixels.astype(np.uint8)), atol=1e-6)
    assert taking(taken, IMAGE) is taken
