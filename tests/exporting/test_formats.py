"""Every format of a small classifier, each in its own clean process, and what is written beside them.

A format whose packages are not installed is skipped.
"""

import csv
import importlib.util
import io
import json
import math
import os
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from nash_tf import export_formats, predict
from nash_tf.export_formats import FORMATS
from nash_tf.exporting import clean_process
from nash_tf.exporting.export import ExportError, export
from nash_tf.exporting.images import Images
from tests.exporting.test_export import here, numbers, several, words  # noqa: F401

NAMES = ("dark", "grey, or so", "|light")
OTHERS = [name for name in export_formats.NAMES if name not in export_formats.ALWAYS]


def need(name):
    for module in FORMATS[name].PACKAGES.values():
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


@pytest.fixture(scope="module")
def pixels():
    """Coloured images 8 x 8 in three classes of brightness, uint8, and their labels."""
    dice = np.random.default_rng(0)
    labels = np.arange(150) % 3
    return (dice.integers(0, 86, (150, 8, 8, 3)) + 85 * labels[:, None, None, None]).astype(np.uint8), labels


@pytest.fixture(scope="module")
def classifier(pixels):
    x, y = pixels
    image = keras.Input((8, 8, 3), name="pixels")
    h = layers.Rescaling(1 / 128, -1)(image)
    h = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", use_bias=False)(h)))
    h = layers.SeparableConv2D(8, 3, padding="same")(layers.MaxPooling2D()(h))
    model = keras.Model(image, layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(h)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    keras.utils.set_random_seed(0)
    model.compile(keras.optimizers.Adam(0.02), loss)
    model.fit(x, y, epochs=8, verbose=0)
    return model


@pytest.fixture(scope="module")
def images(pixels):
    x, y = pixels
    return Images(NAMES, {"training": y[:90], "test": y[90:]}, x[:90], x[90:], y[90:])


@pytest.fixture(scope="module")
def exported(classifier, images, tmp_path_factory):
    """Directory, what was returned, and images in a folder beside it."""
    directory = tmp_path_factory.mktemp("run") / "best"
    facts = {"seed": 0, "classes": 3}
    found = export(classifier, directory, images.test[:4], facts, formats=export_formats.installed(), images=images)
    photos = directory.parent / "photos"
    photos.mkdir()
    for number in range(6):
        Image.fromarray(images.test[number]).save(photos / f"{number}.png")
    return directory, found, photos


def test_they_agree_with_the_saved_model(exported):
    directory, found, _ = exported
    assert tuple(found) == export_formats.installed() and found["saved_model"]["test_accuracy"] > 0.6
    measured = {name: each for name, each in found.items() if name != "keras"}
    for name, each in measured.items():
        assert (directory / each["file"]).exists() and each["bytes"] > 1000 and each["test_images"] == 60
        assert 0 < each["milliseconds"] < 1000
        lost = abs(each["test_accuracy"] - found["saved_model"]["test_accuracy"])
        assert lost <= (0.05 if name == "int8" else 0.001), name


def test_the_card_tells_what_a_person_needs(exported):
    directory, found, _ = exported
    card = (directory / "model_card.md").read_text()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in card.splitlines() if line.startswith("| ")
    ]
    assert (
        ["1", "grey, or so", "30", "20"] in rows
        and r"| 2 | \|light | 30 | 20 |" in card
        and ["", "all", "90", "60"] in rows
    )
    for name, each in found.items():
        assert any(row[:2] == [FORMATS[name].TITLE, f"`{each['file']}`"] for row in rows), name
    for said in (
        "Input `pixels`: [any, 8, 8, 3], float32, pixel values from 0 to 255",
        "float32, logits",
        "| seed | 0 |",
    ):
        assert said in card
    assert "python predict.py" in card and "Each class has 30 training images" in card
    assert json.loads((directory / "classes.json").read_text()) == list(NAMES)
    assert 'open("classes.json", encoding="utf-8")' in card  # as it is written, whatever the system's encoding


