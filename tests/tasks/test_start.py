"""A search that starts from a model of the user's: what it takes from it, what it says, and what it refuses."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from keras import layers

from nash_tf.architecture import Architecture
from nash_tf.config import ConfigError, SearchConfig
from nash_tf.data import identity
from nash_tf.data.dataset import Dataset
from nash_tf.data.forms import Form
from nash_tf.data.pipeline import Pipeline
from nash_tf.data.pixels import scaling
from nash_tf.files import run_directory, start_file
from nash_tf.settings.images import PIXELS
from nash_tf.tasks import image_classification, learnt_before, start
from nash_tf.tasks.learnt_before import UNKNOWN, VALIDATION
from tests.helpers.processes import here, lineage

RNG = np.random.default_rng(0)


def dataset_of(shape=(8, 8, 1), classes=3, images=60):
    """Images of which each class has a brightness of its own."""
    labels = np.arange(images, dtype=np.int32) % classes
    pixels = np.clip(40 + 70 * labels[:, None, None, None] + RNG.normal(0, 8, (images, *shape)), 0, 255).astype(
        np.uint8
    )
    parts = {
        f"{letter}_{part}": array
        for part in ("train", "valid", "test")
        for letter, array in zip("xy", (pixels, labels), strict=True)
    }
    mean, std = pixels.mean((0, 1, 2), dtype=np.float32), pixels.std((0, 1, 2), dtype=np.float32)
    return Dataset("bright", **parts, class_names=("a", "b", "c", "d")[:classes], flips=True, mean=mean, std=std)


DATA = dataset_of()


def trained(pixels="unit", first=None, classes=3, epochs=12):
    """A classifier of DATA that takes these pixel values."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    x = first(image) if first else image
    x = layers.Conv2D(8, 3, padding="same", name="conv")(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.8, name="bn")(x))
    model = keras.Model(image, layers.Dense(classes, "softmax", name="predictions")(layers.GlobalAveragePooling2D()(x)))
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    offset, divisor = scaling(pixels, DATA.mean, DATA.std, np.dtype(np.uint8))
    if epochs:
        model.fit((DATA.x_train - offset) / divisor, DATA.y_train, batch_size=20, epochs=epochs, verbose=0)
    return model


def config_of(path, **changed):
    return SearchConfig(**{"method": "shr", **changed}, start=str(path))


@pytest.fixture(scope="module")
def unit(tmp_path_factory):
    """A model that takes pixels from 0 to 1, and its file."""
    path, model = tmp_path_factory.mktemp("start") / "unit.keras", trained()
    model.save(path)
    return model, path


def probabilities(model, images):
    return np.asarray(keras.ops.softmax(model.predict(images, verbose=0)))


def test_the_first_network_computes_what_the_model_does(unit):
    model, path = unit
    config = config_of(path)
    first = image_classification.ImageClassifier(config, DATA, None, None).build(None)
    images = (DATA.x_train / 255).astype(np.float32)
    np.testing.assert_allclose(probabilities(first, images), model.predict(images, verbose=0), atol=1e-6)
    assert first.optimizer.momentum == config.momentum and first.loss.name == "categorical_crossentropy"
    assert image_classification.first_network(config, DATA).params == Architecture.from_keras(model).params


def test_the_pixel_values_are_those_that_it_is_least_wrong_with(unit, tmp_path):
    _, path = unit
    assert start.with_pixels(config_of(path), DATA, None).start_pixels == "unit"
    trained("signed").save(tmp_path / "signed.keras")
    assert start.with_pixels(config_of(tmp_path / "signed.keras"), DATA, None).start_pixels == "signed"


def test_pixel_values_that_are_given_or_that_a_run_began_with_stay(unit):
    _, path = unit
    assert start.with_pixels(config_of(path, start_pixels="raw"), DATA, None).start_pixels == "raw"
    begun = config_of(path, start_pixels="standard")
    assert start.with_pixels(config_of(path), DATA, begun).start_pixels == "standard"
    augmentation = image_classification.augmentation_of(begun, DATA)
    assert (
        augmentation.pixels == "standard" and image_classification.augmentation_of(SearchConfig(), DATA).pixels is None
    )
    with pytest.raises(ConfigError, match="--start_pixels=imagenet: is for images of 3 channels, these have 1"):
        start.with_pixels(config_of(path, start_pixels="imagenet"), DATA, None)


