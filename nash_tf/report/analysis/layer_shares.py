"""The shares of the sorts of layers in a network, as the slides count them."""

from nash_tf.architecture import Architecture
from nash_tf.drawing.layer_blocks import sort_of

COUNTED = {
    "conv": "conv",
    "convex": "convex",
    "concat": "concatenation",
    "split": "split (Add)",
    "separable": "separable",
}


def shares(architecture: Architecture) -> dict[str, float] | None:
    """Shares of the sorts in `COUNTED`, pools, dense and all others left out; None where none of these is there."""
    counts = dict.fromkeys(COUNTED, 0)
    for node in architecture.nodes:
        if sort_of(node) in counts:
            counts[sort_of(node)] += 1
    total = sum(counts.values())
    return {sort: number / total for sort, number in counts.items()} if total else None
