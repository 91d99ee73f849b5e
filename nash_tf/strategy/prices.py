"""What trainings cost, predicted, in epochs of the first network."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from math import fsum

from nash_tf.architecture import Architecture
from nash_tf.architecture.costs import SECONDS_PER_TRAINING, epoch_seconds
from nash_tf.strategy.records import Outcome

OVERRUN = 1.05  # share of a budget from which it is said that it was not kept


@dataclass(frozen=True)
class Prices:
    """The prices of a search.

    Attributes:
        first: the first network.
        examples: that an epoch has; None where that is not known: then operations and bytes alone count.
        batch_size: examples of a training step; None where that is not known: then what a step costs whatever its network is left out.
    """

    first: Architecture
    examples: int | None = None
    batch_size: int | None = None
    _unit: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_unit", self._seconds(self.first))

    def epoch(self, architecture: Architecture) -> float:
        """Of an epoch of a network."""
        return self._seconds(architecture) / self._unit

    @property
    def beginning(self) -> float:
        """Of a training whatever its epochs: its network is built, traced and kept."""
        return SECONDS_PER_TRAINING / self._unit if self.examples and self.batch_size else 0.0

    def spent(self, trainings: Iterable[Outcome]) -> float:
        """Of trainings together; the failed cost nothing."""
        return fsum(
            self.beginning + training.epochs_done * self.epoch(training.architecture)
            for training in trainings
            if training.architecture is not None
        )

    def _seconds(self, architecture: Architecture) -> float:
        return epoch_seconds(architecture, self.examples or 1, self.batch_size if self.examples else None)


def kept(budget: float | None, spent: float, trainings: Collection[Outcome]) -> str:
    """What there is to say of how a budget was kept; "" where it was.

    Args:
        budget: in epochs of the first network; None where it is a limit on time.
        spent: of it.
        trainings: all of the search.
    """
    if budget is not None and spent > OVERRUN * budget:
        return (
            f"; they took {spent:.4g} epochs of the first network, and the budget was {budget:.4g}: each of the {len(trainings)} trainings "
            f"has at least one epoch, and costs something whatever its epochs"
        )
    if not (stopped := sum(training.is_stopped for training in trainings)):
        return ""
    took = "" if budget is None else f": they took {spent:.4g} of {budget:.4g} epochs of the first network"
    return f"; {stopped} of its {len(trainings)} trainings ended before their last epoch{took}"
