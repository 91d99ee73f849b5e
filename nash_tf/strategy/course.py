"""The course of a search under one budget of compute: how long is trained at a constant rate, when the network may grow, and
when the rate falls.

The budget is counted in epochs of the first network; an epoch of another network counts as much more as it is predicted to cost
(see `nash_tf.architecture.costs.training_seconds`). So what is trained for how long follows from the settings and the seed. All
networks of a search share one rate: a short warm-up, constant while the network grows, then one cooldown to zero (Haegele et al.
2024, arXiv 2405.18392).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from nash_tf.architecture import Architecture
from nash_tf.architecture.costs import training_seconds
from nash_tf.strategy.records import COMPLETED, Outcome
from nash_tf.strategy.schedules import Phase

WARMUP = Phase(1, 0.0, 1.0, "linear")
LONGEST_FIRST = 0.15  # share of the budget that the first network has at most before the first growth
GROWING = 0.4  # share of the budget after which the network no longer grows
COOLDOWN = 0.5  # share of the budget after which the rate falls
SHAPE = "linear"
RACE = 0.02  # share of the budget that each child of a race has


@dataclass(frozen=True)
class Course:
    """How one budget is spent.

    Attributes:
        budget: in epochs of the first network, all trainings together.
        first_epochs: epochs of the first network before anything grows.
        growths: how often the network may grow.
        birth: what making a child costs, in epochs of the first network.
    """

    budget: float
    first_epochs: int
    growths: int
    birth: float = 0.0

    @property
    def first(self) -> int:
        """Epochs of the first network."""
        most = self.budget if not self.growths else LONGEST_FIRST * self.budget
        return max(1, min(self.first_epochs, round(most)))

    def first_phases(self) -> tuple[Phase, ...]:
        """The rate of the first network: a warm-up, then constant."""
        rest = self.first - 1
        return (WARMUP, Phase(rest, 1.0, 1.0)) if rest else (WARMUP,)

    def end_of(self, step: int) -> float:
        """The part of the budget that is spent when a step ends, the first network's being step 0."""
        if step >= self.growths:
            return self.budget
        return self.first + (GROWING * self.budget - self.first) * step / (self.growths - 1)

    def race(self, price: float) -> int:
        """Epochs of a child in a race among the children of a step, all of which get the same compute."""
        return max(1, round(RACE * self.budget / price))

    def epochs(self, step: int, spent: float, price: float) -> int:
        """Epochs of a network until the end of a step.

        Args:
            step: the step.
            spent: of the budget so far.
            price: an epoch of the network, in epochs of the first network.
        """
        return max(1, int((self.end_of(step) - spent) / price))

    def phases(self, step: int, spent: float, price: float) -> tuple[Phase, ...]:
        """The rate of a network until the end of a step: constant, and in the last step the cooldown.

        Args:
            step, spent, price: see `epochs`.
        """
        epochs = self.epochs(step, spent, price)
        if step < self.growths:
            return (Phase(epochs, 1.0, 1.0),)
        constant = min(epochs - 1, max(0, round((COOLDOWN * self.budget - spent) / price)))
        # Where a dear child came late, the rate begins where it would have been by then.
        start = min(1.0, max(0.0, (self.budget - spent) / (self.budget * (1 - COOLDOWN))))
        cooldown = Phase(epochs - constant, start, 0.0, SHAPE)
        return (Phase(constant, 1.0, 1.0), cooldown) if constant else (cooldown,)


def price(architecture: Architecture, first: Architecture) -> float:
    """What an epoch of a network costs, in epochs of the first one."""
    return training_seconds(architecture) / training_seconds(first)


def spent(outcomes: Iterable[Outcome], first: Architecture, birth: float) -> float:
    """What trainings have cost, in epochs of the first network; a failed one counts as its birth."""
    total = 0.0
    for outcome in outcomes:
        assignment = outcome.assignment
        if outcome.status == COMPLETED and outcome.architecture is not None:
            total += (assignment.epochs - assignment.initial_epoch) * price(outcome.architecture, first)
        if assignment.is_birth:
            total += birth
    return total
