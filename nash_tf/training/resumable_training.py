"""A training that was interrupted goes on after the last of its epochs that is saved."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.files.atomic import tidy
from nash_tf.keras_models.checkpoint import CheckpointError
from nash_tf.keras_models.state import State, read_state
from nash_tf.strategy.records import Assignment
from nash_tf.training import pace, saved_training
from nash_tf.training.layer_seeds import read_layers
from nash_tf.training.pace import Stopwatch
from nash_tf.training.weight_average import WeightAverage

SAVE_EVERY = 60.0  # seconds at least between two savings
SAVING = 0.01  # share of the time that saving may take


@dataclass(frozen=True)
class TrainingState:
    """How far a training has come.

    Attributes:
        digest: of its assignment.
        epoch: that it goes on with.
        history: each metric, epoch by epoch.
        certificate: of a child at its birth; None for others.
        generators: states of the random generators of the model's layers.
        cpu_seconds, wall_seconds: that it has taken.
        averaged: of how many states of the weights there is a mean.
        moved: where its end has been moved to, as `movable_end.Moved` has it; None where it has not been.
    """

    digest: str
    epoch: int
    history: Mapping[str, list[float]] = field(default_factory=dict)
    certificate: Mapping[str, float] | None = None
    generators: Sequence[Sequence[int]] = ()
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    averaged: int = 0
    moved: Sequence[Any] | None = None


def state(directory: Path) -> TrainingState | None:
    """How far the training in a directory has come; None where none is saved, or what is saved is damaged."""
    try:
        values = saved_training.values(directory)
        return None if values is None else TrainingState(**values)
    except (CheckpointError, TypeError):
        return None


def seconds(directory: Path, assignment: Assignment) -> tuple[float, float] | None:
    """What a training that is saved would take at the pace that it has had.

    Returns:
        The wall-clock seconds of what is left of it, and the CPU seconds of all of it; None where none of this assignment is saved.
    """
    saved = state(directory)
    if saved is None or saved.digest != assignment.digest:
        return None
    done, all_epochs = saved.epoch - assignment.initial_epoch, assignment.epochs - assignment.initial_epoch
    return saved.wall_seconds * (all_epochs / done - 1), saved.cpu_seconds * all_epochs / done


def load(directory: Path, assignment: Assignment) -> tuple[TrainingState, Architecture, State] | None:
    """A training that was saved, and its model; None where none of this assignment is.

    Warns where one begins anew although something is saved: it is damaged, or of other epochs, as a limit on time has it that is nearer now.
    """
    tidy(directory.parent, inside=())  # a process may have been killed while it saved
    try:
        while (values := saved_training.values(directory)) is not None:
            saved = TrainingState(**values)
            if saved.digest != assignment.digest:
                _warn("what was saved is of another one")
                return None
            architecture, weights = saved_training.model(directory)
            if saved_training.values(directory) == values:  # else another process has saved it meanwhile
                return saved, architecture, weights
    except (CheckpointError, TypeError) as error:
        _warn(f"what was saved is damaged: {error}")
    return None


def _warn(why: str) -> None:
    warnings.warn(f"a training that was interrupted begins anew, for {why}", stacklevel=3)


class Saver(keras.callbacks.Callback):
    """Saves a training at the end of an epoch, whenever enough time has passed; the last of the callbacks.

    Weights that are not finite are not saved, nor is a model whose optimiser keeps what `read_state` cannot carry. Where there is no room,
    it is said once: the training itself goes on.

    Args:
        directory: where.
        architecture: of the model.
        start: how far the training had come as it began, or went on.
        last: number of the epoch that it ends before.
        stopwatch: counts what it takes.
        saved: called when it has been saved.
        average: of the weights; None where there is none.
        moved: gives where its end has been moved to.
    """

    def __init__(
        self,
        directory: Path,
        architecture: Architecture,
        start: TrainingState,
        last: int,
        stopwatch: Stopwatch,
        saved: Callable[[], None],
        average: WeightAverage | None = None,
        moved: Callable[[], Sequence[Any] | None] = lambda: None,
    ):
        super().__init__()
        self._average, self._moved = average, moved
        self._directory, self._architecture, self._start, self._last = directory, architecture, start, last
        self._stopwatch, self._saved = stopwatch, saved
        self._history = {name: list(series) for name, series in start.history.items()}
        self._due, self._has_warned = stopwatch.began[0] + SAVE_EVERY, False

    def on_epoch_end(self, epoch, logs=None):
        for name, value in (logs or {}).items():
            if np.ndim(value) == 0:
                self._history.setdefault(name, []).append(float(value))
        now = pace.now()
        if now[0] < self._due or epoch + 1 >= self._last or self.model.stop_training:
            return
        self._save(epoch + 1)
        taken, _ = pace.since(now)
        self._due = now[0] + taken + max(SAVE_EVERY, taken / SAVING)

    def _save(self, epoch: int) -> None:
        model = read_state(self.model)
        if not model.is_finite or not model.counters:
            return
        if self._average:
            model.mean.update(self._average.mean)
        seconds, cpu_seconds = self._stopwatch.taken()
        reached = replace(
            self._start,
            epoch=epoch,
            history=self._history,
            generators=read_layers(self.model),
            cpu_seconds=cpu_seconds,
            wall_seconds=seconds,
            averaged=self._average.count if self._average else 0,
            moved=self._moved(),
        )
        try:
            saved_training.save(self._directory, asdict(reached), self._architecture, model)
        except CheckpointError as error:
            if not self._has_warned:
                warnings.warn(f"an interruption would cost more than it should: {error}", stacklevel=2)
            self._has_warned = True
        else:
            self._saved()
