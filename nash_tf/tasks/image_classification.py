"""Images in classes: the first network, how networks are trained on a data set, the final training, the test."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np

from nash_tf import data
from nash_tf.architecture import Architecture, costs, first_networks
from nash_tf.config import SearchConfig, refusal
from nash_tf.data.augmentation import Augmentation
from nash_tf.data.pipeline import Pipeline
from nash_tf.keras_models.building import to_keras
from nash_tf.metrics import BalancedAccuracy
from nash_tf.optimizers import Muon
from nash_tf.scores import objectives
from nash_tf.scores.classification import class_weights
from nash_tf.settings.costs import MIRRORED, OPERATIONS, VIEWS
from nash_tf.settings.training import DEFAULT_AUGMENTATIONS, STRENGTHS
from nash_tf.strategy import course, methods
from nash_tf.strategy.prices import Prices
from nash_tf.strategy.unused import why_fewer_first
from nash_tf.tasks import scoring, start
from nash_tf.terminal.loading import Loading
from nash_tf.terminal.progress import Progress, label
from nash_tf.training.long_training import group_steps
from nash_tf.tuning import trial_values

UNDECAYED = ["bias", "gamma", "beta", "alpha"]
OPTIMIZERS = {"sgd": keras.optimizers.SGD, "muon": Muon}


def load(config: SearchConfig, quiet: bool) -> data.Dataset:
    """The data set that is given.

    Raises:
        ConfigError, DataError: it cannot be used.
    """
    return data.load(
        config.dataset,
        valid_fraction=config.valid_fraction,
        train_limit=config.train_limit,
        seed=config.seed,
        images=config.images,
        progress=Loading(quiet=quiet),
    )


def check(config: SearchConfig, dataset: data.Dataset) -> None:
    """Checks settings against a data set, before anything is written.

    Raises:
        ConfigError: the data set does not allow an augmentation, mirrored views were not trained on, or the first network does not fit images or limits.
    """
    augmentation_of(config, dataset)
    if config.start is None:
        _check_widths(config, dataset)
    if config.views == MIRRORED and "flip" not in config.augmentations(dataset.flips):
        rule = "wants flip in --augment: the network would answer for mirrored images, and is trained on none"
        raise refusal("views", config.views, rule)
    first = first_network(config, dataset)
    method = methods.registry[config.method]
    operations = (costs.flops(first) or 0) * VIEWS[config.views]
    for name, needed in (("max_params", first.params), ("max_flops", operations)):
        most = getattr(config, name)
        # What does not grow needs no limit: a baseline may be larger than what it is compared with. What shrinks comes to keep it.
        if method.grows and not method.shrinks and most is not None and needed > most:
            raise refusal(name, most, f"must be at least the first network's {needed}")
    is_limited = config.max_flops is not None and (method.grows or config.front_sizes)
    if costs.flops(first) is None and (is_limited or config.objective_cost == OPERATIONS):
        name = "max_flops" if is_limited else "objective_cost"
        raise refusal(
            name, getattr(config, name), "the first network takes images of any size: operations are not known"
        )


def _check_widths(config: SearchConfig, dataset: data.Dataset) -> None:
    """Checks that the pools of the first network leave something of the images."""

    def fits(count: int) -> bool:
        network = vanilla_of(replace(config, widths=config.widths[:count]), dataset)
        return not any(0 in node.shape for node in network.nodes)

    if fits(len(config.widths)):
        return
    side, layout = min(dataset.x_train.shape[1:3]), config.first_layout
    most = next((count for count in range(len(config.widths) - 1, 0, -1) if fits(count)), None)
    if most is None:
        raise refusal(
            "method",
            config.method,
            f"its first network ({layout}) halves images more often than their {side} pixels allow",
        )
    raise refusal(
        "widths",
        config.widths,
        f"must be at most {most} for images of {side} pixels, which the layout {layout} halves for each",
    )


class ImageClassifier(keras_tuner.HyperModel):
    """Builds the first network for a data set, and trains any network on it with the training's own seed."""

    goes_on = True  # batches are a function of seed and epoch

    def __init__(self, config: SearchConfig, dataset: data.Dataset, pipeline: Pipeline, progress: Progress):
        super().__init__()
        self.config, self.dataset, self.pipeline, self.progress = config, dataset, pipeline, progress

    def build(self, hp):
        if self.config.start is None:
            model = to_keras(vanilla_of(self.config, self.dataset))
        else:
            model = start.start_of(self.config, self.dataset).model()
        # Keras' decay is not multiplied by momentum; so scaled, its steady effect is that of SGD's 5e-4 in the paper.
        decay = self.config.weight_decay / (1.0 - self.config.momentum)
        optimizer = OPTIMIZERS[self.config.optimizer](
            self.config.learning_rate, momentum=self.config.momentum, nesterov=self.config.nesterov, weight_decay=decay
        )
        optimizer.exclude_from_weight_decay(var_names=UNDECAYED)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=self.config.label_smoothing)
        measured: list[keras.Metric] = [keras.metrics.CategoricalAccuracy(name="accuracy")]
        if self.config.objective == objectives.BALANCED_ACCURACY.name:
            measured.append(BalancedAccuracy(len(self.dataset.class_names)))
        model.compile(optimizer, loss, metrics=measured, jit_compile=False)
        return model

    def fit(self, hp, model, *, initial_epoch, epochs, callbacks=(), **kwargs):
        assignment = trial_values.decode(hp.values)
        first, name = assignment.initial_epoch, label(assignment.key)
        passes = initial_epoch - first
        if passes:
            self.progress.line(f"{name}  goes on after {passes} of {epochs - first} epochs")
        train = self.pipeline.training(self.dataset.x_train, self.dataset.y_train, assignment.seed, passes)
        group_steps(model, self.config.batch_size, len(train) * (epochs - first))
        shown = self.progress.callback(name, first, epochs, done=passes)
        callbacks = [*callbacks, shown]
        return model.fit(
            train, shuffle=False, initial_epoch=initial_epoch, epochs=epochs, callbacks=callbacks, **kwargs
        )


