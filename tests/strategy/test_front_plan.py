"""The plan of a front, and the search that follows it: a trunk, and a branch for each size."""

import dataclasses
import random

import numpy as np
import pytest

from nash_tf.architecture.costs import training_seconds
from nash_tf.architecture.first_networks import residual
from nash_tf.strategy.ask_tell import Search, Settings
from nash_tf.strategy.course import AVERAGED
from nash_tf.strategy.front_plan import BRANCH, ENOUGH, TRUNK, TRUNK_SHARE, Front, front, phases
from nash_tf.strategy.records import COMPLETED, FAILED, Goal, Outcome, TrainingKey
from nash_tf.strategy.schedules import averaged_from, phased

FIRST = residual((8, 8, 1), 10, (4, 8))
SIZES = (500, 2 * FIRST.params, 3 * FIRST.params)
SETTINGS = Settings("front", steps=2, vanilla_epochs=6, budget_epochs=200.0, front_sizes=SIZES, seed=3)


def train(assignment, failed=()):
    """The trunk scores least, for its rate is high; larger branches score more."""
    if assignment.key in failed:
        return Outcome(assignment, FAILED, message="out of memory")
    network = assignment.architecture or FIRST
    is_finished = assignment.phases[-1].end == 0.0
    return Outcome(
        assignment, COMPLETED, network, {"val_accuracy": network.params / 1e6 + 0.1 * is_finished}, cpu_seconds=1.0
    )


def climb(settings=SETTINGS, failed=(), stop=None, order=None, told=()):
    search, order = Search(settings, Goal("val_accuracy")), order or random.Random(0)
    search.tell(*told)
    while not search.finished and len(search.outcomes) != stop:
        search.tell(train(order.choice(search.ask()), failed))
    return search


@pytest.fixture(scope="module")
def climbed():
    return climb()


def cost(outcome):
    assignment = outcome.assignment
    price = training_seconds(outcome.architecture) / training_seconds(FIRST)
    return (assignment.epochs - assignment.initial_epoch) * price


class TestPlan:
    def test_sizes_are_those_asked_for_that_are_not_there(self):
        assert front(100, (50, 20, 105, 400, 200, 210, 900), 3, 500) == Front(100, (200, 400), (50, 20))
        assert front(100, (), 3, 500) == Front(100, (200, 400))
        assert front(None, (50, 200), 9, 500).above == (50, 200) and len(front(None, (), 2, 500).above) == 2

    def test_a_step_grows_the_trunk_and_finishes_the_size_before(self):
        plan = Front(100, (200, 400))
        assert [[rung.children for rung in step] for step in plan.steps(5)] == [[1], [2], [2], [1]]
        finishing = [key for key in ((0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0)) if plan.is_branch(at(*key))]
        assert finishing == [(1, 1), (2, 1), (3, 0)] and [plan.target(step) for step in (1, 2)] == [200, 400]

    def test_lives_are_as_the_cube_roots_of_sizes_and_most_of_each_is_the_branch(self):
        plan, left, spent = Front(100, (800, 2700), (12,)), 1.0, {}
        for step, children in ((1, 2), (2, 2), (3, 1)):
            spent |= {at(step, child): left * plan.share(at(step, child)) for child in range(children)}
            left -= sum(part for key, part in spent.items() if key.step == step)
        cooled = [spent[at(1, 1)], spent[at(2, 1)], spent[at(3, 0)]]
        assert cooled == pytest.approx([cooled[0], 2 * cooled[0], 3 * cooled[0]])
        more = (
            TRUNK_SHARE / (1 - TRUNK_SHARE) * cooled[0]
        )  # that the second size needs of the trunk, and the third again
        assert spent[at(1, 0)] == pytest.approx(more) == spent[at(2, 0)]
        assert left * plan.share_below(12) == pytest.approx(cooled[0] * 0.12 ** (1 / 3)) == left

    @pytest.mark.parametrize("epochs", [1, 2, 7, 100])
    def test_a_branch_is_at_the_rate_until_half_of_its_life(self, epochs):
        *constant, cooldown = phases(epochs, is_branch=True, is_averaged=False)
        assert cooldown.start == 1.0 and cooldown.end == 0.0 and cooldown.length >= epochs / 2
        assert sum(phase.length for phase in constant) == epochs - cooldown.length
        life = epochs / (1 - TRUNK_SHARE)
        assert abs(life / 2 - cooldown.length) <= 1 and phases(epochs, is_branch=False, is_averaged=True)[0].end == 1.0

    @pytest.mark.parametrize("epochs", [1, 2, 7, 100])
    def test_the_end_of_a_branch_is_averaged_over_a_quarter_of_its_life(self, epochs):
        plain, averaged = (phases(epochs, is_branch=True, is_averaged=each) for each in (False, True))
        assert averaged_from(plain) is None and [phase.is_averaged for phase in averaged].count(True) == 1
        assert sum(phase.length for phase in averaged) == epochs
        assert abs(epochs - averaged_from(averaged) - AVERAGED * epochs / (1 - TRUNK_SHARE)) <= 1
        for position in np.linspace(0, epochs, 50):
            assert phased(position, averaged, 1.0) == pytest.approx(phased(position, plain, 1.0), abs=1e-9)


