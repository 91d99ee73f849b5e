"""Batch normalisations of a newborn take the statistics of the place they are put in."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from nash_tf.architecture import Architecture
from nash_tf.keras_models import private_api
from nash_tf.keras_models.call_arguments import arguments
from nash_tf.keras_models.importing import operations
from nash_tf.keras_models.state import restoring


def calibrate(model: keras.Model, architecture: Architecture, names: Iterable[str], batch) -> None:
    """Gives batch normalisations the statistics measured at their place, their inference function staying what it was.

    One pass, batch normalisations in training mode and the other layers in inference. A batch normalisation computes
    a * x + b in inference, a = gamma / sqrt(variance + eps) and b = beta - mean * a. With the batch's own mean and variance, and gamma and beta such that a and b stay, it computes the
    same in training mode on that batch.

    Args:
        model: the model, built from `architecture`; only the named layers change.
        architecture: its architecture.
        names: the batch normalisations.
        batch: inputs of the model, as it takes them.

    Raises:
        ValueError: a named layer is no batch normalisation with gamma and beta over the last axis.
    """
    named = frozenset(names)
    if not named:
        return
    layers = operations(model)
    for name in sorted(named):
        layer = layers[name]
        usual = isinstance(layer, keras.layers.BatchNormalization) and layer.scale and layer.center and not layer.renorm
        if not usual or layer.axis not in (-1, len(architecture[name].shape)):
            raise ValueError(f"layer {name!r} is no batch normalisation with gamma and beta over the last axis")

    found: list[tuple[keras.Variable, np.ndarray]] = []

    def normalise(name, layer, args, kwargs):
        if name in named:
            recentred = _recentred(layer, args[0])
            for variable, value in recentred:  # the layers behind are measured with it
                variable.assign(value)
            found.extend(recentred)
        return on_own_statistics(name, layer, args, kwargs)

    with restoring(model):
        node_outputs(model, architecture, batch, normalise)
    for variable, value in found:
        variable.assign(value)


def node_outputs(model: keras.Model, architecture: Architecture, batch, normalise=None) -> dict[str, Any]:
    """Runs a model layer by layer in inference mode; see `restoring`.

    Args:
        model, architecture: the model and what it was built from.
        batch: inputs of the model, as it takes them.
        normalise: (name, layer, args, kwargs) -> output of a batch normalisation; None for its own.

    Returns:
        The output of every node, by name.
    """
    layers, values = operations(model), {}
    for name, value in zip(architecture.inputs, tree.flatten(batch), strict=True):
        values[name] = ops.convert_to_tensor(value, architecture[name].config.get("dtype", "float32"))
    for node in architecture.nodes:
        if node.kind == "InputLayer":
            continue
        layer = layers[node.name]
        args, kwargs = arguments(node, [values[name] for name in node.inputs])
        if normalise is not None and isinstance(layer, keras.layers.BatchNormalization):
            values[node.name] = normalise(node.name, layer, args, kwargs)
            continue
        mode = {"training": False} if private_api.has_training_argument(layer) else {}
        values[node.name] = layer(*args, **{**kwargs, **mode})
    return values


def on_own_statistics(name: str, layer: keras.layers.BatchNormalization, args, kwargs):
    """What a batch normalisation computes in training mode: `normalise` of `node_outputs`. Its averages move."""
    return layer(*args, **{**kwargs, "training": True})


def _recentred(layer, inputs) -> list[tuple[keras.Variable, np.ndarray]]:
    """A batch normalisation's variables and what they are to be."""
    axes = tuple(range(len(inputs.shape) - 1))
    mean, variance = (_numbers(part) for part in ops.moments(ops.cast(inputs, "float32"), axes))
    scale = _numbers(layer.gamma) / np.sqrt(_numbers(layer.moving_variance) + layer.epsilon)
    offset = _numbers(layer.beta) - _numbers(layer.moving_mean) * scale
    return [
        (layer.gamma, (scale * np.sqrt(variance + layer.epsilon)).astype(np.float32)),
        (layer.beta, (offset + mean * scale).astype(np.float32)),
        (layer.moving_mean, mean.astype(np.float32)),
        (layer.moving_variance, variance.astype(np.float32)),
    ]


def _numbers(tensor) -> np.ndarray:
    return ops.convert_to_numpy(tensor).astype(np.float64)
