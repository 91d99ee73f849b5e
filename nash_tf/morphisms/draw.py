"""Random morphisms for a child, and their replay."""

from collections.abc import Iterable, Mapping

import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.morphisms import registry
from nash_tf.morphisms.base import Morphism, Move
from nash_tf.morphisms.edit import Edit
from nash_tf.seeds import derive


def draw(
    parent: Architecture,
    count: int,
    operators: Mapping[str, float],
    max_params: float,
    seed: int,
    variants: Mapping[str, Morphism] | None = None,
) -> tuple[Architecture, tuple[Move, ...]]:
    """A child by `count` random morphisms, or by fewer where no more can be made under the limit.

    Args:
        parent: the parent's architecture.
        count: how many morphisms in a row.
        operators: operator name -> relative frequency. One with no place to apply is dropped from the draw.
        max_params: limit on trained parameters; a morphism that would pass it is not drawn.
        seed: of all draws.
        variants: operators by name that are drawn from in place of the registry's; each site of one must be a site of the other,
            which `replay` applies.

    Returns:
        The child's architecture and its morphisms as plain data.
    """
    rng = np.random.default_rng(seed)
    known = {**registry, **(variants or {})}
    child, moves = parent, []
    for number in range(count):
        drawn = _draw_one(child, known, operators, max_params, derive(seed, number), rng)
        if drawn is None:
            break
        child, move = drawn
        moves.append(move)
    return child, tuple(moves)


def replay(parent: Architecture, moves: Iterable[Move]) -> tuple[Architecture, list[tuple[Edit, int]]]:
    """The child that `moves` make of `parent`, with each edit and its seed, in order."""
    edits = []
    for operator, site, seed in moves:
        parent, edit = registry[operator].apply(parent, tuple(site))
        edits.append((edit, seed))
    return parent, edits


def _draw_one(parent, known, operators, max_params, seed, rng):
    names = sorted(operators)
    frequencies = np.array([operators[name] for name in names], float)
    order = rng.choice(names, size=np.count_nonzero(frequencies), replace=False, p=frequencies / frequencies.sum())
    for name in map(str, order):
        sites = known[name].sites(parent)
        for place in rng.permutation(len(sites)):
            child, _ = known[name].apply(parent, sites[place])
            if child.params <= max_params:
                return child, Move(name, sites[place], seed)
    return None
