"""The architecture of a functional Keras model."""

import inspect
from dataclasses import dataclass

import keras
from keras import tree

from nash_tf.architecture import Architecture, Node, layer_rules
from nash_tf.keras_models import private_api, trusted
from nash_tf.keras_models.call_arguments import encode, is_tensor
from nash_tf.keras_models.layer_configs import config_of, copied, refuse
from nash_tf.keras_models.private_api import Cast, Functional, Operation, input_structure, maker, output_structure
from nash_tf.keras_models.variables import variables

# Operations that have a layer of the same function, as which the operators know them.
_AS_LAYERS = {
    "keras.ops>Add": "Add",
    "keras.ops>Multiply": "Multiply",
    "keras.ops>Relu": "ReLU",
    "keras.ops>ReLU": "ReLU",
}


def from_keras(model: keras.Model) -> Architecture:
    """The architecture of a functional model, or of a sequential one that is built.

    Keras operations that are no layers are nodes too. Models in the model are flattened: their nodes get the model's name
    in front, except the one that gives its only output, which has the model's name.

    Raises:
        ValueError: what cannot be carried, naming the layer: a model that is not functional, a layer or model called
            twice, several outputs of one layer, a sparse or optional input, a custom layer that is not registered, a
            config or an argument that is not plain data.
    """
    graph = _graph(model)
    calls, made = _calls(graph)
    structure = {}
    for key, given in (("inputs", input_structure(graph)), ("outputs", output_structure(graph))):
        if not all(map(is_tensor, _listed(given))):
            structure[key] = copied(tree.map_structure(lambda tensor: made[id(tensor)].name, given))
    outputs = tuple(made[id(tensor)].name for tensor in graph.outputs)
    return Architecture(tuple(map(_node, calls)), outputs, structure)


def operations(model: keras.Model) -> dict[str, Operation]:
    """The layers and operations of a model, by the names of their nodes."""
    return {call.name: call.operation for call in _calls(_graph(model))[0]}


@dataclass
class _Call:
    """One call of a layer or operation; the tensors in its arguments are outputs of other calls."""

    name: str
    operation: Operation
    args: list
    kwargs: dict
    sources: tuple[str, ...]
    output: keras.KerasTensor


def _graph(model) -> Functional:
    graph = private_api.functional_of(model) if type(model) is keras.Sequential else model
    if graph is None:
        raise ValueError(f"the sequential model {model.name!r} is not built; begin it with a keras.Input")
    if type(graph) is not Functional:
        name = getattr(model, "name", None)
        remedy = "" if not isinstance(graph, Functional) else "; give keras.Model(model.inputs, model.outputs)"
        raise ValueError(
            f"expected a functional keras.Model, received {name!r} of class {type(model).__name__}{remedy}"
        )
    return graph


_Made = dict[int, _Call]  # which call made a tensor, by the tensor's id


def _calls(graph: Functional) -> tuple[list[_Call], _Made]:
    """All calls in topological order, those of models in the model too, and which of them made the graph's own tensors."""
    calls: list[_Call] = []
    names = {operation.name for operation in graph.operations}
    seen: set[int] = set()

    def add(name, operation, args, kwargs, made, output=None):
        """`output` is left out where the shape is to be computed."""
        sources = tuple(made[id(leaf)].name for leaf in tree.flatten((args, kwargs)) if is_tensor(leaf))
        args, kwargs = tree.map_structure(
            lambda leaf: made[id(leaf)].output if is_tensor(leaf) else leaf, (args, kwargs)
        )
        output = operation.compute_output_spec(*args, **kwargs) if output is None else output
        calls.append(_Call(name, operation, args, kwargs, sources, output))
        return calls[-1]

    def unused(name):
        while name in names:
            name += "_"
        names.add(name)
        return name

    def enter(operation, name, args, kwargs, made, resized) -> list[_Call]:
        """The calls that make the outputs of a model in the model."""
        graph = _graph(operation)
        if len(args) != 1 or kwargs or isinstance(args[0], dict) != isinstance(input_structure(graph), dict):
            refuse(operation, "it is called with other arguments than its inputs")
        inside: _Made = {}  # of its own: a model may have an input tensor in common with the one it is in
        for tensor, entry in zip(tree.flatten(args[0]), graph.inputs, strict=True):
            call = made[id(tensor)]
            if len(call.output.shape) != len(entry.shape):
                refuse(operation, f"its input {entry.name!r} has another number of axes than what it is given")
            if call.output.dtype != entry.dtype:
                place = unused(f"{name}_{maker(entry).name}")
                call = add(place, Cast(entry.dtype), [tensor], {}, made)
            inside[id(entry)] = call
            resized = resized or call.output.shape != entry.shape
        visit(graph, inside, name, resized)
        return [inside[id(tensor)] for tensor in graph.outputs]

    def visit(graph, made, prefix="", resized=False):
        for node in private_api.recorded_calls(graph):
            operation, name = node.operation, node.operation.name
            if id(operation) in seen:
                refuse(operation, "it is called more than once")
            seen.add(id(operation))
            if prefix:
                is_output = [operation] == [maker(tensor) for tensor in graph.outputs]
                name = prefix if is_output else unused(f"{prefix}_{name}")
            args, kwargs = _arguments_of(node)
            if isinstance(operation, keras.Model):
                makers = enter(operation, name, args, kwargs, made, resized)
            elif len(node.outputs) != 1:
                refuse(operation, f"it has {len(node.outputs)} outputs")
            else:
                makers = [add(name, operation, args, kwargs, made, None if resized else node.outputs[0])]
            made.update((id(tensor), call) for tensor, call in zip(node.outputs, makers, strict=True))

    made: _Made = {}
    for tensor in graph.inputs:
        operation = maker(tensor)
        made[id(tensor)] = add(operation.name, operation, [], {}, made, tensor)
    visit(graph, made)
    return calls, made


