"""Learning rates as closed forms of the training step.

Loshchilov and Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm Restarts", arXiv 1608.03983, equation 5.
"""

import math
from collections.abc import Sequence


def cosine_annealing(step: float, total_steps: float, initial_rate: float) -> float:
    """Half a cosine from `initial_rate` at step 0 to 0 at `total_steps`, and 0 from there on.

    Args:
        step: training step (batch) counted from 0.
        total_steps: length of the annealing, in the same unit.
        initial_rate: rate at step 0.
    """
    progress = min(step / total_steps, 1.0)
    return initial_rate * 0.5 * (1.0 + math.cos(math.pi * progress))


def sgdr(step: float, periods: Sequence[float], initial_rate: float) -> float:
    """Cosine annealing restarted at `initial_rate` at the start of each of `periods`; 0 after the last.

    Args:
        step: training step counted from 0.
        periods: length of each annealing, in steps.
        initial_rate: rate at every restart.
    """
    start = 0.0
    for period in periods:
        if step < start + period:
            return cosine_annealing(step - start, period, initial_rate)
        start += period
    return 0.0


def one_cosine(rungs: Sequence[int]) -> tuple[int, ...]:
    """Annealing periods of a child's life, in epochs: a single cosine over all its rungs."""
    return (sum(rungs),)


def restart_every_rung(rungs: Sequence[int]) -> tuple[int, ...]:
    """Annealing periods of a child's life, in epochs: a restart at each rung."""
    return tuple(rungs)
