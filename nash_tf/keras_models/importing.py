"""Reads the architecture of a functional Keras model."""

import contextlib
import math
from collections.abc import Iterable
from typing import Any

import keras
from keras import tree

from nash_tf.architecture import Architecture, Node, layer_rules
from nash_tf.garbage import without_collecting
from nash_tf.keras_models import private_api, trusted
from nash_tf.keras_models.call_arguments import encode, is_tensor
from nash_tf.keras_models.graph_calls import Call, calls_of, graph_of
from nash_tf.keras_models.layer_configs import config_of, copied, refuse
from nash_tf.keras_models.private_api import input_structure, output_structure
from nash_tf.keras_models.variables import variables
from nash_tf.layers import Output

_OTHER_WEIGHTS = "it has other weights than its settings tell, as with LoRA"


@without_collecting()
def from_keras(model: keras.Model, *, one_by_one: bool = False) -> Architecture:
    """The architecture of a functional model, or of a built sequential model.

    Keras operations that are not layers become nodes too; those for which there is a layer of the same function become
    that layer. Models inside the model are flattened: the names of their nodes get the inner model's name as a prefix. If
    an inner model has one output, or one that is an output of the whole, the node of that output has the inner model's name.

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
            functional, a sparse or optional input, a custom layer that is not registered, a weight that two layers have in common,
            and a config or an argument that is not plain data.
    """
    graph = graph_of(model)
    calls, call_of = calls_of(graph)
    _check_weights_of_their_own([call.operation for call in calls])
    structure = {}
    for key, tensors in (("inputs", input_structure(graph)), ("outputs", output_structure(graph))):
        if not all(map(is_tensor, _listed(tensors))):
            structure[key] = copied(tree.map_structure(lambda tensor: call_of[id(tensor)].name, tensors))
    outputs = tuple(call_of[id(tensor)].name for tensor in graph.outputs)
    known: dict | None = None if one_by_one else {}
    return Architecture(tuple(_node(call, known) for call in calls), outputs, structure)


def _listed(value) -> list:
    return list(value) if isinstance(value, list | tuple) else [value]


def _node(call: Call, known: dict | None) -> Node:
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
    _check_state(operation)
    config = config_of(operation, kind, len(shape), known)
    weights, statistics = ({}, {}) if call.layer_of else _variable_shapes(operation)
    # A usual call is on one tensor or on a list of several. A call for which the layer rule is wrong (an Add that
    # broadcasts) is stored as unusual, so that no operator changes it.
    tensors = _listed(args[0]) if len(args) == 1 and not call.kwargs else []
    is_usual = bool(tensors) and all(map(is_tensor, tensors)) and is_tensor(args[0]) == (len(tensors) == 1)
    closed = call.closed
    if is_usual and not closed:
        inferred = layer_rules.infer(kind, config, [tuple(tensor.shape[1:]) for tensor in tensors])
        is_usual = inferred in (None, layer_rules.Inferred(shape, weights, statistics))
        closed = _OTHER_WEIGHTS if inferred and not is_usual and inferred.shape == shape else ""
    if closed:
        closing = {layer_rules.CLOSED: closed} | ({layer_rules.LAYER_OF: call.layer_of} if call.layer_of else {})
        config[layer_rules.CALL] = encode(operation, kind, args, call.kwargs) | closing
    elif not is_usual:
        config[layer_rules.CALL] = encode(operation, kind, args, call.kwargs)
        sources = [tuple(leaf.shape[1:]) for leaf in tree.flatten((args, call.kwargs)) if is_tensor(leaf)]
        inferred = layer_rules.infer(kind, config, sources)
        if inferred not in (None, layer_rules.Inferred(shape, weights, statistics)):
            config[layer_rules.CALL][layer_rules.CLOSED] = True
    return Node(call.name, kind, config, call.sources, shape, weights, statistics)


def _check_weights_of_their_own(operations: Iterable[Any]) -> None:
    """Refuses a weight of two layers, as of one layer in two wrappers: each would have its own in a child."""
    owners: dict[int, Any] = {}
    for operation in operations:
        for weight in getattr(operation, "weights", ()):
            owner = owners.setdefault(id(weight), operation)
            if owner is not operation:
                refuse(
                    operation,
                    f"its weight {weight.name} is one of {owner.name!r} ({type(owner).__name__}) too, and in a child each would have "
                    "its own: call one of the two layers in both places, as calls of one layer stay so, or give each weights of its own",
                )


def _check_state(operation: Any) -> None:
    """Refuses a layer in a state that its config, of which a child's layer is made, does not tell."""
    if mode := getattr(operation, "quantization_mode", None):
        refuse(operation, f"it is quantized ({mode}): change the model as it was before, and quantize the result")
    for part in private_api.parts(operation) if isinstance(operation, keras.layers.Layer) else ():
        if part is not operation and (getattr(part, "quantization_mode", None) or getattr(part, "lora_enabled", False)):
            refuse(
                operation,
                f"{part.name} in it is quantized or has LoRA, which a child would not know: change the model as it was before",
            )
        frozen = [variable.name for variable in private_api.own_weights(part) if not variable.trainable]
        if part.trainable and frozen and not getattr(part, "lora_enabled", False):
            names = " and ".join(frozen)
            refuse(
                operation,
                f"of it {names} alone is frozen, which a child would not know: freeze the whole layer, or nothing of it",
            )
        if isinstance(part, keras.layers.Normalization) and _is_stale(part):
            refuse(
                operation,
                f"{part.name} does not compute with the mean and variance that are its weights, as after set_weights: call its "
                "finalize_state()",
            )
        if type(part).__module__.startswith(("keras.", "nash_tf.")):
            _check_rules(operation, part)


def _is_stale(layer: keras.layers.Normalization) -> bool:
    """Whether it computes with other numbers than its weights: it has copies, and setting weights does not renew these."""
    if layer.input_mean is not None or not layer.built:
        return False
    pairs = ((layer.mean, layer.adapt_mean), (layer.variance, layer.adapt_variance))
    # A copy made while a graph was traced has no value to look at.
    return any(
        hasattr(copy, "numpy")
        and not keras.ops.all(copy == keras.ops.cast(keras.ops.reshape(weight, copy.shape), copy.dtype))
        for copy, weight in pairs
    )


def _check_rules(operation: Any, part: keras.layers.Layer) -> None:
    """Refuses a layer if in a part of it a variable has another regularizer or constraint than the part says."""
    for sort in ("regularizer", "constraint"):
        for variable in private_api.own_weights(part):
            stem = variable.name.removesuffix("_kernel")  # as of recurrent and pointwise ones
            names = [f"{each}_{sort}" for each in (variable.name, stem, "depthwise" if stem == "kernel" else stem)]
            stated = [getattr(part, name) for name in names if hasattr(part, name)]
            if stated and not _are_equal(getattr(variable, sort), stated[0]):
                refuse(
                    operation,
                    f"its {variable.name} has another {sort} than the layer was made with, which a child would not know: make the "
                    f"layer with it, and give it the weights",
                )


def _are_equal(one: Any, two: Any) -> bool:
    """Whether two regularizers or constraints, or None, are the same or of one config."""
    if one is two or type(one) is not type(two) or not hasattr(one, "get_config"):
        return one is two
    with contextlib.suppress(NotImplementedError):  # as of a class of the user
        return one.get_config() == two.get_config()
    return False


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
