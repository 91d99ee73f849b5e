"""Merge two tensors by a convex combination (slides, "Merge by Convex Combination", equation 2)."""

from dataclasses import replace

from nash_tf.morphisms.base import Morphism
from nash_tf.morphisms.edit import Edit, Fresh
from nash_tf.morphisms.features import feature_pairs, is_feature


class MergeConvex(Morphism):
    """y = alpha * blue + (1 - alpha) * orange takes the place of blue. Site: (blue, orange).

    1. Orange comes before blue on the path; both are outputs of an activation, a pool or a merge, of one shape.
    2. alpha is born as 1 and trained within [0, 1], so that y stays non-negative where both are.
    """

    name = "merge_convex"

    def candidates(self, architecture):
        yield from feature_pairs(architecture)

    def requires(self, architecture, site):
        later, earlier = site
        return (
            later in architecture
            and later not in architecture.outputs
            and earlier in architecture.ancestors[later]
            and architecture[later].shape == architecture[earlier].shape
            and is_feature(architecture, later)
            and is_feature(architecture, earlier)
            and not any(architecture[taker].inputs == (later, earlier) for taker in architecture.consumers[later])
            and not self._is_activation_of(architecture, later, earlier)
        )

    def _is_activation_of(self, architecture, later, earlier):
        """Whether blue is but an activation of orange: a ReLU of what is not negative is the same tensor."""
        node = architecture[later]
        return node.inputs == (earlier,) and node.known.role == "activation"

    def _apply(self, architecture, site):
        later, earlier = site
        name = f"convex_{architecture.unused_number()}"
        merged = architecture.make(name, "nash_tf>ConvexMerge", {}, [architecture[later], architecture[earlier]])
        takers = [
            replace(node, inputs=tuple(merged.name if source == later else source for source in node.inputs))
            for node in map(architecture.__getitem__, architecture.consumers[later])
        ]
        return architecture.edited(takers, [merged]), Edit({(name, "alpha"): Fresh((), "ones")})
