"""What a network costs to compute."""

import math

from nash_tf.architecture import Architecture


def flops(architecture: Architecture) -> int | None:
    """Floating-point operations of the forward pass of one image; a multiplication and an addition count as two.

    Counted are the kernels of convolutions (plain, grouped, separable, depthwise) and of dense layers: twice the size
    of the kernel at each output position. Biases, normalisations, activations, pools, merges, and layers without a rule
    are not counted. The depthwise half of a separable convolution has the stride, so it counts at the output's
    positions.

    Returns:
        The number of operations, or None where the size of an image is open.
    """
    return architecture.flops


# CPU-seconds of a training step, for each operation of the forward pass and each element of a layer's output. Fitted to 14
# convolutional networks, batch 128, one core of a Xeon with AVX-512: within 7 % of all of them. Only their ratio matters
# where a budget is counted in epochs of the first network.
SECONDS_PER_OPERATION, SECONDS_PER_ELEMENT = 2.5e-11, 9.6e-10


def elements(architecture: Architecture) -> int | None:
    """Numbers that the layers put out for one example, the input among them; None where a size is open."""
    if any(None in node.shape for node in architecture.nodes):
        return None
    return sum(math.prod(node.shape) for node in architecture.nodes)  # type: ignore[arg-type, misc]


def training_seconds(architecture: Architecture) -> float:
    """What one example costs in a training step, predicted, in CPU-seconds of the machine of `SECONDS_PER_OPERATION`.

    Where a size is open, each parameter counts as one multiplication and addition.
    """
    operations, outputs = flops(architecture), elements(architecture)
    if operations is None or outputs is None:
        return SECONDS_PER_OPERATION * 2 * architecture.params
    return SECONDS_PER_OPERATION * operations + SECONDS_PER_ELEMENT * outputs
