"""Calibration: gives new batch normalisations the statistics of their input, without a change of the model's function;
and measures those of others anew.

Also the layer-by-layer run of a model that this needs.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from nash_tf.architecture import Architecture
from nash_tf.keras_models import private_api
from nash_tf.keras_models.call_arguments import arguments, output_of
from nash_tf.keras_models.graph_calls import operations
from nash_tf.keras_models.state import restoring

CALIBRATION_BATCH = 128  # examples that a search calibrates on, and measures certificates on


def parts_of(batch: Any) -> tuple[Any, Any]:
    """Inputs and labels of a batch, which is (inputs, labels) or inputs alone; None for the labels that it does not have."""
    return batch if isinstance(batch, tuple) and len(batch) == 2 else (batch, None)


def examples_in(batch: Any) -> int:
    """The number of examples of a batch."""
    return len(tree.flatten(batch)[0])


def with_states(model: keras.Model) -> list[str]:
    """The names of the layers that keep states between batches: these have as many examples as one batch."""
    return [layer.name for layer in private_api.parts(model) if getattr(layer, "stateful", False)]


def parts_by_rows(model: keras.Model, batch: Any, size: int) -> Iterator[Any]:
    """A batch for a model, nested in any way, in parts of so many examples; as one where the model keeps states."""
    size = examples_in(batch) if with_states(model) else size
    for start in range(0, examples_in(batch), size):
        yield tree.map_structure(itemgetter(slice(start, start + size)), batch)


def is_same_batch(one: Any, other: Any) -> bool:
    """Whether two batches hold the same numbers."""
    parts = tree.flatten(one), tree.flatten(other)
    return one is other or len(parts[0]) == len(parts[1]) and all(map(np.array_equal, *parts))


def in_order(architecture: Architecture, inputs: Any) -> list:
    """A batch's arrays in the order of an architecture's inputs; they may be given by their names, as Keras takes them.

    Arrays that the model has no inputs for Keras leaves out where they come last.
    """
    is_named = isinstance(inputs, Mapping)
    if (
        is_named
        and not isinstance(architecture.structure.get("inputs"), Mapping)
        and set(architecture.inputs) <= set(inputs)
    ):
        return [inputs[name] for name in architecture.inputs]
    return tree.flatten(inputs)[: len(architecture.inputs) if is_named else None]


def misplaced(architecture: Architecture, inputs: Any) -> str:
    """What Keras would take for another input than is meant, in words; "" for nothing.

    Where a model's inputs are a dict, and it is given one with more in it, Keras takes as many as it needs, in the order of their
    names, whatever these are.
    """
    structure = architecture.structure.get("inputs")
    if not isinstance(structure, Mapping) or not isinstance(inputs, Mapping):
        return ""
    wanted, given = (
        ["/".join(map(str, path)) for path, _ in tree.flatten_with_path(each)] for each in (structure, inputs)
    )
    if not set(wanted) <= set(given):
        return ""
    wrong = [f"{taken!r} for {name!r}" for name, taken in zip(wanted, given, strict=False) if name != taken]
    others = ", ".join(repr(name) for name in given if name not in wanted)
    return (
        f"Keras takes its inputs in the order of their names: {', '.join(wrong)}; leave out {others}" if wrong else ""
    )


def in_inference(name: str, layer: Any, args: list, kwargs: dict) -> Any:
    """What a layer or operation gives in inference, as the argument `run` of `node_outputs`."""
    mode = {"training": False} if private_api.has_training_argument(layer) else {}
    return output_of(layer, args, {**kwargs, **mode})


def on_own_statistics(name: str, layer: Any, args: list, kwargs: dict) -> Any:
    """The same, but of a batch normalisation in training mode; its moving averages change."""
    if isinstance(layer, keras.layers.BatchNormalization):
        return layer(*args, **{**kwargs, "training": True})
    return in_inference(name, layer, args, kwargs)


def calibrate(model: keras.Model, architecture: Architecture, names: Iterable[str], batch) -> None:
    """Sets the statistics of batch normalisations to those of their inputs on a batch; inference does not change.

    In inference a batch normalisation computes a * x + b with a = gamma / sqrt(variance + eps) and b = beta - mean * a.
    It gets the mean and variance of the batch, and the gamma and beta with which a and b stay the same. Then it
    computes the same in training mode too, on this batch. All are measured in one pass, with batch normalisations, those
    inside other layers too, in training mode and the other layers in inference mode.

    Args:
        model: the model, built from `architecture`; only the named layers change.
        architecture: its architecture.
        names: names of the batch normalisations.
        batch: a batch of the model's inputs, nested as the model takes them.

    Raises:
        ValueError: a named layer is not a batch normalisation over the last axis with gamma and beta.
    """
    named = frozenset(names)
    if not named:
        return
    layers = operations(model)
    for name in sorted(named):
        layer = layers[name]
        is_usual = (
            isinstance(layer, keras.layers.BatchNormalization) and layer.scale and layer.center and not layer.renorm
        )
        if not is_usual or layer.axis not in (-1, len(architecture[name].shape)):
            raise ValueError(f"layer {name!r} is not a batch normalisation over the last axis with gamma and beta")

    calibrated: list[tuple[keras.Variable, np.ndarray]] = []

    def run(name, layer, args, kwargs):
        if name in named:
            values = _calibrated(layer, args, kwargs)
            for variable, value in values:  # the layers after it are measured with them
                _assign(variable, value)
            calibrated.extend(values)
        return on_own_statistics(name, layer, args, kwargs)

    with restoring(model), inside_on_own_statistics(layers.values()):
        node_outputs(model, architecture, batch, run)
    for variable, value in calibrated:
        _assign(variable, value)


def remeasure(model: keras.Model, architecture: Architecture, names: Iterable[str], inputs) -> None:
    """Sets the moving mean and variance of batch normalisations to those of their inputs on given examples.

    gamma and beta stay, so inference changes: it becomes what training mode computes. Wu and Johnson 2021 (arXiv
    2105.07576, section 3.1): batch by batch, each batch normalised by its own statistics, of which the whole's are made.
    Of one that is called more than once it is the mean over its calls, as in training. A frozen one keeps its statistics.

    Args:
        model: the model, built from `architecture`; only the named layers change.
        architecture: its architecture.
        names: names of the batch normalisations, and of layers that have such inside.
        inputs: examples, nested as the model takes them.
    """
    layers = operations(model)
    measured = {layer for layer in map(layers.__getitem__, names) if layer.trainable}
    if not measured:
        return
    # By layer and node the mean and the mean square, times the weight of the batch; and these weights.
    sums: dict[keras.layers.BatchNormalization, dict[str, list[Any]]] = {}
    at = ""

    def measure(layer, args, kwargs):
        mean, variance, weight = _moments(layer, args, kwargs)
        each = sums.setdefault(layer, {}).setdefault(at, [0.0, 0.0, 0])
        for place, part in enumerate((mean * weight, (variance + mean**2) * weight, weight)):
            each[place] = each[place] + part

    def run(name, layer, args, kwargs):
        nonlocal at
        at = name
        if layer not in measured or not isinstance(layer, keras.layers.BatchNormalization):
            return in_inference(name, layer, args, kwargs)
        measure(layer, args, kwargs)
        return on_own_statistics(name, layer, args, kwargs)

    with restoring(model), inside_on_own_statistics(measured, measure):
        for part in parts_by_rows(model, inputs, CALIBRATION_BATCH):
            node_outputs(model, architecture, part, run)
    for layer, calls in sums.items():
        found = [_whole(*each) for each in calls.values() if not np.any(each[2] == 0)]  # else all is masked
        if found:
            mean, variance = np.mean(found, axis=0)
            _assign(layer.moving_mean, mean)
            _assign(layer.moving_variance, variance)


def _whole(total: np.ndarray, squares: np.ndarray, weight: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of all batches."""
    mean = total / weight
    return mean, np.maximum(squares / weight - mean**2, 0.0)


