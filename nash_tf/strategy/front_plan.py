"""The plan of the method `front`: which sizes it has, in which order they are trained, and how the budget is shared among them.

The first network grows to the largest size at once, for a network that grows late stays behind one that grew early (BUILD_NOTES.md,
"Averaged weights, a race, the pace of new parts, when to grow"), and is trained to its end. Then, size by size, the network before is cut
to the next smaller one: of each layer the same share of filters goes, those that matter least. What is left is trained to an end of its
own. So every network but the first begins with what a larger one has learnt. A first network that is larger than all sizes is cut at once.

The shares: a network of price p that has had the compute L is taken to have an excess of the loss of EXCESS sqrt(p / L)
(`nash_tf.strategy.growing`). The sum over all sizes is least where every L is in proportion to the cube root of p: a network of eight
times the price has twice the compute. Prices are taken to be in proportion to parameters. A network that was cut out of a larger one
needs less, CUT_SHARE of that, for its weights are a start.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nash_tf.strategy.course import AVERAGED, COOLDOWN
from nash_tf.strategy.halving import Rung
from nash_tf.strategy.schedules import Phase

CUT_SHARE = 0.7  # of the compute that a network would have that begins anew
CUT_RATE = 0.4  # share of the rate at which a network begins that was cut out of a larger one: a higher one undoes what that had learnt
ENOUGH = 0.9  # a network with this share of the parameters that were asked for is of that size


def phases(epochs: int, is_cut: bool, is_averaged: bool) -> tuple[Phase, ...]:
    """The rate of a training: constant, then falling to zero, at its end with averaged weights. That of a network that was cut out of a
    larger one falls from the beginning.

    Args:
        epochs: of the training.
        is_cut: whether the network was cut out of a larger one.
        is_averaged: whether it ends on the mean of its weights.
    """
    highest, constant = (CUT_RATE, 0) if is_cut else (1.0, min(epochs - 1, round(COOLDOWN * epochs)))
    falling = epochs - constant
    last = min(falling, max(1, round(AVERAGED * epochs))) if is_averaged else 0
    parts = (
        Phase(constant, highest, highest),
        Phase(falling - last, highest, highest * last / falling, "linear"),
        Phase(last, highest * last / falling, 0.0, "linear", is_averaged),
    )
    return tuple(part for part in parts if part.length)


@dataclass(frozen=True)
class Front:
    """The sizes of a front.

    Attributes:
        sizes: in parameters, of frozen layers too, in the order in which they are trained: descending.
    """

    sizes: tuple[int, ...]

    def steps(self, first_epochs: int) -> list[tuple[Rung, ...]]:
        """The rungs of each step: the first network, and a network of each size. How long they are, `share` says.

        Args:
            first_epochs: of the first network before it grows.
        """
        return [(Rung(1, first_epochs),), *[(Rung(1, 0),)] * len(self.sizes)]

    def size_of(self, params: int) -> int | None:
        """The size that a network is of, the smallest that it does not exceed; None where it is larger than all."""
        return min((size for size in self.sizes if size >= params), default=None)

    def share(self, params: int, is_cut: bool) -> float:
        """The share of a network in what is left of the budget before it, where those of its size and of the smaller ones are left.

        Args:
            params: of the network.
            is_cut: whether it was cut out of a larger one, as the smaller ones will be.
        """
        own, *smaller = (size ** (1 / 3) for size in self.sizes if size <= (self.size_of(params) or math.inf))
        own *= CUT_SHARE if is_cut else 1.0
        return own / (own + CUT_SHARE * math.fsum(smaller))


def front(first: int | None, wanted: Sequence[int], doublings: int, max_params: float) -> Front:
    """The sizes of a front.

    Args:
        first: parameters of the first network; None before it is known, where only the number of sizes can be told.
        wanted: the sizes that are asked for; one that a network of the next smaller size is of too is left out. None for those of the
            first network, twice, four times, ... as many.
        doublings: how many, where no sizes are asked for.
        max_params: limit on parameters, of frozen layers too.
    """
    own, sizes = first or 1, list[int]()
    for size in sorted({int(size) for size in wanted}) or [own * 2**power for power in range(doublings + 1)]:
        if size <= max_params and (not sizes or sizes[-1] < ENOUGH * size):
            sizes.append(size)
    return Front(tuple(reversed(sizes or [int(min(own, max_params))])))
