"""Proposals of the method `front`: a network that grows to the largest size, and is cut to each smaller one."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nash_tf.architecture import Architecture
from nash_tf.architecture.costs import flops
from nash_tf.morphisms import reductions
from nash_tf.seeds import derive
from nash_tf.strategy import front_plan, growing
from nash_tf.strategy.budgeted import FIRST, BudgetedProposer, first_network, of_rung
from nash_tf.strategy.front_plan import ENOUGH, Front
from nash_tf.strategy.halving import Rung
from nash_tf.strategy.proposals import Outcomes, Proposed, before
from nash_tf.strategy.records import COMPLETED, TrainingKey
from nash_tf.strategy.widths import Keeps, cut, widened

PART = 0.2  # of the parameters that are missing, which a morphism adds at least where one does: many small ones make slow networks


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
        """Whether a step has a network to finish: another one, or the first, which has not been finished, if it is of a size."""
        if parent is None:
            return True
        (child,) = self.children(key.step, parent, outcomes)
        size = self.front(outcomes).size_of(int(child.architecture.params))
        return bool(child.moves) or (parent.step == 0 and size is not None)

    def _propose(self, step: int, parent: Architecture, outcomes: Outcomes) -> list[Proposed]:
        """A network of the step's size, or of the next one below it that can be made; the parent where there is none."""
        sizes = self.front(outcomes).sizes[step - 1 :]
        made = (self._made(parent, size, step, outcomes) for size in sizes)
        return [next((child for child in made if child), Proposed(parent))]

    def _made(self, parent: Architecture, size: int, step: int, outcomes: Outcomes) -> Proposed | None:
        """A network of a size: grown, until one is finished, and then cut; None where there is no other than its parent."""

        def keeps(child: Architecture) -> bool:
            return child.params <= size and (flops(child) or 0) <= self.max_flops

        if keeps(parent) and _has_finished(outcomes):
            return None
        if keeps(parent) and self.fits(parent):
            return self._grown(parent, size, step, outcomes, keeps)
        seed, first = derive(self.settings.seed, step, 0), first_network(outcomes)
        child = self._fitting(lambda limits: cut(parent, first, seed, limits), keeps)
        return child if child.moves else None

    def _fitting(self, make: Callable[[Keeps], Proposed], keeps: Keeps) -> Proposed:
        """What is made to keep limits, and the engine's too where it is over those: they may be measured, and are seldom in the way."""
        child = make(keeps)
        return child if self.fits(child.architecture) else make(lambda each: keeps(each) and self.fits(each))

    def _grown(self, parent: Architecture, size: int, step: int, outcomes: Outcomes, keeps: Keeps) -> Proposed:
        """A network of a size: wider, and where that is not enough with other morphisms, one after the other."""
        plan, seed = self.front(outcomes), derive(self.settings.seed, step)
        child = self._fitting(lambda limits: widened(parent, seed, limits), keeps)
        compute, price = self._left_of_budget(outcomes) * plan.share(size, is_cut=False), self.prices(outcomes).epoch
        foresight = self._foresight(_Reaching, outcomes, math.inf, size)
        while child.architecture.params < ENOUGH * size:
            epochs = compute / price(child.architecture) * growing.weight(self.settings.examples)
            growth, weighing = foresight.best(child.architecture, epochs, derive(seed, "more", len(child.moves)))
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
        is_cut = _has_finished(earlier)
        share = self.front(earlier).share(int(architecture.params), is_cut=is_cut)
        compute = share * self._left_of_budget(earlier, of_rung(key, outcomes))
        epochs = max(1, int((compute - prices.beginning) / prices.epoch(architecture) + 1e-9))
        phases = front_plan.phases(epochs, is_cut=is_cut, is_averaged=is_averaged)
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
        plan, there, failed = self.plan, set[int](), set[int]()
        for key in self.finishing:
            assignment = self.outcomes[key].assignment
            network = assignment.architecture
            size = plan.size_of(int(network.params)) if network else None
            # What was cut is as large as it may be.
            was_cut = any(move.operator in reductions for move in assignment.moves)
            if network and size and (was_cut or network.params >= ENOUGH * size):
                (there if key in self.finished else failed).add(size)
        least = min(
            (int(network.params) for key in self.finished if (network := self.outcomes[key].architecture)),
            default=math.inf,
        )
        others = [size for size in plan.sizes if size not in there | failed]
        said = {
            "training failed": [size for size in plan.sizes if size in failed - there],
            "none could be made that is larger than the next smaller one": [size for size in others if least <= size],
            "the search did not come to it, or no morphism leads there within the limits": [
                size for size in others if size < least
            ],
        }
        words = [f"no network of {_listed(sizes)} parameters: {why}" for why, sizes in said.items() if sizes]
        return f"There is {'; and '.join(words)}." if words else None


def _listed(sizes: Sequence[int]) -> str:
    return ", ".join(f"{size:,}" for size in sorted(sizes))


def _has_finished(outcomes: Outcomes) -> bool:
    """Whether a network has been finished, which others are cut out of."""
    return any(key.step and outcome.status == COMPLETED for key, outcome in outcomes.items())
