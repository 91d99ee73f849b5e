"""What a restart of the learning rate costs in validation accuracy, and whether it is won back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nash_tf.records.runs import Place, Record
from nash_tf.report.analysis.family import Child
from nash_tf.strategy.schedules import Phase, periods

_DIGITS = 5  # of the accuracies in a history


@dataclass(frozen=True)
class Drop:
    """One child at one restart.

    Attributes:
        epoch: epochs of its life before the restart; 0 is its birth.
        before: accuracy at the end of the epoch before it (at birth, the parent's).
        after: accuracy at the end of the first epoch after it.
        won_back: epochs from the restart until the accuracy before it is reached again in the same annealing; None if
            it is not.
        lived: whether it lived through the whole annealing.
    """

    step: int
    child: int
    epoch: int
    before: float
    after: float
    won_back: int | None
    lived: bool

    @property
    def fell(self) -> bool:
        return self.after < self.before


def life(child: Child, records: Mapping[Place, Record]) -> dict[int, float]:
    """Epoch since birth -> validation accuracy; at 0, where it is known, the parent's."""
    series = dict(child.series("val_accuracy"))
    parent = records.get(child.parent) if child.parent else None
    if parent and parent.accuracy is not None:
        series[0] = round(parent.accuracy, _DIGITS)
    return series


def drops(
    children: Sequence[Child], records: Mapping[Place, Record], phases: Mapping[int, Sequence[Phase]]
) -> list[Drop]:
    """All drops at birth and at restarts.

    Args:
        children: of all steps.
        records: of all trainings.
        phases: step -> the phases of its rate.
    """
    found = []
    lengths = {step: periods(of_step) for step, of_step in phases.items()}
    for child in children:
        series = life(child, records)
        start = 0
        for length in lengths.get(child.step, ()):
            if start in series and start + 1 in series and child.step > 0:
                before = series[start]
                later = (at - start for at in sorted(series) if start < at <= start + length and series[at] >= before)
                back, lived = next(later, None), start + length in series
                found.append(Drop(child.step, child.number, start, before, series[start + 1], back, lived))
            start += length
    return found
