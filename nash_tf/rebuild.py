"""Between an architecture and a functional Keras model: layers, weights, optimiser slots, calibration."""

import inspect
import json
from collections.abc import Iterable
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from nash_tf import layers as _layers  # noqa: F401  registers the custom kinds
from nash_tf.architecture import Architecture, Node
from nash_tf.morphisms.edit import Key


@dataclass
class State:
    """Weights by (layer, variable), and the same of each sort of optimiser slot."""

    weights: dict[Key, np.ndarray]
    slots: dict[str, dict[Key, np.ndarray]]


# Architecture <-> model -----------------------------------------------------------------------------------------------


def from_keras(model: keras.Model) -> Architecture:
    """The architecture of a functional model.

    Raises:
        ValueError: what cannot be carried, naming the layer: a model that is not functional, a layer called twice, a
            model in the model, an operation that is no layer, a call with other arguments than its input tensors, a
            custom layer that is not registered.
    """
    if not isinstance(model, keras.Model) or not hasattr(model, "operations"):
        raise ValueError(f"expected a functional keras.Model, received {type(model).__name__}")
    nodes: dict[str, Node] = {}
    waiting = list(model.operations)
    while waiting:
        ready = [operation for operation in waiting if all(name in nodes for name in _sources(operation))]
        for operation in ready:
            nodes[operation.name] = _node(operation)
        waiting = [operation for operation in waiting if operation.name not in nodes]
    outputs = tuple(tensor._keras_history.operation.name for tensor in model.outputs)
    return Architecture(tuple(nodes.values()), outputs)


def to_keras(architecture: Architecture) -> keras.Model:
    """A functional model with fresh weights; layers have the nodes' names."""
    tensors = {}
    for node in architecture.nodes:
        if node.kind == "InputLayer":
            tensors[node.name] = keras.Input(node.shape, name=node.name, dtype=node.config.get("dtype", "float32"))
            continue
        inputs = [tensors[name] for name in node.inputs]
        tensors[node.name] = _layer(node.kind, node.config, node.name)(inputs if len(inputs) > 1 else inputs[0])
    inputs = [tensors[name] for name in architecture.inputs]
    outputs = [tensors[name] for name in architecture.outputs]
    return keras.Model(inputs[0] if len(inputs) == 1 else inputs, outputs[0] if len(outputs) == 1 else outputs)


def _sources(operation) -> list[str]:
    if isinstance(operation, keras.layers.InputLayer):
        return []
    return [tensor._keras_history.operation.name for tensor in operation._inbound_nodes[0].input_tensors]


def _node(layer) -> Node:
    def refuse(reason):
        raise ValueError(f"layer {layer.name!r} ({type(layer).__name__}) cannot be carried: {reason}")

    if not isinstance(layer, keras.layers.Layer):
        refuse("it is an operation, not a layer; use the layer of that name")
    if isinstance(layer, keras.layers.InputLayer):
        dtype = {} if layer.dtype == "float32" else {"dtype": layer.dtype}
        return Node(layer.name, "InputLayer", dtype, (), tuple(layer.batch_shape[1:]))
    if isinstance(layer, keras.Model):
        refuse("it is a model of its own; flatten it first")
    if len(layer._inbound_nodes) > 1:
        refuse("it is called more than once")
    (call,) = layer._inbound_nodes
    extra = {name: value for name, value in call.arguments.kwargs.items() if value is not None}
    if len(call.arguments.args) != 1 or extra:
        refuse(f"it is called with arguments other than its input tensors: {extra or len(call.arguments.args)}")
    kind = _kind(type(layer)) or refuse("its class is not registered; use keras.saving.register_keras_serializable")
    trained = {variable.path for variable in layer._trainable_variables}
    for part in layer._flatten_layers(include_self=False):
        trained |= {variable.path for variable in part._trainable_variables}
    shapes = {name: (variable.path in trained, tuple(variable.shape)) for name, variable in _variables(layer).items()}
    return Node(
        layer.name,
        kind,
        _config(layer, kind),
        tuple(_sources(layer)),
        tuple(layer.output.shape[1:]),
        {name: shape for name, (is_trained, shape) in shapes.items() if is_trained},
        {name: shape for name, (is_trained, shape) in shapes.items() if not is_trained},
    )


