"""The test: how good networks are on the test images, and the worst mistakes as pictures."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from nash_tf.data import Dataset, description
from nash_tf.data.pipeline import Pipeline
from nash_tf.exporting.images import black_and_white
from nash_tf.files.atomic import replace_directory
from nash_tf.keras_models import views
from nash_tf.scores import classification
from nash_tf.scores.tally import Mistake, Tally

LARGEST_SIDE = 96  # pixels of a picture; larger images are made smaller


def tally(model: keras.Model, batches: tf.data.Dataset, classes: int) -> Tally:
    """What a model answers on all images of a data set of batches (images, one-hot labels); its output is logits."""
    answer = tf.function(lambda images: model(images, training=False), input_signature=[batches.element_spec[0]])
    found = Tally(classes)
    for images, labels in batches:
        found.add(labels.numpy().argmax(axis=1), tf.cast(answer(images), tf.float32).numpy())
    return found


def on_test_images(dataset: Dataset, pipeline: Pipeline, view: str, *models: keras.Model) -> list[Tally]:
    """The tally of each model on the test images; one that is named twice is asked once.

    Args:
        view: from `nash_tf.keras_models.views.REGISTRY`, what each model answers by.
    """
    batches = pipeline.evaluation(dataset.x_test, dataset.y_test)
    found = {id(model): model for model in models}
    tallies = {
        key: tally(views.REGISTRY[view](model), batches, len(dataset.class_names)) for key, model in found.items()
    }
    return [tallies[id(model)] for model in models]


def overall(tallied: Tally) -> dict[str, Any]:
    """The scores over all classes, as in results.json."""
    return {**classification.overall(tallied.confusion, tallied.unnamed), "loss": round(tallied.loss, 6)}


def model_record(dataset: Dataset, model: Tally) -> dict[str, Any]:
    """What there is to say of the test of a network that is exported.

    Args:
        dataset: that was tested on.
        model: of the network.
    """
    largest, share = description.base_rate(dataset)
    return {
        "images": model.images,
        "largest_class": largest,  # of the training images
        "base_rate": round(share, 6),  # the accuracy of always naming it
        "copies": dataset.copies._asdict(),
        "notes": list(description.notes(dataset)),
        "model": {
            **classification.in_detail(model.confusion, dataset.class_names, model.unnamed),
            "loss": round(model.loss, 6),
        },
    }


def test_record(dataset: Dataset, model: Tally, winner: Tally, first: Tally) -> dict[str, Any]:
    """What results.json says of the test, but for the pictures.

    Args:
        dataset: that was tested on.
        model: of the network that is exported.
        winner: of the network that the search ended with.
        first: of the first network.
    """
    return {**model_record(dataset, model), "winner": overall(winner), "first_network": overall(first)}


def write_mistakes(folder: Path, dataset: Dataset, mistakes: Sequence[Mistake]) -> list[dict[str, Any]]:
    """Writes the pictures of mistakes into a folder, in place of those of an earlier test.

    Returns:
        For each mistake `image`, its position among the test images; `class`, its own; `named`, the one that it was given, and
        the `probability` of that; and the `file`.
    """
    images = dataset.x_test[np.array([mistake.image for mistake in mistakes], int)]
    names, records = dataset.class_names, []
    with replace_directory(folder) as beside:
        for mistake, picture in zip(mistakes, pictures(images, _are_bytes(dataset)), strict=True):
            name = f"{mistake.image:06}.png"
            (beside / name).write_bytes(picture)
            records.append(
                {
                    "image": mistake.image,
                    "class": names[mistake.label],
                    "named": names[mistake.named],
                    "probability": round(mistake.probability, 6),
                    "file": f"{folder.name}/{name}",
                }
            )
    return records


def _are_bytes(dataset: Dataset) -> bool:
    """Whether black is 0 and white 255 in a data set."""
    if dataset.form is not None:  # image files
        return True
    images = np.asarray(dataset.x_test)
    return images.dtype == np.uint8 and black_and_white(int(images.min()), int(images.max())) == (0, 255)


def pictures(images: np.ndarray, are_bytes: bool = False) -> list[bytes]:
    """Images [n, h, w, c] as PNG files. Colours where there are 3 or 4 channels, else the first channel in grey; where black is
    not 0 and white not 255, they are scaled so that the least value of all images is black and the largest white."""
    if not are_bytes and images.size:
        low, high = float(images.min()), float(images.max())
        images = np.round((images.astype(np.float64) - low) * (255 / ((high - low) or 1.0))).astype(np.uint8)
    shown = images[..., :3] if images.shape[-1] in (3, 4) else images[..., 0]
    files = []
    for pixels in shown:
        picture, file = Image.fromarray(np.ascontiguousarray(pixels)), io.BytesIO()
        picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
        picture.save(file, "PNG", optimize=True)
        files.append(file.getvalue())
    return files
