"""What trainings take, and what their epochs do, that in which a step is traced counted without the tracing."""

import time


def now() -> tuple[float, float]:
    """Seconds and CPU seconds, growing."""
    return time.monotonic(), time.process_time()


def since(began: tuple[float, float]) -> tuple[float, float]:
    """Seconds and CPU seconds that have passed since then."""
    seconds, cpu_seconds = now()
    return seconds - began[0], cpu_seconds - began[1]


class Stopwatch:
    """Counts what a training takes.

    Attributes:
        began: when it began, or went on, as `now` gives it.
        before: seconds and CPU seconds that it had taken before an interruption.
    """

    def __init__(self) -> None:
        self.began, self.before = now(), (0.0, 0.0)

    def taken(self) -> tuple[float, float]:
        """Seconds and CPU seconds by now, before an interruption too."""
        seconds, cpu_seconds = since(self.began)
        return round(self.before[0] + seconds, 3), round(self.before[1] + cpu_seconds, 3)


class Pace:
    """Is told of the epochs and batches of a training as they go on. What is done between two epochs counts for the second."""

    def __init__(self) -> None:
        self._epochs: list[tuple[float, float]] = []  # seconds and CPU seconds
        self._is_traced = False  # whether the one epoch that is known is one in which the step was traced
        self._began: tuple[float, float] | None = None  # of the epoch
        self._first: tuple[int, tuple[float, float]] | None = None  # the batch that the first call ended with, and when

    def begins(self) -> None:
        """An epoch begins."""
        self._began = self._began or now()

    def batch_ended(self, batch: int) -> None:
        """A batch of it has ended, or several in one call, of which this is the last."""
        self._first = self._first or (batch, now())

    def ended(self, steps: int) -> tuple[float, float]:
        """An epoch of so many batches has ended; what it took, with all tracing. It counts only where `keep` follows."""
        self._taken, self._untraced = since(self._began or now()), self._without_tracing(steps)
        self._began = now()
        return self._taken

    def keep(self) -> None:
        """Has the epoch that has ended last count."""
        if self._is_traced:
            self._epochs.clear()
        self._is_traced = not self._epochs and self._untraced is None
        self._epochs.append(self._taken if self._epochs else self._untraced or self._taken)

    @property
    def is_known(self) -> bool:
        """Whether an epoch is known without tracing."""
        return bool(self._epochs) and not self._is_traced

    def recent(self) -> tuple[float, float]:
        """Seconds and CPU seconds of the epochs that tell how fast the machine is now; one at least has ended."""
        recent = self._epochs[-max(3, len(self._epochs) // 2) :]
        seconds, cpu_seconds = (sum(part) / len(recent) for part in zip(*recent, strict=True))
        return seconds, cpu_seconds

    def _without_tracing(self, steps: int) -> tuple[float, float] | None:
        """What this epoch takes without tracing, by its steps after the first call; None where there are none."""
        if self._first is None or steps - 1 <= self._first[0]:
            return None
        share = steps / (steps - 1 - self._first[0])
        seconds, cpu = since(self._first[1])
        return seconds * share, cpu * share
