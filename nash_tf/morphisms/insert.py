"""What the two insertions share: an identity block on an edge whose source is never negative."""

from dataclasses import replace

from nash_tf.architecture import Architecture
from nash_tf.morphisms.base import KERNEL_SIZES, Morphism, is_image
from nash_tf.morphisms.edit import Edit, Fresh


class Insert(Morphism):
    """Puts convolution, batch normalisation and ReLU on an edge. Site: (source, consumer, kernel size).

    1. The kernel is a Dirac identity without bias.
    2. The batch normalisation is the identity for any statistics, gamma = sqrt(var + eps) and beta = mean; it is born with
       mean 0 and variance 1 and calibrated on a batch, so that it is the identity in training mode too.
    3. ReLU is idempotent on the source, which is never negative.
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
            source in architecture.nonnegative
            and consumer in architecture
            and source in architecture[consumer].inputs
            and size in KERNEL_SIZES
            and is_image(architecture, source)
        )

    def _apply(self, architecture: Architecture, site):
        source, consumer, size = site
        parent, number = architecture[source], architecture.unused_number()
        config = {"filters": parent.channels, "kernel_size": [size, size], "padding": "same", "use_bias": False}
        conv = architecture.make(f"{self.stem}_{number}", self.kind, config, [parent])
        norm = architecture.make(f"bn_{number}", "BatchNormalization", {"momentum": 0.9}, [conv])
        relu = architecture.make(f"relu_{number}", "ReLU", {}, [norm])
        taker = architecture[consumer]
        taker = replace(taker, inputs=tuple(relu.name if name == source else name for name in taker.inputs))
        recipes = {(conv.name, variable): Fresh(conv.weights[variable], fill) for variable, fill in self.fills.items()}
        fills = {"gamma": "identity_gamma", "beta": "zeros", "moving_mean": "zeros", "moving_variance": "ones"}
        recipes |= {(norm.name, variable): Fresh((parent.channels,), fill) for variable, fill in fills.items()}
        return architecture.edited([taker], [conv, norm, relu]), Edit(recipes, calibrate=(norm.name,))
