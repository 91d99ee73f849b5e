"""A rebuilt model is to train on like its original: weights, optimiser state, calibration, compile settings."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops, tree

from nash_tf import keras_private
from nash_tf.architecture import Architecture
from nash_tf.keras_graph import arguments, by_name, from_keras, operations, to_keras, variables
from nash_tf.morphisms.edit import Key

__all__ = ["State", "calibrate", "compile_like", "from_keras", "read_state", "restoring", "to_keras", "write_state"]


@dataclass
class State:
    """Weights by (node, variable), the same of each sort of optimiser slot, and the optimiser's counters by name.

    What a stateful recurrent layer has seen so far is among the weights.
    """

    weights: dict[Key, np.ndarray]
    slots: dict[str, dict[Key, np.ndarray]]
    counters: dict[str, np.ndarray] = field(default_factory=dict)


# State ----------------------------------------------------------------------------------------------------------------


def read_state(model: keras.Model) -> State:
    """Weights and optimiser state of a model as arrays."""
    weights = _all_variables(model)
    keys = {id(variable): key for key, variable in weights.items()}
    pairs, counters = _optimizer_state(model)
    return State(
        {key: ops.convert_to_numpy(variable) for key, variable in weights.items()},
        {sort: {keys[id(of)]: ops.convert_to_numpy(slot) for of, slot in of_sort} for sort, of_sort in pairs.items()},
        {name: ops.convert_to_numpy(counter) for name, counter in counters.items()},
    )


def write_state(model: keras.Model, state: State) -> None:
    """Sets a model's weights, and its optimiser's slots and counters where `state` has them.

    Raises:
        ValueError: a weight is missing in `state` or has another shape, naming it.
    """
    weights = _all_variables(model)
    for key, variable in weights.items():
        value = state.weights.get(key)
        if value is None and key[1].startswith(_RECURRENT):
            continue  # in a checkpoint of an earlier version: it begins anew
        if value is None or tuple(value.shape) != tuple(variable.shape):
            found = "none" if value is None else tuple(value.shape)
            raise ValueError(f"{key[0]}/{key[1]}: expected an array of shape {tuple(variable.shape)}, received {found}")
        variable.assign(value)
    for operation in operations(model).values():
        if isinstance(operation, keras.layers.Normalization):
            operation.finalize_state()  # it computes with copies of its variables
    if not (state.slots or state.counters) or getattr(model, "optimizer", None) is None:
        return
    model.optimizer.build(model.trainable_variables)
    keys = {id(variable): key for key, variable in weights.items()}
    slots, counters = _optimizer_state(model)
    for sort, pairs in slots.items():
        for of, slot in pairs:
            value = state.slots.get(sort, {}).get(keys[id(of)])
            if value is not None:
                slot.assign(value)
    if slots and not state.slots:
        return  # empty slots begin at the first step: Adam corrects their bias by the count
    for name, counter in counters.items():
        if name in state.counters:
            counter.assign(state.counters[name])


def restart_averages(model: keras.Model) -> None:
    """Has an optimiser's moving averages of the weights (`use_ema`) begin at the weights that a newborn has now."""
    slots, _ = _optimizer_state(model)
    for trained, average in slots.get(keras_private.AVERAGES, ()):
        average.assign(trained)


def _all_variables(model) -> dict[Key, keras.Variable]:
    return {
        (node, name): variable
        for node, operation in operations(model).items()
        if isinstance(operation, keras.layers.Layer)
        for name, variable in {**variables(operation), **_recurrent_states(operation)}.items()
    }


_RECURRENT = "rnn_state"


def _recurrent_states(layer) -> dict[str, keras.Variable]:
    """The states that a stateful recurrent layer hands on from batch to batch. Keras counts them among no variables."""
    states = [tree.flatten(getattr(part, "states", None)) for part in keras_private.parts(layer)]
    found = [state for part in states for state in part if isinstance(state, keras.Variable)]
    return by_name({id(state): state for state in found if state.name == _RECURRENT}.values())


@contextmanager
def restoring(model: keras.Model) -> Iterator[None]:
    """Gives each variable of a model its value back, to the bit, also where an error is raised.

    A pass may move averages, kernels (`SpectralNormalization`), random generators, recurrent states and metrics; what an
    optimiser has is touched by none.
    """
    everything = [*model.variables, *model.metrics_variables, *_recurrent_states(model).values()]
    before = {id(variable): (variable, variable.numpy()) for variable in everything}
    try:
        yield
    finally:
        for variable, value in before.values():
            variable.assign(value)
        for metric in model.metrics:
            if any(id(variable) not in before for variable in metric.variables):
                metric.reset_state()  # a loss makes those of its outputs when it is first computed


