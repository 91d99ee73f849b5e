"""Budgets and promotion, against sums and sorts written out independently."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nash_tf.strategy.halving import Rung, one_rung, promote, successive_halving

SCORES = st.dictionaries(st.integers(0, 63), st.none() | st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), max_size=16)


def cost(rungs):
    return sum(rung.children * rung.epochs for rung in rungs)


class TestBudgets:
    def test_the_papers(self):
        assert one_rung(8, 160) == (Rung(8, 20),)
        assert successive_halving(8, 160) == (Rung(8, 5), Rung(4, 10), Rung(2, 20), Rung(1, 40))

    @given(children=st.integers(2, 64), epochs=st.integers(1, 100))
    def test_one_rung_spends_the_budget(self, children, epochs):
        assert one_rung(children, children * epochs) == (Rung(children, epochs),)

    @given(power=st.integers(1, 8), first=st.integers(1, 50))
    def test_halving_spends_the_budget_in_rungs_of_equal_cost(self, power, first):
        budget = 2**power * (power + 1) * first
        rungs = successive_halving(2**power, budget)
        assert cost(rungs) == budget
        assert {rung.children * rung.epochs for rung in rungs} == {2**power * first}
        assert [rung.children for rung in rungs] == [2**left for left in range(power, -1, -1)]

    @given(power=st.integers(1, 5), first=st.integers(1, 20), scale=st.integers(1, 20))
    def test_halving_scales_with_the_budget(self, power, first, scale):
        budget = 2**power * (power + 1) * first
        small, large = successive_halving(2**power, budget), successive_halving(2**power, scale * budget)
        assert large == tuple(Rung(rung.children, scale * rung.epochs) for rung in small)


class TestRefusals:
    @given(split=st.sampled_from([one_rung, successive_halving]), epochs=st.integers(-50, 1000))
    def test_the_nearest_budget_is_valid_and_no_valid_one_is_nearer(self, split, epochs):
        def valid(candidate):
            try:
                return bool(split(8, candidate))
            except ValueError:
                return False

        if valid(epochs):
            return
        with pytest.raises(ValueError, match=f"epochs_per_step must be .* received {epochs}; the nearest") as refused:
            split(8, epochs)
        nearest = int(str(refused.value).rsplit(" ", 1)[1])
        assert valid(nearest)
        distance = abs(nearest - epochs)
        assert not any(valid(candidate) for candidate in range(epochs - distance + 1, epochs + distance))

    @pytest.mark.parametrize(("children", "nearest"), [(-1, 2), (0, 2), (1, 2), (7, 8), (9, 8), (100, 128)])
    def test_halving_names_the_nearest_power_of_two(self, children, nearest):
        with pytest.raises(ValueError, match=f"children .* received {children}; the nearest is {nearest}$"):
            successive_halving(children, 160)

    @pytest.mark.parametrize("children", [-1, 0, 1])
    def test_one_child_is_no_choice(self, children):
        with pytest.raises(ValueError, match=f"children .* received {children}; the nearest is 2$"):
            one_rung(children, 160)


class TestPromote:
    def test_the_best_in_ascending_order(self):
        assert promote({0: 0.1, 1: 0.9, 2: 0.3, 3: 0.8}, 2) == (1, 3)

    def test_ties_go_to_the_lower_index(self):
        assert promote({3: 0.5, 2: 0.5, 1: 0.5, 0: 0.4}, 2) == (1, 2)

    def test_failed_children_are_never_promoted(self):
        assert promote({0: None, 1: 0.0, 2: None}, 2) == (1,)
        assert promote({0: None, 1: None}, 1) == ()

    @given(scores=SCORES, count=st.integers(0, 16))
    def test_nobody_left_behind_is_better(self, scores, count):
        chosen = promote(scores, count)
        finished = {child: score for child, score in scores.items() if score is not None}
        assert list(chosen) == sorted(set(chosen))
        assert len(chosen) == min(count, len(finished))
        for loser in finished.keys() - set(chosen):
            for winner in chosen:
                assert (finished[winner], -winner) > (finished[loser], -loser)

    @given(scores=SCORES, count=st.integers(0, 16))
    def test_the_order_of_arrival_does_not_matter(self, scores, count):
        assert promote(dict(reversed(scores.items())), count) == promote(scores, count)
