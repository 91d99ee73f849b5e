"""Draws random moves for a child, and replays them."""

import math
from collections.abc import Iterable, Mapping

import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.architecture.costs import flops
from nash_tf.morphisms import known
from nash_tf.morphisms.base import Morphism, Move, Origin
from nash_tf.morphisms.weight_transfer import WeightTransfer
from nash_tf.seeds import derive


def draw(
    parent: Architecture,
    count: int,
    operators: Mapping[str, float],
    max_params: float,
    seed: int,
    variants: Mapping[str, Morphism] | None = None,
    max_flops: float = math.inf,
) -> tuple[Architecture, tuple[Move, ...]]:
    """Draws `count` random moves in a row, or fewer where no further move is possible under the limit.

    Args:
        parent: the parent's architecture.
        count: number of moves.
        operators: operator name -> relative frequency; a reduction is drawn only if it is among them. An operator without a site is dropped from the draw.
        max_params: maximum number of parameters, of frozen layers too; a move that would exceed it is not drawn.
        seed: seed of all random draws.
        variants: by name, operators that are used in place of the registered ones. Each of their sites must be a site
            of the registered operator too, because `replay` applies that one.
        max_flops: maximum number of floating-point operations of one example; a move that would exceed it is not drawn.

    Returns:
        The child's architecture, and the moves.
    """
    rng = np.random.default_rng(seed)
    by_name = {**known(), **(variants or {})}
    child, moves = parent, []
    for number in range(count):
        drawn = _draw_one(child, by_name, operators, (max_params, max_flops), derive(seed, number), rng)
        if drawn is None:
            break
        child, move = drawn
        moves.append(move)
    return child, tuple(moves)


def replay(parent: Architecture, moves: Iterable[Move]) -> tuple[Architecture, list[tuple[WeightTransfer, int]]]:
    """Applies moves one after the other. No limit on channels holds: it held, where there was one, when they were drawn. Which filters go
    makes no difference to the architecture; where a site leaves that open, the transfer is for the last.

    Args:
        parent: the parent's architecture.
        moves: the moves, the first of them for `parent`.

    Returns:
        The child's architecture, and of each move its weight transfer and its seed, in order.

    Raises:
        ValueError: a move's site is not a site of the architecture it is applied to.
    """
    transfers = []
    for operator, site, seed in moves:
        parent, transfer = known()[operator].limited_to(math.inf).apply(parent, tuple(site))
        transfers.append((transfer, seed))
    return parent, transfers


def _draw_one(
    parent: Architecture,
    by_name: Mapping[str, Morphism],
    operators: Mapping[str, float],
    most: tuple[float, float],
    seed: int,
    rng: np.random.Generator,
) -> tuple[Architecture, Move] | None:
    """A child and its move; None where no operator has a site under the limits on parameters and operations."""
    names = sorted(operators)
    frequencies = np.array([operators[name] for name in names], float)
    order = rng.choice(names, size=np.count_nonzero(frequencies), replace=False, p=frequencies / frequencies.sum())
    for name in map(str, order):
        sites = by_name[name].sites(parent)
        for place in rng.permutation(len(sites)):
            if parent.params + by_name[name].added_params(parent, sites[place]) > most[0]:
                continue
            child, _ = by_name[name].apply(parent, sites[place], Origin.FOUND)
            if most[1] == math.inf or (flops(child) or 0) <= most[1]:
                return child, Move(name, sites[place], seed)
    return None
