"""Image files as a model takes them, and the commands that name their classes. No TensorFlow here."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from nash_tf import data, predict
from nash_tf.data import images
from nash_tf.data.forms import Form
from nash_tf.exporting import predict_script
from nash_tf.exporting.images import Images, for_script

SETTINGS = {"height": 8, "width": 8, "channels": 3, "fit": "crop", "values": [0, 255], "output": "logits"}


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_they_are_read_as_a_data_set_is(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(10):
            Image.fromarray(noise(8, 8, 3) // (number + 1)).save(tmp_path / name / f"{number}.png")
    found = data.load(str(tmp_path)).x_test
    files = sorted(tmp_path.glob("*/*.png"))
    read = [predict_script.read(file, SETTINGS).astype(np.uint8).tobytes() for file in files]
    assert {np.asarray(image).tobytes() for image in found} <= set(read)


@pytest.mark.parametrize(("fit", "corner", "middle"), [("crop", 200, 200), ("pad", 0, 200), ("stretch", 100, 200)])
def test_other_sizes(fit, corner, middle, tmp_path):
    """A wide image that is darker at its ends."""
    wide = np.full((16, 48, 3), 200, np.uint8)
    wide[:, :16] = wide[:, 32:] = 100
    Image.fromarray(wide).save(tmp_path / "wide.png")
    read = predict_script.read(tmp_path / "wide.png", {**SETTINGS, "fit": fit})
    assert read.shape == (8, 8, 3) and read.dtype == np.float32
    assert abs(read[0, 0, 0] - corner) < 20 and abs(read[4, 4, 0] - middle) < 20


def test_grey_turned_transparent_and_other_values(tmp_path):
    tall = np.zeros((8, 8), np.uint8)
    tall[0] = 255  # the upper edge, which is the right one when turned
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(tall).save(tmp_path / "tall.png", exif=turned)
    read = predict_script.read(tmp_path / "tall.png", {**SETTINGS, "channels": 1, "values": [-1, 1]})
    assert read.shape == (8, 8, 1) and (read[:, 7] == 1).all() and (read[:, :7] == -1).all()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (predict_script.read(tmp_path / "clear.png", SETTINGS) == 255).all()


@pytest.mark.parametrize("kind", ["deep", "text", "absent", "huge"])
def test_files_that_cannot_be_read(kind, tmp_path, monkeypatch):
    file = tmp_path / "file.png"
    if kind == "deep":
        Image.fromarray(noise(8, 8).astype(np.uint16)).save(file)
    elif kind == "text":
        file.write_text("text")
    elif kind == "huge":
        Image.fromarray(noise(80, 80)).save(file)
        monkeypatch.setattr(predict_script, "MOST_PIXELS", 5000)
    with pytest.raises((ValueError, OSError)):
        predict_script.read(file, SETTINGS)


@pytest.mark.parametrize(
    ("suffix", "most", "of_jpeg", "is_read"),
    [("jpg", 5000, 6400, True), ("jpg", 9000, 6399, False), ("png", 6400, 1, False), ("png", 6399, 9000, False)],
)
def test_how_large_a_file_may_be_is_one_rule_and_the_remedy_is_named(
    suffix, most, of_jpeg, is_read, tmp_path, monkeypatch
):
    """The second limit is Pillow's own too: so many pixels are a warning, twice as many an error."""
    assert (images.MOST_PIXELS, images.MOST_OF_JPEG) == (predict_script.MOST_PIXELS, predict_script.MOST_OF_JPEG)
    before = Image.MAX_IMAGE_PIXELS
    for module in (images, predict_script):
        monkeypatch.setattr(module, "MOST_PIXELS", most)
        monkeypatch.setattr(module, "MOST_OF_JPEG", of_jpeg)
    path = tmp_path / f"file.{suffix}"
    Image.fromarray(noise(80, 80, 3)).save(path)

    def by_data(path):
        with images.pillow(path):
            images.facts(path)
            return images.decode(path, Form(8, 8, 3))

    for read in (by_data, lambda path: predict_script.read(path, SETTINGS)):
        if is_read:
            assert read(path).shape == (8, 8, 3)
        else:
            with pytest.raises(
                ValueError, match="expected at most .* megapixels .* of a JPEG.*; make the image smaller"
            ):
                read(path)
    assert before == Image.MAX_IMAGE_PIXELS


def test_probabilities():
    logits = np.array([[1000.0, 0, 0], [0, 0, 0]])
    assert np.allclose(predict_script.probabilities(logits, "logits"), [[1, 0, 0], [1 / 3] * 3])
    assert np.array_equal(predict_script.probabilities([[0.25, 0.75]], "probabilities"), [[0.25, 0.75]])