def _listed(value) -> list:
    return list(value) if isinstance(value, list | tuple) else [value]


def _arguments_of(node) -> tuple[list, dict]:
    """Arguments of a recorded call, without those that have no effect."""
    args, kwargs = list(node.arguments.args), {}
    parameters = inspect.signature(node.operation.call).parameters
    for key, value in node.arguments.kwargs.items():
        default = parameters[key].default if key in parameters else None
        is_default = isinstance(value, bool | int | float | str) and value == default
        is_absent = default is None and all(leaf is None for leaf in tree.flatten(value))
        # A functional model runs its layers in the mode it is called in, so a recorded `training=False` has no effect.
        if not (is_default or is_absent or (key == "training" and not value)):
            kwargs[key] = value
    first = next(iter(parameters), None)
    if not args and first in kwargs:
        args = [kwargs.pop(first)]
    return args, kwargs


def _node(call: _Call) -> Node:
    operation, args, shape = call.operation, call.args, tuple(call.output.shape[1:])
    if isinstance(operation, keras.layers.InputLayer):
        if operation.sparse or getattr(operation, "ragged", False) or getattr(operation, "optional", False):
            refuse(operation, "it is sparse, ragged or optional")
        config = {"dtype": operation.dtype, "batch_size": operation.batch_shape[0]}
        config = {key: value for key, value in config.items() if value not in ("float32", None)}
        return Node(call.name, "InputLayer", config, (), shape)
    kind = trusted.kind_of(type(operation))
    if kind is None:
        refuse(operation, "its class is not registered; use keras.saving.register_keras_serializable")
    if kind in _AS_LAYERS and all(_is_image(leaf, call.output.dtype) for leaf in args):
        kind = _AS_LAYERS[kind]
        dtype = call.output.dtype
        # What follows it takes over its policy, and is to keep its weights in float32.
        policy = f"mixed_{dtype}" if dtype in ("float16", "bfloat16") else dtype
        operation = trusted.class_of(kind)(**{**operation.get_config(), "dtype": policy})
        args = [args] if len(args) > 1 else args
    config = config_of(operation, kind, len(shape))
    weights, statistics = _variable_shapes(operation)
    # Usual is a call on one tensor or a list of several. A use that `kinds` describes wrongly (an Add that broadcasts) is
    # put down as unusual, so that no operator touches it.
    tensors = _listed(args[0]) if len(args) == 1 and not call.kwargs else []
    usual = bool(tensors) and all(map(is_tensor, tensors)) and is_tensor(args[0]) == (len(tensors) == 1)
    if usual:
        inferred = layer_rules.infer(kind, config, [tuple(tensor.shape[1:]) for tensor in tensors])
        usual = inferred in (None, layer_rules.Inferred(shape, weights, statistics))
    if not usual:
        config[layer_rules.CALL] = encode(operation, kind, args, call.kwargs)
    return Node(call.name, kind, config, call.sources, shape, weights, statistics)


def _is_image(value, dtype) -> bool:
    return is_tensor(value) and len(value.shape) == 4 and value.dtype == dtype and "float" in dtype


def _variable_shapes(operation) -> tuple[dict, dict]:
    """Shapes of the trained variables and of the others."""
    if not isinstance(operation, keras.layers.Layer):
        return {}, {}
    # Not `trainable_variables`: a frozen layer's kernel is still a weight.
    trained = {id(variable) for part in private_api.parts(operation) for variable in private_api.own_weights(part)}
    weights, statistics = {}, {}
    for name, variable in variables(operation).items():
        (weights if id(variable) in trained else statistics)[name] = tuple(variable.shape)
    return weights, statistics
