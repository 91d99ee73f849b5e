"""What a network costs to compute."""

import math

from nash_tf.architecture import Architecture, layer_rules


def flops(architecture: Architecture) -> int | None:
    """Floating-point operations of the forward pass of one image; a multiplication and an addition count as two.

    Counted are the kernels of convolutions (plain, grouped, separable, depthwise) and of dense layers: twice the size
    of the kernel at each output position. Biases, normalisations, activations, pools, merges, and layers without a rule
    are not counted. The depthwise half of a separable convolution has the stride, so it counts at the output's
    positions.

    Returns:
        The number of operations, or None where the size of an image is open.
    """
    total = 0
    for node in architecture.nodes:
        for variable in layer_rules.kernels(node.kind, node.config):
            positions = node.shape[:-1]
            if None in positions:
                return None
            total += 2 * math.prod(node.weights[variable]) * math.prod(positions)  # type: ignore[arg-type]
    return total
