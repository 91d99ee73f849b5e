"""Every model that can be carried comes back with the same function, weights and digest; the rest is refused by name."""

import os

import keras
import numpy as np
import pytest
from keras import layers, ops

from nash_tf.architecture import Architecture
from nash_tf.architecture.layer_rules import CALL
from nash_tf.keras_models.importing import from_keras
from nash_tf.keras_models.state import State, read_state, write_state
from nash_tf.keras_models.variables import variables
from tests.scripts import applications_table

IMAGE = (8, 8, 4)


def perturbed(model, seed=1):
    """The model with weights, and statistics too, that no initialiser gives."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if "float" in variable.dtype and not variable.path.startswith("seed_generator"):
            positive = variable.name in ("gamma", "moving_variance", "variance")
            values = rng.uniform(0.5, 1.5, variable.shape) if positive else rng.normal(0.0, 0.3, variable.shape)
            variable.assign(values)
    return model


def batch(model, seed=2):
    """Inputs of the model's own structure."""
    rng = np.random.default_rng(seed)

    def of(tensor):
        shape = [4 if size is None else size for size in tensor.shape]
        if "int" in tensor.dtype:
            return rng.integers(0, 5, shape).astype(tensor.dtype)
        return rng.normal(size=shape).astype(tensor.dtype)

    return keras.tree.map_structure(of, model.input)


def round_trip(model, inputs=None):
    """The rebuilt model, checked: function, weights, JSON and digest are the same."""
    architecture = Architecture.from_keras(model)
    assert "keras.src" not in architecture.to_json()
    assert Architecture.from_json(architecture.to_json()) == architecture
    twin = Architecture.from_json(architecture.to_json()).to_keras()
    state = read_state(model)
    write_state(twin, State(state.weights, {}))
    inputs = batch(model) if inputs is None else inputs
    expected, received = model(inputs, training=False), twin(inputs, training=False)
    received, expected = keras.tree.flatten(received), keras.tree.flatten(expected)
    assert all(np.std(output) > 0 for output in expected), "the test would see no difference"
    for output, other in zip(received, expected, strict=True):
        np.testing.assert_array_equal(output, other)
    again = read_state(twin)
    assert set(again.weights) == set(state.weights)
    for key, array in state.weights.items():
        np.testing.assert_array_equal(again.weights[key], array)
    assert Architecture.from_keras(twin).digest == architecture.digest
    assert len(twin.trainable_variables) == len(model.trainable_variables)
    assert architecture.params == sum(
        array.size for key, array in state.weights.items() if key[1] in _trained(twin, key)
    )
    return architecture, twin


def _trained(model, key):
    layer = model.get_layer(key[0])
    parts = [variable for part in layer._flatten_layers() for variable in part._trainable_variables]
    return {name for name, variable in variables(layer).items() if any(variable is part for part in parts)}


def on_image(body, shape=IMAGE):
    image = keras.Input(shape, name="image")
    return perturbed(keras.Model(image, body(image)))


# Layers ---------------------------------------------------------------------------------------------------------------


def squeeze_and_excite(x):
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(4, 1, activation="hard_sigmoid")(layers.Conv2D(2, 1, activation="relu")(gate))
    return layers.Multiply()([x, gate])


def residual(x):
    y = layers.Conv2D(4, 3, padding="same")(x)
    return layers.Concatenate()([layers.Add()([x, y]), layers.Average()([x, y]), layers.Maximum()([x, y])])


def attention(x):
    tokens = layers.Reshape((-1, 4))(x)
    query = layers.Dense(4)(tokens)
    return layers.MultiHeadAttention(2, 3)(query, value=tokens, key=query, use_causal_mask=True)


def recurrent(x):
    tokens = layers.Reshape((8, -1))(x)
    start = layers.Dense(3)(layers.GlobalAveragePooling1D()(tokens))
    sequence = layers.GRU(3, return_sequences=True)(tokens, initial_state=start)
    return layers.Bidirectional(layers.LSTM(2))(sequence)


