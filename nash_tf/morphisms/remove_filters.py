"""Remove filters of a layer (Molchanov et al. 2019, arXiv 1906.10771); the inverse of widening, but approximate."""

from nash_tf.architecture import Architecture, layer_rules
from nash_tf.morphisms.base import Origin, Reduction, is_whole
from nash_tf.morphisms.channels import CannotPropagate, ChannelPropagation, propagate
from nash_tf.morphisms.names import no_layer
from nash_tf.morphisms.weight_transfer import WeightTransfer

TO = "to"
FILTERS = "filters"


class RemoveFilters(Reduction):
    """Removes filters of a convolution or units of a dense layer. Site: (layer, "filters", number, number, ...).

    1. The named filters go, ascending from 0, and with them what reads them: their slices of the batch normalisations and
       depthwise kernels on the way, and of the kernels that read their channels. All other numbers stay, slots too.
    2. Where an element-wise merge joins the channels with those of other layers, these layers lose theirs too; the site is
       named after the first of them.
    3. (layer, count) and (layer, "to", channels) leave open which filters go. `nash_tf.morph` ranks them on its calibration
       batch (see `nash_tf.surgery.filter_ranking`) and records their numbers; a search ranks them by the parent's weights.
    4. Sites are found that remove half of a layer's filters, which are left open.
    """

    name = "remove_filters"
    site_form = f"(layer, count), (layer, {TO!r}, channels) and (layer, {FILTERS!r}, number, ...)"

    def candidates(self, architecture):
        for node in architecture.nodes:
            if node.channels and node.channels > 1:
                yield (node.name, TO, node.channels - node.channels // 2)

    def refusal(self, architecture, site):
        name, *wish = site
        if name not in architecture:
            return no_layer(architecture, name)
        node = architecture[name]
        if not node.channels:
            return f"{name} has an open number of channels"
        if reason := node.why_not_widened:
            return f"{name} ({node.kind}) cannot lose channels: {'it is frozen' if _is_frozen(node) else reason}"
        filters = _filters(wish, node.channels)
        if filters is None:
            return f"its sites are {self.site_form}"
        if not filters:
            return f"{name} has {node.channels} channels: no filter would go"
        if len(filters) >= node.channels:
            return f"{name} has {node.channels} channels, of which at least one must stay"
        if list(filters) != sorted(set(filters)) or not 0 <= filters[0] <= filters[-1] < node.channels:
            return f"the filters of {name} are 0 to {node.channels - 1}, each named once and ascending"
        try:
            propagation = _cut(architecture, name, filters)
        except CannotPropagate as error:
            if not error.layer:
                return str(error)
            blocking = architecture[error.layer]
            reason = "it is frozen" if _is_frozen(blocking) else error.reason
            return f"{blocking.name} ({blocking.kind}) cannot lose channels: {reason}"
        if propagation.producers[0] != name:
            return f"{name} loses filters together with {propagation.producers[0]}, after which the site is named"
        return ""

    def is_open(self, site):
        return len(site) > 1 and site[1] != FILTERS

    def settled(self, architecture, site, importance):
        name, *wish = site
        if not self.is_open(site):
            return site
        count = len(_filters(wish, architecture[name].channels) or ())
        order = sorted(range(len(importance)), key=lambda number: (importance[number], -number))
        return (name, FILTERS, *sorted(order[:count]))

    def choices(self, architecture):
        """A quarter of a layer's filters, or half of them."""
        return [
            (name, TO, channels - removed)
            for name, *_ in self.sites(architecture)
            for channels in [architecture[name].channels]
            for removed in dict.fromkeys((channels // 4, channels // 2))
            if removed
        ]

    def sites_removing(self, architecture, params):
        """Of each layer as many filters as have these parameters, at least one and at most half; which is left open."""
        sites = []
        for name, word, kept in self.sites(architecture):
            channels = architecture[name].channels
            removed = architecture.params - self.apply(architecture, (name, word, kept), Origin.FOUND)[0].params
            count = -(-params * (channels - kept) // max(removed, 1))
            sites.append((name, word, channels - min(max(count, 1), channels - kept)))
        return sites

    def _apply(self, architecture, site):
        name, *wish = site
        propagation = _cut(architecture, name, _filters(wish, architecture[name].channels))
        return architecture.edited(propagation.changed.values()), WeightTransfer(propagation.recipes)


def _filters(wish, channels: int) -> tuple[int, ...] | None:
    """The filters that go, where that is open the last; None where the site has another form."""
    match wish:
        case ["filters", *numbers] if all(map(is_whole, numbers)):
            return tuple(numbers)
        case ["to", kept] if is_whole(kept):
            return tuple(range(max(0, kept), channels))
        case [count] if is_whole(count):
            return tuple(range(max(0, channels - count), channels))
    return None


def _cut(architecture, name: str, filters) -> ChannelPropagation:
    return propagate(architecture, name, tuple((number, -1) for number in filters))


def _is_frozen(node) -> bool:
    return not node.config.get("trainable", True)


def everywhere(architecture: Architecture, name: str) -> ChannelPropagation:
    """How channels propagate of which one is put in before each of a layer's own."""
    return propagate(architecture, name, tuple((number, 1) for number in range(architecture[name].channels or 0)))


def readers(architecture: Architecture, name: str) -> dict[tuple[str, str], tuple[int, tuple[int, ...]]]:
    """The kernels that read the channels of a layer.

    Args:
        architecture: the network.
        name: the layer, as a site of `RemoveFilters` names it.

    Returns:
        By (node, variable) the kernel's axis of input channels, and the positions on it that come from the layer. Position
        k in this list comes from the filter k modulo their number: flattened or concatenated channels come several times.
    """
    found = {}
    for reader, arriving in everywhere(architecture, name).arriving.items():
        rule = architecture[reader].rule
        if rule and rule.channels is layer_rules.ChannelFlow.ABSORBED:
            # Of a separable convolution the pointwise kernel: scaling one of both kernels scales the channel. Two
            # directions have a kernel each, and scaling both scales it.
            for variable, growth in rule.input_growth.items():
                if growth.fill == "zeros":
                    found[reader, variable] = (growth.axis, tuple(at for at, _ in arriving))
    return found
