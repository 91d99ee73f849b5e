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


class Leases:
    """The last sign of life of each worker that gives signs.

    Args:
        timeout: seconds of silence after which a worker counts as dead.
        clock: monotonic seconds.
    """

    def __init__(self, timeout: float, clock: Callable[[], float] = time.monotonic):
        self.timeout, self.clock = timeout, clock
        self._heard: dict[str, tuple[str, float]] = {}

    def heard(self, worker: Worker) -> None:
        """Notes a sign of life.

        Raises:
            NameTaken: another session has the name and is not dead; the message says which.
        """
        if not worker.session:
            return
        session, when = self._heard.get(worker.name, (worker.session, 0.0))
        silent = self.clock() - when
        if session != worker.session and silent <= self.timeout:
            raise NameTaken(
                f"the worker id {worker.name!r} is in use by {session}, heard {silent:.1f} s ago; give each worker its own "
                f"KERASTUNER_TUNER_ID, or try again once that one has been silent for {self.timeout:.0f} s"
            )
        self._heard[worker.name] = (worker.session, self.clock())

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
        return self.clock() - self._heard[name][1] <= self.timeout
