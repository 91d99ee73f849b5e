"""The vanilla network of the slides, with which a search begins, and what first networks are made of."""

from collections.abc import Sequence

from nash_tf.architecture import Architecture, Node
from nash_tf.architecture.constants import BATCH_NORM_MOMENTUM

CONV = {"kernel_size": [3, 3], "padding": "same", "use_bias": False}


class Chain:
    """An architecture that grows layer by layer, each fed by the last one.

    Args:
        input_shape: height, width and channels of an image.
        dtype: Keras dtype policy of the layers but the logits, which are always float32.

    Attributes:
        architecture: what there is so far.
        last: its output.
    """

    def __init__(self, input_shape: tuple[int, int, int], dtype: str = "float32"):
        self.last = Node("image", "InputLayer", {}, (), tuple(input_shape))
        self.architecture = Architecture((self.last,), ("image",))
        self._policy = {} if dtype == "float32" else {"dtype": dtype}

    def add(self, name: str, kind: str, config: dict, *others: Node) -> Node:
        """Adds a layer, fed by the last one and others."""
        policy = {} if "dtype" in config else self._policy
        self.last = self.architecture.make(name, kind, {**policy, **config}, [self.last, *others])
        self.architecture = Architecture((*self.architecture.nodes, self.last), (self.last.name,))
        return self.last

    def block(self, number: int | str, width: int, pool: str | None = None, kind: str = "Conv2D") -> Node:
        """Adds a 3x3 convolution of that kind, a batch normalisation and a ReLU; a max-pool of that name before the normalisation."""
        self.add(f"conv_{number}", kind, {**CONV, "filters": width})
        if pool:
            self.add(pool, "MaxPooling2D", {})
        self.add(f"bn_{number}", "BatchNormalization", {"momentum": BATCH_NORM_MOMENTUM})
        return self.add(f"relu_{number}", "ReLU", {})

    def classified(self, classes: int) -> Architecture:
        """The architecture with a global average pool and a dense layer for the logits."""
        self.add("pool", "GlobalAveragePooling2D", {})
        self.add("logits", "Dense", {"dtype": "float32", "units": classes})
        return self.architecture


def vanilla(
    input_shape: tuple[int, int, int], classes: int, widths: Sequence[int], dtype: str = "float32"
) -> Architecture:
    """Conv3x3-BN-ReLU blocks with max-pools between them, a global average pool, and a dense layer for the logits.

    Args:
        input_shape: height, width and channels of an image.
        classes: number of classes, and so of logits.
        widths: number of channels of each block.
        dtype: Keras dtype policy of the layers; the logits are always float32.
    """
    chain = Chain(input_shape, dtype)
    for number, width in enumerate(widths, start=1):
        if number > 1:
            chain.add(f"pool_{number - 1}", "MaxPooling2D", {})
        chain.block(number, width)
    return chain.classified(classes)
