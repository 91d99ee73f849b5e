"""Split a block into two parallel ones (slides, "Split Up Convolutional Layer")."""

from dataclasses import replace

from nash_tf.architecture import Node, layer_rules
from nash_tf.morphisms.base import Morphism
from nash_tf.morphisms.features import why_no_map
from nash_tf.morphisms.names import no_layer
from nash_tf.morphisms.weight_transfer import Copy, WeightTransfer

FACTOR = 0.3  # share of the first branch


class Split(Morphism):
    """Replaces a block by two parallel copies whose outputs are added. Site: (convolution,).

    1. The block is the convolution, and after it a batch normalisation with gamma and an activation, each if it is
       there and is the only consumer of the layer before it.
    2. Both branches have copies of all variables. Those of the last affine layer (gamma and beta, or kernel and bias)
       are scaled by 0.3 in one branch and by 0.7 in the other.
    3. The activation is positively homogeneous, so the outputs of the branches are 0.3 and 0.7 of the block's, in
       inference and in training mode.
    4. The gradients of a branch's other variables are scaled by the same factor, so their optimiser slots are scaled as they follow
       from gradients: momentum by the factor, means of squares by its square. The slots of the scaled variables are not.
    5. Without an activation the sum of the branches is one convolution in inference, whatever they learn: there it is pointless. (Of
       separable ones it is more than one such.)

    Args:
        at_any_end: whether it is not, as in the slides, which split every convolution.
    """

    name = "split"
    site_form = "(convolution,)"

    def __init__(self, at_any_end: bool = False) -> None:
        self._at_any_end = at_any_end

    def candidates(self, architecture):
        for node in architecture.nodes:
            yield (node.name,)

    def refusal(self, architecture, site):
        (name,) = site
        if name not in architecture:
            return no_layer(architecture, name)
        conv = architecture[name]
        if reason := why_no_map(architecture, name):
            return reason
        if reason := conv.why_not_widened:
            return f"{name} ({conv.kind}): {reason}"
        if not _is_homogeneous(conv):
            return f"{name} ends in {layer_rules.activation_of(conv.config)}, of which two shares are not the whole"
        return "" if _is_inner(architecture, conv) else f"{name} is an output of the network"

    def pointless(self, architecture, site):
        (name,) = site
        block = self._block(architecture, name)
        has_activation = any(layer_rules.has_activation(node.rule, node.config) for node in block)
        if self._at_any_end or has_activation or len(layer_rules.kernels(block[0].kind, block[0].config)) > 1:
            return ""
        return (
            f"its block ends in {block[-1].name}, without an activation that could be split too: the sum of two such is one "
            "convolution for ever, and the second brings nothing"
        )

    def _apply(self, architecture, site):
        block, number = self._block(architecture, *site), architecture.unused_number()
        stem = block[0].name.rstrip("0123456789").rstrip("_") or "conv"
        second: list[Node] = []
        for node in block:
            prefix = stem if node is block[0] else _PREFIXES.get(node.kind, "act")
            inputs = (second[-1].name,) if second else node.inputs
            second.append(replace(node, name=f"{prefix}_{number}", inputs=inputs))
        total = architecture.make(f"add_{number}", "Add", {}, [block[-1], second[-1]])
        end = block[-1].name
        consumers = [architecture[consumer].rewired(end, total.name) for consumer in architecture.consumers[end]]
        scaled = _scaled(block)
        recipes = {}
        for branch, share in ((block, FACTOR), (second, 1 - FACTOR)):
            for node, copy in zip(block, branch, strict=True):
                for variable in node.variables:
                    source = (node.name, variable)
                    if source in scaled:
                        recipes[copy.name, variable] = Copy(source, factor=share)
                    else:
                        recipes[copy.name, variable] = Copy(
                            source, slot_factor=share if variable in node.weights else 1.0
                        )
        # The block itself stays as the first branch.
        return architecture.edited(consumers, [*second, total]), WeightTransfer(recipes)

    def _block(self, architecture, name):
        """The layers of the block, in order."""
        block = [architecture[name]]
        after = _follower(architecture, block[-1])
        if after and _is_norm(after) and layer_rules.activation_of(block[0].config) == "linear":
            block.append(after)
            after = _follower(architecture, after)
        if after and _role(after) == "activation" and _is_homogeneous(after):
            block.append(after)
        return block


_PREFIXES = {"BatchNormalization": "bn", "ReLU": "relu"}


def _follower(architecture, node):
    """The only consumer of a node's output, if the block may end with it."""
    consumers = architecture.consumers[node.name]
    follower = architecture[consumers[0]] if len(consumers) == 1 and node.name not in architecture.outputs else None
    return follower if follower and _is_inner(architecture, follower) else None


def _is_inner(architecture, node):
    """Whether a node has consumers and is not an output of the network."""
    return node.name not in architecture.outputs and bool(architecture.consumers[node.name])


def _role(node):
    return node.rule.role if node.rule else ""


def _is_homogeneous(node):
    return node.rule is not None and node.rule.homogeneous(node.config)


def _is_norm(node):
    return node.kind == "BatchNormalization" and node.rule is not None and "gamma" in node.weights


def _scaled(block):
    """The variables of the block's last affine layer; they scale the block's output."""
    affine = block[1] if len(block) > 1 and _is_norm(block[1]) else block[0]
    names = ("gamma", "beta") if affine is not block[0] else affine.rule.output_growth
    return {(affine.name, variable) for variable in names}