@keras.saving.register_keras_serializable(package="tests")
class Scaled(layers.Layer):
    def __init__(self, factor, inner_units=3, **kwargs):
        super().__init__(**kwargs)
        self.factor, self.inner_units = factor, inner_units
        self.inner = layers.Dense(inner_units)

    def build(self, shape):
        self.inner.build(shape)
        self.offset = self.add_weight(shape=(self.inner_units,), name="offset", trainable=False)

    def call(self, inputs, shift=0.0, then=ops.tanh):
        return then(self.inner(inputs) * self.factor + self.offset + shift)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor, "inner_units": self.inner_units}


@keras.saving.register_keras_serializable(package="tests")
class Unnamed(layers.Layer):
    def build(self, shape):
        self.scale, self.offset = self.add_weight((shape[-1],)), self.add_weight((shape[-1],), trainable=False)

    def call(self, inputs):
        return inputs * self.scale + self.offset


LAYERS = {
    "residual": residual,
    "squeeze_and_excite": squeeze_and_excite,
    "mask_argument": lambda x: layers.BatchNormalization()(x, mask=x[..., 0] > 0.0),
    "named_arguments": lambda x: layers.MultiHeadAttention(1, 3)(query=x, value=x[:, :4], use_causal_mask=False),
    "broadcast": lambda x: layers.Add()([layers.GlobalMaxPooling2D(keepdims=True)(x), x]),
    "depthwise": layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", strides=2),
    "separable": layers.SeparableConv2D(5, 3, dilation_rate=2, use_bias=False),
    "grouped": layers.Conv2D(6, 3, groups=2, strides=(2, 2)),
    "dilated": layers.Conv2D(3, (1, 3), dilation_rate=(1, 2), padding="same", use_bias=False),
    "zero_padding": lambda x: layers.Conv2D(3, 3, strides=2)(layers.ZeroPadding2D(((0, 1), (2, 0)))(x)),
    "transposed": layers.Conv2DTranspose(3, 3, strides=2, padding="same"),
    "batch_norm_by_axis": layers.BatchNormalization(axis=3, scale=False),
    "layer_norm": layers.LayerNormalization(epsilon=1e-5),
    "group_norm": layers.GroupNormalization(2),
    "unnamed_weights": lambda x: Unnamed()(Unnamed()(x)),
    "normalization_constant": layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 4.0, 9.0, 16.0]),
    "spectral_norm": layers.SpectralNormalization(layers.Conv2D(3, 3)),
    "dropout": lambda x: layers.SpatialDropout2D(0.2)(layers.GaussianNoise(0.1)(layers.Dropout(0.5, seed=1)(x))),
    "augmentation": lambda x: layers.RandomTranslation(0.1, 0.1, seed=3)(layers.RandomFlip("horizontal")(x)),
    "rescaling": layers.Rescaling([1.0, 2.0, 3.0, 4.0], offset=-1.0),
    "resizing": lambda x: layers.Resizing(6, 6)(layers.UpSampling2D(2, interpolation="bilinear")(x)),
    "activation_layers": lambda x: layers.PReLU(shared_axes=[1, 2])(layers.ELU(0.5)(layers.LeakyReLU(0.1)(x))),
    "softmax": layers.Softmax(axis=-1),
    "regularised": layers.Conv2D(
        3,
        3,
        kernel_regularizer=keras.regularizers.L1L2(1e-3, 1e-4),
        bias_constraint=keras.constraints.NonNeg(),
        kernel_constraint=keras.constraints.MaxNorm(2.0, axis=[0, 1, 2]),
        kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", seed=5),
        activity_regularizer="l2",
    ),
    "time_distributed": layers.TimeDistributed(layers.Dense(3, use_bias=False)),
    "attention": attention,
    "recurrent": recurrent,
    "custom": Scaled(2.0),
    "custom_argument": lambda x: Scaled(2.0, 5)(x, shift=1.5),
    "list_of_one": lambda x: layers.Concatenate()([x]),
    "lora": lambda x: layers.Dense(3, lora_rank=2)(layers.Flatten()(x)),
}
ACTIVATIONS = [
    "relu",
    "relu6",
    "elu",
    "selu",
    "gelu",
    "silu",
    "swish",
    "leaky_relu",
    "hard_sigmoid",
    "hard_swish",
    "sigmoid",
    "tanh",
    "softplus",
    "softsign",
    "mish",
    "exponential",
    "softmax",
    "log_softmax",
    "linear",
]


