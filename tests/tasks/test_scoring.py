"""The test of networks: scores and pictures."""

import io
import types

import keras
import numpy as np
import pytest
from PIL import Image

from nash_tf.data import notes
from nash_tf.data.augmentation import Augmentation
from nash_tf.data.pipeline import Pipeline
from nash_tf.tasks import scoring


def data_set(kind=np.uint8, channels=3, size=(4, 5)):
    """Images, read from files, whose first pixel says their class; what a data set has of it for the test."""
    labels = np.repeat([0, 1, 2], [20, 9, 3]).astype(np.int32)
    images = np.zeros((32, *size, channels), kind)
    images[:, 0, 0, 0] = labels
    named = {
        "class_names": ("a", "b", "c"),
        "y_train": np.array([0, 1, 1]),
        "x_test": images,
        "y_test": labels,
        "form": size,
        "y_valid": np.arange(200) % 3,
        "notes": ("all is grey",),
        "copies": notes.Copies(3, 2, 1),
    }
    return types.SimpleNamespace(**named)


def network(answers):
    """Gives the class whose number `answers` has for the class of the image, with a probability that grows by the class."""
    image = keras.Input((4, 5, 3))
    table = keras.layers.Embedding(3, 3, weights=[np.array(answers, np.float32)])
    return keras.Model(image, table(keras.ops.cast(image[:, 0, 0, 0], "int32")))


@pytest.fixture(scope="module")
def tested(tmp_path_factory):
    found = data_set()
    pipeline = Pipeline(np.zeros(3), np.ones(3), 3, 10, Augmentation(normalise=True))
    perfect, lazy = network(9 * np.eye(3)), network([[2, 0, 0], [2, 0, 0], [0, 5, 0]])
    tallies = scoring.on_test_images(found, pipeline, "one", lazy, perfect, perfect)
    assert tallies[1] is tallies[2]
    record = scoring.test_record(found, *tallies)
    folder = tmp_path_factory.mktemp("run") / "mistakes"
    return record, scoring.write_mistakes(folder, found, tallies[0].mistakes), folder, tallies


def test_all_three_networks_are_scored_and_the_base_rate_is_that_of_training_s_largest_class(tested):
    record, *_ = tested
    assert (record["images"], record["largest_class"], record["base_rate"]) == (32, "b", round(9 / 32, 6))
    assert record["model"]["correct"] == 20 and record["model"]["confusion"] == [[20, 0, 0], [9, 0, 0], [0, 3, 0]]
    assert record["winner"]["accuracy"] == record["first_network"]["accuracy"] == 1.0
    assert record["copies"] == {"validation": 3, "test": 2, "contradicting": 1}
    assert record["notes"] == ["Of c there are no training images: they are never learnt", "all is grey"]
    assert record["winner"]["interval"][0] < 1 and "by_class" not in record["winner"]


def test_of_mirrored_views_the_mean_is_scored():
    found, pipeline = data_set(), Pipeline(np.zeros(3), np.ones(3), 3, 10, Augmentation(normalise=True))
    found.x_test[:, 0, -1, 0] = 2  # what the mirror image is taken for, with certainty
    unsure = network([[1, 0, 0], [0, 1, 0], [0, 0, 9]])
    one, both = (scoring.on_test_images(found, pipeline, view, unsure)[0] for view in ("one", "mirrored"))
    assert one.confusion.trace() == 32 and both.confusion.tolist() == [[0, 0, 20], [0, 0, 9], [0, 0, 3]]


def test_loss_is_keras(tested):
    found, tallies = data_set(), tested[3]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    lazy = np.array([[2, 0, 0], [2, 0, 0], [0, 5, 0]])[found.y_test]
    assert tallies[0].loss == pytest.approx(float(loss(found.y_test, lazy)), rel=1e-6)


def test_the_worst_mistakes_are_pictures(tested):
    _, mistakes, folder, _ = tested
    assert len(mistakes) == 12 and [each["image"] for each in mistakes[:4]] == [29, 30, 31, 20]
    share = np.exp(5) / (np.exp(5) + 2)
    assert mistakes[0] == {
        "image": 29,
        "class": "c",
        "named": "b",
        "probability": round(share, 6),
        "file": "mistakes/000029.png",
    }
    assert sorted(path.name for path in folder.iterdir()) == [f"{number:06}.png" for number in range(20, 32)]
    with Image.open(folder / "000029.png") as picture:
        assert picture.size == (5, 4) and picture.getpixel((0, 0)) == (2, 0, 0)


@pytest.mark.parametrize(("form", "most", "shown"), [(None, 16, 255), (None, 250, 2), ((4, 5), 16, 2)])
def test_a_picture_of_arrays_is_stretched_where_they_do_not_reach_from_0_to_255(form, most, shown, tested, tmp_path):
    found = data_set()
    found.form, found.x_test[0, 1, 1, 1] = form, most  # of an image that is no mistake
    scoring.write_mistakes(tmp_path / "mistakes", found, tested[3][0].mistakes)
    with Image.open(tmp_path / "mistakes" / "000029.png") as picture:
        assert picture.getpixel((0, 0)) == (shown, 0, 0)


@pytest.mark.parametrize(
    ("kind", "channels", "mode"),
    [(np.uint8, 1, "L"), (np.float32, 3, "RGB"), (np.uint8, 4, "RGB"), (np.float32, 2, "L")],
)
def test_pictures_of_any_images(kind, channels, mode):
    images = np.linspace(-3, 7, 2 * 200 * 100 * channels).reshape(2, 200, 100, channels).astype(kind)
    first, second = (Image.open(io.BytesIO(file)) for file in scoring.pictures(images))
    assert first.mode == second.mode == mode and first.size == (48, 96)
    if kind == np.float32:
        assert np.asarray(first).min() == 0 and np.asarray(second).max() == 255
    assert scoring.pictures(images[:0]) == []
