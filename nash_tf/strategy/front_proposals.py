"""Proposals of the method `front`: a network that grows to the largest size, and is cut to each smaller one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nash_tf.architecture import Architecture
from nash_tf.morphisms.base import Move, Origin
from nash_tf.morphisms.remove_filters import TO, RemoveFilters
from nash_tf.seeds import derive
from nash_tf.strategy import front_plan, growing
from nash_tf.strategy.budgeted import FIRST, BudgetedProposer, first_network, of_rung
from nash_tf.strategy.front_plan import ENOUGH, Front
from nash_tf.strategy.halving import Rung
from nash_tf.strategy.proposals import Outcomes, Proposed, before
from nash_tf.strategy.records import COMPLETED, TrainingKey

PART = 0.2  # of the parameters that are missing, which a morphism adds at least where one does: many small ones make slow networks
HALVINGS = 12  # of the interval in which the share of filters lies that stay


class _Reaching(growing.Foresight):
    """Grows to a size that is asked for, whether it is worth its compute or not."""

    def may_take(self, parent: Architecture, growth: growing.Growth) -> bool:
        """Whether it adds parameters."""
        return growth.child.params > parent.params

    def merit(self, parent: Architecture, growth: growing.Growth) -> tuple[float, ...]:
        """First the large ones; then what is worth most for each parameter that it adds, for the parameters are what is given."""
        added = growth.child.params - parent.params
        is_large = growth.child.params >= parent.params + PART * (self.max_params - parent.params)
        return is_large, growth.expected.worth / added if added > 0 else 0.0


def cut(parent: Architecture, size: int, first: Architecture, seed: int) -> Proposed:
    """A network with the same share of the filters of each layer, the largest such that has no more parameters than a size (a width
    multiplier: Howard et al. 2017, arXiv 1704.04861); the parent itself where none is small enough. Where that leaves room for it, no
    layer loses what it had in the first network.

    Args:
        parent: with more parameters.
        size: in parameters.
        first: the first network.
        seed: of the morphisms; nothing is drawn.
    """
    operator = RemoveFilters()
    channels = {name: parent[name].channels or 0 for name in (str(site[0]) for site in operator.sites(parent))}

    def scaled(share: float, least: Mapping[str, int]) -> Proposed:
        child = Proposed(parent)
        for name, own in channels.items():
            kept = max(1, math.floor(share * own), min(own, least.get(name, 1)))
            if kept < own:
                move = Move(operator.name, (name, TO, kept), seed)
                architecture, _ = operator.apply(child.architecture, move.site, Origin.FOUND)
                child = child._replace(architecture=architecture, moves=(*child.moves, move))
        return child

    of_first = {node.name: node.channels for node in first.nodes if node.channels}
    for least in (of_first, dict[str, int]()):
        best, low, high = scaled(0.0, least), 0.0, 1.0
        if best.architecture.params <= size:
            for _ in range(HALVINGS):
                middle = (low + high) / 2
                child = scaled(middle, least)
                if child.architecture.params <= size:
                    low, best = middle, child
                else:
                    high = middle
            return best
    return Proposed(parent)


class FrontProposer(BudgetedProposer):
    """Proposes a network of each size, in the order of `nash_tf.strategy.front_plan`."""

    def front(self, outcomes: Outcomes) -> Front:
        """The sizes, by what is known of the first network."""
        first = outcomes[FIRST].architecture if FIRST in outcomes else None
        wanted, doublings, most = self.settings.front_sizes, self.settings.steps, self.settings.max_params
        return front_plan.front(None if first is None else first.params, wanted, doublings, most)

    def planned_steps(self, outcomes: Outcomes) -> list[tuple[Rung, ...]]:
        return self.front(outcomes).steps(self.settings.vanilla_epochs)

    def can_grow(self, key: TrainingKey, parent: TrainingKey | None, outcomes: Outcomes) -> bool:
        """Whether a step has a network of another size to finish. The first step finishes the largest one, whether it grew or not."""
        if parent is None or key.step == 1:
            return True
        return any(child.moves for child in self.children(key.step, parent, outcomes))

    def _propose(self, step: int, parent: Architecture, outcomes: Outcomes) -> list[Proposed]:
        size = self.front(outcomes).size(step)
        if parent.params <= size:  # the first network, or one after a larger one failed
            return [self._grown(parent, step, outcomes)]
        child = cut(parent, size, first_network(outcomes), derive(self.settings.seed, step, 0))
        return [child if self.fits(child.architecture) else Proposed(parent)]

    def _grown(self, parent: Architecture, step: int, outcomes: Outcomes) -> Proposed:
        """A network with morphisms, one after the other, until it is of the step's size."""
        plan, child = self.front(outcomes), Proposed(parent)
        compute, price = self._left_of_budget(outcomes) * plan.share(step), self.prices(outcomes).epoch
        foresight = self._foresight(_Reaching, outcomes, math.inf, min(plan.size(step), self.settings.max_params))
        while child.architecture.params < ENOUGH * plan.size(step):
            epochs = compute / price(child.architecture) * growing.weight(self.settings.examples)
            seed = derive(self.settings.seed, step, len(child.moves))
            growth, weighing = foresight.best(child.architecture, epochs, seed)
            if growth and not self.fits(growth.child):
                growth, weighing = None, weighing.too_slow()
            child = child._replace(considered=(*child.considered, weighing))
            if growth is None:
                break
            child = child._replace(architecture=growth.child, moves=(*child.moves, growth.move))
        return child

    def _schedule(self, key: TrainingKey, architecture: Architecture | None, outcomes: Outcomes) -> dict[str, Any]:
        if architecture is None:
            return super()._schedule(key, architecture, outcomes)
        earlier = before(key.step, outcomes)
        prices, is_averaged = self.prices(earlier), self.settings.average_weights
        compute = self.front(earlier).share(key.step) * self._left_of_budget(earlier, of_rung(key, outcomes))
        epochs = max(1, int((compute - prices.beginning) / prices.epoch(architecture) + 1e-9))
        phases = front_plan.phases(epochs, is_cut=key.step > 1, is_averaged=is_averaged)
        return {"initial_epoch": 0, "epochs": epochs, "phases": phases}


@dataclass(frozen=True)
class FrontStanding:
    """What a search has come to of a front.

    Attributes:
        proposer: that of the search.
        outcomes: of all trainings that have ended.
    """

    proposer: FrontProposer
    outcomes: Outcomes

    @property
    def plan(self) -> Front:
        """Its sizes."""
        return self.proposer.front(self.outcomes)

    @property
    def finishing(self) -> tuple[TrainingKey, ...]:
        """The trainings that have ended and were each to finish a network, in order."""
        return tuple(key for key in sorted(self.outcomes) if key.step)

    @property
    def finished(self) -> tuple[TrainingKey, ...]:
        """Those of them that have finished one."""
        return tuple(key for key in self.finishing if self.outcomes[key].status == COMPLETED)

    def missing(self) -> str | None:
        """That there are sizes of which the search has no network, and why, a sentence for people; None where there are none."""
        networks = [outcome.architecture for key in self.finished if (outcome := self.outcomes[key])]
        params = [network.params for network in networks if network]
        sizes = [size for size in self.plan.sizes if not any(ENOUGH * size <= own <= size for own in params)]
        if not sizes:
            return None
        why = "the search did not come to them, or no morphism leads there within the limits"
        return f"There is no network of {', '.join(f'{size:,}' for size in reversed(sizes))} parameters: {why}."
