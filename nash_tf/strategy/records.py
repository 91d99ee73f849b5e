"""What a training is asked to do, and what came of it."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.morphisms.base import Move
from nash_tf.strategy.alternatives import Weighing
from nash_tf.strategy.schedules import Phase, phased

COMPLETED, FAILED = "completed", "failed"

# What a training's line in the lineage tells beside its metrics.
FIELDS = frozenset(
    {
        *("step", "rung", "child", "parent", "morphisms", "epochs", "status", "rate", "expected_gain", "considered"),
        *(
            "digest",
            "params",
            "history",
            "certificate",
            "cpu_seconds",
            "wall_seconds",
            "message",
            "diverged",
            "is_shortened",
        ),
    }
)


def check_metrics(names: Iterable[str]) -> None:
    """Refuses metrics that would be taken for something else of a training.

    Raises:
        ValueError: naming them.
    """
    if taken := sorted(FIELDS.intersection(names)):
        raise ValueError(f"metrics must have other names than {', '.join(taken)}: records of trainings use these")


def not_finite(metrics: Mapping[str, float], objective: str) -> str:
    """What of a training's scores must be finite and is not, e.g. "val_loss=nan"; "" where all is well.

    These are its losses, for an accuracy alone tells nothing of outputs that are NaN, and what it is compared by. Other metrics are the user's
    own and may be undefined, as the recall of a class without examples is.
    """
    needed = dict.fromkeys(("loss", "val_loss", objective))
    return ", ".join(f"{name}={metrics[name]}" for name in needed if not math.isfinite(metrics.get(name, 0.0)))


class TrainingKey(NamedTuple):
    """Which training: one child in one rung of one step."""

    step: int
    rung: int
    child: int


@dataclass(frozen=True)
class Assignment:
    """A training that is to be done.

    Attributes:
        key: which training it is.
        seed: of all its random draws.
        source: the training whose weights it starts from; None for the first network.
        moves: the morphisms that make the child of its step's parent; applied in the first rung, kept in the later ones.
        architecture: of the child; None for the first network, which the user's function builds.
        initial_epoch, epochs: as in `model.fit`: the first epoch, and the one before which training ends, over the child's life.
        phases: of the learning rate over the child's life, lengths in epochs.
        hyperparameters: values of the user's declared hyperparameters by name.
        expected_gain: what its morphisms are together expected to lower the loss by, slower training taken off; None where they
            were drawn.
        considered: what its morphisms were chosen among; nothing where they were drawn. The training does not depend on it.
    """

    key: TrainingKey
    seed: int
    source: TrainingKey | None
    moves: tuple[Move, ...]
    architecture: Architecture | None
    initial_epoch: int
    epochs: int
    phases: tuple[Phase, ...]
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    expected_gain: float | None = None
    considered: tuple[Weighing, ...] = ()

    @property
    def is_birth(self) -> bool:
        """Whether the child is made of its parent first."""
        return self.source is not None and self.key.rung == 0

    @property
    def digest(self) -> str:
        """Of all that the training depends on; the same in any process."""
        values = [*self._essence(), sorted(self.hyperparameters.items())]
        return hashlib.blake2b(json.dumps(values).encode(), digest_size=16).hexdigest()

    def agrees_with(self, other: "Assignment") -> bool:
        """Whether both ask for the same training, whatever the hyperparameters that a model declares in its course."""
        return self._essence() == other._essence()

    def _essence(self) -> tuple:
        bare = dataclasses.replace(self, architecture=None, hyperparameters={}, considered=())
        values = zip(dataclasses.fields(bare), dataclasses.astuple(bare), strict=True)
        plain = [phase.plain() for phase in self.phases]
        essence = tuple(plain if field.name == "phases" else value for field, value in values)
        return essence, self.architecture and self.architecture.digest


@dataclass(frozen=True)
class Outcome:
    """What came of a training.

    Attributes:
        assignment: what was asked for.
        status: "completed" or "failed".
        architecture: of the trained network; None where it failed.
        metrics: of the trained network by name, e.g. "val_accuracy".
        history: each metric, epoch by epoch.
        certificate: of a child at its birth (see `nash_tf.certificate.certify`); None for others.
        cpu_seconds: user and system time of the process that trained, in seconds.
        wall_seconds: time that passed meanwhile, in seconds.
        message: why it failed.
        epochs: that it has done; None where that is not known: then those asked for.
        is_shortened: whether a limit on time has made it shorter.
        rate: shares of the initial rate where each epoch began, and at their end, where a limit on time has moved the end; nothing where
            the assignment tells them.
        diverged: whether it failed since its numbers were no longer finite: the same training would again.
    """

    assignment: Assignment
    status: str
    architecture: Architecture | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    certificate: Mapping[str, float] | None = None
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    message: str | None = None
    epochs: int | None = None
    is_shortened: bool = False
    rate: Sequence[float] = ()
    diverged: bool = False

    @property
    def key(self) -> TrainingKey:
        """Which training it is of."""
        return self.assignment.key

    @property
    def epochs_asked(self) -> int:
        """Epochs that it was asked for."""
        return self.assignment.epochs - self.assignment.initial_epoch

    @property
    def epochs_done(self) -> int:
        """Those that it has done."""
        return self.epochs_asked if self.epochs is None else min(self.epochs, self.epochs_asked)

    @property
    def is_stopped(self) -> bool:
        """Whether it was completed before its last epoch, and not for a limit on time: a callback may have it so."""
        return self.status == COMPLETED and self.epochs_done < self.epochs_asked and not self.is_shortened

    def measurements(self) -> dict[str, Any]:
        """What was measured, as JSON values; where the training failed, why, and the time that it took, as far as these are known."""
        if self.architecture is None:
            told = {"message": self.message, "cpu_seconds": self.cpu_seconds, "wall_seconds": self.wall_seconds}
            return {name: value for name, value in (told | {"diverged": self.diverged}).items() if value}
        return {
            "digest": self.architecture.digest,
            "params": self.architecture.params,
            **self.metrics,
            **({"epochs": self.epochs_done} if self.epochs_done < self.epochs_asked else {}),
            **({"is_shortened": True} if self.is_shortened else {}),
            **({"rate": list(self.rate)} if self.rate else {}),
            "history": {name: list(series) for name, series in self.history.items()},
            "certificate": None if self.certificate is None else dict(self.certificate),
            "cpu_seconds": self.cpu_seconds,
            "wall_seconds": self.wall_seconds,
        }

    def record(self) -> dict[str, Any]:
        """The training's line in the lineage, as JSON values."""
        assignment = self.assignment
        return {
            **assignment.key._asdict(),
            "parent": None if assignment.source is None else list(assignment.source),
            "morphisms": [[operator, list(site), seed] for operator, site, seed in assignment.moves],
            "epochs": self.epochs_done,
            "status": self.status,
            **_rate(assignment, self.epochs_done),
            **({} if assignment.expected_gain is None else {"expected_gain": assignment.expected_gain}),
            **({"considered": [each.plain() for each in assignment.considered]} if assignment.considered else {}),
            **self.measurements(),
        }


