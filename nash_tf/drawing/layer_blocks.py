"""An architecture folded into blocks: a layer with the normalisation and activation that follow it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nash_tf.architecture import Architecture, Node

_SORTS = {
    "Conv2D": "conv",
    "DepthwiseConv2D": "conv",
    "IdentityConv2D": "conv",
    "SeparableConv2D": "separable",
    "IdentitySeparableConv2D": "separable",
    "ConvexMerge": "convex",
    "Concatenate": "concat",
    "Add": "split",
    "MaxPooling2D": "pool",
    "AveragePooling2D": "pool",
    "GlobalAveragePooling2D": "pool",
    "GlobalMaxPooling2D": "pool",
}
_TITLES = {
    "convex": "Convex merge",
    "concat": "Concatenate",
    "split": "Add",
    "MaxPooling2D": "Max pool",
    "AveragePooling2D": "Average pool",
    "GlobalAveragePooling2D": "Global average pool",
    "GlobalMaxPooling2D": "Global max pool",
    "InputLayer": "Input",
}
_FOLDABLE = {"BatchNormalization": "BN", "ReLU": "ReLU", "Activation": "activation", "Dropout": "dropout"}


@dataclass(frozen=True)
class Block:
    """Layers that are drawn as one box.

    Attributes:
        sort: conv, separable, convex, concat, split, pool or other.
        inputs: indices of the blocks whose outputs it takes, each once.
    """

    names: tuple[str, ...]
    sort: str
    title: str
    shape: tuple[int | None, ...]
    params: int
    inputs: tuple[int, ...]


def sort_of(node: Node) -> str:
    """conv, separable, convex, concat, split, pool or other."""
    return _SORTS.get(_bare_kind(node), "other")


def blocks(architecture: Architecture) -> list[Block]:
    """The architecture with each batch normalisation, activation and dropout folded into the layer that it alone follows."""
    members: list[list[Node]] = []
    home: dict[str, int] = {}
    for node in architecture.nodes:
        if _bare_kind(node) in _FOLDABLE and len(node.inputs) == 1:
            (source,) = node.inputs
            last = members[home[source]][-1].name == source
            if last and len(architecture.consumers[source]) == 1 and source not in architecture.outputs:
                members[home[source]].append(node)
                home[node.name] = home[source]
                continue
        home[node.name] = len(members)
        members.append([node])
    return [
        Block(
            names=tuple(node.name for node in group),
            sort=sort_of(group[0]),
            title="-".join([_title(group[0]), *(_FOLDABLE[_bare_kind(node)] for node in group[1:])]),
            shape=group[-1].shape,
            params=sum(math.prod(_sizes(shape)) for node in group for shape in node.weights.values()),
            inputs=tuple(dict.fromkeys(home[name] for name in group[0].inputs)),
        )
        for group in members
    ]


def _title(node: Node) -> str:
    sort, kind = sort_of(node), _bare_kind(node)
    if sort in ("conv", "separable"):
        name = "SepConv" if sort == "separable" else "Depthwise" if kind == "DepthwiseConv2D" else "Conv"
        return f"{name} {_window(node.config, 'kernel_size', '?')}"
    if kind == "MaxPooling2D" or kind == "AveragePooling2D":
        return f"{_TITLES[kind]} {_window(node.config, 'pool_size', 2)}"
    return _TITLES.get(sort, _TITLES.get(kind, kind))


def _window(config: Mapping[str, Any], name: str, default: Any) -> str:
    size = config.get(name, default)
    height, width = size if isinstance(size, (list, tuple)) and len(size) == 2 else (size, size)
    return f"{height}×{width}"


def _sizes(shape: tuple[int | None, ...]) -> list[int]:
    return [side or 0 for side in shape]


def _bare_kind(node: Node) -> str:
    """The class name of a node's layer, without its package."""
    return node.kind.rpartition(">")[2]