def at(step, child):
    return TrainingKey(step, 0, child)


class TestSearch:
    def test_one_network_of_each_size_is_finished_and_the_last_is_the_winner(self, climbed):
        finished = climbed.finished_networks
        assert finished == (at(1, BRANCH), at(2, BRANCH), at(3, 0)) and climbed.best == at(3, 0)
        params = [climbed.outcomes[key].architecture.params for key in finished]
        assert params[0] == FIRST.params
        assert all(ENOUGH * size <= own <= size for size, own in zip(SIZES[1:], params[1:], strict=True))
        assert climbed.finished == "all 3 steps are done" and climbed.needed() >= set(finished)

    def test_branches_cool_down_and_the_trunk_goes_on_from_where_it_was(self, climbed):
        for key, outcome in climbed.outcomes.items():
            last = outcome.assignment.phases[-1].end
            assert last == (0.0 if key in climbed.finished_networks else 1.0), key
        for step in (1, 2, 3):
            assert climbed.outcomes[at(step, 0)].assignment.source == at(step - 1, TRUNK)
        assert not any(climbed.outcomes[key].assignment.moves for key in climbed.finished_networks)
        assert all(climbed.outcomes[at(step, TRUNK)].assignment.moves for step in (1, 2))

    def test_all_is_charged_and_what_is_left_is_for_the_sizes_below(self, climbed):
        spent = sum(map(cost, climbed.outcomes.values()))
        dearest = max(training_seconds(outcome.architecture) for outcome in climbed.outcomes.values())
        assert spent < SETTINGS.budget_epochs
        small = residual((8, 8, 1), 10, (2, 4))
        below = climbed.front.epochs_below(small, size=500) * training_seconds(small) / training_seconds(FIRST)
        # Each training is a whole number of epochs.
        assert spent + below == pytest.approx(SETTINGS.budget_epochs, abs=dearest / training_seconds(FIRST) + 1)
        assert below > 0.05 * spent
        assert climbed.front.epochs_below(small, FIRST, size=500) < climbed.front.epochs_below(
            small, size=500
        )  # a teacher costs
        assert climbed.front.sizes_below == (500,)

    def test_the_order_of_reports_and_kills_change_nothing(self, climbed):
        for seed in (0, 1):
            order, told = random.Random(seed), []
            for stop in (1, 4, None):
                told = list(climb(stop=stop, order=order, told=told).outcomes.values())
                order.shuffle(told)
            search = Search(SETTINGS, Goal("val_accuracy"))
            search.tell(*told)
            assert search.lineage() == climbed.lineage() and search.finished

    def test_a_trunk_that_fails_leaves_the_branches_and_the_next_one_grows_to_its_own_size(self):
        search = climb(failed=[at(1, TRUNK)])
        assert search.outcomes[at(2, TRUNK)].assignment.source == at(0, 0)
        assert search.outcomes[at(3, 0)].architecture.params >= ENOUGH * SIZES[-1]

    def test_it_ends_where_the_trunk_cannot_grow_and_trains_nothing_twice(self):
        search = Search(SETTINGS, Goal("val_accuracy"), fits=lambda network: network.params < 1.5 * FIRST.params)
        while not search.finished:
            search.tell(train(search.ask()[0]))
        assert search.finished.startswith(
            "nothing can grow in step 3: no child fits under max_params=20,000,000 and the limit"
        )
        digests = [search.outcomes[key].architecture.digest for key in search.finished_networks]
        assert len(digests) == len(set(digests)) == 2

    def test_a_branch_that_fails_is_missed_alone(self):
        search = climb(failed=[at(1, BRANCH)])
        assert search.finished_networks == (at(2, BRANCH), at(3, 0)) and search.best == at(3, 0)

    def test_without_sizes_the_first_network_is_doubled_under_the_limits(self):
        given = dataclasses.replace(SETTINGS, front_sizes=(), max_params=3 * FIRST.params)
        params = [climb(given).outcomes[key].architecture.params for key in climb(given).finished_networks]
        assert len(params) == 2 and FIRST.params < params[1] <= 2 * FIRST.params
        fits = climb(dataclasses.replace(SETTINGS, max_flops=1.5 * FIRST.flops))
        assert all(outcome.architecture.flops <= 1.5 * FIRST.flops for outcome in fits.outcomes.values())