def first_network(config: SearchConfig, dataset: data.Dataset) -> Architecture:
    """The network that a search begins with: the one of `--layout`, or that of `--start`."""
    if config.start is None:
        return vanilla_of(config, dataset)
    return start.start_of(config, dataset).network.architecture


def vanilla_of(config: SearchConfig, dataset: data.Dataset) -> Architecture:
    """The network of `--layout` and `--widths` for a data set."""
    make = first_networks.registry[config.first_layout].make
    return make(dataset.x_train.shape[1:], len(dataset.class_names), config.widths, config.precision)


def budget_epochs(config: SearchConfig, dataset: data.Dataset) -> float | None:
    """The budget of compute in epochs of the first network, the scoring on validation images included; None where none is given."""
    if config.budget_seconds is None:
        return config.budget_epochs
    images = len(dataset.y_train) + len(dataset.y_valid) / 3  # without a backward pass
    epoch = costs.epoch_seconds(first_network(config, dataset), images, config.batch_size)
    return max(1.0, config.budget_seconds / epoch)


def augmentation_of(config: SearchConfig, dataset: data.Dataset) -> Augmentation:
    """The augmentations as the pipeline takes them."""
    strengths = {**STRENGTHS, "cutout": config.cutout_size}
    chosen: dict[str, Any] = {name: strengths[name] for name in config.augmentations(dataset.flips)}
    return Augmentation(**{"normalise": False, **chosen}, mixup=config.mixup, pixels=config.start_pixels)


def class_weights_of(config: SearchConfig, dataset: data.Dataset) -> np.ndarray | None:
    """Weights of the training loss by class, from the training images; None for none."""
    if config.class_weight == "none":
        return None
    return class_weights(dataset.y_train, len(dataset.class_names))