@contextmanager
def inside_on_own_statistics(
    layers: Iterable[Any], measure: Callable[..., None] = lambda layer, args, kwargs: None
) -> Iterator[None]:
    """Context in which the batch normalisations inside layers, as in wrappers, are in training mode; moving averages change.

    Frozen ones, and layers that are batch normalisations themselves, stay as they are.

    Args:
        layers: layers and operations.
        measure: is called before each with the batch normalisation, and the arguments of its call; not where it is traced.
    """
    holders = [each for each in layers if isinstance(each, keras.layers.Layer)]
    norms = {id(part): part for each in holders for part in private_api.parts(each)[1:] if _is_open(part)}
    calls = {key: vars(norm).get("call") for key, norm in norms.items()}

    def normalising(norm, call):
        def normalised(inputs, training=None, mask=None):
            if hasattr(inputs, "numpy"):
                measure(norm, [inputs], {"mask": mask})
            return call(inputs, training=True, **({} if mask is None else {"mask": mask}))

        return normalised

    for norm in norms.values():
        vars(norm)["call"] = normalising(norm, norm.call)
    try:
        yield
    finally:
        for key, norm in norms.items():
            del vars(norm)["call"]
            vars(norm).update({"call": calls[key]} if calls[key] else {})


def _is_open(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization) and layer.trainable


