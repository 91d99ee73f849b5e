"""Merge two tensors by concatenation (slides, "Merge by Concatenation")."""

from functools import cache, partial

from nash_tf.morphisms.base import Morphism, is_whole, why_too_wide
from nash_tf.morphisms.channels import Barrier, CannotPropagate, append, no_barrier
from nash_tf.morphisms.features import feature_pairs, is_causal, why_no_feature, why_no_pair
from nash_tf.morphisms.weight_transfer import WeightTransfer

SCALES = (1, 2, 4)


class MergeConcat(Morphism):
    """Appends the channels of an earlier tensor to those of a later one. Site: (later, earlier, scale).

    1. Each side of the earlier tensor is `scale` times that of the later one, and it is max-pooled by `scale` first.
       The later one is never pooled.
    2. The kernels that read the later tensor get zeros for the new channels, as in `AlterChannels`.
    3. Both tensors are outputs of an activation, a pool or a merge.

    Args:
        barrier: merges that the new channels may not pass, though they could; none by default.
    """

    name = "merge_concat"
    site_form = "(later, earlier, scale)"

    def __init__(self, barrier: Barrier = no_barrier) -> None:
        self._barrier = barrier

    def candidates(self, architecture):
        for later, earlier in feature_pairs(architecture):
            for scale in SCALES:
                yield (later, earlier, scale)

    def _exact_sites(self, architecture):
        # The propagation depends on the number of channels of the earlier tensor alone.
        propagate = cache(partial(self._propagated, architecture))
        return [site for site in self.candidates(architecture) if not self._misfit(architecture, site, propagate)]

    def why_not_considered(self, architecture, layer):
        return why_no_feature(architecture, layer) or "no other activation, pool or merge lies before or behind it"

    def refusal(self, architecture, site):
        later, earlier, _ = site
        reason = why_no_pair(architecture, later, earlier)
        return reason or self._misfit(architecture, site, partial(self._propagated, architecture))

    def _misfit(self, architecture, site, propagate):
        """Why a pair of features cannot be merged, in words; "" where it can."""
        later, earlier, scale = site
        if not is_whole(scale) or scale not in SCALES:
            return f"the scale is 1, 2 or 4, received {scale!r}"
        (*sides, channels), (*large, added) = architecture[later].shape, architecture[earlier].shape
        if None in sides or None in large:
            return "the size of the images is open"
        if scale > 1 and is_causal(architecture, later):
            return f"{later} must not see later steps, and pooled ones come from there"
        if [side * scale for side in sides] != large:
            return f"{earlier} is {_size(large)}, not {scale} times {_size(sides)} as {later} is"
        limit = self.channel_limit(architecture)
        if channels + added > limit:
            return f"they would have {channels + added} channels together, over the limit of {limit:,.0f}"
        if not architecture.consumers[later]:
            return f"nothing reads {later}"
        propagation, reason = propagate(later, added)
        if propagation is None:
            return reason
        if earlier in propagation.grown:
            return f"{earlier} would have to grow with what reads {later}"
        return why_too_wide(propagation, limit)

    def _apply(self, architecture, site):
        later, earlier, scale = site
        number = architecture.unused_number()
        appended, new = architecture[earlier], []
        if scale > 1:
            axes = len(appended.shape) - 1
            config = {} if scale == 2 else {"pool_size": [scale] * axes, "strides": [scale] * axes}  # 2 is the default
            appended = architecture.make(f"pool_{number}", f"MaxPooling{axes}D", config, [appended])
            new.append(appended)
        joined = architecture.make(f"concat_{number}", "Concatenate", {}, [architecture[later], appended])
        propagation = append(architecture, later, appended.channels, self._barrier)
        changed = [node.rewired(later, joined.name) for node in propagation.changed.values()]
        return architecture.edited(changed, [*new, joined]), WeightTransfer(propagation.recipes)

    def _propagated(self, architecture, later, added):
        """The propagation and "", or None and why there is none."""
        try:
            return append(architecture, later, added, self._barrier), ""
        except CannotPropagate as error:
            return None, str(error)


def _size(sides):
    return " x ".join(map(str, sides))
