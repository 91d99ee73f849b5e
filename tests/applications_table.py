"""Puts every operator to the networks of keras.applications, with random weights and statistics.

    python tests/applications_table.py [name ...]

Prints a table for BUILD_NOTES.md. For each network: whether it comes back from its architecture with the same outputs to
the bit; for each operator the number of its sites, and the largest difference of outputs after one morphism at 5 of them (2
in networks of more than 500 nodes), as a share of max(1, largest output of the parent), for which the contract allows 1e-5; the same after 5 random morphisms
together, for which it allows 5e-5.
"""

import sys
import time

import keras
import numpy as np

from nash_tf import morph, rebuild
from nash_tf.architecture import Architecture
from nash_tf.morphisms import registry

_apps = keras.applications
_LOGITS = {"weights": None, "classes": 10, "classifier_activation": None}
NETWORKS = {
    "MobileNetV2": lambda: _apps.MobileNetV2(input_shape=(96, 96, 3), **_LOGITS),
    "MobileNetV3Small": lambda: _apps.MobileNetV3Small(input_shape=(64, 64, 3), **_LOGITS),
    "ResNet50V2": lambda: _apps.ResNet50V2(input_shape=(32, 32, 3), **_LOGITS),
    "DenseNet121": lambda: _apps.DenseNet121(input_shape=(32, 32, 3), **_LOGITS),
    "EfficientNetV2B0": lambda: _apps.EfficientNetV2B0(input_shape=(64, 64, 3), **_LOGITS),
    "NASNetMobile": lambda: _apps.NASNetMobile(input_shape=(32, 32, 3), **_LOGITS),
    "ConvNeXtTiny": lambda: _apps.ConvNeXtTiny(input_shape=(32, 32, 3), **_LOGITS),
}
MORPHISMS = 5


def perturbed(model: keras.Model) -> keras.Model:
    """The model with batch normalisations, layer scales and biases as far from those at birth as training could make them."""
    rng = np.random.default_rng(1)
    for layer in model._flatten_layers():
        for variable in layer.weights if not hasattr(layer, "layers") else ():
            if variable.name in ("gamma", "moving_variance") or type(layer).__name__ == "LayerScale":
                variable.assign(rng.uniform(0.5, 1.5, variable.shape))
            elif variable.name in ("beta", "moving_mean", "bias"):
                variable.assign(rng.normal(0.0, 0.2, variable.shape))
    return model


def outputs(model, images):
    return np.asarray(model(images, training=False))


def row(name: str) -> str:
    keras.utils.set_random_seed(0)
    model = perturbed(NETWORKS[name]())
    images = np.random.default_rng(2).uniform(0, 255, (4, *model.input_shape[1:])).astype(np.float32)
    before, state = outputs(model, images), rebuild.read_state(model)
    architecture = Architecture.from_keras(model)
    twin = Architecture.from_json(architecture.to_json()).to_keras()
    rebuild.write_state(twin, state)
    is_exact = np.array_equal(outputs(twin, images), before)
    scale = max(1.0, float(np.max(np.abs(before))))

    def difference(operators, count, seed):
        return morph(model, operators, count=count, seed=seed, calibration=images).certificate["max_difference"] / scale

    tries = MORPHISMS if len(architecture.nodes) <= 500 else 2
    cells = []
    for operator in registry.values():
        sites = len(operator.sites(architecture))
        worst = max(difference(operator.name, 1, seed) for seed in range(tries)) if sites else None
        cells.append("0" if worst is None else f"{sites}, {worst:.0e}")
        print(name, operator.name, cells[-1], f"{time.process_time():.0f} CPU-s", file=sys.stderr, flush=True)
    cells.append(f"{difference(None, MORPHISMS, 0):.0e}")
    after = rebuild.read_state(model)
    untouched = all(np.array_equal(array, after.weights[key]) for key, array in state.weights.items())
    untouched = untouched and np.array_equal(outputs(model, images), before)
    answers = ["yes" if holds else "NO" for holds in (is_exact, untouched)]
    return f"| {name} | {len(architecture.nodes)} | {answers[0]} | " + " | ".join([*cells, answers[1]]) + " |"


def main(names) -> None:
    titles = ["network", "nodes", "comes back", *registry, f"{MORPHISMS} together", "parent untouched"]
    print("| " + " | ".join(titles) + " |\n" + "|---" * len(titles) + "|")
    for name in names or NETWORKS:
        print(row(name), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