def node_outputs(model: keras.Model, architecture: Architecture, batch, run=in_inference) -> dict[str, Any]:
    """Runs a model layer by layer. Layers may change variables; `restoring` sets them back.

    Args:
        model: the model, built from `architecture`.
        architecture: its architecture.
        batch: a batch of the model's inputs, nested as the model takes them.
        run: (name, layer, args, kwargs) -> output of the layer or operation.

    Returns:
        The output of every node, by name.
    """
    layers, values = operations(model), {}
    for name, value in zip(architecture.inputs, in_order(architecture, batch), strict=True):
        values[name] = ops.convert_to_tensor(value, architecture[name].config.get("dtype", "float32"))
    for node in architecture.nodes:
        if node.kind != "InputLayer":
            args, kwargs = arguments(node, [values[name] for name in node.inputs])
            values[node.name] = run(node.name, layers[node.name], args, kwargs)
    return values


def _moments(layer: keras.layers.BatchNormalization, args, kwargs) -> tuple[np.ndarray, np.ndarray, Any]:
    """Mean and variance of a batch normalisation's input, without what is masked, and how much they count beside those of other
    batches: by examples, or by what is not masked."""
    values = precise(args[0])
    axes = tuple(axis for axis in range(len(values.shape)) if axis != layer.axis % len(values.shape))
    mask = kwargs.get("mask")
    mask = private_api.mask_of(args[0]) if mask is None else mask
    if mask is None:
        mean, variance = (_numbers(part) for part in ops.moments(values, axes))
        return mean, variance, values.shape[0]
    numbers = _numbers(values)
    shown = np.broadcast_to(_numbers(mask)[..., None] != 0, numbers.shape)
    count = shown.sum(axes, keepdims=True)
    mean = numbers.sum(axes, keepdims=True, where=shown) / np.maximum(count, 1)
    variance = ((numbers - mean) ** 2).sum(axes, keepdims=True, where=shown) / np.maximum(count, 1)
    return mean.ravel(), variance.ravel(), count.ravel()


def _calibrated(layer, args, kwargs) -> list[tuple[keras.Variable, np.ndarray]]:
    """The variables of a batch normalisation, each with its value for the inputs of this call."""
    mean, variance, _ = _moments(layer, args, kwargs)
    scale = _numbers(layer.gamma) / np.sqrt(_numbers(layer.moving_variance) + layer.epsilon)
    offset = _numbers(layer.beta) - _numbers(layer.moving_mean) * scale
    return [
        (layer.gamma, scale * np.sqrt(variance + layer.epsilon)),
        (layer.beta, offset + mean * scale),
        (layer.moving_mean, mean),
        (layer.moving_variance, variance),
    ]


def _assign(variable: keras.Variable, value: np.ndarray) -> None:
    variable.assign(value.astype(variable.dtype))


def precise(tensor):
    """A tensor in float32 at least."""
    return tensor if keras.backend.standardize_dtype(tensor.dtype) == "float64" else ops.cast(tensor, "float32")


def _numbers(tensor) -> np.ndarray:
    return ops.convert_to_numpy(tensor).astype(np.float64)
