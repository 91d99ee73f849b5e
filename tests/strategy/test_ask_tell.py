"""The search as ask and tell, with a stand-in trainer whose outcomes follow from the assignment alone."""

import dataclasses
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nash_tf.architecture import Architecture, Node
from nash_tf.architecture.costs import flops
from nash_tf.architecture.vanilla import vanilla
from nash_tf.seeds import derive
from nash_tf.strategy import explanations, methods
from nash_tf.strategy.ask_tell import Search, Settings
from nash_tf.strategy.records import COMPLETED, FAILED, Goal, Outcome, TrainingKey

FIRST = vanilla((8, 8, 3), 3, (4, 8))
SETTINGS = Settings(steps=2, children=4, mutations=2, epochs_per_step=12, vanilla_epochs=1, seed=3)
GOAL = Goal("val_accuracy")


def train(assignment, fail=()):
    """The same outcome whoever trains, and whenever."""
    if assignment.key in fail:
        return Outcome(assignment, FAILED, message="out of memory")
    score = derive(7, *assignment.key, str(assignment.moves)) / 2**31
    return Outcome(assignment, COMPLETED, assignment.architecture or FIRST, {"val_accuracy": score})


def climb(search, order=None, workers=1, fail=(), stop_after=None):
    """Trains with several workers whose reports come in any order; stops in the middle, if asked to, with some in flight."""
    order, flying = order or random.Random(0), {}
    while not search.finished or flying:
        waiting = [a for a in search.ask() if a.key not in flying]
        if waiting and len(flying) < workers and (not flying or order.random() < 0.5):
            assignment = order.choice(waiting)
            flying[assignment.key] = assignment
            continue
        search.tell(train(flying.pop(order.choice(sorted(flying))), fail))
        if stop_after is not None and len(search.outcomes) >= stop_after:
            break
    return search


@pytest.fixture(scope="module")
def expected():
    return climb(Search(SETTINGS, GOAL)).lineage()


FAILING = frozenset({TrainingKey(1, 0, 2), TrainingKey(1, 1, 0), TrainingKey(2, 0, 1)})


@settings(max_examples=40, deadline=None)
@given(
    order=st.randoms(use_true_random=False),
    workers=st.integers(1, 6),
    fail=st.frozensets(st.sampled_from(sorted(FAILING))),
    stops=st.lists(st.integers(0, 12), max_size=3),
)
def test_any_order_failures_and_interruptions_give_one_lineage(order, workers, fail, stops):
    alone = climb(Search(SETTINGS, GOAL), fail=fail).lineage()
    told = []
    for stop in (*stops, None):
        search = Search(SETTINGS, GOAL)  # a new process knows the outcomes and nothing else
        search.tell(*told)
        climb(search, order, workers, fail, None if stop is None else len(told) + stop)
        told = list(search.outcomes.values())
        order.shuffle(told)
    assert search.lineage() == alone


@settings(max_examples=60, deadline=None)
@given(
    method=st.sampled_from(["nash", "sh", "shr_ties"]),
    budget=st.integers(1, 30),
    order=st.randoms(use_true_random=False),
    workers=st.integers(1, 6),
    fail=st.frozensets(st.sampled_from(sorted(FAILING))),
)
def test_a_budget_ends_it_at_one_training_for_any_number_of_workers(method, budget, order, workers, fail):
    unlimited = dataclasses.replace(SETTINGS, method=method)
    alone = Search(unlimited, GOAL)
    while not alone.finished and alone.spent(alone.outcomes.values()) < budget:
        alone.tell(train(alone.ask()[0], fail))
    search = climb(Search(dataclasses.replace(unlimited, budget_epochs=budget), GOAL), order, workers, fail)
    assert search.lineage() == alone.lineage() and search.best == alone.best
    assert alone.finished or search.finished == f"the budget of {budget} epochs of the first network is spent"


def test_asking_changes_nothing(expected):
    search = Search(SETTINGS, GOAL)
    while not search.finished:
        assert search.ask() == search.ask()
        search.tell(train(search.ask()[-1]))
    assert search.lineage() == expected


