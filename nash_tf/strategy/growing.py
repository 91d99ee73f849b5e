"""Which morphisms a network grows by: those that are expected to lower the loss by more than the slower training costs.

A pure function of the parent's architecture, the gains expected of operators, and the limits.

A morphism is worth g - s log(p' / p): its gain g, against what the same training time yields at a higher price p' of an epoch.
The gain is that of its operator times a measure of the parameters that it adds, and less for each other morphism of the same growth.
Where nothing is worth more than 0, the network does not grow.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nash_tf.architecture import Architecture, Shape
from nash_tf.morphisms import registry
from nash_tf.morphisms.base import Move, Site
from nash_tf.seeds import derive

# Decrease of the loss as the training time grows by a factor of e. This, the operators' gains (`nash_tf.strategy.methods.GROW`)
# and the factors below are set by hand after a study on CIFAR-10 (BUILD_NOTES.md, "The search that grows").
SLOPE = 0.022
UNKNOWN = 0.0015  # gain of an operator of the user's own
FURTHER = 0.6  # factor of a gain for each earlier morphism of the same growth
SAME_SIZE = 0.5  # and for each of them on images of the same height and width
EPOCHS_TO_LEARN = 8.0  # a gain has come to half of what it will be after so many epochs

Price = Callable[[Architecture], float]


@dataclass(frozen=True)
class Growth:
    """A morphism that may be taken.

    Attributes:
        move: the morphism.
        child: the architecture that it makes.
        worth: expected decrease of the loss at the end of the budget, the slower training taken off.
    """

    move: Move
    child: Architecture
    worth: float


def choose(
    parent: Architecture,
    gains: Mapping[str, float],
    price: Price,
    most: int,
    max_price: float,
    max_params: float,
    epochs: float,
    seed: int,
) -> tuple[Architecture, tuple[Move, ...], float]:
    """Takes morphisms one after the other, each time the one that is worth most.

    Args:
        parent: the parent's architecture.
        gains: operator name -> decrease of the loss that it is expected to bring for each unit of `added_size`.
        price: what an epoch of a network costs.
        most: largest number of morphisms.
        max_price, max_params: limits on the child.
        epochs: that the parent could be trained for in the time that is left.
        seed: of the morphisms' initial values.

    Returns:
        The child, its morphisms, and what they are worth together; the parent and none where nothing is worth it.
    """
    child, moves, sizes, worth = parent, list[Move](), list[Shape](), 0.0
    learnt = epochs / (epochs + EPOCHS_TO_LEARN)
    for number in range(most):
        found = _growths(child, gains, price, max_price, max_params, sizes, learnt, derive(seed, number))
        best = max(found, key=lambda growth: growth.worth, default=None)  # of equals the first, in canonical order
        if best is None or best.worth <= 0:
            break
        sizes.append(_size(child, best.move.site))
        moves.append(best.move)
        child, worth = best.child, worth + best.worth
    return child, tuple(moves), round(worth, 6)


def added_size(parent: Architecture, child: Architecture) -> float:
    """What a gain grows with: the logarithm of the share of parameters that are new, and less where they are very many."""
    share = (child.params - parent.params) / parent.params
    return math.log2(1 + 100 * share) / (1 + share)


def _growths(
    parent: Architecture,
    gains: Mapping[str, float],
    price: Price,
    max_price: float,
    max_params: float,
    sizes: Sequence[Shape],
    learnt: float,
    seed: int,
) -> list[Growth]:
    found, before = [], price(parent)
    for name, gain in gains.items():
        for site in registry[name].sites(parent) if gain > 0 else ():
            child, _ = registry[name].apply(parent, site)
            after = price(child)
            if child.params > max_params or after > max_price:
                continue
            met = sizes.count(_size(parent, site))
            expected = gain * added_size(parent, child) * learnt * FURTHER ** len(sizes) * SAME_SIZE**met
            found.append(Growth(Move(name, site, seed), child, expected - SLOPE * math.log(max(after / before, 1.0))))
    return found


def _size(architecture: Architecture, site: Site) -> Shape:
    """Height and width of the image that a morphism is at."""
    name = site[0]
    return architecture[name].shape[:-1] if isinstance(name, str) and name in architecture else ()
