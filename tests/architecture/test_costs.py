"""What networks are predicted to cost."""

import pytest

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


def test_where_a_size_is_open_each_parameter_counts_once():
    network = vanilla((None, None, 3), 10, (16,))
    assert training_seconds(network) == SECONDS_PER_OPERATION * 2 * network.params


def test_a_transposed_convolution_counts_where_its_kernel_is_applied():
    chain = Chain((8, 8, 16))
    chain.add("up", "Conv2DTranspose", {"filters": 32, "kernel_size": [2, 2], "strides": [2, 2], "use_bias": False})
    assert sum(operations for _, _, operations in kernel_operations(chain.architecture)) == flops(chain.architecture)
