"""Networks folded into blocks, and drawn."""

import math
import re

import pytest

from nash_tf.architecture import Architecture, Node
from nash_tf.architecture.vanilla import vanilla
from nash_tf.drawing import architecture_graph, layer_blocks
from nash_tf.morphisms.draw import draw
from nash_tf.strategy import methods


def grown(mutations):
    """A network after so many morphisms."""
    operators = methods.registry["shrsep"].frequencies
    return draw(vanilla((32, 32, 3), 10, (8, 16, 32)), mutations, operators, 1e9, 0)[0]


def test_vanilla_folds_into_eight_blocks():
    folded = layer_blocks.blocks(vanilla((32, 32, 3), 10, (8, 16, 32)))
    assert [block.title for block in folded] == [
        "Input",
        "Conv 3×3-BN-ReLU",
        "Max pool 2×2",
        "Conv 3×3-BN-ReLU",
        "Max pool 2×2",
        "Conv 3×3-BN-ReLU",
        "Global average pool",
        "Dense",
    ]
    assert [block.inputs for block in folded] == [(), *((index,) for index in range(7))]


def test_blocks_keep_all_layers_parameters_and_edges():
    architecture = grown(16)
    folded = layer_blocks.blocks(architecture)
    assert sorted(name for block in folded for name in block.names) == sorted(n.name for n in architecture.nodes)
    assert sum(block.params for block in folded) == architecture.params
    assert all(source < index for index, block in enumerate(folded) for source in block.inputs)
    assert len(folded) < 0.7 * len(architecture.nodes)


def test_what_others_need_too_is_not_folded():
    start = vanilla((8, 8, 3), 10, (4,))
    joined = start.make("sum_9", "Add", {}, [start["conv_1"], start["relu_1"]])
    architecture = Architecture((*start.nodes, joined), ("sum_9", "logits"))
    folded = layer_blocks.blocks(architecture)
    assert [block.names for block in folded][1:3] == [("conv_1",), ("bn_1", "relu_1")]
    assert folded[-1].inputs == (1, 2)


@pytest.mark.parametrize(
    ("kind", "sort"),
    [
        ("Conv2D", "conv"),
        ("nash_tf>IdentityConv2D", "conv"),
        ("SeparableConv2D", "separable"),
        ("nash_tf>IdentitySeparableConv2D", "separable"),
        ("nash_tf>ConvexMerge", "convex"),
        ("Concatenate", "concat"),
        ("Add", "split"),
        ("MaxPooling2D", "pool"),
        ("GlobalAveragePooling2D", "pool"),
        ("Dense", "other"),
        ("BatchNormalization", "other"),
    ],
)
def test_sorts(kind, sort):
    assert layer_blocks.sort_of(Node("x", kind, {}, (), (1,))) == sort


def test_a_graph_of_a_hundred_layers_has_a_box_for_each_block():
    architecture = grown(48)
    assert len(architecture.nodes) >= 100
    figure = architecture_graph.graph(architecture)
    assert figure.body.count('class="card') == len(layer_blocks.blocks(architecture))
    assert len(architecture_graph.slices(figure, 630, 630)) == math.ceil(figure.height / 630)
    heights = [float(re.search(r'height="([^"]*)"', piece)[1]) for piece in architecture_graph.slices(figure, 630, 420)]
    assert heights[0] <= 420 and max(heights) <= 630 and sum(heights) == pytest.approx(figure.height)
