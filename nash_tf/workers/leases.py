"""Who is training, and when they were last heard of. Pure, but for the clock."""

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

_LONGEST = 500  # letters of a worker as it names itself


class Worker(NamedTuple):
    """A worker as it names itself on the wire, in Keras Tuner's `tuner_id`: `name`, `name|session` or `name|session|trial`.

    Attributes:
        name: unique among the workers of a search.
        session: host and process; empty for a tuner that sends no heartbeats, which keeps what it has for ever.
        trial: in a heartbeat, the trial that it is about.
    """

    name: str
    session: str = ""
    trial: str = ""

    def __str__(self) -> str:
        return "|".join(part for part in self if part)

    @classmethod
    def parse(cls, tuner_id: str) -> "Worker":
        """The inverse of `str`.

        Raises:
            ValueError: it is of another form, without a name or too long.
        """
        parts = tuner_id.split("|")
        if len(parts) > 3 or not parts[0] or len(tuner_id) > _LONGEST:
            raise ValueError(
                f"expected the id of a worker as name, name|session or name|session|trial, of at most {_LONGEST} letters, "
                f"received {tuner_id[:50]!r}"
            )
        return cls(*parts)


class NameTaken(Exception):
    """Another process works under the same name."""


LONGEST_LOOK = 2.0  # seconds between two looks of a chief that runs


class Leases:
    """The last sign of life of each worker that gives signs.

    Where a chief `look`s all the time, its own pauses count for nobody: it could not hear anyone, and its workers may have been stopped
    with it.

    Args:
        timeout: seconds of silence after which a worker counts as dead.
        clock: monotonic seconds.
    """

    def __init__(self, timeout: float, clock: Callable[[], float] = time.monotonic):
        self.timeout, self.clock = timeout, clock
        self._heard: dict[str, tuple[str, float]] = {}
        # Seconds of them, and the last look: one value, since workers are heard in another thread.
        self._pauses: tuple[float, float | None] = 0.0, None

    def look(self) -> None:
        """To be called all the time by a chief; the first time, who is known has the timeout from then on to be heard: nobody could be."""
        now = self.clock()
        if self._pauses[1] is None:
            self._heard = {name: (session, self._now()) for name, (session, _) in self._heard.items()}
        self._pauses = self._paused(now), now

    def stop_looking(self) -> None:
        """Counts all time from now on."""
        self._pauses = self._paused(self.clock()), None

    def _paused(self, now: float) -> float:
        """Seconds of all pauses of who looks, up to a time."""
        before, looked = self._pauses
        return before if looked is None else before + max(0.0, now - looked - LONGEST_LOOK)

    def _now(self) -> float:
        """The clock without those."""
        now = self.clock()
        return now - self._paused(now)

    def heard(self, worker: Worker) -> None:
        """Notes a sign of life.

        Raises:
            NameTaken: another session has the name and is not dead; the message says which.
        """
        if not worker.session:
            return
        session, when = self._heard.get(worker.name, (worker.session, 0.0))
        silent = self._now() - when
        if session != worker.session and silent <= self.timeout:
            raise NameTaken(
                f"the worker id {worker.name!r} is in use by {session}, heard {silent:.1f} s ago; give each worker its own "
                f"KERASTUNER_TUNER_ID, or try again once that one has been silent for {self.timeout:.0f} s"
            )
        self._heard[worker.name] = (worker.session, self._now())

    def dead(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that gave signs of life once and have been silent for too long."""
        return [name for name in names if name in self._heard and not self._alive(name)]

    def alive(self) -> list[str]:
        """Names of all workers that give signs of life."""
        return [name for name in self._heard if self._alive(name)]

    def forget(self, name: str) -> None:
        """Takes a worker for gone."""
        self._heard.pop(name, None)

    def _alive(self, name: str) -> bool:
        return self._now() - self._heard[name][1] <= self.timeout
