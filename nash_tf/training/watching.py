"""Callbacks that watch a training: its limits, and whether its scores are those of the weights that are kept."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from nash_tf.training import pace
from nash_tf.training.errors import OutOfTime, Unsearchable


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Limits:
    """What ends a training before its last epoch.

    Attributes:
        seconds: of wall-clock time that it may take.
        cpu_seconds: of this process, user and system.
        check: raises where the training is another's by now; called after each batch.
        confirm: the same, called once more before the trained model is kept.
        saved: called when the training has been saved while it goes on.
        shortened: seconds and CPU seconds that it may take where it cannot end in time and is made shorter, at most those above; None
            where it is not made shorter, but dropped.
    """

    seconds: float = math.inf
    cpu_seconds: float = math.inf
    check: Callable[[], None] = _nothing
    confirm: Callable[[], None] = _nothing
    saved: Callable[[], None] = _nothing
    shortened: tuple[float, float] | None = None

    def after(self, cpu_seconds: float, seconds: float = 0.0) -> "Limits":
        """The same where so many CPU seconds of them are gone, as before an interruption, and so many seconds."""
        shortened = self.shortened and (self.shortened[0] - seconds, self.shortened[1] - cpu_seconds)
        return replace(
            self, seconds=self.seconds - seconds, cpu_seconds=self.cpu_seconds - cpu_seconds, shortened=shortened
        )


class Watch(keras.callbacks.Callback):
    """Ends a training at its limits.

    Args:
        limits: on the training.
        began: from when on they count, as `nash_tf.training.pace.now` gives it; None for now.

    Attributes:
        is_passed_over: whether there are limits, and no batch has ended, as far as `fit` tells.

    Raises:
        OutOfTime: after the batch in which one is reached, but for the very last: what is trained is scored, which takes little.
    """

    def __init__(self, limits: Limits, began: tuple[float, float] | None = None):
        super().__init__()
        self._limits, self._began, self._batches, self._epoch = limits, began or pace.now(), 0, 0
        self._has_spared_last = False
        self.is_passed_over = min(limits.seconds, limits.cpu_seconds) < math.inf or limits.check is not _nothing

    @property
    def moved(self) -> Sequence[Any] | None:
        """Where the training's end has been moved to; None where it has not been."""
        return None

    def told(self, done: int) -> dict[str, Any]:
        """What an outcome says of the end of a training, after so many epochs; nothing where it was not moved."""
        return {}

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self._batches, self.is_passed_over = _batches_done(self, batch), False
        wall, cpu = pace.since(self._began)
        is_over = wall > self._limits.seconds or cpu > self._limits.cpu_seconds
        is_last = self.has_all_batches and self._epoch + 1 == (self.params or {}).get("epochs")
        if is_over and (
            self._has_spared_last or not is_last
        ):  # where another follows, `fit` calls `model.fit` several times
            self.time_is_up()
        self._has_spared_last = is_over and is_last
        self._limits.check()

    @property
    def has_all_batches(self) -> bool:
        """Whether all batches of the open epoch are done, as far as `fit` tells how many there are."""
        return self._batches == (self.params or {}).get("steps")

    def time_is_up(self) -> None:
        """Ends the training.

        Raises:
            OutOfTime: always, here.
        """
        steps = (self.params or {}).get("steps")
        of_all = f" of {steps}" if steps else ""
        raise OutOfTime(f"{self._batches}{of_all} batches of an epoch were done when the limit on time was reached")


def check_number(objective: str, value: Any) -> None:
    """Refuses an objective that is no single number.

    Args:
        objective: its name.
        value: of an epoch.

    Raises:
        Unsearchable: saying what to do.
    """
    if np.ndim(value):
        raise Unsearchable(
            f"objective {objective!r} is {np.size(value)} numbers, and networks are compared by one: have the metric average its classes, as "
            "keras.metrics.F1Score(average='macro') does, or name another"
        )


class Scores(keras.callbacks.Callback):
    """What each epoch was scored, and on which weights; the last of the callbacks, so as to see what others do to them.

    Args:
        expected: name of a metric that every epoch must have, or None.

    Raises:
        Unsearchable: at the end of an epoch that has not that metric as one number, or fewer batches than it should.
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
        self._batches = _batches_done(self, batch)

    def on_test_begin(self, logs=None):
        self._judged = digest(self.model)

    def on_epoch_end(self, epoch, logs=None):
        logs, steps = logs or {}, (self.params or {}).get("steps")  # a loop of the user's own may set none
        if steps and self._batches < steps and not self.model.stop_training:
            raise Unsearchable(
                f"the training data ran out after {self._batches} of the {steps} batches of epoch {epoch + 1}; every child "
                "needs all of them: give arrays, a tf.data.Dataset that repeats, or a generator without an end"
            )
        if self._expected is not None and self._expected not in logs:
            raise Unsearchable(f"objective {self._expected!r} is not among what fit reports: {', '.join(sorted(logs))}")
        if self._expected is not None:
            check_number(self._expected, logs[self._expected])
        self._weights.append(self._judged or digest(self.model))
        self._logs.append({name: float(value) for name, value in logs.items() if np.ndim(value) == 0})

    def of_kept(self, last: dict[str, float], evaluate: Callable[[], dict[str, float]]) -> dict[str, float]:
        """The scores of the weights that the model has now, where `last` tells those of the last epoch.

        Others they are where a callback restored those of an earlier epoch, the optimiser ended on averaged ones, or the last epochs
        were not validated.

        Args:
            last: what `fit` returned of its last epoch.
            evaluate: scores the model on validation data; {} where there are none.

        Returns:
            Those of `last`, without scores of validation data that are of other weights, and were not measured on those that are kept.
        """
        now = digest(self.model) if self._weights else None
        stale = [name for name, value in last.items() if self._is_stale(name, value, now)]
        kept: dict[str, float] = {}
        for weights, logs in zip(self._weights, self._logs, strict=True):
            kept |= logs if weights == now else {}
        if any(name.startswith("val_") and name not in kept for name in stale):
            kept |= {f"val_{name}": float(value) for name, value in evaluate().items() if np.ndim(value) == 0}
        unknown = {name for name in stale if name.startswith("val_") and name not in kept}
        return {
            name: kept.get(name, value) if name in stale else value
            for name, value in last.items()
            if name not in unknown
        }

    def _is_stale(self, name: str, value: float, now: str | None) -> bool:
        """Whether a score is that of the last epoch which has it, and that was of other weights than those now."""
        for weights, logs in zip(reversed(self._weights), reversed(self._logs), strict=True):
            if name in logs:
                return logs[name] == value and weights != now
        return False


def _batches_done(callback: keras.callbacks.Callback, batch: int) -> int:
    """Batches of an epoch that are done after one: of several in one call it is the last, and there may have been fewer."""
    steps, function = (callback.params or {}).get("steps"), getattr(callback.model, "train_function", None)
    done = batch + 1 - getattr(function, "cut_short", 0)  # only of models that are prepared for fast training
    return min(done, steps) if steps else done


def digest(model: keras.Model) -> str:
    """Of the weights of a model."""
    found = hashlib.blake2b(digest_size=16)
    for variable in model.weights:
        found.update(keras.ops.convert_to_numpy(variable).tobytes())
    return found.hexdigest()
