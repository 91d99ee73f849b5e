"""The calls of layers and operations that a functional Keras model is made of, with those of the models inside it."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import keras
from keras import tree

from nash_tf.architecture import Architecture
from nash_tf.keras_models import private_api
from nash_tf.keras_models.call_arguments import is_tensor
from nash_tf.keras_models.layer_configs import PLAIN_MODEL, in_words, refuse
from nash_tf.keras_models.operation_layers import WITH_LOGITS, as_layer
from nash_tf.keras_models.private_api import Cast, Functional, Operation, input_structure, maker
from nash_tf.layers import Output

SHARED = "it is called more than once, and its weights are one for all calls"
SEVERAL = "it has several outputs"


@dataclass
class Call:
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
    is_sequential = type(model) is keras.Sequential
    graph = private_api.functional_of(model) if is_sequential else model
    if graph is None and is_sequential:
        raise ValueError(f"the sequential model {model.name!r} is not built; begin it with a keras.Input")
    if not isinstance(graph, Functional) or type(graph).call is not Functional.call:
        remedy = f"; give {PLAIN_MODEL}" if isinstance(graph, Functional) else ""
        received = f"{in_words(model)}{remedy}"
        if isinstance(model, Architecture):
            received = "an Architecture; its to_keras() makes one, with new weights"
        raise ValueError(f"expected a functional keras.Model, received {received}")
    return graph


CallOf = dict[int, Call]  # by a tensor's id the call whose output it is


def calls_of(graph: Functional) -> tuple[list[Call], CallOf]:
    """All calls in topological order, with those of inner models; and by tensor of the graph the call that made it."""
    reader = _Reader(graph)
    call_of = reader.read()
    _share([call for call in reader.calls if len(reader.names_of.get(id(call.operation), ())) > 1])
    for call in reader.calls:
        _become_layer(call)
    return reader.calls, call_of


def operations(model: keras.Model) -> dict[str, Operation]:
    """The layers and operations of a functional model by the names of their nodes; errors as of `from_keras`."""
    return {call.name: call.operation for call in calls_of(graph_of(model))[0]}


class _Reader:
    """Reads a graph.

    Attributes:
        calls: those found so far, in topological order.
        names_of: by an operation's id the names of its calls.
    """

    def __init__(self, graph: Functional):
        self.calls: list[Call] = []
        self.names_of: dict[int, list[str]] = {}
        self._graph = graph
        self._used = {operation.name for operation in graph.operations}
        self._ends = set(map(id, graph.outputs))
        self._last = set(self._ends)  # with the outputs of inner models that are outputs of the whole

    def read(self) -> CallOf:
        """Adds all calls of the graph."""
        call_of: CallOf = {}
        for tensor in self._graph.inputs:
            operation = maker(tensor)
            (call_of[id(tensor)],) = self._add(operation.name, operation, [], {}, call_of, [tensor])
        self._visit(self._graph, call_of)
        return call_of

    def _visit(self, graph: Functional, call_of: CallOf, prefix="", resized=False, is_masked=False) -> None:
        """Adds the calls of a graph. `resized` says that the shapes differ from those of the original calls."""
        for node in private_api.recorded_calls(graph):
            operation = node.operation
            name = self._named(operation, graph, prefix)
            args, kwargs = _arguments_of(node)
            if isinstance(operation, keras.Model):
                new_calls = self._enter(operation, name, args, kwargs, node.outputs, call_of, resized, is_masked)
            else:
                outputs = None if resized else list(node.outputs)
                new_calls = self._add(name, operation, args, kwargs, call_of, outputs, is_masked)
            call_of.update((id(tensor), call) for tensor, call in zip(node.outputs, new_calls, strict=True))

    def _named(self, operation: Operation, graph: Functional, prefix: str) -> str:
        """The name of the next call of an operation."""
        earlier, name = self.names_of.setdefault(id(operation), []), operation.name
        if earlier:
            name = f"{earlier[0]}_call_{len(earlier) + 1}"
            name = name if isinstance(operation, keras.Model) else self._unused(name)
        elif prefix:
            name = prefix if operation is self._heir(graph) else self._unused(f"{prefix}_{name}")
        earlier.append(name)
        return name

    def _heir(self, graph: Functional) -> Operation | None:
        """The operation of an inner model that gets its name: that of its one output, or of the one that is an output of the whole
        model too. Losses and labels are of these names, and a file of the model keeps no others."""
        outputs = graph.outputs
        last = outputs if len(outputs) == 1 else [tensor for tensor in outputs if id(tensor) in self._last]
        return maker(last[0]) if len(last) == 1 else None

    def _enter(self, operation, name, args, kwargs, outputs, call_of: CallOf, resized, is_masked) -> list[Call]:
        """Adds the calls inside an inner model, and returns those of its outputs."""
        graph = graph_of(operation)
        self._last |= {
            id(inner) for inner, outer in zip(graph.outputs, outputs, strict=True) if id(outer) in self._last
        }
        if "mask" in kwargs:  # Keras adds it where an input has one
            refuse(operation, "it is called with a mask, its input's or another; call its layers one by one instead")
        if len(args) != 1 or kwargs or isinstance(args[0], dict) != isinstance(input_structure(graph), dict):
            refuse(operation, "it is called with other arguments than its inputs")
        inside: CallOf = {}  # a separate one, because an inner and an outer model may share an input tensor
        for tensor, entry in zip(tree.flatten(args[0]), graph.inputs, strict=True):
            call = call_of[id(tensor)]
            is_masked = is_masked or private_api.has_mask(tensor)
            if len(call.output.shape) != len(entry.shape):
                refuse(operation, f"its input {entry.name!r} has another number of axes than the tensor that it gets")
            if call.output.dtype != entry.dtype:
                place = self._unused(f"{name}_{maker(entry).name}")
                (call,) = self._add(place, Cast(entry.dtype), [tensor], {}, call_of)
            inside[id(entry)] = call
            resized = resized or call.output.shape != entry.shape
        self._visit(graph, inside, name, resized, is_masked)
        return [inside[id(tensor)] for tensor in graph.outputs]

    def _add(
        self, name: str, operation: Operation, args: list, kwargs: dict, call_of: CallOf, outputs=None, is_masked=False
    ) -> list[Call]:
        """Adds a call; without `outputs` these are computed from the arguments. Returns the call of each output."""
        tensors = [leaf for leaf in tree.flatten((args, kwargs)) if is_tensor(leaf)]
        sources = tuple(call_of[id(leaf)].name for leaf in tensors)
        is_masked = is_masked or any(map(private_api.has_mask, tensors))
        is_output = outputs is not None and any(id(tensor) in self._ends for tensor in outputs)
        args, kwargs = tree.map_structure(
            lambda leaf: call_of[id(leaf)].output if is_tensor(leaf) else leaf, (args, kwargs)
        )
        outputs = tree.flatten(operation.compute_output_spec(*args, **kwargs)) if outputs is None else outputs
        call = Call(name, operation, args, kwargs, sources, outputs, is_masked, is_output)
        self.calls.append(call)
        if len(outputs) == 1:
            return [call]
        call.closed = SEVERAL
        parts = [
            Call(self._unused(f"{name}:{number}"), Output(number), [], {}, (name,), [tensor])
            for number, tensor in enumerate(outputs)
        ]
        self.calls.extend(parts)
        return parts

    def _unused(self, name: str) -> str:
        while name in self._used:
            name += "_"
        self._used.add(name)
        return name


def _share(repeated: list[Call]) -> None:
    """Marks the calls of layers that have weights and are called more than once."""
    first: dict[int, str] = {}
    for call in repeated:
        if getattr(call.operation, "weights", ()):
            call.layer_of = first.setdefault(id(call.operation), call.name)
            call.layer_of = "" if call.layer_of == call.name else call.layer_of
            call.closed = SHARED


def _become_layer(call: Call) -> None:
    """Makes the call of an operation one of the layer of the same function, where there is one."""
    operation = call.operation
    if isinstance(operation, keras.layers.Layer) or call.is_masked or call.closed or call.kwargs:
        return
    if call.is_output and type(operation).__name__ in WITH_LOGITS:
        return
    if layer := as_layer(operation, call.name, call.args, call.output):
        call.operation, call.args = layer


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
