"""What blocks of layers cost in a training step, measured and as `nash_tf.architecture.costs` predicts it:
`python -m nash_tf.benchmark.block_costs`, on one core; a minute or two.

A block's cost is the slope between networks of 1 and of 7 such blocks, in processor seconds, each the least of three turns.
"""

import time

import numpy as np
import tensorflow as tf

from nash_tf.architecture import Architecture
from nash_tf.architecture.costs import training_seconds
from nash_tf.architecture.vanilla import Chain
from nash_tf.benchmark.keras_steps import by_fit, compiled, resident
from nash_tf.keras_models import fast_training

BATCH, BATCHES, FEWER, MORE = 128, 8, 1, 7
BLOCKS = {
    "convolution 3 x 3": ("Conv2D", 3),
    "separable convolution 3 x 3": ("SeparableConv2D", 3),
    "separable convolution 5 x 5": ("SeparableConv2D", 5),
}
SIZES = ((32, 16), (16, 32), (8, 64), (4, 128))  # side of an image, channels


def network(kind: str, kernel: int, side: int, channels: int, blocks: int) -> Architecture:
    """Blocks of a convolution, a normalisation and a ReLU in a row."""
    chain = Chain((side, side, channels))
    for number in range(blocks):
        config = {"filters": channels, "kernel_size": [kernel, kernel], "padding": "same", "use_bias": False}
        chain.add(f"conv_{number}", kind, config)
        chain.add(f"bn_{number}", "BatchNormalization", {})
        chain.add(f"relu_{number}", "ReLU", {})
    return chain.classified(10)


def measured(architecture: Architecture, side: int, channels: int) -> float:
    """Processor seconds of a training step."""
    rng = np.random.default_rng(0)
    images = rng.random((BATCH, side, side, channels), dtype=np.float32)
    data = resident([(images, rng.integers(0, 10, BATCH))] * BATCHES, 10)
    train = by_fit(fast_training.prepare(compiled(architecture)), data)
    train()
    turns = []
    for _ in range(3):
        began = time.process_time()
        train()
        turns.append((time.process_time() - began) / BATCHES)
    return min(turns)


def main() -> None:
    """Prints a table."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    print(f"{'block':28} {'image':>12} {'measured, ms':>13} {'predicted, ms':>14}")
    for name, (kind, kernel) in BLOCKS.items():
        for side, channels in SIZES:
            few, many = (network(kind, kernel, side, channels, blocks) for blocks in (FEWER, MORE))
            took = measured(many, side, channels) - measured(few, side, channels)
            predicted = BATCH * (training_seconds(many) - training_seconds(few))
            image = f"{side}x{side}x{channels}"
            print(
                f"{name:28} {image:>12} {1e3 * took / (MORE - FEWER):13.2f} {1e3 * predicted / (MORE - FEWER):14.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
