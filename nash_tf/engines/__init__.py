"""Engines: who trains what a search asks for, and where. One module each, with its line in `nash_tf.settings.engine.REGISTRY`.

A module holds

- `Engine`, a class that can be made without arguments and does what the protocol here says;
- `started(config, command, task)`: a context that gives an `Engine` for a run of the program.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:  # who only begins a cluster needs no TensorFlow
    import keras_tuner


class Parts(NamedTuple):
    """What a process needs to train.

    Attributes:
        hypermodel: builds the first network, and trains any.
        arguments: of `tuner.search` by name: the data, settings and callbacks of `fit`.
        calibration: as `nash_tf.HillClimbing` takes it.
    """

    hypermodel: "keras_tuner.HyperModel"
    arguments: Mapping[str, Any]
    calibration: Any


class Task(NamedTuple):
    """What is learnt, so that other processes can make the parts of it that cannot be sent.

    Attributes:
        data: what can be sent, and is large.
        make: makes the parts of it; can be sent.
    """

    data: Any
    make: Callable[[Any], Parts]


class Engine(Protocol):
    """Who trains."""

    def search(self, tuner, fit_args: Sequence[Any], fit_kwargs: Mapping[str, Any]) -> None:
        """Has trained what a tuner's oracle hands out, until the search is over.

        Args:
            tuner: a `nash_tf.HillClimbing`, in whose directory all that ends is kept.
            fit_args, fit_kwargs: of its `search`.
        """

    def results(self) -> dict[str, Any]:
        """What results.json says of it."""
