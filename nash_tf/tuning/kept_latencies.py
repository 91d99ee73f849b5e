"""Latencies of networks, kept in a file: each measured once for a search to go on by, and those of a front together, to be compared."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from nash_tf.architecture import Architecture
from nash_tf.keras_models.latency import BATCHES, Timed, latencies, together
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
        self._front: dict[str, dict[str, Timed]] = {}  # of networks that were timed together
        try:
            kept = checked_json.read(self._path)
        except FileNotFoundError:
            return
        except ValueError as error:
            print(f"{self._path} is damaged ({error}): networks are timed anew", flush=True)
            return
        if (kept.get("runtime"), kept.get("threads")) == (runtime, threads):
            self._known = {digest: dict(each) for digest, each in kept["milliseconds"].items()}
            self._front = {
                digest: {batch: Timed(*timed) for batch, timed in each.items()}
                for digest, each in kept.get("front", {}).items()
            }

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

    def of_front(
        self, networks: Sequence[tuple[Architecture, Callable[[], keras.Model]]], batches: Sequence[int] = BATCHES
    ) -> list[dict[int, Timed]]:
        """The times of networks that are compared: what each took at some other moment, when the machine was busy or was not, is no
        measure. They are timed anew, together; once for the same networks.

        Args:
            networks: each with what makes its model.
            batches: numbers of examples.

        Raises:
            ValueError: a size of an input is open.
        """
        models = {architecture.digest: model for architecture, model in networks}
        names = [str(batch) for batch in batches]
        if self._front.keys() != models.keys() or any(each.keys() != set(names) for each in self._front.values()):
            timed = together([model() for model in models.values()], self.runtime, self.threads, batches)
            found = [dict(zip(names, each.values(), strict=True)) for each in timed]
            self._front = dict(zip(models, found, strict=True))
            self.save()
        front = [self._front[architecture.digest] for architecture, _ in networks]
        return [{batch: each[str(batch)] for batch in batches} for each in front]

    def save(self) -> None:
        """Writes what is known, where there is the directory."""
        if (self._front or any(self._known.values())) and self._path.parent.is_dir():
            measured_in = {"runtime": self.runtime, "threads": self.threads}
            checked_json.write(self._path, {**measured_in, "milliseconds": self._known, "front": self._front})
