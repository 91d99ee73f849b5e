"""A run within its limit, as a whole, on a clock that stands in for the real one."""

import math
import random
from dataclasses import replace

import pytest

from nash_tf.strategy.ask_tell import Search
from nash_tf.strategy.epochs_in_time import last_epoch, replanned
from nash_tf.strategy.forecast import Cost, size_of
from nash_tf.strategy.time_limits import TimeLimits
from nash_tf.strategy.time_plan import After, TimePlan
from nash_tf.tasks.export_time import export_seconds
from tests.strategy.test_ask_tell import FIRST, GOAL, SETTINGS, train

COST = Cost(1.0, 0.4, 4e-6)
MANY = replace(SETTINGS, steps=500)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now, self.now


class Machine:
    """Trains in no time, and says that it took some; `noise` gives by how much longer than it should."""

    def __init__(self, after, max_hours, noise=lambda: 1.0):
        self.clock, self.noise = Clock(), noise
        self.limits = TimeLimits(max_hours, None, self.clock)
        self.limits.begin()
        self.search = Search(MANY, GOAL)
        self.plan = TimePlan(self.search, self.limits, after)
        self.limits.held = self.plan

    def spend(self, seconds, most=math.inf):
        """Whether it ended in time."""
        seconds *= self.noise()
        self.clock.now += min(seconds, max(most, 0.0))
        return seconds <= most

    def climb(self):
        while not self.search.finished and self.limits.seconds_left() > 0:
            assignment = self.search.ask()[0]
            outcome = train(assignment)
            size, before = size_of(outcome.architecture), self.clock.now
            epochs = assignment.epochs - assignment.initial_epoch
            if not self.spend(COST.seconds(epochs, size, not assignment.key.rung), self.limits.seconds_left()):
                break
            taken = self.clock.now - before
            self.search.tell(replace(outcome, wall_seconds=taken, cpu_seconds=taken))
        return self

    def anneal(self, size, epochs, seconds_left):
        """Epochs done of a long training."""
        pace = self.plan.cost().seconds(1, size)
        last, done, paces = last_epoch(0, epochs, seconds_left() / 1.1, pace), 0, []
        while done < last:
            before = self.clock.now
            if not self.spend(COST.seconds(1, size), seconds_left()):
                break
            paces, done = [*paces, self.clock.now - before], done + 1
            recent = paces[-max(3, len(paces) // 2) :]
            last = replanned(done, epochs, last, seconds_left(), sum(recent) / len(recent))
        return done

    def finish(self):
        """Control, final training, test and export; epochs of the first two."""
        plan, first = self.plan, size_of(FIRST)
        until = self.clock.now + plan.control_seconds()
        epochs = round(plan.control_epochs(first)) if plan.after.has_control else 0
        control = self.anneal(first, epochs, lambda: until - self.clock.now)
        size = size_of(self.search.outcomes[self.search.best].architecture)
        held = plan.after.export + plan.test_seconds(size)
        final = self.anneal(size, plan.after.final_epochs, lambda: self.limits.seconds_left_in_all() - held)
        self.spend(COST.seconds(plan.after.test, size))
        self.spend(plan.after.export / 2)
        return control, final


@pytest.mark.parametrize(("max_hours", "seed"), [*((0.1, seed) for seed in range(5)), (0.05, 5), (0.3, 6)])
def test_a_run_ends_within_its_limit_though_the_machine_is_loaded(max_hours, seed):
    draw = random.Random(seed)
    after = After(20, 1.1, True, 0.5, export_seconds(2.5, 5, max_hours))
    machine = Machine(after, max_hours, noise=lambda: draw.choice([0.8, 1.0, 1.0, 1.3, 2.0])).climb()
    control, final = machine.finish()
    assert machine.clock.now <= max_hours * 3600
    assert machine.clock.now > 0.5 * max_hours * 3600
    assert final >= 15 and control > 0


def test_the_search_gets_what_the_others_leave():
    share = {}
    for has_control in (True, False):
        machine = Machine(After(20, 1.0, has_control, 0.0, 30.0), 0.1).climb()
        share[has_control] = machine.clock.now
        assert machine.finish()[1] == 20
    assert share[False] > share[True] + 60


def test_a_final_training_that_does_not_fit_has_a_third_of_the_limit_and_the_epochs_that_fit():
    machine = Machine(After(2000, 1.0, False, 0.0, 30.0), 0.1).climb()
    assert machine.clock.now == pytest.approx(360 * 2 / 3 - 30, abs=5)
    assert 10 < machine.finish()[1] < 2000 and machine.clock.now <= 360


def test_without_a_limit_nothing_is_held_back():
    machine = Machine(After(20, 1.0, True, 1.0, 30.0), None)
    assert machine.plan.reserve() == machine.plan.planned_reserve() == 0
    assert math.isnan(machine.plan.left())
    machine.search.tell(replace(train(machine.search.ask()[0]), wall_seconds=3.0, cpu_seconds=3.0))
    assert machine.plan.reserve() == 0 and machine.plan.control_seconds() == math.inf


def test_before_anything_is_trained_shares_are_known_and_the_first_network_may_use_them():
    machine = Machine(After(20, 1.0, True, 0.0, 30.0), 0.1)
    assert machine.plan.planned_reserve() == pytest.approx(30 + 60 + 90)
    assert machine.limits.seconds_left() == pytest.approx(330)


@pytest.mark.parametrize(("method", "reserve", "held"), [("nash", 0.0, 60.0), ("grow", 0.5, 150.0)])
def test_a_first_network_that_is_made_shorter_leaves_time_for_what_follows(method, reserve, held):
    machine = Machine(After(20, 1.0, True, 0.0, 30.0), 0.1)
    assert Machine(After(20, 1.0, True, 0.0, 30.0), None).plan.first_reserve() == 0.0
    machine.plan.search = Search(replace(MANY, method=method, reserve=reserve, max_hours=0.1), GOAL)
    assert machine.plan.first_reserve() == pytest.approx(held)


def test_a_control_that_goes_on_has_the_rest_of_its_share():
    machine = Machine(After(has_control=True), 1.0)
    machine.search.tell(replace(train(machine.search.ask()[0]), wall_seconds=3.0, cpu_seconds=3.0))
    assert [machine.plan.control_seconds(taken) for taken in (0.0, 600.0, 1000.0)] == [900.0, 300.0, 0.0]
    machine.clock.now = 3500.0  # what the limit leaves has lost these seconds already
    assert machine.plan.control_seconds(600.0) == pytest.approx(100.0)


def test_a_control_is_as_long_as_a_search_of_minutes_and_a_quarter_of_a_long_one():
    machine = Machine(After(has_control=True), None)
    for seconds, expected in ((500.0, 500.0), (1000.0, 600.0), (40_000.0, 10_000.0)):
        machine.search.outcomes.clear()
        first = train(machine.search.assignment(machine.search.ask()[0].key))
        machine.search.outcomes[first.key] = replace(first, cpu_seconds=seconds)
        assert machine.plan.control_cpu_seconds() == expected


def test_nothing_is_held_back_for_a_control_that_is_over():
    machine = Machine(After(0, 1.0, True, 0.5, 30.0), 0.1).climb()
    before = machine.plan.reserve()
    machine.plan.control_is_over()
    assert machine.plan.reserve() < before - 30 and not machine.plan.after.has_control


def test_the_last_training_may_take_the_control_s_time_and_no_other():
    machine = Machine(After(0, 1.0, True, 0.5, 30.0), 0.1)
    assert machine.plan.least_reserve() == machine.plan.reserve() == 30.0
    machine.climb()
    controls = machine.plan.reserve() - machine.plan.least_reserve()
    machine.plan.control_is_over()
    assert controls > 30 and machine.plan.least_reserve() == pytest.approx(machine.plan.reserve())


def test_time_is_held_back_for_smaller_networks():
    machines = [Machine(After(0, 1.0, False, 0.5, 30.0, front), 0.1).climb() for front in (0.0, 20.0)]
    assert machines[1].clock.now < machines[0].clock.now
    plans, size = [machine.plan for machine in machines], size_of(FIRST)
    assert plans[1].test_seconds(size) == pytest.approx(41 * plans[0].test_seconds(size), rel=0.1)


def test_time_is_held_back_for_the_export_of_each_network_of_a_front():
    one, three = (Machine(After(20, export=30.0, members=members, member=20.0), 0.1) for members in (0, 2))
    assert three.plan.planned_reserve() - one.plan.planned_reserve() == pytest.approx(40.0)
    for machine in (one, three):
        machine.search.tell(replace(train(machine.search.ask()[0]), wall_seconds=3.0, cpu_seconds=3.0))
    assert three.plan.follows() - one.plan.follows() == pytest.approx(40.0)


def test_the_time_left_is_that_of_all_parts():
    machine = Machine(After(20, 1.0, True, 0.5, 30.0), None)
    machine.search = machine.plan.search = Search(SETTINGS, GOAL)
    told = []
    while not machine.search.finished:
        machine.search.tell(*[])
        outcome = train(machine.search.ask()[0])
        seconds = COST.seconds(
            outcome.assignment.epochs - outcome.assignment.initial_epoch,
            size_of(outcome.architecture),
            not outcome.key.rung,
        )
        machine.clock.now += seconds
        machine.search.tell(replace(outcome, wall_seconds=seconds, cpu_seconds=seconds))
        told.append((machine.clock.now, machine.plan.left()))
    searched = machine.clock.now
    size = size_of(machine.search.outcomes[machine.search.best].architecture)
    then = searched + COST.seconds(20.5, size, 1) + 30
    assert told[-1][1] == pytest.approx(then, rel=0.25)
    late = [(searched - at + then) / left for at, left in told if at > 0.2 * (searched + then)]
    assert all(1 / 1.5 < factor < 1.5 for factor in late)