@pytest.mark.parametrize(
    ("low", "high", "channels", "values"),
    [(0, 255, 3, [0, 255]), (3, 243, 1, [0, 255]), (0.0, 1.0, 3, [0, 1]), (-1.0, 0.9, 1, [-1, 1])],
)
def test_what_black_and_white_are_follows_from_the_data(low, high, channels, values):
    x = np.linspace(low, high, 2 * 4 * 6 * channels).reshape(2, 4, 6, channels)
    found = for_script(Images("ab", {}, x, x, np.zeros(2), "pad"), logits=False)
    assert (found["values"], found["height"], found["width"], found["channels"]) == (values, 4, 6, channels)
    assert (found["fit"], found["output"]) == ("pad", "probabilities")


@pytest.mark.parametrize(
    ("low", "high", "channels"),
    [
        (-3.0, 255, 3),
        (0, 255, 2),
        (-0.5, 0.5, 3),
        (0, 16, 1),
        (0.0, 1.02, 3),
        (-0.02, 1.02, 3),
        (0, 200, 3),
        (30, 255, 1),
    ],
)
def test_what_no_image_file_holds_or_nobody_knows(low, high, channels):
    x = np.linspace(low, high, 2 * 4 * 6 * channels).reshape(2, 4, 6, channels)
    assert for_script(Images("ab", {}, x, x, np.zeros(2)), logits=True) is None


def test_of_image_files_black_and_white_are_known_however_dark_they_are():
    x = np.full((2, 4, 6, 3), 1, np.uint8)
    assert for_script(Images("ab", {}, x, x, np.zeros(2), of_files=True), logits=True)["values"] == [0, 255]


