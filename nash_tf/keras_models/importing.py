"""Reads the architecture of a functional Keras model."""

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import keras
from keras import tree

from nash_tf.architecture import Architecture, Node, layer_rules
from nash_tf.keras_models import private_api, trusted
from nash_tf.keras_models.call_arguments import encode, is_tensor
from nash_tf.keras_models.layer_configs import config_of, copied, refuse
from nash_tf.keras_models.operation_layers import WITH_LOGITS, as_layer
from nash_tf.keras_models.private_api import Cast, Functional, Operation, input_structure, maker, output_structure
from nash_tf.keras_models.variables import variables
from nash_tf.layers import Output

SHARED = "it is called more than once, and its weights are one for all calls"
SEVERAL = "it has several outputs"


def from_keras(model: keras.Model, *, one_by_one: bool = False) -> Architecture:
    """The architecture of a functional model, or of a built sequential model.

    Keras operations that are not layers become nodes too; those for which there is a layer of the same function become
    that layer. Models inside the model are flattened: the names of their nodes get the inner model's name as a prefix. If
    an inner model has one output, the node of that output has the inner model's name.

    A layer that is called more than once becomes a node for each call, "relu" and "relu_call_2". Without weights these are
    separate layers from then on (of noise each call draws its own numbers). With weights all are calls of the first one's
    layer, and stay as they are.

    A layer of several outputs becomes a node that has all their numbers in one axis, and one for each output ("lstm:0").

    Args:
        model: the model.
        one_by_one: whether equal layers are made again one by one, and not once. Each draws a seed then: the initial weights of what
            a seeded search builds next depend on it.

    Raises:
        ValueError: the model cannot be represented; the message names the layer. Reasons are a model that is not
            functional, a sparse or optional input, a custom layer that is not registered, and a config or an argument that is not plain data.
    """
    graph = graph_of(model)
    calls, call_of = _calls(graph)
    structure = {}
    for key, tensors in (("inputs", input_structure(graph)), ("outputs", output_structure(graph))):
        if not all(map(is_tensor, _listed(tensors))):
            structure[key] = copied(tree.map_structure(lambda tensor: call_of[id(tensor)].name, tensors))
    outputs = tuple(call_of[id(tensor)].name for tensor in graph.outputs)
    known: dict | None = None if one_by_one else {}
    return Architecture(tuple(_node(call, known) for call in calls), outputs, structure)


def operations(model: keras.Model) -> dict[str, Operation]:
    """The layers and operations of a functional model by the names of their nodes; errors as of `from_keras`."""
    return {call.name: call.operation for call in _calls(graph_of(model))[0]}


@dataclass
class _Call:
    """One call of a layer or operation.

    Attributes:
        name: name of the node.
        operation: the layer or operation that is called.
        args: positional arguments; the tensors in them are outputs of other calls.
        kwargs: named arguments, likewise.
        sources: names of the nodes whose outputs the arguments hold, in order.
        outputs: the outputs.
        is_masked: whether a mask may come with one of the tensors in the arguments.
        is_output: whether it is an output of the model.
        layer_of: name of the first call of the same layer, where that has weights; "" for the first.
        closed: why no operator may change it; "" where one may.
    """

    name: str
    operation: Operation
    args: list
    kwargs: dict
    sources: tuple[str, ...]
    outputs: list[keras.KerasTensor]
    is_masked: bool = False
    is_output: bool = False
    layer_of: str = ""
    closed: str = ""

    @property
    def output(self) -> keras.KerasTensor:
        """The output of a call that has one."""
        (output,) = self.outputs
        return output


def graph_of(model) -> Functional:
    """The model itself, or the functional model inside a sequential one.

    A subclass of `keras.Model` is one too if it is made of inputs and outputs and leaves `call` as it is.
    """
    graph = private_api.functional_of(model) if type(model) is keras.Sequential else model
    if graph is None:
        raise ValueError(f"the sequential model {model.name!r} is not built; begin it with a keras.Input")
    if not isinstance(graph, Functional) or type(graph).call is not Functional.call:
        name = getattr(model, "name", None)
        remedy = "" if not isinstance(graph, Functional) else "; give keras.Model(model.inputs, model.outputs)"
        raise ValueError(
            f"expected a functional keras.Model, received {name!r} of class {type(model).__name__}{remedy}"
        )
    return graph


_CallOf = dict[int, _Call]  # by a tensor's id the call whose output it is


