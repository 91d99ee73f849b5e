"""Encodes the arguments of a layer's call as JSON values, and decodes them."""

import itertools
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from nash_tf.architecture import Node, layer_rules
from nash_tf.architecture.layer_rules.calls import INPUT
from nash_tf.keras_models import trusted
from nash_tf.keras_models.layer_configs import located, refuse, stable


def is_tensor(leaf) -> bool:
    """Whether a value is a symbolic tensor, the output of a layer."""
    return isinstance(leaf, keras.KerasTensor)


def arguments(node: Node, inputs: list) -> tuple[list, dict]:
    """Positional and named arguments of a node's call.

    Args:
        node: the node.
        inputs: the tensors of its inputs, in order.
    """
    if layer_rules.CALL not in node.config:
        return [inputs if len(inputs) > 1 else inputs[0]], {}
    return _decoded(node.config[layer_rules.CALL]["args"], inputs), _decoded(
        node.config[layer_rules.CALL]["kwargs"], inputs
    )


def output_of(operation, args: list, kwargs: dict):
    """What an operation gives: the output, or a list of several."""
    outputs = tree.flatten(operation(*args, **kwargs))
    return outputs[0] if len(outputs) == 1 else outputs


def encode(operation, kind, args, kwargs) -> dict:
    """The arguments of a call as JSON values.

    Args:
        operation: the layer or operation that is called.
        kind: its kind.
        args: positional arguments.
        kwargs: named arguments.

    Raises:
        ValueError: an argument is not plain data, or must not be built.
    """
    place = itertools.count()

    def plain(leaf):
        if is_tensor(leaf):
            return {INPUT: next(place)}
        if isinstance(leaf, keras.Variable | tf.Variable):
            refuse(operation, "it takes a variable that belongs to no layer")
        if isinstance(leaf, np.ndarray | np.generic):  # NumPy numbers too, whose type determines the result's
            return {"class_name": "__numpy__", "config": {"value": leaf.tolist(), "dtype": leaf.dtype.name}}
        return keras.saving.serialize_keras_object(leaf)

    args, kwargs = tree.map_structure(plain, (args, kwargs))
    try:
        call = stable({"args": args, "kwargs": kwargs})
        if reason := trusted.objection(kind, call):
            raise ValueError(reason)
        _decoded([call["args"], call["kwargs"]], [None] * next(place))
    except (TypeError, ValueError) as error:
        refuse(operation, f"it is called with an argument that is not plain data: {error}")
    return call


def _decoded(value, inputs: list):
    if isinstance(value, list | tuple):
        return [_decoded(part, inputs) for part in value]
    if not isinstance(value, Mapping):
        return value
    if INPUT in value:
        return inputs[value[INPUT]]
    if "class_name" in value:
        return keras.saving.deserialize_keras_object(located(value))
    return {key: _decoded(part, inputs) for key, part in value.items()}
