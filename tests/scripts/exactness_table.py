"""Measures how exact every operator is, from parents reached by random morphisms from the trained first network.

    python tests/scripts/exactness_table.py [parents]

Prints a table for BUILD_NOTES.md: differences of logits as a share of the parent's largest logit (or of 1), changes of the
training-mode loss as a share of the parent's.
"""

import sys

import keras
import numpy as np

from nash_tf import data
from nash_tf.architecture import Architecture
from nash_tf.architecture.vanilla import vanilla
from nash_tf.keras_models.building import to_keras
from nash_tf.keras_models.calibration import calibrate
from nash_tf.keras_models.compilation import compile_like
from nash_tf.keras_models.state import read_state, write_state
from nash_tf.morphisms import Move, registry
from nash_tf.morphisms.draw import draw
from nash_tf.surgery import birth, certificate

ANY = dict.fromkeys(registry, 1.0)


def trained_vanilla(digits):
    model = to_keras(vanilla(digits.x_train.shape[1:], 10, (16, 32, 64)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, metrics=["accuracy"], jit_compile=False)
    model.fit((digits.x_train - digits.mean) / digits.std, digits.y_train, 64, 8, verbose=0)
    return model


def child(model, architecture, moves, inputs):
    born = birth.inherit(architecture, read_state(model), moves)
    made = to_keras(born.architecture)
    compile_like(made, model)
    write_state(made, born.state)
    calibrate(made, born.architecture, born.pending, inputs)
    return made, born.architecture


def differences(before, after):
    largest = max(1.0, float(np.max(np.abs(before.outputs[0]))))
    return (
        np.max(np.abs(after.outputs[0] - before.outputs[0])) / largest,
        np.max(np.abs(after.training_outputs[0] - before.training_outputs[0])) / largest,
        abs(after.training_loss - before.training_loss) / before.training_loss,
    )


def main(parents: int) -> None:
    keras.utils.set_random_seed(0)
    digits = data.load("digits", valid_fraction=0.1, train_limit=None, seed=0)
    inputs, labels = (digits.x_train[:128] - digits.mean) / digits.std, digits.y_train[:128]
    first = trained_vanilla(digits)
    root = Architecture.from_keras(first)
    found = {name: [] for name in registry}
    seed = 0
    while min(map(len, found.values())) < parents:
        _, moves = draw(root, 1 + seed % 12, ANY, 200_000, seed)
        parent, architecture = child(first, root, moves, inputs)
        before = certificate.measure(parent, inputs, labels)
        for name, operator in registry.items():
            sites = operator.sites(architecture)
            if sites and len(found[name]) < parents:
                site = sites[np.random.default_rng(seed).integers(len(sites))]
                born, _ = child(parent, architecture, [Move(name, site, seed)], inputs)
                found[name].append(differences(before, certificate.measure(born, inputs, labels)))
        seed += 1
    before = certificate.measure(first, inputs, labels)
    for seed in range(10):
        _, moves = draw(root, 50, ANY, 1_000_000, seed)
        born, _ = child(first, root, moves, inputs)
        found.setdefault("50 in a row", []).append(differences(before, certificate.measure(born, inputs, labels)))
    print(
        "| operator | children | logits, inference | logits, training mode | training-mode loss |\n|---|---|---|---|---|"
    )
    for name, rows in found.items():
        print(f"| {name} | {len(rows)} | " + " | ".join(f"{value:.1e}" for value in np.max(rows, axis=0)) + " |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
