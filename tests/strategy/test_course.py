"""One budget of compute: what is spent on what, and at which rate."""

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nash_tf.architecture.costs import training_seconds
from nash_tf.architecture.vanilla import vanilla
from nash_tf.strategy.ask_tell import Search, Settings
from nash_tf.strategy.budgeted import RESERVE
from nash_tf.strategy.course import COOLDOWN, FEWEST_EPOCHS, Course
from nash_tf.strategy.records import COMPLETED, Goal, Outcome

FIRST = vanilla((32, 32, 3), 10, (8, 16, 32))
SETTINGS = Settings(
    "one_epoch", steps=3, children=4, mutations=3, epochs_per_step=16, vanilla_epochs=8, max_params=60_000
)
METHODS = ("grow", "random", "one_epoch", "fixed", "hand")


def conduct(pace=1.0, **changed):
    """A search whose trainings take as long as predicted, times a pace that changes half-way."""
    search, seconds = Search(dataclasses.replace(SETTINGS, **changed), Goal("val_accuracy")), 0.0
    while not search.finished:
        for assignment in search.ask():
            architecture = assignment.architecture or FIRST
            took = (assignment.epochs - assignment.initial_epoch) * training_seconds(architecture) * 1e4
            took *= pace if seconds > 60 else 1.0
            seconds += took
            scores = {"val_accuracy": 0.5 + 0.01 * assignment.key.child}
            search.tell(Outcome(assignment, COMPLETED, architecture, scores, cpu_seconds=took, wall_seconds=took))
    return search, seconds


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("budget", [20, 75.5, 300])
def test_the_budget_is_spent_to_less_than_an_epoch_and_not_passed(method, budget):
    search, _ = conduct(method=method, budget_epochs=budget)
    used = search.spent(search.outcomes.values())
    costs = [
        (
            outcome.assignment.epochs - outcome.assignment.initial_epoch,
            training_seconds(outcome.architecture) / training_seconds(FIRST),
        )
        for outcome in search.outcomes.values()
    ]
    least = sum(
        price for epochs, price in costs if epochs == 1
    )  # each training has one epoch, even where that is too much
    assert budget - 2 * costs[-1][1] < used <= budget + costs[-1][1] + least


@pytest.mark.parametrize("method", METHODS)
def test_one_rate_without_restarts_that_ends_at_zero(method):
    search, _ = conduct(method=method, budget_epochs=300)
    first = search.outcomes[0, 0, 0].assignment
    assert first.phases[0][:3] == (1, 0.0, 1.0), "a warm-up of an epoch"
    lives = {}
    for key in sorted(search.outcomes):
        assignment = search.outcomes[key].assignment
        assert sum(phase.length for phase in assignment.phases) == assignment.epochs
        lives[key[::2]] = assignment.phases
    last = lives[max(lives)]
    assert last[-1].end == 0.0
    network = search.outcomes[max(search.outcomes)].architecture
    epoch = training_seconds(network) / training_seconds(FIRST) / (0.5 * 300)  # as a share of the cooldown
    for before, after in zip(last, last[1:], strict=False):
        assert math.isclose(before.end, after.start, abs_tol=epoch + 1e-9)
    constant = [phase for life in lives.values() for phase in life if phase.start == phase.end]
    assert all(phase.start == 1.0 for phase in constant)


@given(budget=st.floats(20, 5000), steps=st.integers(1, 6), position=st.floats(0, 1))
def test_the_share_of_the_rate_is_constant_and_then_linear(budget, steps, position):
    course = Course(budget, 8, steps)
    expected = 1.0 if position <= COOLDOWN else (1 - position) / (1 - COOLDOWN)
    assert course.share(position * budget) == pytest.approx(expected, abs=1e-9)
    ends = [end for step in range(1, steps + 1) for end in course.ends(step)]
    assert ends == sorted(ends) and ends[-1] == budget


def test_children_in_a_race_have_equal_compute():
    search, _ = conduct(method="one_epoch", budget_epochs=2000)
    raced = [outcome for key, outcome in search.outcomes.items() if key[:2] == (1, 0)]
    costs = [outcome.assignment.epochs * training_seconds(outcome.architecture) for outcome in raced]
    assert len(raced) == 4 and max(costs) < 1.1 * min(costs)


@pytest.mark.parametrize("steps, children", [(2, 8), (6, 8), (4, 16)])
def test_races_leave_compute_for_the_cooldown(steps, children):
    search, _ = conduct(method="one_epoch", steps=steps, children=children, epochs_per_step=160, budget_epochs=400)
    last = {
        key: outcome.assignment.phases for key, outcome in search.outcomes.items() if key.step == steps and key.rung
    }
    assert search.spent(search.outcomes.values()) < 1.2 * 400
    assert all(any(phase.start > 0.05 for phase in phases) for phases in list(last.values())[:2])


