"""Merge two tensors by a convex combination (slides, "Merge by Convex Combination", equation 2)."""

from nash_tf.morphisms.base import Morphism
from nash_tf.morphisms.features import feature_pairs, why_no_feature, why_no_pair, why_unlike
from nash_tf.morphisms.weight_transfer import Fresh, WeightTransfer


class MergeConvex(Morphism):
    """Replaces a later tensor by alpha * later + (1 - alpha) * earlier. Site: (later, earlier).

    The slides call the later tensor blue and the earlier one orange.

    1. The later tensor depends on the earlier one. Both are outputs of an activation, a pool or a merge, of equal
       shape.
    2. alpha begins as 1 and is trained within [0, 1], so that the result is not negative where both tensors are not.
    """

    name = "merge_convex"
    site_form = "(later, earlier)"

    def candidates(self, architecture):
        yield from feature_pairs(architecture)

    def why_not_considered(self, architecture, layer):
        return why_no_feature(architecture, layer) or "no other activation, pool or merge lies before or behind it"

    def refusal(self, architecture, site):
        return why_no_pair(architecture, *site) or self._misfit(architecture, site)

    def _exact_sites(self, architecture):
        return [site for site in self.candidates(architecture) if not self._misfit(architecture, site)]

    def _misfit(self, architecture, site):
        """Why a pair of features cannot be merged, in words; "" where it can."""
        later, earlier = site
        if later in architecture.outputs:
            return f"{later} is an output of the network"
        if reason := why_unlike(architecture, later, earlier):
            return reason
        if any(architecture[consumer].inputs == (later, earlier) for consumer in architecture.consumers[later]):
            return f"{later} and {earlier} are merged already"
        if self._is_activation_of(architecture, later, earlier):
            return f"{later} is the activation of {earlier} and may change nothing"
        return ""

    def _is_activation_of(self, architecture, later, earlier):
        """Whether the later tensor is an activation of the earlier one, because a ReLU may change nothing."""
        node = architecture[later]
        return node.inputs == (earlier,) and node.rule.role == "activation"

    def _apply(self, architecture, site):
        later, earlier = site
        name = f"convex_{architecture.unused_number()}"
        merged = architecture.make(name, "nash_tf>ConvexMerge", {}, [architecture[later], architecture[earlier]])
        consumers = [architecture[consumer].rewired(later, name) for consumer in architecture.consumers[later]]
        return architecture.edited(consumers, [merged]), WeightTransfer({(name, "alpha"): Fresh((), "ones")})