def test_a_model_that_scales_its_pixels_is_given_them_as_they_are(tmp_path):
    trained("raw", layers.Rescaling(1 / 255)).save(tmp_path / "model.keras")
    config = start.with_pixels(config_of(tmp_path / "model.keras"), DATA, None)
    assert config.start_pixels == "raw"
    lines = " ".join(start.describe(config, DATA))
    assert "It is given pixel values as they are, 0 to 255, since it scales them itself" in lines
    assert "As it is, it is right for 100% of 60 training images" in lines


def test_floats_for_a_model_that_scales_its_pixels_are_not_guessed_at(tmp_path):
    trained("raw", layers.Rescaling(1 / 255), epochs=0).save(tmp_path / "model.keras")
    config, floats = config_of(tmp_path / "model.keras"), DATA.x_train.astype(np.float32)
    small, large = dataclasses.replace(DATA, x_train=floats / 255), dataclasses.replace(DATA, x_train=floats)
    with pytest.raises(
        ConfigError, match="scales pixel values itself, .* give --start_pixels=raw .* uint8 from 0 to 255"
    ):
        start.with_pixels(config, small, None)
    assert start.with_pixels(config, large, None).start_pixels == "raw"
    config = start.with_pixels(config_of(tmp_path / "model.keras", start_pixels="raw"), small, None)
    assert "pixel values as they are, since it scales them itself" in " ".join(start.describe(config, small))


@pytest.mark.parametrize("method, said", [("scale", True), ("grow", False)])
def test_that_learned_filters_may_go_is_said(unit, method, said):
    lines = start.describe(config_of(unit[1], start_pixels="unit", method=method), DATA)
    assert ("judged by their weights alone; nash_tf.shrink" in " ".join(lines)) is said


