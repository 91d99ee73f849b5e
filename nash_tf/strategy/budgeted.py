"""Proposals of a method with one budget of compute: the children as ever, their epochs and rates by the course of the budget."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from nash_tf.architecture import Architecture
from nash_tf.morphisms import reductions, registry
from nash_tf.seeds import derive
from nash_tf.strategy import growing
from nash_tf.strategy.alternatives import cut
from nash_tf.strategy.course import AVERAGED, FEWEST_EPOCHS, Course, planned, race_overlap
from nash_tf.strategy.halving import Rung
from nash_tf.strategy.hill_climbing import OpenRung
from nash_tf.strategy.prices import Prices
from nash_tf.strategy.proposals import Outcomes, Proposed, Proposer
from nash_tf.strategy.records import COMPLETED, TrainingKey

_Foresight = TypeVar("_Foresight", bound=growing.Foresight)
FIRST = TrainingKey(0, 0, 0)
RESERVE = 0.15  # share of the time left under a limit on time that is not planned with, for a machine that slows down


@dataclass
class BudgetedProposer(Proposer):
    """Draws children as `Proposer` does.

    Attributes:
        seconds_left: what is left of the limits on time by the engine's clock; None for what the outcomes leave.
        side_by_side: gives how many trainings go on at a time.
    """

    seconds_left: Callable[[], Mapping[str, float]] | None = None
    side_by_side: Callable[[], int] = lambda: 1

    def _later_steps(self) -> list[tuple[Rung, ...]]:
        return planned(self.method, self.settings.steps, self.settings.rungs)

    def can_grow(self, key: TrainingKey, parent: TrainingKey | None, outcomes: Outcomes) -> bool:
        """Always: where nothing fits, the network is trained on."""
        return True

    def _propose(self, step: int, parent: Architecture, outcomes: Outcomes) -> list[Proposed]:
        """Drawn, or chosen by what they are worth."""
        if not self.method.has_foresight:
            return super()._propose(step, parent, outcomes)
        plan, prices = self.course(outcomes), self.prices(outcomes)
        used, own = prices.spent(outcomes.values()), prices.epoch(parent)
        foresight = self._foresight(
            growing.Foresight, outcomes, plan.highest_price(used, own), self.settings.max_params
        )
        epochs = (plan.budget - used) / own * growing.weight(self.settings.examples)
        children = foresight.choose(parent, self.settings.mutations, epochs, derive(self.settings.seed, step, 0))
        child = next(each for each in reversed(children) if not each.moves or self.fits(each.architecture))
        if child is not children[-1]:
            child = child._replace(considered=cut(children[-1].considered, len(child.moves)))
        return [child]

    def _limit(self, parent: Architecture, outcomes: Outcomes) -> Callable[[Architecture], bool]:
        """Within further limits, and cheap enough for some epochs in what is left of the budget."""
        prices = self.prices(outcomes)
        most = max(prices.epoch(parent), self._left_of_budget(outcomes) / FEWEST_EPOCHS)
        return lambda child: prices.epoch(child) <= most and self.fits(child)

    def _foresight(self, kind: type[_Foresight], outcomes: Outcomes, max_price: float, max_params: float) -> _Foresight:
        """Weighs morphisms by the shape and the price of the first network, within `max_flops` too."""
        gains, factor = {**dict.fromkeys(registry, growing.UNKNOWN), **self.method.gains}, self.settings.gain_factor
        return kind(
            growing.shape(first_network(outcomes)),
            # A reduction loses what the law says, or more: what is smaller would else grow again, or go on shrinking for nothing.
            {name: gain * (max(1.0, factor) if name in reductions else factor) for name, gain in gains.items()},
            self.prices(outcomes).epoch,
            max_price,
            max_params,
            self.max_flops,
        )

    def course(self, outcomes: Outcomes, within: Outcomes = MappingProxyType({})) -> Course:
        """How the budget is spent, as far as it is known: a limit on time becomes one in epochs by what trainings have taken.

        Args:
            outcomes: of all trainings that it is to follow from.
            within: outcomes of the rung that is planned, whose time counts as not taken yet: so all trainings of a rung have the same
                course, also by a clock that has gone on.
        """
        ended = [outcomes[key] for key in sorted(outcomes) if outcomes[key].status == COMPLETED]
        budget = self.settings.budget
        for name, left in self._left(outcomes, within).items() if ended else ():
            # The pace of the last training, since machines do not stay as fast as they were.
            prices = self.prices(outcomes)
            pace = getattr(ended[-1], name) / prices.spent(ended[-1:])
            if pace > 0:
                beside = self._overlapping(outcomes) if name == "wall_seconds" else 0.0
                reached = prices.spent(ended) + (1 - RESERVE) * max(0.0, left) / pace
                budget = min(budget, reached / (1 - beside))
        return Course(budget, self.steps[0][0].epochs, len(self.steps) - 1, self.settings.average_weights)

    def _left_of_budget(self, outcomes: Outcomes, within: Outcomes = MappingProxyType({})) -> float:
        """In epochs of the first network; arguments as of `course`."""
        return max(0.0, self.course(outcomes, within).budget - self.prices(outcomes).spent(outcomes.values()))

    def budget_left(self, opened: OpenRung | None, outcomes: Outcomes) -> float | None:
        """At least an epoch of the last network for each training that is to come."""
        trained = [outcome.architecture for outcome in outcomes.values() if outcome.architecture is not None]
        if not trained:
            return None
        left, prices = self._left_of_budget(outcomes), self.prices(outcomes)
        if opened is None:
            return left
        later = [
            *self.steps[opened.step][opened.rung + 1 :],
            *(rung for rungs in self.steps[opened.step + 1 :] for rung in rungs),
        ]
        to_come = len(opened.missing) + sum(rung.children for rung in later)
        return max(left, to_come * (prices.epoch(trained[-1]) + prices.beginning))

    def on_the_clock(self, left: float, outcomes: Outcomes) -> float:
        """Of races that are to come, a part is trained side by side."""
        return max(left / self.side_by_side(), left - self._overlapping(outcomes) * self.course(outcomes).budget)

    def _overlapping(self, outcomes: Outcomes) -> float:
        """Share of the budget that takes no time of its own, since the races that are to come are run side by side."""
        children, steps = self.steps[-1][0].children, range(1, len(self.steps))
        races = sum(TrainingKey(step, 0, children - 1) not in outcomes for step in steps)
        return races * race_overlap(len(steps), children, self.side_by_side())

    def prices(self, outcomes: Outcomes) -> Prices:
        """What trainings cost."""
        return Prices(first_network(outcomes), self.settings.examples, self.settings.batch_size)

    def _left(self, outcomes: Outcomes, within: Outcomes) -> Mapping[str, float]:
        if self.seconds_left is None:
            return {
                name: most - sum(getattr(each, name) for each in outcomes.values())
                for name, most in self.settings.time_limits.items()
            }
        at_a_time = {"wall_seconds": self.side_by_side()}
        return {
            name: left + sum(getattr(each, name) for each in within.values()) / at_a_time.get(name, 1)
            for name, left in self.seconds_left().items()
            if left < math.inf
        }

    def _schedule(self, key: TrainingKey, architecture: Architecture | None, outcomes: Outcomes) -> dict[str, Any]:
        before = {other: outcome for other, outcome in outcomes.items() if other[:2] < key[:2]}
        plan, has_race = self.course(before, of_rung(key, outcomes)), self.steps[key.step][0].children > 1
        begun = before[key._replace(rung=key.rung - 1)].assignment if key.rung else None
        if architecture is None:
            phases = plan.warmup()
        elif has_race and not key.rung:
            prices, children = self.prices(before), self.steps[key.step][0].children
            phases = plan.race(prices.epoch(architecture), children, prices.beginning)
        else:
            prices = self.prices(before)
            used, price = prices.spent(before.values()) + prices.beginning, prices.epoch(architecture)
            to_come = sum(map(len, self.steps[key.step :])) - key.rung
            least = used + to_come * price + (to_come - 1) * prices.beginning
            # What trainings that were stopped early have left makes the last one longer: a mean over all of it would reach back too far.
            mean_over = AVERAGED if any(each.is_stopped for each in before.values()) else 1.0
            phases = plan.training(used, plan.ends(key.step)[key.rung - has_race], price, least, mean_over)
        first = begun.epochs if begun else 0
        return {
            "initial_epoch": first,
            "epochs": first + round(math.fsum(phase.length for phase in phases)),
            "phases": (begun.phases if begun else ()) + phases,
        }


def of_rung(key: TrainingKey, outcomes: Outcomes) -> Outcomes:
    """What came of the trainings in the rung of one."""
    return {other: outcome for other, outcome in outcomes.items() if other[:2] == key[:2]}


def first_network(outcomes: Outcomes) -> Architecture:
    """The first network."""
    first = outcomes[FIRST].architecture
    assert first is not None  # a failed first network ends the search
    return first
