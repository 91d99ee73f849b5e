"""What the insertions have in common: a new block on an edge that is the identity there, or that adds zero."""

from typing import NamedTuple

from nash_tf.architecture import Architecture, Node
from nash_tf.architecture.constants import BATCH_NORM_EPSILON
from nash_tf.morphisms.base import Morphism, is_whole
from nash_tf.morphisms.features import is_causal, prevailing_activation, why_no_feature, why_no_map
from nash_tf.morphisms.names import no_layer
from nash_tf.morphisms.norms import norm_config
from nash_tf.morphisms.weight_transfer import Fresh, WeightTransfer

KERNEL_SIZES = (3, 5)


class Initial(NamedTuple):
    """The convolution's kind, or the initial values of a variable, in each of the two forms of an inserted block."""

    identity: str  # the block is the identity
    residual: str  # the block is added to its input


# Initial values of the batch normalisation.
_NORM = {
    "gamma": Initial("identity_gamma", "zeros"),
    "beta": Initial("zeros", "zeros"),
    "moving_mean": Initial("zeros", "zeros"),
    "moving_variance": Initial("ones", "ones"),
}


class Insert(Morphism):
    """Inserts a convolution, a batch normalisation and an activation on an edge. Site: (source, consumer, kernel size).

    If the source is never negative, the block is the identity:
    1. y = activation(norm(conv(source))). The kernel is a Dirac kernel, without bias.
    2. The batch normalisation is the identity for any statistics, with gamma = sqrt(var + eps) and beta = mean. It
       begins with mean 0 and variance 1, and calibration on a batch makes it the identity in training mode too, on that batch:
       but where a layer before it does something else in training (noise, random images, spectral normalisation).
    3. The activation is ReLU, which is the identity on what is not negative. If the source is also at most 6, as the
       output of a ReLU6 is, the activation is ReLU6.

    If the source may be negative, no usual activation is the identity, so the block is added to the source, which must
    be the output of an activation, a pool or a merge:
    4. y = source + norm(activation(conv(source))). The kernel is random; the activation is the nearest one before.
    5. The batch normalisation has gamma = beta = 0, so that it gives 0 in both modes, calibrated or not. gamma has a
       gradient at once, the kernel as soon as gamma is not 0.

    6. Sites are found with kernels of 3 and 5; any odd size can be named, if all of the kernel can see data.
    7. On a map of one pixel only the middle of a kernel would ever see data, so nothing larger is inserted there. (On
       maps of two pixels a 5 x 5 kernel sees no more than a 3 x 3 kernel does; it is still inserted, because seeded
       searches depend on it.)

    8. On sequences and volumes that a convolution made, the convolution has as many axes as theirs. Where it sees no later
       steps, the inserted one does not either, and is always added.

    Attributes:
        stem: start of the convolution's name.
        conv_kind: kind of the convolution, with the number of axes left open.
        axes: numbers of axes for which there is one.
        initial_values: by variable of the convolution its initial values, names in
            `nash_tf.morphisms.fills.FILLS`.
    """

    site_form = "(source, consumer, kernel size)"
    stem: str
    conv_kind: Initial
    axes: tuple[int, ...]
    initial_values: dict[str, Initial]

    def candidates(self, architecture):
        for node in architecture.nodes:
            for source in dict.fromkeys(node.inputs):
                for size in KERNEL_SIZES:
                    yield (source, node.name, size)

    def why_not_considered(self, architecture, layer):
        return "it takes and gives nothing"

    def refusal(self, architecture, site):
        source, consumer, size = site
        if reason := next(
            (no_layer(architecture, name) for name in (source, consumer) if name not in architecture), ""
        ):
            return reason
        if source not in architecture[consumer].inputs:
            return f"{consumer} does not take the output of {source}, but of {', '.join(architecture[consumer].inputs)}"
        if not (is_whole(size) and size > 0 and size % 2):
            return f"the kernel size must be a whole odd number of at least 1, received {size!r}"
        reason = why_no_map(architecture, source) or _why_too_large(architecture[source], size)
        if reason := reason or self._why_unfit(architecture, source):
            return reason
        return "" if self._is_identity(architecture, source) else why_no_feature(architecture, source)

    def _why_unfit(self, architecture: Architecture, source: str) -> str:
        """Why there is no such convolution for a map, in words; "" where there is."""
        axes = len(architecture[source].shape) - 1
        if axes not in self.axes:
            return (
                f"there is no {self.conv_kind.residual.format(axes)}, and {source} has {axes} axes beside the channels"
            )
        if self.stem != "conv" and is_causal(architecture, source):
            return f"{source} must not see later steps, and a separable convolution would"
        return ""

    def _is_identity(self, architecture: Architecture, source: str) -> bool:
        """Whether the block is the identity; else it is added to its input, as where it must not see later steps."""
        return source in architecture.nonnegative and not is_causal(architecture, source)

    def added_params(self, architecture, site):
        source, _, size = site
        _, block = self._block(architecture, architecture[source], size, architecture.unused_number())
        return sum(node.params for node in block)

    def _apply(self, architecture: Architecture, site):
        source, consumer, size = site
        form, block = self._block(architecture, architecture[source], size, architecture.unused_number())
        conv, norm = block[0], next(node for node in block if node.kind == "BatchNormalization")
        recipes = {
            (node.name, variable): Fresh(node.variables[variable], _fill(getattr(initial, form), norm))
            for node, initials in ((conv, self.initial_values), (norm, _NORM))
            for variable, initial in initials.items()
        }
        child = architecture.edited([architecture[consumer].rewired(source, block[-1].name)], block)
        return child, WeightTransfer(recipes, calibrate=(norm.name,))

    def _block(self, architecture: Architecture, source: Node, size: int, number: int) -> tuple[str, list[Node]]:
        """A block's form, a field of `Initial`, and its layers."""
        if self._is_identity(architecture, source.name):
            return "identity", self._identity_block(architecture, source, size, number)
        return "residual", self._residual_block(architecture, source, size, number)

    def _identity_block(self, architecture: Architecture, source: Node, size: int, number: int) -> list[Node]:
        conv = self._conv(architecture, source, size, number, self.conv_kind.identity)
        norm = norm_after(architecture, conv, number, source)
        return [conv, norm, self._relu(architecture, source, norm, number)]

    def _relu(self, architecture: Architecture, source: Node, before: Node, number: int) -> Node:
        """The ReLU that is the identity on the output of `source`, which is never negative."""
        config = {"max_value": 6.0} if architecture.bounds[source.name].high == 6.0 else {}
        return architecture.make(f"relu_{number}", "ReLU", config, [before])

    def _residual_block(self, architecture: Architecture, source: Node, size: int, number: int) -> list[Node]:
        conv = self._conv(architecture, source, size, number, self.conv_kind.residual)
        act = architecture.make(f"act_{number}", *prevailing_activation(architecture, source.name), [conv])
        norm = norm_after(architecture, act, number, source, conv)
        return [conv, act, norm, architecture.make(f"add_{number}", "Add", {}, [source, norm])]

    def _conv(self, architecture: Architecture, source: Node, size: int, number: int, kind: str) -> Node:
        axes, padding = len(source.shape) - 1, "causal" if is_causal(architecture, source.name) else "same"
        config = {"filters": source.channels, "kernel_size": [size] * axes, "padding": padding, "use_bias": False}
        return architecture.make(f"{self.stem}_{number}", kind.format(axes), config, [source])


