"""Limits on the time of a search, over all processes that go on with it."""

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from nash_tf.strategy.records import Outcome

REACHED = "a limit on time was reached"  # begins what is said where one was


def wall_and_cpu_seconds() -> tuple[float, float]:
    """A monotonic clock, and user and system seconds of this process and of those that it has waited for."""
    times = os.times()
    return time.monotonic(), times.user + times.system + times.children_user + times.children_system


class HeldBack(Protocol):
    """What is held back of `max_hours`, in seconds."""

    def reserve(self) -> float:
        """For what follows the search."""

    def least_reserve(self) -> float:
        """That part of it which is held back from the search's last training, too, where that takes longer than was planned."""

    def first_reserve(self) -> float:
        """Beside `reserve`, of the first network's training, where that does not fit as it was planned and is made shorter."""


class NothingHeldBack:
    """Nothing is held back."""

    def reserve(self) -> float:
        return 0.0

    least_reserve = first_reserve = reserve


class TimeLimits:
    """Limits on wall-clock time, and on the CPU time of a search's trainings. Time counts from `begin` or `count_from` on.

    Args:
        max_hours: of wall-clock time; interruptions do not count. None for no limit.
        max_cpu_hours: of CPU time, all trainings together. None for no limit.
        clock: (seconds, CPU seconds), growing.
        own: CPU seconds of this process alone, growing.

    Attributes:
        held: says what of `max_hours` is held back; nothing, until a plan of the run's time is set.
        reached: whether a limit has ended the search, as a trainer finds whose time is up, or as it looked when the search ended.
        in_vain: CPU seconds of trainings that came to nothing and are done again: they are in no outcome.
        before: seconds and CPU seconds of earlier processes, and of this one up to the last pause.
        trained_by_workers: CPU seconds of the trainings that workers have ended since then.
    """

    def __init__(
        self,
        max_hours: float | None,
        max_cpu_hours: float | None,
        clock: Callable[[], tuple[float, float]] = wall_and_cpu_seconds,
        own: Callable[[], float] = time.process_time,
    ):
        self.max_hours, self.max_cpu_hours, self._clock, self._own = max_hours, max_cpu_hours, clock, own
        self.held: HeldBack = NothingHeldBack()
        self.reached, self.in_vain = False, 0.0
        self._began: tuple[float, float, float] | None = None  # seconds, CPU seconds, own ones; None in a pause
        self.resume((0.0, 0.0))

    def resume(self, before: tuple[float, float]) -> None:
        """Goes on after processes that spent so many seconds and CPU seconds."""
        self.before, self.trained_by_workers = before, 0.0
        self._began = None if self._began is None else self._now()
        self._named: list[str] = []

    def resume_after(self, outcomes: Iterable[Outcome]) -> None:
        """Goes on after trainings, where nothing else is known of the time that was spent."""
        ended = list(outcomes)
        self.resume((sum(each.wall_seconds for each in ended), sum(each.cpu_seconds for each in ended)))

    def state(self) -> dict:
        """What a search that goes on must know of them, as JSON values."""
        reached = self.given if self.reached else None
        return {"spent": list(self.spent()), "in_vain": self.in_vain, "reached": reached, "named": self._named}

    def restore(self, state: dict) -> None:
        """Goes on from where `state` was given; a limit that has been raised since then is not reached."""
        (wall, cpu), in_vain = map(float, state["spent"]), float(state.get("in_vain", 0.0))
        self.resume((wall, cpu))
        self.in_vain, self.reached = in_vain, state.get("reached") == self.given
        self._named = [name for name in self.given if name in state.get("named", ())] if self.reached else []

    def begin(self) -> bool:
        """Counts from now on, if it does not yet; whether it did not."""
        is_paused = self._began is None
        if is_paused:
            self._began = self._now()
        return is_paused

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        """Context in which time counts; after it there is a pause, if there was one before."""
        was_paused = self.begin()
        try:
            yield
        finally:
            if was_paused:
                self.before, self.trained_by_workers, self._began = self.spent(), 0.0, None

    @property
    def given(self) -> dict[str, float | None]:
        """The limits by name."""
        return {"max_hours": self.max_hours, "max_cpu_hours": self.max_cpu_hours}

    def count_from(self, began: tuple[float, float]) -> None:
        """Counts this process's time from when it began, in the clock's seconds and CPU seconds."""
        self._began = (*began, began[1])  # a process that begins has waited for no other

    def add_cpu_seconds(self, seconds: float) -> None:
        """Counts those of a process that this one does not wait for."""
        self.before = (self.before[0], self.before[1] + seconds)

    def spent(self) -> tuple[float, float]:
        """Seconds and CPU seconds of this process, of its workers and of those before it."""
        if self._began is None:
            return self.before
        wall, cpu, own = (now - began for now, began in zip(self._now(), self._began, strict=True))
        # Workers that it has not waited for, and those elsewhere, which it never does, count by what they have trained.
        return self.before[0] + wall, self.before[1] + max(cpu, own + self.trained_by_workers)

    def _now(self) -> tuple[float, float, float]:
        return (*self._clock(), self._own())

    def seconds_left_in_all(self) -> float:
        """Wall-clock seconds before `max_hours`."""
        return math.inf if self.max_hours is None else self.max_hours * 3600 - self.spent()[0]

    def seconds_left(self) -> float:
        """Wall-clock seconds that the search may still take."""
        return math.inf if self.max_hours is None else self.seconds_left_in_all() - self.held.reserve()

    def seconds_left_at_most(self) -> float:
        """Wall-clock seconds that the last training of the search may still take."""
        return math.inf if self.max_hours is None else self.seconds_left_in_all() - self.held.least_reserve()

    def cpu_seconds_left(self, outcomes: Iterable[Outcome]) -> float:
        """CPU seconds of trainings before `max_cpu_hours`."""
        if self.max_cpu_hours is None:
            return math.inf
        return self.max_cpu_hours * 3600 - self.in_vain - sum(outcome.cpu_seconds for outcome in outcomes)

    def wall_seconds_left(self, outcomes: Iterable[Outcome]) -> float:
        """Wall-clock seconds that the search may still take before one of the limits, at the share of CPU time that trainings have had."""
        ended = list(outcomes)
        cpu, wall = (sum(getattr(outcome, name) for outcome in ended) for name in ("cpu_seconds", "wall_seconds"))
        return min(self.seconds_left(), self.cpu_seconds_left(ended) * (wall / cpu if cpu else 1.0))

    def reached_by(self, outcomes: Iterable[Outcome]) -> str | None:
        """Which limit is reached, if one is, as it looked when it first was; where a trainer alone has found it so, one of those given."""
        left = {"max_hours": self.seconds_left(), "max_cpu_hours": self.cpu_seconds_left(outcomes)}
        over = [name for name in left if left[name] <= 0]
        if not over and not self.reached:
            self._named = []
            return None
        self._named = self._named or over  # by now time may be up, too, which has not ended the search
        names = self._named or [name for name, given in self.given.items() if given]
        return f"{REACHED}: " + " or ".join(f"{name}={self.given[name]:g}" for name in names)