def describe(config: SearchConfig, dataset: data.Dataset) -> list[str]:
    """What children are compared by, whether images are mirrored where it is not known if they may be, and the weights of the classes,
    a line each."""
    lines = [f"Children are compared by {objectives.REGISTRY[config.objective].words}.", *_mirrored(config, dataset)]
    weights = class_weights_of(config, dataset)
    if weights is not None:
        low, high = int(weights.argmin()), int(weights.argmax())
        names = dataset.class_names
        lines.append(
            f"The training loss is weighted by class, from {weights[low]:.3g} ({names[low]}) to {weights[high]:.3g} "
            f"({names[high]}), also in the final training; validation and test loss are not."
        )
    if config.views == MIRRORED:
        limit = config.max_flops_of_a_view
        most = f": for one of them a network may have {limit:,} operations (max_flops)" if limit else ""
        lines.append(f"The model that is handed over answers by the mean over each image and its mirror image{most}.")
    return [*lines, *_first_epochs(config, dataset), *_too_small_a_budget(config, dataset)]


def _mirrored(config: SearchConfig, dataset: data.Dataset) -> list[str]:
    """A line where it is not known whether a mirrored image keeps its class, and the user may not have thought of it."""
    names = config.augmentations(dataset.flips)
    if dataset.flips is None and "flip" in names:
        return [
            "Training images are mirrored, as --augment says; whether these keep their class then is not known of such files: digits do not."
        ]
    if dataset.flips is None and config.augment is None:
        return [
            "Training images are not mirrored, as it is not known of such files whether these keep their class then; where they do, "
            f"--augment={','.join(DEFAULT_AUGMENTATIONS)} mirrors them."
        ]
    if dataset.form is not None and "flip" in names:
        without = ",".join(name for name in names if name != "flip")
        views = " --views=one" if config.views == MIRRORED else ""
        return [
            "Training images are mirrored, as photographs may be; where a mirrored image is of another class, as of digits and letters, "
            f"give --augment={without}{views}."
        ]
    return []


def _first_epochs(config: SearchConfig, dataset: data.Dataset) -> list[str]:
    """A line where the first network has fewer epochs than were asked for, of a budget in seconds, whose epochs follow from the data."""
    budget = budget_epochs(config, dataset)
    if budget is None or config.budget_seconds is None or not methods.registry[config.method].is_budgeted:
        return []
    asked = config.vanilla_epochs
    why = None if asked == SearchConfig.vanilla_epochs else why_fewer_first(asked, budget)
    return [f"--vanilla_epochs={asked}: {why}."] if why else []


def _too_small_a_budget(config: SearchConfig, dataset: data.Dataset) -> list[str]:
    """A line where a budget that is laid out cannot be kept: each of its trainings has at least an epoch."""
    method, budget = methods.registry[config.method], budget_epochs(config, dataset)
    if budget is None or not method.is_budgeted:
        return []
    steps = course.planned(method, config.steps, config.rungs)
    later = sum(rung.children for step in steps for rung in step)
    trainings = 1 + ((len(config.front_sizes) or config.steps + 1) if method.has_front else later)
    prices = Prices(first_network(config, dataset), len(dataset.y_train), config.batch_size)
    least = trainings * (1.0 + prices.beginning)
    if least <= budget:
        return []
    return [
        f"The budget of {budget:.4g} epochs of the first network cannot be kept: its {trainings} trainings take at least {least:.4g}, "
        "since each has an epoch, and is begun."
    ]


def test_results(
    dataset: data.Dataset,
    pipeline: Pipeline,
    view: str,
    vanilla: keras.Model,
    winner: keras.Model,
    final: keras.Model,
    folder: Path,
) -> tuple[dict, dict]:
    """The test of the first network, the winner and the final network.

    Args:
        view: from `nash_tf.keras_models.views.REGISTRY`, what they answer by.
        folder: where pictures of the final network's worst mistakes are written.

    Returns:
        Parameters, and accuracy and loss on the test images, of all three; and what results.json says of the test in detail.
    """
    results = {
        "params": Architecture.from_keras(final).params,
        "vanilla_params": Architecture.from_keras(vanilla).params,
    }
    tallies = scoring.on_test_images(dataset, pipeline, view, final, winner, vanilla)
    for prefix, tallied in zip(("", "winner_", "vanilla_"), tallies, strict=True):
        found = scoring.overall(tallied)
        results |= {f"{prefix}test_{name}": found[name] for name in ("accuracy", "loss")}
    record = scoring.test_record(dataset, *tallies)
    record["mistakes"] = scoring.write_mistakes(folder, dataset, tallies[0].mistakes)
    return results, record
