"""How an optimiser's slots grow with the gradient."""

import math

import keras

from nash_tf.keras_models import private_api
from nash_tf.keras_models.made_again import slots_of_one
from nash_tf.keras_models.state import copy_of


def slot_powers(optimizer: keras.Optimizer) -> dict[str, int]:
    """By sort of slot n, where c times the gradient changes it c ** n times as much in a first step: 1 for momentum, 2 for means of
    squares, 0 for what does not depend on the gradient's length. Sorts of which that step tells nothing are left out, and so are
    moving averages of weights."""
    made, slots = slots_of_one(optimizer, keras.Variable([0.5, 0.5]))
    before = {sort: copy_of(slot) for sort, slot in slots.items() if sort != private_api.AVERAGES}
    made.apply([keras.ops.convert_to_tensor([1.0, 2.0])])
    changes = {sort: copy_of(slots[sort]) - old for sort, old in before.items()}
    return {sort: round(math.log2(two / one)) for sort, (one, two) in changes.items() if one * two > 0}
