"""Images in classes: the first network, how networks are trained on a data set, the final training, the test."""

import keras
import keras_tuner

from nash_tf import data
from nash_tf.architecture import Architecture, costs, first_networks
from nash_tf.config import SearchConfig, refusal
from nash_tf.data.augmentation import Augmentation
from nash_tf.data.pipeline import Pipeline
from nash_tf.keras_models import fast_training
from nash_tf.keras_models.building import to_keras
from nash_tf.terminal.progress import Progress, label
from nash_tf.tuning import trial_values

UNDECAYED = ["bias", "gamma", "beta", "alpha"]


def check(config: SearchConfig, dataset: data.Dataset) -> None:
    """Checks settings against a data set, before anything is written.

    Raises:
        ConfigError: the data set does not allow an augmentation, or the first network does not fit images or limits.
    """
    augmentation_of(config, dataset)
    side = min(dataset.x_train.shape[1:3])
    if side >> (len(config.widths) - 1) == 0:
        most = side.bit_length()
        raise refusal(
            "widths", config.widths, f"must be at most {most} for images of {side} pixels, with a pool between two"
        )
    params = vanilla_of(config, dataset).params
    if params > config.max_params:
        raise refusal("max_params", config.max_params, f"must be at least the first network's {params}")


class ImageClassifier(keras_tuner.HyperModel):
    """Builds the vanilla network for a data set, and trains any network on it with the training's own seed."""

    def __init__(self, config: SearchConfig, dataset: data.Dataset, pipeline: Pipeline, progress: Progress):
        super().__init__()
        self.config, self.dataset, self.pipeline, self.progress = config, dataset, pipeline, progress

    def build(self, hp):
        model = to_keras(vanilla_of(self.config, self.dataset))
        # Keras' decay is not multiplied by momentum; so scaled, its steady effect is that of SGD's 5e-4 in the paper.
        decay = self.config.weight_decay / (1.0 - self.config.momentum)
        optimizer = keras.optimizers.SGD(
            self.config.learning_rate, momentum=self.config.momentum, nesterov=self.config.nesterov, weight_decay=decay
        )
        optimizer.exclude_from_weight_decay(var_names=UNDECAYED)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=self.config.label_smoothing)
        model.compile(optimizer, loss, metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")], jit_compile=False)
        return model

    def fit(self, hp, model, *, epochs, callbacks=(), **kwargs):
        assignment = trial_values.decode(hp.values)
        train = self.pipeline.training(self.dataset.x_train, self.dataset.y_train, assignment.seed)
        before = assignment.initial_epoch
        _group_steps(model, self.config.batch_size, len(train) * (epochs - before))
        shown = self.progress.callback(label(assignment.key), before, epochs)
        return model.fit(train, shuffle=False, epochs=epochs, callbacks=[*callbacks, shown], **kwargs)


def vanilla_of(config: SearchConfig, dataset: data.Dataset) -> Architecture:
    """The first network for a data set."""
    make = first_networks.registry[config.first_layout]
    return make(dataset.x_train.shape[1:], len(dataset.class_names), config.widths, config.precision)


def augmentation_of(config: SearchConfig, dataset: data.Dataset) -> Augmentation:
    """The switches as the pipeline takes them, with the paper's strengths."""
    names = config.augmentations(dataset.flips)
    return Augmentation(
        normalise="normalise" in names,
        flip="flip" in names,
        shift=0.125 if "shift" in names else 0.0,
        cutout=0.5 if "cutout" in names else 0.0,
        mixup=config.mixup,
    )


def _group_steps(model: keras.Model, batch_size: int, updates: int) -> None:
    image = costs.flops(Architecture.from_keras(model))
    if image is not None:
        fast_training.group_steps(model, image * batch_size, updates)


def test_results(
    dataset: data.Dataset, pipeline: Pipeline, vanilla: keras.Model, winner: keras.Model, final: keras.Model
) -> dict:
    """Parameters, and accuracy and loss on the test set, of the first network, the winner and the final network."""
    test = pipeline.evaluation(dataset.x_test, dataset.y_test)
    results = {
        "params": Architecture.from_keras(final).params,
        "vanilla_params": Architecture.from_keras(vanilla).params,
    }
    for prefix, model in (("", final), ("winner_", winner), ("vanilla_", vanilla)):
        measured = model.evaluate(test, verbose=0, return_dict=True)
        results |= {f"{prefix}test_{name}": round(measured[name], 6) for name in ("accuracy", "loss")}
    return results
