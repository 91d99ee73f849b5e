"""Every model that can be carried comes back with the same function, weights and digest; the rest is refused by name."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from nash_tf.architecture import Architecture
from nash_tf.architecture.layer_rules import CALL
from tests.helpers.round_trips import IMAGE, Scaled, on_image, perturbed, round_trip

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


# Refused --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "received"),
    [
        (None, "None"),
        ("m.keras", "'m.keras'"),
        ((1, 2), r"\(1, 2\)"),
        (residual, "<function residual at .*>"),
        (keras.Model, "<class .*Model'>"),
        (layers.Dense(2, name="head"), "'head' of class Dense"),
        (np.zeros((9, 9)), r"array\(.* \.\.\."),
    ],
)
def test_what_is_no_model_is_shown(given, received):
    with pytest.raises(ValueError, match=f"^expected a functional keras.Model, received {received}$") as error:
        Architecture.from_keras(given)
    assert len(str(error.value).splitlines()) == 1


def test_a_normalization_that_does_not_use_its_weights_is_refused():
    row = keras.Input((3,), name="row")
    layer = layers.Normalization(name="normalise")
    layer.adapt(np.arange(12.0).reshape(4, 3))
    model = keras.Model(row, layer(row))
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    with pytest.raises(ValueError, match="normalise .*finalize_state"):
        Architecture.from_keras(clone)
    clone.get_layer("normalise").finalize_state()
    assert Architecture.from_keras(clone) == Architecture.from_keras(model)
