"""The statistics of the tables: mean and deviation, paired tests, Pareto front. Pure Python."""

import math
import random
from collections.abc import Sequence
from statistics import mean, stdev
from typing import NamedTuple

EXACT_UP_TO = 16  # pairs; beyond, sign flips are drawn
_DRAWS = 20_000
_OF_FLOATS = 1e-12  # by how much a difference of two floats is off, here, that are not rounded


class Summary(NamedTuple):
    """Mean, sample standard deviation (None for one value), least and largest."""

    number: int
    mean: float
    deviation: float | None
    least: float
    largest: float


def summary(values: Sequence[float]) -> Summary | None:
    """The summary of some values; None where there are none."""
    if not values:
        return None
    return Summary(len(values), mean(values), stdev(values) if len(values) > 1 else None, min(values), max(values))


def sign_flip_p(differences: Sequence[float], rounding: float = _OF_FLOATS) -> float:
    """Two-sided paired permutation test of a mean of zero: each difference may as well have had the other sign.

    All 2^n sign patterns count up to `EXACT_UP_TO` pairs, beyond that drawn ones (with a fixed seed) and the one seen.

    Args:
        differences: of pairs.
        rounding: by how much each may be off at most; sums that may be equal without it count as equal.
    """
    seen = abs(sum(differences)) - 2 * rounding * len(differences)  # two sums are compared
    if len(differences) <= EXACT_UP_TO:
        sums = [0.0]
        for difference in differences:
            sums = [total + signed for total in sums for signed in (difference, -difference)]
        return sum(abs(total) >= seen for total in sums) / len(sums)
    draw = random.Random(0)
    hits = sum(
        abs(sum(difference if draw.random() < 0.5 else -difference for difference in differences)) >= seen
        for _ in range(_DRAWS)
    )
    return (hits + 1) / (_DRAWS + 1)


def t_interval(differences: Sequence[float]) -> tuple[float, float] | None:
    """Student's 95% confidence interval of a mean; None for fewer than two values."""
    if len(differences) < 2:
        return None
    half = t_quantile(0.975, len(differences) - 1) * stdev(differences) / math.sqrt(len(differences))
    return (mean(differences) - half, mean(differences) + half)


def t_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t distribution, `probability` from 0.5 to below 1, by bisection over Simpson's rule."""
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    low, high = 0.0, math.pi / 2  # t = sqrt(freedom) * tan(angle): a smooth integrand on a bounded interval

    def area(angle: float) -> float:
        steps = 200
        heights = [math.cos(angle * index / steps) ** (freedom - 1) for index in range(steps + 1)]
        weighted = heights[0] + heights[-1] + 4 * sum(heights[1:-1:2]) + 2 * sum(heights[2:-1:2])
        return scale * math.sqrt(freedom) * weighted * angle / steps / 3

    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if area(middle) < probability - 0.5 else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction of p values for testing several hypotheses (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the (cost, gain) that no other beats: none costs as little and gains more. In order of cost."""
    front, best = [], -math.inf
    for index in sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1], index)):
        if points[index][1] > best:
            front.append(index)
            best = points[index][1]
    return front
