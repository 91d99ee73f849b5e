"""Measures what the five morphisms of a child of 30 blocks cost, beside two training steps of that child, in CPU time.

    python tests/scripts/cost_table.py [parents]

For each of some parents, grown at random from a narrow vanilla network: five morphisms drawn, the child rebuilt with
the parent's weights and slots, compiled and calibrated, nothing traced; then two training steps of the child at batch 128,
its tracing left out. Prints a table for BUILD_NOTES.md.
"""

import sys
import time

import keras
import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.architecture.vanilla import vanilla
from nash_tf.keras_models.building import to_keras
from nash_tf.keras_models.calibration import calibrate
from nash_tf.keras_models.compilation import compile_like
from nash_tf.keras_models.importing import from_keras
from nash_tf.keras_models.state import read_state, write_state
from nash_tf.morphisms.draw import draw
from nash_tf.morphisms.slides import SLIDES
from nash_tf.strategy.methods import registry
from nash_tf.surgery import birth

BLOCKS, BATCH, SIDE = 30, 128, 32
OPERATORS = registry["shrsep"].frequencies
# A narrow parent makes the strictest case: its training steps are cheap.
NARROW = {name: frequency for name, frequency in OPERATORS.items() if name not in ("alter_channels", "merge_concat")}


def blocks(architecture: Architecture) -> int:
    return sum("Conv2D" in node.kind for node in architecture.nodes)


def parent_of(seed: int) -> Architecture:
    """A random descendant of the vanilla network, of about 30 blocks."""
    architecture = vanilla((SIDE, SIDE, 3), 10, (8, 16, 16))
    number = 0
    while blocks(architecture) < BLOCKS:
        architecture, _ = draw(architecture, 1, NARROW, 20e6, 1000 * seed + number, SLIDES)
        number += 1
    return architecture


def compiled(architecture: Architecture) -> keras.Model:
    model = architecture.to_keras()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, metrics=["accuracy"], jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


def seconds(work) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def main(parents: int) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(BATCH, SIDE, SIDE, 3)).astype(np.float32), rng.integers(0, 10, BATCH)
    print("| nodes | draw alone, ms | draw, rebuild, weights | calibrate | together | two steps | two steps + 1.5 s |")
    print("|---|---|---|---|---|---|---|")
    warm = compiled(vanilla((SIDE, SIDE, 3), 10, (16,)))  # what the first use of TensorFlow costs is no part of a child
    calibrate(warm, from_keras(warm), ["bn_1"], images)
    for seed in range(parents):
        model = compiled(parent_of(seed))
        made: list = []

        def grow(model=model, made=made, seed=seed):
            parent = from_keras(model)
            architecture, moves = draw(parent, 5, OPERATORS, 20e6, seed, SLIDES)
            born = birth.inherit(parent, read_state(model), moves)
            child = to_keras(born.architecture)
            compile_like(child, model)
            write_state(child, born.state)
            made += [child, born, parent]

        growing = seconds(grow)
        child, born, parent = made
        drawing = seconds(lambda parent=parent, seed=seed: draw(parent, 5, OPERATORS, 20e6, seed, SLIDES))
        calibrating = seconds(lambda child=child, born=born: birth.calibrate_child(child, born, images))
        child.train_on_batch(images, labels)  # traced
        steps = seconds(lambda child=child: [child.train_on_batch(images, labels) for _ in range(2)])
        cells = [growing, calibrating, growing + calibrating, steps, steps + 1.5]
        nodes = len(born.architecture.nodes)
        print(f"| {nodes} | {1000 * drawing:.0f} | " + " | ".join(f"{cell:.2f} s" for cell in cells) + " |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
