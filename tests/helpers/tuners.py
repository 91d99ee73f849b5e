"""Small data, a small classifier, and searches with real training that take seconds."""

import keras
import keras_tuner
import numpy as np
from keras import layers

import nash_tf
from nash_tf.strategy import course

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(48, 8, 8, 3)).astype(np.float32)
CLASSES = RNG.integers(0, 3, 48)
SMALL = {
    "method": "shr",
    "steps": 1,
    "children": 2,
    "mutations": 2,
    "epochs_per_step": 4,
    "vanilla_epochs": 1,
    "seed": 0,
}
# In place of its rungs: the first network, the same trained on, and one that is born, each in one training.
BORN = {"method": "nash", "epochs_per_step": 2}


def network(convolutions=1):
    """Its input, and features of as many layers as are asked for: each one more takes its time to trace."""
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(image)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    for _ in range(convolutions - 1):
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(layers.Conv2D(4, 3, padding="same")(x)))
    return image, x


def classifier(hp, convolutions=1):
    image, x = network(convolutions)
    model = keras.Model(image, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(x)))
    rate = hp.Float("rate", 1e-3, 1e-1, sampling="log", default=0.02)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def plainest(hp):
    """No convolution: where networks do not matter, and grow in none of it, this one is traced the sooner."""
    image = keras.Input((8, 8, 3), name="image")
    model = keras.Model(image, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(image)))
    model.compile(keras.optimizers.SGD(0.02, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def tuner_of(build, tmp_path, objective="val_accuracy", **changed):
    return nash_tf.HillClimbing(build, objective, directory=str(tmp_path), project_name="p", **{**SMALL, **changed})


def records(tuner, trainings=4):
    found = tuner.oracle.lineage()
    assert [record["status"] for record in found] == ["completed"] * trainings, [
        t.message for t in tuner.oracle.trials.values()
    ]
    assert all(r["certificate"]["max_difference"] <= r["certificate"]["bound"] for r in found if r["certificate"])
    return found


def in_two_parts(patch):
    """Until `patch` is undone, one budget is trained in two parts, the second ending on a mean of weights, not in five: each is traced anew."""
    patch.setattr(course, "SEGMENTS", (course.COOLDOWN, 1.0))
    patch.setattr(course, "AVERAGED_SEGMENTS", (course.AVERAGED_SEGMENTS[-2], 1.0))


class Ended(Exception):
    """A test has seen enough of a search."""


def ended_after(trainings):
    """What ends a search after so many, given as `on_trained`."""

    def end(oracle):
        if len(oracle.lineage()) == trainings:
            raise Ended

    return end


class Still(keras_tuner.HyperModel):
    """Does not train: weights stay those that a network starts from, and what `fit` returns is given."""

    def __init__(self, build=classifier, returns=lambda values: {"val_accuracy": 0.5, "loss": 1.0}):
        super().__init__()
        self.build, self.returns = build, returns

    def fit(self, hp, model, *args, **kwargs):
        self.iterations = int(model.optimizer.iterations)
        return self.returns(hp.values)


class Counted(keras.callbacks.Callback):
    """A user's callback; Keras Tuner copies it for each training."""

    seen: list = []

    def on_epoch_end(self, epoch, logs=None):
        Counted.seen.append(epoch)


class OwnFit(keras_tuner.HyperModel):
    """Adds noise of a searched strength to the images, and returns a dictionary."""

    def build(self, hp):
        return classifier(hp)

    def fit(self, hp, model, x, y, **kwargs):
        noise = hp.Float("noise", 0.0, 0.2, default=0.1)
        noisy = x + np.random.default_rng(0).normal(0, noise, x.shape)
        trained = model.fit(noisy, y, validation_data=(x, y), **kwargs)
        return {name: trained.history[name][-1] for name in ("val_accuracy", "loss")}
