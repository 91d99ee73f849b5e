"""Grows a trained residual network by ten random morphisms and trains on, beside the ungrown and the grown from scratch.

    python tests/scripts/residual_curves.py FOLDER [SEED]

FOLDER holds CIFAR-10 as folders of images. Writes tests/figures/residual_curves.svg and prints what BUILD_NOTES.md says.
"""

import sys
import time
from pathlib import Path

import keras
import numpy as np
from keras import layers

import nash_tf
from nash_tf import data
from nash_tf.callbacks import CosineAnnealing
from nash_tf.data.augmentation import Augmentation
from nash_tf.data.pipeline import Pipeline
from nash_tf.drawing.axes import Scale, frame
from nash_tf.drawing.figure import Figure, line, mark, path, text
from nash_tf.drawing.markup import join
from nash_tf.keras_models.building import to_keras

FIRST, THEN, MORPHISMS, RATE, RATE_THEN = 16, 16, 10, 0.1, 0.05
FIGURE = Path(__file__).parents[1] / "figures" / "residual_curves.svg"


def residual_network(shape, classes, widths=(8, 16, 32)) -> keras.Model:
    """A small pre-activation ResNet (He et al. 2016, arXiv 1603.05027), one block for each width."""

    def conv(x, filters, size=3, strides=1):
        return layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)

    def activated(x):
        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))

    image = keras.Input(shape)
    x = layers.MaxPooling2D()(conv(image, widths[0]))
    for place, width in enumerate(widths):
        strides = 2 if place else 1
        y = activated(x)
        shortcut = conv(y, width, 1, strides) if place else x
        x = layers.Add()([shortcut, conv(activated(conv(y, width, 3, strides)), width)])
    x = layers.GlobalAveragePooling2D()(activated(x))
    return keras.Model(image, layers.Dense(classes)(x))


def compiled(model: keras.Model) -> keras.Model:
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(RATE, momentum=0.9, nesterov=True, weight_decay=5e-4)
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)
    return model


def right(model: keras.Model, batches) -> tuple[int, np.ndarray]:
    """How many images are classified rightly, and the class given to each."""
    given = np.concatenate([np.argmax(model(x, training=False), -1) for x, _ in batches])
    return int(sum(given == np.concatenate([np.argmax(y, -1) for _, y in batches]))), given


def main(folder: str, seed: int = 0) -> None:
    keras.utils.set_random_seed(seed)
    images = data.load(folder, valid_fraction=0.2, train_limit=12_500, seed=seed)
    pipeline = Pipeline(images.mean, images.std, 10, 64, Augmentation(flip=True, shift=0.125))
    valid = pipeline.evaluation(images.x_valid, images.y_valid)

    def train(model, rate, epochs, seed):
        """Accuracies on the validation images, epoch by epoch."""
        begun = time.process_time()
        batches = pipeline.training(images.x_train, images.y_train, seed)
        rates = CosineAnnealing(rate, epochs)
        found = model.fit(batches, validation_data=valid, epochs=epochs, callbacks=[rates], verbose=0).history
        print(f"trained {epochs} epochs in {time.process_time() - begun:.0f} CPU-s", found["val_accuracy"], flush=True)
        return found["val_accuracy"]

    model = compiled(residual_network(images.x_train.shape[1:], 10))
    before = train(model, RATE, FIRST, seed)
    clean = pipeline.evaluation(images.x_train[:256], images.y_train[:256])
    calibration = tuple(np.concatenate([np.asarray(part) for part in parts]) for parts in zip(*clean, strict=True))
    begun = time.process_time()
    grown = nash_tf.morph(model, count=MORPHISMS, seed=seed, calibration=calibration, max_params=400_000)
    print(f"grown in {time.process_time() - begun:.1f} CPU-s", grown.edits, grown.certificate, sep="\n")
    for name, batches in (("validation", valid), ("test", pipeline.evaluation(images.x_test, images.y_test))):
        (count, classes), (count_grown, classes_grown) = right(model, batches), right(grown.model, batches)
        moved = int(sum(classes != classes_grown))
        print(f"{name}: {count} and {count_grown} of {len(classes)} right, {moved} classified otherwise", flush=True)
    scratch = compiled(to_keras(nash_tf.Architecture.from_keras(grown.model)))
    parents, childs = model.count_params(), grown.model.count_params()
    series = [
        (f"ungrown, {parents:,} parameters", [*before, *train(model, RATE_THEN, THEN, seed + 1)]),
        (f"grown, {childs:,} parameters", [*before[-1:], *train(grown.model, RATE_THEN, THEN, seed + 1)]),
        ("grown network from scratch", train(scratch, RATE, FIRST + THEN, seed)),
    ]
    FIGURE.parent.mkdir(exist_ok=True)
    FIGURE.write_text(curves(series).document(), encoding="utf-8")


def curves(series) -> Figure:
    """Accuracies by epoch; a series ends at the last epoch."""
    epochs = FIRST + THEN
    top = 5 * np.ceil(20 * max(max(values) for _, values in series))
    x, y = Scale(0, epochs, 58, 560), Scale(20, top, 320, 78)
    parts = [
        text(10, 24, f"Ten random morphisms at epoch {FIRST}", "strong big"),
        frame(x, y, "epochs", "accuracy on validation images, %", "{:.0f}".format, "{:.0f}".format),
        line(x(FIRST), y.start, x(FIRST), y.end, "mark"),
    ]
    for number, (name, values) in enumerate(series):
        first = epochs - len(values) + 1
        points = [(x(first + place), y(max(100 * value, 20))) for place, value in enumerate(values)]
        parts.append(path(points, f"line s{number} d{number}"))
        parts += [mark(number, *point, 3.2, f"f{number}") for point in points]
        at = 392 + 24 * number
        words = f"{name}: {100 * values[-1]:.1f} % at the end"
        parts += [
            path([(58, at - 4), (92, at - 4)], f"line s{number} d{number}"),
            mark(number, 75, at - 4, 4, f"f{number}"),
        ]
        parts.append(text(104, at, words))
    title = "Validation accuracy by epoch of a grown, an ungrown and a newly trained residual network"
    return Figure("residual_curves", title, 580, 460, join(parts))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
