"""Memory, open files and disk over many trainings in one process.

    python tests/scripts/soak.py [trainings]

Prints a table for BUILD_NOTES.md and the slope of the memory over the second half.
"""

import os
import sys
import tempfile
from pathlib import Path

import keras
import keras_tuner
import numpy as np

import nash_tf
from nash_tf import data
from nash_tf.architecture.vanilla import vanilla
from nash_tf.keras_models.building import to_keras

CHILDREN = 8


def resident() -> float:
    """Megabytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def on_disk(directory: Path) -> float:
    """Megabytes."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / 1e6


def main(trainings: int) -> None:
    digits = data.load("digits", valid_fraction=0.1, train_limit=300, seed=0)

    def build(hp):
        model = to_keras(vanilla(digits.x_train.shape[1:], 10, (8, 16)))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, metrics=["accuracy"], jit_compile=False)
        return model

    rows = []
    with tempfile.TemporaryDirectory() as place:

        def note(oracle):
            checkpoints = len(list(Path(place).rglob("manifest.json")))
            files = len(os.listdir("/proc/self/fd"))
            rows.append((len(oracle.end_order), resident(), files, on_disk(Path(place)), checkpoints))
            if len(rows) % 25 == 0 or len(rows) == 1:
                print("| {} | {:.0f} | {} | {:.2f} | {} |".format(*rows[-1]), flush=True)

        print("| trainings | memory (MB) | open files | disk (MB) | checkpoints |\n|---|---|---|---|---|", flush=True)
        tuner = nash_tf.HillClimbing(
            build,
            keras_tuner.Objective("val_accuracy", "max"),
            method="shr",
            steps=-(-trainings // (2 * CHILDREN - 1)),
            children=CHILDREN,
            mutations=3,
            epochs_per_step=4 * CHILDREN,
            vanilla_epochs=2,
            max_params=60_000,
            on_trained=note,
            directory=place,
            project_name="soak",
        )
        x, y = digits.x_train.astype(np.float32) / 16, digits.y_train
        valid = digits.x_valid.astype(np.float32) / 16, digits.y_valid
        tuner.search(x, y, batch_size=64, validation_data=valid, verbose=0)
    half = np.array(rows)[len(rows) // 2 :]
    slope = np.polyfit(half[:, 0], half[:, 1], 1)[0]
    print(f"memory over the second half: {slope:+.2f} MB a training")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
