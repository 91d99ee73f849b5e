"""The learning rate of a training beside what the user gives it, and its end."""

import warnings
from collections.abc import Callable, Sequence

import keras
import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.callbacks import PhasedRate, log_apart, rate_setters, watched
from nash_tf.keras_models import private_api
from nash_tf.keras_models.made_again import inner_optimizer
from nash_tf.morphisms import registry
from nash_tf.strategy.records import Assignment
from nash_tf.training.movable_end import MovableEnd, Moved
from nash_tf.training.resumable_training import TrainingState
from nash_tf.training.watching import Limits, Watch
from nash_tf.training.weight_average import WeightAverage

NEXT_TO_NOTHING = 0.01  # share of the highest rate
LOOKED_AT = 20  # steps of a schedule, evenly spaced


def is_annealed(model: keras.Model, given: Sequence[keras.callbacks.Callback]) -> bool:
    """Whether the rate is set here, and not by a schedule or a callback of the user's."""
    return model.optimizer.initial_rate is not None and not rate_setters(given)


def run_down(optimizer: keras.Optimizer) -> str | None:
    """What is to be said of a network that begins to train when its schedule has come to next to nothing; None where it has not.

    Args:
        optimizer: of the network, with the steps that its lineage has done.
    """
    inner = inner_optimizer(optimizer)
    schedule, steps = private_api.rate_of(inner), int(keras.ops.convert_to_numpy(inner.iterations))
    if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule) or not steps:
        return None
    highest, now = max(map(_rate_at(schedule), np.linspace(0, steps, LOOKED_AT))), _rate_at(schedule)(steps)
    if now > NEXT_TO_NOTHING * highest:
        return None
    return (
        f"{type(schedule).__name__} has come to a learning rate of {now:.3g} in the {steps} steps that the networks before have done, so that "
        "those from here on hardly learn: a schedule runs over all trainings from the first network to the last. Give one that lasts as "
        "long, or a number, which the method anneals"
    )


def _rate_at(schedule: Callable) -> Callable[[float], float]:
    return lambda step: float(keras.ops.convert_to_numpy(schedule(keras.ops.cast(int(step), "int32"))))


def with_rate(
    model: keras.Model, architecture: Architecture, assignment: Assignment, given: Sequence[keras.callbacks.Callback]
) -> list[keras.callbacks.Callback]:
    """The user's callbacks, and the one that anneals the learning rate, where none of them sets it."""
    key, is_ours = assignment.key, is_annealed(model, given)
    if not is_ours and model.optimizer.initial_rate is not None:
        model.optimizer.learning_rate = model.optimizer.initial_rate  # a model at hand has that of its last batch
        warnings.warn(
            f"the learning rate is left to {', '.join(rate_setters(given))}: it is not annealed as the method has it",
            stacklevel=2,
        )
    operators = [operator for operator, *_ in assignment.moves]
    callbacks = log_apart(
        watched(list(given)) if is_ours else list(given),
        f"step{key.step:03}/child{key.child:02}",
        {
            "step": key.step,
            "child": key.child,
            "params": architecture.params,
            **{operator: operators.count(operator) for operator in registry},
        },
    )
    if is_ours:
        callbacks.append(PhasedRate(model.optimizer.initial_rate, assignment.phases))
    return callbacks


def end_of(
    limits: Limits,
    began: tuple[float, float],
    assignment: Assignment,
    start: TrainingState,
    callbacks: Sequence[keras.callbacks.Callback],
    average: WeightAverage | None,
) -> Watch:
    """What ends a training at its limits; it moves the end of one that is made shorter, with the rate and the average."""
    left = limits.after(start.cpu_seconds)
    if not limits.shortened:
        return Watch(left, began)
    is_ours = callbacks and type(callbacks[-1]) is PhasedRate  # others are the user's
    rate = callbacks[-1] if is_ours else None
    moved = Moved(*start.moved) if start.moved else None
    return MovableEnd(left, began, assignment, rate, average, start.epoch, moved)