def test_a_step_whose_children_all_fail_is_followed_by_other_children():
    """Its parent goes on, and the next step draws anew from it, in the same process as after an interruption."""
    fail = [TrainingKey(1, 0, child) for child in range(4)]
    search = Search(SETTINGS, GOAL, failures_in_a_row=5)
    search.tell(train(search.ask()[0]))
    first = search.ask()
    search.tell(*(train(assignment, fail) for assignment in first))
    second = search.ask()
    assert {a.key.step for a in second} == {2} and {a.source for a in second} == {TrainingKey(0, 0, 0)}
    assert [a.moves for a in second[1:]] != [a.moves for a in first[1:]]
    again = Search(SETTINGS, GOAL, failures_in_a_row=5)
    again.tell(*search.outcomes.values())
    assert again.ask() == second


def test_an_outcome_is_taken_once_and_in_its_time():
    search = Search(SETTINGS, GOAL)
    (assignment,) = search.ask()
    search.tell(train(assignment))
    later = dataclasses.replace(search.ask()[0], key=TrainingKey(1, 1, 0))
    for outcome in (train(assignment), train(later)):
        with pytest.raises(ValueError, match="is not open"):
            search.tell(outcome)


@pytest.mark.parametrize(
    ("changed", "fail", "reason"),
    [
        ({}, (), "all 2 steps are done"),
        ({"steps": 0}, (), "all 0 steps are done"),
        (
            {"max_params": FIRST.params},
            (),
            f"nothing can grow in step 1: no child fits under max_params={FIRST.params:,}",
        ),
        ({}, [TrainingKey(0, 0, 0)], "the training of the first network failed"),
        ({}, [TrainingKey(1, 0, child) for child in range(4)], "3 trainings in a row failed"),
    ],
)
def test_a_search_that_is_over_says_why(changed, fail, reason):
    search = climb(Search(dataclasses.replace(SETTINGS, **changed), GOAL), fail=fail)
    assert search.finished == reason and search.ask() == ()


@pytest.mark.parametrize("method", ["shr", "nash", "scale"])
def test_a_network_in_which_no_operator_has_a_place_is_told_from_one_at_its_limits(method):
    answer = next(node for node in FIRST.nodes if node.kind == "Dense")
    alone = Architecture(
        (Node("x", "InputLayer", {}, (), (8,)), dataclasses.replace(answer, inputs=("x",))), (answer.name,)
    )
    given = dataclasses.replace(SETTINGS, method=method)
    why = explanations.nothing_fits(alone, given, False)
    assert why.startswith("no operator has a place in the network") and f"of alter_channels at {answer.name}: " in why
    assert explanations.nothing_fits(FIRST, given, False) == "no child fits under max_params=20,000,000"


@pytest.mark.parametrize("method", ["grow", "fixed", "random", "one_epoch"])
@pytest.mark.parametrize("place", range(1, 6), ids="{} from the end".format)
def test_a_failure_that_leaves_a_budget_without_its_end_is_told_and_done_again(method, place):
    """All parts of the last step are of one network, whose rate falls to zero in the last."""
    given = dataclasses.replace(SETTINGS, method=method, budget_epochs=300, epochs_per_step=24)
    whole = climb(Search(given, GOAL))
    failing = sorted(whole.outcomes)[-place]
    search = climb(Search(given, GOAL), fail=[failing])
    assert search.finished == "the training of the last step failed" and max(search.outcomes) == failing
    assert search.outcomes[failing].assignment.source in search.needed()
    assert [outcome.key for outcome in search.failures()] == [failing]
    assert search.retract(failing) == [] and search.finished is None
    assert climb(search).lineage() == whole.lineage()


@pytest.mark.parametrize("method", ["grow", "fixed"])
@pytest.mark.parametrize("place", range(1, 6), ids="{} from the end".format)
def test_a_last_part_whose_numbers_are_not_finite_is_not_done_again_and_the_part_before_is_handed_over(method, place):
    given = dataclasses.replace(SETTINGS, method=method, budget_epochs=300, epochs_per_step=24)
    *before, failing = sorted(climb(Search(given, GOAL)).outcomes)[: 1 - place or None]
    search = Search(given, GOAL)
    while not search.finished:
        told = train(search.ask()[0], [failing])
        rising = told.key != failing and {"metrics": {"val_accuracy": len(search.outcomes) / 100}}
        search.tell(dataclasses.replace(told, **rising or {"diverged": True}))
    assert max(search.outcomes) == failing and search.failures() == [] and search.ask() == ()
    assert (
        search.finished.startswith("all 2 steps" if method == "grow" else "its one step")
        and "no longer finite" in search.finished
    )
    assert search.best == before[-1] and search.best in search.needed()