def _kind(cls) -> str | None:
    if getattr(keras.layers, cls.__name__, None) is cls:
        return cls.__name__
    registered = keras.saving.get_registered_name(cls)
    return registered if keras.saving.get_registered_object(registered) is cls else None


def _layer(kind: str, config, name: str) -> keras.layers.Layer:
    cls = keras.saving.get_registered_object(kind) if ">" in kind else getattr(keras.layers, kind)
    return cls.from_config({"dtype": "float32", **_copied(config), "name": name})


def _config(layer, kind: str) -> dict:
    """What of a layer's config differs from its defaults; all of it where that does not make the same layer."""

    def plain(made):
        config = json.loads(json.dumps(made.get_config()))
        config.pop("name")
        dtype = made.dtype_policy.name
        return {**config, "dtype": dtype}

    full = plain(layer)
    signature = inspect.signature(type(layer).__init__).parameters.values()
    needed = [p.name for p in signature if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]
    try:
        required = {name: full[name] for name in needed}
        default = plain(_layer(kind, required, layer.name))
        pruned = required | {name: value for name, value in full.items() if value != default.get(name)}
        return pruned if plain(_layer(kind, pruned, layer.name)) == full else full
    except (KeyError, TypeError, ValueError):
        return full


def _copied(config) -> dict:
    return json.loads(json.dumps(dict(config)))


# State ----------------------------------------------------------------------------------------------------------------


def read_state(model: keras.Model) -> State:
    """Weights and optimiser slots of a model as arrays."""
    keys = {variable.path: key for key, variable in _all_variables(model).items()}
    weights = {key: ops.convert_to_numpy(variable) for key, variable in _all_variables(model).items()}
    slots = {}
    for sort, variables in _slots(model).items():
        trained = model.optimizer._trainable_variables
        slots[sort] = {keys[of.path]: ops.convert_to_numpy(slot) for of, slot in zip(trained, variables, strict=True)}
    return State(weights, slots)


def write_state(model: keras.Model, state: State) -> None:
    """Sets a model's weights, and its optimiser's slots where `state` has them.

    Raises:
        ValueError: a weight is missing in `state` or has another shape, naming it.
    """
    variables = _all_variables(model)
    for key, variable in variables.items():
        value = state.weights.get(key)
        if value is None or tuple(value.shape) != tuple(variable.shape):
            found = "none" if value is None else tuple(value.shape)
            raise ValueError(f"{key[0]}/{key[1]}: expected an array of shape {tuple(variable.shape)}, received {found}")
        variable.assign(value)
    if not state.slots or model.optimizer is None:
        return
    model.optimizer.build(model.trainable_variables)
    keys = {variable.path: key for key, variable in variables.items()}
    for sort, slots in _slots(model).items():
        for of, slot in zip(model.optimizer._trainable_variables, slots, strict=True):
            value = state.slots.get(sort, {}).get(keys[of.path])
            if value is not None:
                slot.assign(value)


def _variables(layer) -> dict:
    """Variables of a layer by name, seeds of random generators left out."""
    found: dict = {}
    for variable in layer.weights:
        name = variable.name
        if name in found:
            name = f"{name}:{sum(other.split(':')[0] == variable.name for other in found)}"
        found[name] = variable
    return found


def _all_variables(model) -> dict[Key, keras.Variable]:
    return {(layer.name, name): variable for layer in model.layers for name, variable in _variables(layer).items()}


