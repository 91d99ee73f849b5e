"""The operators as the slides have them; the methods that reproduce the slides draw from these."""

from nash_tf.architecture import Architecture, Node
from nash_tf.morphisms.alter_channels import AlterChannels
from nash_tf.morphisms.base import Morphism
from nash_tf.morphisms.merge_concat import MergeConcat
from nash_tf.morphisms.split import Split

_PARTS = ("ReLU", "Activation", "MaxPooling2D", "Add", "nash_tf>ConvexMerge")


def merges_features(architecture: Architecture, node: Node) -> bool:
    """Whether a node is a sum or convex combination of ReLU or max-pool outputs, as splits and merges make them."""
    return node.kind in ("Add", "nash_tf>ConvexMerge") and all(
        name in architecture.nonnegative and architecture[name].kind in _PARTS for name in node.inputs
    )


# By name. Narrower than the registry's, as new channels do not pass such a merge (slides, "Alter Channels"); but a split, which has
# a place at every convolution.
SLIDES: dict[str, Morphism] = {
    operator.name: operator
    for operator in (AlterChannels(merges_features), MergeConcat(merges_features), Split(at_any_end=True))
}
