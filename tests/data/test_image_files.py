"""Folders of photographs of any size: fitted, turned, told of, and kept in a file where memory should not hold them."""

import importlib.util
import os
import pickle
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nash_tf import data
from nash_tf.data import cache, image_files, limits
from nash_tf.data.forms import Facts, Form, choose
from nash_tf.data.rows import ImageFile, Rows, joined, part
from nash_tf.settings.images import FITS, ImageSettings, is_size, parse_size
from tests.photo_folder import make_mixed

NO_MEMORY = ImageSettings(memory_share=1e-9)  # whatever the images, they go into a file
EXACT = {"webp": {"lossless": True}, "jpg": {"quality": 100, "subsampling": 0}}
ROOT = Path(__file__).parents[2]


def halves(path, size, left=(255, 0, 0), right=(0, 0, 255), **options):
    """An image (height, width) of two colours side by side."""
    height, width = size
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:, : width // 2], pixels[:, width // 2 :] = left, right
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def folder(root, sizes=((12, 20), (24, 16), (30, 30)), each=6, suffix="png"):
    for label, name in enumerate(("bolt", "nut")):
        for number in range(each):
            halves(root / name / f"{number}.{suffix}", sizes[number % len(sizes)], left=(200, 5 * number, 90 * label))
    return root


def equal(first, second):
    parts = ("x_train", "y_train", "x_valid", "y_valid", "x_test", "y_test", "mean", "std")
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in parts)


@pytest.fixture
def large(monkeypatch):
    """Every data set of image files counts as large."""
    monkeypatch.setattr(image_files, "SMALL", 0)


def deep_png():
    """8 x 8 pixels, red, green and blue of 16 bits each."""
    rows = zlib.compress(8 * (b"\0" + 24 * b"\x12\x34"))
    parts = ((b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("deep.png", deep_png()),
        ("deep.ppm", b"P6 8 8 65535\n" + 192 * b"\x12\x34"),
        ("usual.ppm", b"P6 8 8 15\n" + bytes(192)),
    ],
)
def test_sixteen_bits_of_colours_are_told(name, content, tmp_path):
    folder(tmp_path)
    (next(path for path in tmp_path.iterdir() if path.is_dir()) / name).write_bytes(content)
    notes = data.load(str(tmp_path)).notes
    said = "1 of 13 image files have 16 bits a channel; the upper 8 are used"
    assert any(said in note for note in notes) == name.startswith("deep")


