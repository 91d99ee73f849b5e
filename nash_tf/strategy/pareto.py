"""The front of a set of networks: those of which none is both better and cheaper (Pareto)."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

_T = TypeVar("_T")


class Point(NamedTuple):
    """A network as it is compared.

    Attributes:
        score: larger is better.
        costs: smaller is better; parameters, operations, milliseconds, in one order for all.
    """

    score: float
    costs: tuple[float, ...]


def dominates(one: Point, two: Point) -> bool:
    """Whether the first is as good as the second in everything, and better in something."""
    pairs = [(one.score, two.score), *((b, a) for a, b in zip(one.costs, two.costs, strict=True))]
    return all(first >= second for first, second in pairs) and any(first > second for first, second in pairs)


def undominated(items: Iterable[_T], point: Callable[[_T], Point]) -> list[_T]:
    """The items that no other dominates, the cheapest by the first cost first; of equal ones the first that was given.

    Args:
        items: any.
        point: item -> how it is compared.
    """
    found: list[tuple[Point, _T]] = []
    for item in items:
        new = point(item)
        if any(new == old or dominates(old, new) for old, _ in found):
            continue
        found = [(old, each) for old, each in found if not dominates(new, old)]
        found.append((new, item))
    return [item for _, item in sorted(found, key=lambda pair: (pair[0].costs, -pair[0].score))]


def best_within(items: Iterable[_T], point: Callable[[_T], Point], most: Sequence[float | None]) -> _T | None:
    """The item with the best score whose costs are all within limits; of equals the cheapest, None where none is.

    Args:
        items: any.
        point: item -> how it is compared.
        most: a limit for each cost; None for no limit.
    """

    fitting = within(items, point, most)
    if not fitting:
        return None
    return min(fitting, key=lambda item: (-point(item).score, point(item).costs))


def within(items: Iterable[_T], point: Callable[[_T], Point], most: Sequence[float | None]) -> list[_T]:
    """The items whose costs are all within limits; see `best_within`."""
    return [
        item
        for item in items
        if all(limit is None or cost <= limit for cost, limit in zip(point(item).costs, most, strict=True))
    ]
