"""What the two insertions share: a block on an edge that is the identity there, or is not yet listened to."""

from dataclasses import replace

from nash_tf.architecture import Architecture
from nash_tf.morphisms.base import KERNEL_SIZES, Morphism
from nash_tf.morphisms.edit import Edit, Fresh
from nash_tf.morphisms.features import is_feature, is_image, prevailing_activation


class Insert(Morphism):
    """Puts convolution, batch normalisation and an activation on an edge. Site: (source, consumer, kernel size).

    1. The kernel is a Dirac identity without bias.
    2. The batch normalisation is the identity for any statistics, gamma = sqrt(var + eps) and beta = mean; it is born with
       mean 0 and variance 1 and calibrated on a batch, so that it is the identity in training mode too.
    3. Where the source is never negative the activation is ReLU, which is idempotent there; where the source also ends at
       6, as that of a ReLU6 does, it is ReLU6.
    4. Where the source may be negative no activation is the identity. There y = alpha * source + (1 - alpha) * block, alpha
       born as 1 and trained within [0, 1], takes the source's place; the block's activation is the nearest one before, and
       its kernel is the identity and some noise, so that alpha has a gradient. Such a source must be the output of an activation, a pool or a merge.
    """

    stem: str
    kind: str
    fills: dict[str, str]

    def candidates(self, architecture):
        for node in architecture.nodes:
            for source in dict.fromkeys(node.inputs):
                for size in KERNEL_SIZES:
                    yield (source, node.name, size)

    def requires(self, architecture, site):
        source, consumer, size = site
        return (
            source in architecture
            and consumer in architecture
            and source in architecture[consumer].inputs
            and size in KERNEL_SIZES
            and is_image(architecture, source)
            and (source in architecture.nonnegative or is_feature(architecture, source))
        )

    def _apply(self, architecture: Architecture, site):
        source, consumer, size = site
        parent, number = architecture[source], architecture.unused_number()
        config = {"filters": parent.channels, "kernel_size": [size, size], "padding": "same", "use_bias": False}
        conv = architecture.make(f"{self.stem}_{number}", self.kind, config, [parent])
        norm = architecture.make(f"bn_{number}", "BatchNormalization", {"momentum": 0.9}, [conv])
        act = self._activation(architecture, source, norm, number)
        gated = source not in architecture.nonnegative
        recipes = {
            (conv.name, variable): Fresh(conv.weights[variable], "rough_dirac" if gated and fill == "dirac" else fill)
            for variable, fill in self.fills.items()
        }
        fills = {"gamma": "identity_gamma", "beta": "zeros", "moving_mean": "zeros", "moving_variance": "ones"}
        recipes |= {(norm.name, variable): Fresh((parent.channels,), fill) for variable, fill in fills.items()}
        new = [conv, norm, act]
        if gated:
            new.append(architecture.make(f"convex_{number}", "nash_tf>ConvexMerge", {}, [parent, act]))
            recipes[new[-1].name, "alpha"] = Fresh((), "ones")
        taker = architecture[consumer]
        taker = replace(taker, inputs=tuple(new[-1].name if name == source else name for name in taker.inputs))
        return architecture.edited([taker], new), Edit(recipes, calibrate=(norm.name,))

    def _activation(self, architecture, source, norm, number):
        if source not in architecture.nonnegative:
            return architecture.make(f"act_{number}", *prevailing_activation(architecture, source), [norm])
        config = {"max_value": 6.0} if architecture.bounds[source].high == 6.0 else {}
        return architecture.make(f"relu_{number}", "ReLU", config, [norm])
