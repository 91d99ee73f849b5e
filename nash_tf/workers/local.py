"""Worker processes of this machine."""

import os
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence

from nash_tf.terminal.signals import deferred, end


class WorkersDie(RuntimeError):
    """Local workers end before they have asked for anything to do."""


class LocalWorkers:
    """Worker processes of this machine, begun again when they end before the search does.

    Args:
        count: how many.
        command: what each of them runs.
        environment: variables of the i-th, beside those of this process.
    """

    def __init__(self, count: int, command: Sequence[str], environment: Callable[[int], Mapping[str, str]]):
        self._command, self._environment, self._failures = list(command), environment, 0
        self._processes: dict[str, subprocess.Popen | None] = {f"worker{number}": None for number in range(count)}

    def keep_up(self, wanted: bool, busy: Collection[str] = ()) -> list[str]:
        """Starts those that are not there, if they are still wanted; names those that have died meanwhile.

        Args:
            wanted: whether there is something left to do.
            busy: names of those that train: what becomes of a child whose processes die is not decided here.

        Raises:
            WorkersDie: others keep dying.
        """
        died = []
        for number, (name, process) in enumerate(self._processes.items()):
            if process is not None and process.poll() is None:
                continue
            if process is not None:
                self._processes[name] = None
                died.append(name)
                self._failures = self._failures + 1 if process.returncode and name not in busy else 0
                if self._failures > 3 * len(self._processes):
                    raise WorkersDie(f"the workers keep dying, the last with exit status {process.returncode}")
            if wanted:
                environment = {**os.environ, **self._environment(number), "KERASTUNER_TUNER_ID": name}
                with deferred():
                    # What there is to see, the chief shows.
                    self._processes[name] = subprocess.Popen(self._command, env=environment, stdout=subprocess.DEVNULL)
        return died

    def running(self) -> bool:
        """Whether any of them lives."""
        return any(process is not None and process.poll() is None for process in self._processes.values())

    def stop(self) -> None:
        """Ends them all."""
        end([process for process in self._processes.values() if process is not None], patience=3.0)
