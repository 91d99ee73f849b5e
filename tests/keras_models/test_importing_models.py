"""What a model is made of is read whole: nested models, inputs and outputs, frozen layers, precision, and what is refused."""

import os

import keras
import numpy as np
import pytest
from keras import layers, ops

from nash_tf.architecture import Architecture
from nash_tf.keras_models.importing import from_keras
from tests.helpers.round_trips import IMAGE, Scaled, batch, on_image, perturbed, round_trip
from tests.scripts import applications_table

# Models in the model --------------------------------------------------------------------------------------------------


def small(shape, name, dtype=None):
    image = keras.Input(shape, name="in", dtype=dtype)
    x = layers.Conv2D(4, 3, padding="same", name="conv")(image)
    x = layers.BatchNormalization(name="bn")(x)
    return keras.Model(image, layers.ReLU(name="relu")(x) + 0.5 * image, name=name)


def test_nested_models_are_flattened():
    def body(x):
        # Names that are taken: "stem_conv" by a layer, "conv" inside and outside.
        x = layers.Conv2D(4, 1, name="stem_conv")(x)
        x = small(IMAGE, "stem")(x, training=False)
        inner = keras.Sequential(
            [keras.Input(IMAGE), layers.Conv2D(4, 1, name="conv"), small(IMAGE, "deep")], name="mid"
        )
        return layers.Conv2D(2, 1, name="conv")(inner(x))

    model = on_image(body)
    architecture, twin = round_trip(model)
    names = [node.name for node in architecture.nodes]
    assert {"stem_conv", "stem_conv_", "stem_bn", "stem", "mid_conv", "mid_bn", "mid", "conv"} <= set(names)
    assert architecture["conv"].inputs == ("mid",) and architecture["stem"].kind == "Add"
    assert from_keras(model).to_json() == architecture.to_json()
    assert twin.output_names == model.output_names


def test_a_nested_model_takes_the_size_it_is_called_on():
    architecture, _ = round_trip(on_image(small((None, None, 4), "any_size")))
    assert architecture["any_size"].shape == IMAGE


def test_a_nested_model_casts_its_inputs():
    image = keras.Input(IMAGE, name="image", dtype="uint8")
    architecture, _ = round_trip(perturbed(keras.Model(image, small(IMAGE, "float")(image))))
    assert architecture["float_in"].kind == "keras.ops>Cast"


def test_a_nested_model_may_have_an_input_in_common_with_the_outer_one():
    image = keras.Input(IMAGE, name="image")
    inner = keras.Model(image, layers.Conv2D(4, 3, padding="same", name="conv")(image), name="inner")
    x = layers.Conv2D(4, 1, name="first")(image)
    x = layers.Concatenate(name="joined")([inner(x), image])
    architecture, _ = round_trip(perturbed(keras.Model(image, x)))
    assert architecture["inner"].inputs == ("first",) and architecture["joined"].inputs == ("inner", "image")


def test_a_nested_model_of_several_inputs_and_outputs():
    first, second = keras.Input((3,), name="first"), keras.Input((2,), name="second")
    joined = layers.Concatenate(name="joined")([second, first])
    inner = keras.Model({"b": first, "a": second}, [layers.Dense(2, name="one")(joined), joined], name="inner")
    x, y = keras.Input((3,), name="x"), keras.Input((2,), name="y")
    one, both = inner({"a": y, "b": x})
    architecture, _ = round_trip(perturbed(keras.Model([x, y], [both, one])))
    assert architecture["inner_joined"].inputs == ("y", "x") and architecture.outputs == ("inner_joined", "inner_one")


def test_a_sequential_model():
    model = keras.Sequential([keras.Input(IMAGE, name="image"), layers.Conv2D(3, 3), layers.Flatten(), layers.Dense(2)])
    round_trip(perturbed(model), np.random.default_rng(0).normal(size=(4, *IMAGE)).astype(np.float32))


# Inputs and outputs ---------------------------------------------------------------------------------------------------


def test_several_inputs_and_outputs():
    first, second = keras.Input((3,), name="first"), keras.Input((3,), name="second", dtype="int32")
    unused = keras.Input((1,), name="unused")
    x = layers.Subtract(name="out")([layers.Dense(3)(first), layers.Rescaling(0.5)(second)])
    architecture, twin = round_trip(perturbed(keras.Model([second, unused, first], [x, first, x])))
    assert architecture.inputs == ("second", "unused", "first") and architecture.outputs == ("out", "first", "out")
    assert architecture.structure == {} and twin.output_names == ["out", "first", "out"]


def test_structured_inputs_and_outputs():
    image, size = keras.Input((4, 4, 2), name="image"), keras.Input((2,), name="a_size")
    x = layers.Dense(3, name="dense")(layers.Concatenate()([layers.Flatten()(image), size]))
    model = perturbed(keras.Model({"image": image, "a_size": size}, {"z": x, "both": (x, size)}))
    architecture, twin = round_trip(model)
    assert architecture.structure == {
        "inputs": {"image": "image", "a_size": "a_size"},
        "outputs": {"z": "dense", "both": ["dense", "a_size"]},
    }
    assert architecture.inputs == ("a_size", "image")
    assert architecture.edited().structure == architecture.structure
    assert architecture.digest != Architecture(architecture.nodes, architecture.outputs).digest
    assert set(twin(batch(model))) == {"z", "both"}


