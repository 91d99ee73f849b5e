"""Merge two tensors by concatenation (slides, "Merge by Concatenation")."""

from dataclasses import replace
from functools import cache, partial

from nash_tf.morphisms.base import Morphism, channel_limit, follow_within_limit
from nash_tf.morphisms.channels import Stops, append, nowhere
from nash_tf.morphisms.edit import Edit
from nash_tf.morphisms.features import feature_pairs, is_feature

SCALES = (1, 2, 4)


class MergeConcat(Morphism):
    """The channels of an earlier tensor are put behind those of a later one. Site: (later, earlier, scale).

    1. The earlier tensor is larger by `scale` and is max-pooled by it first; the later one is never pooled.
    2. All consumers of the later tensor have zeros in their kernels for the new channels, as in `AlterChannels`.
    3. Both are outputs of an activation, a pool or a merge.

    Args:
        stops: merges that the new channels may not pass, though they could; by default there are none.
    """

    name = "merge_concat"

    def __init__(self, stops: Stops = nowhere) -> None:
        self._stops = stops

    def candidates(self, architecture):
        for later, earlier in feature_pairs(architecture):
            for scale in SCALES:
                yield (later, earlier, scale)

    def _exact_sites(self, architecture):
        # It is the same for all earlier tensors of as many channels.
        follow = cache(partial(self._follow, architecture))
        return [site for site in self.candidates(architecture) if self._fits(architecture, site, follow)]

    def requires(self, architecture, site):
        return self._fits(architecture, site, partial(self._follow, architecture))

    def _fits(self, architecture, site, follow):
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
        followed = follow(later, added)
        return followed is not None and earlier not in followed.grown

    def _apply(self, architecture, site):
        later, earlier, scale = site
        number = architecture.unused_number()
        appended, new = architecture[earlier], []
        if scale > 1:
            config = {} if scale == 2 else {"pool_size": [scale, scale], "strides": [scale, scale]}  # 2 is the default
            appended = architecture.make(f"pool_{number}", "MaxPooling2D", config, [appended])
            new.append(appended)
        joined = architecture.make(f"concat_{number}", "Concatenate", {}, [architecture[later], appended])
        followed = append(architecture, later, appended.channels, self._stops)
        takers = [
            replace(node, inputs=tuple(joined.name if source == later else source for source in node.inputs))
            for node in followed.changed.values()
        ]
        return architecture.edited(takers, [*new, joined]), Edit(followed.recipes)

    def _follow(self, architecture, later, added):
        return follow_within_limit(architecture, lambda: append(architecture, later, added, self._stops))
