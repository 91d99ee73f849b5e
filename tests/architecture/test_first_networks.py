"""First networks by their layout."""

import pytest

from nash_tf.architecture import first_networks
from nash_tf.architecture.costs import training_seconds
from nash_tf.keras_models.building import to_keras

WIDTHS = (16, 32, 64)


def made(layout, side=32):
    return first_networks.registry[layout].make((side, side, 3), 10, WIDTHS)


@pytest.mark.parametrize("layout", first_networks.registry)
def test_each_can_be_built(layout):
    model = to_keras(made(layout, 16))
    assert model.input_shape == (None, 16, 16, 3) and model.output_shape == (None, 10)


def test_pooled_has_one_more_convolution_than_residual_at_no_higher_price():
    assert made("pooled").flops == made("residual").flops + 2 * 9 * 32 * 32 * 8 * 8
    assert training_seconds(made("pooled")) < training_seconds(made("residual"))


@pytest.mark.parametrize(
    ("widths", "blocks"), [((4,), []), ((4, 8), [8]), ((4, 8, 16), [8, 8, 16]), ((4, 8, 16, 32), [8, 16, 16, 32])]
)
def test_pooled_has_two_residual_blocks_of_the_last_width_but_one(widths, blocks):
    network = first_networks.registry["pooled"].make((32, 32, 3), 10, widths)
    assert [node.shape[-1] for node in network.nodes if node.kind == "Add"] == blocks


@pytest.mark.parametrize("side, convolutions", [(32, 0), (63, 0), (64, 1), (96, 1), (128, 2), (224, 2)])
def test_pooled_makes_large_images_smaller_first(side, convolutions):
    network = made("pooled", side)
    stems = [node for node in network.nodes if node.kind == "Conv2D" and "stem" in node.name]
    assert len(stems) == convolutions
    last = next(node for node in network.nodes if node.name == "add_3")
    assert last.shape == (side >> convolutions + 3, side >> convolutions + 3, WIDTHS[-1])


def test_separable_is_pooled_with_separable_convolutions_of_the_last_width():
    network = made("separable")
    convolutions = [(node.kind, node.shape[-1]) for node in network.nodes if "Conv" in node.kind]
    assert convolutions == [("Conv2D", width) for width in (16, 32, 32, 32)] + [("SeparableConv2D", 64)] * 3
    assert [node.shape for node in network.nodes if node.kind == "Add"] == [(8, 8, 32)] * 2 + [(4, 4, 64)] * 2
    by_hand = made("hand")
    twice = first_networks.registry["separable"].make((32, 32, 3), 10, (32, 64, 128))
    assert twice.params < by_hand.params / 2 and twice.flops < by_hand.flops
