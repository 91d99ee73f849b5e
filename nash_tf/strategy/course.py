"""The course of a search under one budget of compute: how long is trained at a constant rate, when the network may grow, and
when the rate falls.

The budget is counted in epochs of the first network; an epoch of another network counts as much more as it is predicted to cost
(see `nash_tf.architecture.costs.training_seconds`). So what is trained for how long follows from the settings and the seed. All
networks of a search share one rate: a short warm-up, constant while the network grows, then one linear cooldown to zero (Haegele
et al. 2024, arXiv 2405.18392; Li et al. 2019, arXiv 1905.04753).
"""

import math
from dataclasses import dataclass, replace

from nash_tf.strategy.halving import Rung
from nash_tf.strategy.methods import Method
from nash_tf.strategy.schedules import Phase

# The earlier a network grows, the better it becomes (BUILD_NOTES.md, "Averaged weights, a race, ..."):
# Share of the budget that the first network has at most before the first growth, an epoch at least.
LONGEST_FIRST = 0.01
GROWING = 0.03  # share of the budget after which the network no longer grows
COOLDOWN = 0.5  # share of the budget after which the rate falls
# Ends of the trainings of the last step: what is open is lost where a run is stopped.
SEGMENTS = (0.3, COOLDOWN, 0.75, 0.9, 1.0)
# The same where weights are averaged: over the last one, a quarter of the budget.
AVERAGED_SEGMENTS = (0.3, COOLDOWN, 0.6, 0.75, 1.0)
AVERAGED = 1.0 - AVERAGED_SEGMENTS[-2]
GROWTH = 2.0  # most that a step may multiply the price of an epoch by
FEWEST_EPOCHS = 15  # that must be left for a network to grow to a price
RACE = 0.02  # share of the budget that each child of a race has, where all races end before the cooldown


def first_epochs(wanted: int, budget: float) -> int:
    """Epochs of the first network before it may grow.

    Args:
        wanted: those of the settings.
        budget: as of `Course`.
    """
    return max(1, int(min(wanted, LONGEST_FIRST * budget)))


def first_share(method: Method) -> float:
    """Share of the time left which the training of a first network may take that does not fit as it was planned: where a budget is one
    training's, the part before the rate falls and the network grows no more."""
    return SEGMENTS[0] if method.is_budgeted else 1.0


def planned(method: Method, steps: int, rungs: tuple[Rung, ...]) -> list[tuple[Rung, ...]]:
    """The rungs of each step after the first network's. How long their trainings are, the course of the budget says.

    Args:
        method: one with a budget, without a front.
        steps: as it is set; what does not grow has one.
        rungs: of a step.
    """
    last = last_step(method, steps)
    return [*[rungs] * (last - 1), step_rungs(method, last, steps, rungs)]


def last_step(method: Method, steps: int) -> int:
    """The number of the last step. Arguments as of `planned`."""
    return max(1, steps) if method.grows else 1


def step_rungs(method: Method, step: int, steps: int, rungs: tuple[Rung, ...]) -> tuple[Rung, ...]:
    """The rungs of a step after the first network's: the last has the cooldown too, in several trainings. Arguments as of `planned`."""
    return rungs + (Rung(1, 0),) * (len(SEGMENTS) - 1) if step >= last_step(method, steps) else rungs


def race_overlap(steps: int, children: int, side_by_side: int) -> float:
    """Share of a budget that a race takes no time for, since several of its children are trained at a time.

    Args:
        steps: each has a race.
        children: of a race.
        side_by_side: trainings at a time.
    """
    turns = math.ceil(children / side_by_side)
    return (children - turns) * min(RACE, COOLDOWN / (steps * children))


@dataclass(frozen=True)
class Course:
    """How one budget is spent.

    Attributes:
        budget: in epochs of the first network, all trainings together.
        first_epochs: epochs of the first network before it grows for the first time.
        steps: steps after it; the network may grow at the beginning of each.
        is_averaged: whether the network ends on the mean of its weights over the last training.
    """

    budget: float
    first_epochs: int
    steps: int
    is_averaged: bool = True

    @property
    def first(self) -> int:
        """Epochs of the first network before the first step."""
        return first_epochs(self.first_epochs, self.budget)

    def ends(self, step: int) -> tuple[float, ...]:
        """The part of the budget that is spent at the end of each of a step's trainings, those of a race left out."""
        if step < self.steps:
            growing = max(GROWING * self.budget - self.first, 0.0)
            return (self.first + growing * step / (self.steps - 1),)
        segments = AVERAGED_SEGMENTS if self.is_averaged else SEGMENTS
        return tuple(share * self.budget for share in segments)

    def share(self, spent: float) -> float:
        """Share of the initial rate where a part of the budget is spent, after the warm-up."""
        return min(1.0, max(0.0, (1.0 - spent / self.budget) / (1.0 - COOLDOWN)))

    def highest_price(self, spent: float, parent: float) -> float:
        """The most that an epoch of a child may cost, in epochs of the first network.

        Args:
            spent: of the budget so far.
            parent: what an epoch of its parent costs.
        """
        return max(parent, min(GROWTH * parent, (self.budget - spent) / FEWEST_EPOCHS))

    def warmup(self) -> tuple[Phase, ...]:
        """The rate of the first network before the first step: it rises over one epoch, then it is constant."""
        rising, rest = Phase(1, 0.0, 1.0, "linear"), self.first - 1
        return (rising, Phase(rest, 1.0, 1.0)) if rest else (rising,)

    def race(self, price: float, children: int, beginning: float) -> tuple[Phase, ...]:
        """The rate of a child in a race, in which all children have the same compute, of which there is some left for the cooldown.

        Args:
            price: an epoch of the child, in epochs of the first network.
            children: of a race; each step has one.
            beginning: what a training costs whatever its epochs.
        """
        most = (COOLDOWN * self.budget - self.first) / (self.steps * children) - beginning
        return (Phase(max(1, round(min(RACE * self.budget, most) / price)), 1.0, 1.0),)

    def training(
        self, spent: float, end: float, price: float, least: float = 0.0, mean_over: float = 1.0
    ) -> tuple[Phase, ...]:
        """The rate of a training, at least an epoch long.

        Args:
            spent: of the budget before it.
            end: what should be spent after it.
            price: an epoch of the network, in epochs of the first network.
            least: what all trainings take at least; where that is more than the budget, the rate falls over it.
            mean_over: share of the budget at its end over which weights are averaged at most.
        """
        rate = replace(self, budget=max(self.budget, least))
        epochs = max(1, int((end - spent) / price + 1e-9))
        constant = min(epochs, max(0, round((COOLDOWN * rate.budget - spent) / price)))
        is_last = end >= self.budget  # what is left is less than an epoch
        last = 0.0 if is_last else rate.share(spent + epochs * price)
        averaged = is_last and self.is_averaged
        longest = max(1, round(mean_over * rate.budget / price)) if averaged else epochs
        begin = max(constant, epochs - longest)
        falling, mean = rate.share(spent + constant * price), rate.share(spent + begin * price)
        phases = (
            Phase(constant, 1.0, 1.0),
            Phase(begin - constant, falling, mean, "linear"),
            Phase(epochs - begin, mean, last, "linear", averaged),
        )
        return tuple(phase for phase in phases if phase.length)
