"""Callbacks that set the learning rate before each batch; the curves are in `nash_tf.strategy.schedules`."""

import math
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from typing import Any

import keras

from nash_tf.keras_models import fast_training
from nash_tf.strategy import schedules


class UnknownLength(ValueError):
    """The number of batches in an epoch is not known."""


class PhasedRate(keras.callbacks.Callback):
    """A learning rate in phases, set before each batch.

    Args:
        initial_rate: learning rate that the phases' shares are of.
        phases: `nash_tf.strategy.schedules.Phase`s, lengths in epochs. `fit(initial_epoch=...)` continues within them.
        first_epoch: epoch at which the first phase starts; before it the rate is that of its start.

    Warns once where training goes on at a rate of 0 when the last phase is over.

    Raises:
        UnknownLength: at the start of an epoch, if its number of batches is not known.
    """

    def __init__(self, initial_rate, phases, first_epoch=0) -> None:
        super().__init__()
        self.initial_rate, self.phases, self.first_epoch = initial_rate, tuple(phases), first_epoch
        self._rates: list[float] = []
        self._last_rate: float | None = None  # when this callback last looked
        self._has_warned = False  # that the last phase is over

    @property
    def has_run(self) -> bool:
        """Whether it has been told of an epoch's begin: a training loop of the user's own may not."""
        return bool(self._rates)

    def on_train_begin(self, logs=None):
        self._last_rate = None  # another model, or one that was trained on otherwise

    def on_epoch_begin(self, epoch, logs=None):
        _warn_of_others(self._last_rate, self.model)
        steps = (self.params or {}).get("steps")
        if not steps:
            raise UnknownLength(
                "the learning rate changes with every batch, and how many an epoch has is not known: give steps_per_epoch"
            )
        phases = [phase._replace(length=phase.length * steps) for phase in self.phases]
        before = (epoch - self.first_epoch) * steps
        self._warn_of_end(before + steps - sum(phase.length for phase in phases))
        together = self.model.steps_per_execution  # Keras completes the last group of steps where the data are endless
        count = -(-steps // together) * together if isinstance(together, int) else steps
        self._rates = [schedules.phased(max(0, before + step), phases, self.initial_rate) for step in range(count)]
        fast_training.follow_rates(self.model, self._rates)
        self._last_rate = _rate(self.model)

    def _warn_of_end(self, steps_behind):
        if steps_behind < 1 or self._has_warned or not self.phases or self.phases[-1].end:
            return
        end = self.first_epoch + sum(phase.length for phase in self.phases)
        warnings.warn(
            f"the learning rate is 0 from here on, for it is annealed until epoch {end:g}; train no longer, or anneal it longer",
            stacklevel=2,
        )
        self._has_warned = True

    def on_epoch_end(self, epoch, logs=None):
        self._last_rate = _rate(self.model)

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 0:
            _warn_of_others(self._last_rate, self.model)
        if self._rates and not fast_training.is_followed(self.model):
            self.model.optimizer.learning_rate = self._rates[batch]

    def on_train_end(self, logs=None):
        fast_training.follow_rates(self.model, None)


class SGDR(PhasedRate):
    """Cosine annealing with warm restarts (Loshchilov and Hutter 2017, SGDR, arXiv 1608.03983).

    Args:
        initial_rate: learning rate at the start of each period.
        periods: length of each period, in epochs. `fit(initial_epoch=...)` continues within them; after the last the rate is 0,
            which is warned of once.
        first_epoch: epoch at which the first period starts; before it the learning rate is `initial_rate`.

    Raises:
        ValueError: a rate or a length that is no number above 0, or no period.
        UnknownLength: at the start of an epoch, if its number of batches is not known.
    """

    def __init__(self, initial_rate, periods, first_epoch=0) -> None:
        _check_above_0("initial_rate", initial_rate)
        self.periods = tuple(periods) if isinstance(periods, Iterable) else ()
        if not (self.periods and all(map(_is_above_0, self.periods))):
            raise ValueError(f"periods must be numbers above 0, one or more, received {periods!r}")
        super().__init__(initial_rate, schedules.annealings(self.periods), first_epoch)


class CosineAnnealing(SGDR):
    """Cosine annealing without restarts.

    Args:
        initial_rate: learning rate at the start.
        epochs: number of epochs after which it is 0; training longer is warned of once.
        first_epoch: epoch at which the annealing starts.

    Raises:
        ValueError: the rate or the number of epochs is no number above 0.
        UnknownLength: at the start of an epoch, if its number of batches is not known.
    """

    def __init__(self, initial_rate, epochs, first_epoch=0) -> None:
        _check_above_0("epochs", epochs)
        super().__init__(initial_rate, (epochs,), first_epoch)


def _check_above_0(name: str, value: Any) -> None:
    if not _is_above_0(value):
        raise ValueError(f"{name} must be a number above 0, received {value!r}")


def _is_above_0(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < math.inf


# Other callbacks that set the rate -------------------------------------------------------------------------------


def rate_setters(callbacks) -> list[str]:
    """Class names of the callbacks that are made to set the learning rate."""
    classes = keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau, PhasedRate
    return [type(callback).__name__ for callback in callbacks if isinstance(callback, classes)]


def watched(callbacks: list) -> list:
    """The callbacks; if they may run any code, between two others that warn when one of them sets the learning rate."""
    if all(type(each).__module__.startswith("keras.") and not _runs_code(each) for each in callbacks):
        return callbacks
    before = _Rate()
    return [before, *callbacks, _Rate(before)]


def _runs_code(callback) -> bool:
    return isinstance(callback, keras.callbacks.LambdaCallback)


class _Rate(keras.callbacks.Callback):
    """Records the learning rate at each event. The second of a pair warns if it changed since the first, `before`."""

    def __init__(self, before: "_Rate | None" = None):
        super().__init__()
        self.rate: float | None = None
        self._before, self._warned = before, False

    def _look(self, *_, **__):
        if self._before is None:
            self.rate = _rate(self.model)
        elif not self._warned:
            self._warned = _warn_of_others(self._before.rate, self.model)

    on_train_begin = on_epoch_begin = on_epoch_end = on_train_batch_begin = on_train_batch_end = _look


def _rate(model: keras.Model) -> float:
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


def _warn_of_others(expected: float | None, model: keras.Model) -> bool:
    if expected is None or expected == _rate(model):
        return False
    warnings.warn(
        "a callback sets the learning rate, but it is annealed, so the callback's rate will be overwritten; derive the "
        "callback from keras.callbacks.LearningRateScheduler, and a search leaves the rate to it",
        stacklevel=2,
    )
    return True


# Saving --------------------------------------------------------------------------------------------------------------


def without_backups(callbacks: Sequence, say: Callable[[str], None]) -> list:
    """The callbacks without those that would have a training go on from what another one has left in their folder, which is said."""
    kept = [each for each in callbacks if not isinstance(each, keras.callbacks.BackupAndRestore)]
    if len(kept) < len(callbacks):
        say(
            "BackupAndRestore is left out, for all trainings would share its folder, and one begin with what another has left there: a search "
            "goes on after an interruption without it"
        )
    return kept


# TensorBoard ----------------------------------------------------------------------------------------------------------


def log_apart(callbacks, run: str, hparams: dict) -> list:
    """Lets each `TensorBoard` callback write a run of its own, with hyperparameters for the HParams view.

    Args:
        callbacks: copies of the user's callbacks; the log directory of those of class `TensorBoard` is changed.
        run: name of the run, a path below the log directory with "/" between its parts.
        hparams: name -> number or text.

    Returns:
        The callbacks, and new ones that write the hyperparameters.
    """
    added = []
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.TensorBoard):
            from tensorboard.plugins.hparams import api

            callback.log_dir = os.path.join(callback.log_dir, *run.split("/"))
            added.append(api.KerasCallback(callback.log_dir, hparams, trial_id=run))
    return [*callbacks, *added]
