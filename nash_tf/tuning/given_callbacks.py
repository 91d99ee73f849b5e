"""What the user's callbacks mean for a search: whether a training with them can go on after an interruption, and may end before its last epoch."""

import warnings
from collections.abc import Sequence
from typing import Any

import keras

from nash_tf.strategy.methods import Method

# What these hold is for their own output. One that is derived from them may hold more.
_WITHOUT_STATE = (
    keras.callbacks.BackupAndRestore,  # the trainer leaves it out
    keras.callbacks.CSVLogger,
    keras.callbacks.RemoteMonitor,
    keras.callbacks.TensorBoard,
    keras.callbacks.TerminateOnNaN,
)


def callbacks_of(given: Any) -> list:
    """What `fit` takes as callbacks, none, one or several, as a list."""
    return list(given) if isinstance(given, list | tuple) else [given] if given else []


def with_state(callbacks: Sequence[keras.callbacks.Callback]) -> list[str]:
    """Class names of those that may hold what is lost with an interruption, e.g. how long there was no progress: all that are not known to
    hold nothing, and do not say `goes_on = True`."""
    names = [type(getattr(each, "tuner", each)).__name__ for each in callbacks if not _goes_on(each)]
    return list(dict.fromkeys(names))


def _goes_on(callback: keras.callbacks.Callback) -> bool:
    if type(callback) is keras.callbacks.ModelCheckpoint:  # it counts batches, or remembers the best score
        known = callback.save_freq == "epoch" and not callback.save_best_only
    else:
        known = type(callback) in _WITHOUT_STATE
    return bool(getattr(callback, "goes_on", known))


def warn_of_callbacks(callbacks: Sequence[keras.callbacks.Callback], method: Method, goes_on: bool) -> None:
    """Says, to somebody two calls up, what a search cannot do as it would without them.

    Args:
        callbacks: the user's, and what calls the hooks of the tuner.
        method: of the search.
        goes_on: whether trainings are saved while they go on, as far as the hypermodel says.
    """
    if goes_on and (names := with_state(callbacks)):
        warnings.warn(
            f"trainings are not saved as they go on, and begin anew after an interruption, for {', '.join(names)} may hold what an "
            "interruption would lose; one that does not may have the attribute goes_on = True",
            stacklevel=3,
        )
    stopping = [type(each).__name__ for each in callbacks if isinstance(each, keras.callbacks.EarlyStopping)]
    if stopping and method.is_budgeted:
        warnings.warn(
            f"{', '.join(stopping)}: method {method.name!r} lays out one budget, and the learning rate falls at its end. What a training that "
            "is stopped leaves of it goes to later ones; where the last one is stopped, the rate has not fallen, and weights are not averaged",
            stacklevel=3,
        )
