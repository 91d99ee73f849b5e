"""What the constructors of a search accept, checked before anything else."""

import inspect
import warnings
from collections.abc import Mapping
from numbers import Real
from typing import Any

import keras_tuner

from nash_tf.strategy.search_settings import Settings
from nash_tf.strategy.unused import unused

# Keras Tuner users look for these; what says the same here.
HINTS = {
    "max_epochs": "give vanilla_epochs, for the first network, and epochs_per_step, for all children of a step together; with method "
    "grow budget_epochs, for all trainings together",
    "factor": "successive halving always halves: give children, a power of two",
    "hyperband_iterations": "give steps",
    "num_initial_points": "give children",
}
ABOVE_0 = ("max_hours", "max_cpu_hours", "heartbeat")
MAY_BE_NONE = ("max_hours", "max_cpu_hours", "on_trained", "fits")


class NotUsed(UserWarning):
    """An argument changes nothing beside the others."""


def warn_of_unused(settings: Settings) -> None:
    """Warns of settings that change nothing though they are not the default."""
    for name, why in unused(settings).items():
        value = getattr(settings, name)
        if value != getattr(Settings, name):
            warnings.warn(f"{name}={value!r} is not used: {why}", NotUsed, stacklevel=4)


def check(given: Mapping, others: Mapping) -> None:
    """Checks the arguments of a search.

    Args:
        given: its own by name.
        others: those that are meant for `keras_tuner.Oracle`.

    Raises:
        TypeError: an argument is unknown, with what to give instead, or is of a wrong type.
        ValueError: an argument is out of its range.
    """
    for name in others.keys() - inspect.signature(keras_tuner.Oracle.__init__).parameters.keys():
        raise TypeError(f"{name} is no argument of this search; {HINTS.get(name, 'see HillClimbing for those it has')}")
    for name, value in given.items():
        if value is None and name in MAY_BE_NONE:
            continue
        if name in ABOVE_0:
            _require(isinstance(value, Real) and not isinstance(value, bool), TypeError, name, "a number", value)
            _require(value > 0, ValueError, name, "above 0", value)
        elif name == "on_trained":
            _require(callable(value), TypeError, name, "callable with the oracle", value)
        elif name == "fits":
            _require(callable(value), TypeError, name, "callable with an architecture", value)


def check_of_tuner(hypermodel: Any, executions_per_trial: Any, max_model_size: Any) -> None:
    """Checks those arguments of a tuner that the search's have no use for.

    Raises:
        ValueError: an argument is refused, with what to give instead.
    """
    if hypermodel is None:
        raise ValueError(
            "hypermodel must build the first network, received None; a tuner that trains in a way of its own takes "
            "HillClimbingOracle"
        )
    if executions_per_trial != 1:
        raise ValueError("executions_per_trial must be 1: one checkpoint cannot keep the weights of several models")
    if max_model_size is not None:
        raise ValueError(f"max_model_size={max_model_size} is not used; give max_params, which no child passes")


def _require(holds: bool, error: type[Exception], name: str, rule: str, value) -> None:
    if not holds:
        raise error(f"{name} must be {rule}, received {value!r}")
