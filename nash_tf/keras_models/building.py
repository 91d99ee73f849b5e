"""Builds a functional Keras model from an architecture."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
from keras import tree

from nash_tf.architecture import Architecture, Node, Shape, layer_rules
from nash_tf.garbage import without_collecting
from nash_tf.keras_models import private_api, trusted
from nash_tf.keras_models.call_arguments import arguments, output_of
from nash_tf.keras_models.graph_calls import graph_of, operations
from nash_tf.keras_models.importing import from_keras
from nash_tf.keras_models.layer_configs import PLAIN_MODEL, copied, make
from nash_tf.keras_models.private_api import Operation
from nash_tf.keras_models.state import write_weights
from nash_tf.morphisms.weight_transfer import Key


@without_collecting()
def to_keras(
    architecture: Architecture, like: keras.Model | None = None, *, weights: Mapping[Key, Any] | None = None
) -> keras.Model:
    """A functional model in which each layer has the name of its node.

    Args:
        architecture: the architecture.
        like: a model of the same inputs and outputs, whose name and class it gets, and the nesting of both (tuples too, which
            an architecture takes for lists).
        weights: by (node, variable) the values of all variables, arrays or tensors; None for initial ones, which the layers'
            initialisers draw.

    Raises:
        ValueError: a node names an unknown class, code, or a file (see `nash_tf.keras_models.trusted`), a layer cannot be built
            from its config, the class of `like` cannot be made of inputs and outputs, or a weight is missing or has another
            shape.
    """
    trusted.check(architecture)
    by_node: dict[str, dict[str, Any]] = {}
    for (name, variable), value in (weights or {}).items():
        by_node.setdefault(name, {})[variable] = value
    started: list[keras.Variable] = []

    def starting(name: str, operation: Operation) -> contextlib.AbstractContextManager:
        return private_api.starting_with(operation, by_node.get(name, {}), started)

    with private_api.safe_mode():
        inputs, outputs = _tensors(architecture, starting=_drawn if weights is None else starting)
        model = keras.Model(inputs, outputs) if like is None else _alike(inputs, outputs, like)
    if weights is not None:
        write_weights(model, weights, started)
    return model


@contextlib.contextmanager
def default_policy(name: str) -> Iterator[None]:
    """Context in which layers that are given no dtype policy, as those that a user's own layer makes inside it, have this one."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def with_policies_of(like: keras.Model, make: Callable[[], keras.Model]) -> keras.Model:
    """The model that `make` makes, in which what is inside layers has the dtype policies that it has in another model: a layer of a user's
    own may give it none, and then it follows what Keras' global policy is when it is made.

    Raises:
        ValueError: no one global policy gives it these.
    """
    made = make()
    wanted = _other_policies(made, like)
    if len(set(wanted.values())) == 1:
        with default_policy(*set(wanted.values())):
            made = make()
        wanted = wanted if _other_policies(made, like) else {}
    if wanted:
        name, policy = next(iter(wanted.items()))
        raise ValueError(
            f"layer {name!r} is not supported: something inside it is in {policy}, and in a copy that is made from its config it is "
            "not; give what the layer makes dtype=self.dtype_policy"
        )
    return made


def _other_policies(made: keras.Model, like: keras.Model) -> dict[str, str]:
    """By layer the policy of something inside it in a model, where it has another in one that was made."""
    theirs, found = operations(like), dict[str, str]()
    for name, operation in operations(made).items():
        other = theirs.get(name)
        if isinstance(operation, keras.layers.Layer) and type(operation) is type(other):
            inside = (private_api.parts(each)[1:] for each in (operation, other))
            for part, of in zip(*inside, strict=False):
                if isinstance(part, keras.Model) or type(part) is not type(of):  # a model computes nothing itself
                    continue
                if part.dtype_policy.name != of.dtype_policy.name:
                    found[name] = of.dtype_policy.name
    return found


def _drawn(name: str, operation: Operation) -> contextlib.AbstractContextManager:
    """Context in which a layer draws its initial values."""
    return contextlib.nullcontext()


def _alike(inputs: Any, outputs: Any, like: keras.Model) -> keras.Model:
    graph = graph_of(like)
    inputs, outputs = (
        tree.pack_sequence_as(structure, tree.flatten(tensors))
        for structure, tensors in (
            (private_api.input_structure(graph), inputs),
            (private_api.output_structure(graph), outputs),
        )
    )
    cls = keras.Model if isinstance(like, keras.Sequential) else type(like)
    of_class = f"model {like.name!r} of class {cls.__name__} is not supported: "
    call = f"{cls.__name__}(inputs, outputs, name=...)"
    remedy = f"give {PLAIN_MODEL}, compiled as it is"
    try:
        model = cls(inputs, outputs, name=like.name)
    except Exception as error:  # whatever an __init__ of other arguments does with these
        raise ValueError(f"{of_class}it cannot be made again by {call}; {remedy}. It says: {error}") from error
    wanted, received = (list(map(id, tree.flatten(tensors))) for tensors in (outputs, getattr(model, "outputs", ())))
    if wanted != received:
        raise ValueError(
            f"{of_class}{call} does not have the outputs that it is given; its __init__ must hand them to keras.Model, or {remedy}"
        )
    return model


def taking(architecture: Architecture, shape: Shape) -> Architecture:
    """A network of one input as it is for float32 inputs of a shape, without the batch axis; all other shapes follow.

    Raises:
        ValueError: as of `to_keras`; or a layer does not take that shape.
    """
    (name,) = architecture.inputs
    if architecture[name].shape == shape and not architecture[name].config:
        return architecture
    trusted.check(architecture)
    entry = replace(architecture[name], shape=shape, config={})
    nodes = [entry if node.name == name else node for node in architecture.nodes]
    with private_api.safe_mode():
        return from_keras(keras.Model(*_tensors(architecture, nodes)))


def _tensors(
    architecture: Architecture,
    nodes: Sequence[Node] | None = None,
    starting: Callable[[str, Operation], contextlib.AbstractContextManager] = _drawn,
) -> tuple[Any, Any]:
    """Inputs and outputs of the model of an architecture; of other `nodes`, whose shapes need not be known.

    They are nested as in the original model. Each layer is built in the context `starting` of its node's name and itself.
    """
    tensors: dict[str, Any] = {}
    made: dict[str, private_api.Operation] = {}
    for node in nodes or architecture.nodes:
        if node.kind == "InputLayer":
            tensors[node.name] = keras.Input(node.shape, name=node.name, **{"dtype": "float32", **node.config})
            continue
        try:
            args, kwargs = arguments(node, [tensors[name] for name in node.inputs])
            shared = node.config.get(layer_rules.CALL, {}).get(layer_rules.LAYER_OF)
            operation = made[shared] if shared else make(node.kind, node.config, node.name)
            made[node.name] = operation
            with starting(node.name, operation):
                tensors[node.name] = output_of(operation, args, kwargs)
            if "lora_alpha" in node.config:
                operation.lora_alpha = node.config["lora_alpha"]  # Keras builds it with its rank for that
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            reason = str(error).rpartition("Exception encountered: ")[2].strip().partition("\n")[0]
            raise ValueError(f"layer {node.name!r} ({node.kind}) cannot be built: {reason}") from error

    def nested(key, names):
        """The tensors of the model's inputs or outputs, nested as in the original model."""
        if key in architecture.structure:
            return tree.map_structure(tensors.__getitem__, copied(architecture.structure[key]))
        return tensors[names[0]] if len(names) == 1 else [tensors[name] for name in names]

    return nested("inputs", architecture.inputs), nested("outputs", architecture.outputs)
