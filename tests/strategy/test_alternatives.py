"""The record of what a growth was chosen among."""

import dataclasses
import json
import math

import pytest

from nash_tf.architecture.costs import flops
from nash_tf.architecture.first_networks import residual
from nash_tf.morphisms import registry
from nash_tf.morphisms.draw import replay
from nash_tf.strategy import alternatives, explanations, front_proposals, growing, methods
from nash_tf.strategy.alternatives import Candidate, Weighing, why_none
from nash_tf.strategy.ask_tell import Search
from nash_tf.strategy.growing import Foresight, shape
from nash_tf.strategy.proposals import Proposed
from nash_tf.strategy.records import Goal
from tests.strategy.test_front_plan import SETTINGS, climb, train

PARENT = residual((8, 8, 1), 10, (4, 8))
GAINS = methods.GROW.gains


def weighed(kind=Foresight, gains=GAINS, max_price=math.inf, max_params=math.inf, max_flops=math.inf, epochs=1e4):
    """With a price that is in proportion to the parameters."""
    price = lambda network: network.params / PARENT.params  # noqa: E731
    return kind(shape(PARENT), gains, price, max_price, max_params, max_flops).best(PARENT, epochs, seed=0)


class TestWeighing:
    def test_it_holds_the_best_of_each_operator_and_the_best_of_all_first(self):
        taken, weighing = weighed()
        best = weighing.best
        operators = [name for name, gain in GAINS.items() if gain]
        assert sorted(each.operator for each in best) == sorted(operators)
        assert (best[0].operator, best[0].site) == taken.move[:2]
        assert best[0] == taken.expected.rounded() and best[0].params == taken.child.params - PARENT.params
        ratios = [each.gain / each.cost for each in best]
        assert ratios == sorted(ratios, reverse=True) and weighing.refused == {}
        assert weighing.weighed == sum(len(registry[name].choices(PARENT)) for name in operators)

    def test_of_equals_the_first_is_taken(self):
        free = dict.fromkeys(GAINS, 1.0)
        taken, weighing = Foresight(shape(PARENT), free, lambda network: 1.0, math.inf, math.inf).best(PARENT, 9.0, 0)
        order = list(GAINS)  # nothing costs anything
        assert [each.operator for each in weighing.best] == sorted((c.operator for c in weighing.best), key=order.index)
        first = next(site for name in order for site in registry[name].choices(PARENT))
        assert taken.move[:2] == (order[0], first) and weighing.best[0].cost == 0.0

    def test_where_nothing_is_worth_it_the_best_are_held_all_the_same(self):
        taken, weighing = weighed(epochs=1.0)
        assert taken is None and len(weighing.best) > 1 and all(each.gain < each.cost for each in weighing.best)
        assert why_none(weighing) == f"of {weighing.weighed} morphisms none was worth what it costs"

    @pytest.mark.parametrize(
        "limit, name, words",
        [
            ({"max_params": PARENT.params}, "params", "parameters"),
            ({"max_flops": flops(PARENT)}, "flops", "operations"),
            ({"max_price": 1.0}, "price", "the price of an epoch"),
        ],
    )
    def test_each_limit_counts_what_it_refuses(self, limit, name, words):
        taken, weighing = weighed(**limit)
        assert taken is None and weighing.is_limited and weighing.best == ()
        assert weighing.refused == {name: weighing.weighed} and weighing.weighed > 20
        assert why_none(weighing) == f"all {weighing.weighed} morphisms were over the limit on {words}"

    def test_what_is_over_several_limits_counts_once(self):
        most = PARENT.params + 300
        _, weighing = weighed(max_params=most, max_price=(most - 100) / PARENT.params, epochs=1.0)
        assert set(weighing.refused) == {"params", "price"} and not weighing.is_limited
        within, over = weighing.within_limits, sum(weighing.refused.values())
        assert within > 0 and within + over == weighed()[1].weighed
        words = f"of {within} morphisms none was worth what it costs; {over} more were over a limit ("
        assert why_none(weighing).startswith(words)

    @pytest.mark.parametrize(
        "given, why, words",
        [
            ({"epochs": 0.0}, "budget", "the budget was spent"),
            ({"gains": dict.fromkeys(GAINS, 0.0)}, "gains", "nothing is expected of size, with a gain_factor of 0"),
        ],
    )
    def test_where_nothing_can_be_worth_anything_the_reason_is_told(self, given, why, words):
        assert weighed(**given) == (None, Weighing(nothing=why))
        assert why_none(Weighing(nothing=why)) == words
        assert why_none(Weighing()) == "there was no morphism to be weighed"

    def test_it_is_as_large_however_many_operators_there_are(self, monkeypatch):
        for number in range(9):
            monkeypatch.setitem(registry, f"own_{number}", registry["insert_conv"])
        gains = GAINS | {f"own_{number}": growing.UNKNOWN for number in range(9)}
        assert len(weighed(gains=gains)[1].best) == alternatives.MOST

    def test_it_is_json_and_comes_back(self):
        (_, first), (_, last) = weighed(), weighed(max_price=1.5, epochs=1.0)
        nested = Weighing((Candidate("mine", (("a", 1), 0.5), 3, 0.1, 0.0),), 1, {"latency": 1})
        for weighings in ((), (first, last, nested), (Weighing(nothing="budget"),)):
            assert alternatives.parsed(json.loads(json.dumps([each.plain() for each in weighings]))) == weighings

    @pytest.mark.parametrize(
        "plain",
        [
            3,
            [3],
            [{}],
            [{"best": [], "weighed": -1, "refused": {}}],
            [{"best": [], "weighed": 1, "refused": {"price": "many"}}],
            [{"best": [["split", "conv_1", 1, 0.1, 0.1]], "weighed": 1, "refused": {}}],
            [{"best": [["split", ["conv_1"], 1, math.nan, 0.1]], "weighed": 1, "refused": {}}],
            [{"best": [["split", ["conv_1"], 1, 0.1]], "weighed": 1, "refused": {}}],
        ],
    )
    def test_what_is_none_is_refused(self, plain):
        with pytest.raises((TypeError, ValueError, KeyError)):
            alternatives.parsed(plain)


