"""What a network costs to compute."""

import math
from collections.abc import Callable, Iterator, Sequence

from nash_tf.architecture import Architecture, Node, layer_rules


def flops(architecture: Architecture) -> int | None:
    """Floating-point operations of the forward pass of one image; a multiplication and an addition count as two.

    Counted are
    - the kernels of convolutions (plain, grouped, separable, depthwise) and of dense layers: twice the size of the kernel at
      each output position, and of transposed convolutions at each input position. The depthwise half of a separable convolution
      has the stride, so it counts at the output's positions;
    - both kernels of a recurrent layer at each step, in each direction; of `ConvLSTM` layers at each place of the output too;
    - the kernels of attention at each place of query, key or value, and in each head the two products: a query with each key,
      and its scores with the values, masked or not.

    Biases, normalisations, activations, gates, pools, merges, look-ups in an embedding, layers with weights that
    are called more than once, and other layers without a rule are not counted.

    Returns:
        The number of operations, or None where the size of an image is open.
    """
    return architecture.flops


def added(parent: Architecture, child: Architecture) -> tuple[int, int | None]:
    """Parameters, of frozen layers too, and operations that a child has more than its parent; None where the latter are not known."""
    before, after = flops(parent), flops(child)
    return child.params - parent.params, None if before is None or after is None else after - before


def kernel_operations(
    architecture: Architecture, size: Callable[[Sequence[int]], int] = math.prod
) -> Iterator[tuple[Node, bool, int]]:
    """What `flops` counts: the layer, whether its kernel is depthwise, and its operations; an open side counts as one.

    Args:
        architecture: the network.
        size: numbers in a kernel of a shape.
    """
    for node in architecture.nodes:
        inner, *_ = layer_rules.inside(node.kind, node.config, 0)
        for product in node.products(architecture.input_shapes(node)):
            positions = math.prod(side or 1 for side in product.positions)
            is_depthwise = product.name == "depthwise_kernel" or inner.startswith("DepthwiseConv")
            yield node, is_depthwise, 2 * size([side or 1 for side in product.shape]) * positions


# CPU-seconds of a training step, for each operation of the forward pass and each element of a layer's output. Fitted to 14
# convolutional networks, batch 128, one core of a Xeon with AVX-512: within 7 % of all of them; the operations of depthwise
# kernels, of which each number is used once, to blocks of 3 x 3 and 5 x 5 (`nash_tf.benchmark.block_costs`): within 13 %. Only
# their ratios matter where a budget is counted in epochs of the first network. Channels are computed in blocks of 16, as many
# numbers as a register holds; a block that is not full costs as much.
SECONDS_PER_OPERATION, SECONDS_PER_DEPTHWISE_OPERATION, SECONDS_PER_ELEMENT = 2.5e-11, 2.8e-10, 9.6e-10
BLOCK = 16


def in_blocks(channels: int) -> int:
    """A number of channels rounded up to whole blocks; fewer than one block are left as they are."""
    return channels if channels < BLOCK else -(-channels // BLOCK) * BLOCK


def elements(architecture: Architecture) -> int | None:
    """Numbers that the layers put out for one example, the input among them; None where a size is open."""
    if any(None in node.shape for node in architecture.nodes):
        return None
    return sum(math.prod(node.shape) for node in architecture.nodes)  # type: ignore[arg-type, misc]


def training_seconds(architecture: Architecture) -> float:
    """What one example costs in a training step, predicted, in CPU-seconds of the machine of `SECONDS_PER_OPERATION`.

    Where a size is open, each parameter counts as one multiplication and addition.
    """
    if elements(architecture) is None:
        return SECONDS_PER_OPERATION * 2 * architecture.params
    outputs = sum(_in_blocks(node.shape, 1) for node in architecture.nodes)  # type: ignore[arg-type, misc]
    # Whole numbers are added, so that no last digit depends on how a version of Python adds floats.
    operations = {True: 0, False: 0}
    for _, is_depthwise, each in kernel_operations(architecture, _in_blocks):
        operations[is_depthwise] += each
    kernels = SECONDS_PER_OPERATION * operations[False] + SECONDS_PER_DEPTHWISE_OPERATION * operations[True]
    return SECONDS_PER_ELEMENT * outputs + kernels


# CPU-seconds that a step, an epoch and a training take whatever the network: the batch is put together, the step begun; the network
# is scored and the epoch reported; the network is built, traced and kept. Small images and few of them cost little else. Measured on
# images of 8 x 8 pixels (BUILD_NOTES.md, "What a block costs").
SECONDS_PER_STEP, SECONDS_PER_EPOCH, SECONDS_PER_TRAINING = 0.0015, 0.15, 1.0


def coefficients() -> str:
    """By what costs are predicted, in CPU-seconds, as a run's config.json keeps it."""
    priced = {
        "operation": SECONDS_PER_OPERATION,
        "depthwise operation": SECONDS_PER_DEPTHWISE_OPERATION,
        "element": SECONDS_PER_ELEMENT,
        "step": SECONDS_PER_STEP,
        "epoch": SECONDS_PER_EPOCH,
        "training": SECONDS_PER_TRAINING,
    }
    return ", ".join(f"{name} {seconds:g}" for name, seconds in priced.items())


def epoch_seconds(architecture: Architecture, examples: float, batch_size: int | None = None) -> float:
    """What an epoch costs, predicted, in CPU-seconds of the same machine.

    Args:
        architecture: the network.
        examples: of the epoch.
        batch_size: of a training step; None to leave out what is the same for all networks.
    """
    fixed = 0.0 if batch_size is None else SECONDS_PER_EPOCH + SECONDS_PER_STEP * math.ceil(examples / batch_size)
    return fixed + examples * training_seconds(architecture)


def _in_blocks(shape: Sequence[int], axes: int = 2) -> int:
    """Numbers in an array of a shape, its last axes, those of channels, in whole blocks."""
    return math.prod(shape[:-axes]) * math.prod(map(in_blocks, shape[-axes:]))
