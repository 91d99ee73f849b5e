"""What the constructors of a search accept, checked before anything else."""

import inspect
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from inspect import Parameter
from numbers import Real
from typing import Any, TypeVar

import keras
import keras_tuner
import tensorflow as tf

from nash_tf.morphisms import registry
from nash_tf.morphisms.names import nearest
from nash_tf.strategy import methods
from nash_tf.strategy.search_settings import Settings
from nash_tf.strategy.unused import unused_in_search
from nash_tf.tuning.given_callbacks import callbacks_of

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
SETTINGS = tuple(field.name for field in fields(Settings))
_Class = TypeVar("_Class", bound=type)


class NotUsed(UserWarning):
    """An argument changes nothing beside the others."""


def takes_settings(owner: _Class) -> _Class:
    """Has help name and explain the settings of a search among the arguments of a class, whose constructor takes them as `**kwargs`:
    in its docstring they take the place of a line `{settings}`."""
    constructor = vars(owner)["__init__"]
    own = inspect.signature(constructor).parameters.values()
    settings = [
        Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
        for field in fields(Settings)
    ]
    constructor.__signature__ = inspect.Signature(sorted([*settings, *own], key=lambda parameter: parameter.kind))
    explained = inspect.cleandoc(Settings.__doc__ or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    owner.__doc__ = inspect.cleandoc(owner.__doc__ or "").replace("    {settings}", explained)  # Python -OO keeps none
    return owner


def settings_of(given: Mapping[str, Any]) -> Settings:
    """The settings of a search by what users may give: a seed of None is 0, and sizes may be a list.

    Raises:
        TypeError, ValueError: as of `Settings`.
    """
    seed, sizes = given.get("seed"), given.get("front_sizes", ())
    is_list = isinstance(sizes, Sequence) and not isinstance(sizes, str)  # a string is refused as it is
    own = {"seed": 0 if seed is None else seed, "front_sizes": tuple(sizes) if is_list else sizes}
    return Settings(**{**given, **own})


def warn_of_unused(settings: Settings, max_trials: int | None = None) -> None:
    """Warns of settings that change nothing though they are not the default, of operators that users have registered for a
    method that draws from its own, and of so many trials at most where it is not they that a method lays out."""
    own = [name for name, operator in registry.items() if not type(operator).__module__.startswith("nash_tf.")]
    method = methods.registry[settings.method]
    if own and method.grows and not method.has_foresight:
        weighing = ", ".join(name for name, each in methods.registry.items() if each.has_foresight)
        warnings.warn(
            f"registered operators are not drawn by method {method.name!r}, which has its own: {', '.join(own)}; {weighing} weigh them",
            NotUsed,
            stacklevel=4,
        )
    if max_trials and method.is_budgeted:
        warnings.warn(
            f"max_trials={max_trials} may end the search in the middle of its one budget: with method {method.name!r} the learning rate falls "
            "at the end of that alone. Leave it out, and give the budget that is to be spent, as budget_epochs or max_hours",
            stacklevel=4,
        )
    for name, why in unused_in_search(settings).items():
        value = getattr(settings, name)
        if value != getattr(Settings, name):
            warnings.warn(f"{name}={value!r} is not used: {why}", NotUsed, stacklevel=4)


def check_names(given: Iterable[str], *takers: type) -> None:
    """Checks names of arguments against those that classes take, and `keras_tuner.Oracle`.

    Raises:
        TypeError: none takes one, with what to give instead.
    """
    known = [
        name
        for taker in (*takers, keras_tuner.Oracle)
        for name, parameter in inspect.signature(taker).parameters.items()
        if parameter.kind is not Parameter.VAR_KEYWORD
    ]
    for name in given:
        if name not in known:
            instead = f"; {HINTS[name]}" if name in HINTS else nearest(name, known)
            raise TypeError(
                f"{name} is no argument of this search{instead or f'; see help({takers[0].__name__}) for those it has'}"
            )


def check(given: Mapping[str, Any]) -> None:
    """Checks the arguments of a search, by name.

    Raises:
        TypeError: an argument is of a wrong type.
        ValueError: an argument is out of its range.
    """
    for name, value in given.items():
        if value is None and name in MAY_BE_NONE:
            continue
        if name in ABOVE_0:
            _require(isinstance(value, Real) and not isinstance(value, bool), TypeError, name, "a number", value)
            _require(value > 0, ValueError, name, "above 0", value)
            or_none = ", or None for no limit" if name in MAY_BE_NONE else ""
            _require(value < math.inf, ValueError, name, f"finite{or_none}", value)
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
    if isinstance(hypermodel, keras.Model):
        raise ValueError(
            f"hypermodel must be a function of hp that returns a compiled model, or a HyperModel, received a model, {hypermodel.name!r}; "
            "give a function that makes it anew each time"
        )
    if isinstance(hypermodel, type) and issubclass(hypermodel, keras_tuner.HyperModel):
        raise ValueError(
            f"hypermodel must be a function of hp, or a HyperModel, received the class; give {hypermodel.__name__}()"
        )
    if executions_per_trial != 1:
        raise ValueError("executions_per_trial must be 1: one checkpoint cannot keep the weights of several models")
    if max_model_size is not None:
        raise ValueError(f"max_model_size={max_model_size} is not used; give max_params, beyond which nothing grows")


def check_of_search(positional: Sequence, named: Mapping, has_own_fit: bool, calibration: Any) -> None:
    """Checks what a search is given for `fit`, before the first training.

    Args:
        positional, named: as they are given.
        has_own_fit: whether the hypermodel has a `fit` of its own, which may make batches itself.
        calibration: the batch that is given beside them, or None for the first of the training data.

    Raises:
        ValueError: a callback is none, or a data set has no batches.
    """
    for each in callbacks_of(named.get("callbacks")):
        if isinstance(each, type) or not hasattr(each, "set_model"):
            raise ValueError(f"callbacks must be instances of keras.callbacks.Callback, received {each!r}")
    x, is_needed = positional[0] if positional else named.get("x"), not has_own_fit
    if is_needed or calibration is None:
        _check_batches("x", x, "" if is_needed else ", or calibration, a batch of it")
    if is_needed:
        _check_batches("validation_data", named.get("validation_data"))


def without_epochs(caller: str, named: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `fit` by name but for those that a search sets; that these are not used is said.

    Args:
        caller: who was given them.
        named: they.
    """
    for name in ("epochs", "initial_epoch"):
        if name in named:
            warnings.warn(
                f"{caller}({name}={named[name]}) is not used: see budget_epochs, epochs_per_step and vanilla_epochs",
                stacklevel=3,
            )
    return {name: value for name, value in named.items() if name not in ("epochs", "initial_epoch")}


def _check_batches(name: str, dataset: Any, or_else: str = "") -> None:
    """Refuses a data set whose elements are single examples: a label has no axis, or inputs and labels differ in their first."""
    if not isinstance(dataset, tf.data.Dataset):
        return
    spec = dataset.element_spec
    shapes = [
        each.shape
        for each in tf.nest.flatten(spec[:2] if isinstance(spec, tuple) else spec)
        if isinstance(each, tf.TensorSpec) and each.shape.rank is not None
    ]
    if any(not shape.rank for shape in shapes) or len({shape[0] for shape in shapes} - {None}) > 1:
        raise ValueError(
            f"{name} must be a data set of batches, received one whose elements are of shape {', '.join(map(str, shapes))}; give a "
            f"batched dataset, {name}.batch(32){or_else}"
        )


def _require(holds: bool, error: type[Exception], name: str, rule: str, value) -> None:
    if not holds:
        raise error(f"{name} must be {rule}, received {value!r}")
