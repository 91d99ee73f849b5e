"""Networks as immutable data: a graph of Keras layers with canonical JSON, digest and parameter count."""

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
_OLD_OPERATION = re.compile(r"^keras\.src\.(ops|activations|quantizers)\.\w+>")  # how nash_tf 0.1 wrote operations


@dataclass(frozen=True)
class Node:
    """One layer of an architecture.

    Attributes:
        name: unique in the architecture; no morphism changes it.
        kind: class name of the Keras layer, or its registered name ("package>Class").
        config: the entries of the layer's `get_config()` that differ from its defaults, as JSON values. If the layer is
            called on anything but one tensor or a list of tensors, `layer_rules.CALL` holds the arguments of the call.
        inputs: names of the nodes whose outputs the layer takes, in order.
        shape: shape of the output without the batch axis; None for an axis of any length.
        weights: shapes of the trained variables by name.
        statistics: shapes of the other variables (moving averages) by name.
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
        """Size of the last axis of the output."""
        return self.shape[-1]

    @property
    def rank(self) -> int:
        """Number of axes of the output, including the batch axis."""
        return 1 + len(self.shape)

    @cached_property
    def rule(self) -> layer_rules.LayerRule | None:
        """The rule that holds for this layer with its config; None where there is none."""
        return layer_rules.rule_of(self.kind, self.config, self.rank)

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
            ValueError: `plain` does not describe a node; the message names the part that is missing or wrong.
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
        structure: the nesting of "inputs" or "outputs" with the nodes' names as leaves; without an entry they are one
            tensor or a list of tensors.

    Raises:
        ValueError: two nodes have one name, a node comes before one of its inputs, an output is not a node, or the
            shape or the variables of a node do not follow from its config and its inputs.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    structure: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        earlier: dict[str, Node] = {}
        for node in self.nodes:
            if node.name in earlier:
                raise ValueError(f"node names must be unique, received {node.name!r} twice")
            missing = [name for name in node.inputs if name not in earlier]
            if missing:
                raise ValueError(f"node {node.name!r} comes before its inputs {missing}")
            stated = layer_rules.Inferred(node.shape, dict(node.weights), dict(node.statistics))
            try:
                inferred = layer_rules.infer(node.kind, node.config, [earlier[name].shape for name in node.inputs])
            except (ArithmeticError, LookupError, TypeError) as error:
                raise ValueError(
                    f"node {node.name!r} ({node.kind}) has a config that does not fit its kind: {error!r}"
                ) from error
            if inferred is not None and inferred != stated:
                raise ValueError(
                    f"node {node.name!r} ({node.kind}) states {stated}; expected {inferred} from its inputs"
                )
            earlier[node.name] = node
        absent = [name for name in self.outputs if name not in earlier]
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
        """Number of trained parameters, without moving averages, as in the published tables."""
        return sum(math.prod(shape) for node in self.nodes for shape in node.weights.values())  # type: ignore[arg-type, misc]

    @cached_property
    def widest(self) -> int:
        """Largest number of channels of an image in the network; 0 where there is no image."""
        return max((node.shape[-1] or 0 for node in self.nodes if len(node.shape) == 3), default=0)

    @cached_property
    def consumers(self) -> dict[str, tuple[str, ...]]:
        """By each node's name the names of the nodes that take its output, in order, each once."""
        consumers: dict[str, dict[str, None]] = {node.name: {} for node in self.nodes}
        for node in self.nodes:
            for name in node.inputs:
                consumers[name][node.name] = None
        return {name: tuple(names) for name, names in consumers.items()}

    @cached_property
    def ancestors(self) -> dict[str, frozenset[str]]:
        """By each node's name the names of all nodes that its output depends on, without itself."""
        ancestors: dict[str, frozenset[str]] = {}
        for node in self.nodes:
            ancestors[node.name] = frozenset(node.inputs).union(*(ancestors[name] for name in node.inputs))
        return ancestors

    @cached_property
    def bounds(self) -> dict[str, layer_rules.Bounds]:
        """By each node's name the range in which its output lies, whatever the weights and the network's input."""
        bounds: dict[str, layer_rules.Bounds] = {}
        for node in self.nodes:
            inputs = [bounds[name] for name in node.inputs]
            bounds[node.name] = layer_rules.bounds(node.kind, node.config, inputs, node.rank)
        return bounds

    @cached_property
    def nonnegative(self) -> frozenset[str]:
        """Names of the nodes whose output is never negative, whatever the weights and the network's input."""
        return frozenset(name for name, (low, _) in self.bounds.items() if low >= 0.0)

    def input_shapes(self, node: Node) -> list[Shape]:
        """Shapes of a node's inputs, without the batch axis."""
        return [self[name].shape for name in node.inputs]

    def unused_number(self) -> int:
        """A number for the names of new nodes: larger than the number at the end of any node's name."""
        endings = (re.search(r"(\d+)$", node.name) for node in self.nodes)
        return 1 + max((int(ending.group(1)) for ending in endings if ending), default=0)

    def make(self, name: str, kind: str, config: Mapping[str, Any], inputs: Sequence[Node]) -> Node:
        """A new node. Shape and variables are inferred; the dtype policy is that of the first input that has one.

        Args:
            name: name of the node.
            kind: its kind, one with a layer rule.
            config: its config; a "dtype" in it wins over that of the inputs.
            inputs: the nodes whose outputs it takes, in order.

        Raises:
            ValueError: there is no layer rule for this kind and config.
        """
        policies = [node.config["dtype"] for node in inputs if "dtype" in node.config and node.kind != "InputLayer"]
        config = {**({"dtype": policies[0]} if policies else {}), **config}
        if config.get("dtype") == "float32":  # the default
            del config["dtype"]
        inferred = layer_rules.infer(kind, config, [node.shape for node in inputs])
        if inferred is None:
            raise ValueError(
                f"node {name!r}: there is no layer rule for a {kind} with this config, so its shape is not known"
            )
        return Node(name, kind, config, tuple(node.name for node in inputs), *inferred)

    def edited(self, changed: Iterable[Node] = (), new: Iterable[Node] = ()) -> "Architecture":
        """A copy with some nodes replaced and others inserted.

        Args:
            changed: nodes that replace those of the same name.
            new: nodes to insert, each directly after the last of its inputs; a new node may be an input of a later one.
        """
        by_name = {node.name: node for node in changed}
        nodes = [by_name.get(node.name, node) for node in self.nodes]
        for node in new:
            places = [place for place, other in enumerate(nodes) if other.name in node.inputs]
            nodes.insert(1 + max(places), node)
        return replace(self, nodes=tuple(nodes))

    def in_float32(self) -> "Architecture":
        """The same network with all layers computing in float32; `self` where they do already."""

        def widened(node: Node) -> Node:
            dtype = node.config.get("dtype")
            if dtype is None or node.kind == "InputLayer":
                return node
            if node.kind.startswith("keras.ops>"):  # a cast's dtype is that of its result
                return replace(node, config={**node.config, "dtype": "float32"}) if dtype in _HALVES else node
            return replace(node, config={key: value for key, value in node.config.items() if key != "dtype"})

        nodes = tuple(map(widened, self.nodes))
        return self if nodes == self.nodes else replace(self, nodes=nodes)

    def to_json(self, indent: int | None = None) -> str:
        """Canonical JSON: equal architectures give equal text. With `indent` it is for reading and not canonical."""
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
            ValueError: the text does not describe an architecture; the message says in one line what was expected
                where.
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
        """SHA-256, in hexadecimal, of the canonical JSON with nodes sorted by name: equal graphs have equal digests."""
        return hashlib.sha256(self._json(sorted(self.nodes, key=lambda node: node.name)).encode()).hexdigest()

    @classmethod
    def from_keras(cls, model: Any) -> "Architecture":
        """The architecture of a functional `keras.Model`; see `nash_tf.keras_models.importing.from_keras`."""
        from nash_tf.keras_models.importing import from_keras  # at run time, so that this room imports without Keras

        return from_keras(model)

    def to_keras(self) -> Any:
        """A functional `keras.Model` with fresh weights; see `nash_tf.keras_models.building.to_keras`."""
        from nash_tf.keras_models.building import to_keras

        return to_keras(self)
