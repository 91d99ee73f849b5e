"""What a network costs to compute."""

import math

from nash_tf.architecture import Architecture, layer_rules


def flops(architecture: Architecture) -> int | None:
    """Floating-point operations of the forward pass of one image, a multiplication and an addition counting as two.

    Counted are the kernels of convolutions (plain, grouped, separable, depthwise) and of dense layers: twice a kernel's
    size at each output position. Not counted are biases, normalisations, activations, pools, merges, and layers the
    package does not know. The first half of a separable convolution runs at its output's positions, as its stride is there.

    Returns:
        The number, or None where a kernel is applied at positions whose number is open.
    """
    total = 0
    for node in architecture.nodes:
        for variable in layer_rules.kernels(node.kind, node.config):
            positions = node.shape[:-1]
            if None in positions:
                return None
            total += 2 * math.prod(node.weights[variable]) * math.prod(positions)  # type: ignore[arg-type]
    return total
