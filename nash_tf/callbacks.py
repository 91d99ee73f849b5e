"""Learning-rate callbacks, stepped every batch; the curves are those of `nash_tf.strategy.schedules`."""

import os
import warnings

import keras

from nash_tf.keras_models import fast_training
from nash_tf.strategy import schedules


class UnknownLength(ValueError):
    """The number of batches of an epoch is not known."""


class SGDR(keras.callbacks.Callback):
    """Cosine annealing with warm restarts.

    Args:
        initial_rate: rate at the start of each period.
        periods: length of each annealing, in epochs; `fit(initial_epoch=...)` goes on within them.
        first_epoch: epoch at which the first of them starts; before it the rate is `initial_rate`.

    Raises:
        UnknownLength: at the start of training, where the number of batches of an epoch is not known.
    """

    def __init__(self, initial_rate, periods, first_epoch=0):
        super().__init__()
        self.initial_rate, self.periods, self.first_epoch = initial_rate, tuple(periods), first_epoch
        self._rates, self._followed = [], False
        self._seen = None  # the rate when this callback last looked

    def on_epoch_begin(self, epoch, logs=None):
        _warn_of_others(self._seen, self.model)
        steps = self.params.get("steps")
        if not steps:
            raise UnknownLength(
                "a rate stepped every batch needs the number of batches of an epoch; give steps_per_epoch to fit"
            )
        periods = [period * steps for period in self.periods]
        before = (epoch - self.first_epoch) * steps
        together = self.model.steps_per_execution  # Keras does the last group of an endless data set whole
        count = -(-steps // together) * together if isinstance(together, int) else steps
        self._rates = [schedules.sgdr(max(0, before + step), periods, self.initial_rate) for step in range(count)]
        self._followed = fast_training.follow_rates(self.model, self._rates)
        self._seen = _rate(self.model)

    def on_epoch_end(self, epoch, logs=None):
        self._seen = _rate(self.model)

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 0:
            _warn_of_others(self._seen, self.model)
        if not self._followed:
            self.model.optimizer.learning_rate = self._rates[batch]

    def on_train_end(self, logs=None):
        fast_training.follow_rates(self.model, None)


class CosineAnnealing(SGDR):
    """Half a cosine from `initial_rate` to 0 over `epochs`, which start at `first_epoch`."""

    def __init__(self, initial_rate, epochs, first_epoch=0):
        super().__init__(initial_rate, (epochs,), first_epoch)


# Callbacks of others that set the rate -------------------------------------------------------------------------------


def rate_setters(callbacks) -> list[str]:
    """Names of the classes of those callbacks whose purpose is to set the learning rate."""
    known = keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau, SGDR
    return [type(callback).__name__ for callback in callbacks if isinstance(callback, known)]


def watched(callbacks: list) -> list:
    """The callbacks, those that may do anything within two that warn where one of them sets the learning rate."""
    if all(type(each).__module__.startswith("keras.") and not _runs_code(each) for each in callbacks):
        return callbacks
    before = _Rate()
    return [before, *callbacks, _Rate(before)]


def _runs_code(callback) -> bool:
    return isinstance(callback, keras.callbacks.LambdaCallback)


class _Rate(keras.callbacks.Callback):
    """Notes the rate at each event; the second of two, the other one `before` it, warns where it has changed in between."""

    def __init__(self, before: "_Rate | None" = None):
        super().__init__()
        self.rate, self._before, self._warned = None, before, False

    def _look(self, *_):
        if self._before is None:
            self.rate = _rate(self.model)
        elif not self._warned:
            self._warned = _warn_of_others(self._before.rate, self.model)

    def on_train_begin(self, logs=None):
        self._look()

    def on_epoch_begin(self, epoch, logs=None):
        self._look()

    def on_epoch_end(self, epoch, logs=None):
        self._look()

    def on_train_batch_begin(self, batch, logs=None):
        self._look()

    def on_train_batch_end(self, batch, logs=None):
        self._look()


def _rate(model: keras.Model) -> float:
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


def _warn_of_others(expected: float | None, model: keras.Model) -> bool:
    if expected is None or expected == _rate(model):
        return False
    warnings.warn(
        "a callback sets the learning rate, which is annealed here and will be overwritten; derive it from "
        "keras.callbacks.LearningRateScheduler, and the rate is left to it",
        stacklevel=2,
    )
    return True


# TensorBoard ----------------------------------------------------------------------------------------------------------


def log_apart(callbacks, run: str, hparams: dict) -> list:
    """Gives each `TensorBoard` callback its own run under its log directory, with hyperparameters for the HParams view.

    Args:
        callbacks: copies of the user's; the TensorBoard ones are altered.
        run: name of the run; its parts, divided by "/", become folders.
        hparams: name -> number or text.

    Returns:
        The callbacks, and those that write the hyperparameters.
    """
    added = []
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.TensorBoard):
            from tensorboard.plugins.hparams import api

            callback.log_dir = os.path.join(callback.log_dir, *run.split("/"))
            added.append(api.KerasCallback(callback.log_dir, hparams, trial_id=run))
    return [*callbacks, *added]