def test_what_is_done_with_the_model_is_said(unit):
    _, path = unit
    config = config_of(path, start_pixels="unit", widths=(8,), augment=("normalise", "flip"))
    lines = start.describe(config, DATA)
    assert lines[0] == f"The search starts from {path}, 123 parameters."
    assert "softmax is taken off" in lines[1] and lines[2].startswith("It is given pixel values from 0 to 1")
    assert (
        "right for 100% of 60 training images and 100% of 60 validation images. Its outputs are taken for the classes in this order: a, b, c."
        in lines[3]
    )
    assert lines[4] == "Not used with it: --widths, --augment=normalise."
    assert start.describe(SearchConfig(), DATA) == []


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (["a", "b", "c"], None),
        (["a", "b", "d"], "learnt other classes: c for d, of 3."),
        (["b", "c", "d"], "learnt other classes: a for b, b for c, c for d, of 3."),
        (["a", "b"], None),  # of a model with another head
        ({"a": 1}, None),
        (None, None),
    ],
)
def test_classes_beside_the_model_that_are_other_ones_are_named(known, said, unit, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(unit[1].read_bytes())
    if known is not None:
        (tmp_path / "classes.json").write_text(json.dumps(known))
    found = [line for line in start.describe(config_of(path, start_pixels="unit"), DATA) if "learnt other" in line]
    assert len(found) == bool(said) and (said is None or said in found[0])


def test_the_model_is_scored_as_it_was_given(unit):
    config = config_of(unit[1], start_pixels="unit")
    pipeline = Pipeline(DATA.mean, DATA.std, 3, 16, image_classification.augmentation_of(config, DATA))
    wrong = dataclasses.replace(DATA, y_valid=(DATA.y_valid + (np.arange(60) < 15)).astype(np.int32) % 3)
    found = start.scores(config, wrong, pipeline)
    assert (found["test_accuracy"], found["val_accuracy"]) == (1.0, 0.75)
    assert found["test_loss"] < 0.5 and "test_balanced_interval" in found
    assert start.scores(SearchConfig(), DATA, pipeline) is None
    assert start.scores(dataclasses.replace(config, start="gone.keras"), DATA, pipeline) is None
    four = dataset_of(classes=4)
    assert start.scores(config, four, pipeline) is None, "it has a new head"


def told(config, dataset):
    """Which notes on what the model may have learnt already are added to those of a data set."""
    found = start.with_notes(config, dataset).notes
    assert found[len(found) - len(dataset.notes) :] == dataset.notes
    return found[: len(found) - len(dataset.notes)]


def run_of(folder, dataset, results, **settings):
    """A run's directory with its settings and results, and the paths of its models, which are not there."""
    config = SearchConfig(method="sh", output_dir=str(folder), **settings)
    run_directory.write_config(config, identity.versions(dataset))
    (folder / "results.json").write_text(json.dumps({"epochs": 1, **results}))
    return folder / "best" / "model.keras"


def test_whether_the_model_has_learnt_from_images_that_judge_networks_is_noted(unit, tmp_path):
    (model, path), noted = unit, dataclasses.replace(DATA, notes=("Of these images something is known",))
    best = run_of(tmp_path / "run", DATA, {"final_epochs_done": 0})
    best.parent.mkdir()
    model.save(best)
    rolled = dataclasses.replace(noted, y_test=np.roll(DATA.y_test, 1), x_test=np.roll(DATA.x_test, 1, axis=0))
    more_classes = dataclasses.replace(noted, class_names=("a", "b", "c", "new"))
    config = config_of(best, start_pixels="unit")
    assert [told(config, each) for each in (noted, rolled, more_classes)] == [(), (UNKNOWN,), (UNKNOWN,)]
    assert told(config_of(path), noted) == (UNKNOWN,)
    assert told(SearchConfig(), noted) == ()


def test_a_final_training_had_the_validation_images_too(tmp_path):
    front = [{"directory": f"front/{size}", "knows_validation": size == 2} for size in (2, 3)]
    best = run_of(tmp_path / "run", DATA, {"final_epochs_done": 2, "front": front})
    assert learnt_before.notes(str(best), DATA) == (VALIDATION,)
    small, larger, other = (best.parents[1] / "front" / size / "model.keras" for size in ("2", "3", "4"))
    assert [learnt_before.notes(str(each), DATA) for each in (small, larger, other)] == [(VALIDATION,), (), (UNKNOWN,)]
    assert learnt_before.notes(str(run_of(tmp_path / "old", DATA, {})), DATA) == (UNKNOWN,)


def test_a_model_knows_what_the_one_knew_that_its_run_began_with(tmp_path):
    def after(name, first):
        (tmp_path / name).mkdir()
        first.parent.mkdir(exist_ok=True)
        first.touch()
        return run_of(tmp_path / name / "run", DATA, {"final_epochs_done": 0}, start=str(first))

    others = dataclasses.replace(DATA, y_test=np.roll(DATA.y_test, 1))
    clean = run_of(tmp_path / "clean", DATA, {"final_epochs_done": 0})
    final = run_of(tmp_path / "final", DATA, {"final_epochs_done": 1})
    other = run_of(tmp_path / "other", others, {"final_epochs_done": 0})
    found = [
        learnt_before.notes(str(after(name, first)), DATA)
        for name, first in (
            ("1", clean),
            ("2", final),
            ("3", other),
            ("4", tmp_path / "mine.keras"),
            ("5", final.parent / "architecture.json"),
        )
    ]
    assert found == [(), (VALIDATION,), (UNKNOWN,), (UNKNOWN,), ()]


def test_an_architecture_alone_has_its_weights_drawn_anew(unit, tmp_path):
    (model, _), path = unit, tmp_path / "architecture.json"
    path.write_text(Architecture.from_keras(model).to_json())
    config = start.with_pixels(config_of(path), DATA, None)
    assert config.start_pixels == "standard"
    first = image_classification.ImageClassifier(config, DATA, None, None).build(None)
    assert Architecture.from_keras(first).params == Architecture.from_keras(model).params
    assert not np.array_equal(first.get_layer("conv").get_weights()[0], model.get_layer("conv").get_weights()[0])
    lines = start.describe(config, DATA)
    assert any("drawn anew" in line for line in lines) and not any("As it is" in line for line in lines)
    path.write_text("{}")
    with pytest.raises(ConfigError, match="this is no architecture"):
        start.start_of(config, DATA)


def test_scratch_needs_what_it_begins_anew():
    with pytest.raises(ConfigError, match="--method=scratch: needs a winner's architecture"):
        start_file.check(None, "scratch")
    start_file.check(None, "fixed")


def test_another_number_of_classes_gets_a_new_head_and_keeps_the_rest(unit):
    model, path = unit
    config = start.with_pixels(config_of(path), dataset_of(classes=4), None)
    first = image_classification.ImageClassifier(config, dataset_of(classes=4), None, None).build(None)
    assert config.start_pixels == "signed" and first.output_shape == (None, 4)
    for name in ("conv", "bn"):
        for one, two in zip(first.get_layer(name).get_weights(), model.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)
    lines = " ".join(start.describe(config, dataset_of(classes=4)))
    assert (
        "Its head, predictions, gave 3 classes and is replaced by a new one for 4." in lines and "As it is" not in lines
    )


def test_one_output_for_two_classes_gives_the_same_probabilities(tmp_path):
    image = keras.Input((8, 8, 1), name="image")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(image))
    model = keras.Model(image, layers.Dense(1, "sigmoid", bias_initializer="ones")(x))
    model.save(tmp_path / "model.keras")
    two = dataset_of(classes=2)
    first = start.start_of(config_of(tmp_path / "model.keras"), two).model()
    images = two.x_train.astype(np.float32) / 255
    np.testing.assert_allclose(probabilities(first, images)[:, 1:], model.predict(images, verbose=0), atol=1e-6)


