"""Morphisms on a trained model: the child's weights and optimiser slots from the parent's, and `morph` for a user's own model."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from nash_tf import certificate, rebuild
from nash_tf.architecture import Architecture
from nash_tf.costs import flops
from nash_tf.morphisms import registry
from nash_tf.morphisms.base import Move
from nash_tf.morphisms.draw import draw, replay
from nash_tf.morphisms.edit import Fresh, Key, apply_to_slots, apply_to_weights, inherited_calibration
from nash_tf.rebuild import State
from nash_tf.seeds import derive


class Newborn(NamedTuple):
    """A child as data: its architecture, its weights and slots, and the batch normalisations still to be calibrated."""

    architecture: Architecture
    state: State
    pending: tuple[str, ...]
    fresh: frozenset[Key]


class Morphed(NamedTuple):
    """What `morph` returns.

    Attributes:
        model: the child, compiled like its parent.
        edits: the morphisms as JSON; `morph(parent, edits=edits)` makes the same child again.
        certificate: see `nash_tf.certificate.certify`; empty without calibration data.
    """

    model: keras.Model
    edits: str
    certificate: dict[str, float]


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
    rebuild.calibrate(exact, born.architecture, born.pending, inputs)
    if exact is not model:
        rebuild.write_state(model, State(rebuild.read_state(exact).weights, {}))


def morph(
    model: keras.Model,
    operators: str | Sequence[str] | None = None,
    *,
    count: int | None = None,
    edits: str | Sequence[Sequence[Any]] | None = None,
    seed: int = 0,
    calibration: Any = None,
    noise: float = 0.0,
    max_params: float = float("inf"),
) -> Morphed:
    """A larger model that computes what `model` does, at places drawn at random.

    Args:
        model: functional model, trained or not, compiled or not. It is left as it was.
        operators: a name in `nash_tf.morphisms.registry`, or several, applied in that order. With `count`, those to draw
            from.
        count: how many morphisms to draw from `operators`, or from all of them.
        edits: the `edits` of an earlier call, to be made again; instead of `operators` and `count`.
        seed: of all draws.
        calibration: batch of the model's inputs, or (inputs, labels). New batch normalisations take their statistics from
            it and the certificate is measured on it. Without it neither is done: the child is exact in inference, but its
            new batch normalisations compute something else in training mode until their statistics have moved.
        noise: standard deviation of Gaussian noise on each new variable, as a share of the variable's own; breaks the
            symmetry of copies. The function is no longer kept exactly, and the certificate says how far it moved.
        max_params: limit on trained parameters.

    Returns:
        (model, edits, certificate).

    Raises:
        ValueError: a model that cannot be carried, an unknown operator, an operator without a place under the limit,
            a number out of range, or calibration data of another shape than the model's inputs.
        nash_tf.certificate.NotPreserved: the outputs changed beyond tolerance.
    """
    names = _checked_names(operators, count, edits)
    _check_numbers(seed, noise, max_params)
    inputs, labels = _batch(calibration)
    parent = rebuild.from_keras(model)
    if inputs is not None:
        _check_inputs(parent, inputs)
    if labels is not None:
        _check_labels(model, inputs, labels)
    if edits is not None:
        moves = [Move(name, tuple(site), number) for name, site, number in _parsed(edits)]
    else:
        moves = _drawn(parent, names, count, max_params, seed)
    child, born = _child(model, parent, moves, inputs)
    if noise:
        _shake(child, born.fresh, noise, seed)
    rebuild.restart_averages(child)
    found: dict[str, float] = {}
    if inputs is not None:
        before, after = (certificate.measure(each, inputs, labels) for each in (model, child))
        try:
            found = certificate.certify(before, after, len(moves), strict=not noise)
        except certificate.NotPreserved as error:
            raise certificate.NotPreserved(f"{_culprit(model, parent, moves, inputs, before)}: {error}") from None
        found |= cost(parent, born.architecture)
    return Morphed(child, json.dumps(moves), found)


def _child(model: keras.Model, parent: Architecture, moves: Sequence[Move], inputs) -> tuple[keras.Model, Newborn]:
    born = inherit(parent, rebuild.read_state(model), moves)
    child = rebuild.to_keras(born.architecture)
    if model.compiled:
        rebuild.compile_like(child, model)
    rebuild.write_state(child, born.state)
    if inputs is not None:
        calibrate_newborn(child, born, inputs)
    return child, born


def _culprit(
    model: keras.Model, parent: Architecture, moves: Sequence[Move], inputs, before: certificate.Measured
) -> str:
    """The first of the morphisms with which the outputs are no longer kept."""
    for number, (operator, site, _) in enumerate(moves, start=1):
        child, _ = _child(model, parent, moves[:number], inputs)
        try:
            certificate.certify(before, certificate.measure(child, inputs), number)
        except certificate.NotPreserved:
            return f"{operator} at {site}"
    return f"{len(moves)} morphisms together"


def _checked_names(operators, count, edits) -> list[str]:
    if edits is not None and (operators is not None or count is not None):
        raise ValueError("edits already say which morphisms to make: give them without operators and count")
    if edits is None and operators is None and count is None:
        raise ValueError("say which morphisms to make: an operator, a list of operators, count=..., or edits=...")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise ValueError(f"count must be a whole number of at least 1, received {count!r}")
    if not (operators is None or isinstance(operators, str | list | tuple)):
        raise ValueError(f"operators must be a name or a list of names, received {operators!r}")
    names = [operators] if isinstance(operators, str) else list(registry if operators is None else operators)
    for name in names:
        if not isinstance(name, str) or name not in registry:
            raise ValueError(f"unknown operator {name!r}; expected one of {', '.join(registry)}")
    if not names:
        raise ValueError("operators must name at least one operator, received none")
    return names


def _check_numbers(seed, noise, max_params) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number of at least 0, received {seed!r}")
    if not (isinstance(noise, int | float) and 0 <= noise < np.inf):
        raise ValueError(f"noise must be a number of at least 0, received {noise!r}")
    if not (isinstance(max_params, int | float) and max_params > 0):
        raise ValueError(f"max_params must be a number above 0, received {max_params!r}")


def _parsed(edits):
    try:
        found = json.loads(edits) if isinstance(edits, str) else list(edits)
        for name, site, seed in found:
            if name not in registry or not isinstance(site, list | tuple) or not isinstance(seed, int):
                raise ValueError(f"no such edit: {[name, site, seed]!r}")
    except (TypeError, ValueError) as error:
        raise ValueError(f"edits must be those that morph returned, [[operator, site, seed], ...]: {error}") from None
    return found


def _drawn(parent: Architecture, names: list[str], count: int | None, max_params: float, seed: int) -> list[Move]:
    if count is not None:
        _, moves = draw(parent, count, dict.fromkeys(names, 1.0), max_params, seed)
        if len(moves) < count:
            raise ValueError(
                f"only {len(moves)} of {count} morphisms could be made with {', '.join(names)}{_under(max_params)}"
            )
        return list(moves)
    made: list[Move] = []
    for number, name in enumerate(names):
        parent, moves = draw(parent, 1, {name: 1.0}, max_params, derive(seed, number))
        if not moves:
            raise ValueError(
                f"{name} (number {number + 1} of {len(names)}): there is no place for it in this model{_under(max_params)}"
            )
        made += moves
    return made


def _under(max_params: float) -> str:
    return "" if max_params == float("inf") else f" under {max_params:,.0f} parameters"


def _batch(calibration):
    if isinstance(calibration, tuple) and len(calibration) == 2:
        return calibration
    return calibration, None


def _check_inputs(parent: Architecture, inputs) -> None:
    given = keras.tree.flatten(inputs)
    expected = [parent[name].shape for name in parent.inputs]
    received = [tuple(np.shape(part)) for part in given]
    fits = len(given) == len(expected) and all(
        len(shape) == len(wanted) + 1
        and shape[0] > 0
        and all(size in (None, found) for size, found in zip(wanted, shape[1:], strict=True))
        for shape, wanted in zip(received, expected, strict=True)
    )
    if not fits:
        wanted = ", ".join(str(("batch", *shape)) for shape in expected)
        raise ValueError(f"calibration must be a batch of the model's inputs, of shape {wanted}; received {received}")


def _check_labels(model: keras.Model, inputs, labels) -> None:
    if not model.compiled:
        raise ValueError("calibration holds labels, but the model is not compiled: there is no loss to measure")
    batch = len(keras.tree.flatten(inputs)[0])
    received = [len(part) for part in keras.tree.flatten(labels)]
    if set(received) != {batch}:
        raise ValueError(f"calibration must hold labels of each of its {batch} inputs, received {received}")


def _shake(child: keras.Model, fresh: frozenset[Key], noise: float, seed: int) -> None:
    state = rebuild.read_state(child)
    for key in sorted(fresh):
        array = state.weights[key]
        rng = np.random.default_rng(derive(seed, "noise", *key))
        if key[1] not in ("moving_mean", "moving_variance", "alpha"):
            state.weights[key] = array + np.asarray(noise * array.std() * rng.normal(size=array.shape), array.dtype)
    rebuild.write_state(child, State(state.weights, {}))


def cost(parent: Architecture, child: Architecture) -> dict[str, int]:
    """What a child has more than its parent: trained parameters, and operations an image where their number is known."""
    added = {"added_params": child.params - parent.params}
    operations = flops(parent), flops(child)
    return added if None in operations else {**added, "added_flops": operations[1] - operations[0]}
