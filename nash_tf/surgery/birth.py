"""The birth of a child: its weights and optimiser slots from its parent's."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import keras

from nash_tf.architecture import Architecture, Node, layer_rules
from nash_tf.architecture.costs import added
from nash_tf.keras_models.building import to_keras, with_policies_of
from nash_tf.keras_models.calibration import calibrate, remeasure
from nash_tf.keras_models.compilation import compile_like
from nash_tf.keras_models.own_attributes import carry_attributes, carry_weights
from nash_tf.keras_models.slot_powers import slot_powers
from nash_tf.keras_models.state import State, as_tensors, carry_trainable, read_state, write_optimizer, write_state
from nash_tf.morphisms import are_exact, known
from nash_tf.morphisms.base import Move
from nash_tf.morphisms.draw import replay
from nash_tf.morphisms.weight_transfer import (
    MADE_ANEW,
    Copy,
    Fold,
    Fresh,
    Key,
    apply_to_slots,
    apply_to_weights,
    inherited_calibration,
)
from nash_tf.surgery import certificate
from nash_tf.surgery.filter_ranking import by_weights, settled


class Child(NamedTuple):
    """A child as data, before it is a Keras model.

    Attributes:
        architecture: its architecture.
        state: its weights, optimiser slots and counters.
        pending: names of the batch normalisations that are still to be calibrated.
        fresh: its variables that the parent does not have.
        stale: names of the batch normalisations, and of layers with such inside, behind what approximate moves changed: their
            statistics no longer fit.
        copies: by variable that is a copy the parent's of which it is one.
    """

    architecture: Architecture
    state: State
    pending: tuple[str, ...]
    fresh: frozenset[Key]
    stale: tuple[str, ...] = ()
    copies: Mapping[Key, Key] = MappingProxyType({})


def inherit(
    parent: Architecture, state: State, moves: Sequence[Move], optimizer: Callable[[], keras.Optimizer] | None = None
) -> Child:
    """The child that moves make of a trained parent. Where a move leaves open which filters go, the parent's weights tell (see
    `nash_tf.surgery.filter_ranking.by_weights`).

    Args:
        parent: the parent's architecture.
        state: the parent's weights and optimiser slots; they are not changed.
        moves: the moves, in order.
        optimizer: gives one with the settings of the optimiser that has the slots, where it must be known how they grow with gradients;
            without it all are taken for momentum.

    Raises:
        ValueError: a move's site is not a site of the architecture it is applied to.
    """
    child, weights, slots = parent, dict(state.weights), dict(state.slots)
    pending: tuple[str, ...] = ()
    fresh, touched, copies = set[Key](), set[str](), dict[Key, Key]()
    for move in moves:
        child, ((transfer, seed),) = replay(child, [settled(child, move, partial(by_weights, child, weights))])
        touched |= {name for name, _ in transfer.recipes}
        pending = inherited_calibration(transfer, pending)
        weights = apply_to_weights(transfer, weights, seed)
        copies |= {
            key: copies.get(recipe.source, recipe.source)
            for key, recipe in transfer.recipes.items()
            if isinstance(recipe, Copy)
        }
        is_scaling = any(isinstance(each, Copy) and each.slot_factor != 1 for each in transfer.recipes.values())
        powers = slot_powers(optimizer()) if optimizer and slots and is_scaling else {}
        slots = {sort: apply_to_slots(transfer, arrays, powers.get(sort, 1)) for sort, arrays in slots.items()}
        fresh |= {
            key
            for key, recipe in transfer.recipes.items()
            if isinstance(recipe, Fresh) or (key not in state.weights and not isinstance(recipe, MADE_ANEW))
        }

    def left(arrays: Mapping[Key, Any]) -> dict[Key, Any]:
        """Without what belongs to removed layers."""
        return {key: array for key, array in arrays.items() if key[0] in child}

    state = State(left(weights), {sort: left(arrays) for sort, arrays in slots.items()}, state.counters)
    pending = tuple(name for name in pending if name in child)
    stale = () if are_exact(operator for operator, *_ in moves) else _stale(parent, child, touched)
    stale = tuple(name for name in stale if name not in pending)
    return Child(child, state, pending, frozenset(key for key in fresh if key[0] in child), stale, copies)


def _stale(parent: Architecture, child: Architecture, touched: Collection[str]) -> tuple[str, ...]:
    """The batch normalisations, and layers with such inside, that read other nodes than in the parent, or lie behind nodes that
    have changed. One that is called more than once is so where any of its calls is, and changes what is behind the others."""

    def reads_as_before(node: Node) -> bool:
        return node.name in parent and node.inputs == parent[node.name].inputs

    def layer_of(node: Node) -> str:
        return node.config.get(layer_rules.CALL, {}).get(layer_rules.LAYER_OF, node.name)

    holders = {
        node.name for node in child.nodes if any(name.partition(":")[0] == "moving_mean" for name in node.statistics)
    }
    calls = [node for node in child.nodes if layer_of(node) in holders]
    changed = {node.name for node in child.nodes if node.name in touched or not reads_as_before(node)}
    stale, before = set[str](), -1
    while len(stale) > before:
        before = len(stale)
        stale |= {
            layer_of(node)
            for node in calls
            if not (reads_as_before(node) and changed.isdisjoint(child.ancestors[node.name]))
        }
        changed |= {node.name for node in calls if layer_of(node) in stale}
    return tuple(node.name for node in child.nodes if node.name in stale)


def make_child(
    model: keras.Model, parent: Architecture, moves: Sequence[Move], inputs: Any
) -> tuple[keras.Model, Child]:
    """The child's model, compiled like its parent and with its own attributes, and the child.

    Before a move that folds a batch normalisation whose statistics no longer fit, they are measured.

    Args:
        model: the parent's model, which is not changed.
        parent: its architecture.
        moves: the moves, in order.
        inputs: a batch to calibrate the child on; None for none.
    """
    state = read_state(model, copied=False)
    if inputs is not None and (before := _before_stale_fold(parent, state, moves)):
        half, first = make_child(model, parent, before, inputs)
        made, last = make_child(half, first.architecture, moves[len(before) :], inputs)
        return made, _since_the_first(first, last)
    child = inherit(parent, state, moves, lambda: model.optimizer)
    weights = as_tensors(state, child.state.weights)
    made = with_policies_of(model, lambda: to_keras(child.architecture, like=model, weights=weights))
    carry_trainable(made, model)
    if model.compiled:
        compile_like(made, model, child.copies)
    carry_attributes(made, model)
    write_optimizer(made, child.state)
    carry_weights(made, model)
    if inputs is not None:
        calibrate_child(made, child, inputs)
    return made, child


def _before_stale_fold(parent: Architecture, state: State, moves: Sequence[Move]) -> Sequence[Move]:
    """The moves before the first that folds a batch normalisation which those leave stale; none where there is no such."""
    for number, move in enumerate(moves):
        if number and known()[move.operator].exact and not are_exact(name for name, *_ in moves[:number]):
            child = inherit(parent, state, moves[:number])
            _, ((transfer, _),) = replay(child.architecture, [move])
            if any(isinstance(each, Fold) and each.norm in child.stale for each in transfer.recipes.values()):
                return moves[:number]
    return ()


def _since_the_first(first: Child, last: Child) -> Child:
    """A child in two steps, as that of the first parent."""
    fresh = last.fresh | {key for key in first.fresh if key in last.state.weights}
    copies = {key: first.copies.get(source, source) for key, source in last.copies.items()}
    return last._replace(fresh=fresh, copies={**first.copies, **copies})


def calibrate_child(model: keras.Model, child: Child, inputs: Any) -> None:
    """Calibrates a child's new batch normalisations on a batch, in float32, and measures those anew that are stale.

    Args:
        model: the child's model, with its weights.
        child: the child.
        inputs: a batch of the model's inputs.
    """
    exact = certificate.in_float32(model)
    remeasure(exact, child.architecture, child.stale, inputs)
    calibrate(exact, child.architecture, child.pending, inputs)
    if exact is not model:
        write_state(model, State(read_state(exact, copied=False).weights, {}))


def cost(parent: Architecture, child: Architecture) -> dict[str, int]:
    """What a child has more than its parent.

    Returns:
        `added_params`, of frozen layers too, and `added_flops`, operations per image; the latter only where the size of
        an image is fixed.
    """
    params, flops = added(parent, child)
    return {"added_params": params} if flops is None else {"added_params": params, "added_flops": flops}