class TestSize:
    @pytest.mark.parametrize(
        "text, size", [("64", (64, 64)), ("48x64", (48, 64)), ("4", (4, 4)), ("4096", (4096,) * 2)]
    )
    def test_is_read(self, text, size):
        assert is_size(text) and parse_size(text) == size

    @pytest.mark.parametrize("text", ["", "x", "64x", "x64", "3", "4097", "-8", "64x64x3", "64 x 64", "6.4", "٦٤"])
    def test_is_refused(self, text):
        assert not is_size(text)

    def test_one_size_is_kept_without_a_word(self, tmp_path):
        d = data.load(str(folder(tmp_path, sizes=((12, 20),))))
        assert d.x_train.shape[1:] == (12, 20, 3) and d.form == Form(12, 20, 3)
        assert not any("Image files" in note for note in d.notes)

    @pytest.mark.parametrize(
        "size, settings, told",
        [
            ((1200, 1600), ImageSettings(), True),
            ((128, 128), ImageSettings(), False),
            ((1200, 1600), ImageSettings((200, 200)), False),
        ],
    )
    def test_one_large_size_is_told(self, size, settings, told):
        facts = [Facts(*size, False, False, False)] * 4
        form, notes = choose(facts, facts[:1], settings)
        assert form[:2] == (settings.size or size)
        assert any("keep their size, 1200x1600" in note and "--image_size" in note for note in notes) == told

    def test_where_sizes_differ_one_is_chosen_and_told(self, tmp_path):
        d = data.load(str(folder(tmp_path)))
        note = next(note for note in d.notes if note.startswith("Image files"))
        assert d.x_train.shape[1:] == (32, 32, 3)
        for words in (
            "3 sizes, 12x20 to 30x30",
            "32x32",
            "centre",
            "--image_fit=pad",
            "--image_size",
            "12 of 12 are enl",
        ):
            assert words in note

    @pytest.mark.parametrize("side, chosen", [(10, 32), (41, 40), (44, 48), (60, 64), (63, 64), (500, 64)])
    def test_the_default_is_the_median_within_bounds(self, side, chosen):
        facts = [Facts(side, 2 * side, False, False, False), *[Facts(side, side, False, False, False)] * 3]
        form, notes = choose(facts, facts[1:], ImageSettings())
        assert (
            form == Form(chosen, chosen, 3)
            and f"is {side} or more" in notes[0]
            and f"another size than {chosen}" in notes[0]
        )

    def test_the_default_does_not_follow_the_seed(self, tmp_path):
        make_mixed(tmp_path, 120, (20, 90))
        forms = {data.load(str(tmp_path), train_limit=20, seed=seed).form for seed in range(4)}
        assert len(forms) == 1

    @pytest.mark.parametrize("images", [ImageSettings(), NO_MEMORY])
    @pytest.mark.parametrize("odd", [((12, 12), "RGB"), ((20, 30), "L")])
    def test_one_odd_training_image_does_not_make_the_form_follow_the_seed(self, tmp_path, cache_home, odd, images):
        for number in range(80):
            path = tmp_path / ("nut", "bolt")[number % 2] / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            Image.new("L", (12, 12), number).save(path)
        tested = set(data.load(str(tmp_path)).x_test[:, 0, 0, 0].tolist())
        size, mode = odd
        number = next(number for number in range(80) if number not in tested)
        Image.new(mode, size).save(tmp_path / ("nut", "bolt")[number % 2] / f"{number}.png")
        loaded = [data.load(str(tmp_path), train_limit=30, seed=seed, images=images) for seed in range(6)]
        assert {each.form for each in loaded} == {Form(12, 12, 1)}
        said = "1 of 46 images have colours; all are read as grey, since all test images are"
        assert {any(said in note for note in each.notes) for each in loaded} == (
            {True, False} if mode == "RGB" else {False}
        )
        assert data.load(str(tmp_path), images=images).form == (Form(12, 12, 3) if mode == "RGB" else Form(32, 32, 1))

    def test_asked_for(self, tmp_path):
        d = data.load(str(folder(tmp_path)), images=ImageSettings(size=(8, 10)))
        assert d.x_train.shape[1:] == (8, 10, 3) and any("8x10" in note for note in d.notes)

    @pytest.mark.parametrize("how", [data.check, data.load])
    def test_arrays_are_not_resized(self, how):
        with pytest.raises(data.DataError, match="^image_size: .*digits"):
            how("digits", images=ImageSettings(size=(8, 8)))


class TestFit:
    """On an image twice as wide as high, red on the left and blue on the right."""

    def made(self, tmp_path, fit, size=(20, 40), form=(10, 10)):
        halves(tmp_path / "a.png", size)
        return data.read_images([tmp_path / "a.png"], Form(*form, 3, fit))[0].astype(int)

    def test_crop_keeps_the_centre(self, tmp_path):
        x = self.made(tmp_path, "crop")
        assert (x[:, :4] == [255, 0, 0]).all() and (x[:, 6:] == [0, 0, 255]).all()

    def test_pad_keeps_all_between_black_bars(self, tmp_path):
        x = self.made(tmp_path, "pad")
        bars = (x == 0).all(axis=(1, 2))
        assert bars.tolist() == [True] * 2 + [False] * 5 + [True] * 3
        assert (x[3:7, 0] == [255, 0, 0]).all() and (x[3:7, 9] == [0, 0, 255]).all()

    def test_stretch_keeps_all(self, tmp_path):
        x = self.made(tmp_path, "stretch")
        assert (x[:, :4] == [255, 0, 0]).all() and (x[:, 6:] == [0, 0, 255]).all()
        tall = self.made(tmp_path, "stretch", form=(40, 10))
        assert tall.shape == (40, 10, 3) and (tall[:, 0] == [255, 0, 0]).all()

    @pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
    def test_an_image_of_the_size_is_untouched(self, tmp_path, fit):
        x = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
        Image.fromarray(x).save(tmp_path / "a.png")
        assert np.array_equal(data.read_images([tmp_path / "a.png"], Form(9, 7, 3, fit))[0], x)

    def test_a_large_jpeg_is_decoded_at_a_fraction_and_looks_the_same(self, tmp_path):
        x = np.linspace(0, 255, 800 * 600).reshape(800, 600).astype(np.uint8)
        for suffix in ("jpg", "png"):
            Image.fromarray(np.stack([x, x.T.reshape(800, 600), x], 2)).save(tmp_path / f"a.{suffix}", quality=95)
        jpeg, png = (data.read_images([tmp_path / f"a.{s}"], Form(32, 24, 3)).astype(int) for s in ("jpg", "png"))
        assert np.abs(jpeg - png).mean() < 3


