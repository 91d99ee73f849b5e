"""The hypermodel of a search: the user's own network, or what has grown from it."""

import warnings

import keras
import keras_tuner

from nash_tf.architecture import Architecture
from nash_tf.keras_models import private_api
from nash_tf.keras_models.building import to_keras
from nash_tf.keras_models.compilation import compile_like
from nash_tf.keras_models.state import carry_trainable


class GrownHyperModel(keras_tuner.HyperModel):
    """A hypermodel that builds what a trial's values hold: the user's network, or the architecture grown from it, untrained.
    What else the user's hypermodel has, it has too."""

    def __init__(self, first: keras_tuner.HyperModel):
        super().__init__(first.name, first.tunable)
        self.first, self._has_warned = first, False

    def __getattr__(self, name):
        if name == "first":  # not there yet, as while a copy is made
            raise AttributeError(name)
        return getattr(self.first, name)

    @property
    def has_own_fit(self) -> bool:
        """Whether the user's hypermodel has a `fit` of its own."""
        return type(self.first).fit is not keras_tuner.HyperModel.fit

    @property
    def goes_on(self) -> bool:
        """Whether the user's hypermodel says of its `fit` that it does each epoch as it would have without an interruption before it."""
        return getattr(self.first, "goes_on", False)

    def build(self, hp):
        hp.is_told = True  # see `OfGrown`
        if "architecture" not in hp.values:
            return self.first.build(hp)
        private_api.reset_names()  # what is frozen, or spared weight decay, is told by names, which follow from what the process made before
        model = self.first.build(hp)
        grown = to_keras(Architecture.from_json(hp.values["architecture"]))
        carry_trainable(grown, model)
        compile_like(grown, model)
        return grown

    def declare_hyperparameters(self, hp):
        self.first.declare_hyperparameters(hp)

    def fit(self, hp, model, *args, **kwargs):
        hp.is_told = True
        returned = self.first.fit(hp, model, *args, **kwargs)
        self._warn_of_epochs(returned, model, **kwargs)
        return returned

    def _warn_of_epochs(self, returned, model, *, epochs=1, initial_epoch=0, **_):
        """Warns, once, of a `fit` that trains for other epochs than it is asked for: the rate falls over those."""
        if self._has_warned or not isinstance(returned, keras.callbacks.History):
            return
        asked, done = epochs - initial_epoch, len(returned.epoch)
        if done > asked or done < asked and not getattr(model, "stop_training", False):
            self._has_warned = True
            warnings.warn(
                f"HyperModel.fit was asked for {asked} epochs and trained {done}: rate and budget are laid out for those asked for; have fit "
                "pass initial_epoch and epochs on to model.fit",
                stacklevel=2,
            )