def _rate(assignment: Assignment, done: int) -> dict[str, list[float]]:
    """Shares of the initial rate where each epoch that a training has done begins, and at their end; nothing where all phases are annealings,
    which follow from the settings."""
    if all(phase == Phase(phase.length) for phase in assignment.phases):
        return {}
    epochs = range(assignment.initial_epoch, assignment.epochs)
    shares = [phased(epoch, assignment.phases, 1.0) for epoch in epochs]
    return {"rate": [round(share, 6) for share in (*shares, assignment.phases[-1].end)][: done + 1]}


@dataclass(frozen=True)
class Goal:
    """What is to be largest, or smallest.

    Attributes:
        name: of a metric, e.g. "val_accuracy".
        direction: "max" or "min".

    Raises:
        ValueError: no metric may have that name.
    """

    name: str
    direction: str = "max"

    def __post_init__(self):
        check_metrics([self.name])

    @property
    def is_accuracy(self) -> bool:
        """Whether it is an accuracy of some kind."""
        return self.direction == "max" and self.name.endswith(("accuracy", "acc"))

    def score(self, outcome: Outcome) -> float | None:
        """The outcome's score, larger is better, as a float32 holds it; None where it failed or has no finite one."""
        value = outcome.metrics.get(self.name)
        if outcome.status != COMPLETED or value is None or not math.isfinite(value):
            return None
        score = float(np.float32(value))
        return -score if self.direction == "min" else score


def lineage(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """The records of trainings, in canonical order."""
    return [outcome.record() for outcome in sorted(outcomes, key=lambda outcome: outcome.key)]
