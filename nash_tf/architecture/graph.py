"""The immutable architecture: a graph of Keras layers as plain data, with canonical JSON, digest and parameter count."""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from nash_tf.architecture import layer_rules
from nash_tf.architecture.json_values import leaves, names_of, part, shape_of

Shape = tuple[int | None, ...]

_HALVES = ("float16", "bfloat16")
_OLD_OPERATION = re.compile(r"^keras\.src\.(ops|activations|quantizers)\.\w+>")  # spelling of operations up to 0.1


@dataclass(frozen=True)
class Node:
    """One layer of an architecture.

    Attributes:
        name: unique in the architecture; kept through every morphism.
        kind: class name of the Keras layer, or its registered name ("package>Class").
        config: what differs from the layer's defaults in its `get_config()`, as JSON values; under `layer_rules.CALL` the
            arguments of its call where they are not one tensor or a list of tensors.
        inputs: names of the nodes whose outputs it takes, in order.
        shape: shape of its output without the batch axis; None where an axis is open.
        weights: shapes of the trained variables by name.
        statistics: shapes of the variables that are not trained (moving averages) by name.
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    inputs: tuple[str, ...]
    shape: Shape
    weights: Mapping[str, Shape] = field(default_factory=dict)
    statistics: Mapping[str, Shape] = field(default_factory=dict)

    @property
    def channels(self) -> int | None:
        """Size of the last axis."""
        return self.shape[-1]

    @property
    def rank(self) -> int:
        """Number of axes of the output, the batch axis counted."""
        return 1 + len(self.shape)

    @cached_property
    def known(self) -> layer_rules.Kind | None:
        """What is known of its kind, used as it is."""
        return layer_rules.get(self.kind, self.config, self.rank)

    @property
    def variables(self) -> dict[str, Shape]:
        """Shapes of all variables by name, trained or not."""
        return {**self.weights, **self.statistics}

    def to_plain(self) -> dict[str, Any]:
        """The node as JSON values."""
        plain: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "inputs": list(self.inputs),
            "shape": list(self.shape),
        }
        for key in ("config", "weights", "statistics"):
            if getattr(self, key):
                plain[key] = dict(getattr(self, key))
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Node":
        """The inverse of `to_plain`.

        Raises:
            ValueError: it is no node; the message says which part of it is missing or something else.
        """
        name = part(plain, "name", str)
        where = f"node {name!r}: "

        def shapes(key: str) -> dict[str, Shape]:
            stated = part(plain, key, Mapping, where, {})
            return {name: shape_of(shape, f"{where}{key} {name!r}") for name, shape in stated.items()}

        return cls(
            name=name,
            kind=_OLD_OPERATION.sub("keras.ops>", part(plain, "kind", str, where)),
            config=part(plain, "config", Mapping, where, {}),
            inputs=names_of(plain, "inputs", where),
            shape=shape_of(plain.get("shape"), f"{where}shape", or_open=True),
            weights=shapes("weights"),
            statistics=shapes("statistics"),
        )


@dataclass(frozen=True)
class Architecture:
    """A functional network as data.

    Attributes:
        nodes: the layers in topological order.
        outputs: names of the nodes whose outputs the network returns.
        structure: how "inputs" or "outputs" are nested, with the nodes' names as leaves, where they are not one tensor or
            a list of tensors.

    Raises:
        ValueError: names are not unique, a node comes before one of its inputs, or the shape or variables that a node
            states are not those that follow from its inputs.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    structure: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known: dict[str, Node] = {}
        for node in self.nodes:
            if node.name in known:
                raise ValueError(f"node names must be unique, received {node.name!r} twice")
            missing = [name for name in node.inputs if name not in known]
            if missing:
                raise ValueError(f"node {node.name!r} comes before its inputs {missing}")
            stated = layer_rules.Inferred(node.shape, dict(node.weights), dict(node.statistics))
            try:
                inferred = layer_rules.infer(node.kind, node.config, [known[name].shape for name in node.inputs])
            except (ArithmeticError, LookupError, TypeError) as error:
                raise ValueError(
                    f"node {node.name!r} ({node.kind}) has a config of no such layer: {error!r}"
                ) from error
            if inferred is not None and inferred != stated:
                raise ValueError(f"node {node.name!r} ({node.kind}) states {stated}, its inputs make it {inferred}")
            known[node.name] = node
        absent = [name for name in self.outputs if name not in known]
        if absent or not self.outputs:
            raise ValueError(
                f"outputs must name nodes of the architecture, received {self.outputs}, without a node: {absent}"
            )

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input layers."""
        return tuple(node.name for node in self.nodes if node.kind == "InputLayer")

    @cached_property
    def params(self) -> int:
        """Number of trained parameters; moving averages do not count, as in the published tables."""
        return sum(math.prod(shape) for node in self.nodes for shape in node.weights.values())  # type: ignore[arg-type, misc]

    @cached_property
    def widest(self) -> int:
        """Most channels of an image in the network."""
        return max((node.shape[-1] or 0 for node in self.nodes if len(node.shape) == 3), default=0)

    @cached_property
    def consumers(self) -> dict[str, tuple[str, ...]]:
        """Names of the nodes that take each node's output, in order, each once."""
        found: dict[str, dict[str, None]] = {node.name: {} for node in self.nodes}
        for node in self.nodes:
            for name in node.inputs:
                found[name][node.name] = None
        return {name: tuple(takers) for name, takers in found.items()}

    @cached_property
    def ancestors(self) -> dict[str, frozenset[str]]:
        """Names of all nodes that each node's output depends on, itself left out."""
        found: dict[str, frozenset[str]] = {}
        for node in self.nodes:
            found[node.name] = frozenset(node.inputs).union(*(found[name] for name in node.inputs))
        return found

    @cached_property
    def bounds(self) -> dict[str, layer_rules.Bounds]:
        """What each node's output cannot fall below or rise above, whatever the weights and the input."""
        found: dict[str, layer_rules.Bounds] = {}
        for node in self.nodes:
            inputs = [found[name] for name in node.inputs]
            found[node.name] = layer_rules.bounds(node.kind, node.config, inputs, node.rank)
        return found

    @cached_property
    def nonnegative(self) -> frozenset[str]:
        """Names of the nodes whose output cannot be negative, whatever the weights and the input."""
        return frozenset(name for name, (low, _) in self.bounds.items() if low >= 0.0)

    def input_shapes(self, node: Node) -> list[Shape]:
        """Shapes of a node's inputs, without the batch axis."""
        return [self[name].shape for name in node.inputs]

    def unused_number(self) -> int:
        """A number larger than any that ends a node's name, for the names of new nodes."""
        endings = (re.search(r"(\d+)$", node.name) for node in self.nodes)
        return 1 + max((int(ending.group(1)) for ending in endings if ending), default=0)

    def make(self, name: str, kind: str, config: Mapping[str, Any], inputs: Sequence[Node]) -> Node:
        """A new node of a known kind, its shape and variables inferred, its dtype policy that of the layers it follows."""
        policies = [node.config["dtype"] for node in inputs if "dtype" in node.config and node.kind != "InputLayer"]
        config = {**({"dtype": policies[0]} if policies else {}), **config}
        if config.get("dtype") == "float32":  # the default
            del config["dtype"]
        inferred = layer_rules.infer(kind, config, [node.shape for node in inputs])
        if inferred is None:
            raise ValueError(f"kind {kind!r} of node {name!r} is not known, so its shape cannot be inferred")
        return Node(name, kind, config, tuple(node.name for node in inputs), *inferred)

    def edited(self, changed: Iterable[Node] = (), new: Iterable[Node] = ()) -> "Architecture":
        """A copy with nodes exchanged by name and new ones put in right behind the last of their inputs."""
        by_name = {node.name: node for node in changed}
        nodes = [by_name.get(node.name, node) for node in self.nodes]
        for node in new:
            places = [place for place, other in enumerate(nodes) if other.name in node.inputs]
            nodes.insert(1 + max(places), node)
        return replace(self, nodes=tuple(nodes))

    def in_float32(self) -> "Architecture":
        """The same network with all its layers computing in float32; itself where they do already."""

        def widened(node: Node) -> Node:
            dtype = node.config.get("dtype")
            if dtype is None or node.kind == "InputLayer":
                return node
            if node.kind.startswith("keras.ops>"):  # of a cast it is the result's
                return replace(node, config={**node.config, "dtype": "float32"}) if dtype in _HALVES else node
            return replace(node, config={key: value for key, value in node.config.items() if key != "dtype"})

        nodes = tuple(map(widened, self.nodes))
        return self if nodes == self.nodes else replace(self, nodes=nodes)

    def to_json(self, indent: int | None = None) -> str:
        """Canonical JSON: equal architectures give equal text. `indent` is for people and is not canonical."""
        return self._json(self.nodes, indent)

    def _json(self, nodes: Sequence[Node], indent: int | None = None) -> str:
        plain: dict[str, Any] = {"nodes": [node.to_plain() for node in nodes], "outputs": list(self.outputs)}
        if self.structure:
            plain["structure"] = self.structure
        separators = (",", ":") if indent is None else None
        return json.dumps(plain, sort_keys=True, separators=separators, indent=indent)

    @classmethod
    def from_json(cls, text: str) -> "Architecture":
        """The inverse of `to_json`.

        Raises:
            ValueError: the text is no architecture; the message says in a line what was expected where.
        """
        try:
            plain = json.loads(text)
            nodes = tuple(Node.from_plain(node) for node in part(plain, "nodes", list))
            structure = part(plain, "structure", Mapping, "", {})
            architecture = cls(nodes, names_of(plain, "outputs"), structure)
            if absent := [name for name in leaves(structure) if name not in architecture]:
                raise ValueError(f"structure must name nodes of the architecture, received {absent[0]!r}")
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise ValueError(f"this is no architecture: {' '.join(str(error).split())}") from error
        return architecture

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hexadecimal of the canonical JSON with its nodes sorted by name: one graph, one digest."""
        return hashlib.sha256(self._json(sorted(self.nodes, key=lambda node: node.name)).encode()).hexdigest()

    @classmethod
    def from_keras(cls, model: Any) -> "Architecture":
        """The architecture of a functional `keras.Model`; see `nash_tf.keras_models.importing.from_keras`."""
        from nash_tf.keras_models.importing import from_keras  # only those who hold a Keras model import Keras

        return from_keras(model)

    def to_keras(self) -> Any:
        """A functional `keras.Model` with fresh weights; see `nash_tf.keras_models.building.to_keras`."""
        from nash_tf.keras_models.building import to_keras

        return to_keras(self)
