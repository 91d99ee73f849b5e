"""What `morph` accepts, checked before anything is made."""

import json
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import keras
import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.keras_models.calibration import examples_in, in_order, misplaced, with_states
from nash_tf.morphisms import known, registry
from nash_tf.morphisms.base import Move, Site, plain_site
from nash_tf.morphisms.options import Option, named

Place = tuple[str, Site]


def wishes(parent: Architecture, operators, count, moves, edits) -> list[str | Place]:
    """What is to be applied to a parent, in order: names of operators, or operators with their sites."""
    if moves is not None and edits is not None:
        raise ValueError("edits is the former name of moves: give one of them")
    argument = "moves" if edits is None else "edits"
    has_moves = moves is not None or edits is not None
    if has_moves and (operators is not None or count is not None):
        raise ValueError(f"{argument} already say which morphisms to make: give them without operators and count")
    if not has_moves and operators is None and count is None:
        raise ValueError("say which morphisms to make: an operator, a list of operators, count=..., or moves=...")
    if count is not None and (isinstance(count, bool) or not isinstance(count, Integral) or count < 1):
        raise ValueError(f"count must be a whole number of at least 1, received {count!r}")
    listed = [operators] if _is_place(operators) or isinstance(operators, str) else operators
    listed = listed if isinstance(listed, list | tuple) else []
    _refuse_layers(parent, listed)
    if not any(map(_is_place, listed)):
        return list(named(registry if operators is None else known(), operators))
    if count is not None:
        raise ValueError("count draws places, and one is given: give names of operators, or leave count out")
    return [_wish(each) for each in listed]


def _refuse_layers(parent: Architecture, wishes: Sequence[Any]) -> None:
    """Refuses layers among operators, as of a place that was given in one row: ("split", "conv_1")."""
    for wish in wishes:
        if isinstance(wish, list | tuple) and not _is_place(wish):
            _refuse_layers(parent, wish)
        if isinstance(wish, str) and wish in parent and wish not in known():
            raise ValueError(f"{wish!r} is a layer, and no operator: a place is (operator, (layer, ...))")


def _wish(given: Any) -> str | Place:
    if not _is_place(given):
        return named(known(), [given])[0]
    operator, site, *_ = given
    return named(known(), operator)[0], plain_site(site)


def _is_place(wish: Any) -> bool:
    """Whether it is an option, or an operator and a site; an operator and a place are two wishes."""
    is_listed = isinstance(wish, list | tuple) and len(wish) in (2, len(Option._fields))
    if not is_listed or not isinstance(wish[0], str) or not isinstance(wish[1], list | tuple):
        return False
    return not (_is_place(wish[1]) and wish[1][0] in known())


def check_numbers(seed: Any, noise: Any, max_params: Any) -> None:
    """Checks the arguments of these names."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise ValueError(f"seed must be a whole number of at least 0, received {seed!r}")
    if not (isinstance(noise, Real) and 0 <= float(noise) < np.inf):
        raise ValueError(f"noise must be a number of at least 0, received {noise!r}")
    if not (isinstance(max_params, Real) and float(max_params) > 0):
        raise ValueError(f"max_params must be a number above 0, received {max_params!r}")


def parsed(moves: str | Sequence[Sequence[Any]], argument: str) -> list[Move]:
    """Moves from JSON or lists; errors name the argument that they were given as."""
    try:
        parsed = json.loads(moves) if isinstance(moves, str) else list(moves)
        for name, site, seed in parsed:
            if name not in known() or not isinstance(site, list | tuple) or not isinstance(seed, int):
                raise ValueError(f"no such move: {[name, site, seed]!r}")
    except (TypeError, ValueError) as error:
        expected = "those that morph returned, [[operator, site, seed], ...]"
        raise ValueError(f"{argument} must be {expected}: {error}") from None
    return [Move(name, plain_site(site), seed) for name, site, seed in parsed]


def check_calibration(
    model: keras.Model, parent: Architecture, inputs: Any, labels: Any, argument: str = "calibration"
) -> None:
    """Checks a calibration batch, given as this argument, against a model and its architecture."""
    if any(isinstance(part, int | float) for part in keras.tree.flatten((inputs, labels))):
        raise ValueError(f"{argument} must hold arrays, received lists of numbers: make each one by np.asarray")
    if inputs is not None or labels is not None:
        _check_inputs(parent, inputs, argument)
    if inputs is not None:
        _check_stateful(model, parent, examples_in(inputs), argument)
    if labels is not None:
        _check_labels(model, inputs, labels, argument)


def _check_stateful(model: keras.Model, parent: Architecture, examples: int, argument: str) -> None:
    """Checks that a batch has as many examples as layers keep states for."""
    size = parent[parent.inputs[0]].config.get("batch_size")
    stateful = with_states(model)
    if stateful and examples != size:
        raise ValueError(
            f"{argument} must have {size} examples, as many as {stateful[0]} keeps states for, received {examples}"
        )


def _check_inputs(parent: Architecture, inputs, argument: str) -> None:
    if hasattr(inputs, "__next__") or hasattr(inputs, "element_spec"):
        raise ValueError(f"{argument} must be one batch, received {type(inputs).__name__}: give next(iter(...)) of it")
    tensors = in_order(parent, inputs)
    expected = [parent[name].shape for name in parent.inputs]
    received = [tuple(np.shape(part)) for part in tensors]
    fits = len(tensors) == len(expected) and all(
        len(shape) == len(wanted) + 1
        and shape[0] > 0
        and all(size in (None, actual) for size, actual in zip(wanted, shape[1:], strict=True))
        for shape, wanted in zip(received, expected, strict=True)
    )
    if not fits:
        wanted = ", ".join(str(("batch", *shape)) for shape in expected)
        or_else = " in a list, or by their names" if len(expected) > 1 else ""  # a tuple would be inputs and labels
        or_else += ", or a tuple (inputs, labels)" if argument == "calibration" else ""
        raise ValueError(
            f"{argument} must be a batch of the model's inputs, of shape {wanted}{or_else}; received {received}"
        )
    if fault := misplaced(parent, inputs):
        raise ValueError(f"{argument} is such that {fault}")


def _check_labels(model: keras.Model, inputs, labels, argument: str) -> None:
    if not model.compiled:
        raise ValueError(f"{argument} holds labels, but the model is not compiled: there is no loss to measure")
    batch = examples_in(inputs)
    received = [np.shape(part)[0] if np.ndim(part) else f"no array: {part!r}" for part in keras.tree.flatten(labels)]
    if set(received) != {batch}:
        raise ValueError(
            f"{argument} must hold labels of each of its {batch} inputs, received {list(dict.fromkeys(received))}"
        )
