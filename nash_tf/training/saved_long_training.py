"""How far a long training has come, and its files."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nash_tf.architecture import Architecture
from nash_tf.keras_models.checkpoint import CheckpointError
from nash_tf.keras_models.state import State
from nash_tf.strategy.schedules import Timeline, annealings
from nash_tf.training import saved_training

DONE, CUT, NOT_FINITE = "done", "cut by the limit on time", "weights were not finite"


@dataclass(frozen=True)
class LongTrainingState:
    """How far a training has come.

    Attributes:
        identity: of its job.
        epoch: epochs done.
        wanted: epochs that it would have without a limit.
        last: epochs that it will have.
        cooldown: one cosine annealing of its learning rate; in its file start and length, in epochs.
        seconds, cpu_seconds: that the epochs done have taken.
        limit: that of its job.
        ended: DONE, CUT or NOT_FINITE; None while it goes on.
        averaged: of how many states of the weights there is a mean.
        average: the epochs between which the states are taken.
    """

    identity: Mapping[str, Any]
    epoch: int
    wanted: int
    last: int
    cooldown: Timeline
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    limit: float | None = None
    ended: str | None = None
    averaged: int = 0
    average: tuple[int, int] = (0, 0)


def save(directory: Path, training: LongTrainingState, architecture: Architecture, state: State) -> None:
    """Saves a training, and how far it has come, in place of what is there; errors as of `saved_training.save`."""
    start, (annealing,) = training.cooldown
    values = asdict(training) | {"cooldown": [start, annealing.length]}
    saved_training.save(directory, values, architecture, state)


def load(directory: Path, identity: Mapping[str, Any], limit: float | None) -> tuple[LongTrainingState, State] | None:
    """The training that was saved; None where there is none of this job.

    Args:
        directory: where.
        identity, limit: those of its job; one that was cut by another limit is done anew.

    Raises:
        CheckpointError: it is damaged; the message says what to do.
    """
    training = _saved(directory, identity, limit)
    if training is None:
        return None
    with _remedied(directory):
        return training, saved_training.model(directory)[1]


def seconds_taken(directory: Path, identity: Mapping[str, Any], limit: float | None) -> float:
    """Wall-clock seconds that a training has taken of which a job goes on in a directory; 0 where there is none.

    Args:
        directory, identity, limit: as of `load`.

    Raises:
        CheckpointError: what was saved is damaged.
    """
    training = _saved(directory, identity, limit)
    return training.seconds if training else 0.0


def ended_on_mean(state: State) -> State:
    """The state of a training that has ended: where weights were averaged, the mean is theirs."""
    return replace(state, weights={**state.weights, **state.mean}, mean={})


def _saved(directory: Path, identity: Mapping[str, Any], limit: float | None) -> LongTrainingState | None:
    """How far it has come."""
    with _remedied(directory):
        values = saved_training.values(directory)
        if values is None:
            return None
        start, length = values["cooldown"]
        average = tuple(values.get("average", (0, values["last"])))
        training = LongTrainingState(
            **{**values, "cooldown": Timeline(start, annealings([length])), "average": average}
        )
    is_same = json.loads(json.dumps(identity)) == training.identity
    return training if is_same and (training.ended != CUT or training.limit == limit) else None


@contextmanager
def _remedied(directory: Path) -> Iterator[None]:
    """Says of what is damaged what to do."""
    try:
        yield
    except (CheckpointError, TypeError, KeyError) as error:
        raise CheckpointError(f"{error}; remove {directory}, and the training is done again") from error
