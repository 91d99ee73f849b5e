"""What a set of Keras Tuner trials says of the search: which training each is, its score, its record."""

import itertools
import json
import math
from collections.abc import Iterable, Mapping

import numpy as np
from keras_tuner.engine.trial import Trial, TrialStatus

from nash_tf.hill_climbing import Training
from nash_tf.settings import ConfigError

ENDED = (TrialStatus.COMPLETED, TrialStatus.FAILED)


def training_of(trial: Trial) -> Training:
    """Which training a trial is."""
    values = trial.hyperparameters.values
    return Training(values["step"], values["rung"], values["child"])


def scores(trials: Iterable[Trial], direction: str) -> dict[Training, float | None]:
    """Scores of the finished trainings, larger is better, None for the failed; `direction` is the objective's."""
    sign = -1.0 if direction == "min" else 1.0
    found: dict[Training, float | None] = {}
    for trial in trials:
        if trial.status == TrialStatus.COMPLETED and trial.score is not None and math.isfinite(trial.score):
            found[training_of(trial)] = sign * float(np.float32(trial.score))  # as it comes over the wire
        elif trial.status in ENDED:
            found[training_of(trial)] = None
    return found


def lineage(trials: Mapping[str, Trial]) -> list[dict]:
    """The records of all finished trainings in canonical order; `trials` by their ids."""

    def record(trial: Trial) -> dict:
        values = trial.hyperparameters.values
        source = trials.get(values.get("tuner/trial_id"))
        return {
            **{name: values[name] for name in ("step", "rung", "child")},
            "parent": source and list(training_of(source)),
            "morphisms": json.loads(values["morphisms"]),
            "epochs": values["tuner/epochs"] - values["tuner/initial_epoch"],
            "status": "completed" if trial.status == TrialStatus.COMPLETED else "failed",
            **json.loads(values.get("record", "{}")),
        }

    return [record(trial) for trial in sorted(trials.values(), key=training_of) if trial.status in ENDED]


def failures_in_a_row(trials: Iterable[Trial], limit: int) -> list[Trial]:
    """The first failed trainings, `limit` or more of them, with none between that succeeded, in canonical order; empty if
    there are none.

    The first network's is enough by itself: nothing can come after it.
    """
    ended = [trial for trial in sorted(trials, key=training_of) if trial.status in ENDED]
    for status, streak in itertools.groupby(ended, key=lambda trial: trial.status):
        failed = list(streak)
        if status == TrialStatus.FAILED and (len(failed) >= limit or training_of(failed[0]).step == 0):
            return failed
    return []


def check_ids(trials: Iterable[Trial], directory: str) -> None:
    """Checks trials read from a directory: an id is part of the paths that are written to and removed.

    Raises:
        ConfigError: an id, a trial's own or that of its parent, is none that Keras Tuner makes.
    """
    for trial in trials:
        for found in (trial.trial_id, trial.hyperparameters.values.get("tuner/trial_id", "0")):
            if not (isinstance(found, str) and found.isascii() and found.isdigit()):
                raise ConfigError(f"{directory}: a trial.json holds the id {ascii(found)}: must be digits; restore it")
