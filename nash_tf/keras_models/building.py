"""Builds a functional Keras model from an architecture."""

from typing import Any

import keras
from keras import tree

from nash_tf.architecture import Architecture
from nash_tf.keras_models import private_api, trusted
from nash_tf.keras_models.call_arguments import arguments
from nash_tf.keras_models.layer_configs import copied, make


def to_keras(architecture: Architecture) -> keras.Model:
    """A functional model with initial weights, in which each layer has the name of its node.

    Raises:
        ValueError: a node names an unknown class, code, or a file (see `nash_tf.keras_models.trusted`), or a layer
            cannot be built from its config.
    """
    trusted.check(architecture)
    with private_api.safe_mode():
        return _built(architecture)


def _built(architecture: Architecture) -> keras.Model:
    tensors: dict[str, Any] = {}
    for node in architecture.nodes:
        if node.kind == "InputLayer":
            tensors[node.name] = keras.Input(node.shape, name=node.name, **{"dtype": "float32", **node.config})
            continue
        try:
            args, kwargs = arguments(node, [tensors[name] for name in node.inputs])
            tensors[node.name] = make(node.kind, node.config, node.name)(*args, **kwargs)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            reason = str(error).rpartition("Exception encountered: ")[2].strip().partition("\n")[0]
            raise ValueError(f"layer {node.name!r} ({node.kind}) cannot be built: {reason}") from error

    def nested(key, names):
        """The tensors of the model's inputs or outputs, nested as in the original model."""
        if key in architecture.structure:
            return tree.map_structure(tensors.__getitem__, copied(architecture.structure[key]))
        return tensors[names[0]] if len(names) == 1 else [tensors[name] for name in names]

    return keras.Model(nested("inputs", architecture.inputs), nested("outputs", architecture.outputs))
