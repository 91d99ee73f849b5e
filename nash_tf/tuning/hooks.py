"""The hooks that Keras Tuner documents for tuners of one's own, called as its own tuners call them."""

import keras
import keras_tuner
from keras_tuner.engine.trial import Trial

HOOKS = ("on_epoch_begin", "on_epoch_end", "on_batch_begin", "on_batch_end")


def of_tuner(tuner: keras_tuner.Tuner, trial: Trial) -> list[keras.callbacks.Callback]:
    """A callback that calls those hooks that a tuner's class overrides; none where it overrides none, as a call for each batch costs time."""
    own = [name for name in HOOKS if getattr(type(tuner), name) is not getattr(keras_tuner.Tuner, name)]
    return [_Hooks(tuner, trial, own)] if own else []


class _Hooks(keras.callbacks.Callback):
    def __init__(self, tuner: keras_tuner.Tuner, trial: Trial, names: list[str]):
        super().__init__()
        for name in names:
            setattr(self, _METHODS.get(name, name), self._calling(getattr(tuner, name), trial))

    def _calling(self, hook, trial: Trial):
        return lambda number, logs=None: hook(trial, self.model, number, logs=logs)


_METHODS = {"on_batch_begin": "on_train_batch_begin", "on_batch_end": "on_train_batch_end"}