@pytest.fixture
def not_wider(monkeypatch):
    """What grows to a size has to be chosen, as where no layer can become wider."""
    monkeypatch.setattr(front_proposals, "widened", lambda parent, *_: Proposed(parent))


class TestInSearch:
    def conduct(self, method="grow", fits=None, **changed):
        given = {"front_sizes": (), "budget_epochs": 900.0, "method": method, **changed}
        search = Search(dataclasses.replace(SETTINGS, **given), Goal("val_accuracy"), fits=fits)
        while not search.finished:
            search.tell(train(search.ask()[0]))
        return search

    @pytest.mark.parametrize("method", ["grow", "front"])
    def test_each_morphism_is_the_best_of_its_weighing(self, method, not_wider):
        search = self.conduct(method, steps=1, front_sizes=(2 * PARENT.params,) if method == "front" else ())
        births = [record for record in search.lineage() if record["morphisms"] and not record["rung"]]
        assert births
        for record in births:
            taken = [(operator, site) for operator, site, _ in record["morphisms"]]
            assert [tuple(each["best"][0][:2]) for each in record["considered"][: len(taken)]] == taken
            assert len(record["considered"]) - len(taken) in (0, 1)

    @pytest.mark.parametrize("method", ["random", "fixed", "nash"])
    def test_methods_without_foresight_have_none(self, method):
        assert not any("considered" in record for record in self.conduct(method, budget_epochs=60.0).lineage())

    def test_what_is_as_wide_or_narrow_as_a_size_has_it_was_not_chosen(self):
        assert not any(each.assignment.considered for each in climb().outcomes.values())

    @pytest.mark.parametrize("method", ["grow", "front"])
    @pytest.mark.parametrize("kept", [0, 1])
    def test_a_network_that_is_too_slow_says_so(self, method, kept, not_wider):
        whole = self.conduct(method, steps=1).outcomes[1, 0, 0]
        assert len(whole.assignment.moves) > kept
        allowed = {PARENT.digest, replay(PARENT, whole.assignment.moves[:kept])[0].digest}
        slow = self.conduct(method, lambda network: network.digest in allowed, steps=1).outcomes
        found, expected = (each.assignment.considered for each in (slow[1, 0, 0], whole))
        assert slow[1, 0, 0].assignment.moves == whole.assignment.moves[:kept]
        assert found == (*expected[:kept], expected[kept].too_slow())
        assert found[-1].is_limited and "the limit on latency" in why_none(found[-1])


def test_without_growth_the_limit_is_named():
    grow = TestInSearch()
    search = grow.conduct(max_params=PARENT.params)
    words = explanations.without_growth(search.outcomes.values(), search.settings)
    assert (
        words.startswith("The network has not grown: all ")
        and " over the limit on parameters; in a new run with more than max_params=" in words
    )
    poor = grow.conduct(budget_epochs=8.0)
    assert "no morphism was expected to be worth" in explanations.without_growth(poor.outcomes.values(), poor.settings)
    spent = grow.conduct(budget_epochs=1.0)
    words = explanations.without_growth(spent.outcomes.values(), spent.settings)
    assert (
        words
        == "The network has not grown: the budget was spent before it could; in a new run with a larger one it may."
    )


@pytest.mark.parametrize("method", ["grow", "scale"])
def test_with_a_factor_of_0_no_larger_budget_is_advised(method):
    search = TestInSearch().conduct(method, gain_factor=0.0)
    moves = any(outcome.assignment.moves for outcome in search.outcomes.values())
    words = explanations.without_growth(search.outcomes.values(), search.settings)
    expected = "The network has not grown: nothing is expected of size, with a gain_factor of 0."
    assert words == (None if moves else expected) and (method == "scale" or not moves)