def _fill(name: str, norm: Node) -> str:
    """A fill by name; that of gamma depends on epsilon."""
    epsilon = norm.config.get("epsilon", BATCH_NORM_EPSILON)
    return f"{name}:{epsilon}" if name == "identity_gamma" and epsilon != BATCH_NORM_EPSILON else name


def _why_too_large(source: Node, size: int) -> str:
    """Why a kernel of this size could not be learnt on the output of a node, in words; "" where it could."""
    sides = [side for side in source.shape[:-1] if side is not None]
    if set(source.shape[:-1]) == {1} and size in KERNEL_SIZES:
        return f"the map of {source.name} has one pixel"
    most = 2 * min(sides, default=size) - 1  # from the last pixel to the first, and back
    if size <= most or (size in KERNEL_SIZES and (len(source.shape) == 3 or 1 not in sides)):
        return ""
    wide = " x ".join(map(str, source.shape[:-1]))
    return f"the map of {source.name} is {wide}: of a kernel of {size} no more than {most} would see data"


def norm_after(architecture: Architecture, before: Node, number: int, source: Node, conv: Node | None = None) -> Node:
    """A batch normalisation behind a node, with the settings of those around `source`, and the dtype policy of `conv`, which is by
    default the node before: an activation may be an operation, which has none."""
    config = norm_config(architecture, source.name) | {"dtype": (conv or before).config.get("dtype", "float32")}
    return architecture.make(f"bn_{number}", "BatchNormalization", config, [before])
