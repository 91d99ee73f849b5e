"""The plan of a front, and the search that follows it: the largest network, and each smaller one cut out of the one before."""

import dataclasses
import random

import keras
import numpy as np
import pytest

from nash_tf.architecture import Architecture
from nash_tf.architecture.costs import training_seconds
from nash_tf.architecture.first_networks import residual
from nash_tf.strategy.ask_tell import Search, Settings
from nash_tf.strategy.course import AVERAGED, COOLDOWN
from nash_tf.strategy.front_plan import CUT_RATE, CUT_SHARE, ENOUGH, Front, front, phases
from nash_tf.strategy.records import COMPLETED, FAILED, Goal, Outcome, TrainingKey
from nash_tf.strategy.schedules import averaged_from, phased

FIRST = residual((8, 8, 1), 10, (4, 8))
SIZES = (FIRST.params // 2, 2 * FIRST.params, 3 * FIRST.params)
SETTINGS = Settings("front", steps=2, vanilla_epochs=6, budget_epochs=200.0, front_sizes=SIZES, seed=3)
# A layer of 500 inputs: a network is of few sizes.
ONE_WIDE_LAYER = Architecture.from_keras(
    keras.Sequential([keras.Input((500,)), keras.layers.Dense(2, "relu"), keras.layers.Dense(3)])
)
LARGEST, MIDDLE, SMALLEST = (TrainingKey(step, 0, 0) for step in (1, 2, 3))


def train(assignment, failed=(), first=FIRST):
    """The first network scores least, for its rate is high; larger ones score more."""
    if assignment.key in failed:
        return Outcome(assignment, FAILED, message="out of memory")
    network = assignment.architecture or first
    is_finished = assignment.phases[-1].end == 0.0
    return Outcome(
        assignment, COMPLETED, network, {"val_accuracy": network.params / 1e6 + 0.1 * is_finished}, cpu_seconds=1.0
    )


def climb(settings=SETTINGS, failed=(), stop=None, order=None, told=(), fits=None, first=FIRST):
    search, order = Search(settings, Goal("val_accuracy"), fits=fits), order or random.Random(0)
    search.tell(*told)
    while not search.finished and len(search.outcomes) != stop:
        search.tell(train(order.choice(search.ask()), failed, first))
    return search


@pytest.fixture(scope="module")
def climbed():
    return climb()


def cost(outcome):
    assignment = outcome.assignment
    price = training_seconds(outcome.architecture) / training_seconds(FIRST)
    return (assignment.epochs - assignment.initial_epoch) * price


def params(search):
    return [search.outcomes[key].architecture.params for key in search.finished_networks]


class TestPlan:
    def test_sizes_are_those_asked_for_but_for_those_that_another_is_of(self):
        assert front(100, (50, 20, 105, 400, 200, 210, 900), 3, 500) == Front((400, 200, 105, 50, 20))
        assert front(100, (), 3, 500) == Front((400, 200, 100)) and front(700, (), 3, 500) == Front((500,))
        # As many before the first network is known.
        assert front(None, (50, 200), 9, 500).sizes == (200, 50) and len(front(None, (), 2, 500).sizes) == 3

    def test_a_step_finishes_a_network(self):
        plan = Front((400, 200))
        assert [[tuple(rung) for rung in step] for step in plan.steps(5)] == [[(1, 5)], [(1, 0)], [(1, 0)]]
        assert [plan.size_of(params) for params in (401, 400, 201, 200, 3)] == [None, 400, 400, 200, 200]

    def test_shares_are_as_the_cube_roots_of_sizes_and_less_for_what_was_cut_out(self):
        plan, left, spent = Front((2700, 800, 100)), 1.0, []
        for params in (2700, 790, 95):
            spent.append(left * plan.share(params, is_cut=params < 2700))
            left -= spent[-1]
        assert left == pytest.approx(0) and spent[1] == pytest.approx(2 * spent[2])
        assert spent[1] / spent[0] == pytest.approx(2 / 3 * CUT_SHARE)

    @pytest.mark.parametrize("epochs", [1, 2, 7, 100])
    @pytest.mark.parametrize("is_averaged", [False, True])
    def test_the_largest_is_at_the_rate_until_half_and_the_others_cool_down_from_a_lower_one(self, epochs, is_averaged):
        whole, of_cut = (phases(epochs, is_cut=each, is_averaged=is_averaged) for each in (False, True))
        assert sum(phase.length for phase in whole) == sum(phase.length for phase in of_cut) == epochs
        constant = min(epochs - 1, round(COOLDOWN * epochs))
        for at in np.linspace(0, epochs, 50):
            falling = (epochs - at) / (epochs - constant)
            assert phased(at, whole, 1.0) == pytest.approx(min(1.0, falling), abs=1e-9)
            assert phased(at, of_cut, 1.0) == pytest.approx(CUT_RATE * (1 - at / epochs), abs=1e-9)
        for each in (whole, of_cut):
            assert averaged_from(each) == (epochs - max(1, round(AVERAGED * epochs)) if is_averaged else None)


class TestSearch:
    def test_one_network_of_each_size_is_finished_the_largest_first_and_each_out_of_the_one_before(self, climbed):
        assert climbed.finished_networks == (LARGEST, MIDDLE, SMALLEST) and climbed.best == LARGEST
        sizes = sorted(SIZES, reverse=True)
        assert all(own <= size for size, own in zip(sizes, params(climbed), strict=True))
        assert params(climbed)[0] >= ENOUGH * sizes[0]
        assert climbed.finished == "all 3 steps are done" and climbed.front.missing() is None
        assert climbed.needed() >= set(climbed.finished_networks)
        for key in (LARGEST, MIDDLE, SMALLEST):
            assignment = climbed.outcomes[key].assignment
            assert assignment.source == TrainingKey(key.step - 1, 0, 0) and assignment.phases[-1].end == 0.0
            shrinks = {move.operator == "remove_filters" for move in assignment.moves}
            assert shrinks == {key != LARGEST}

    def test_all_is_charged(self, climbed):
        spent = sum(map(cost, climbed.outcomes.values()))
        dearest = max(training_seconds(outcome.architecture) for outcome in climbed.outcomes.values())
        # Each training is a whole number of epochs.
        assert SETTINGS.budget_epochs - dearest / training_seconds(FIRST) - 1 <= spent <= SETTINGS.budget_epochs

    def test_the_order_of_reports_and_kills_change_nothing(self, climbed):
        for seed in (0, 1):
            order, told = random.Random(seed), []
            for stop in (1, 3, None):
                told = list(climb(stop=stop, order=order, told=told).outcomes.values())
                order.shuffle(told)
            search = Search(SETTINGS, Goal("val_accuracy"))
            search.tell(*told)
            assert search.lineage() == climbed.lineage() and search.finished

    def test_where_the_largest_fails_the_next_one_grows(self):
        search = climb(failed=[LARGEST])
        assert search.finished_networks == (MIDDLE, SMALLEST) == (search.best, SMALLEST)
        assert search.outcomes[MIDDLE].assignment.source == (0, 0, 0)
        assert ENOUGH * SIZES[1] <= params(search)[0] <= SIZES[1]
        assert search.front.missing() == f"There is no network of {SIZES[2]:,} parameters: training failed."

    def test_where_one_in_the_middle_fails_the_next_is_cut_out_of_the_one_before_it(self):
        search = climb(failed=[MIDDLE])
        assert search.finished_networks == (LARGEST, SMALLEST)
        assert search.outcomes[SMALLEST].assignment.source == LARGEST

    def test_a_network_that_cannot_grow_is_trained_all_the_same_and_cut(self):
        search = climb(fits=lambda network: network.params <= FIRST.params)
        assert search.finished.startswith(
            "it has the networks that can be made under max_params=20,000,000 and the limit"
        )
        assert params(search)[0] == FIRST.params and params(search)[1] <= SIZES[0]
        assert search.front.missing().startswith(f"There is no network of {SIZES[1]:,}, {SIZES[2]:,} parameters: ")

    def test_what_is_cut_keeps_all_limits(self):
        operations = climb(dataclasses.replace(SETTINGS, max_flops=0.7 * FIRST.flops))
        slow = climb(
            dataclasses.replace(SETTINGS, front_sizes=(FIRST.params,)),
            fits=lambda network: network.params <= 0.4 * FIRST.params,
        )
        for search in (operations, slow):
            assert search.outcomes[LARGEST].assignment.moves
        flops = [operations.outcomes[key].architecture.flops for key in operations.finished_networks]
        assert max(flops) <= 0.7 * FIRST.flops and max(params(slow)) <= 0.4 * FIRST.params

    def test_a_size_that_another_network_is_small_enough_for_is_left_out(self):
        wide = dataclasses.replace(SETTINGS, front_sizes=(600, 1100, 2050, 2300, 2600, 3000), max_params=3000)
        search = climb(wide, first=ONE_WIDE_LAYER)
        assert params(search) == sorted(set(params(search)), reverse=True) and params(search)[-1] <= 600
        spent = sum(search.spent([outcome]) for outcome in search.outcomes.values())
        assert spent >= 0.9 * SETTINGS.budget_epochs

    def test_what_grows_after_a_larger_one_failed_has_the_whole_rate(self):
        search = climb(failed=[LARGEST])
        highest = [search.outcomes[key].assignment.phases[0].start for key in (MIDDLE, SMALLEST)]
        assert highest == [1.0, CUT_RATE]

    def test_a_first_network_above_all_sizes_is_cut_at_once(self):
        search = climb(dataclasses.replace(SETTINGS, front_sizes=(FIRST.params // 3, FIRST.params // 2)))
        assert all(
            own <= size for own, size in zip(params(search), (FIRST.params // 2, FIRST.params // 3), strict=True)
        )
        assert all(search.outcomes[key].assignment.moves for key in search.finished_networks)
        assert search.front.missing() is None

    def test_the_first_network_is_not_handed_over_where_another_is_finished(self):
        search = climb(dataclasses.replace(SETTINGS, front_sizes=(FIRST.params // 2,)))
        search.scores[0, 0, 0] = 9.0
        assert search.best == LARGEST

    def test_where_no_size_can_be_come_to_nothing_is_finished(self):
        search = climb(dataclasses.replace(SETTINGS, front_sizes=(5,)))
        assert search.finished_networks == () and search.finished.startswith("it has the networks that can be made")
        assert "no network of 5 parameters" in search.front.missing()

    def test_without_sizes_the_first_network_is_doubled_under_the_limits(self):
        given = dataclasses.replace(SETTINGS, front_sizes=(), max_params=3 * FIRST.params)
        largest, smallest = params(climb(given))
        assert FIRST.params < largest <= 2 * FIRST.params and ENOUGH * FIRST.params <= smallest <= FIRST.params
        fits = climb(dataclasses.replace(SETTINGS, max_flops=1.5 * FIRST.flops))
        assert all(outcome.architecture.flops <= 1.5 * FIRST.flops for outcome in fits.outcomes.values())
