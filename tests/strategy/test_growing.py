"""Which morphisms a network grows by."""

import math

import pytest

from nash_tf.architecture.costs import training_seconds
from nash_tf.architecture.vanilla import vanilla
from nash_tf.morphisms.draw import replay
from nash_tf.strategy import growing, methods
from nash_tf.strategy.growing import added_size, choose

PARENT = vanilla((32, 32, 3), 10, (16, 32, 64))
GAINS = methods.GROW.operators


def price(architecture):
    return training_seconds(architecture) / training_seconds(PARENT)


def chosen(gains=GAINS, most=5, max_price=2.0, max_params=math.inf, epochs=100.0, seed=0):
    return choose(PARENT, gains, price, most, max_price, max_params, epochs, seed)[:2]


def test_it_is_a_child_of_its_moves_within_the_limits():
    child, moves = chosen(max_price=1.2, max_params=40_000)
    assert moves and replay(PARENT, moves)[0].digest == child.digest
    assert price(child) <= 1.2 and child.params <= 40_000
    assert chosen(max_price=1.2, max_params=40_000) == (child, moves)


@pytest.mark.parametrize(
    "limits", [{"max_price": 1.0}, {"max_params": PARENT.params}, {"epochs": 0.0}, {"gains": dict.fromkeys(GAINS, 0.0)}]
)
def test_where_nothing_is_worth_it_nothing_grows(limits):
    assert chosen(**limits) == (PARENT, ())


def test_each_is_worth_more_than_the_slower_training_costs():
    child, moves = PARENT, []
    _, all_moves, worth = choose(PARENT, GAINS, price, 8, 2.0, math.inf, 100.0, 0)
    assert worth > 0
    for move in all_moves:
        grown = replay(child, [move])[0]
        gain = GAINS[move.operator] * added_size(child, grown) * growing.FURTHER ** len(moves)
        assert gain > growing.SLOPE * math.log(price(grown) / price(child))
        child, moves = grown, [*moves, move]


def test_dearer_growth_is_worth_less():
    at = {move.site[0]: PARENT[move.site[0]].shape[0] for move in chosen({"insert_conv": 0.0045}, most=1)[1]}
    assert set(at.values()) == {8}, "of the sites of one operator, the one on the smallest images"


def test_growth_is_spread_over_the_network():
    _, moves = chosen({"insert_separable_conv": 0.006}, most=3)
    assert len({PARENT[move.site[0]].shape[:2] for move in moves if move.site[0] in PARENT}) > 1


def test_size_is_less_where_very_many_parameters_are_new():
    grown = {width: vanilla((32, 32, 3), 10, (16, 32, width)) for width in (64, 128, 2048)}
    assert added_size(PARENT, grown[64]) == 0.0
    assert added_size(PARENT, grown[128]) > added_size(PARENT, grown[2048])


def test_an_operator_of_the_users_own_is_tried_too(monkeypatch):
    class Mine(type(growing.registry["insert_conv"])):
        name = "mine"

    monkeypatch.setitem(growing.registry, "mine", Mine())
    _, moves = chosen({"mine": growing.UNKNOWN})
    assert moves and moves[0].operator == "mine"