def test_a_fixed_batch_size():
    image = keras.Input(batch_shape=(2, 4, 4, 3), name="image")
    architecture, twin = round_trip(perturbed(keras.Model(image, ops.reshape(image, (2, -1)))))
    assert architecture["image"].config == {"batch_size": 2} and twin.inputs[0].shape == (2, 4, 4, 3)


# Frozen layers, precision ---------------------------------------------------------------------------------------------


def test_frozen_layers():
    base = small(IMAGE, "base")
    base.trainable = False
    model = on_image(lambda x: layers.Dense(2, name="head")(layers.Flatten()(base(x, training=False))))
    architecture, twin = round_trip(model)
    assert [variable.path for variable in twin.trainable_variables] == ["head/kernel", "head/bias"]
    assert architecture["base_conv"].config["trainable"] is False
    assert architecture.params == sum(array.size for array in model.get_weights()) - 2 * 4  # but for two statistics
    # Batch normalisation of a frozen layer does not move in training.
    inputs = batch(model)
    np.testing.assert_array_equal(twin(inputs, training=True), model(inputs, training=True))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = on_image(
            lambda x: layers.Dense(2, dtype="float32", name="head")(
                layers.Flatten()(
                    small(IMAGE, "base")(ops.relu(layers.Conv2D(4, 3, padding="same", name="conv")(x) + 1.0))
                )
            )
        )
    finally:
        keras.config.set_dtype_policy("float32")
    architecture, twin = round_trip(model)
    assert twin.get_layer("conv").dtype_policy.name == policy and twin.get_layer("head").dtype_policy.name == "float32"
    assert all(node.config["dtype"] == policy for node in architecture.nodes if node.kind in ("ReLU", "Add"))
    wide = architecture.in_float32().to_keras()
    assert {operation.output.dtype for operation in wide.operations} == {"float32"}


# Refusals -------------------------------------------------------------------------------------------------------------


class Unregistered(layers.Layer):
    def call(self, inputs):
        return inputs


@keras.saving.register_keras_serializable(package="tests")
class Forgetful(layers.Dense):
    def get_config(self):
        return {**super().get_config(), "units": self.units + 1}


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def _recorded(function):
    return lambda x: layers.Lambda(function, name="culprit")(x)


REFUSED = {
    "unregistered": ("not registered", Unregistered(name="culprit")),
    "subclassed": ("Subclassed", lambda x: Subclassed(name="culprit")(x)),
    "lambda": ("arbitrary code", _recorded(lambda x: x * 2.0)),
    "forgetful": ("get_config", Forgetful(3, name="culprit")),
    "nested model in training mode": ("other arguments", lambda x: small(IMAGE, "culprit")(x, training=True)),
    "nested model on a mask": ("called with a mask", lambda x: small(IMAGE, "culprit")(layers.Masking()(x))),
    "nested model on a mask of its own": (
        "called with a mask",
        lambda x: small(IMAGE, "culprit")(x, mask=x[..., 0] > 0.0),
    ),
    "free variable": ("variable", lambda x: Scaled(1.0, name="culprit")(x, shift=keras.Variable(2.0))),
    "function": ("plain data", lambda x: Scaled(1.0, name="culprit")(x, then=lambda y: y)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case):
    reason, body = REFUSED[case]
    image = keras.Input(IMAGE)
    with pytest.raises(ValueError, match=rf"'culprit'[\s\S]*{reason}"):
        from_keras(keras.Model(image, body(image)))


def test_a_model_that_is_not_functional_is_refused():
    with pytest.raises(ValueError, match="Subclassed"):
        from_keras(Subclassed())
    with pytest.raises(ValueError, match="'empty' is not built"):
        from_keras(keras.Sequential([layers.Dense(3)], name="empty"))
    sparse = keras.Input((3,), sparse=True, name="culprit")
    with pytest.raises(ValueError, match="'culprit'.*sparse"):
        from_keras(keras.Model(sparse, layers.Dense(2)(sparse)))


def test_an_unknown_kind_is_named():
    architecture, _ = round_trip(on_image(Scaled(2.0, name="scaled")))
    text = architecture.to_json()
    for kind in ("elsewhere>Scaled", "keras.ops>array", "os>system", "NoLayer", "deserialize"):
        with pytest.raises(ValueError, match="'scaled'.*no class"):
            Architecture.from_json(text.replace("tests>Scaled", kind)).to_keras()


# Networks of Keras ----------------------------------------------------------------------------------------------------

_apps = keras.applications
APPLICATIONS = {
    "MobileNetV2 0.35": lambda: _apps.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=10),
    "MobileNetV3Small 0.35": lambda: _apps.MobileNetV3Small((32, 32, 3), alpha=0.35, weights=None, classes=10),
}
if os.environ.get("NASH_TF_APPLICATIONS"):
    APPLICATIONS |= applications_table.NETWORKS


@pytest.mark.parametrize("name", APPLICATIONS)
def test_networks_of_keras(name):
    keras.utils.set_random_seed(0)
    round_trip(applications_table.perturbed(APPLICATIONS[name]()))
