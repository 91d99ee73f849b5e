"""Shrinks a trained network to a half and a quarter of its parameters, and measures what distillation wins back.

    python tests/scripts/shrinking_table.py FOLDER OUT [NUMBER_OF_SEEDS]

FOLDER holds CIFAR-10 as folders of images; 10,000 of them are trained on. OUT keeps the parents and one line for each
result, from which a call that was stopped goes on. Prints the table of BUILD_NOTES.md.
"""

import json
import sys
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import nash_tf
from nash_tf import data
from nash_tf.architecture.costs import training_seconds
from nash_tf.callbacks import CosineAnnealing
from nash_tf.data.augmentation import Augmentation
from nash_tf.data.pipeline import Pipeline
from nash_tf.keras_models import fast_training
from nash_tf.keras_models.building import to_keras

PARENT_SECONDS = 130.0  # predicted CPU-seconds that the parent is trained
SHARES = (0.5, 0.25)
EPOCHS, RATE, RATE_THEN = 5, 0.1, 0.03


def network(widths=(24, 48, 96)) -> keras.Model:
    """Three stages; in the later two a residual block follows the convolution. 157,000 parameters."""

    def activated(x):
        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))

    def conv(x, filters):
        return layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)

    image = x = keras.Input((32, 32, 3))
    for place, width in enumerate(widths):
        x = activated(layers.MaxPooling2D()(conv(x, width)))
        if place:
            x = layers.Add()([x, activated(conv(x, width))])
    return keras.Model(image, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def compiled(model: keras.Model) -> keras.Model:
    optimizer = keras.optimizers.SGD(RATE, momentum=0.9, nesterov=True, weight_decay=0.01)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)
    return fast_training.prepare(model)


class Table:
    """The results, a line each in a file."""

    def __init__(self, path: Path):
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.rows = [json.loads(line) for line in lines]

    def find(self, **key):
        return next((row for row in self.rows if key.items() <= row.items()), None)

    def add(self, **row):
        self.rows.append(row)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)


class Experiment:
    """One seed."""

    def __init__(self, images: data.Dataset, out: Path, table: Table, seed: int):
        self.images, self.out, self.table, self.seed = images, out, table, seed
        augmentation = Augmentation(flip=True, shift=0.125, cutout=0.25)
        self.pipeline = Pipeline(images.mean, images.std, 10, 128, augmentation)
        self.test = self.pipeline.evaluation(images.x_test, images.y_test)

    def accuracy(self, model) -> float:
        return model.evaluate(self.test, verbose=0, return_dict=True)["accuracy"]

    def train(self, model, rate, epochs, fit=keras.Model.fit) -> float:
        """Trains with one annealing; returns the CPU-seconds that it took."""
        begun = time.process_time()
        keras.utils.set_random_seed(self.seed)
        batches = self.pipeline.training(self.images.x_train, self.images.y_train, self.seed)
        fit(model, batches, epochs=epochs, callbacks=[CosineAnnealing(rate, epochs)], verbose=0, shuffle=False)
        return round(time.process_time() - begun, 1)

    def epochs(self, model, seconds: float) -> int:
        """Epochs of a model in so many predicted CPU-seconds."""
        epoch = training_seconds(nash_tf.Architecture.from_keras(model)) * len(self.images.y_train)
        return max(1, round(seconds / epoch))

    def parent(self) -> keras.Model:
        path = self.out / f"parent{self.seed}.keras"
        if self.table.find(seed=self.seed, what="parent") is None:
            keras.utils.set_random_seed(self.seed)
            model = compiled(network())
            epochs = self.epochs(model, PARENT_SECONDS)
            cpu = self.train(model, RATE, epochs)
            model.save(path)
            self.result("parent", 1.0, model, epochs=epochs, cpu=cpu)
        return fast_training.prepare(keras.models.load_model(path))

    def result(self, what: str, share: float, model: keras.Model, **facts) -> None:
        params = nash_tf.Architecture.from_keras(model).params
        accuracy = round(self.accuracy(model), 4)
        self.table.add(seed=self.seed, share=share, what=what, params=params, accuracy=accuracy, **facts)

    def run(self, share: float) -> None:
        """All results of one size."""
        parent = self.parent()
        params = nash_tf.Architecture.from_keras(parent).params
        some = np.random.default_rng(self.seed).permutation(len(self.images.y_train))[:512]
        clean = self.pipeline.evaluation(self.images.x_train[some], self.images.y_train[some])
        parts = zip(*clean, strict=True)
        measured = tuple(np.concatenate([np.asarray(batch) for batch in part]) for part in parts)
        if self.table.find(seed=self.seed, share=share, what="shrunk") is None:
            begun = time.process_time()
            shrunk = nash_tf.shrink(parent, share * params, measured)
            cpu = round(time.process_time() - begun, 1)
            self.result("shrunk", share, shrunk.model, cpu=cpu, moves=json.loads(shrunk.moves))
        found = self.table.find(seed=self.seed, share=share, what="shrunk")

        def shrunk_model(calibration=measured):
            return fast_training.prepare(nash_tf.morph(parent, moves=found["moves"], calibration=calibration).model)

        epoch = training_seconds(nash_tf.Architecture.from_keras(shrunk_model())) * len(self.images.y_train)
        whole = max(1, round((PARENT_SECONDS + found["cpu"]) / epoch + EPOCHS))
        arms = {
            "statistics of the parent": (lambda: shrunk_model(None), None),
            "with a teacher": (shrunk_model, (RATE_THEN, EPOCHS, self.taught_by(parent))),
            "without a teacher": (shrunk_model, (RATE_THEN, EPOCHS)),
            "from scratch": (
                lambda: compiled(to_keras(nash_tf.Architecture.from_keras(shrunk_model()))),
                (RATE, whole),
            ),
        }
        for what, (make, training) in arms.items():
            if self.table.find(seed=self.seed, share=share, what=what) is None:
                keras.utils.set_random_seed(self.seed)
                model = make()
                facts = {} if training is None else {"epochs": training[1], "cpu": self.train(model, *training)}
                self.result(what, share, model, **facts)

    def taught_by(self, teacher: keras.Model):
        return lambda student, batches, **fit: nash_tf.distill(student, teacher, batches, **fit)


def table(rows: list[dict]) -> str:
    """Means over seeds, and the seeds' accuracies."""
    lines = ["| size | what | parameters | test accuracy, % | by seed | CPU-s |", "|---|---|---|---|---|---|"]
    for share in (1.0, *SHARES):
        for what in dict.fromkeys(row["what"] for row in rows if row["share"] == share):
            found = [row for row in rows if (row["share"], row["what"]) == (share, what)]
            accuracies = [100 * row["accuracy"] for row in found]
            params, cpu = (np.mean([row.get(name, 0) for row in found]) for name in ("params", "cpu"))
            by_seed = ", ".join(f"{each:.1f}" for each in accuracies)
            lines.append(f"| {share:g} | {what} | {params:,.0f} | {np.mean(accuracies):.1f} | {by_seed} | {cpu:.0f} |")
    return "\n".join(lines)


def main(folder: str, out: str, seeds: int = 3) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    images = data.load(folder, valid_fraction=1 / 6, train_limit=12_000, seed=0)
    Path(out).mkdir(exist_ok=True)
    results = Table(Path(out) / "results.jsonl")
    for seed in range(seeds):
        for share in SHARES:
            Experiment(images, Path(out), results, seed).run(share)
    print(table(results.rows))


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:]))
