"""Networks as immutable data: a graph of Keras layers with canonical JSON, digest and parameter count."""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from nash_tf.architecture import layer_rules
from nash_tf.architecture.json_values import leaves, names_of, part
from nash_tf.architecture.lookahead import Reaches, reaches
from nash_tf.architecture.node import Node, Shape
from nash_tf.architecture.open_sizes import Sizes, sizes_of

_HALVES = ("float16", "bfloat16")


def _widened(value: Any) -> Any:
    """A part of a config, in which layers inside compute in float32 where they did in less."""
    if isinstance(value, list | tuple):
        return type(value)(map(_widened, value))
    if not isinstance(value, Mapping):
        return value
    is_policy = value.get("class_name") == "DTypePolicy"
    name = (value.get("config") or {}).get("name") if is_policy else value.get("dtype")
    if not (isinstance(name, str) and name.endswith(_HALVES)):
        return {key: _widened(each) for key, each in value.items()}
    if is_policy:
        return {**value, "config": {**value["config"], "name": "float32"}}
    return {key: "float32" if key == "dtype" else _widened(each) for key, each in value.items()}


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
        self._check(self.nodes)
        absent = [name for name in self.outputs if name not in self]
        if absent or not self.outputs:
            raise ValueError(
                f"outputs must name nodes of the architecture, received {self.outputs}, without a node: {absent}"
            )

    def _check(self, nodes: Iterable[Node]) -> None:
        """Checks that names are unique, and that some of the nodes follow from those before them."""
        place = self.position
        if len(place) < len(self.nodes):
            (name, _), *_ = Counter(node.name for node in self.nodes).most_common(1)
            raise ValueError(f"node names must be unique, received {name!r} twice")
        for node in nodes:
            if missing := [name for name in node.inputs if not place.get(name, math.inf) < place[node.name]]:
                raise ValueError(f"node {node.name!r} comes before its inputs {missing}")
            node.check(self.input_shapes(node))

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def position(self) -> dict[str, int]:
        """By each node's name its place in `nodes`."""
        return {node.name: place for place, node in enumerate(self.nodes)}

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input layers."""
        return tuple(node.name for node in self.nodes if node.kind == "InputLayer")

    @cached_property
    def params(self) -> int:
        """Number of parameters, of frozen layers too, without moving averages, as in the published tables."""
        return sum(node.params for node in self.nodes)

    @cached_property
    def flops(self) -> int | None:
        """Floating-point operations for one image; see `nash_tf.architecture.costs.flops`. None where a size is open."""
        each = [
            node.flops_on(self.input_shapes(node)) if node.is_counted_by_inputs else node.flops for node in self.nodes
        ]
        return None if None in each else sum(each)  # type: ignore[arg-type]

    @cached_property
    def widest(self) -> int:
        """Largest number of channels of an image in the network; 0 where there is no image."""
        return max((node.channels or 0 for node in self.nodes if len(node.shape) == 3), default=0)

    @cached_property
    def has_channels_first(self) -> bool:
        """Whether there is a layer that takes the first axis of what it is given for the channels; all else takes the last."""
        return any(node.config.get("data_format") == "channels_first" for node in self.nodes)

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

    @cached_property
    def masked(self) -> frozenset[str]:
        """Names of the nodes whose output may have a mask, which layers behind it, losses and metrics use."""
        masked: set[str] = set()
        for node in self.nodes:
            is_handed_on = not masked.isdisjoint(node.inputs) and not layer_rules.drops_mask(node.kind, node.config)
            if is_handed_on or layer_rules.makes_mask(node.kind, node.config):
                masked.add(node.name)
        return frozenset(masked)

    @cached_property
    def sizes(self) -> dict[str, Sizes]:
        """By each node's name the sizes of its output; of open ones those that are equal for every input have one name."""
        return sizes_of(self.nodes)

    @cached_property
    def reaches(self) -> dict[str, Reaches]:
        """By each node's name how far its output looks behind and ahead along each axis; see `nash_tf.architecture.lookahead`."""
        return reaches(self.nodes)

    @cached_property
    def causal_outputs(self) -> list[tuple[int, int]]:
        """Outputs that look behind along an axis and not ahead, as streaming needs: the output's number and the axis', from 0."""
        return [
            (number, axis)
            for number, name in enumerate(self.outputs)
            for axis, reach in enumerate(self.reaches[name])
            if reach.is_causal
        ]

    def input_shapes(self, node: Node) -> list[Shape]:
        """Shapes of a node's inputs, without the batch axis."""
        return [self[name].shape for name in node.inputs]

    def unused_number(self) -> int:
        """A number for the names of new nodes: larger than the number at the end of any node's name."""
        return self._unused_number

    @cached_property
    def _unused_number(self) -> int:
        endings = (re.search(r"(\d+)$", node.name) for node in self.nodes)
        return 1 + max((int(ending.group(1)) for ending in endings if ending), default=0)

    def make(self, name: str, kind: str, config: Mapping[str, Any], inputs: Sequence[Node]) -> Node:
        """A new node. Shape and variables are inferred; the dtype policy is that of the first input, without inputs of the network.

        Args:
            name: name of the node.
            kind: its kind, one with a layer rule.
            config: its config; a "dtype" in it wins over that of the inputs.
            inputs: the nodes whose outputs it takes, in order.

        Raises:
            ValueError: there is no layer rule for this kind and config.
        """
        is_layer = not kind.startswith("keras.ops>")
        config = dict(config) if "dtype" in config or not is_layer else {"dtype": self._policy_of(inputs), **config}
        if is_layer and config["dtype"] in (None, "float32"):  # the default
            del config["dtype"]
        inferred = layer_rules.infer(kind, config, [node.shape for node in inputs])
        if inferred is None:
            raise ValueError(
                f"node {name!r}: there is no layer rule for a {kind} with this config, so its shape is not known"
            )
        return Node(name, kind, config, tuple(node.name for node in inputs), *inferred)

    def _policy_of(self, nodes: Iterable[Node]) -> str | None:
        """The dtype policy of the first of some nodes that has one: a layer always (float32 is left out of its config), an input of
        the network never; an operation has that of what it casts to, or of its own inputs."""
        for node in nodes:
            if node.kind == "InputLayer":
                continue
            if not node.kind.startswith("keras.ops>") and node.kind != layer_rules.OUTPUT:
                return node.config.get("dtype", "float32")
            dtype = node.config.get("dtype")
            if dtype in _HALVES:
                return f"mixed_{dtype}"
            if policy := dtype or self._policy_of(map(self.__getitem__, node.inputs)):
                return policy
        return None

    def edited(self, changed: Iterable[Node] = (), new: Iterable[Node] = ()) -> "Architecture":
        """A copy with some nodes replaced and others inserted.

        Args:
            changed: nodes that replace those of the same name.
            new: nodes to insert, each directly after the last of its inputs; a new node may be an input of a later one.
        """
        by_name, new = {node.name: node for node in changed}, tuple(new)
        nodes = [by_name.get(node.name, node) for node in self.nodes]
        for node in new:
            last = next(place for place in reversed(range(len(nodes))) if nodes[place].name in node.inputs)
            nodes.insert(1 + last, node)
        # Only what is touched is checked: the rest passed with `self`, and operators make thousands of children.
        child = object.__new__(type(self))
        child.__dict__.update(nodes=tuple(nodes), outputs=self.outputs, structure=self.structure)
        child.__dict__["params"] = self.params + sum(
            [node.params for node in (*by_name.values(), *new)] + [-self[name].params for name in by_name]
        )
        reshaped = (name for name, node in by_name.items() if node.shape != self[name].shape)
        readers = {reader for name in reshaped for reader in self.consumers[name]}
        child._check([*by_name.values(), *new, *(child[name] for name in readers - by_name.keys())])
        return child

    def in_float32(self) -> "Architecture":
        """The same network with layers that compute in less computing in float32; `self` where none does."""

        def widened(node: Node) -> Node:
            dtype = node.config.get("dtype")
            if node.kind.startswith("keras.ops>"):  # a cast's dtype is that of its result
                return replace(node, config={**node.config, "dtype": "float32"}) if dtype in _HALVES else node
            if node.kind == "InputLayer":
                return node
            config = {
                key: value if key == layer_rules.CALL else _widened(value)
                for key, value in node.config.items()
                if key != "dtype" or value in (None, "float64")
            }
            return node if config == node.config else replace(node, config=config)

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
