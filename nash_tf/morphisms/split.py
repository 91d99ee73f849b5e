"""Split a block into two parallel ones (slides, "Split Up Convolutional Layer")."""

from dataclasses import replace

from nash_tf import kinds
from nash_tf.morphisms.base import Morphism
from nash_tf.morphisms.edit import Copy, Edit

FACTOR = 0.3


class Split(Morphism):
    """A convolution, its batch normalisation and ReLU become two in parallel whose outputs are added. Site: (convolution,).

    1. Both branches copy the convolution and the statistics; gamma and beta are scaled by 0.3 and 0.7.
    2. ReLU is positively homogeneous, so the branches' outputs are 0.3 and 0.7 of the block's, in both modes.
    3. A branch's kernel sees that share of the gradient, so its slots are scaled too; those of gamma and beta are not.
    """

    name = "split"

    def candidates(self, architecture):
        for node in architecture.nodes:
            yield (node.name,)

    def requires(self, architecture, site):
        block = self._block(architecture, *site)
        return block is not None and bool(architecture.consumers[block[-1].name])

    def _block(self, architecture, name):
        if name not in architecture:
            return None
        conv = architecture[name]
        known = kinds.get(conv.kind, conv.config)
        if not (known and known.output_growth) or conv.config.get("activation", "linear") != "linear":
            return None
        block = [conv]
        for kind in ("BatchNormalization", "ReLU"):
            consumers = architecture.consumers[block[-1].name]
            if len(consumers) != 1 or block[-1].name in architecture.outputs:
                return None
            block.append(architecture[consumers[0]])
            if not self._continues(block[-1], kind):
                return None
        return None if block[-1].name in architecture.outputs else block

    def _continues(self, node, kind):
        if kind == "BatchNormalization":
            return node.kind == kind and {"gamma", "beta"} <= set(node.weights) and kinds.get(node.kind, node.config)
        if node.kind == "Activation":
            return node.config.get("activation") == "relu"
        plain = not any(node.config.get(key) for key in ("max_value", "negative_slope", "threshold"))
        return node.kind == "ReLU" and plain

    def _apply(self, architecture, site):
        conv, norm, relu = self._block(architecture, *site)
        number = architecture.unused_number()
        stem = conv.name.rstrip("0123456789").rstrip("_") or "conv"
        twin_conv = replace(conv, name=f"{stem}_{number}")
        twin_norm = replace(norm, name=f"bn_{number}", inputs=(twin_conv.name,))
        twin_relu = replace(relu, name=f"relu_{number}", inputs=(twin_norm.name,))
        total = architecture.make(f"add_{number}", "Add", {}, [relu, twin_relu])
        takers = [
            replace(node, inputs=tuple(total.name if source == relu.name else source for source in node.inputs))
            for node in map(architecture.__getitem__, architecture.consumers[relu.name])
        ]
        recipes = {}
        for branch_conv, branch_norm, share in ((conv, norm, FACTOR), (twin_conv, twin_norm, 1 - FACTOR)):
            for variable in conv.variables:
                recipes[branch_conv.name, variable] = Copy((conv.name, variable), slot_factor=share)
            for variable in norm.variables:
                scaled = share if variable in ("gamma", "beta") else 1.0
                recipes[branch_norm.name, variable] = Copy((norm.name, variable), factor=scaled)
        # `relu` itself stays the first branch's output; the sum follows it and the twin.
        return architecture.edited(takers, [twin_conv, twin_norm, twin_relu, total]), Edit(recipes)
