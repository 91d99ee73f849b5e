"""Layers by sort, and the shares of these sorts in a network, as the slides count them."""

from nash_tf.architecture import Architecture, Node

COUNTED = {
    "conv": "conv",
    "convex": "convex",
    "concat": "concatenation",
    "split": "split (Add)",
    "separable": "separable",
}
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


def sort_of(node: Node) -> str:
    """conv, separable, convex, concat, split, pool or other."""
    return _SORTS.get(bare_kind(node), "other")


def shares(architecture: Architecture) -> dict[str, float] | None:
    """Shares of the sorts in `COUNTED`, pools, dense and all others left out; None where none of these is there."""
    counts = dict.fromkeys(COUNTED, 0)
    for node in architecture.nodes:
        if sort_of(node) in counts:
            counts[sort_of(node)] += 1
    total = sum(counts.values())
    return {sort: number / total for sort, number in counts.items()} if total else None


def bare_kind(node: Node) -> str:
    """The class name of a node's layer, without its package."""
    return node.kind.rpartition(">")[2]
