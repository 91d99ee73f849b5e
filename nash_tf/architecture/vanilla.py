"""The vanilla network of the slides, with which a search begins."""

from collections.abc import Sequence

from nash_tf.architecture import Architecture, Node
from nash_tf.architecture.constants import BATCH_NORM_MOMENTUM

CONV = {"kernel_size": [3, 3], "padding": "same", "use_bias": False}


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
    image = Node("image", "InputLayer", {}, (), tuple(input_shape))
    architecture, last = Architecture((image,), ("image",)), image

    policy = {} if dtype == "float32" else {"dtype": dtype}

    def add(name: str, kind: str, config: dict) -> None:
        nonlocal architecture, last
        last = architecture.make(name, kind, config, [last])
        architecture = Architecture((*architecture.nodes, last), (last.name,))

    for number, width in enumerate(widths, start=1):
        if number > 1:
            add(f"pool_{number - 1}", "MaxPooling2D", policy)
        add(f"conv_{number}", "Conv2D", {**policy, **CONV, "filters": width})
        add(f"bn_{number}", "BatchNormalization", {**policy, "momentum": BATCH_NORM_MOMENTUM})
        add(f"relu_{number}", "ReLU", policy)
    add("pool", "GlobalAveragePooling2D", policy)
    add("logits", "Dense", {"dtype": "float32", "units": classes})
    return architecture