def _calls(graph: Functional) -> tuple[list[_Call], _CallOf]:
    """All calls in topological order, with those of inner models; and by tensor of the graph the call that made it."""
    calls: list[_Call] = []
    names = {operation.name for operation in graph.operations}
    before: dict[int, list[str]] = {}  # by an operation's id the names of its calls
    ends = set(map(id, graph.outputs))

    def add(name, operation, args, kwargs, call_of, outputs=None, is_masked=False):
        """Adds a call; without `outputs` these are computed from the arguments. Returns the call of each output."""
        tensors = [leaf for leaf in tree.flatten((args, kwargs)) if is_tensor(leaf)]
        sources = tuple(call_of[id(leaf)].name for leaf in tensors)
        is_masked = is_masked or any(map(private_api.has_mask, tensors))
        is_output = outputs is not None and any(id(tensor) in ends for tensor in outputs)
        args, kwargs = tree.map_structure(
            lambda leaf: call_of[id(leaf)].output if is_tensor(leaf) else leaf, (args, kwargs)
        )
        outputs = tree.flatten(operation.compute_output_spec(*args, **kwargs)) if outputs is None else outputs
        call = _Call(name, operation, args, kwargs, sources, outputs, is_masked, is_output)
        calls.append(call)
        if len(outputs) == 1:
            return [call]
        call.closed = SEVERAL
        parts = [
            _Call(unused(f"{name}:{number}"), Output(number), [], {}, (name,), [tensor])
            for number, tensor in enumerate(outputs)
        ]
        calls.extend(parts)
        return parts

    def unused(name):
        while name in names:
            name += "_"
        names.add(name)
        return name

    def enter(operation, name, args, kwargs, call_of, resized, is_masked) -> list[_Call]:
        """Adds the calls inside an inner model, and returns those of its outputs."""
        graph = graph_of(operation)
        if len(args) != 1 or kwargs or isinstance(args[0], dict) != isinstance(input_structure(graph), dict):
            refuse(operation, "it is called with other arguments than its inputs")
        inside: _CallOf = {}  # a separate one, because an inner and an outer model may share an input tensor
        for tensor, entry in zip(tree.flatten(args[0]), graph.inputs, strict=True):
            call = call_of[id(tensor)]
            is_masked = is_masked or private_api.has_mask(tensor)
            if len(call.output.shape) != len(entry.shape):
                refuse(operation, f"its input {entry.name!r} has another number of axes than the tensor that it gets")
            if call.output.dtype != entry.dtype:
                place = unused(f"{name}_{maker(entry).name}")
                (call,) = add(place, Cast(entry.dtype), [tensor], {}, call_of)
            inside[id(entry)] = call
            resized = resized or call.output.shape != entry.shape
        visit(graph, inside, name, resized, is_masked)
        return [inside[id(tensor)] for tensor in graph.outputs]

    def visit(graph, call_of, prefix="", resized=False, is_masked=False):
        """Adds the calls of a graph. `resized` says that the shapes differ from those of the original calls."""
        for node in private_api.recorded_calls(graph):
            operation, name = node.operation, node.operation.name
            earlier = before.setdefault(id(operation), [])
            if earlier:
                name = f"{earlier[0]}_call_{len(earlier) + 1}"
                name = name if isinstance(operation, keras.Model) else unused(name)
            elif prefix:
                is_output = [operation] == [maker(tensor) for tensor in graph.outputs]
                name = prefix if is_output else unused(f"{prefix}_{name}")
            earlier.append(name)
            args, kwargs = _arguments_of(node)
            if isinstance(operation, keras.Model):
                new_calls = enter(operation, name, args, kwargs, call_of, resized, is_masked)
            else:
                outputs = None if resized else list(node.outputs)
                new_calls = add(name, operation, args, kwargs, call_of, outputs, is_masked)
            call_of.update((id(tensor), call) for tensor, call in zip(node.outputs, new_calls, strict=True))

    call_of: _CallOf = {}
    for tensor in graph.inputs:
        operation = maker(tensor)
        (call_of[id(tensor)],) = add(operation.name, operation, [], {}, call_of, [tensor])
    visit(graph, call_of)
    _share([call for call in calls if len(before.get(id(call.operation), ())) > 1])
    for call in calls:
        _become_layer(call)
    return calls, call_of


def _share(repeated: list[_Call]) -> None:
    """Marks the calls of layers that have weights and are called more than once."""
    first: dict[int, str] = {}
    for call in repeated:
        if getattr(call.operation, "weights", ()):
            call.layer_of = first.setdefault(id(call.operation), call.name)
            call.layer_of = "" if call.layer_of == call.name else call.layer_of
            call.closed = SHARED


def _become_layer(call: _Call) -> None:
    """Makes the call of an operation one of the layer of the same function, where there is one."""
    operation = call.operation
    if isinstance(operation, keras.layers.Layer) or call.is_masked or call.closed or call.kwargs:
        return
    if call.is_output and type(operation).__name__ in WITH_LOGITS:
        return
    if layer := as_layer(operation, call.name, call.args, call.output):
        call.operation, call.args = layer


