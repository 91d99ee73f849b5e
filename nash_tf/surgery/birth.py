"""A child's birth: its weights and optimiser slots from its parent's."""

from collections.abc import Sequence
from typing import NamedTuple

import keras

from nash_tf.architecture import Architecture
from nash_tf.architecture.costs import flops
from nash_tf.keras_models.calibration import calibrate
from nash_tf.keras_models.state import State, read_state, write_state
from nash_tf.morphisms.base import Move
from nash_tf.morphisms.draw import replay
from nash_tf.morphisms.edit import Fresh, Key, apply_to_slots, apply_to_weights, inherited_calibration
from nash_tf.surgery import certificate


class Newborn(NamedTuple):
    """A child as data: its architecture, its weights and slots, and the batch normalisations still to be calibrated."""

    architecture: Architecture
    state: State
    pending: tuple[str, ...]
    fresh: frozenset[Key]


def inherit(parent: Architecture, state: State, moves: Sequence[Move]) -> Newborn:
    """The child that `moves` make of a trained parent; `state` is left as it is."""
    child, edits = replay(parent, moves)
    weights, slots, pending, fresh = dict(state.weights), dict(state.slots), (), set()
    for edit, seed in edits:
        pending = inherited_calibration(edit, pending)
        weights = apply_to_weights(edit, weights, seed)
        slots = {sort: apply_to_slots(edit, arrays) for sort, arrays in slots.items()}
        fresh |= {key for key, recipe in edit.recipes.items() if isinstance(recipe, Fresh) or key not in state.weights}
    return Newborn(child, State(weights, slots, state.counters), pending, frozenset(fresh))


def calibrate_newborn(model: keras.Model, born: Newborn, inputs) -> None:
    """Calibrates a newborn's new batch normalisations on a batch of inputs, in float32."""
    exact = certificate.in_float32(model)
    calibrate(exact, born.architecture, born.pending, inputs)
    if exact is not model:
        write_state(model, State(read_state(exact).weights, {}))


def cost(parent: Architecture, child: Architecture) -> dict[str, int]:
    """What a child has more than its parent: trained parameters, and operations an image where their number is known."""
    added = {"added_params": child.params - parent.params}
    operations = flops(parent), flops(child)
    return added if None in operations else {**added, "added_flops": operations[1] - operations[0]}
