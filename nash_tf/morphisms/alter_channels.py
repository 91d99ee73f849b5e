"""Widen a layer (slides, "Alter Channels"; Chen et al. 2016, Net2Net, arXiv 1511.05641, with zeros for copies)."""

from nash_tf import kinds
from nash_tf.morphisms.base import CHANNEL_FACTORS, MAX_CHANNELS, Morphism, followable
from nash_tf.morphisms.channels import absorb, widened
from nash_tf.morphisms.edit import Edit


class AlterChannels(Morphism):
    """Multiplies a convolution's output channels. Site: (convolution, factor).

    1. Old filters are kept, new ones freshly initialised.
    2. The new channels are carried through everything one to one, up to the kernels that take them.
    3. Those kernels have zeros for them.
    """

    name = "alter_channels"

    def candidates(self, architecture):
        for node in architecture.nodes:
            for factor in CHANNEL_FACTORS:
                yield (node.name, factor)

    def requires(self, architecture, site):
        name, factor = site
        if name not in architecture or factor not in CHANNEL_FACTORS:
            return False
        node = architecture[name]
        known = kinds.get(node.kind, node.config)
        if not (known and known.output_growth) or factor * node.channels > MAX_CHANNELS:
            return False
        added = (factor - 1) * node.channels
        return followable(architecture, lambda parent: absorb(parent, name, ((node.channels, added),)))

    def _apply(self, architecture, site):
        name, factor = site
        node = architecture[name]
        added = (factor - 1) * node.channels
        changed, recipes = absorb(architecture, name, ((node.channels, added),))
        wide, own_recipes = widened(node, added)
        return architecture.edited([wide, *changed.values()]), Edit(own_recipes | recipes)
