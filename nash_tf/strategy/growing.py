"""Which morphisms a network grows by: those that promise most for the compute that they add, several at once.

A pure function of the parent's architecture, the gains expected of its morphisms, and the limits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nash_tf.architecture import Architecture
from nash_tf.morphisms import registry
from nash_tf.morphisms.base import Move, Site
from nash_tf.seeds import derive

Gain = Callable[[str, Site], float]  # (operator, site) -> expected decrease of the loss, in any unit

BASE_PRICE = 0.05  # share of the parent's price that each morphism is charged, as if it added no less
REPEATED = 0.5  # factor of a gain for each earlier morphism at the same layer


@dataclass(frozen=True)
class Candidate:
    """A morphism that may be taken.

    Attributes:
        move: the morphism.
        child: the architecture that it makes.
        value: its expected gain for the compute that it adds.
    """

    move: Move
    child: Architecture
    value: float


def choose(
    parent: Architecture,
    operators: Mapping[str, float],
    gain: Gain,
    price: Callable[[Architecture], float],
    most: int,
    max_price: float,
    max_params: float,
    seed: int,
) -> tuple[Architecture, tuple[Move, ...]]:
    """Takes morphisms one after the other, each time the one of most value.

    Args:
        parent: the parent's architecture.
        operators: operator name -> what its gains are multiplied by.
        gain: expected gains.
        price: what an epoch of a network costs.
        most: largest number of morphisms.
        max_price, max_params: limits on the child.
        seed: of the morphisms' initial values.

    Returns:
        The child and its morphisms; the parent and none where nothing of positive gain fits.
    """
    child, moves = parent, list[Move]()
    for number in range(most):
        found = _candidates(child, operators, gain, price, max_price, max_params, tuple(moves), derive(seed, number))
        if not found:
            break
        best = max(found, key=lambda candidate: candidate.value)  # of equals the first, in canonical order
        child, moves = best.child, [*moves, best.move]
    return child, tuple(moves)


def _candidates(
    parent: Architecture,
    operators: Mapping[str, float],
    gain: Gain,
    price: Callable[[Architecture], float],
    max_price: float,
    max_params: float,
    taken: tuple[Move, ...],
    seed: int,
) -> list[Candidate]:
    found, before = [], price(parent)
    for name, weight in operators.items():
        for site in registry[name].sites(parent):
            expected = weight * gain(name, site) * REPEATED ** sum(_meet(site, move.site) for move in taken)
            if expected <= 0:
                continue
            child, _ = registry[name].apply(parent, site)
            if child.params > max_params or price(child) > max_price:
                continue
            added = max(price(child) - before, 0.0) / before + BASE_PRICE
            found.append(Candidate(Move(name, site, seed), child, expected / added))
    return found


def _meet(one: Site, other: Site) -> bool:
    """Whether two sites name a layer in common."""
    return any(isinstance(part, str) and part in other for part in one)
