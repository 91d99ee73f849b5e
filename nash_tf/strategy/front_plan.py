"""The plan of the method `front`: which sizes it has, which training makes each, and how the budget is shared among them.

A trunk grows from size to size at a constant rate. At each size a branch leaves it, that stays at the rate for a while and then cools
it down to zero, which finishes a network of that size; the trunk goes on from where it was (one constant rate with a cooldown for each
length: Haegele et al. 2024, arXiv 2405.18392). Sizes below that of the first network are made after the search, out of its smallest.

The shares: a network of price p that has had the compute L, in its own life and in that of what it grew out of, is taken to have an
excess of the loss of EXCESS sqrt(p / L) (`nash_tf.strategy.growing`). The sum over all sizes is least where every L is in proportion to
the cube root of p: a network of eight times the price has twice the compute. Prices are taken to be in proportion to parameters. Of each
L the trunk has TRUNK_SHARE, of which a network that follows needs only what is still missing: more of it would be shared by more
networks, but networks that grow late in their lives stay behind those that grew early (BUILD_NOTES.md, "What a network comes to"). With
sizes that double, each grows at 0.24 of its life. The branch has the rest, and cools down from COOLDOWN of the life on, as in the
course of any budget.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

from nash_tf.strategy.course import AVERAGED, COOLDOWN
from nash_tf.strategy.halving import Rung
from nash_tf.strategy.records import TrainingKey
from nash_tf.strategy.schedules import Phase

TRUNK_SHARE = 0.3  # of a network's compute
CONSTANT = (COOLDOWN - TRUNK_SHARE) / (1 - TRUNK_SHARE)  # share of a branch before its cooldown
ENOUGH = 0.9  # a network with this share of the parameters that were asked for is of that size
TRUNK, BRANCH = 0, 1  # children of a step


def phases(epochs: int, is_branch: bool, is_averaged: bool) -> tuple[Phase, ...]:
    """The rate of a training of so many epochs: constant, and of a branch then falling to zero, at its end with averaged weights."""
    if not is_branch:
        return (Phase(epochs, 1.0, 1.0),)
    constant = min(epochs - 1, round(CONSTANT * epochs))
    falling = epochs - constant
    last = min(falling, max(1, round(AVERAGED / (1 - COOLDOWN) * falling))) if is_averaged else 0
    parts = (
        Phase(constant, 1.0, 1.0),
        Phase(falling - last, 1.0, last / falling, "linear"),
        Phase(last, last / falling, 0.0, "linear", is_averaged),
    )
    return tuple(part for part in parts if part.length)


@dataclass(frozen=True)
class Front:
    """The sizes of a front, in parameters, of frozen layers too.

    Attributes:
        first: of the first network.
        above: of those that the trunk grows to, ascending.
        below: of those that are made after the search, descending.
    """

    first: int
    above: tuple[int, ...]
    below: tuple[int, ...] = ()

    def steps(self, first_epochs: int) -> list[tuple[Rung, ...]]:
        """The rungs of each step: the first network; for each size above it the trunk and the branch of the size before; the last
        branch. How long they are, `share` says.

        Args:
            first_epochs: of the first network before its branch.
        """
        return [(Rung(1, first_epochs),), *[(Rung(2, 0),)] * len(self.above), (Rung(1, 0),)]

    def is_branch(self, key: TrainingKey) -> bool:
        """Whether a training finishes a network, and is none of the trunk."""
        return key.child == BRANCH or key.step == len(self.above) + 1

    def target(self, step: int) -> int:
        """The parameters that the trunk grows to in a step."""
        return self.above[step - 1]

    def share(self, key: TrainingKey) -> float:
        """The share of a training in what is left of the budget at the begin of its step; of one after the first network's."""
        trunk, branches = self._parts()
        return (branches if self.is_branch(key) else trunk)[key.step - 1] / self._left(key.step)

    def share_of_size(self, step: int) -> float:
        """The share of the trunk of a step and of its branch in what is left of the budget at the begin of the step."""
        trunk, branches = self._parts()
        return (trunk[step - 1] + branches[step]) / self._left(step)

    def share_below(self, size: int) -> float:
        """The share of a size below the first network's in what the search leaves of the budget."""
        return (1 - TRUNK_SHARE) * _life(size) / self._below()

    def _parts(self) -> tuple[list[float], list[float]]:
        """What the trunk and the branch of each step need, in one unit."""
        lives = [_life(size) for size in (self.first, *self.above)]
        trunk = [TRUNK_SHARE * (after - before) for before, after in zip(lives, lives[1:], strict=False)]
        return trunk, [(1 - TRUNK_SHARE) * life for life in lives]

    def _left(self, step: int) -> float:
        """What the trainings of a step and after it need, in the same unit."""
        trunk, branches = self._parts()
        return fsum((*trunk[step - 1 :], *branches[step - 1 :], self._below()))

    def _below(self) -> float:
        return (1 - TRUNK_SHARE) * fsum(map(_life, self.below))


def front(first: int | None, wanted: Sequence[int], doublings: int, max_params: float) -> Front:
    """The sizes of a front.

    Args:
        first: parameters of the first network; None before it is known, where only the number of steps can be told.
        wanted: the sizes that are asked for; one that the network of another size is of is left out. None for twice, four times, ... as
            many parameters as the first network's.
        doublings: how many, where no sizes are asked for.
        max_params: limit on parameters, of frozen layers too.
    """
    own = first or 1
    sizes = sorted({int(size) for size in wanted}) or [own * 2**power for power in range(1, doublings + 1)]
    above: list[int] = []
    for size in sizes:
        if (above or [own])[-1] < ENOUGH * size and size <= max_params:
            above.append(size)
    return Front(own, tuple(above), tuple(size for size in reversed(sizes) if size < own))


def _life(size: int) -> float:
    """What all of a network's training should cost, in one unit for all sizes."""
    return size ** (1 / 3)
