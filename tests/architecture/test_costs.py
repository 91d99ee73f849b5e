"""What networks are predicted to cost."""

import keras
import pytest
from keras import layers

from nash_tf.architecture import costs, first_networks
from nash_tf.architecture.costs import (
    SECONDS_PER_DEPTHWISE_OPERATION,
    SECONDS_PER_ELEMENT,
    SECONDS_PER_OPERATION,
    flops,
    in_blocks,
    kernel_operations,
    training_seconds,
)
from nash_tf.architecture.vanilla import Chain, vanilla
from nash_tf.keras_models.importing import from_keras


@pytest.mark.parametrize(
    "channels, blocked", [(3, 3), (15, 15), (16, 16), (17, 32), (32, 32), (40, 48), (48, 48), (100, 112)]
)
def test_channels_fill_blocks_of_16(channels, blocked):
    assert in_blocks(channels) == blocked


def test_a_block_that_is_not_full_costs_as_much():
    costs = [training_seconds(vanilla((32, 32, 3), 10, (16, width))) for width in (33, 48, 49)]
    assert costs[0] == costs[1] < costs[2]
    assert flops(vanilla((32, 32, 3), 10, (16, 33))) < flops(vanilla((32, 32, 3), 10, (16, 48)))


def test_operations_and_elements_in_closed_form():
    chain = Chain((8, 8, 16))
    chain.add("conv", "SeparableConv2D", {"filters": 32, "kernel_size": [3, 3], "padding": "same", "use_bias": False})
    depthwise, pointwise = 2 * 9 * 16 * 64, 2 * 16 * 32 * 64
    assert flops(chain.architecture) == depthwise + pointwise
    assert training_seconds(chain.architecture) == pytest.approx(
        SECONDS_PER_DEPTHWISE_OPERATION * depthwise
        + SECONDS_PER_OPERATION * pointwise
        + SECONDS_PER_ELEMENT * (64 * 16 + 64 * 32)
    )


def test_no_digit_depends_on_the_order_of_adding(monkeypatch):
    network = first_networks.registry["separable"].make((32, 32, 3), 10, (32, 64, 112))
    before, operations = costs.training_seconds(network), costs.kernel_operations
    monkeypatch.setattr(costs, "kernel_operations", lambda *args: reversed(list(operations(*args))))
    assert costs.training_seconds(network) == before


def test_where_a_size_is_open_each_parameter_counts_once():
    network = vanilla((None, None, 3), 10, (16,))
    assert training_seconds(network) == SECONDS_PER_OPERATION * 2 * network.params


def test_a_transposed_convolution_counts_where_its_kernel_is_applied():
    chain = Chain((8, 8, 16))
    chain.add("up", "Conv2DTranspose", {"filters": 32, "kernel_size": [2, 2], "strides": [2, 2], "use_bias": False})
    assert sum(operations for _, _, operations in kernel_operations(chain.architecture)) == flops(chain.architecture)


@pytest.mark.parametrize(
    ("kernel", "strides", "padding"), [(5, 1, "valid"), (3, 2, "valid"), (3, 2, "same"), (2, 3, "valid")]
)
def test_that_is_at_each_place_of_its_input(kernel, strides, padding):
    image = keras.Input((4, 4, 3))
    layer = layers.Conv2DTranspose(6, kernel, strides, padding=padding)
    assert flops(from_keras(keras.Model(image, layer(image)))) == 2 * 4 * 4 * kernel**2 * 3 * 6


@pytest.mark.parametrize(
    ("shape", "layer"),
    [((32, 64), layers.DepthwiseConv1D(3)), ((5, 8, 8, 6), layers.TimeDistributed(layers.DepthwiseConv2D(3)))],
)
def test_depthwise_kernels_of_all_kinds_are_known(shape, layer):
    inputs = keras.Input(shape)
    assert [each for _, each, _ in kernel_operations(from_keras(keras.Model(inputs, layer(inputs))))] == [True]


@pytest.mark.parametrize("name", ["Conv2D", "Conv2DTranspose", "SeparableConv2D", "ConvLSTM2D"])
def test_channels_may_come_first(name):
    shape = (2, 9, 8, 3) if name == "ConvLSTM2D" else (9, 8, 3)
    last, first = keras.Input(shape), keras.Input((*shape[:-3], 3, 9, 8))
    layer = getattr(layers, name)
    counted = [
        flops(from_keras(keras.Model(each, layer(4, 3, data_format=order)(each))))
        for each, order in ((last, "channels_last"), (first, "channels_first"))
    ]
    assert counted[0] == counted[1] > 0


@pytest.fixture(scope="module")
def operations():
    """By layer the operations of recurrent layers and attention on 7 steps of 5 channels, and on 4 of 6 to attend to."""
    steps, others = keras.Input((7, 5)), keras.Input((4, 6))
    images, symbols = keras.Input((3, 8, 8, 2)), keras.Input((7,), dtype="int32")
    keys = layers.Dense(5, name="keys")(others)
    attention = layers.MultiHeadAttention(2, 3, value_dim=4, output_shape=9, name="attention")
    outputs = [
        layers.LSTM(3, name="lstm")(steps),
        layers.GRU(3, return_sequences=True, name="gru")(layers.Masking()(steps)),
        layers.Bidirectional(layers.SimpleRNN(3), name="both")(steps),
        layers.TimeDistributed(layers.Conv2D(4, 3), name="each")(images),
        attention(steps, others, use_causal_mask=True),
        layers.GroupQueryAttention(3, 4, 2, use_gate=True, name="grouped")(steps, keys),
        layers.Attention(name="bare")([steps, keys]),
        layers.ConvLSTM2D(4, 3, return_sequences=True, name="images")(images),
        layers.Embedding(9, 4, name="embedding")(symbols),
    ]
    architecture = from_keras(keras.Model([steps, others, images, symbols], outputs))
    found = {node.name: 0 for node in architecture.nodes}
    for node, _, number in kernel_operations(architecture):
        found[node.name] += number
    assert sum(found.values()) == flops(architecture)
    return found


@pytest.mark.parametrize(
    "layer, multiplications",
    [
        ("lstm", 7 * 4 * (5 * 3 + 3 * 3)),
        ("gru", 7 * 3 * (5 * 3 + 3 * 3)),
        ("both", 2 * 7 * (5 * 3 + 3 * 3)),
        ("each", 3 * 36 * 9 * 2 * 4),
        ("attention", 7 * 5 * 6 + 4 * 6 * 6 + 4 * 6 * 8 + 7 * 8 * 9 + 2 * 7 * 4 * (3 + 4)),
        ("grouped", 2 * 7 * 5 * 12 + 2 * 4 * 5 * 6 + 7 * 12 * 5 + 4 * 7 * 4 * (3 + 3)),
        ("bare", 2 * 7 * 4 * 5),
        ("images", 3 * 36 * 4 * 9 * 4 * (2 + 4)),
        ("embedding", 0),
    ],
)
def test_steps_by_hand(operations, layer, multiplications):
    assert operations[layer] == 2 * multiplications


def test_open_steps():
    steps = keras.Input((None, 5))
    assert flops(from_keras(keras.Model(steps, layers.LSTM(3)(steps)))) is None