def test_frozen_layers_stay_so_and_are_named(tmp_path):
    model = trained(epochs=0)
    model.get_layer("conv").trainable = False
    model.save(tmp_path / "model.keras")
    config = config_of(tmp_path / "model.keras", start_pixels="unit")
    assert any("1 of its layers are frozen and stay so (conv)" in line for line in start.describe(config, DATA))
    assert not start.start_of(config, DATA).model().get_layer("conv").trainable


def test_a_file_that_changes_is_loaded_anew(unit, tmp_path):
    model, _ = unit
    path = tmp_path / "model.keras"
    model.save(path)
    before = start.start_of(config_of(path), DATA)
    assert start.start_of(config_of(path), DATA) is before
    other = trained(epochs=0)
    other.get_layer("conv").set_weights([np.ones((3, 3, 1, 8)), np.zeros(8)])
    other.save(path)
    assert (start.start_of(config_of(path), DATA).weights["conv", "kernel"] == 1).all()


REFUSED = [
    (
        {"shape": (9, 7, 1)},
        "takes images of 8x8x1, and these are 9x7x1; build it for 9x7 pixels, with the same weights",
    ),
    ({"shape": (9, 7, 1), "form": True}, "takes images of 8x8x1, and these are 9x7x1; give --image_size=8x8"),
    (
        {"shape": (9, 7, 3)},
        "save one that makes 1 channels of 3: image = keras.Input((8, 8, 3)), keras.Model(image, model(",
    ),
]


@pytest.mark.parametrize(("given", "expected"), REFUSED)
def test_images_that_do_not_fit_are_refused_with_what_to_do(given, expected, unit):
    made = dataset_of(given["shape"])
    if "form" in given:
        made = dataclasses.replace(made, form=Form(9, 7, 1))
    with pytest.raises(ConfigError) as error:
        image_classification.check(config_of(unit[1]), made)
    assert expected in str(error.value) and str(error.value).startswith(f"--start={unit[1]}: takes")