class TestFiles:
    @pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8, 9])
    @pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
    def test_orientation(self, tmp_path, orientation, suffix):
        exif = Image.Exif()
        exif[0x0112] = orientation
        # `turned` shows red on the left once it is upright.
        back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(orientation)
        upright = np.zeros((16, 32, 3), np.uint8)
        upright[:, :16, 0] = upright[:8, :, 2] = 255
        image = Image.fromarray(upright)
        turned = image if back is None else image.transpose(Image.Transpose(back))
        turned.save(tmp_path / f"a.{suffix}", exif=exif, **EXACT.get(suffix, {}))
        x = data.read_images([tmp_path / f"a.{suffix}"], Form(16, 32, 3))[0].astype(int)
        assert np.abs(x - upright).mean() < 4

    @pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
    def test_a_turned_image_has_the_size_that_it_has_upright(self, tmp_path, suffix):
        folder(tmp_path, sizes=((12, 20),))
        exif = Image.Exif()
        exif[0x0112] = 6
        halves(tmp_path / "nut" / f"turned.{suffix}", (20, 12), exif=exif)
        d = data.load(str(tmp_path))
        assert d.form == Form(12, 20, 3) and not any("Image files" in note for note in d.notes)

    def test_an_unreadable_orientation_is_none(self, tmp_path):
        halves(tmp_path / "a.jpg", (16, 32), exif=b"Exif\0\0nonsense")
        assert data.read_images([tmp_path / "a.jpg"], Form(16, 32, 3))[0, 0, 0, 0] > 200

    @pytest.mark.parametrize("suffix", ["jpg", "jpeg", "png", "bmp", "gif", "webp", "tif", "tiff", "ppm", "JPG"])
    def test_formats(self, tmp_path, suffix):
        d = data.load(str(folder(tmp_path, suffix=suffix)), images=ImageSettings(size=(8, 8)))
        assert d.x_train.shape == (8, 8, 8, 3) and len(d.class_names) == 2

    def test_transparent_parts_are_white(self, tmp_path):
        folder(tmp_path, sizes=((8, 8),))
        for name, mode, colour in (("a", "RGBA", (9, 9, 9, 0)), ("b", "RGBA", (1, 2, 3, 255)), ("c", "LA", (0, 0))):
            Image.new(mode, (8, 8), colour).save(tmp_path / "nut" / f"{name}.png")
        Image.new("P", (8, 8), 0).save(tmp_path / "nut" / "d.gif", transparency=0)
        made = data.read_images([tmp_path / "nut" / n for n in ("a.png", "b.png", "c.png", "d.gif")], Form(8, 8, 3))
        assert made[:, 4, 4].tolist() == [[255] * 3, [1, 2, 3], [255] * 3, [255] * 3]
        assert data.read_images([tmp_path / "nut" / "c.png"], Form(8, 8, 1))[0, 0, 0] == [255]
        assert "4 of 16 images have a transparent layer; they are laid on white" in data.load(str(tmp_path)).notes

    def test_of_several_frames_the_first_is_used_and_it_is_said(self, tmp_path):
        folder(tmp_path, sizes=((8, 8),))
        frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
        for suffix in ("gif", "webp", "tiff"):
            frames[0].save(tmp_path / "nut" / f"x.{suffix}", save_all=True, append_images=frames[1:])
        assert "3 of 15 image files hold several frames; the first is used" in data.load(str(tmp_path)).notes
        assert (data.read_images([tmp_path / "nut" / "x.gif"], Form(8, 8, 3))[0, 0, 0] == [255, 0, 0]).all()

    def test_grey_among_colour_is_said(self, tmp_path):
        folder(tmp_path, sizes=((8, 8),))
        Image.new("L", (8, 8), 7).save(tmp_path / "nut" / "grey.png")
        assert "1 of 13 images are grey; all are read as colour" in data.load(str(tmp_path)).notes

    def test_all_that_cannot_be_used_are_told_at_once(self, tmp_path):
        folder(tmp_path)
        for number in (1, 3, 5):
            (tmp_path / "bolt" / f"{number}.png").write_bytes(b"no image")
        Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "bolt" / "x-ray.png")
        with pytest.raises(data.DataError) as refused:
            data.load(str(tmp_path))
        broken = ", ".join(str(tmp_path / "bolt" / f"{number}.png") for number in (1, 3, 5))
        assert str(refused.value) == (
            f"{broken}: expected a readable image, got: none of a format that is read; repair or remove it; also "
            f"{tmp_path}/bolt/x-ray.png: expected 8 bits a channel, got mode I;16; convert it, or give an .npz file of floats"
        )

    def test_of_very_many_that_cannot_be_used_the_first_are_told_and_how_many_more(self, tmp_path):
        folder(tmp_path)
        for number in range(25):
            (tmp_path / "bolt" / f"y{number:02}.png").write_bytes(b"no image")
        with pytest.raises(data.DataError, match=r"y19.png and 5 more: expected"):
            data.load(str(tmp_path))

    def test_progress_is_told(self, tmp_path):
        told = []
        data.load(str(folder(tmp_path, each=40)), progress=lambda *state: told.append(state))
        assert told[-1] == ("reading images", 80, 80) and ("looking at images", 80, 80) in told
        assert [state[1] for state in told if state[0] == "reading images"] == [32, 64, 80]


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_exported_script_reads_images_alike(tmp_path, fit, channels):
    make_mixed(tmp_path, 60, (20, 300))
    halves(tmp_path / "ant" / "large.jpg", (400, 700))
    Image.new("RGBA", (30, 40), (200, 10, 20, 100)).save(tmp_path / "ant" / "layer.png")
    several = Image.effect_noise((500, 400), 90).convert("RGB")
    several.save(tmp_path / "ant" / "phone.jpg", format="MPO", save_all=True, append_images=[several])
    place = ROOT / "nash_tf" / "exporting" / "predict_script.py"
    script = importlib.util.module_from_spec(spec := importlib.util.spec_from_file_location("script", place))
    spec.loader.exec_module(script)
    form = {"height": 24, "width": 32, "channels": channels, "fit": fit}
    paths = sorted(tmp_path.glob("*/*.*"))
    expected = data.read_images(paths, Form(**form))
    for path, image in zip(paths, expected, strict=True):
        assert np.array_equal(script.read(path, {**form, "values": [0, 255]}), image), path