def test_a_first_network_whose_numbers_are_not_finite_leaves_nothing_to_hand_over():
    search = Search(dataclasses.replace(SETTINGS, method="grow", budget_epochs=300), GOAL)
    search.tell(dataclasses.replace(train(search.ask()[0], [TrainingKey(0, 0, 0)]), diverged=True))
    assert search.finished == "the training of the first network failed" and len(search.failures()) == 1


def test_a_race_of_two_that_both_failed_leaves_no_end():
    given = dataclasses.replace(SETTINGS, method="one_epoch", children=2, budget_epochs=300)
    search = climb(Search(given, GOAL), fail=[TrainingKey(2, 0, child) for child in range(2)])
    assert search.finished == "2 trainings in a row failed" and len(search.failures()) == 2


def test_what_failures_start_from_is_kept_until_they_are_done_again():
    """Also where the last of them closes their step, whose weights nothing else asks for then."""
    fail = [TrainingKey(1, 0, 2), TrainingKey(1, 0, 3), TrainingKey(1, 1, 0), TrainingKey(1, 1, 1)]
    search = climb(Search(SETTINGS, GOAL, failures_in_a_row=4), fail=fail)
    assert [outcome.key for outcome in search.failures()] == fail and search.opened.step == 2
    assert {outcome.assignment.source for outcome in search.failures()} <= search.needed()


def test_failures_that_another_rung_came_after_end_no_search_that_allows_fewer():
    fail = [TrainingKey(1, 0, 1), TrainingKey(1, 0, 2), TrainingKey(1, 0, 3)]
    before = climb(Search(SETTINGS, GOAL, failures_in_a_row=9), fail=fail)
    assert before.finished == "all 2 steps are done"
    for ended in (len(before.outcomes), 1 + 4):  # all, and the first network and the rung of the failures
        search = Search(SETTINGS, GOAL, failures_in_a_row=2)
        search.tell(*[before.outcomes[key] for key in sorted(before.outcomes)][:ended])
        assert [outcome.key for outcome in search.failures()] == (fail if ended == 5 else [])
        assert search.finished == ("3 trainings in a row failed" if ended == 5 else before.finished)


@pytest.mark.parametrize(("failing", "left"), [([(3, 0, 0)], 2), ([(1, 0, 0), (2, 0, 0), (3, 0, 0)], 0)])
def test_a_front_says_which_networks_failed_and_stops_where_all_did(failing, left):
    given = dataclasses.replace(SETTINGS, method="front", budget_epochs=300)
    search = climb(Search(given, GOAL), fail=[TrainingKey(*key) for key in failing])
    told = "all 3 steps are done; the trainings of 1 of its 3 networks failed"
    assert search.finished == (told if left else "3 trainings in a row failed")
    assert len(search.finished_networks) == left and bool(search.failures()) == (not left)


@pytest.mark.parametrize(("budget", "kept"), [(3, False), (300, True)])
def test_a_budget_that_could_not_be_kept_is_told(budget, kept):
    search = climb(Search(dataclasses.replace(SETTINGS, method="grow", budget_epochs=budget), GOAL))
    spent = search.spent(search.outcomes.values())
    assert (spent <= 1.05 * budget) is kept
    told = f"; they took {spent:.4g} epochs of the first network, and the budget was {budget}: each of the 7 trainings"
    assert search.finished.startswith("all 2 steps are done" + ("" if kept else told))


