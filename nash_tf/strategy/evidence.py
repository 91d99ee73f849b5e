"""What earlier runs say of the gains that `grow` expects: by how much these are to be multiplied.

A run whose first network was trained alone for as long, its control, shows what growing has brought: the loss of the control less that
of the winner. That should be the gain times a factor, less the cost. The factor is taken to be normally distributed, about 1 before
anything was seen; the measured losses have a normal error; so its expectation given the runs is a weighted mean (Bishop, Pattern
Recognition and Machine Learning, 2006, section 3.3). Runs that hardly grew, and so measured little, hardly move it.
"""

from collections.abc import Iterable
from typing import NamedTuple

from nash_tf.strategy.growing import excess

DEVIATION = 0.5  # standard deviation of the factor over data sets, before anything was seen
ERROR = 0.015  # standard deviation of a difference of two losses: over seeds it was 0.006 to 0.011 a network


class Evidence(NamedTuple):
    """What one run says, in units of the loss.

    Attributes:
        gain: that was expected of its morphisms, for as many epochs.
        cost: that was expected of them, since there are fewer epochs.
        brought: by how much its winner's loss was below that of the control.
    """

    gain: float
    cost: float
    brought: float


def gain_factor(runs: Iterable[Evidence]) -> float:
    """By how much expected gains are to be multiplied; 1 without runs, never below 0."""
    weight = weighted = 1 / DEVIATION**2
    for run in runs:
        weight += run.gain**2 / ERROR**2
        weighted += run.gain * (run.brought + run.cost) / ERROR**2
    return max(0.0, weighted / weight)


def missing(epochs: float, share: float) -> float:
    """By how much the loss of a control would be lower with as much compute as the search.

    Args:
        epochs: of the control, times `nash_tf.strategy.growing.weight`.
        share: its compute, as a share of the search's.
    """
    return excess(epochs) - excess(epochs / share)