def _slots(model) -> dict[str, list]:
    """The optimiser's lists of one variable for each trained one, e.g. `_momentums`."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not optimizer.built:
        return {}
    trained = optimizer._trainable_variables
    return {
        sort: list(values)
        for sort, values in vars(optimizer).items()
        if isinstance(values, list)
        and values is not trained
        and sort != "_trainable_variables"
        and len(values) == len(trained)
        and all(isinstance(slot, keras.Variable) and slot.shape == of.shape for slot, of in zip(values, trained, strict=True))
        and not all(slot is of for slot, of in zip(values, trained, strict=True))
    }


# A newborn ------------------------------------------------------------------------------------------------------------


def calibrate(model: keras.Model, architecture: Architecture, names: Iterable[str], batch) -> None:
    """Gives batch normalisations the statistics measured at their place, their inference function staying what it was.

    One pass in training mode. A batch normalisation computes a * x + b in inference, a = gamma / sqrt(variance + eps) and
    b = beta - mean * a. With the batch's own mean and variance, and gamma and beta such that a and b stay, it computes the
    same in training mode on that batch.

    Args:
        model: the model, built from `architecture`; only the named layers change.
        architecture: its architecture.
        names: the batch normalisations.
        batch: inputs of the model, [n, height, width, channels].
    """
    named = frozenset(names)
    if not named:
        return
    values: dict = {}
    for node in architecture.nodes:
        if node.kind == "InputLayer":
            values[node.name] = ops.convert_to_tensor(batch, "float32")
            continue
        layer = model.get_layer(node.name)
        inputs = [values[name] for name in node.inputs]
        arguments = inputs if len(inputs) > 1 else inputs[0]
        if not isinstance(layer, keras.layers.BatchNormalization):
            values[node.name] = layer(arguments, training=False) if layer._call_has_training_arg else layer(arguments)
            continue
        if node.name in named:
            _recentre(layer, arguments)
        before = [ops.convert_to_numpy(layer.moving_mean), ops.convert_to_numpy(layer.moving_variance)]
        values[node.name] = layer(arguments, training=True)
        layer.moving_mean.assign(before[0])
        layer.moving_variance.assign(before[1])


def _recentre(layer, inputs) -> None:
    axes = tuple(range(len(inputs.shape) - 1))
    mean, variance = (_numbers(part) for part in ops.moments(ops.cast(inputs, "float32"), axes))
    scale = _numbers(layer.gamma) / np.sqrt(_numbers(layer.moving_variance) + layer.epsilon)
    offset = _numbers(layer.beta) - _numbers(layer.moving_mean) * scale
    layer.gamma.assign((scale * np.sqrt(variance + layer.epsilon)).astype(np.float32))
    layer.beta.assign((offset + mean * scale).astype(np.float32))
    layer.moving_mean.assign(mean.astype(np.float32))
    layer.moving_variance.assign(variance.astype(np.float32))


def _numbers(tensor) -> np.ndarray:
    return ops.convert_to_numpy(tensor).astype(np.float64)


def compile_like(child: keras.Model, parent: keras.Model) -> None:
    """Compiles a model with another's optimiser settings, loss and metrics, its optimiser unbuilt."""
    optimizer = type(parent.optimizer).from_config(parent.optimizer.get_config())
    # Keras leaves these patterns out of the config: without them decay would fall on everything.
    for name in ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern"):
        if hasattr(parent.optimizer, name):
            setattr(optimizer, name, getattr(parent.optimizer, name))
    optimizer._exclude_from_weight_decay_cache = {}
    wanted = parent._compile_metrics._user_metrics if parent._compile_metrics is not None else None
    child.compile(
        optimizer=optimizer,
        loss=parent.loss,
        loss_weights=parent._compile_loss._user_loss_weights if parent._compile_loss is not None else None,
        metrics=_fresh(wanted),
        run_eagerly=parent.run_eagerly,
        steps_per_execution=parent.steps_per_execution,
        jit_compile=False,
    )


def _fresh(metrics):
    if isinstance(metrics, dict):
        return {name: _fresh(metric) for name, metric in metrics.items()}
    if isinstance(metrics, list | tuple):
        return [_fresh(metric) for metric in metrics]
    return type(metrics).from_config(metrics.get_config()) if isinstance(metrics, keras.Metric) else metrics