@pytest.mark.parametrize(
    "last, loss, output",
    [
        (None, None, "logits"),
        ("softmax", None, "probabilities"),
        ("sigmoid", "binary_crossentropy", "probabilities"),
        (None, "mse", "logits"),
    ],
)
def test_whether_the_outputs_are_logits_is_seen_where_the_loss_does_not_tell(
    last,
    loss,
    output,
    here,  # noqa: F811
    classifier,
    images,
    tmp_path,
):
    logits = keras.models.clone_model(classifier)
    logits.set_weights(classifier.get_weights())
    x = keras.Input((8, 8, 3))
    model = keras.Model(x, layers.Activation(last)(logits(x)) if last else logits(x))
    if loss:
        model.compile("sgd", loss)
    export(model, tmp_path / "out", images=images)
    assert json.loads((tmp_path / "out" / "image.json").read_text())["output"] == output
    assert (", logits" in (tmp_path / "out" / "model_card.md").read_text()) is (output == "logits")


def test_the_cards_code_names_the_class_by_every_format(exported, classifier, images):
    directory, found, photos = exported
    card = (directory / "model_card.md").read_text()
    blocks = [block.split("```")[0] for block in card.split("```python\n")[1:]]
    assert len(blocks) == len(found)
    clear = directory.parent / "clear.png"  # light only where it is laid on white
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(clear)
    program = "\n".join(blocks)
    program = "\n".join(program.replace("image.png", str(file)) for file in (photos / "0.png", clear))
    done = subprocess.run([sys.executable, "-E", "-c", program], cwd=directory, capture_output=True, text=True)
    pixels = np.stack([images.test[0], np.full((8, 8, 3), 255)]).astype(np.float32)
    expected = [NAMES[number] for number in np.argmax(classifier(pixels), axis=1)]
    assert expected[0] != expected[1]
    assert done.stdout.splitlines() == [name for name in expected for _ in blocks], done.stderr


def test_the_script_needs_nothing_of_this_package_and_does_what_the_command_does(exported, classifier, images, capsys):
    directory, _, photos = exported
    (photos / "odd").mkdir()
    Image.fromarray(images.test[6]).resize((20, 11)).convert("L").save(photos / "odd" / "wide, grey.jpg")
    (photos / "odd" / "broken.png").write_bytes(b"\x89PNG")
    (photos / "odd" / "notes.txt").write_text("text")
    script = [sys.executable, "-I", str(directory / "predict.py"), str(photos), "--csv"]
    done = subprocess.run(script, capture_output=True, text=True, cwd="/")
    assert predict.main([str(directory.parent), str(photos), "--csv"]) == done.returncode == 1
    printed = capsys.readouterr()
    assert printed.out == done.stdout
    assert printed.err == done.stderr
    assert len(printed.err.splitlines()) == 1 and "broken.png: left out: cannot identify" in printed.err
    rows = list(csv.reader(io.StringIO(printed.out)))
    assert rows[0] == ["file", "class", "probability"]
    assert [os.path.relpath(row[0], photos) for row in rows[1:]] == [
        *(f"{n}.png" for n in range(6)),
        "odd/wide, grey.jpg",
    ]
    scores = keras.ops.softmax(classifier(images.test[:6].astype(np.float32))).numpy()
    for row, score in zip(rows[1:], scores, strict=False):
        assert row[1] == NAMES[score.argmax()] and math.isclose(float(row[2]), score.max(), abs_tol=2e-6)


def test_a_line_for_a_person(exported, capsys):
    directory, _, photos = exported
    assert predict.main([str(directory), str(photos / "0.png")]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    file, name, probability = line.split("  ")
    assert file.endswith("0.png") and name in NAMES and probability.endswith("%")


def unnamed(inputs):
    """One or two inputs without a name of their own."""
    images = [keras.Input((3,)) for _ in range(inputs)]
    x = layers.Concatenate()(images) if inputs > 1 else images[0]
    return keras.Model(images, layers.Dense(2)(x))


def called():
    """Outputs by names of unequal length, in whose order they are, and images of any size."""
    image = keras.Input((None, None, 3), name="image")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, padding="same")(image))
    return keras.Model(image, {"aa": layers.Dense(2)(x), "b": layers.Dense(2)(x)})


WORDS = {"weight": numbers(2, 3), "words": np.array([[1, 2, 3, 4, 5], [0, 0, 6, 0, 0]])}


