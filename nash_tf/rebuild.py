"""Between an architecture and a functional Keras model: layers, weights, optimiser slots, calibration."""

import inspect
import json
from collections.abc import Iterable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from keras.src.models.functional import Functional

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
    if type(model) is not Functional:
        name = getattr(model, "name", None)
        raise ValueError(f"expected a functional keras.Model, received {name!r} of class {type(model).__name__}")
    calls = {operation.name: _call(operation, model) for operation in model.operations}
    nodes: dict[str, Node] = {}
    # The inputs come first, in the model's order: it is the order in which the rebuilt model takes them.
    waiting = list(dict.fromkeys([*(tensor._keras_history.operation for tensor in model.inputs), *model.operations]))
    while waiting:
        ready = [operation for operation in waiting if all(name in nodes for name in _sources(calls[operation.name]))]
        for operation in ready:
            nodes[operation.name] = _node(operation, calls[operation.name])
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


def _refuse(layer, reason):
    raise ValueError(f"layer {layer.name!r} ({type(layer).__name__}) cannot be carried: {reason}")


def _call(layer, model):
    """The one call of a layer in this model; it may have others in other models."""
    here = {id(call) for calls in model._nodes_by_depth.values() for call in calls}
    calls = [call for call in layer._inbound_nodes if id(call) in here]
    if len(calls) != 1:
        _refuse(layer, "it is called more than once")
    return calls[0]


def _sources(call) -> list[str]:
    return [tensor._keras_history.operation.name for tensor in call.input_tensors]