def _listed(value) -> list:
    return list(value) if isinstance(value, list | tuple) else [value]


@lru_cache(maxsize=256)
def _parameters(call) -> Mapping[str, inspect.Parameter]:
    """By name the parameters of a layer's `call`, without `self`."""
    named = dict(inspect.signature(call).parameters)
    return {name: parameter for name, parameter in named.items() if name != "self"}


def _arguments_of(node) -> tuple[list, dict]:
    """Positional and named arguments of a recorded call, without those that have no effect."""
    args, kwargs = list(node.arguments.args), {}
    parameters = _parameters(getattr(node.operation.call, "__func__", node.operation.call))
    for key, value in node.arguments.kwargs.items():
        default = parameters[key].default if key in parameters else None
        is_default = isinstance(value, bool | int | float | str) and value == default
        is_absent = default is None and all(leaf is None for leaf in tree.flatten(value))
        # A functional model passes its own mode on to its layers, so a recorded `training=False` has no effect.
        if not (is_default or is_absent or (key == "training" and not value)):
            kwargs[key] = value
    first = next(iter(parameters), None)
    if not args and first in kwargs:
        args = [kwargs.pop(first)]
    return args, kwargs


def _node(call: _Call, known: dict | None) -> Node:
    operation, args, shape = call.operation, call.args, _shape_of(call.outputs)
    if isinstance(operation, keras.layers.InputLayer):
        if operation.sparse or getattr(operation, "ragged", False) or getattr(operation, "optional", False):
            refuse(operation, "it is sparse, ragged or optional")
        config = {"dtype": operation.dtype, "batch_size": operation.batch_shape[0]}
        config = {key: value for key, value in config.items() if value not in ("float32", None)}
        return Node(call.name, "InputLayer", config, (), shape)
    if isinstance(operation, Output):
        return Node(call.name, layer_rules.OUTPUT, {"index": operation.index}, call.sources, shape)
    kind = trusted.kind_of(type(operation))
    if kind is None:
        refuse(operation, "its class is not registered; use keras.saving.register_keras_serializable")
    config = config_of(operation, kind, len(shape), known)
    weights, statistics = ({}, {}) if call.layer_of else _variable_shapes(operation)
    # A usual call is on one tensor or on a list of several. A call for which the layer rule is wrong (an Add that
    # broadcasts) is stored as unusual, so that no operator changes it.
    tensors = _listed(args[0]) if len(args) == 1 and not call.kwargs else []
    is_usual = bool(tensors) and all(map(is_tensor, tensors)) and is_tensor(args[0]) == (len(tensors) == 1)
    if is_usual and not call.closed:
        inferred = layer_rules.infer(kind, config, [tuple(tensor.shape[1:]) for tensor in tensors])
        is_usual = inferred in (None, layer_rules.Inferred(shape, weights, statistics))
    if call.closed:
        closing = {layer_rules.CLOSED: call.closed} | ({layer_rules.LAYER_OF: call.layer_of} if call.layer_of else {})
        config[layer_rules.CALL] = encode(operation, kind, args, call.kwargs) | closing
    elif not is_usual:
        config[layer_rules.CALL] = encode(operation, kind, args, call.kwargs)
        sources = [tuple(leaf.shape[1:]) for leaf in tree.flatten((args, call.kwargs)) if is_tensor(leaf)]
        inferred = layer_rules.infer(kind, config, sources)
        if inferred not in (None, layer_rules.Inferred(shape, weights, statistics)):
            config[layer_rules.CALL][layer_rules.CLOSED] = True
    return Node(call.name, kind, config, call.sources, shape, weights, statistics)


def _shape_of(outputs: list[keras.KerasTensor]) -> tuple[int | None, ...]:
    """The shape of an output without the batch axis; of several outputs that of all their numbers in one axis."""
    shapes = [tuple(output.shape[1:]) for output in outputs]
    if len(shapes) == 1:
        return shapes[0]
    return (None if any(None in shape for shape in shapes) else sum(map(math.prod, shapes)),)


def _variable_shapes(operation) -> tuple[dict, dict]:
    """Shapes of the trained variables, and of the other variables, by name."""
    if not isinstance(operation, keras.layers.Layer):
        return {}, {}
    # Not `trainable_variables`, because a frozen layer's kernel is still a weight.
    trained = {id(variable) for part in private_api.parts(operation) for variable in private_api.own_weights(part)}
    weights: dict[str, tuple] = {}
    statistics: dict[str, tuple] = {}
    for name, variable in variables(operation).items():
        (weights if id(variable) in trained else statistics)[name] = tuple(variable.shape)
    return weights, statistics