@pytest.mark.parametrize("name", [each for each in OTHERS if each != "int8"])
@pytest.mark.parametrize(
    ("make", "example"),
    [
        (several, WORDS),
        (lambda: unnamed(1), [numbers(2, 3)]),
        (lambda: unnamed(2), [numbers(2, 3), numbers(2, 3)]),
        (called, numbers(2, 6, 7, 3)),
    ],
    ids=["several", "one_unnamed", "two_unnamed", "called"],
)
def test_inputs_and_outputs_of_any_number_and_name(make, example, name, here, tmp_path):  # noqa: F811
    need(name)
    found = export(make(), tmp_path / "out", example, formats=[name])
    assert sorted(found) == sorted([*export_formats.ALWAYS, name]) and "test_accuracy" not in found[name]
    card = (tmp_path / "out" / "model_card.md").read_text()
    block = card.split(f"### {FORMATS[name].TITLE}\n")[1].split("```python\n")[1].split("```")[0]
    before = os.getcwd()
    os.chdir(tmp_path / "out")
    try:
        space = {"print": lambda output: None}
        exec(block, space)
    finally:
        os.chdir(before)
    assert space["output"].shape == (1, 2)


@pytest.mark.parametrize("name", OTHERS)
def test_a_format_that_cannot_be_made_is_left_out_and_said_so(name, here, tmp_path):  # noqa: F811
    need(name)
    said = []
    export(words(), tmp_path / "out", [["long"]], formats=[name], left_out=lambda *what: said.append(what))
    ((left, reason),) = said
    assert left == name and len(reason.splitlines()) == 1
    module = FORMATS[name]
    assert not (tmp_path / "out" / module.FILE).exists()
    assert f"Without {module.TITLE}: {reason}" in (tmp_path / "out" / "model_card.md").read_text()
    with pytest.raises(ExportError):
        export(words(), tmp_path / "other", [["long"]], formats=[name])
    assert not (tmp_path / "other").exists()


def test_a_format_that_computes_something_else_is_left_out(here, classifier, images, tmp_path, monkeypatch):  # noqa: F811
    need("onnx")

    def wrong(source):
        def load(path, inputs):
            call = right(source)["load"](path, inputs)
            # Right for the example, a batch of four, and wrong for a test image.
            return lambda arrays: [x + (len(x) != 4 and source.endswith("onnx.py")) for x in call(arrays)]

        return {"load": load}

    right = clean_process.runpy.run_path
    monkeypatch.setattr(clean_process, "runpy", SimpleNamespace(run_path=wrong))
    monkeypatch.setattr(clean_process, "CALLS", 2)
    found = export(
        classifier, tmp_path / "out", images.test[:4], formats=["onnx"], images=images, left_out=lambda *what: None
    )
    assert "differ" in found["onnx"]["left_out"] and "test_accuracy" in found["saved_model"]


def test_a_slow_model_is_measured_on_fewer_images_the_same_for_all(here, classifier, images, tmp_path):  # noqa: F811
    need("litert")
    found = export(classifier, tmp_path / "out", formats=["litert"], images=images, seconds=1e-9)
    assert {each["test_images"] for name, each in found.items() if name != "keras"} == {1}


@pytest.mark.parametrize("formats", ["onnx", iter(["onnx"])], ids=["a name", "names that are told once"])
def test_one_name_is_one_format(formats, here, tmp_path):  # noqa: F811
    need("onnx")
    found = export(several(), tmp_path / "out", formats=formats)
    assert sorted(found) == ["keras", "onnx", "saved_model"]


@pytest.mark.parametrize(
    ("what", "words_"),
    [
        ({"formats": ["pdf"]}, "expected some of saved_model, keras, litert.* received 'pdf'$"),
        ({"formats": "kers"}, "received 'kers'; the nearest is 'keras'$"),
        ({"images": True}, "expected those that"),
    ],
)
def test_what_does_not_fit_is_refused(what, words_, images, tmp_path):
    if "images" in what:
        what = {"images": images}
    with pytest.raises(ExportError, match=words_):
        export(several(), tmp_path / "out", **what)
    assert not list(tmp_path.iterdir())


def test_without_packages_they_are_missing(monkeypatch):
    monkeypatch.setattr(export_formats.importlib.util, "find_spec", lambda name: None)
    assert export_formats.installed() == export_formats.ALWAYS
    assert (
        export_formats.missing("onnx") == ["onnx", "tf2onnx", "onnxruntime"] and export_formats.missing("keras") == []
    )