@pytest.mark.parametrize("case", LAYERS)
def test_layers(case):
    round_trip(on_image(LAYERS[case]))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation):
    def body(x):
        return layers.Activation(activation, name="act")(layers.Conv2D(2, 1, activation=activation, name="conv")(x))

    architecture, _ = round_trip(on_image(body))
    if activation != "linear":
        assert {"swish": "silu", "hard_swish": "hard_silu"}.get(activation, activation) == architecture["act"].config[
            "activation"
        ]


@pytest.mark.parametrize(
    ("shape", "conv", "pool"),
    [
        ((16, 3), layers.Conv1D, layers.MaxPooling1D),
        ((16, 3), layers.SeparableConv1D, layers.AveragePooling1D),
        ((6, 6, 6, 2), layers.Conv3D, layers.MaxPooling3D),
    ],
)
def test_other_dimensions(shape, conv, pool):
    def body(x):
        x = layers.BatchNormalization()(conv(4, 3, padding="same", activation="relu")(x))
        return layers.Dense(3)(layers.Flatten()(pool(2)(x)))

    round_trip(on_image(body, shape))


def test_a_normalisation_that_was_adapted():
    layer = layers.Normalization(name="normalise")
    layer.adapt(np.random.default_rng(0).normal(2.0, 3.0, (16, *IMAGE)).astype(np.float32))
    image = keras.Input(IMAGE)
    round_trip(keras.Model(image, layer(image)))


def test_a_call_on_a_named_input_is_a_usual_one():
    architecture, _ = round_trip(on_image(lambda x: layers.Conv2D(3, 3, name="conv")(inputs=x)))
    assert CALL not in architecture["conv"].config


def test_last_axis_has_one_spelling():
    model = on_image(lambda x: layers.BatchNormalization(axis=3, name="by_number")(x))
    architecture, twin = round_trip(model)
    assert architecture["by_number"].config == {} and twin.get_layer("by_number").axis == -1
    model = on_image(lambda x: layers.BatchNormalization(axis=1, name="height")(x))
    assert round_trip(model)[0]["height"].config == {"axis": 1}


# Operations -----------------------------------------------------------------------------------------------------------

OPERATIONS = {
    "constants": lambda x: 1.0 - x / 255.0 * np.float32(3.0) + np.arange(4, dtype=np.float32),
    "tensor_constant": lambda x: x * ops.convert_to_tensor([1.0, 2.0, 3.0, 4.0]),
    "residual": lambda x: layers.Conv2D(4, 3, padding="same")(x) + x,
    "gate": lambda x: x * ops.sigmoid(ops.mean(x, axis=(1, 2), keepdims=True)),
    "square": lambda x: x * x,
    "slices": lambda x: x[:, 1:-1, ..., ::2],
    "reshape": lambda x: ops.transpose(ops.reshape(x, (-1, 16, 4, 4)), (0, 2, 3, 1)),
    "functions": lambda x: ops.clip(ops.silu(keras.activations.gelu(keras.ops.relu6(x * 3.0))), 0.1, 2.0),
    "joined": lambda x: ops.concatenate([x, ops.stack([x[..., 0], x[..., 1]], axis=-1)], axis=-1),
    "where": lambda x: ops.where(x > 0.0, x, ops.exp(x) - 1.0),
    "matmul": lambda x: ops.einsum("bhwc,bhwd->bcd", x, ops.abs(x)) @ np.ones((4, 3), np.float32),
    "cast": lambda x: ops.cast(ops.cast(x, "float16") * 3.0, "float32"),
    "padding": lambda x: ops.pad(ops.max_pool(x, 2, 2), [[0, 0], [1, 1], [0, 1], [0, 0]]),
}


