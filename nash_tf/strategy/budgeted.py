"""Proposals of a method with one budget of compute: the children as ever, their epochs and rates by the course of the budget."""

from dataclasses import dataclass
from typing import Any

from nash_tf.architecture import Architecture
from nash_tf.strategy import course
from nash_tf.strategy.course import Course
from nash_tf.strategy.proposals import Outcomes, Proposer
from nash_tf.strategy.records import TrainingKey
from nash_tf.strategy.schedules import Phase

FIRST = TrainingKey(0, 0, 0)


@dataclass
class BudgetedProposer(Proposer):
    """Draws children as `Proposer` does.

    Attributes:
        budget: in epochs of the first network, all trainings together.
        birth: what making a child costs, in epochs of the first network.
    """

    budget: float = 0.0
    birth: float = 0.0

    @property
    def course(self) -> Course:
        """How the budget is spent."""
        return Course(self.budget, self.steps[0][0].epochs, len(self.steps) - 1, self.birth)

    def can_grow(self, key: TrainingKey, parent: TrainingKey | None, outcomes: Outcomes) -> bool:
        """Always: where nothing fits, the network is trained on."""
        return True

    def _schedule(self, key: TrainingKey, architecture: Architecture | None, outcomes: Outcomes) -> dict[str, Any]:
        plan = self.course
        if architecture is None:
            return {"initial_epoch": 0, "epochs": plan.first, "phases": plan.first_phases()}
        first = outcomes[FIRST].architecture
        assert first is not None  # a failed first network ends the search
        price = course.price(architecture, first)
        if key.rung + 1 < len(self.steps[key.step]):
            epochs = plan.race(price)
            return {"initial_epoch": 0, "epochs": epochs, "phases": (Phase(epochs, 1.0, 1.0),)}
        earlier = [outcome for other, outcome in outcomes.items() if other[:2] < key[:2]]
        spent = course.spent(earlier, first, self.birth) + (self.birth if not key.rung else 0.0)
        begun = outcomes[key._replace(rung=key.rung - 1)].assignment.epochs if key.rung else 0
        before = (Phase(begun, 1.0, 1.0),) if begun else ()
        return {
            "initial_epoch": begun,
            "epochs": begun + plan.epochs(key.step, spent, price),
            "phases": before + plan.phases(key.step, spent, price),
        }