def test_formats_are_compared_on_evenly_chosen_test_images():
    images = Images("ab", {}, np.zeros((2, 4, 4, 1)), np.zeros((12_000, 4, 4, 1), np.uint8), np.zeros(12_000))
    chosen = images.compared()
    assert len(set(chosen)) == 10_000 and (chosen[0], chosen[-1]) == (0, 11_999) and np.diff(chosen).max() == 2
    large = np.broadcast_to(np.uint8(0), (9, 2**14, 2**14, 1))  # 256 MiB each
    assert Images("ab", {}, large, large, np.zeros(9)).compared().tolist() == [0, 8]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with a model that is a stub: the class is the brightness."""
    best = tmp_path / "run" / "best"
    (best / "saved_model").mkdir(parents=True)
    (best / "classes.json").write_text(json.dumps(["dark", "light"]))
    (best / "image.json").write_text(json.dumps(SETTINGS))

    def load(path):
        assert path.resolve() == best / "saved_model"
        return lambda arrays: np.array([[100, array.mean()] for array in arrays])

    monkeypatch.setattr(predict_script, "_load", load)
    monkeypatch.setattr(predict_script, "BATCH", 2)
    monkeypatch.chdir(tmp_path)
    return best.parent


def test_files_and_folders_in_batches(run, capsys):
    for name in ("z.png", "photos/b.png", "photos/inner/a.PNG", "photos/.hidden.png", "photos/.cache/c.png"):
        (run.parent / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), "white" if "b" in name else "black").save(run.parent / name)
    (run.parent / "photos" / "text.txt").write_text("")
    assert predict.main(["run", "z.png", "photos"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{name}  {kind}  100.0%" for name, kind in (("z.png", "dark"), ("photos/b.png", "light"), ("photos/inner/a.PNG", "dark"))]  # fmt: skip


def test_images_of_other_formats_in_folders_are_named_on_one_line(run, capsys):
    (run.parent / "photos" / "inner").mkdir(parents=True)
    Image.new("L", (8, 8), 255).save("photos/a.png")
    for name in ("b.HEIC", "c.avif", ".hidden.heic", "text.txt", "inner/d\n.jfif"):
        (run.parent / "photos" / name).write_text("")
    assert predict.main(["run", "photos"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "photos/a.png  light  100.0%\n" and len(printed.err.splitlines()) == 1
    assert printed.err.startswith("left out: 3 of other image formats than .png .jpg ")
    assert printed.err.endswith(r": photos/b.HEIC, photos/c.avif, 'photos/inner/d\n.jfif'" + "\n")
    for number in range(4):
        (run.parent / "photos" / f"e{number}.jxl").write_text("")
    predict.main(["run", "photos"])
    assert "7 of other" in (said := capsys.readouterr().err) and said.endswith(
        "e0.jxl, photos/e1.jxl, photos/e2.jxl, ...\n"
    )
    assert not set(predict_script.SUFFIXES) & set(predict_script.OTHERS)


def test_outputs_that_are_no_finite_numbers_name_no_class(run, capsys, monkeypatch):
    for name in ("1.png", "2.png"):
        Image.new("L", (8, 8), 255).save(name)
    monkeypatch.setattr(predict_script, "_load", lambda path: lambda arrays: np.array([[np.nan, 1.0], [0.0, 9.0]]))
    assert predict.main(["run", "1.png", "2.png"]) == 1
    printed = capsys.readouterr()
    assert printed.out == "2.png  light  100.0%\n"
    assert printed.err == "1.png: left out: the model's outputs for it are no finite numbers\n"


def test_bad_files_are_named_and_the_others_done(run, capsys):
    for name in ("1.png", "4.png"):
        Image.new("L", (8, 8), 255).save(name)
    (run.parent / "2\n.png").write_text("text")
    assert predict.main(["run", "absent.png", "1.png", "2\n.png", "4.png", "--csv"]) == 1
    printed = capsys.readouterr()
    assert printed.out == "file,class,probability\n1.png,light,1.000000\n4.png,light,1.000000\n"
    assert [line.split(": left out: ")[0] for line in printed.err.splitlines()] == ["absent.png", r"'2\n.png'"]


@pytest.mark.parametrize(("as_csv", "printed"), [(["--csv"], "file,class,probability\n"), ([], "")])
def test_where_no_file_could_be_read_nothing_was_done_and_a_table_has_its_heading(as_csv, printed, run, capsys):
    (run.parent / "torn.png").write_text("text")
    assert predict.main(["run", "absent.png", "torn.png", "gone.png", *as_csv]) == 2
    found = capsys.readouterr()
    assert found.out == printed and found.err.count(": left out: ") == 3


def test_the_heading_is_there_before_the_first_image(run, capsys, monkeypatch):
    seen = []
    monkeypatch.setattr(predict_script, "read", lambda *_: seen.append(capsys.readouterr().out) or noise(8, 8, 3))
    assert predict.main(["run", "1.png", "2.png", "--csv"]) == 0 and seen == ["file,class,probability\n", ""]


def test_linked_folders_are_gone_through_once(run, capsys):
    (run.parent / "far" / "inner").mkdir(parents=True)
    (run.parent / "photos").mkdir()
    for name in ("photos/a.png", "far/inner/b.png"):
        Image.new("L", (8, 8), 255).save(name)
    (run.parent / "photos" / "far").symlink_to("../far")
    (run.parent / "far" / "round").symlink_to("../photos")  # and back
    (run.parent / "far" / "inner" / "round").symlink_to(".")
    assert predict.main(["run", "photos"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "photos/a.png",
        "photos/far/inner/b.png",
    ]


@pytest.mark.parametrize("as_csv", [True, False])
def test_class_names_that_the_output_has_no_letters_for(run, as_csv, monkeypatch):
    (run / "best" / "classes.json").write_text(json.dumps(["dark", "\u732b"]))
    Image.new("L", (8, 8), 255).save("a.png")
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, "cp1252"))
    assert predict.main(["run", "a.png", *(["--csv"] if as_csv else [])]) == 0
    said = written.getvalue()
    assert said.endswith("a.png,\u732b,1.000000\n".encode() if as_csv else rb"a.png  \u732b  100.0%" + b"\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent", "x.png"], "absent: no such directory"),
        (["empty", "x.png"], "empty: holds no run"),
        (["begun", "x.png"], "begun: the run is not finished"),
        (["other", "x.png"], "other: its model takes what no image file holds"),
        (["run", "empty"], "empty: no images"),
        (["torn", "empty"], "classes.json: cannot be read"),
    ],
)
def test_where_there_is_nothing_to_do(arguments, said, run, capsys):
    for name in ("empty", "begun", "other/best/saved_model", "torn/best/saved_model"):
        (run.parent / name).mkdir(parents=True)
    (run.parent / "begun" / "config.json").write_text("{}")
    (run.parent / "torn" / "best" / "image.json").write_text("{}")
    assert predict.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and len(printed.err.splitlines()) == 1 and said in printed.err


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_images_of_any_size_are_read_as_a_data_set_is(fit, tmp_path):
    """To the bit: JPEGs that are shrunk while they are decoded, turned, transparent, grey and with a palette."""
    image_settings = pytest.importorskip("nash_tf.settings.images")
    dice = np.random.default_rng(0)
    for number in range(24):
        height, width = dice.integers(6, 120, 2)
        image = Image.fromarray(noise(height, width, 3)).convert(("RGB", "RGBA", "P", "L")[number % 4])
        exif = Image.Exif()
        exif[0x0112] = int(dice.integers(1, 9))
        (tmp_path / f"class {number % 2}").mkdir(exist_ok=True)
        path = tmp_path / f"class {number % 2}" / f"{number}.{'jpg' if number % 4 in (0, 3) else 'png'}"
        image.save(path, exif=exif)
    found = data.load(str(tmp_path), images=image_settings.ImageSettings(size=(10, 14), fit=fit))
    settings = {**SETTINGS, "height": 10, "width": 14, "fit": fit}
    read = {predict_script.read(path, settings).astype(np.uint8).tobytes() for path in tmp_path.glob("*/*")}
    assert {
        np.asarray(x[i]).tobytes() for x in (found.x_train, found.x_valid, found.x_test) for i in range(len(x))
    } == read