@pytest.mark.parametrize("case", OPERATIONS)
def test_operations(case):
    architecture, twin = round_trip(on_image(OPERATIONS[case]))
    assert not any(name in ("", None) for name in architecture.consumers)
    assert len(twin.operations) == len(architecture.nodes)


def test_the_type_of_a_number_takes_part_in_promotion():
    for number, dtype in ((2.0, "float16"), (np.float32(2.0), "float32"), (None, "float16")):
        image = keras.Input(IMAGE, name="image", dtype="float16")
        _, twin = round_trip(keras.Model(image, image * (image if number is None else number)))
        assert twin.output.dtype == dtype


def test_operations_on_images_become_the_layers_of_the_same_function():
    def body(x):
        y = keras.activations.relu(layers.Conv2D(4, 3, padding="same", name="conv")(x) + x)
        y = y * ops.relu(ops.mean(y, axis=(1, 2), keepdims=True))
        return ops.mean(y, axis=(1, 2)) + 1.0

    architecture, _ = round_trip(on_image(body))
    assert [node.kind for node in architecture.nodes if ">" not in node.kind] == [
        "InputLayer",
        "Conv2D",
        "Add",
        "ReLU",
        "ReLU",
        "Multiply",
    ]
    assert [node.kind for node in architecture.nodes if CALL in node.config] == ["keras.ops>Add"]


def test_a_masked_sequence():
    tokens = keras.Input((6,), name="tokens", dtype="int32")
    x = layers.LSTM(3)(layers.Embedding(5, 4, mask_zero=True)(tokens))
    round_trip(perturbed(keras.Model(tokens, x)))


def test_a_part_of_another_model():
    image = keras.Input(IMAGE, name="image")
    x = layers.ReLU(name="relu")(layers.Conv2D(4, 3, name="conv")(image) * 2.0)
    whole = perturbed(keras.Model(image, layers.Dense(3, name="head")(x + 1.0)))
    features = keras.Model(whole.input, whole.get_layer("relu").output)
    assert len(round_trip(features)[0].nodes) == 4
    head = keras.Model(whole.get_layer("relu").output, whole.output)
    assert len(round_trip(head)[0].nodes) == 3
    assert len(round_trip(whole)[0].nodes) == 6


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


def _twice(layer):
    return lambda x: layer(layer(x))


def _shared_with_a_nested_model(x):
    layer = layers.Dense(4, name="culprit")
    image = keras.Input(IMAGE)
    return layer(keras.Model(image, layer(image))(x))


def _recorded(function):
    return lambda x: layers.Lambda(function, name="culprit")(x)


REFUSED = {
    "layer twice": ("more than once", _twice(layers.Dense(4, name="culprit"))),
    "model twice": ("more than once", _twice(small(IMAGE, "culprit"))),
    "layer in two models": ("more than once", _shared_with_a_nested_model),
    "several outputs": ("3 outputs", lambda x: layers.LSTM(2, return_state=True, name="culprit")(x[:, 0])[0]),
    "unregistered": ("not registered", Unregistered(name="culprit")),
    "subclassed": ("Subclassed", lambda x: Subclassed(name="culprit")(x)),
    "lambda": ("arbitrary code", _recorded(lambda x: x * 2.0)),
    "forgetful": ("get_config", Forgetful(3, name="culprit")),
    "nested model in training mode": ("other arguments", lambda x: small(IMAGE, "culprit")(x, training=True)),
    "free variable": ("variable", lambda x: Scaled(1.0, name="culprit")(x, shift=keras.Variable(2.0))),
    "function": ("plain data", lambda x: Scaled(1.0, name="culprit")(x, then=lambda y: y)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case):
    reason, body = REFUSED[case]
    image = keras.Input(IMAGE)
    with pytest.raises(ValueError, match=rf"'culprit'[\s\S]*{reason}"):
        from_keras(keras.Model(image, body(image)))


def test_refuses_what_is_no_functional_model():
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
