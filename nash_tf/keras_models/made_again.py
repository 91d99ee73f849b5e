"""Makes metrics and optimisers again from their configs."""

from collections.abc import Callable
from typing import Any, TypeVar

import keras

from nash_tf.keras_models import private_api
from nash_tf.keras_models.plain_values import differ
from nash_tf.keras_models.settings_kept import check_settings

_OF_GRADIENTS = ("clipnorm", "clipvalue", "global_clipnorm", "gradient_accumulation_steps")  # settings
Made = TypeVar("Made", keras.Metric, keras.Optimizer)


def metric_again(metric: keras.Metric) -> keras.Metric:
    """A new metric with the settings of another.

    Raises:
        ValueError: its config leaves settings out; the message names one.
    """
    return _again("metric", metric, lambda: type(metric).from_config(metric.get_config()))


def optimizer_again(optimizer: keras.Optimizer) -> keras.Optimizer:
    """A new optimiser with the settings of another and no state. A learning rate that is a schedule of a user's own class, or a function,
    is the other's own: it has no state.

    Raises:
        ValueError: its config leaves settings out; the message names one.
    """
    inner = inner_optimizer(optimizer)
    rate = _own_rate(inner)

    def make():
        config = optimizer_config(optimizer)
        # The class of an inner optimiser need not be registered.
        with keras.saving.custom_object_scope({type(inner).__name__: type(inner)}):
            made = type(optimizer).from_config(config)
        if rate is not None:
            inner_optimizer(made).learning_rate = rate
        return made

    made = _again("optimizer", optimizer, make)
    old, new = (private_api.rate_of(inner_optimizer(each)) for each in (optimizer, made))
    if differ(old, new):
        cls = type(inner).__name__
        raise ValueError(f"optimizer {optimizer.name!r}: get_config of {cls} must return 'learning_rate'")
    return made


def slots_of_one(
    optimizer: keras.Optimizer, variable: keras.Variable
) -> tuple[keras.Optimizer, dict[str, keras.Variable]]:
    """A new optimiser with the settings of another that trains one variable alone, and its slots by sort. It neither clips gradients nor
    accumulates them, and scales no loss."""
    made = optimizer_again(inner_optimizer(optimizer))
    for name in _OF_GRADIENTS:
        setattr(made, name, None)
    made.build([variable])
    _, lists = private_api.optimizer_lists(made)
    slots = {sort: values[0] for sort, values in lists.items() if len(values) == 1}
    return made, {
        sort: slot for sort, slot in slots.items() if isinstance(slot, keras.Variable) and slot.shape == variable.shape
    }


def optimizer_config(optimizer: keras.Optimizer) -> dict[str, Any]:
    """An optimiser's config, also where its learning rate is one of which Keras can make none: that is in it as it is."""
    inner = inner_optimizer(optimizer)
    rate = _own_rate(inner)
    if rate is None:
        return optimizer.get_config()
    usual = private_api.like(inner, _learning_rate=keras.optimizers.schedules.ExponentialDecay(1.0, 1, 1.0))
    if inner is not optimizer:
        return private_api.like(optimizer, inner_optimizer=usual).get_config()
    config = usual.get_config()
    return config | ({"learning_rate": rate} if "learning_rate" in config else {})


def inner_optimizer(optimizer):
    """The optimiser that holds the slots; with float16 it is inside a loss-scaling one."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _own_rate(optimizer: keras.Optimizer) -> Any:
    """An optimiser's learning rate where it is a schedule of a user's own class, or a function; else None."""
    rate = private_api.rate_of(optimizer)
    return None if isinstance(rate, float) or type(rate).__module__.startswith("keras.") else rate


def _again(sort: str, original: Made, make: Callable[[], Made]) -> Made:
    cls = type(original).__name__
    try:
        made = make()
    except Exception as error:  # of any class: the code is the user's
        raise ValueError(
            f"{sort} {original.name!r}: get_config of {cls} must return all arguments ({error})"
        ) from error
    try:
        check_settings(original, made, make)
    except ValueError as error:
        raise ValueError(f"{sort} {original.name!r}: {error}") from None
    return made
