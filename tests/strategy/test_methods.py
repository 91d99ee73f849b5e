"""The methods: those of the slides as their table has them, and what all records keep to."""

import dataclasses

import pytest

from nash_tf.architecture.vanilla import vanilla
from nash_tf.strategy import methods
from nash_tf.strategy.ask_tell import Search, Settings
from nash_tf.strategy.halving import Rung, promote, promote_ties
from nash_tf.strategy.records import COMPLETED, Goal, Outcome
from nash_tf.strategy.schedules import Phase, annealings, one_cosine

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
    assert method.phases([rung.epochs for rung in rungs]) == annealings(periods)
    assert set(method.operators) == operators
    assert len(set(method.frequencies.values())) == 1, "operators are drawn uniformly"
    assert method.promote is promote
    assert method.inherit_momentum


def test_names_are_those_of_the_command_line_each_taken_once():
    baselines = ["random", "one_epoch", "fixed", "wide", "scratch", "hand"]
    slides = ["nash", "sh", "shr", "shrsep", "shr_two_rungs", "shr_ties"]
    assert list(methods.registry) == ["grow", "scale", "front", *slides, *baselines]
    assert len(methods.registry) == 3 + len((*methods.OF_SLIDES, *methods.FUTURE_WORK, *methods.BASELINES))


def test_a_larger_first_budget():
    assert methods.registry["shr_two_rungs"].rungs(8, 160) == (Rung(8, 10), Rung(4, 20))


def test_ties_are_all_promoted():
    assert promote_ties({0: 0.5, 1: 0.7, 2: 0.6, 3: 0.6, 4: None}, 2) == (1, 2, 3)
    assert promote_ties({0: None}, 1) == ()


@pytest.mark.parametrize("name", [name for name, method in methods.registry.items() if not method.is_budgeted])
def test_a_child_trains_as_long_as_its_schedule(name):
    method = methods.registry[name]
    epochs = [rung.epochs for rung in method.rungs(8, 160)]
    assert sum(phase.length for phase in method.phases(epochs)) == sum(epochs)


def test_a_method_of_another_schedule_is_a_record(monkeypatch):
    def one_line(rungs):
        return (Phase(sum(rungs), shape="linear"),)

    monkeypatch.setitem(
        methods.registry, "line", dataclasses.replace(methods.registry["sh"], name="line", phases=one_line)
    )
    search = Search(Settings(method="line", children=4, epochs_per_step=12, vanilla_epochs=3), Goal("val_accuracy"))
    (first,) = search.ask()
    assert (first.epochs, first.phases) == (3, (Phase(3, shape="linear"),))
    search.tell(Outcome(first, COMPLETED, vanilla((8, 8, 3), 3, (4, 8)), {"val_accuracy": 0.5}))
    assert {each.phases for each in search.ask()} == {(Phase(7, shape="linear"),)}


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"phases": one_cosine}, "method grow: gains are for a method with a budget"),
        ({"frequencies": {"split": 1.0}}, "without frequencies"),
        ({"gains": {}, "has_front": True}, "a front is for a method with gains"),
    ],
)
def test_a_method_that_contradicts_itself_is_refused(changed, rule):
    with pytest.raises(ValueError, match=rule):
        dataclasses.replace(methods.GROW, **changed)
