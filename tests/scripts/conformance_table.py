"""Puts every operator to networks of keras.applications and of other kinds: what it can do there, how exactly, and what it leaves alone.

    python tests/scripts/conformance_table.py [name ...]

Prints a table for BUILD_NOTES.md. Each network has random weights, statistics as after training (see `applications_table`), and the
slots of a step of SGD with momentum. Cells: number of sites; largest difference of outputs after one morphism at a random site, of 2
(1 in networks of more than 300 nodes), as a share of max(1, largest output of the parent), for which the contract allows 1e-5; the
same of 5 morphisms together, for which it allows 5e-5. "untouched": all variables of the parent, its optimiser's, seeds and recurrent
states are equal to the bit afterwards. "slots": those of each variable that a morphism leaves alone are equal to the parent's.
"""

import json
import sys
import time

import keras
import numpy as np
from keras import layers

from nash_tf import morph
from nash_tf.architecture import Architecture
from nash_tf.keras_models.state import all_variables, read_state
from nash_tf.morphisms import registry
from nash_tf.morphisms.base import Move
from nash_tf.morphisms.draw import replay
from nash_tf.testing.random_models import value
from tests.scripts.applications_table import NETWORKS as APPLICATIONS
from tests.scripts.applications_table import perturbed

TOGETHER = 5


def transformer():
    words = keras.Input((12,), dtype="int32", name="words")
    x = layers.Embedding(50, 16, name="embedding")(words)
    for number in range(2):
        y = layers.LayerNormalization()(x)
        y = layers.MultiHeadAttention(2, 8, name=f"attention_{number}")(y, y)
        x = layers.Add()([x, layers.Dropout(0.1)(y)])
        y = layers.Dense(32, activation="gelu", name=f"wide_{number}")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(16, name=f"back_{number}")(y)])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(words, layers.Dense(4, name="head")(x))


def audio():
    x = sound = keras.Input((256, 1), name="sound")
    for number, filters in enumerate((8, 16, 16)):
        y = layers.Conv1D(filters, 5, padding="same", name=f"conv_{number}")(x)
        x = layers.MaxPooling1D(4)(layers.ReLU()(layers.BatchNormalization()(y)))
    y = layers.BatchNormalization()(layers.SeparableConv1D(16, 3, padding="same", name="separable")(x))
    x = layers.ReLU()(layers.Add()([x, y]))
    return keras.Model(sound, layers.Dense(6, name="head")(layers.GlobalAveragePooling1D()(x)))


def volume():
    x = scan = keras.Input((16, 16, 16, 1), name="scan")
    for number, filters in enumerate((4, 8)):
        y = layers.Conv3D(filters, 3, padding="same", name=f"conv_{number}")(x)
        x = layers.MaxPooling3D()(layers.ReLU()(layers.BatchNormalization()(y)))
    return keras.Model(scan, layers.Dense(3, name="head")(layers.GlobalAveragePooling3D()(x)))


