"""What a `run_trial` of the user's own returned where its training has measured something else: the mean of several trainings, an objective
less a penalty, a metric more. That is what networks are compared by; the training's own numbers stay in its record."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from keras_tuner.engine.trial import Trial

from nash_tf.strategy.records import FIELDS

NAME = "tuner/reported"  # among a trial's values


def note(trial: Trial, told: Trial) -> None:
    """Has the values of a trial tell what was reported otherwise than it was measured.

    Args:
        trial: as it was trained; one that another tuner has trained has no measurements, and stays as it is.
        told: the same trial as the oracle has it, with the metrics that were reported.
    """
    values = dict(trial.hyperparameters.values)
    values.pop(NAME, None)
    record = json.loads(values.get("record", "{}"))
    if "digest" in record:
        reported = {name: _value(metric) for name, metric in told.metrics.metrics.items()}
        # Names that a record has for something else stay with the trial's metrics.
        otherwise = {
            name: float(f"{value:.7g}")
            for name, value in reported.items()
            if name not in FIELDS and not _is_same(value, record.get(name))
        }
        if otherwise:
            values[NAME] = json.dumps(otherwise)
    trial.hyperparameters.values = values


def of(values: Mapping[str, Any]) -> dict[str, float]:
    """What the values of a trial tell so, by the names of the metrics; errors as of a text that was not written here."""
    return {name: float(value) for name, value in json.loads(values.get(NAME, "{}")).items() if name not in FIELDS}


def _value(metric: Any) -> float:
    """What was reported of a metric, from its history; of one that is no number Keras Tuner's best value would warn."""
    last = metric.get_last_value()
    return float(last if np.isnan(last) else metric.get_best_value())


def _is_same(value: float, measured: float | None) -> bool:
    """Whether two scores are the same, as a float32 holds them: so they come from a worker."""
    return measured is not None and bool(np.array_equal(np.float32(value), np.float32(measured), equal_nan=True))
