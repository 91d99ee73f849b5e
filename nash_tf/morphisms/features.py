"""Which tensors of a network the operators read and join: what blocks of layers hand on to one another."""

from collections.abc import Iterator, Mapping
from typing import Any

from nash_tf.architecture import Architecture, Node, layer_rules


def is_image(architecture: Architecture, name: str) -> bool:
    """Whether a node's output has height, width and channels."""
    return len(architecture[name].shape) == 3 and architecture[name].channels is not None


def is_feature(architecture: Architecture, name: str) -> bool:
    """Whether a node's output is an image behind an activation, a pool or a merge.

    A sum, concatenation or convex combination of tensors that are never negative is left out: those are features
    themselves, and the method merges nothing but ReLU and max-pool outputs.
    """
    node = architecture[name]
    if node.known is None or not is_image(architecture, name):
        return False
    if node.kind in ("Add", "Concatenate", "nash_tf>ConvexMerge"):
        return not architecture.nonnegative.issuperset(node.inputs)
    return node.known.role in ("pool", "merge") or layer_rules.acts(node.known, node.config)


def feature_pairs(architecture: Architecture) -> Iterator[tuple[str, str]]:
    """(later, earlier) for all features on one path, in canonical order."""
    features = [node.name for node in architecture.nodes if is_feature(architecture, node.name)]
    for later in features:
        for earlier in features:
            if earlier in architecture.ancestors[later]:
                yield (later, earlier)


def prevailing_activation(architecture: Architecture, name: str) -> tuple[str, Mapping[str, Any]]:
    """Kind and config of the nearest activation at or before a node, going back through first inputs; else ReLU.

    One that has variables, that may be infinite, or that squeezes everything into a part of [0, 1] as a gate does, is passed
    over.
    """
    node: Node | None = architecture[name]
    while node is not None:
        is_exponential = layer_rules.activation_of(node.config) == "exponential"
        if layer_rules.acts(node.known, node.config) and not is_exponential and not node.weights.keys() & {"alpha"}:
            fused = "activation" in node.config
            kind, config = (
                ("Activation", {"activation": node.config["activation"]}) if fused else (node.kind, node.config)
            )
            low, high = layer_rules.bounds(kind, config, [layer_rules.Bounds(-100.0, 100.0)])
            if low < 0.0 or high > 1.0:
                return kind, config
        node = architecture[node.inputs[0]] if node.inputs else None
    return "ReLU", {}
