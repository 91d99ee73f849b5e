"""What a search gives to `fit`, and what comes back: the arguments, their first batch, and scores that are of the weights kept."""

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from keras.src.trainers.data_adapters.array_slicing import train_validation_split
from keras_tuner import errors

POSITIONAL = ("x", "y", "sample_weight")


class OutOfTime(errors.FatalError):
    """A limit on time was reached during a training; that training is dropped."""


def check_arguments(objective: str, arguments: Sequence, named: Mapping, own_fit: bool) -> None:
    """Refuses what `fit` could not be searched with, before any training.

    Args:
        objective: its name.
        arguments, named: what `search` was given for `fit`.
        own_fit: whether the hypermodel has a `fit` of its own, which may make its validation data itself.

    Raises:
        ValueError: naming the argument.
    """
    if named.get("validation_freq", 1) != 1:
        raise ValueError(
            f"search(validation_freq={named['validation_freq']!r}): each training is judged by its last epoch; leave it out"
        )
    if own_fit:
        return
    if len(arguments) > 2:
        raise ValueError(f"search was given {len(arguments)} arguments without a name; give all but x and y by name")
    split = named.get("validation_split")
    if objective.startswith("val_") and named.get("validation_data") is None and not split:
        raise ValueError(
            f"objective {objective!r} needs validation data: give search validation_data or validation_split"
        )


def as_history(told, objective: str) -> dict[str, list]:
    """What a hypermodel's `fit` returned, as a history: of a `History`, without metrics that are no single numbers, a dict, or the
    objective's value.

    Raises:
        FatalValueError: it is none of these.
    """
    if isinstance(told, keras.callbacks.History):
        return {name: series for name, series in told.history.items() if all(np.ndim(value) == 0 for value in series)}
    try:
        return {name: [float(value)] for name, value in (told if isinstance(told, dict) else {objective: told}).items()}
    except (TypeError, ValueError):
        raise errors.FatalValueError(
            f"HyperModel.fit must return a History, a dict of numbers by name, or a number, received {told!r}"
        ) from None


# Data -----------------------------------------------------------------------------------------------------------------


def batch_of(arguments: Sequence, named: Mapping):
    """The first batch of the training data among what `search` was given for `fit`.

    Raises:
        FatalValueError: there is no x.
    """
    given = {**named, **dict(zip(("x", "y"), arguments, strict=False))}
    if "x" not in given:
        raise errors.FatalValueError(
            "search was given no x that it could calibrate with: give calibration, a batch of it"
        )
    return first_batch(given["x"], given.get("y"))


def first_batch(x, y=None):
    """Up to 128 examples of what `fit` is given, as (inputs, labels); labels are None where there are none."""
    if isinstance(x, tf.data.Dataset) or not hasattr(x, "shape") and not isinstance(x, dict | list | tuple):
        taken = next(iter(x)) if isinstance(x, tf.data.Dataset) or not hasattr(x, "__getitem__") else x[0]
        x, y = (*taken, None)[:2] if isinstance(taken, tuple) else (taken, None)
    inputs, labels = (
        part if part is None else keras.tree.map_structure(lambda array: np.asarray(array[:128]), part)
        for part in (x, y)
    )
    return inputs, labels


def validation_of(arguments: Sequence, named: Mapping):
    """The validation data that `fit` judges by, as it takes them; None where it is given none."""
    if named.get("validation_data") is not None or not named.get("validation_split"):
        return named.get("validation_data")
    given = {**named, **dict(zip(("x", "y"), arguments, strict=False))}
    whole = tuple(given.get(name) for name in POSITIONAL)
    return train_validation_split(whole, validation_split=named["validation_split"])[1]


def evaluated(model: keras.Model, validation, named: Mapping) -> dict[str, float]:
    """What `fit` would find on its validation data."""
    x, y, weights = keras.utils.unpack_x_y_sample_weight(validation)
    return model.evaluate(
        x,
        y,
        sample_weight=weights,
        steps=named.get("validation_steps"),
        batch_size=named.get("validation_batch_size") or named.get("batch_size"),
        verbose=0,
        return_dict=True,
    )


# Callbacks ------------------------------------------------------------------------------------------------------------


class Watch(keras.callbacks.Callback):
    """Ends a training whose time is up, or whose trial was given to another worker."""

    def __init__(self, seconds: float, cpu_seconds: float, heartbeat):
        super().__init__()
        self._end, self._cpu_end = time.monotonic() + seconds, time.process_time() + cpu_seconds
        self._heartbeat = heartbeat

    def on_train_batch_end(self, batch, logs=None):
        if time.monotonic() > self._end or time.process_time() > self._cpu_end:
            raise OutOfTime("the limit on time is reached")
        if self._heartbeat is not None and self._heartbeat.lost:
            self._heartbeat.check()


class Scores(keras.callbacks.Callback):
    """What each epoch was scored, and on which weights; the last of the callbacks, so as to see what others do to them.

    Args:
        expected: name of a metric that every epoch must have, or None.

    Raises:
        FatalValueError: at the end of an epoch that has not that metric, or fewer batches than it should.
    """

    def __init__(self, expected: str | None):
        super().__init__()
        self._expected = expected
        self._weights: list[str] = []
        self._logs: list[dict[str, float]] = []
        self._judged: str | None = None
        self._batches = 0

    def on_train_begin(self, logs=None):
        self._weights, self._logs = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self._judged, self._batches = None, 0

    def on_train_batch_end(self, batch, logs=None):
        self._batches = batch + 1

    def on_test_begin(self, logs=None):
        self._judged = _digest(self.model)

    def on_epoch_end(self, epoch, logs=None):
        logs, steps = logs or {}, self.params.get("steps")
        if steps and self._batches < steps and not self.model.stop_training:
            raise errors.FatalValueError(
                f"the training data ran out after {self._batches} of the {steps} batches of epoch {epoch + 1}; every child "
                "needs all of them: give arrays, a tf.data.Dataset that repeats, or a generator without an end"
            )
        if self._expected is not None and self._expected not in logs:
            raise errors.FatalValueError(
                f"objective {self._expected!r} is not among what fit reports: {', '.join(sorted(logs))}"
            )
        self._weights.append(self._judged or _digest(self.model))
        self._logs.append({name: float(value) for name, value in logs.items() if np.ndim(value) == 0})

    def of_kept(self, last: dict[str, float], evaluate: Callable[[], dict[str, float]]) -> dict[str, float]:
        """The scores of the weights that the model has now, where `last` tells those of the last epoch.

        Others they are where a callback restored those of an earlier epoch, or the optimiser ended on averaged ones.

        Args:
            last: what `fit` returned of its last epoch.
            evaluate: scores the model on validation data; {} where there are none.
        """
        now = _digest(self.model) if self._weights else None
        stale = [name for name, value in last.items() if self._logs and self._logs[-1].get(name) == value]
        if not stale or now == self._weights[-1]:
            return last
        if now in self._weights:
            found = self._logs[self._weights.index(now)]
        else:
            found = {f"val_{name}": float(value) for name, value in evaluate().items() if np.ndim(value) == 0}
        return {
            **last,
            **{name: found.get(name, math.nan if name.startswith("val_") else last[name]) for name in stale},
        }


def _digest(model: keras.Model) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for variable in model.weights:
        digest.update(keras.ops.convert_to_numpy(variable).tobytes())
    return digest.hexdigest()
