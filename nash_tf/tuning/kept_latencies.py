"""Latencies of networks, each measured once and kept in a file."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from nash_tf.architecture import Architecture
from nash_tf.keras_models.latency import BATCHES, latencies
from nash_tf.tuning import checked_json

FILE = "latencies.json"  # in the directory of a run, and in that of a project of Keras Tuner


class KeptLatencies:
    """What an earlier process has measured is not measured anew, so that a search goes on by the same numbers, on whatever machine;
    unless it was in another runtime or with another number of threads, which makes other numbers.

    Args:
        directory: where the file is. It is written once there is such a directory.
        runtime: what networks are run in; see `nash_tf.keras_models.latency.latencies`.
        threads: likewise.
    """

    def __init__(self, directory: Path, runtime: str, threads: int | None = None):
        self.runtime, self.threads, self._path = runtime, threads, directory / FILE
        self._known: dict[str, dict[str, float]] = {}  # digest -> number of examples -> milliseconds
        try:
            kept = checked_json.read(self._path)
        except FileNotFoundError:
            return
        except ValueError as error:
            print(f"{self._path} is damaged ({error}): networks are timed anew", flush=True)
            return
        if (kept.get("runtime"), kept.get("threads")) == (runtime, threads):
            self._known = {digest: dict(each) for digest, each in kept["milliseconds"].items()}

    def of(
        self, architecture: Architecture, model: Callable[[], keras.Model], batches: Sequence[int] = BATCHES
    ) -> dict[int, float]:
        """Milliseconds of a network by the number of examples that it is given together.

        Args:
            architecture: the network.
            model: makes what is timed, where that is still to be done.
            batches: numbers of examples.

        Raises:
            ValueError: a size of its input is open.
        """
        known = self._known.setdefault(architecture.digest, {})
        if missing := [batch for batch in batches if str(batch) not in known]:
            found = latencies(model(), self.runtime, self.threads, missing)
            known |= {str(batch): milliseconds for batch, milliseconds in found.items()}
            self.save()
        return {batch: known[str(batch)] for batch in batches}

    def save(self) -> None:
        """Writes what is known, where there is the directory."""
        if any(self._known.values()) and self._path.parent.is_dir():
            measured_in = {"runtime": self.runtime, "threads": self.threads}
            checked_json.write(self._path, {**measured_in, "milliseconds": self._known})