@pytest.mark.parametrize(("channels", "given"), start._CHANNELS)
def test_what_is_to_be_done_about_other_channels_works(channels, given, tmp_path):
    inner = keras.Input((8, 8, channels))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(inner))
    keras.Model(inner, layers.Dense(3)(x)).save(tmp_path / "model.keras")
    config, made = config_of(tmp_path / "model.keras"), dataset_of((8, 8, given))
    with pytest.raises(ConfigError, match="makes . channels of .: image = ") as error:
        image_classification.check(config, made)
    code = str(error.value).partition(f"of {given}: ")[2].replace("), keras.Model", "); better = keras.Model")
    found = {"keras": keras, "model": keras.saving.load_model(config.start)}
    exec(code, found)
    found["better"].save(config.start)
    image_classification.check(config, made)


def test_a_model_in_which_nothing_can_grow_and_one_that_is_too_large_are_refused(unit, tmp_path):
    image = keras.Input((8, 8, 1))
    keras.Model(image, layers.Dense(3)(layers.Flatten()(image))).save(tmp_path / "model.keras")
    with pytest.raises(ConfigError, match="cannot be searched: no operator of shr has a place in it"):
        image_classification.check(config_of(tmp_path / "model.keras"), DATA)
    image_classification.check(SearchConfig(method="fixed", start=str(tmp_path / "model.keras")), DATA)
    with pytest.raises(ConfigError, match="--max_params=100: must be at least the first network's 123"):
        image_classification.check(config_of(unit[1], max_params=100), DATA)
    image_classification.check(
        SearchConfig(method="fixed", start=str(unit[1]), max_params=100), DATA
    )  # it does not grow


def small_backbone():
    """Without pooling, as `include_top=False` gives it."""
    image = keras.Input((32, 32, 3))
    return keras.Model(image, layers.Conv2D(8, 3, strides=4, activation="relu", name="Conv1")(image))


def of_keras():
    return keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, include_top=False, pooling="avg")


@pytest.mark.parametrize("make", [of_keras, small_backbone])
def test_a_backbone_gets_a_head(make, tmp_path):
    backbone = make()
    backbone.save(tmp_path / "model.keras")
    config = config_of(tmp_path / "model.keras")
    made = dataset_of((32, 32, 3))
    image_classification.check(config, made)
    first = start.start_of(config, made).model()
    assert first.output_shape == (None, 3) and start.with_pixels(config, made, None).start_pixels == "signed"
    np.testing.assert_array_equal(first.get_layer("Conv1").kernel, backbone.get_layer("Conv1").kernel)


def test_every_scaling_of_pixels():
    pixels, mean, std = np.array([0, 255], np.float32)[:, None], np.float32([100] * 3), np.float32([50] * 3)
    found = {}
    for name in PIXELS:
        offset, divisor = scaling(name, mean, std, np.dtype(np.uint8))
        found[name] = ((pixels - offset) / divisor)[:, 0].tolist()
        assert offset.dtype == divisor.dtype == np.float32
    assert found.pop("imagenet") == pytest.approx([-0.485 / 0.229, 0.515 / 0.229], rel=1e-5)
    assert found == {"raw": [0, 255], "unit": [0, 1], "signed": [-1, 1], "standard": pytest.approx([-2, 3.1])}
    with pytest.raises(ValueError, match="imagenet is for images of 3 channels"):
        scaling("imagenet", mean[:1], std[:1], np.dtype(np.uint8))


def test_a_search_with_workers_that_load_the_file_themselves(unit, tmp_path):
    arguments = [f"--start={unit[1]}", "--steps=1", "--train_limit=100", "--workers=2"]
    printed = here(tmp_path / "run", *arguments)
    first, *others = lineage(tmp_path / "run")
    assert (
        first["params"] == 123 - 27 + 90 and len(others) == 3 and {each["status"] for each in others} == {"completed"}
    )
    assert "is replaced by a new one for 10" in printed and f"Note: {UNKNOWN}." in printed
    assert UNKNOWN in json.loads((tmp_path / "run" / "results.json").read_text())["test"]["notes"]
    settings = json.loads((tmp_path / "run" / "config.json").read_text())
    assert settings["start_pixels"] == "signed" and settings["versions"]["--start"].startswith("sha256 ")
    exported = keras.models.load_model(tmp_path / "run" / "best" / "model.keras")
    assert exported.input_shape == (None, 8, 8, 1) and exported.output_shape == (None, 10)