def u_net():
    def twice(x, filters, name):
        for number in (1, 2):
            x = layers.Conv2D(filters, 3, padding="same", name=f"{name}_{number}")(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        return x

    image = keras.Input((32, 32, 3), name="image")
    fine = twice(image, 8, "fine")
    middle = twice(layers.MaxPooling2D()(fine), 16, "middle")
    x = twice(layers.MaxPooling2D()(middle), 32, "coarse")
    for filters, skip, name in ((16, middle, "up_middle"), (8, fine, "up_fine")):
        x = layers.Conv2DTranspose(filters, 2, strides=2, padding="same", name=name)(x)
        x = twice(layers.Concatenate()([skip, x]), filters, f"{name}_conv")
    return keras.Model(image, layers.Conv2D(2, 1, name="mask")(x))


def lstm():
    words = keras.Input((15,), dtype="int32", name="words")
    x = layers.Embedding(50, 12, name="embedding")(words)
    x = layers.LSTM(16, return_sequences=True, name="lower")(x)
    x = layers.LSTM(16, dropout=0.1, name="upper")(x)
    return keras.Model(words, layers.Dense(4, name="head")(layers.Dense(16, activation="relu", name="hidden")(x)))


_LOGITS = {"weights": None, "classes": 10, "classifier_activation": None}
NETWORKS = {
    **{name: make for name, make in APPLICATIONS.items() if name != "NASNetMobile"},
    "InceptionV3": lambda: keras.applications.InceptionV3(input_shape=(75, 75, 3), **_LOGITS),
    "transformer": transformer,
    "1-D audio": audio,
    "3-D": volume,
    "U-Net": u_net,
    "LSTM": lstm,
}


def batch_of(model: keras.Model) -> np.ndarray:
    shape, rng = (4, *model.input_shape[1:]), np.random.default_rng(2)
    if "int" in model.inputs[0].dtype:
        return rng.integers(0, 50, shape).astype(np.int32)
    return (
        rng.uniform(0, 255, shape).astype(np.float32) if len(shape) == 4 else rng.normal(size=shape).astype(np.float32)
    )


def trained(name: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = NETWORKS[name]()
    if name in APPLICATIONS or name == "InceptionV3":
        model = perturbed(model)
    else:
        rng = np.random.default_rng(1)
        for variable in model.weights:
            if "seed" not in variable.name:
                variable.assign(value(rng, variable.name, tuple(variable.shape)) / (1 + ("recurrent" in variable.path)))
    model.compile(keras.optimizers.SGD(1e-6, momentum=0.9), "mse", jit_compile=False)
    batch = batch_of(model)
    model.train_on_batch(batch, np.zeros((len(batch), *model.output_shape[1:]), np.float32))
    return model


def everything(model: keras.Model) -> list[np.ndarray]:
    held = [*model.variables, *model.optimizer.variables, *all_variables(model).values()]
    return [np.array(variable) for variable in held]


def row(name: str) -> str:
    model = trained(name)
    batch, architecture = batch_of(model), Architecture.from_keras(model)
    (momenta,) = read_state(model).slots.values()
    scale = max(1.0, float(np.max(np.abs(np.asarray(model(batch, training=False))))))
    before = everything(model)  # after that pass, which moves the seeds of recurrent dropout
    are_carried, cells = True, []

    def difference(wishes, **more) -> float:
        nonlocal are_carried
        grown = morph(model, wishes, calibration=batch, **more)
        _, transfers = replay(
            architecture, [Move(each, tuple(site), seed) for each, site, seed in json.loads(grown.moves)]
        )
        touched = {key for transfer, _ in transfers for key in transfer.recipes}
        (slots,) = read_state(grown.model).slots.values()
        are_carried = are_carried and all(
            np.array_equal(slots[key], array) for key, array in momenta.items() if key not in touched
        )
        return grown.certificate["max_difference"] / scale

    rng = np.random.default_rng(0)
    for operator in registry.values():
        sites = operator.sites(architecture)
        chosen = rng.permutation(len(sites))[: 2 if len(architecture.nodes) <= 300 else 1]
        worst = max((difference([(operator.name, sites[place])]) for place in chosen), default=None)
        cells.append("0" if worst is None else f"{len(sites)}, {worst:.0e}")
        print(name, operator.name, cells[-1], f"{time.process_time():.0f} CPU-s", file=sys.stderr, flush=True)
    cells.append(f"{difference(None, count=TOGETHER, seed=0):.0e}")
    untouched = all(np.array_equal(one, two) for one, two in zip(before, everything(model), strict=True))
    cells += ["yes" if holds else "NO" for holds in (untouched, are_carried)]
    return f"| {name} | {len(architecture.nodes)} | " + " | ".join(cells) + " |"


def main(names) -> None:
    titles = ["network", "nodes", *registry, f"{TOGETHER} together", "untouched", "slots"]
    print("| " + " | ".join(titles) + " |\n" + "|---" * len(titles) + "|")
    for name in names or NETWORKS:
        print(row(name), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
