"""What a set of Keras Tuner trials says of the search: which training each is, its score, its record."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from keras_tuner.engine.trial import Trial, TrialStatus

from nash_tf import sealed
from nash_tf.hill_climbing import Training

ENDED = (TrialStatus.COMPLETED, TrialStatus.FAILED)


def read(directory: Path) -> tuple[dict[str, Trial], list[str]]:
    """The trials of a search by their ids, and what is to be said of those that are lost or damaged."""
    found, damages = {}, []
    for folder in sorted(directory.glob("trial_*")):
        path = folder / "trial.json"
        try:
            trial = Trial.from_state(sealed.read(path))
            if f"trial_{trial.trial_id}" != folder.name or not re.fullmatch(r"\d+", trial.trial_id):
                raise ValueError(f"its id is {trial.trial_id!r}")
            training_of(trial)
        except sealed.Damaged as damage:
            if path.exists() or any(folder.glob("[!.]*")):  # and not killed before it was written
                damages.append(str(damage))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            damages.append(f"{path} is damaged ({error})")
        else:
            found[trial.trial_id] = trial
    return found, damages


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
    """The first `limit` failed trainings with none between them that succeeded, in canonical order; empty if there are none.

    The first network's is enough by itself: nothing can come after it.
    """
    failed: list[Trial] = []
    for trial in sorted(trials, key=training_of):
        if trial.status == TrialStatus.COMPLETED:
            failed = []
        elif trial.status == TrialStatus.FAILED:
            failed.append(trial)
        if len(failed) == limit or failed and training_of(failed[0]).step == 0:
            return failed
    return []
