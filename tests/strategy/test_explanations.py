"""What more time might bring."""

from dataclasses import replace

import pytest

from nash_tf.strategy.alternatives import LATENCY, PARAMS, PRICE, Weighing
from nash_tf.strategy.explanations import above_limits, more_time, without_growth, without_reduction, without_room
from nash_tf.strategy.forecast import Size, Trained
from nash_tf.strategy.records import TrainingKey
from nash_tf.strategy.search_settings import Settings
from tests.strategy.test_course import FIRST, conduct


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.5], "Only the first network"),
        ([0.5, 0.4], "0.5 with the first network, 0.5 at half of the search's time, 0.5 at its end. The step"),
        ([0.5, 0.4, 0.5, 0.3], "The last 3 steps brought none better: more time may bring little"),
        (
            [0.5, 0.6, 0.5, 0.7],
            "0.5 with the first network, 0.6 at half of the search's time, 0.7 at its end. The step",
        ),
        ([0.5, 0.7, 0.6, 0.6], "The last 2 steps brought none better"),
        ([-0.9, -0.7, -0.5, -0.6], "0.9 with the first network, 0.7 at half of the search's time, 0.5 at its end"),
    ],
)
def test_what_is_said_follows_from_the_course(scores, expected):
    trainings = [Trained(TrainingKey(n, 0, 0), 1, Size(1, 1), 2.0, 2.0, s, None) for n, s in enumerate(scores)]
    assert expected in more_time(trainings)


def test_a_network_that_has_not_grown_is_spoken_of():
    short, long = (conduct(method="grow", budget_epochs=budget)[0] for budget in (20, 300))
    reason = without_growth(short.outcomes.values(), short.settings)
    assert "no morphism was expected to be worth its compute in this budget" in reason
    assert without_growth(long.outcomes.values(), long.settings) is None and without_growth([], long.settings) is None


def weighed(search, weighing):
    """The outcomes of a search, each of whose choices took nothing after this weighing."""
    return [
        replace(each, assignment=replace(each.assignment, moves=(), considered=(weighing,) if each.key.step else ()))
        for each in search.outcomes.values()
    ]


def test_where_time_was_up_before_the_first_choice_no_morphism_is_blamed():
    search = conduct(method="grow", budget_epochs=20)[0]
    first = [each for each in search.outcomes.values() if each.key.step == 0]
    over = "the search was over before it could; in a new run that goes on for longer it may."
    assert without_growth(first, search.settings) == f"The network has not grown: {over}"
    later = replace(first[0].assignment, key=TrainingKey(1, 0, 0))
    failed = replace(first[0], assignment=later, architecture=None)
    assert without_growth([*first, failed], search.settings).endswith("the trainings after the first network's failed.")


@pytest.mark.parametrize(
    ("refused", "remedy"),
    [
        ({PARAMS: 25, PRICE: 174}, "a larger budget and more than max_params=500,000"),
        ({PARAMS: 9}, "more than max_params=500,000"),
        ({LATENCY: 1}, ""),
    ],
)
def test_where_limits_refused_all_it_is_said_which_must_be_raised(refused, remedy):
    search = conduct(method="grow", budget_epochs=20)[0]
    outcomes = weighed(search, Weighing(weighed=sum(refused.values()), refused=refused))
    words = without_growth(outcomes, replace(search.settings, max_params=500_000))
    assert words.endswith(f"; in a new run with {remedy} it may." if remedy else " the limit on latency.")
    assert "no morphism was expected" not in words


@pytest.mark.parametrize(
    ("refused", "is_said"), [({PARAMS: 25}, True), ({}, False), ({PARAMS: 25, PRICE: 1}, False), ({PRICE: 25}, False)]
)
def test_that_a_limit_on_parameters_alone_ended_the_growth_is_said(refused, is_said):
    search = conduct(method="grow", budget_epochs=300)[0]
    outcomes = dict(search.outcomes)
    last = max(each.key for each in outcomes.values() if each.assignment.considered)
    none = Weighing(weighed=199, refused=refused)
    chosen = replace(outcomes[last].assignment, moves=(), considered=(none,))
    outcomes[last] = replace(outcomes[last], assignment=chosen)
    words = without_room(outcomes.values(), replace(search.settings, max_params=500_000))
    assert bool(words) == is_said
    if words:
        assert "by max_params=500,000: at the last choice 25 of 199 morphisms would have gone beyond it" in words
    assert without_room(weighed(search, none), search.settings) is None, "without_growth speaks of it"


def test_a_first_network_above_a_limit_is_the_reason_why_none_grows():
    search = conduct(method="grow", budget_epochs=20, max_params=10, max_flops=2_000)[0]
    first = search.outcomes[0, 0, 0].architecture
    above = above_limits(first, search.settings)
    assert above == (
        f"{first.params:,} trained parameters, more than max_params=10 and {first.flops:,} floating-point operations, "
        "more than max_flops=2,000"
    )
    reason = f"The network has not grown: it has {above}: nothing can be added."
    assert without_growth(search.outcomes.values(), search.settings) == reason


@pytest.mark.parametrize("limit", ["max_params", "max_flops"])
def test_a_method_that_shrinks_comes_below_its_limits_first(limit):
    most = 0.4 * (FIRST.params if limit == "max_params" else FIRST.flops)
    search = conduct(method="scale", budget_epochs=300, **{limit: int(most)})[0]
    first, best = (search.outcomes[key].architecture for key in [(0, 0, 0), search.best])
    assert above_limits(first, search.settings) and not above_limits(best, search.settings)
    assert without_reduction(best, search.settings) is None and without_reduction(first, search.settings)
    assert without_growth(search.outcomes.values(), search.settings) is None


def test_a_network_that_cannot_be_made_small_enough_is_spoken_of():
    search = conduct(method="scale", budget_epochs=300, max_params=10)[0]
    best = search.outcomes[search.best].architecture
    words = without_reduction(best, search.settings)
    assert (
        words
        == f"The network could not be made small enough: it has {best.params:,} trained parameters, more than max_params=10."
    )
    assert best.params < search.outcomes[0, 0, 0].architecture.params


def test_parameters_of_frozen_layers_count_and_it_is_said():
    nodes = tuple(
        replace(node, config={**node.config, "trainable": False}) if node.params else node for node in FIRST.nodes
    )
    frozen = replace(FIRST, nodes=nodes)
    assert f"{FIRST.params:,} parameters, of frozen layers too, more than" in above_limits(
        frozen, Settings("shr", max_params=10)
    )


def test_a_method_that_adds_nothing_is_above_no_limit():
    assert above_limits(FIRST, Settings("fixed", max_params=10)) is None
    assert above_limits(FIRST, Settings("shr", max_params=10)) is not None
    assert above_limits(FIRST, Settings("shr", max_params=FIRST.params, max_flops=FIRST.flops)) is None
