"""Cut a branch off a merge; the inverse of merging, but approximate."""

from dataclasses import replace

from nash_tf.architecture import Architecture
from nash_tf.architecture.layer_rules import ChannelFlow
from nash_tf.morphisms.base import Reduction
from nash_tf.morphisms.channels import CannotPropagate, drop
from nash_tf.morphisms.cutting import needed, reading, why_not_read, why_nothing_gained
from nash_tf.morphisms.features import why_unlike
from nash_tf.morphisms.names import no_layer
from nash_tf.morphisms.weight_transfer import WeightTransfer


class CutMerge(Reduction):
    """Takes a branch off a sum, a gate, a concatenation or another merge. Site: (merge, branch), the branch one of its inputs.

    1. The layers of the branch go, but for those that something else reads. A merge of which one input is left goes too.
    2. What read a concatenation loses the branch's channels: slices of the kernels that read them, and of what lies
       between. All other numbers stay, slots too.
    """

    name = "cut_merge"
    site_form = "(merge, branch)"

    def candidates(self, architecture):
        for node in architecture.nodes:
            if node.rule is not None and node.rule.role == "merge":
                for branch in dict.fromkeys(node.inputs):
                    yield (node.name, branch)

    def why_not_considered(self, architecture, layer):
        node = architecture[layer]
        if node.rule is None:
            return f"{layer} ({node.kind}) is not understood: {node.why_unruled}"
        return f"{layer} ({node.kind}) is no merge, and no input of one"

    def refusal(self, architecture, site):
        name, branch = site
        if name not in architecture:
            return no_layer(architecture, name)
        merge = architecture[name]
        if merge.rule is None or merge.rule.role != "merge":
            return self.why_not_considered(architecture, name)
        if branch not in merge.inputs:
            return f"{branch} is no input of {name}; its inputs are {', '.join(dict.fromkeys(merge.inputs))}"
        if name in architecture.outputs:
            return f"{name} is an output of the network"
        left = _left(merge, branch)
        if not left:
            return f"nothing would be left of {name}"
        if merge.kind == "Subtract" and merge.inputs[0] == branch:
            return f"what is left of {name} would have the other sign"
        if _is_concatenation(merge):
            try:
                child, _ = _without_channels(architecture, merge, branch)
            except CannotPropagate as error:
                return str(error)
            return why_nothing_gained(architecture, child)
        if len(left) == 1 and (reason := why_not_read(architecture, name, left[0])):
            return reason
        if all(why_unlike(architecture, name, other) for other in left):
            return f"of {name} another shape would be left"
        return why_nothing_gained(architecture, self._apply(architecture, site)[0])

    def _apply(self, architecture, site):
        merge, branch = architecture[site[0]], site[1]
        if _is_concatenation(merge):
            return _without_channels(architecture, merge, branch)
        left = _left(merge, branch)
        if len(left) == 1:
            return reading(architecture, merge.name, left[0]), WeightTransfer()
        edited = architecture.edited([replace(merge, inputs=left)])
        return replace(edited, nodes=needed(edited.nodes, edited.outputs)), WeightTransfer()


def _is_concatenation(merge) -> bool:
    return merge.rule.channels is ChannelFlow.CONCATENATED


def _left(merge, branch: str) -> tuple[str, ...]:
    return tuple(name for name in merge.inputs if name != branch)


def _without_channels(architecture: Architecture, merge, branch: str) -> tuple[Architecture, WeightTransfer]:
    """The network without a branch of a concatenation.

    Raises:
        CannotPropagate: a layer behind it cannot lose its channels; the message names it.
    """
    gone: list[int] = []
    offset = 0
    for name in merge.inputs:
        channels = architecture[name].channels
        if channels is None:
            raise CannotPropagate(f"{name} has an open number of channels")
        gone += range(offset, offset + channels) if name == branch else ()
        offset += channels
    propagation, left = drop(architecture, merge.name, gone), _left(merge, branch)
    changed = dict(propagation.changed)
    if len(left) > 1:
        shape = (*merge.shape[:-1], merge.shape[-1] - len(gone))
        changed[merge.name] = replace(merge, inputs=left, shape=shape)
    nodes = [changed.get(node.name, node) for node in architecture.nodes]
    if len(left) == 1:
        nodes = [node.rewired(merge.name, left[0]) for node in nodes]
    return replace(architecture, nodes=needed(nodes, architecture.outputs)), WeightTransfer(propagation.recipes)
