"""What the morphisms that led to a run's winner were expected to bring, and what they have brought, measured against the control."""

from typing import NamedTuple

from nash_tf.morphisms import reductions
from nash_tf.records.runs import Record, Run, number
from nash_tf.scores import worth
from nash_tf.strategy import evidence
from nash_tf.strategy.growing import weight


class Brought(NamedTuple):
    """Losses on the validation images.

    Attributes:
        winner: of the search's winner.
        control: of the control, the first network trained alone.
        with_as_much: what the control would be expected to come to with as much compute as the search; None where it is not known how
            much it had, or where that was nothing.
        share: the control's CPU time as a share of the search's; None where it is not known.
    """

    winner: float
    control: float
    with_as_much: float | None
    share: float | None

    @property
    def loss(self) -> float:
        """By how much the winner's loss is below that of the control, as far as is known with as much compute."""
        return (self.control if self.with_as_much is None else self.with_as_much) - self.winner


def births(run: Run) -> list[Record]:
    """The births of the winner and of its forebears, the last first; those of networks that it does not descend from say nothing of it."""
    records, way = {record.place: record for record in run.records}, list[Record]()
    place = run.winner
    while place is not None and (record := records.pop(place, None)):
        way.append(record)
        place = record.parent
    return [record for record in way if not record.rung]


def expected(run: Run) -> tuple[float, float]:
    """Gain and cost that were expected of the morphisms that led to the winner, in units of the loss; gains as they are without the run's
    own factor."""
    factor = run.setting("gain_factor")
    factor = 1.0 if factor is None else factor
    taken = [each.best[0] for record in births(run) for each in record.considered[: len(record.moves)]]
    factors = [max(1.0, factor) if each.operator in reductions else factor for each in taken]
    gain = sum(each.gain / by for each, by in zip(taken, factors, strict=True) if by)
    return gain, sum(each.cost for each in taken)


def against_control(run: Run) -> Brought | None:
    """What the morphisms have brought; None where there is no control, or a loss is not known."""
    winner = run.winner_record.loss if run.winner_record else None
    loss, epochs, own, of_search = (
        number(run.control.get(name)) for name in ("val_loss", "epochs", "cpu_seconds", "search_cpu_seconds")
    )
    if winner is None or loss is None:
        return None
    share, images = worth.compute_share(own, of_search), run.result("train_images")
    if not epochs or not share or not images:
        return Brought(winner, loss, None, share)
    return Brought(winner, loss, loss - evidence.missing(epochs * weight(int(images)), share), share)
