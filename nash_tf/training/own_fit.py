"""What `model.fit` is called with where a `fit` of the user's own stands before it: that is what a model is trained with and judged by,
and not what the search was given."""

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from nash_tf.callbacks import PhasedRate
from nash_tf.seeds import drawing_apart
from nash_tf.training.fit_arguments import FitArguments
from nash_tf.training.watching import Watch

_TELLING = (
    "have it call them by keras.callbacks.CallbackList(callbacks, model=model, epochs=..., steps=...), or model.fit"
)


class Seen:
    """The calls of one model's `fit`, seen while the context is open.

    Args:
        model: whose.
        watches: callbacks that every call has, also where the user's `fit` does not hand on those that it was given.
        first: called once, before the first call trains, with its arguments.

    Attributes:
        received: the arguments of the last call, all by name; None where there was none: a loop of the user's own, or another model's `fit`.
    """

    def __init__(
        self,
        model: keras.Model,
        watches: Sequence[keras.callbacks.Callback] = (),
        first: Callable[[FitArguments], None] | None = None,
    ):
        self.received: FitArguments | None = None
        self._model, self._watches, self._first, self._fit = model, watches, first, model.fit

    def __enter__(self) -> "Seen":
        @functools.wraps(self._fit)
        def seen(*args, **kwargs):
            named = dict(inspect.signature(self._fit).bind(*args, **kwargs).arguments)
            callbacks = self._with_watches(named.pop("callbacks", None))
            received = FitArguments((), named)
            if self._first is not None:
                received, first, self._first = received.for_training(), self._first, None
                with drawing_apart():
                    first(received)
            self.received = received
            return self._fit(**received.named, callbacks=callbacks)

        vars(self._model)["fit"] = seen  # Keras would track what is set as an attribute
        return self

    def __exit__(self, *_):
        del vars(self._model)["fit"]

    def _with_watches(self, given: Any) -> Any:
        if isinstance(given, keras.callbacks.CallbackList):
            return given
        callbacks = keras.tree.flatten(given) if given else []
        return callbacks + [each for each in self._watches if not any(each is other for other in callbacks)]


def unheard(callbacks: Sequence[keras.callbacks.Callback]) -> Iterator[str]:
    """What a `fit` has left undone that does not tell its callbacks how it goes on, a sentence each."""
    if not all(callback.has_run for callback in callbacks if isinstance(callback, PhasedRate)):
        yield (
            "the learning rate is not annealed, nor are weights averaged: fit does not tell its callbacks where epochs and batches begin; "
            + _TELLING
        )
    if any(callback.is_passed_over for callback in callbacks if isinstance(callback, Watch)):
        yield "no limit on time ends a training: fit does not tell its callbacks where batches end; " + _TELLING