class TestCache:
    def entries(self, cache_home):
        return sorted((cache_home / "nash_tf" / "images").iterdir())

    @pytest.mark.parametrize("rows", [False, True])
    def test_it_is_the_same_as_memory_and_hit_the_second_time(self, tmp_path, cache_home, monkeypatch, rows):
        make_mixed(tmp_path / "mixed", 80)
        expected = data.load(str(tmp_path / "mixed"))
        if rows:
            monkeypatch.setattr(image_files, "SMALL", 0)
        made = data.load(str(tmp_path / "mixed"), images=NO_MEMORY)
        monkeypatch.setattr("nash_tf.data.decoding.survey", None)  # nothing is looked at again
        again = data.load(str(tmp_path / "mixed"), images=NO_MEMORY)
        assert isinstance(again.x_train, Rows if rows else np.ndarray)
        assert equal(expected, made) and equal(expected, again) and made.notes == again.notes == expected.notes
        assert made.form == again.form == expected.form and len(self.entries(cache_home)) == 1
        assert any(str(self.entries(cache_home)[0]) in each for each in made.kept) and made.kept == again.kept

    def test_one_entry_serves_all_seeds(self, tmp_path, cache_home, large):
        folder(tmp_path)
        for seed in range(3):
            expected = data.load(str(tmp_path), seed=seed)
            assert equal(expected, data.load(str(tmp_path), seed=seed, images=NO_MEMORY))
        assert len(self.entries(cache_home)) == 1

    @pytest.mark.parametrize("change", ["touched", "added", "size", "fit"])
    def test_another_set_of_images_or_form_misses_it(self, tmp_path, cache_home, change):
        folder(tmp_path)
        data.load(str(tmp_path), images=NO_MEMORY)
        settings = NO_MEMORY
        if change == "touched":
            os.utime(tmp_path / "nut" / "1.png", (1, 1))
        elif change == "added":
            halves(tmp_path / "nut" / "9.png", (30, 30))
        else:
            settings = NO_MEMORY._replace(**({"size": (8, 8)} if change == "size" else {"fit": "pad"}))
        d = data.load(str(tmp_path), images=settings)
        assert len(self.entries(cache_home)) == 2 and equal(
            d, data.load(str(tmp_path), images=settings._replace(memory_share=1))
        )

    @pytest.mark.parametrize(
        "how", ["flipped", "short", "empty", "header", "about", "sums", "gone", "link", "other shape"]
    )
    def test_a_damaged_one_is_made_anew_and_it_is_said(self, tmp_path, cache_home, how):
        folder(tmp_path / "in")
        expected = data.load(str(tmp_path / "in"), images=NO_MEMORY)
        (place,) = self.entries(cache_home)
        images = place / cache.IMAGES
        raw = bytearray(images.read_bytes())
        if how == "flipped":
            raw[-100] ^= 1
            images.write_bytes(raw)
        elif how in ("short", "empty"):
            os.truncate(images, len(raw) - 1 if how == "short" else 0)
        elif how == "header":
            images.write_bytes(raw[:6] + b"\x09\x09" + raw[8:])
        elif how == "gone":
            images.unlink()
        elif how == "link":
            images.rename(tmp_path / "elsewhere")
            images.symlink_to(tmp_path / "elsewhere")
        elif how == "other shape":
            np.save(images, np.zeros((3, 32, 32, 3), np.uint8))
        else:
            (place / {"about": cache.ABOUT, "sums": cache.CHECKSUMS}[how]).write_bytes(b"{}")
        again = data.load(str(tmp_path / "in"), images=NO_MEMORY)
        assert equal(expected, again) and "made anew" in again.kept[0] and self.entries(cache_home) == [place]
        assert not any("made anew" in each for each in data.load(str(tmp_path / "in"), images=NO_MEMORY).kept)

    def test_killed_half_way(self, tmp_path, cache_home):
        folder(tmp_path, each=40)
        program = (
            "import os, signal, sys; from nash_tf import data; from nash_tf.settings.images import FITS, ImageSettings\n"
            "def progress(what, done, total):\n"
            "    if what == 'reading images': os.kill(os.getpid(), signal.SIGKILL)\n"
            f"data.load({str(tmp_path)!r}, images=ImageSettings(memory_share=1e-9), progress=progress)"
        )
        ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
        assert ended.returncode == -signal.SIGKILL
        (left,) = self.entries(cache_home)
        assert left.name.startswith(".")
        d = data.load(str(tmp_path), images=NO_MEMORY)
        (place,) = self.entries(cache_home)
        assert not place.name.startswith(".") and equal(d, data.load(str(tmp_path)))

    def test_several_processes_share_it_whatever_its_size(self, tmp_path, cache_home):
        data.load(str(folder(tmp_path)), images=ImageSettings(shared=True))
        assert len(self.entries(cache_home)) == 1

    def test_a_place_of_ones_own(self, tmp_path, cache_home):
        settings = NO_MEMORY._replace(cache_dir=str(tmp_path / "kept"))
        data.load(str(folder(tmp_path / "in")), images=settings)
        assert len(list((tmp_path / "kept" / "images").iterdir())) == 1 and not (cache_home / "nash_tf").exists()

    def test_a_place_among_the_images_is_refused(self, tmp_path):
        with pytest.raises(data.DataError, match="^cache_dir: expected a folder outside"):
            data.load(str(folder(tmp_path)), images=NO_MEMORY._replace(cache_dir=str(tmp_path / "kept")))

    def test_a_place_that_cannot_be_written_to_is_refused(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(data.DataError, match="^cache_dir: .*file.*another folder"):
            data.load(str(folder(tmp_path / "in")), images=NO_MEMORY._replace(cache_dir=str(tmp_path / "file")))

    def test_a_disk_that_is_too_small_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr("shutil.disk_usage", lambda path: os.terminal_size((0, 0)) and type("", (), {"free": 10}))
        with pytest.raises(data.DataError, match="^cache_dir: expected .* of disk"):
            data.load(str(folder(tmp_path)), images=NO_MEMORY)

    def test_a_broken_image_leaves_nothing(self, tmp_path, cache_home):
        path = folder(tmp_path) / "nut" / "3.png"
        path.write_bytes(path.read_bytes()[:60])
        with pytest.raises(data.DataError, match="3.png"):
            data.load(str(tmp_path), images=NO_MEMORY)
        assert self.entries(cache_home) == []


def test_memory_is_asked_before_anything_is_decoded(tmp_path, monkeypatch, cache_home):
    folder(tmp_path)
    monkeypatch.setattr(limits, "available_memory", lambda: 1000)
    with pytest.raises(data.DataError, match="0.png, .*: expected data for the .* of memory available"):
        data.load(str(tmp_path))


class TestRows:
    @pytest.fixture(params=["memory", "file"])
    def both(self, request, tmp_path):
        x = np.random.default_rng(0).integers(0, 256, (20, 5, 4, 3), dtype=np.uint8)
        np.save(tmp_path / "x.npy", x)
        rows = np.random.default_rng(1).permutation(20)[:15]
        return x[rows], Rows(x if request.param == "memory" else ImageFile(tmp_path / "x.npy"), rows)

    def test_they_are_as_the_array(self, both):
        x, rows = both
        assert (rows.shape, rows.dtype, rows.ndim, len(rows), rows.nbytes) == (
            x.shape,
            x.dtype,
            x.ndim,
            len(x),
            x.nbytes,
        )
        for key in (slice(3), slice(2, 9), slice(None, None, 4), np.array([3, 1, 1]), 4, -1, slice(0, 0)):
            assert np.array_equal(rows[key], x[key]) and rows[key].dtype == x.dtype
        assert np.array_equal(np.asarray(rows), x) and np.array_equal(list(rows), x)
        with pytest.raises(IndexError):
            rows[15]

    def test_parts_and_joints(self, both):
        x, rows = both
        assert np.array_equal(part(rows, 3, 9), x[3:9])
        assert np.array_equal(joined(part(rows, 0, 4), part(rows, 9, 15)), np.concatenate([x[:4], x[9:]]))

    def test_they_can_be_sent_to_another_process(self, both):
        x, rows = both
        assert np.array_equal(pickle.loads(pickle.dumps(rows))[:], x)

    def test_a_file_cut_short_meanwhile_is_an_error_and_no_end_of_the_process(self, tmp_path):
        np.save(tmp_path / "x.npy", np.zeros((20, 5, 4, 3), np.uint8))
        file = ImageFile(tmp_path / "x.npy")
        os.truncate(tmp_path / "x.npy", 500)
        with pytest.raises(OSError, match="cut short"):
            file[np.array([19])]