@settings(max_examples=25, deadline=None)
@given(
    method=st.sampled_from([*METHODS, "wide", "scale"]),
    budget=st.floats(1, 60),
    steps=st.integers(1, 12),
    examples=st.sampled_from([None, 300]),
)
def test_no_training_is_at_rate_zero_however_small_the_budget(method, budget, steps, examples):
    """Each has an epoch at least, and begins: where that is more than the budget, the rate falls over what they take."""
    sizes = {"examples": examples, "batch_size": 32 if examples else None}
    search, _ = conduct(method=method, budget_epochs=budget, steps=steps, children=2, **sizes)
    lives = [outcome.assignment for outcome in search.outcomes.values()]
    assert all(max(phase.start for phase in life.phases[-2:]) > 0 or life.key.step == 0 for life in lives)
    assert lives[-1].phases[-1].end == 0.0


def test_a_budget_that_cannot_be_kept_has_an_epoch_for_each_training_and_no_more():
    # To begin one costs several epochs.
    search, _ = conduct(method="fixed", budget_epochs=5, examples=20, batch_size=10)
    lives = [outcome.assignment for outcome in search.outcomes.values()]
    assert [life.epochs - life.initial_epoch for life in lives] == [1] * 6


def test_what_is_left_of_a_budget_has_an_epoch_for_each_training_that_is_to_come():
    search = Search(dataclasses.replace(SETTINGS, method="fixed", budget_epochs=2), Goal("val_accuracy"))
    left = []
    while not search.finished:
        (assignment,) = search.ask()
        search.tell(Outcome(assignment, COMPLETED, FIRST, {"val_accuracy": 0.5}))
        left.append(search.budget_left())
    assert left == [5, 4, 3, 2, 1, 0]


def test_what_growth_is_said_to_bring_does_not_change_what_shrinking_costs():
    """With a factor below 1 a network would else shrink the more, the less size has brought."""
    wide = {"method": "scale", "budget_epochs": 8, "steps": 2, "examples": 10_000, "mutations": 5}
    first, shrunk = vanilla((32, 32, 3), 10, (64, 128, 256)), {}
    for factor in (0.0, 0.5, 1.0):
        search = Search(
            dataclasses.replace(SETTINGS, **wide, gain_factor=factor, max_params=10**7), Goal("val_accuracy")
        )
        while not search.finished:
            (assignment,) = search.ask()
            network = assignment.architecture or first
            search.tell(Outcome(assignment, COMPLETED, network, {"val_accuracy": 0.5}))
        shrunk[factor] = network.params
    assert shrunk[0.0] == shrunk[0.5] == shrunk[1.0] < first.params / 2


@pytest.mark.parametrize("method", ["random", "one_epoch"])
def test_a_drawn_child_has_some_epochs_in_what_is_left(method):
    search, _ = conduct(method=method, budget_epochs=40, steps=6, max_params=2_000_000)
    prices = [training_seconds(outcome.architecture) / training_seconds(FIRST) for outcome in search.outcomes.values()]
    assert 1.2 < max(prices) <= 40 / FEWEST_EPOCHS


@pytest.mark.parametrize("method", ["one_epoch", "front"])
def test_a_search_that_goes_on_in_the_middle_of_a_step_asks_for_the_same(method):
    """What the rest of a race may cost does not depend on how much of it has ended."""
    given = dataclasses.replace(SETTINGS, method=method, budget_epochs=40, children=8, max_params=2_000_000)
    search = Search(given, Goal("val_accuracy"))
    while not search.finished:
        asked = search.ask()
        again = Search(given, Goal("val_accuracy"))
        for key in sorted(search.outcomes):
            again.tell(search.outcomes[key])
        assert again.ask() == asked
        network = asked[0].architecture or FIRST
        search.tell(Outcome(asked[0], COMPLETED, network, {"val_accuracy": 0.5 + 0.01 * asked[0].key.child}))


