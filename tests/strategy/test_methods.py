"""The four methods are the table of the slides."""

import dataclasses

import pytest

from nash_tf.strategy import methods
from nash_tf.strategy.halving import Rung, promote, promote_ties

FIVE = {"insert_conv", "alter_channels", "merge_convex", "merge_concat", "split"}
HALVING = (Rung(8, 5), Rung(4, 10), Rung(2, 20), Rung(1, 40))


@pytest.mark.parametrize(
    ("name", "rungs", "periods", "operators"),
    [
        ("nash", (Rung(8, 20),), (20,), FIVE),
        ("sh", HALVING, (75,), FIVE),
        ("shr", HALVING, (5, 10, 20, 40), FIVE),
        ("shrsep", HALVING, (5, 10, 20, 40), FIVE | {"insert_separable_conv"}),
    ],
)
def test_record(name, rungs, periods, operators):
    method = methods.registry[name]
    assert method.name == name
    assert method.rungs(8, 160) == rungs
    assert method.periods([rung.epochs for rung in rungs]) == periods
    assert set(method.operators) == operators
    assert len(set(method.operators.values())) == 1, "operators are drawn uniformly"
    assert method.promote is promote
    assert method.inherit_momentum


def test_registry_holds_the_four_and_what_they_must_beat():
    assert [method.name for method in methods.OF_SLIDES] == ["nash", "sh", "shr", "shrsep"]
    assert [method.name for method in methods.FUTURE_WORK] == ["shr_two_rungs", "shr_ties"]
    assert [method.name for method in methods.BASELINES] == ["random", "one_epoch", "fixed", "wide", "scratch", "hand"]
    assert list(methods.registry) == [
        m.name
        for m in (
            methods.GROW,
            methods.SCALE,
            methods.FRONT,
            *methods.OF_SLIDES,
            *methods.FUTURE_WORK,
            *methods.BASELINES,
        )
    ]
    assert all(name == method.name for name, method in methods.registry.items())


def test_a_larger_first_budget():
    assert methods.registry["shr_two_rungs"].rungs(8, 160) == (Rung(8, 10), Rung(4, 20))


def test_ties_are_all_promoted():
    assert promote_ties({0: 0.5, 1: 0.7, 2: 0.6, 3: 0.6, 4: None}, 2) == (1, 2, 3)
    assert promote_ties({0: None}, 1) == ()


@pytest.mark.parametrize("name", methods.registry)
def test_a_child_trains_as_long_as_it_anneals(name):
    method = methods.registry[name]
    epochs = [rung.epochs for rung in method.rungs(8, 160)]
    assert sum(method.periods(epochs)) == sum(epochs)


def test_a_fifth_method_is_a_record():
    def short_rungs(children, epochs):
        return (Rung(children, 1),)

    fifth = dataclasses.replace(methods.registry["shr"], name="short", rungs=short_rungs)
    assert fifth.rungs(8, 160) == (Rung(8, 1),)
