"""A model of the user's as the first network (`--start`): its weights, its head, and the pixel values that it takes."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import keras
import numpy as np

from nash_tf import data
from nash_tf.architecture import Architecture, Shape
from nash_tf.architecture.classifier import Classifier, begins_with_preprocessing, classifier_of, frozen_layers
from nash_tf.config import ConfigError, SearchConfig, refusal
from nash_tf.data.pipeline import Pipeline
from nash_tf.data.pixels import scaling
from nash_tf.data.rows import Rows
from nash_tf.keras_models import model_file
from nash_tf.keras_models.building import taking, to_keras
from nash_tf.keras_models.state import State, read_state, write_state
from nash_tf.morphisms import known
from nash_tf.morphisms.weight_transfer import Key
from nash_tf.settings.images import IMAGENET, PIXELS, RAW, SIGNED, STANDARD, as_text
from nash_tf.strategy import methods
from nash_tf.tasks import learnt_before, scoring

MEASURED = 128  # training images that tell how wrong the model is
_BATCH = 32  # of them at a time
_LISTED = 5  # frozen layers that are named


class Start(NamedTuple):
    """A model to start from, fitted to the images and the classes.

    Attributes:
        network: its architecture, which takes images of the data set and gives a logit for each class.
        weights: those that it has, by (node, variable); a new head's are not among them, and an architecture alone has none.
        preprocesses: whether it scales its pixels itself.
    """

    network: Classifier
    weights: Mapping[Key, np.ndarray]
    preprocesses: bool

    def model(self) -> keras.Model:
        """A Keras model of it, not compiled; weights that it has not are drawn anew at each call."""
        model = to_keras(self.network.architecture)
        write_state(model, State({**read_state(model).weights, **self.weights}, {}))
        return model


def start_of(config: SearchConfig, dataset: data.Dataset) -> Start:
    """The model of `--start`, once loaded in a process.

    Raises:
        ConfigError: it cannot be loaded, cannot be searched, or does not fit the images; with what to do.
    """
    path = str(config.start)
    try:
        stat = os.stat(path)
        start = _loaded(path, (stat.st_mtime_ns, stat.st_size), dataset.x_train.shape[1:], len(dataset.class_names))
    except _OtherSize as error:
        raise refusal("start", path, f"{error}; {_remedy(error, dataset)}") from None
    except (OSError, ValueError) as error:
        raise refusal("start", path, f"cannot be the first network: {' '.join(str(error).split())}") from None
    if not _can_grow(config, start.network.architecture):
        raise refusal("start", path, f"cannot be searched: no operator of {config.method} has a place in it")
    return start


def with_pixels(config: SearchConfig, dataset: data.Dataset, begun: SearchConfig | None) -> SearchConfig:
    """The settings with the pixel values that the model takes: those given, those that the run began with, or those that fit.

    Args:
        begun: settings of the run that goes on; None for one that begins.

    Raises:
        ConfigError: the given ones are not for these images; or as of `start_of`.
    """
    if config.start is None:
        return config
    channels = dataset.x_train.shape[-1]
    if config.start_pixels == IMAGENET and channels != 3:
        raise refusal("start_pixels", IMAGENET, f"is for images of 3 channels, these have {channels}")
    if config.start_pixels:
        return config
    if begun is not None:
        return replace(config, start_pixels=begun.start_pixels)
    start = start_of(config, dataset)
    if start.preprocesses:
        _check_bytes(config, dataset)
        return replace(config, start_pixels=RAW)
    if not start.weights:
        return replace(config, start_pixels=STANDARD)
    if not start.network.keeps_head:
        return replace(config, start_pixels=SIGNED)
    candidates = [pixels for pixels in PIXELS if pixels != IMAGENET or channels == 3]
    examples = _some(dataset.x_train, dataset.y_train)
    losses = {pixels: loss for pixels, (loss, _) in _measured(start, dataset, candidates, examples).items()}
    return replace(config, start_pixels=min(losses, key=losses.__getitem__))


def _check_bytes(config: SearchConfig, dataset: data.Dataset) -> None:
    """Checks that what a model is given that scales pixels itself can be the 0 to 255 that such models mostly take.

    Raises:
        ConfigError: it is floats from 0 to 1.
    """
    is_float = np.issubdtype(dataset.x_train.dtype, np.floating)
    if is_float and float(_some(dataset.x_train, dataset.y_train)[0].max()) <= 1.0:
        rule = (
            "scales pixel values itself, those of the data set are floats up to 1, and what it expects is not known; "
            "give --start_pixels=raw where it takes them as they are, or store them as uint8 from 0 to 255"
        )
        raise refusal("start", config.start, rule)


def describe(config: SearchConfig, dataset: data.Dataset) -> list[str]:
    """What becomes of the model, a line each; nothing without one."""
    if config.start is None:
        return []
    start = start_of(config, dataset)
    lines = [f"The search starts from {config.start}, {start.network.architecture.params:,} parameters."]
    lines += start.network.changes
    if not start.weights:
        lines.append("Its weights are drawn anew: the file holds an architecture alone.")
    if frozen := frozen_layers(start.network.architecture):
        more = f" and {len(frozen) - _LISTED} more" if len(frozen) > _LISTED else ""
        lines.append(
            f"{len(frozen)} of its layers are frozen and stay so ({', '.join(frozen[:_LISTED])}{more}); to train them, set "
            "model.trainable = True before you save it."
        )
    if start.weights and methods.registry[config.method].shrinks:
        lines.append(
            f"Method {config.method} may take filters from it, judged by their weights alone; nash_tf.shrink tries on data what matters least."
        )
    own = ", since it scales them itself" if start.preprocesses and config.start_pixels == RAW else ""
    if config.start_pixels == RAW and dataset.x_train.dtype == np.uint8:
        own = f", 0 to 255{own}"
    lines.append(f"It is given {_WORDS[str(config.start_pixels)]}{own}; --start_pixels= says otherwise.")
    if start.network.keeps_head and start.weights:
        rights = []
        for name, x, y in (
            ("training", dataset.x_train, dataset.y_train),
            ("validation", dataset.x_valid, dataset.y_valid),
        ):
            ((_, accuracy),) = _measured(start, dataset, [str(config.start_pixels)], _some(x, y)).values()
            rights.append(f"{accuracy:.0%} of {min(MEASURED, len(y))} {name} images")
        lines.append(
            f"As it is, it is right for {' and '.join(rights)}. Its outputs are taken for the classes in "
            f"this order: {', '.join(dataset.class_names[:12])}{', ...' if len(dataset.class_names) > 12 else ''}."
        )
        lines += filter(None, [learnt_before.other_classes(str(config.start), dataset)])
    unused = [f"--{name}" for name, is_given in _overridden(config).items() if is_given]
    return [*lines, *([f"Not used with it: {', '.join(unused)}."] if unused else [])]


def scores(config: SearchConfig, dataset: data.Dataset, pipeline: Pipeline) -> dict[str, Any] | None:
    """How good the model is as it was given, on the validation images, and on the test images as the other networks; for results.json.

    Returns:
        None where none was given, its head or all of it is new, or its file is there no more.
    """
    if config.start is None:
        return None
    try:
        start = start_of(config, dataset)
    except ConfigError:
        return None
    if not (start.weights and start.network.keeps_head):
        return None
    model, validation = start.model(), pipeline.evaluation(dataset.x_valid, dataset.y_valid)
    valid = scoring.overall(scoring.tally(model, validation, len(dataset.class_names)))
    (tested,) = scoring.on_test_images(dataset, pipeline, config.views, model)
    test = scoring.overall(tested)
    return {
        **{f"val_{name}": valid[name] for name in ("accuracy", "balanced_accuracy")},
        **{f"test_{name}": test[name] for name in ("accuracy", "loss", "balanced_accuracy", "balanced_interval")},
    }


def with_notes(config: SearchConfig, dataset: data.Dataset) -> data.Dataset:
    """The data set, with a note where the model may have learnt already from images by which networks are judged."""
    if config.start is None or not start_of(config, dataset).weights:
        return dataset
    return replace(dataset, notes=(*learnt_before.notes(config.start, dataset), *dataset.notes))


_WORDS = {
    "raw": "pixel values as they are",
    "unit": "pixel values from 0 to 1",
    "signed": "pixel values from -1 to 1",
    "imagenet": "pixel values less ImageNet's mean, divided by its deviation",
    "standard": "pixel values less the data set's mean, divided by its deviation",
}


def _overridden(config: SearchConfig) -> dict[str, bool]:
    return {
        "layout": config.layout is not None,
        "widths": config.widths != SearchConfig.__dataclass_fields__["widths"].default,
        "augment=normalise": config.augment is not None and "normalise" in config.augment,
    }


class _OtherSize(ValueError):
    """The model takes images of another shape."""

    def __init__(self, taken: Shape, given: Shape):
        super().__init__(f"takes images of {_size(taken)}, and these are {_size(given)}")
        self.taken, self.given = taken, given


@lru_cache(maxsize=1)
def _loaded(path: str, stamp: tuple[int, int], shape: Shape, classes: int) -> Start:
    """The model in a file; `stamp` tells when the file has changed."""
    architecture, state = model_file.load(path)
    network = classifier_of(architecture.in_float32(), classes)
    (image,) = network.architecture.inputs
    taken = network.architecture[image].shape
    if any(side not in (None, given) for side, given in zip(taken, shape, strict=True)):
        raise _OtherSize(taken, shape)
    network = replace(network, architecture=taking(network.architecture, shape))
    weights = {
        (node, name): _doubled(name, value) if node == network.doubled else value
        for (node, name), value in state.weights.items()
        if node in network.architecture and node not in network.new
    }
    return Start(network, weights, begins_with_preprocessing(network.architecture))


def _doubled(name: str, value: np.ndarray) -> np.ndarray:
    """A kernel or bias for logits (-z/2, z/2) in place of z: their softmax is the sigmoid of z."""
    return np.concatenate([-value / 2, value / 2], axis=-1)


def _remedy(error: _OtherSize, dataset: data.Dataset) -> str:
    """What to do, in words."""
    (*sides, channels), (*given_sides, given) = error.taken, error.given
    if channels != given:
        made = _CHANNELS.get((channels, given), f"keras.layers.Conv2D({channels}, 1)(image)")
        return (
            f"save one that makes {channels} channels of {given}: image = keras.Input({(*sides, given)}), "
            f"keras.Model(image, model({made}))"
        )
    if dataset.form is not None and None not in sides:
        return f"give --image_size={as_text([side or 0 for side in sides])}"
    return f"build it for {_size(tuple(given_sides))} pixels, with the same weights, and save that"


# By channels of the model and of the images: what makes the first of the second.
_CHANNELS: dict[tuple[int | None, int | None], str] = {
    (3, 1): "keras.layers.Concatenate()([image, image, image])",
    (1, 3): "keras.ops.mean(image, axis=-1, keepdims=True)",
}


def _size(shape: Shape) -> str:
    return "x".join("any" if side is None else str(side) for side in shape)


def _can_grow(config: SearchConfig, architecture: Architecture) -> bool:
    method = methods.registry[config.method]
    operators = {**known(), **method.variants}
    return not method.grows or any(
        operators[name].requires(architecture, site) and not operators[name].pointless(architecture, site)
        for name in method.operators
        for site in operators[name].candidates(architecture)
    )


def _measured(
    start: Start, dataset: data.Dataset, candidates: Sequence[str], some: tuple[np.ndarray, np.ndarray]
) -> dict[str, tuple[float, float]]:
    """Cross-entropy and accuracy on some images, with their labels, by the pixel values that the model is given."""
    (images, labels), model = some, start.model()
    found = {}
    for pixels in candidates:
        offset, divisor = scaling(pixels, dataset.mean, dataset.std, dataset.x_train.dtype)
        scaled = (images - offset) / divisor
        batches = [model(scaled[at : at + _BATCH], training=False) for at in range(0, len(scaled), _BATCH)]
        logits = np.concatenate(list(map(keras.ops.convert_to_numpy, batches))).astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        likely = logits[np.arange(len(labels)), labels] - np.log(np.exp(logits).sum(axis=1))
        loss = float(-likely.mean())
        found[pixels] = (loss if np.isfinite(loss) else np.inf, float(np.mean(logits.argmax(axis=1) == labels)))
    return found


def _some(x: np.ndarray | Rows, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Some images and their labels, spread over all of them."""
    chosen = np.unique(np.linspace(0, len(y) - 1, MEASURED).astype(int))
    return x[chosen], y[chosen]
