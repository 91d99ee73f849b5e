"""Successive halving: how many children are trained for how long, and who is promoted.

Jamieson and Talwalkar 2016, arXiv 1502.07943. Every rung costs the same number of epochs: half the children, twice as long.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Rung(NamedTuple):
    """One rung of a step: so many children, each trained for so many epochs more."""

    children: int
    epochs: int


def one_rung(children: int, epochs: int) -> tuple[Rung, ...]:
    """Splits a step's budget of `epochs` evenly over `children`, with no halving (8 x 20 = 160).

    Raises:
        ValueError: the budget is not a positive multiple of `children`; the message gives the nearest that is.
    """
    _require_children(children, children >= 2, "a whole number of at least 2", 2)
    _require_budget(epochs, unit=children, layout=f"{children} children in one rung")
    return (Rung(children, epochs // children),)


def successive_halving(children: int, epochs: int) -> tuple[Rung, ...]:
    """Halves the children and doubles the epochs until one child is left (8x5 + 4x10 + 2x20 + 1x40 = 160).

    Raises:
        ValueError: `children` is not a power of two, or the budget of `epochs` does not come out even; the message gives
            the nearest value that does.
    """
    nearest = min((2**power for power in range(1, 31)), key=lambda candidate: abs(candidate - children))
    _require_children(children, children >= 2 and children & (children - 1) == 0, "a power of two", nearest)
    rungs = children.bit_length()
    _require_budget(epochs, unit=children * rungs, layout=f"{children} children in {rungs} rungs of equal cost")
    first = epochs // (children * rungs)
    return tuple(Rung(children >> rung, first << rung) for rung in range(rungs))


def two_rungs(children: int, epochs: int) -> tuple[Rung, ...]:
    """The first two rungs of successive halving with all of the budget: a longer first one (8x10 + 4x20 = 160).

    Raises:
        ValueError: `children` is not even, or the budget does not come out even; the message gives the nearest value that does.
    """
    _require_children(children, children >= 2 and children % 2 == 0, "an even number", max(2, children + children % 2))
    _require_budget(epochs, unit=2 * children, layout=f"{children} children in 2 rungs of equal cost")
    first = epochs // (2 * children)
    return (Rung(children, first), Rung(children // 2, 2 * first))


def one_child(children: int, epochs: int) -> tuple[Rung, ...]:
    """One child has the whole budget; `children` does not matter."""
    return (Rung(1, epochs),)


def one_epoch(children: int, epochs: int) -> tuple[Rung, ...]:
    """One epoch for each child, all the rest of the budget for the best (8x1 + 1x152 = 160).

    Raises:
        ValueError: fewer than 2 children, or no epoch is left for the best.
    """
    _require_children(children, children >= 2, "a whole number of at least 2", 2)
    if epochs <= children:
        raise ValueError(
            f"epochs_per_step must be more than the {children} children's first epochs, received {epochs}; the nearest is "
            f"{children + 1}"
        )
    return (Rung(children, 1), Rung(1, epochs - children))


def promote(scores: Mapping[int, float | None], count: int) -> tuple[int, ...]:
    """Chooses the `count` best children of a closed rung.

    Args:
        scores: score of each child by its index, larger is better; None for a failed child.
        count: how many places the next rung has.

    Returns:
        The promoted children in ascending order, fewer than `count` where too many failed. Ties go to the lower index.
    """
    finished = {child: score for child, score in scores.items() if score is not None}
    return tuple(sorted(sorted(finished, key=lambda child: (-finished[child], child))[:count]))


def promote_ties(scores: Mapping[int, float | None], count: int) -> tuple[int, ...]:
    """As `promote`, and with them all children whose score equals that of the last one promoted."""
    chosen = promote(scores, count)
    if not chosen:
        return ()
    last = min(score for child, score in scores.items() if child in chosen and score is not None)
    return tuple(sorted(child for child, score in scores.items() if score is not None and score >= last))


def _require_children(children: int, holds: bool, rule: str, nearest: int) -> None:
    if not holds:
        raise ValueError(f"children must be {rule}, received {children}; the nearest is {nearest}")


def _require_budget(epochs: int, unit: int, layout: str) -> None:
    if epochs < unit or epochs % unit:
        nearest = max(1, round(epochs / unit)) * unit
        raise ValueError(
            f"epochs_per_step must be a positive multiple of {unit} for {layout}, received {epochs}; the nearest is {nearest}"
        )
