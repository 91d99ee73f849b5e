"""What is said of data before anything is trained."""

from dataclasses import replace

import numpy as np
import pytest

from nash_tf import data
from nash_tf.data import description, image_files
from nash_tf.settings.images import ImageSettings
from tests.photo_folder import make_mixed


@pytest.fixture
def photos(tmp_path):
    make_mixed(tmp_path / "photos", 120, (20, 60), ("ant", "bee", "rare"))
    return str(tmp_path / "photos")


def test_a_folder_of_photographs(photos):
    d = data.load(photos)
    classes, images, balance, memory, *notes = data.describe(d)
    assert classes == "Data: photos, 86 images in 3 classes: ant 40, bee 40, rare 6."
    assert images == "Images: 62 to train on, 7 to validate on, 17 to test on; 32x32, colour."
    name, share = description.base_rate(d)
    assert share == np.mean(d.y_test == d.class_names.index(name)) and name in ("ant", "bee")
    assert f"({name}) is right for {share:.1%}" in balance and "7 times as many of ant as of rare" in balance
    assert memory == "Memory: images take 1 MB, beside what TensorFlow and the networks do."
    assert any("sizes" in note for note in notes) and any("grey" in note for note in notes)
    assert notes[0].startswith(
        "Note: Networks are compared on 7 validation images, so that their accuracy moves in steps of 14 points"
    )


def test_a_class_that_a_part_has_no_image_of_is_named(photos):
    d = data.load(photos)
    assert not any("there are no" in note for note in description.notes(d))
    few = replace(d, y_train=np.where(d.y_train == 2, 0, d.y_train), y_valid=np.full_like(d.y_valid, 1))
    notes = description.notes(few)
    assert "Of rare there are no training images: they are never learnt" in notes
    assert "Of ant, rare there are no validation images: the choice among networks does not regard them" in notes
    assert not any("test images" in note and "there are no" in note for note in notes)


def test_the_bundled_digits():
    lines = data.describe(data.load("digits"))
    assert lines[1] == "Images: 1,294 to train on, 144 to validate on, 359 to test on; 8x8, grey."
    assert len(lines) == 4 and "times as many" not in lines[2]


def test_a_limit_on_images_is_said():
    lines = data.describe(data.load("digits", train_limit=1200))
    assert lines[-1] == "Note: 238 of 1,438 training images are not used: --train_limit=1200."


def test_copies_are_among_it(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (33, 6, 5, 3)).astype(np.uint8)
    y = np.arange(33) % 3
    np.savez(tmp_path / "a.npz", x_train=x[:30], y_train=y[:30], x_test=x[24:], y_test=y[24:])
    last = data.describe(data.load(str(tmp_path / "a.npz")))[-1]
    assert last == "Note: 6 of 9 test images are exact copies of training or validation images."


def test_notes_for_whoever_reads_a_score_are_all_that_is_known_of_the_images(photos):
    d = data.load(photos, images=ImageSettings(memory_share=1e-9))
    lines = data.describe(d)
    assert lines[4:] == [f"Note: {note}." for note in (*description.notes(d), *d.kept)]
    assert description.notes(d)[0].startswith("Networks are compared on 7") and set(d.notes) < set(description.notes(d))
    assert "Decoded images are kept" in d.kept[0] and not any("kept" in note for note in description.notes(d))


@pytest.mark.parametrize("share, words", [(1.0, "images take 1 MB"), (1e-9, "images stay on disk")])
def test_memory_of_many_images(photos, monkeypatch, share, words):
    monkeypatch.setattr(image_files, "SMALL", 0)
    assert words in data.describe(data.load(photos, images=ImageSettings(memory_share=share)))[3]


def test_many_classes_are_cut(tmp_path):
    y = np.tile(np.arange(100), 4)
    x = np.random.default_rng(0).integers(0, 256, (400, 4, 4)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    assert data.describe(data.load(str(tmp_path / "a.npz")))[0].endswith("11 8 and 88 more.")
