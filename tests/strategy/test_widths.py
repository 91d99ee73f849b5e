"""Networks of one shape at several widths."""

import keras
import pytest

from nash_tf.architecture import Architecture
from nash_tf.architecture.first_networks import residual
from nash_tf.morphisms.draw import replay
from nash_tf.strategy.front_plan import ENOUGH
from nash_tf.strategy.widths import cut, widened
from nash_tf.testing import random_models

FIRST = residual((8, 8, 1), 10, (4, 8))


def at_most(params):
    return lambda network: network.params <= params


class TestWidened:
    @pytest.mark.parametrize("times", [1.3, 4.0, 30.0])
    def test_all_layers_have_the_same_multiple_of_their_channels(self, times):
        parent = residual((8, 8, 3), 10, (16, 32, 64))
        size = times * parent.params
        child = widened(parent, 0, at_most(size)).architecture
        assert ENOUGH * size <= child.params <= size and child.params != parent.params
        multiples = [child[node.name].channels / node.channels for node in parent.nodes if node.kind == "Conv2D"]
        assert max(multiples) - min(multiples) <= 1 / 16

    def test_heads_which_could_not_be_taken_back_stay(self):
        words = keras.Input((6, 4))
        seen = keras.layers.MultiHeadAttention(2, 8, name="attention")(words, words)
        units = keras.layers.LSTM(6, name="units")(keras.layers.Dense(8, "relu", name="hidden")(seen))
        parent = Architecture.from_keras(keras.Model(words, keras.layers.Dense(3)(units)))
        child = widened(parent, 0, at_most(4 * parent.params))
        assert {move.site[0] for move in child.moves} == {"hidden", "units"}
        back = cut(child.architecture, parent, 0, at_most(1.2 * parent.params)).architecture
        assert parent.params <= back.params <= 1.2 * parent.params

    def test_what_cannot_be_wider_stays(self):
        child = widened(FIRST, 0, at_most(FIRST.params))
        assert child.architecture is FIRST and not child.moves


class TestCut:
    @pytest.mark.parametrize("share", [0.9, 0.5, 0.2])
    def test_the_largest_network_of_a_size_has_the_same_share_of_all_filters(self, share):
        parent = residual((8, 8, 3), 10, (16, 32, 64))
        size = share * parent.params
        child = cut(parent, residual((8, 8, 3), 10, (2, 2, 2)), 0, at_most(size))
        assert ENOUGH * size <= child.architecture.params <= size
        shares = [
            child.architecture[node.name].channels / node.channels
            for node in parent.nodes
            if node.kind == "Conv2D" and node.name in child.architecture
        ]
        assert max(shares) - min(shares) <= 1 / 16 and max(shares) < 1

    def test_no_layer_loses_what_it_had_at_first_where_there_is_room(self):
        first, parent = residual((8, 8, 3), 10, (8, 8)), residual((8, 8, 3), 10, (8, 40))
        widths = [
            {
                node.name: node.channels
                for node in cut(parent, first, 0, at_most(size)).architecture.nodes
                if node.kind == "Conv2D"
            }
            for size in (first.params, first.params // 2)
        ]
        assert min(widths[0].values()) == 8 > min(widths[1].values())

    def test_what_cannot_become_so_small_stays(self):
        child = cut(FIRST, FIRST, 0, at_most(10))
        assert child.architecture is FIRST and not child.moves


@pytest.mark.parametrize("number", range(6))
def test_random_networks_keep_limits_wider_and_cut_back(number):
    parent = Architecture.from_keras(list(random_models(6, seed=21))[number])
    most = 3 * parent.params
    wide = widened(parent, 0, at_most(most)).architecture
    assert parent.params <= wide.params <= most
    for share in (0.7, 0.3):
        child = cut(wide, parent, 0, at_most(share * wide.params))
        assert child.architecture is wide or child.architecture.params <= share * wide.params
        assert replay(wide, child.moves)[0] == child.architecture
