"""A training that was interrupted goes on after the last of its epochs that is saved."""

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import keras
import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.keras_models.checkpoint import CheckpointError
from nash_tf.keras_models.state import State, read_state
from nash_tf.training import saved_training
from nash_tf.training.layer_seeds import read_layers

SAVE_EVERY = 60.0  # seconds at least between two savings
SAVING = 0.01  # share of the time that saving may take


@dataclass(frozen=True)
class Course:
    """How far a training has come.

    Attributes:
        digest: of its assignment.
        epoch: that it goes on with.
        history: each metric, epoch by epoch.
        certificate: of a child at its birth; None for others.
        generators: states of the random generators of the model's layers.
        cpu_seconds, wall_seconds: that it has taken.
    """

    digest: str
    epoch: int
    history: Mapping[str, list[float]] = field(default_factory=dict)
    certificate: Mapping[str, float] | None = None
    generators: Sequence[Sequence[int]] = ()
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0


def load(directory: Path, digest: str) -> tuple[Course, Architecture, State] | None:
    """A training that was saved, and its model; None where there is none of this assignment.

    Warns of one that is damaged: it begins anew.
    """
    try:
        values = saved_training.values(directory)
        if values is None or values.get("digest") != digest:
            return None
        return Course(**values), *saved_training.model(directory)
    except (CheckpointError, TypeError) as error:
        warnings.warn(
            f"a training that was interrupted begins anew, for what was saved is damaged: {error}", stacklevel=2
        )
        return None


class Saver(keras.callbacks.Callback):
    """Saves a training at the end of an epoch, whenever enough time has passed; the last of the callbacks.

    Args:
        directory: where.
        start: how far the training had come as it began, or went on.
        last: number of the epoch that it ends before.
        began: seconds (`time.perf_counter`) and CPU seconds (`time.process_time`) when it began, or went on.
    """

    def __init__(self, directory: Path, start: Course, last: int, began: tuple[float, float]):
        super().__init__()
        self._directory, self._start, self._last, self._began = directory, start, last, began
        self._history = {name: list(series) for name, series in start.history.items()}
        self._due = began[0] + SAVE_EVERY

    def on_epoch_end(self, epoch, logs=None):
        for name, value in (logs or {}).items():
            if np.ndim(value) == 0:
                self._history.setdefault(name, []).append(float(value))
        now = time.perf_counter()
        if now < self._due or epoch + 1 >= self._last or self.model.stop_training:
            return
        wall, cpu = now - self._began[0], time.process_time() - self._began[1]
        course = Course(
            self._start.digest,
            epoch + 1,
            self._history,
            self._start.certificate,
            read_layers(self.model),
            round(self._start.cpu_seconds + cpu, 3),
            round(self._start.wall_seconds + wall, 3),
        )
        saved_training.save(
            self._directory, asdict(course), Architecture.from_keras(self.model), read_state(self.model)
        )
        taken = time.perf_counter() - now
        self._due = now + taken + max(SAVE_EVERY, taken / SAVING)
