"""Proposals of the method `front`: a trunk that grows from size to size, and of each size a branch that is cooled down."""

import math
from dataclasses import dataclass
from typing import Any

from nash_tf.architecture import Architecture
from nash_tf.seeds import derive
from nash_tf.strategy import front_plan, growing
from nash_tf.strategy.budgeted import FIRST, BudgetedProposer, of_rung
from nash_tf.strategy.front_plan import ENOUGH, TRUNK, Front
from nash_tf.strategy.halving import Rung
from nash_tf.strategy.proposals import Outcomes, Proposed, before
from nash_tf.strategy.records import COMPLETED, TrainingKey

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


class BranchingProposer(BudgetedProposer):
    """Proposes the trunk and the branches."""

    def front(self, outcomes: Outcomes) -> Front:
        """The sizes, by what is known of the first network."""
        first = outcomes[FIRST].architecture if FIRST in outcomes else None
        wanted, doublings, most = self.settings.front_sizes, self.settings.steps, self.settings.max_params
        return front_plan.front(None if first is None else first.params, wanted, doublings, most)

    def planned_steps(self, outcomes: Outcomes) -> list[tuple[Rung, ...]]:
        return self.front(outcomes).steps(self.settings.vanilla_epochs)

    def compute_below(self, outcomes: Outcomes, size: int) -> float:
        """What a network of a size below the first one's may cost, in epochs of that."""
        return self.front(outcomes).share_below(size) * self._left_of_budget(outcomes)

    def can_grow(self, key: TrainingKey, parent: TrainingKey | None, outcomes: Outcomes) -> bool:
        """Whether a step has anything new: a larger trunk, or the branch of one that grew in the step before."""
        if parent is None or parent.step == 0 or outcomes[parent].assignment.moves:
            return True
        return any(child.moves for child in self.children(key.step, parent, outcomes))

    def _propose(self, step: int, parent: Architecture, outcomes: Outcomes) -> list[Proposed]:
        """The trunk, grown to the step's size, and the branch, which is its parent; the branch alone in the last step."""
        proposed = [Proposed(parent)]
        if step <= len(self.front(outcomes).above):
            proposed.insert(TRUNK, self._grown(parent, step, outcomes))
        return proposed

    def _grown(self, parent: Architecture, step: int, outcomes: Outcomes) -> Proposed:
        """The trunk with morphisms, one after the other, until it is of its size."""
        plan, child = self.front(outcomes), Proposed(parent)
        compute, price = self._left_of_budget(outcomes) * plan.share_of_size(step), self.prices(outcomes).epoch
        foresight = self._foresight(_Reaching, outcomes, math.inf, min(plan.target(step), self.settings.max_params))
        while child.architecture.params < ENOUGH * plan.target(step):
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
        plan = self.front(earlier)
        compute = plan.share(key) * self._left_of_budget(earlier, of_rung(key, outcomes))
        prices = self.prices(earlier)
        epochs = max(1, int((compute - prices.beginning) / prices.epoch(architecture) + 1e-9))
        return {
            "initial_epoch": 0,
            "epochs": epochs,
            "phases": front_plan.phases(epochs, plan.is_branch(key), self.settings.average_weights),
        }


@dataclass(frozen=True)
class FrontStanding:
    """What a search has come to of a front.

    Attributes:
        proposer: that of the search.
        outcomes: of all trainings that have ended.
    """

    proposer: BranchingProposer
    outcomes: Outcomes

    @property
    def plan(self) -> Front:
        """Its sizes."""
        return self.proposer.front(self.outcomes)

    @property
    def finishing(self) -> tuple[TrainingKey, ...]:
        """The trainings that have ended and were each to finish a network, in order."""
        plan = self.plan
        return tuple(key for key in sorted(self.outcomes) if plan.is_branch(key))

    @property
    def finished(self) -> tuple[TrainingKey, ...]:
        """Those of them that have finished one."""
        return tuple(key for key in self.finishing if self.outcomes[key].status == COMPLETED)

    @property
    def sizes_below(self) -> tuple[int, ...]:
        """Sizes that are below the first network's, the largest first; they are made after the search."""
        return self.plan.below

    def epochs_below(self, architecture: Architecture, teacher: Architecture | None = None, *, size: int) -> int:
        """Epochs that what the search leaves of its budget has for a network of a size below the first one's, one at least.

        Args:
            architecture: the network.
            teacher: a network whose outputs are computed for it in each epoch.
            size: one that is asked for, no larger than the first network.
        """
        price = self.proposer.prices(self.outcomes).epoch
        taught = price(teacher) / 3 if teacher is not None else 0.0  # forwards only
        return max(1, int(self.proposer.compute_below(self.outcomes, size) / (price(architecture) + taught)))