def _node(layer, call) -> Node:
    def refuse(reason):
        _refuse(layer, reason)

    if not isinstance(layer, keras.layers.Layer):
        refuse("it is an operation, not a layer; use the layer of that name")
    if isinstance(layer, keras.layers.InputLayer):
        if layer.sparse or getattr(layer, "ragged", False) or getattr(layer, "optional", False):
            refuse("it is sparse, ragged or optional")
        dtype = {} if layer.dtype == "float32" else {"dtype": layer.dtype}
        return Node(layer.name, "InputLayer", dtype, (), tuple(layer.batch_shape[1:]))
    if isinstance(layer, keras.Model):
        refuse("it is a model of its own; flatten it first")
    defaults = inspect.signature(layer.call).parameters
    extra = {
        name: value
        for name, value in call.arguments.kwargs.items()
        if value is not None
        and (name not in defaults or isinstance(value, keras.KerasTensor) or value != defaults[name].default)
    }
    if len(call.arguments.args) != 1 or extra:
        refuse(f"it is called with arguments other than its input tensors: {extra or len(call.arguments.args)}")
    tensors = call.arguments.args[0]
    tensors = tensors if isinstance(tensors, list | tuple) else [tensors]
    if not all(isinstance(tensor, keras.KerasTensor) for tensor in tensors):
        refuse("its inputs are not a tensor or a list of tensors of the graph")
    if len(call.outputs) != 1:
        refuse(f"it has {len(call.outputs)} outputs")
    kind = _kind(type(layer)) or refuse("its class is not registered; use keras.saving.register_keras_serializable")
    # Not `trainable_variables`: a frozen layer's kernel is still a weight.
    trained = {id(variable) for part in layer._flatten_layers() for variable in part._trainable_variables}
    shapes = {name: (id(variable) in trained, tuple(variable.shape)) for name, variable in _variables(layer).items()}
    return Node(
        layer.name,
        kind,
        _config(layer, kind),
        tuple(_sources(call)),
        tuple(call.outputs[0].shape[1:]),
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

    try:
        full = plain(layer)
        whole = {name: value for name, value in full.items() if (name, value) != ("dtype", "float32")}
        if plain(_layer(kind, whole, layer.name)) != full:
            _refuse(layer, "its get_config() does not make the same layer again")
    except (KeyError, TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(f"layer {layer.name!r} ({kind}) cannot be carried: {error}") from error
    signature = inspect.signature(type(layer).__init__).parameters.values()
    needed = [
        p.name for p in signature if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"
    ]
    try:
        required = {name: full[name] for name in needed}
        default = plain(_layer(kind, required, layer.name))
        pruned = required | {name: value for name, value in full.items() if value != default.get(name)}
        return pruned if plain(_layer(kind, pruned, layer.name)) == full else whole
    except (KeyError, TypeError, ValueError):
        return whole


def _copied(config) -> dict:
    return json.loads(json.dumps(dict(config)))


# State ----------------------------------------------------------------------------------------------------------------


def read_state(model: keras.Model) -> State:
    """Weights and optimiser slots of a model as arrays."""
    variables = _all_variables(model)
    keys = {id(variable): key for key, variable in variables.items()}
    weights = {key: ops.convert_to_numpy(variable) for key, variable in variables.items()}
    slots = {}
    for sort, variables in _slots(model).items():
        trained = model.optimizer._trainable_variables
        slots[sort] = {keys[id(of)]: ops.convert_to_numpy(slot) for of, slot in zip(trained, variables, strict=True)}
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
    if not state.slots or getattr(model, "optimizer", None) is None:
        return
    model.optimizer.build(model.trainable_variables)
    keys = {id(variable): key for key, variable in variables.items()}
    for sort, slots in _slots(model).items():
        for of, slot in zip(model.optimizer._trainable_variables, slots, strict=True):
            value = state.slots.get(sort, {}).get(keys[id(of)])
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
        and sort not in ("_trainable_variables", "_variables")
        and len(values) == len(trained)
        and all(
            isinstance(slot, keras.Variable) and slot.shape == of.shape
            for slot, of in zip(values, trained, strict=True)
        )
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

    Raises:
        ValueError: a named layer is no batch normalisation with gamma and beta over the last axis.
    """
    named = frozenset(names)
    if not named:
        return
    for name in sorted(named):
        layer = model.get_layer(name)
        usual = isinstance(layer, keras.layers.BatchNormalization) and layer.scale and layer.center and not layer.renorm
        if not usual or layer.axis not in (-1, len(architecture[name].shape)):
            raise ValueError(f"layer {name!r} is no batch normalisation with gamma and beta over the last axis")
    values: dict = {}
    for node in architecture.nodes:
        if node.kind == "InputLayer":
            values[node.name] = ops.convert_to_tensor(batch, node.config.get("dtype", "float32"))
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
    optimizer._exclude_from_weight_decay_pattern = getattr(parent.optimizer, "_exclude_from_weight_decay_pattern", None)
    # Single variables are excluded by their identity there, so here by that of their namesakes.
    ids, name = getattr(parent.optimizer, "_exclude_from_weight_decay", ()), parent.optimizer._var_key
    excluded = {key for key, variable in _all_variables(parent).items() if name(variable) in ids}
    namesakes = {optimizer._var_key(variable) for key, variable in _all_variables(child).items() if key in excluded}
    optimizer._exclude_from_weight_decay = namesakes
    compiled = parent._compile_metrics
    child.compile(
        optimizer=optimizer,
        loss=parent.loss,
        loss_weights=parent._compile_loss._user_loss_weights if parent._compile_loss is not None else None,
        metrics=_fresh(compiled._user_metrics) if compiled is not None else None,
        weighted_metrics=_fresh(compiled._user_weighted_metrics) if compiled is not None else None,
        run_eagerly=parent.run_eagerly,
        steps_per_execution=parent.steps_per_execution,
        jit_compile=parent.jit_compile if tf.config.list_physical_devices("GPU") else False,
    )


def _fresh(metrics):
    if isinstance(metrics, dict):
        return {name: _fresh(metric) for name, metric in metrics.items()}
    if isinstance(metrics, list | tuple):
        return [_fresh(metric) for metric in metrics]
    return type(metrics).from_config(metrics.get_config()) if isinstance(metrics, keras.Metric) else metrics
