"""The set of networks of which none is both better and cheaper."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nash_tf.scores import objectives
from nash_tf.strategy.pareto import Point, best_within, dominates, undominated

POINTS = st.lists(st.builds(Point, st.integers(0, 4), st.tuples(st.integers(0, 4), st.integers(0, 4))), max_size=12)
A, B, C, D = Point(0.9, (100,)), Point(0.8, (50,)), Point(0.7, (60,)), Point(0.9, (120,))


def same(point):
    return point


def test_what_is_worse_and_dearer_is_left_out():
    assert undominated([A, C, D, B], same) == [B, A]
    assert undominated([], same) == [] and undominated([A, A], same) == [A]


def test_of_equals_the_first():
    assert undominated([("one", A), ("two", A)], lambda pair: pair[1]) == [("one", A)]


@given(POINTS)
def test_it_is_all_that_nothing_dominates(points):
    found = undominated(points, same)
    assert set(found) == {each for each in points if not any(dominates(other, each) for other in points)}
    assert found == sorted(found, key=lambda each: each.costs) and len(set(found)) == len(found)


@given(POINTS, st.tuples(st.none() | st.integers(0, 4), st.none() | st.integers(0, 4)))
def test_the_best_within_limits_is_on_the_front(points, most):
    found = best_within(points, same, most)
    fitting = [p for p in points if all(m is None or c <= m for c, m in zip(p.costs, most, strict=True))]
    assert (found is None) == (not fitting)
    if found is not None:
        assert found in undominated(fitting, same) and found.score == max(each.score for each in fitting)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("objective", objectives.REGISTRY.values(), ids=lambda objective: objective.name)
def test_a_network_whose_value_is_no_number_is_the_last_choice(objective, order):
    sign = -1 if objective.direction == "min" else 1
    all_of = [("good", 0.9 * sign, 100), ("none", math.nan, 200), ("bad", 0.1 * sign, 50)]
    items = [all_of[place] for place in order]

    def point(item):
        return Point(objective.score(item[1]), (item[2],))

    assert best_within(items, point, [None])[0] == "good"
    assert [item[0] for item in undominated(items, point)] == ["bad", "good"]


def test_limits():
    assert best_within([A, B, C], same, [99]) == B and best_within([A, B, C, D], same, [None]) == A
    assert best_within([A, B, C], same, [10]) is None
