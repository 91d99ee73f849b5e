"""How an optimiser's slots grow with the gradient."""

import math

import keras

from nash_tf.keras_models import private_api
from nash_tf.keras_models.made_again import inner_optimizer, optimizer_again
from nash_tf.keras_models.state import copy_of

_LEFT_OUT = ("clipnorm", "clipvalue", "global_clipnorm", "gradient_accumulation_steps")  # settings


def slot_powers(optimizer: keras.Optimizer) -> dict[str, int]:
    """By sort of slot n, where c times the gradient changes it c ** n times as much in a first step: 1 for momentum, 2 for means of
    squares, 0 for what does not depend on the gradient's length. Sorts of which that step tells nothing are left out, and so are
    moving averages of weights."""
    made = optimizer_again(inner_optimizer(optimizer))
    for name in _LEFT_OUT:
        setattr(made, name, None)
    variable = keras.Variable([0.5, 0.5])
    made.build([variable])
    _, lists = private_api.optimizer_lists(made)
    slots = {
        sort: values[0]
        for sort, values in lists.items()
        if sort != private_api.AVERAGES
        and len(values) == 1
        and isinstance(values[0], keras.Variable)
        and values[0].shape == variable.shape
    }
    before = {sort: copy_of(slot) for sort, slot in slots.items()}
    made.apply([keras.ops.convert_to_tensor([1.0, 2.0])])
    changes = {sort: copy_of(slot) - before[sort] for sort, slot in slots.items()}
    return {sort: round(math.log2(two / one)) for sort, (one, two) in changes.items() if one * two > 0}
