"""`morph`: morphisms on a trained model of the user's own."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.keras_models.building import to_keras
from nash_tf.keras_models.compilation import compile_like
from nash_tf.keras_models.importing import from_keras
from nash_tf.keras_models.state import State, read_state, restart_averages, write_state
from nash_tf.morphisms import registry
from nash_tf.morphisms.base import Move
from nash_tf.morphisms.draw import draw
from nash_tf.morphisms.edit import Key
from nash_tf.seeds import derive
from nash_tf.surgery import certificate
from nash_tf.surgery.birth import Newborn, calibrate_newborn, cost, inherit


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
    parent = from_keras(model)
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
    restart_averages(child)
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
    born = inherit(parent, read_state(model), moves)
    child = to_keras(born.architecture)
    if model.compiled:
        compile_like(child, model)
    write_state(child, born.state)
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
    state = read_state(child)
    for key in sorted(fresh):
        array = state.weights[key]
        rng = np.random.default_rng(derive(seed, "noise", *key))
        if key[1] not in ("moving_mean", "moving_variance", "alpha"):
            state.weights[key] = array + np.asarray(noise * array.std() * rng.normal(size=array.shape), array.dtype)
    write_state(child, State(state.weights, {}))