def _inner(optimizer):
    """The optimiser that holds the slots: under float16 it is wrapped."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _optimizer_state(model) -> tuple[dict[str, list[tuple]], dict[str, keras.Variable]]:
    """Slots and counters of a model's optimiser.

    Slots are its lists of one variable for each trained one, e.g. `_momentums`, as pairs (trained, slot). Counters are its
    single numbers by name, e.g. steps so far and the loss scale; the learning rate is a setting and left out.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not optimizer.built:
        return {}, {}
    inner = _inner(optimizer)
    trained, lists = keras_private.optimizer_lists(inner)
    slots = {
        sort: list(zip(trained, values, strict=True))
        for sort, values in lists.items()
        if len(values) == len(trained)
        and not all(slot is of for slot, of in zip(values, trained, strict=True))
        and all(
            isinstance(slot, keras.Variable) and slot.shape == of.shape
            for slot, of in zip(values, trained, strict=True)
        )
    }
    known = {id(slot) for pairs in slots.values() for _, slot in pairs}
    others = [v for v in optimizer.variables if id(v) not in known and v.name != "learning_rate"]
    if any(variable.shape != () for variable in others):
        # Adafactor's and Muon's have other shapes than the weights. Half of an optimiser's state is worse than none.
        return {}, {}
    return slots, by_name(others)


# A newborn ------------------------------------------------------------------------------------------------------------


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
        forward(model, architecture, batch, normalise)
    for variable, value in found:
        variable.assign(value)


def forward(model: keras.Model, architecture: Architecture, batch, normalise=None) -> dict[str, Any]:
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
        mode = {"training": False} if keras_private.has_training_argument(layer) else {}
        values[node.name] = layer(*args, **{**kwargs, **mode})
    return values


def on_own_statistics(name: str, layer: keras.layers.BatchNormalization, args, kwargs):
    """What a batch normalisation computes in training mode: `normalise` of `forward`. Its averages move."""
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


def compile_like(child: keras.Model, parent: keras.Model) -> None:
    """Compiles a model with another's optimiser settings, loss and metrics, its optimiser unbuilt.

    Raises:
        ValueError: the other is not compiled.
    """
    if not parent.compiled:
        raise ValueError(f"expected a compiled model, received {parent.name!r}, which is not")
    optimizer = type(parent.optimizer).from_config(parent.optimizer.get_config())
    mine, theirs = _inner(optimizer), _inner(parent.optimizer)
    # Keras leaves these patterns out of the config: without them decay would fall on everything.
    patterns, excluded = keras_private.decay_exclusions(theirs)
    # Single variables are excluded by their identity there, so here by that of their namesakes.
    found = {
        key for key, variable in _all_variables(parent).items() if keras_private.decay_key(theirs, variable) in excluded
    }
    namesakes = {
        keras_private.decay_key(mine, variable) for key, variable in _all_variables(child).items() if key in found
    }
    keras_private.set_decay_exclusions(mine, patterns, namesakes)
    metrics, weighted_metrics = keras_private.compiled_metrics(parent)
    child.compile(
        optimizer=optimizer,
        loss=parent.loss,
        loss_weights=keras_private.loss_weights(parent),
        metrics=_fresh(metrics),
        weighted_metrics=_fresh(weighted_metrics),
        run_eagerly=parent.run_eagerly,
        steps_per_execution=parent.steps_per_execution,
        jit_compile=parent.jit_compile if tf.config.list_physical_devices("GPU") else False,
        auto_scale_loss=False,  # the parent's optimiser is wrapped already where it is to be
    )


def _fresh(metrics):
    if isinstance(metrics, dict):
        return {name: _fresh(metric) for name, metric in metrics.items()}
    if isinstance(metrics, list | tuple):
        return [_fresh(metric) for metric in metrics]
    if not isinstance(metrics, keras.Metric):
        return metrics
    try:
        return type(metrics).from_config(metrics.get_config())
    except (TypeError, NotImplementedError) as error:
        raise ValueError(
            f"metric {metrics.name!r}: {type(metrics).__name__} must have a get_config that tells all its arguments ({error})"
        ) from None
