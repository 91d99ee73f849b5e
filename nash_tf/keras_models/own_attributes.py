"""What a model of a user's class has of its own, beside what Keras gives every model."""

import re
import types
from typing import Any

import keras

from nash_tf.keras_models.graph_calls import graph_of
from nash_tf.keras_models.plain_values import copied, is_plain
from nash_tf.keras_models.private_api import Functional
from nash_tf.keras_models.state import copy_of, optimizer_state
from nash_tf.keras_models.variables import numbered

# In `compile`, `fit`, `evaluate` and `predict`.
_SET_BY_KERAS = frozenset({"optimizer", "history", "stop_training", "stop_evaluating", "stop_predicting"})
_SHARED = (type, types.FunctionType, types.BuiltinFunctionType)  # these do not belong to one model


def carry_attributes(child: keras.Model, parent: keras.Model) -> None:
    """Gives a child the public attributes of its parent's own that a user's class, or the user, has set.

    Plain values (numbers, strings, arrays, and lists, tuples, dicts and sets of these) are copied, also where the child's class
    set others: the parent may have been made with other arguments. A layer of the parent becomes the child's of that name.
    All else, as metrics, the child has from its own class.

    Args:
        child: of the parent's class, and compiled if that is.
        parent: the model; one of Keras' own classes has nothing of its own.

    Raises:
        ValueError: the child lacks an attribute that is not plain.
    """
    if _is_of_keras(parent):
        return
    usual = vars(keras.Model(child.inputs, child.outputs, name=child.name)).keys() | _SET_BY_KERAS
    for name, value in vars(parent).items():
        if name.startswith("_") or name in usual:
            continue
        if is_plain(value):
            setattr(child, name, copied(value))
        elif name not in vars(child):
            setattr(child, name, _counterpart(child, parent, name, value))


def carry_weights(child: keras.Model, parent: keras.Model) -> None:
    """Gives a child the weights, with their optimiser slots, that its parent's class holds outside the layers that inputs pass.

    Args:
        child: of the parent's class; its optimiser is built if the parent's is.
        parent: the model; one of Keras' own classes has nothing of its own.

    Raises:
        ValueError: the child lacks one of them, or has it in another shape.
    """
    if _is_of_keras(parent):
        return
    own, old = _own_weights(child), _own_weights(parent)
    for name, variable in old.items():
        if name not in own or own[name].shape != variable.shape:
            cls = type(parent).__name__
            raise ValueError(
                f"model {parent.name!r} of class {cls} has a weight {name!r} of shape {tuple(variable.shape)} outside its layers, "
                f"and a model made by {cls}(inputs, outputs, name=...) does not have it: let {cls}.__init__ make and build it"
            )
        own[name].assign(copy_of(variable))
    (slots, _), (new_slots, _) = optimizer_state(parent), optimizer_state(child)
    names = {id(variable): name for each in (old, own) for name, variable in each.items()}
    for sort in slots.keys() & new_slots.keys():
        values = {names[id(trained)]: slot for trained, slot in slots[sort] if id(trained) in names}
        for trained, slot in new_slots[sort]:
            if names.get(id(trained)) in values:
                slot.assign(copy_of(values[names[id(trained)]]))


def _is_of_keras(model: keras.Model) -> bool:
    return type(model) in (keras.Model, keras.Sequential, Functional)


def _own_weights(model: keras.Model) -> dict[str, keras.Variable]:
    """Weights outside the graph by their paths, without the numbers that Keras gives to unnamed layers."""
    inside = {id(variable) for each in graph_of(model).operations for variable in getattr(each, "weights", ())}
    own = [variable for variable in model.weights if id(variable) not in inside]
    return numbered((re.sub(r"_\d+(?=/|$)", "", variable.path), variable) for variable in own)


def _counterpart(child: keras.Model, parent: keras.Model, name: str, value: Any) -> Any:
    """What a child has where its parent has a layer of its own, or what does not belong to one model."""
    if isinstance(value, _SHARED):
        return value
    same = [layer for layer in child.layers if isinstance(value, type(layer)) and layer.name == value.name]
    if same and any(value is layer for layer in parent.layers):
        return same[0]
    cls = type(parent).__name__
    raise ValueError(
        f"model {parent.name!r} of class {cls} has an attribute {name!r} of class {type(value).__name__}, which is no plain "
        f"value, and a model made by {cls}(inputs, outputs, name=...) does not have it: let {cls}.__init__ set it, or delete it"
    )
