"""Remove a block of layers between two tensors of one shape (as layers are dropped in Veit et al. 2016, arXiv 1605.06431)."""

from functools import reduce

from nash_tf.architecture import Architecture, layer_rules
from nash_tf.morphisms.base import Reduction
from nash_tf.morphisms.cutting import reading, why_not_read, why_nothing_gained
from nash_tf.morphisms.features import why_unlike
from nash_tf.morphisms.names import no_layer
from nash_tf.morphisms.weight_transfer import WeightTransfer


class RemoveBlock(Reduction):
    """Takes out the layers between two tensors: what read the later one reads the earlier one. Site: (later, earlier).

    1. Both have one shape, and every way to the later one passes the earlier one: a residual block, or a chain of layers.
       Layers in between that something else reads stay.
    2. All other numbers stay, slots too.
    3. For each end of a block the nearest earlier one is found that leaves out a kernel.
    """

    name = "remove_block"
    site_form = "(later, earlier)"

    def candidates(self, architecture):
        before = _immediate_dominators(architecture)
        ends = dict.fromkeys(node.name for node in architecture.nodes if _ends_block(architecture, node.name))
        for later in ends:
            earlier = before[later]
            while earlier is not None:
                is_block = earlier in ends and not why_unlike(architecture, later, earlier)
                if is_block and any(_has_kernel(architecture[name]) for name in _between(architecture, later, earlier)):
                    yield (later, earlier)
                    break
                earlier = before[earlier]

    def why_not_considered(self, architecture, layer):
        return "no block of layers begins or ends there of which input and output have one shape"

    def refusal(self, architecture, site):
        later, earlier = site
        for name in site:
            if name not in architecture:
                return no_layer(architecture, name)
        if earlier not in architecture.ancestors[later]:
            return f"{later} does not depend on {earlier}"
        inside = _between(architecture, later, earlier)
        for name in inside:
            if architecture[name].kind == "InputLayer" or not inside.issuperset(
                {*architecture[name].inputs} - {earlier}
            ):
                return f"not every way to {later} passes {earlier}: {name} is on another"
        if reason := why_not_read(architecture, later, earlier):
            return reason
        return why_nothing_gained(architecture, reading(architecture, later, earlier))

    def _apply(self, architecture, site):
        return reading(architecture, *site), WeightTransfer()


def _between(architecture: Architecture, later: str, earlier: str) -> frozenset[str]:
    """The nodes that go where nothing else reads them: from behind the earlier one to the later one."""
    return (architecture.ancestors[later] | {later}) - architecture.ancestors[earlier] - {earlier}


def _has_kernel(node) -> bool:
    return bool(layer_rules.kernels(node.kind, node.config))


def _ends_block(architecture: Architecture, name: str) -> bool:
    """Whether a node is not merely on the way to its own normalisation or activation."""
    consumers = [architecture[consumer] for consumer in architecture.consumers[name]]
    if not consumers or architecture[name].kind == "InputLayer":
        return False
    (first, *others) = consumers
    goes_on = first.kind == "BatchNormalization" or (first.rule is not None and first.rule.role == "activation")
    return bool(others) or not goes_on


def _immediate_dominators(architecture: Architecture) -> dict[str, str | None]:
    """By each node's name the last other node that every way to it passes; None for none.

    Cooper, Harvey and Kennedy 2001, "A Simple, Fast Dominance Algorithm"; in topological order one pass is enough.
    """
    above: dict[str, str | None] = {}
    place = architecture.position

    def common(one: str | None, two: str | None) -> str | None:
        while one != two:
            if one is None or two is None:
                return None
            one, two = (above[one], two) if place[one] > place[two] else (one, above[two])
        return one

    for node in architecture.nodes:
        first, *others = node.inputs or (None,)
        above[node.name] = reduce(common, others, first)
    return above
