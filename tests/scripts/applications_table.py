"""Puts every operator to the networks of keras.applications, with random weights and statistics.

    python tests/scripts/applications_table.py [name ...]

Prints a table for BUILD_NOTES.md. For each network: whether it comes back from its architecture with the same outputs to
the bit; for each operator the number of its sites, and the largest difference of outputs after one morphism at 5 of them (2
in networks of more than 500 nodes), as a share of max(1, largest output of the parent), for which the contract allows 1e-5; the same after 5 random morphisms
together, for which it allows 5e-5. "rounding" is the same of the parent itself, when all pixels are multiplied by 1 + 2e-7: what no
float32 program can avoid.
"""

import sys
import time

import keras
import numpy as np

from nash_tf import morph
from nash_tf.architecture import Architecture
from nash_tf.keras_models.calibration import in_inference, node_outputs
from nash_tf.keras_models.state import read_state, write_state
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


def some_images(model: keras.Model, count: int = 4) -> np.ndarray:
    return np.random.default_rng(2).uniform(0, 255, (count, *model.input_shape[1:])).astype(np.float32)


def perturbed(model: keras.Model) -> keras.Model:
    """The model with normalisations, layer scales and biases as far from those at birth as training could make them.

    Moving averages lie about what they would be averages of: else some networks give one answer to all images. Variances are
    rather above that and gammas below 1: else others are chaotic, and multiply the rounding of their first layers by thousands.
    """
    rng = np.random.default_rng(1)
    for layer in model._flatten_layers():
        for variable in layer.weights if not hasattr(layer, "layers") else ():
            if variable.name == "gamma" or type(layer).__name__ == "LayerScale":
                variable.assign(rng.uniform(0.3, 1.0, variable.shape))
            elif variable.name in ("beta", "bias"):
                variable.assign(rng.normal(0.0, 0.2, variable.shape))

    def run(name, layer, args, kwargs):
        if not isinstance(layer, keras.layers.BatchNormalization):
            return in_inference(name, layer, args, kwargs)
        mean, variance = map(np.asarray, keras.ops.moments(args[0], list(range(len(args[0].shape) - 1))))
        layer.moving_mean.assign(mean + 0.2 * np.sqrt(variance) * rng.normal(size=mean.shape))
        layer.moving_variance.assign(np.maximum(variance, 1e-3) * rng.uniform(1.0, 3.0, mean.shape))
        return layer(*args, **kwargs, training=False)

    architecture = Architecture.from_keras(model)
    twin = architecture.to_keras()
    write_state(twin, read_state(model))
    node_outputs(twin, architecture, some_images(model, 32), run)
    write_state(model, read_state(twin))
    return model


def outputs(model, images):
    return np.asarray(model(images, training=False))


def row(name: str) -> str:
    keras.utils.set_random_seed(0)
    model = perturbed(NETWORKS[name]())
    images = some_images(model)
    before, state = outputs(model, images), read_state(model)
    architecture = Architecture.from_keras(model)
    twin = Architecture.from_json(architecture.to_json()).to_keras()
    write_state(twin, state)
    is_exact = np.array_equal(outputs(twin, images), before)
    scale = max(1.0, float(np.max(np.abs(before))))
    assert np.max(np.std(before, axis=0)) > 0.01 * scale, "outputs that depend on nothing would show nothing"

    def difference(operators, count, seed):
        return morph(model, operators, count=count, seed=seed, calibration=images).certificate["max_difference"] / scale

    rounding = float(np.max(np.abs(outputs(model, images * np.float32(1 + 2e-7)) - before))) / scale
    tries = MORPHISMS if len(architecture.nodes) <= 500 else 2
    cells = []
    for operator in registry.values():
        sites = len(operator.sites(architecture))
        worst = max(difference(operator.name, 1, seed) for seed in range(tries)) if sites else None
        cells.append("0" if worst is None else f"{sites}, {worst:.0e}")
        print(name, operator.name, cells[-1], f"{time.process_time():.0f} CPU-s", file=sys.stderr, flush=True)
    cells.append(f"{difference(None, MORPHISMS, 0):.0e}")
    after = read_state(model)
    untouched = all(np.array_equal(array, after.weights[key]) for key, array in state.weights.items())
    untouched = untouched and np.array_equal(outputs(model, images), before)
    answers = ["yes" if holds else "NO" for holds in (is_exact, untouched)]
    return (
        f"| {name} | {len(architecture.nodes)} | {answers[0]} | {rounding:.0e} | "
        + " | ".join([*cells, answers[1]])
        + " |"
    )


def main(names) -> None:
    titles = ["network", "nodes", "comes back", "rounding", *registry, f"{MORPHISMS} together", "parent untouched"]
    print("| " + " | ".join(titles) + " |\n" + "|---" * len(titles) + "|")
    for name in names or NETWORKS:
        print(row(name), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