@pytest.mark.parametrize("method", methods.registry)
def test_each_method_is_a_search(method):
    settings = dataclasses.replace(SETTINGS, method=method, epochs_per_step=24)
    search = climb(Search(settings, GOAL))
    steps = {**dict.fromkeys(("fixed", "wide", "scratch", "hand"), 1), "front": 3}.get(method, 2)
    assert search.finished == ("its one step is done" if steps == 1 else f"all {steps} steps are done")
    assert search.best in search.needed() and search.incumbent.step == steps
    if methods.registry[method].is_budgeted:
        assert 0.9 * settings.budget < search.spent(search.outcomes.values()) < 1.02 * settings.budget
    else:  # no scores are equal, so that none more is promoted
        assert sum(record["epochs"] for record in search.lineage() if record["step"]) == 2 * 24


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "hyperband"},
        {"steps": 1.5},
        {"steps": True},
        {"children": 3},
        {"epochs_per_step": 13},
        {"max_params": -1},
    ],
)
def test_settings_that_make_no_search_are_refused_by_name(changed):
    (name,) = changed
    with pytest.raises((TypeError, ValueError), match=name):
        dataclasses.replace(SETTINGS, **changed)


def test_a_score_that_is_no_number_is_a_failure_whatever_its_status():
    search = Search(SETTINGS, GOAL)
    search.tell(Outcome(search.ask()[0], COMPLETED, FIRST, {"val_accuracy": float("nan")}))
    assert search.finished == "the training of the first network failed"


def test_outcomes_before_one_that_is_refused_are_taken():
    search = Search(SETTINGS, GOAL)
    first = train(search.ask()[0])
    assert search.finished is None
    with pytest.raises(ValueError, match=r"\(2, 0, 1\) is not open"):
        search.tell(
            first,
            dataclasses.replace(first, assignment=dataclasses.replace(first.assignment, key=TrainingKey(2, 0, 1))),
        )
    assert len(search.outcomes) == 1 and len(search.ask()) == SETTINGS.children


class TestLimits:
    """On operations, and on what an engine measures."""

    @pytest.mark.parametrize("method", ["shrsep", "grow", "random"])
    def test_no_child_is_over_one(self, method):
        most = 1.3 * flops(FIRST)
        given = dataclasses.replace(SETTINGS, method=method, budget_epochs=900.0)
        limited = climb(Search(dataclasses.replace(given, max_flops=most), GOAL))
        seen = [outcome.architecture for outcome in limited.outcomes.values()]
        assert all(flops(each) <= most for each in seen) and len({each.digest for each in seen}) > 1

        def fits(architecture):
            return flops(architecture) <= most

        by_engine = climb(Search(given, GOAL, fits=fits))
        assert all(fits(outcome.architecture) for outcome in by_engine.outcomes.values())

    def test_a_child_over_it_has_fewer_morphisms_of_those_drawn(self):
        def children(**given):
            search = Search(SETTINGS, GOAL, **given)
            search.tell(train(search.ask()[0]))
            return search.ask()

        drawn = children()
        refused = {assignment.architecture.digest for assignment in drawn}
        for before, after in zip(drawn, children(fits=lambda network: network.digest not in refused), strict=True):
            assert after.moves == before.moves[:-1] and len(before.moves) == (before.key.child and SETTINGS.mutations)

    def test_where_none_fits_the_search_says_so(self):
        search = Search(dataclasses.replace(SETTINGS, max_flops=flops(FIRST)), GOAL, fits=lambda architecture: False)
        search.tell(train(search.ask()[0]))
        why = f"no child fits under max_params=20,000,000 and max_flops={flops(FIRST):,} and the limit on latency"
        assert search.finished == f"nothing can grow in step 1: {why}"


@pytest.mark.parametrize("method", ["shr", "one_epoch", "grow", "front"])
def test_a_search_tells_of_budget_and_networks_as_its_method_has_them(method):
    has_budget, has_front = methods.registry[method].is_budgeted, methods.registry[method].has_front
    small = FIRST.params // 2
    given = {"front_sizes": (small, 2 * FIRST.params)} if has_front else {}
    search = Search(dataclasses.replace(SETTINGS, method=method, budget_epochs=100, **given), GOAL)
    assert search.budget_left() is None and search.finished_networks == ()
    search.tell(train(search.ask()[0]))
    assert (search.budget_left() is not None) == has_budget == (search.budget_left_on_the_clock() is not None)
    climb(search)
    assert bool(search.finished_networks) == has_front == (search.front is not None)
    assert not has_front or search.front.plan.sizes == (2 * FIRST.params, small)
