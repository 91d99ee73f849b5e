"""Measures whether carried optimiser slots keep a child nearer to its parent's path than slots that begin at zero.

    python tests/scripts/momentum_table.py [children of each operator]

A network trained on digits is grown by one morphism of each operator. Parent and child then take ten updates on the same
batches, the child once with the slots that the morphism carries and once with empty ones. Distances are those of the
variables that both have in one shape and that the morphism leaves alone, child to parent, over the way the parent has gone.
Prints a table for BUILD_NOTES.md.
"""

import sys

import keras
import numpy as np

from nash_tf import data
from nash_tf.architecture import Architecture
from nash_tf.architecture.vanilla import vanilla
from nash_tf.keras_models.building import to_keras
from nash_tf.keras_models.state import State, read_state, write_state
from nash_tf.morphisms import registry
from nash_tf.morphisms.draw import draw, replay
from nash_tf.surgery import birth

UPDATES, BATCH = 10, 64
OPTIMIZERS = {
    "SGD, momentum 0.9": lambda: keras.optimizers.SGD(0.02, momentum=0.9),
    "Adam": lambda: keras.optimizers.Adam(0.001),
}


def compiled(architecture, optimizer) -> keras.Model:
    model = to_keras(architecture)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, jit_compile=False, run_eagerly=True)  # ten updates are less than a trace
    return model


def common(edit, parent: State) -> list:
    """The trained variables of the parent that a morphism does not touch."""
    slots = next(iter(parent.slots.values()))
    return [key for key in slots if key not in edit]


def way(model, batches, keys):
    """The variables `keys` before the updates and after each, as one long vector each time."""

    def place():
        weights = read_state(model).weights
        return np.concatenate([weights[key].ravel() for key in keys])

    places = [place()]
    for images, labels in batches:
        model.train_on_batch(images, labels)
        places.append(place())
    return np.stack(places)


def distances(architecture, trained, make, operator, seed, images, labels) -> tuple[float, float]:
    """After ten updates, with carried slots and with empty ones."""
    _, moves = draw(architecture, 1, {operator: 1.0}, float("inf"), seed)
    child, edits = replay(architecture, moves)
    keys = common(edits[0][0].recipes, trained)
    order = np.random.default_rng(seed).permutation(len(images))
    batches = [(images[part], labels[part]) for part in np.split(order[: UPDATES * BATCH], UPDATES)]
    parent = compiled(architecture, make())
    write_state(parent, trained)
    path = way(parent, batches, keys)
    length = float(np.linalg.norm(path[-1] - path[0]))
    found = []
    for slots, counters in ((trained.slots, trained.counters), ({}, {})):
        born = birth.inherit(architecture, State(trained.weights, slots, counters), moves)
        model = compiled(born.architecture, make())
        write_state(model, born.state)
        birth.calibrate_child(model, born, images[order[:BATCH]])
        found.append(float(np.linalg.norm(way(model, batches, keys)[-1] - path[-1])) / length)
    return found[0], found[1]


def main(children: int) -> None:
    keras.utils.set_random_seed(0)
    digits = data.load("digits", valid_fraction=0.1, train_limit=None, seed=0)
    images, labels = (digits.x_train - digits.mean) / digits.std, digits.y_train
    print("| optimiser | operator | children | carried | empty | nearer when carried |\n|---|---|---|---|---|---|")
    for title, make in OPTIMIZERS.items():
        first = compiled(vanilla(images.shape[1:], 10, (8, 16, 16)), make())
        first.run_eagerly = False
        first.fit(images, labels, BATCH, 3, verbose=0)
        architecture, trained = Architecture.from_keras(first), read_state(first)
        for operator in registry:
            rows = [distances(architecture, trained, make, operator, seed, images, labels) for seed in range(children)]
            carried, empty = np.mean(rows, axis=0)
            nearer = sum(one < two for one, two in rows)
            cells = [title, operator, len(rows), f"{carried:.3f}", f"{empty:.3f}", f"{nearer} of {len(rows)}"]
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
