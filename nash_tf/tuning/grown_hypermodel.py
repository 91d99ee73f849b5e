"""The hypermodel of a search: the user's own network, or what has grown from it."""

import contextlib
import warnings
from collections.abc import Iterator

import keras
import keras_tuner

from nash_tf.architecture import Architecture
from nash_tf.keras_models import private_api
from nash_tf.keras_models.building import to_keras
from nash_tf.keras_models.compilation import compile_like
from nash_tf.keras_models.state import carry_trainable
from nash_tf.training.errors import Unsearchable
from nash_tf.training.watching import digest

_UNTRAINED = "HyperModel.fit did not train the model that it was given, "
_REMEDY = (
    "train that one; on several folds in a run_trial of your own that calls super().run_trial with the data of each and returns the mean (with "
    "the same data each call gives the same), or several times from the weights that it comes with, by model.get_weights() and set_weights(...)"
)


class GrownHyperModel(keras_tuner.HyperModel):
    """A hypermodel that builds what a trial's values hold: the user's network, or the architecture grown from it, untrained.
    What else the user's hypermodel has, it has too."""

    def __init__(self, first: keras_tuner.HyperModel):
        super().__init__(first.name, first.tunable)
        self.first, self._has_warned, self._is_said = first, False, False

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
        if not self.has_own_fit:
            return self.first.fit(hp, model, *args, **kwargs)
        before = _stage(model)
        with _calls_of_build(self.first) as built:
            returned = self.first.fit(hp, model, *args, **kwargs)
        self._warn_of_epochs(returned, model, **kwargs)
        if _is_asked(**kwargs) and _stage(model) == before:
            self._tell_of_another(bool(built))
        return returned

    def _tell_of_another(self, is_built: bool) -> None:
        """Says, once, that what a `fit` returned is of no weights that are kept.

        Raises:
            Unsearchable: it has built the model that it trained: the first network, for every child.
        """
        if is_built:
            raise Unsearchable(
                f"{_UNTRAINED}but one of its own build(hp), which makes the first network, whatever has grown: {_REMEDY}"
            )
        if not self._is_said:
            self._is_said = True
            warnings.warn(
                f"{_UNTRAINED}whose weights are kept: if it has trained another, what it returns is of weights that are lost. If so, {_REMEDY}",
                stacklevel=2,
            )

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


def _stage(model: keras.Model) -> tuple[int, str]:
    """Tells a model that was trained from what it was before: its optimiser's steps, for a rate may be too small to move a weight, and weights."""
    steps = getattr(model.optimizer, "iterations", 0)  # a `fit` of one's own may need no optimiser
    return int(keras.ops.convert_to_numpy(steps)), digest(model)


def _is_asked(*, epochs=1, initial_epoch=0, **_) -> bool:
    """Whether a `fit` is to train at all: a training that was interrupted at its end is not."""
    return epochs > initial_epoch


@contextlib.contextmanager
def _calls_of_build(hypermodel: keras_tuner.HyperModel) -> Iterator[list]:
    """Context that gives a list of the calls of a hypermodel's `build` within."""
    build, is_own, calls = hypermodel.build, "build" in vars(hypermodel), []

    def seen(hp):
        calls.append(hp)
        return build(hp)

    hypermodel.build = seen
    try:
        yield calls
    finally:
        del hypermodel.build
        if is_own:
            hypermodel.build = build
