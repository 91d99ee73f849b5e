"""Merge two tensors by concatenation (slides, "Merge by Concatenation")."""

from dataclasses import replace
from functools import cache, partial

from nash_tf.morphisms.base import Morphism, channel_limit, propagate_within_limit
from nash_tf.morphisms.channels import Barrier, append, no_barrier
from nash_tf.morphisms.features import feature_pairs, is_feature
from nash_tf.morphisms.weight_transfer import WeightTransfer

SCALES = (1, 2, 4)


class MergeConcat(Morphism):
    """Appends the channels of an earlier tensor to those of a later one. Site: (later, earlier, scale).

    1. The earlier tensor has `scale` times the height and width of the later one and is max-pooled by `scale` first.
       The later one is never pooled.
    2. The kernels that read the later tensor get zeros for the new channels, as in `AlterChannels`.
    3. Both tensors are outputs of an activation, a pool or a merge.

    Args:
        barrier: merges that the new channels may not pass, though they could; none by default.
    """

    name = "merge_concat"

    def __init__(self, barrier: Barrier = no_barrier) -> None:
        self._barrier = barrier

    def candidates(self, architecture):
        for later, earlier in feature_pairs(architecture):
            for scale in SCALES:
                yield (later, earlier, scale)

    def _exact_sites(self, architecture):
        # The propagation depends on the number of channels of the earlier tensor alone.
        propagate = cache(partial(self._propagate, architecture))
        return [site for site in self.candidates(architecture) if self._fits(architecture, site, propagate)]

    def requires(self, architecture, site):
        return self._fits(architecture, site, partial(self._propagate, architecture))

    def _fits(self, architecture, site, propagate):
        later, earlier, scale = site
        if later not in architecture or earlier not in architecture.ancestors[later] or scale not in SCALES:
            return False
        (*sides, channels), (*large, added) = architecture[later].shape, architecture[earlier].shape
        if None in sides or None in large or [side * scale for side in sides] != large:
            return False
        if not (is_feature(architecture, later) and is_feature(architecture, earlier)):
            return False
        if channels + added > channel_limit(architecture) or not architecture.consumers[later]:
            return False
        propagation = propagate(later, added)
        return propagation is not None and earlier not in propagation.grown

    def _apply(self, architecture, site):
        later, earlier, scale = site
        number = architecture.unused_number()
        appended, new = architecture[earlier], []
        if scale > 1:
            config = {} if scale == 2 else {"pool_size": [scale, scale], "strides": [scale, scale]}  # 2 is the default
            appended = architecture.make(f"pool_{number}", "MaxPooling2D", config, [appended])
            new.append(appended)
        joined = architecture.make(f"concat_{number}", "Concatenate", {}, [architecture[later], appended])
        propagation = append(architecture, later, appended.channels, self._barrier)
        changed = [
            replace(node, inputs=tuple(joined.name if source == later else source for source in node.inputs))
            for node in propagation.changed.values()
        ]
        return architecture.edited(changed, [*new, joined]), WeightTransfer(propagation.recipes)

    def _propagate(self, architecture, later, added):
        return propagate_within_limit(architecture, lambda: append(architecture, later, added, self._barrier))
