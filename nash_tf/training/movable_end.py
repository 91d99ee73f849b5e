"""The end of a training that a limit on time moves: what cannot end in time has as many epochs as do, in place of being lost."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from nash_tf.callbacks import PhasedRate
from nash_tf.strategy.epochs_in_time import replanned
from nash_tf.strategy.records import Assignment
from nash_tf.strategy.schedules import Timeline, averaged_from
from nash_tf.training.pace import Pace, since
from nash_tf.training.watching import Limits, Watch
from nash_tf.training.weight_average import WeightAverage


class Moved(NamedTuple):
    """Where the end of a training has been moved to.

    Attributes:
        start, last: epochs at which its phases begin, a part of one perhaps, and end.
        rates: shares of the initial rate where each of its epochs has begun.
    """

    start: float
    last: int
    rates: Sequence[float] = ()


class MovableEnd(Watch):
    """Ends a training in time. Where its epochs do not fit, by the pace of those so far, rate and average come to their ends with the last
    that does. Where time is over all the same it ends where it is, if an epoch's batches are done, or it has begun with a trained
    network.

    Args:
        limits: on the training, with what it may take where it is made shorter, as it may be.
        began: as of `Watch`.
        assignment: what is to be done.
        rate: sets the learning rate; None where the user does.
        average: of the weights; None where there is none.
        epoch, moved: how far the training has come and where its end has been moved to, where it goes on after an interruption.

    Raises:
        OutOfTime: the time is over, and there is nothing to end with; or the training does not stop when it is told to.
    """

    def __init__(
        self,
        limits: Limits,
        began: tuple[float, float],
        assignment: Assignment,
        rate: PhasedRate | None,
        average: WeightAverage | None,
        epoch: int,
        moved: Moved | None = None,
    ):
        super().__init__(limits, began)
        self._wanted, self._rate, self._average, self._pace = assignment.epochs, rate, average, Pace()
        self._first, self._is_trained = assignment.initial_epoch, assignment.source is not None
        self._epoch, self._done = epoch, epoch - assignment.initial_epoch
        self._line, self._last, self._rates = Timeline(0.0, assignment.phases), assignment.epochs, list[float]()
        self._averaged_from, self._is_told = float(averaged_from(assignment.phases) or 0), False
        if moved:
            self._rates = list(moved.rates)
            self._move(Timeline(0.0, assignment.phases).between(moved.start, moved.last), moved.last)

    @property
    def moved(self) -> Moved | None:
        """Where the end is now; None where it has not been moved."""
        is_moved = self._last != self._wanted or self._line.start
        return Moved(self._line.start, self._last, tuple(self._rates)) if is_moved else None

    def told(self, done: int) -> dict[str, Any]:
        """What an outcome says of a training that has ended after so many epochs; nothing where its end was not moved."""
        if self.moved is None:
            return {}
        rates = [*self._rates, self._line.at(self._first + done)]
        is_known = self._rate is not None and len(rates) == done + 1
        rate = tuple(round(rate, 6) for rate in rates) if is_known else ()
        return {"is_shortened": self._first + done < self._wanted, "rate": rate}

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self._rates = [*self._rates[: epoch - self._first], self._line.at(epoch)]
        self._pace.begins()

    def on_train_batch_end(self, batch, logs=None):
        self._pace.batch_ended(batch)
        super().on_train_batch_end(batch, logs)

    def time_is_up(self) -> None:
        if self._is_told or not (self._done or self._is_trained or self.has_all_batches):
            super().time_is_up()
        self._end(self._epoch + 1)

    def on_epoch_end(self, epoch, logs=None):
        self._done = epoch + 1 - self._first
        self._pace.ended((self.params or {}).get("steps") or 1)
        self._pace.keep()
        if epoch + 1 < self._last and self._pace.is_known and not self.model.stop_training:
            self._plan(epoch + 1)
        if epoch + 1 >= self._last and self._last < self._wanted:
            self._end(epoch + 1)

    def _plan(self, epoch: int) -> None:
        """Moves the end to where time allows; small differences are noise and change nothing."""
        assert self._limits.shortened is not None
        times = zip(self._limits.shortened, since(self._began), self._pace.recent(), strict=True)
        last = min(
            replanned(epoch, self._wanted, self._last, most - taken, max(pace, 1e-6)) for most, taken, pace in times
        )
        if last > epoch and last != self._last:
            self._move(self._line.ending(epoch, last), last)
        self._last = last

    def _move(self, line: Timeline, last: int) -> None:
        """Has phases and average follow another line."""
        pace = (line.end - line.start) / (self._line.end - self._line.start)
        self._averaged_from = line.start + (self._averaged_from - self._line.start) * pace
        self._line, self._last = line, last
        if self._rate:
            self._rate.first_epoch, self._rate.phases = line
        if self._average:
            self._average.last_epoch = last
            if not self._average.count:
                self._average.first_epoch = math.ceil(self._averaged_from - 1e-6)

    def _end(self, last: int) -> None:
        self._last, self._is_told = last, True
        self.model.stop_training = True
        if self._average:
            self._average.last_epoch = last
