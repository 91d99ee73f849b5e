"""What the two insertions share: a block on an edge that is the identity there, or that adds nothing yet."""

from dataclasses import replace

from nash_tf.architecture import Architecture, Node
from nash_tf.morphisms.base import KERNEL_SIZES, Morphism
from nash_tf.morphisms.edit import Edit, Fresh
from nash_tf.morphisms.features import is_feature, is_image, prevailing_activation

# How a batch normalisation's variables are born: where the block is to be the identity, and where it is to give 0.
_NORM = {
    "gamma": ("identity_gamma", "zeros"),
    "beta": ("zeros", "zeros"),
    "moving_mean": ("zeros", "zeros"),
    "moving_variance": ("ones", "ones"),
}


class Insert(Morphism):
    """Puts a convolution, a batch normalisation and an activation on an edge. Site: (source, consumer, kernel size).

    Where the source is never negative:
    1. y = activation(norm(conv(source))). The kernel is a Dirac identity without bias.
    2. The batch normalisation is the identity for any statistics, gamma = sqrt(var + eps) and beta = mean; it is born with
       mean 0 and variance 1 and calibrated on a batch, so that it is the identity in training mode too.
    3. The activation is ReLU, which is idempotent there; where the source also ends at 6, as that of a ReLU6 does, ReLU6.

    Where the source may be negative no usual activation is the identity. The source must be the output of an activation, a
    pool or a merge:
    4. y = source + norm(activation(conv(source))). The kernel is random, the activation the nearest one before.
    5. The batch normalisation has gamma = beta = 0, so that it gives 0 in both modes, calibrated or not. gamma has a
       gradient whatever the sign of the loss, the kernel as soon as gamma has left 0.

    On a map of one pixel nothing is inserted: of all places of a kernel only its middle would ever see data. (Of maps of two
    pixels a 5 x 5 kernel sees no more than 3 x 3; it is inserted, as seeded searches rely on it.)
    """

    stem: str
    kinds: tuple[str, str]  # of the convolution: born as the identity, and at random
    fills: dict[str, tuple[str, str]]  # its variables: the same two

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
            and architecture[source].shape[:2] != (1, 1)
            and (source in architecture.nonnegative or is_feature(architecture, source))
        )

    def _apply(self, architecture: Architecture, site):
        source, consumer, size = site
        is_identity = source in architecture.nonnegative
        make, born = (self._identity, 0) if is_identity else (self._residual, 1)
        conv, norm, new = make(architecture, architecture[source], size, architecture.unused_number())
        recipes = {(conv.name, name): Fresh(conv.weights[name], fill[born]) for name, fill in self.fills.items()}
        recipes |= {(norm.name, name): Fresh(norm.variables[name], fill[born]) for name, fill in _NORM.items()}
        taker = architecture[consumer]
        taker = replace(taker, inputs=tuple(new[-1].name if name == source else name for name in taker.inputs))
        return architecture.edited([taker], new), Edit(recipes, calibrate=(norm.name,))

    def _conv(self, architecture: Architecture, source: Node, size: int, number: int, kind: str) -> Node:
        config = {"filters": source.channels, "kernel_size": [size, size], "padding": "same", "use_bias": False}
        return architecture.make(f"{self.stem}_{number}", kind, config, [source])

    def _identity(self, architecture: Architecture, source: Node, size: int, number: int):
        conv = self._conv(architecture, source, size, number, self.kinds[0])
        norm = architecture.make(f"bn_{number}", "BatchNormalization", {"momentum": 0.9}, [conv])
        config = {"max_value": 6.0} if architecture.bounds[source.name].high == 6.0 else {}
        act = architecture.make(f"relu_{number}", "ReLU", config, [norm])
        return conv, norm, [conv, norm, act]

    def _residual(self, architecture: Architecture, source: Node, size: int, number: int):
        conv = self._conv(architecture, source, size, number, self.kinds[1])
        act = architecture.make(f"act_{number}", *prevailing_activation(architecture, source.name), [conv])
        norm = architecture.make(f"bn_{number}", "BatchNormalization", {"momentum": 0.9}, [act])
        total = architecture.make(f"add_{number}", "Add", {}, [source, norm])
        return conv, norm, [conv, act, norm, total]