@pytest.mark.parametrize("pace", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("limit", ["max_hours", "max_cpu_hours"])
def test_a_limit_on_time_is_kept_and_used_though_the_machine_changes(limit, pace):
    search, seconds = conduct(pace, method="random", **{limit: 0.1})
    assert 0.75 * 360 < seconds <= 360


def test_of_a_budget_and_a_limit_the_smaller_one_holds():
    both, _ = conduct(method="fixed", budget_epochs=40, max_cpu_hours=10.0)
    alone, _ = conduct(method="fixed", budget_epochs=40)
    assert both.lineage()[-1]["epochs"] == alone.lineage()[-1]["epochs"]
    assert both.spent(both.outcomes.values()) == alone.spent(alone.outcomes.values())


def test_the_default_budget_is_what_the_other_methods_have():
    assert Settings("fixed", steps=2, epochs_per_step=64, vanilla_epochs=8).budget == 136
    with pytest.raises(ValueError, match="budget_epochs"):
        Settings("fixed", budget_epochs=0.5)


def test_a_budget_ends_a_method_that_does_not_lay_it_out():
    search, _ = conduct(method="shr", budget_epochs=20, epochs_per_step=12)
    assert search.finished == "the budget of 20 epochs of the first network is spent"
    assert search.spent(search.outcomes.values()) >= 20


def test_the_engine_s_clock_lays_out_the_budget_where_it_is_given():
    """What passes between trainings counts, too: here as much as the trainings themselves."""
    clock = [0.0]
    limited = dataclasses.replace(SETTINGS, method="random", max_hours=0.1)
    search = Search(limited, Goal("val_accuracy"), seconds_left=lambda: {"wall_seconds": 360 - clock[0]})
    while not search.finished:
        for assignment in search.ask():
            architecture = assignment.architecture or FIRST
            took = (assignment.epochs - assignment.initial_epoch) * training_seconds(architecture) * 1e4
            clock[0] += 1.2 * took + 2
            search.tell(Outcome(assignment, COMPLETED, architecture, {"val_accuracy": 0.5}, wall_seconds=took))
    assert 200 < clock[0] <= 360 and assignment.phases[-1].end == 0.0


def by_rungs(workers=1, **changed):
    """A search of two hours, by the engine's clock: of each rung what was left when it was opened, and of its trainings key, seconds, and
    seconds an epoch."""
    limited = dataclasses.replace(SETTINGS, **changed, children=8, max_params=600_000, max_hours=2.0)
    left, rungs = 7200.0, {}
    search = Search(limited, Goal("val_accuracy"), seconds_left=lambda: {"wall_seconds": left})
    search.side_by_side = workers
    while not search.finished:
        for assignment in search.ask()[:workers]:
            network = assignment.architecture or FIRST
            epoch = training_seconds(network) * 1e4
            took = (assignment.epochs - assignment.initial_epoch) * epoch
            rungs.setdefault(assignment.key[:2], (left, []))[1].append((assignment.key, took, epoch))
            search.tell(Outcome(assignment, COMPLETED, network, {"val_accuracy": 0.5}, wall_seconds=took))
        left -= took
    return search, rungs.values()


@pytest.mark.parametrize("workers", [1, 2])
def test_all_children_of_a_race_have_the_same_time_though_it_passes(workers):
    _, rungs = by_rungs(workers, method="one_epoch")
    races = [trainings for _, trainings in rungs if len(trainings) > 1]
    assert [len(race) for race in races] == [8, 8, 8]
    for (_, first, _), *others in races:
        assert all(took == pytest.approx(first, abs=1.01 * epoch) for _, took, epoch in others)


def test_the_networks_of_a_front_have_their_shares_of_what_was_left_when_their_step_began():
    search, (_, *rungs) = by_rungs(method="front")
    plan = search._proposer.front(search.outcomes)
    for left, trainings in rungs:
        for key, took, epoch in trainings:
            params = search.outcomes[key].architecture.params
            assert 0 <= plan.share(params, is_cut=key.step > 1) * (1 - RESERVE) * left - took < 1.01 * epoch


def beside(side_by_side, workers):
    """A search under a limit on wall-clock time whose rungs are trained by so many workers: its compute, seconds that it took, and those
    that it expected of what followed each rung."""
    settings = dataclasses.replace(SETTINGS, children=8, max_params=600_000, max_hours=0.1)
    clock, pace, expected = 0.0, 1e4 * training_seconds(FIRST), []
    search = Search(settings, Goal("val_accuracy"), seconds_left=lambda: {"wall_seconds": 360 - clock})
    search.side_by_side = side_by_side
    while not search.finished:
        rung, took = search.ask(), []
        for assignment in rung:
            architecture = assignment.architecture or FIRST
            took.append((assignment.epochs - assignment.initial_epoch) * training_seconds(architecture) * 1e4)
            scores = {"val_accuracy": 0.5 + 0.01 * assignment.key.child}
            search.tell(Outcome(assignment, COMPLETED, architecture, scores, wall_seconds=took[-1]))
        clock += sum(max(took[start : start + workers]) for start in range(0, len(took), workers))
        expected.append((clock, pace * (search.budget_left_on_the_clock() or 0.0)))
    return search.spent(search.outcomes.values()), clock, expected


@pytest.mark.parametrize("workers", [1, 3, 4, 8])
def test_a_limit_on_time_is_laid_out_for_races_that_are_run_side_by_side(workers):
    spent, seconds, ((first, ahead), *_) = beside(workers, workers)
    assert seconds <= 360 and ahead == pytest.approx((1 - RESERVE) * (360 - first))
    assert workers == 1 or spent > 1.03 * beside(1, workers)[0]


def test_the_lineage_has_the_rate_of_each_epoch():
    search, _ = conduct(method="grow", budget_epochs=300)
    lineage = search.lineage()
    assert all(len(record["rate"]) == record["epochs"] + 1 for record in lineage)
    assert lineage[0]["rate"][:2] == [0.0, 1.0] and lineage[-1]["rate"][-1] == 0.0
    assert all(before["rate"][-1] == after["rate"][0] for before, after in zip(lineage[1:], lineage[2:], strict=False))
