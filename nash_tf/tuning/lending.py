"""Which worker trains which trial, with which share of the CPU time. What is not lent and has not ended waits for the next worker that
asks."""

import math
import time
from collections.abc import Callable
from typing import Any

from nash_tf.workers.leases import Leases, Worker

DEATHS = 3  # of the processes that train a child, before it is given up


class Lending:
    """Trials lent to workers, for as long as these give signs of life.

    Args:
        timeout: seconds of silence after which a worker counts as dead.
        clock: monotonic seconds.
    """

    def __init__(self, timeout: float, clock: Callable[[], float] = time.monotonic):
        self.leases = Leases(timeout, clock)
        self.lent: dict[str, str] = {}  # worker's name -> id of the trial that it has
        self._holders: dict[str, Worker] = {}  # id of a trial -> who has it, or had it when it ended
        self._since: dict[str, float] = {}  # when it was lent
        self._shares: dict[str, float] = {}  # CPU seconds that it may take, where there is a limit on them
        self._deaths: dict[str, int] = {}
        self._inherited: set[str] = set()  # workers of an earlier chief that have not been heard since

    def hear(self, worker: Worker) -> None:
        """Notes a sign of life.

        Raises:
            NameTaken: another living process has the name.
        """
        self.leases.heard(worker)
        self._inherited.discard(worker.name)

    def lend(self, trial_id: str, worker: Worker, cpu_seconds: float = math.inf) -> None:
        """Gives a trial to a worker, with CPU seconds that it may take."""
        self.lent[worker.name], self._holders[trial_id] = trial_id, worker
        self._since[trial_id] = self.leases.clock()
        self._shares.pop(trial_id, None)
        if cpu_seconds < math.inf:
            self._shares[trial_id] = cpu_seconds

    def cpu_seconds(self, trial_id: str) -> float:
        """CPU seconds that a trial was lent with."""
        return self._shares.get(trial_id, math.inf)

    def cpu_seconds_lent(self) -> float:
        """CPU seconds that the trials that are lent may take together, those without a limit left out."""
        return sum(self._shares.get(trial_id, 0.0) for trial_id in self.lent.values())

    def seconds_since(self, trial_id: str) -> float:
        """Seconds since a trial was lent: a little at least, for it was trained."""
        return max(0.001, self.leases.clock() - self._since.get(trial_id, math.inf))

    def holder(self, trial_id: str) -> Worker | None:
        """Who has a trial, or had it when it ended."""
        return self._holders.get(trial_id)

    def holds(self, worker: Worker) -> bool:
        """Whether a worker still has the trial that its heartbeat is about."""
        is_its = self.lent.get(worker.name) == worker.trial
        return is_its and self._holders.get(worker.trial) == worker._replace(trial="")

    def is_lent(self, trial_id: str) -> bool:
        """Whether somebody has it."""
        return trial_id in self.lent.values()

    def end(self, trial_id: str) -> None:
        """Notes that a trial has ended."""
        self.lent = {name: other for name, other in self.lent.items() if other != trial_id}

    def take_back(self, trial_id: str) -> None:
        """Has a trial wait for its next worker."""
        self.end(trial_id)
        self._holders.pop(trial_id, None)

    def bury(self, name: str) -> str | None:
        """Forgets a dead worker; gives the trial that it had, one of whose lives is lost.

        A worker that has not been heard since this chief began has died with the one before: that tells nothing of the trial.
        """
        self.leases.forget(name)
        trial_id = self.lent.get(name)
        if trial_id is not None:
            if name not in self._inherited:
                self._deaths[trial_id] = self.deaths(trial_id) + 1
            self._inherited.discard(name)
            self.take_back(trial_id)
        return trial_id

    def deaths(self, trial_id: str) -> int:
        """How many processes have died while they trained it."""
        return self._deaths.get(trial_id, 0)

    def revive(self, trial_id: str) -> None:
        """Forgets how many processes have died while they trained it."""
        self._deaths.pop(trial_id, None)

    def dead(self) -> list[str]:
        """Names of workers that have a trial and have been silent for too long."""
        return self.leases.dead(self.lent)

    def is_alone(self) -> bool:
        """Whether no worker gives signs of life."""
        return not self.leases.alive()

    def forget(self) -> None:
        """Forgets all trials; who gives signs of life is known still."""
        for known in (self.lent, self._holders, self._since, self._shares, self._deaths, self._inherited):
            known.clear()

    def state(self, trial_id: str) -> dict[str, Any]:
        """What is to be known of a trial by the next chief, as JSON values."""
        holder = self._holders.get(trial_id)
        share = self._shares.get(trial_id) if self.is_lent(trial_id) else None
        state = {"holder": holder and str(holder), "deaths": self._deaths.get(trial_id), "cpu_seconds": share}
        return {name: value for name, value in state.items() if value}

    def restore(self, trial_id: str, state: dict[str, Any], has_ended: bool) -> None:
        """Takes what the chief before knew. A worker that has outlived it has two heartbeats to say so."""
        if state.get("deaths"):
            self._deaths[trial_id] = int(state["deaths"])
        holder = Worker.parse(state["holder"]) if state.get("holder") else None
        if holder is None or not holder.session:
            return
        if has_ended:
            self._holders[trial_id] = holder
        elif holder.name not in self.lent:
            self.lend(trial_id, holder, float(state.get("cpu_seconds", math.inf)))
            self.leases.heard(holder)
            self._inherited.add(holder.name)
