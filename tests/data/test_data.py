"""Data sets by name and by path: what comes out, and every refusal."""

import gzip
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nash_tf import data, main
from nash_tf.data import keras_sets, splits
from nash_tf.data.dataset import channel_statistics

IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def refuse(source, *parts, how=data.load, **options):
    """Asserts a DataError of one line that holds all the parts."""
    with pytest.raises(data.DataError) as caught:
        how(str(source), **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message, message


def arrays(classes=3, each=10, shape=(6, 5, 3), dtype=np.uint8):
    rng = np.random.default_rng(1)
    y = np.tile(np.arange(classes), each)
    x = rng.integers(0, 256, (len(y), *shape)).astype(dtype)
    return {"x_train": x, "y_train": y, "x_test": x[: 2 * classes], "y_test": y[: 2 * classes]}


def save(path, **changed):
    """An .npz of `arrays()` with some arrays replaced, or left out where None."""
    content = {key: array for key, array in (arrays() | changed).items() if array is not None}
    np.savez(path, **content)
    return path


def picture(path, mode="RGB", size=(6, 5), colour=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = colour if colour is not None else {"RGB": (10, 20, 30), "L": 7}.get(mode, 1)
    Image.new(mode, size, colour).save(path)
    return path


def folder(root, classes=("bolt", "nut"), each=10, mode="RGB"):
    """Class folders of pictures; picture i of class k has level 10 * k + i in its first channel."""
    for k, name in enumerate(classes):
        for i in range(each):
            level = 10 * k + i
            picture(root / name / f"{i:02}.png", mode, colour=level if mode == "L" else (level, 20, 30))
    return root


def idx_bytes(array, magic=None):
    header = magic or bytes((0, 0, 8, array.ndim))
    return header + b"".join(side.to_bytes(4, "big") for side in array.shape) + array.tobytes()


def idx_folder(root, compress=False):
    content = arrays(shape=(6, 5)).values()
    root.mkdir(exist_ok=True)
    for name, array in zip(IDX_FILES, content, strict=True):
        raw = idx_bytes(array.astype(np.uint8))
        (root / (name + ".gz" * compress)).write_bytes(gzip.compress(raw) if compress else raw)
    return root


class TestSplits:
    @given(
        counts=st.lists(st.integers(2, 40), min_size=2, max_size=6),
        fraction=st.floats(0.01, 0.99),
        limit=st.none() | st.integers(12, 100),
        seed=st.integers(0, 2**63),
    )
    def test_disjoint_bounded_and_every_class_on_both_sides(self, counts, fraction, limit, seed):
        labels = np.repeat(np.arange(len(counts)), counts)
        names = tuple(map(str, range(len(counts))))
        options = {"valid_fraction": fraction, "train_limit": limit, "seed": seed, "where": "here"}
        train, valid = splits.train_and_valid(labels, names, **options)
        both = np.concatenate([train, valid])
        assert len(np.unique(both)) == len(both) == min(limit or np.inf, len(labels))
        assert np.bincount(labels[train], minlength=len(counts)).min() >= 1
        assert np.bincount(labels[valid], minlength=len(counts)).min() >= 1
        again = splits.train_and_valid(labels, names, **options)
        assert np.array_equal(train, again[0]) and np.array_equal(valid, again[1])

    @given(counts=st.lists(st.integers(10, 60), min_size=2, max_size=6), total=st.integers(0, 60))
    def test_shares_are_within_one_of_proportional(self, counts, total):
        counts = np.array(counts)
        total = min(total, counts.sum())
        shares = splits.apportion(counts, total, np.zeros_like(counts), counts)
        assert shares.sum() == total
        assert np.abs(shares - total * counts / counts.sum()).max() < 1

    def test_seeds_differ_and_order_is_mixed(self):
        labels = np.repeat(np.arange(5), 40)
        first, second = (
            splits.train_and_valid(labels, tuple("abcde"), valid_fraction=0.1, train_limit=None, seed=s, where="")
            for s in (0, 1)
        )
        assert set(first[1]) != set(second[1])
        assert len(set(labels[first[0][:30]])) == 5

    def test_limit_is_drawn_before_the_split(self):
        d = data.load("digits", train_limit=100, valid_fraction=0.2)
        assert (len(d.x_train), len(d.x_valid), len(d.x_test)) == (80, 20, 359)
        assert np.bincount(d.y_valid).tolist() == [2] * 10

    @pytest.mark.parametrize("fraction", [0, 1, -0.1, 2])
    def test_fraction_out_of_range(self, fraction):
        refuse("digits", "valid_fraction", fraction, valid_fraction=fraction)

    def test_limit_below_two_a_class(self):
        refuse("digits", "train_limit", "at least 20", 19, train_limit=19)
        assert len(data.load("digits", train_limit=20).y_valid) == 10

    def test_class_of_one_image(self, tmp_path):
        y = arrays()["y_train"].copy()
        y[y == 2] = 1
        y[5] = 2
        refuse(save(tmp_path / "a.npz", y_train=y), "a.npz", "got 1 of class '2'")


class TestDigits:
    def test_shapes_balance_and_split(self):
        d = data.load("digits")
        assert (d.name, d.flips, d.class_names) == ("digits", False, tuple("0123456789"))
        assert d.x_train.shape == (1294, 8, 8, 1) and d.x_valid.shape == (144, 8, 8, 1)
        assert d.x_test.shape == (359, 8, 8, 1)
        assert d.x_train.dtype == np.uint8 and d.y_train.dtype == d.y_test.dtype == np.int32
        assert d.x_train.max() == 255
        for y, expected in ((d.y_train, 129.4), (d.y_valid, 14.4), (d.y_test, 35.9)):
            assert np.abs(np.bincount(y) - expected).max() < 5

    def test_it_is_the_uci_set_and_the_test_split_never_moves(self):
        first, second = data.load("digits", seed=0), data.load("digits", seed=1)
        assert np.array_equal(first.x_test, second.x_test) and np.array_equal(first.y_test, second.y_test)
        rows = [x.reshape(-1, 64) for x in (first.x_train, first.x_valid, first.x_test)]
        images = np.concatenate(rows).astype(np.float64)
        original = pytest.importorskip("sklearn.datasets").load_digits()
        assert sorted(map(tuple, np.rint(images / 255 * 16))) == sorted(map(tuple, original.data))

    def test_statistics_are_of_the_training_part(self):
        d = data.load("digits")
        assert d.mean.dtype == d.std.dtype == np.float32
        np.testing.assert_allclose(d.mean, d.x_train.mean(axis=(0, 1, 2)), rtol=1e-5)
        np.testing.assert_allclose(d.std, d.x_train.std(axis=(0, 1, 2)), rtol=1e-5)

    def test_arrays_are_read_only(self):
        with pytest.raises(ValueError):
            data.load("digits").x_train[0] = 0


def test_constant_channel_has_a_positive_deviation():
    x = np.zeros((600, 4, 4, 2), np.uint8)
    x[::2, ..., 1] = 200
    mean, std = channel_statistics(x)
    np.testing.assert_allclose(mean, [0, 100])
    np.testing.assert_allclose(std, [0.2, 100], rtol=1e-6)
    assert (channel_statistics(x[..., :1])[1] > 0).all()


class TestComputable:
    """What is accepted can be computed with in float32."""

    def saved(self, tmp_path, x, x_test=None):
        return save(tmp_path / "a.npz", x_train=x, x_test=x[:6] if x_test is None else x_test)

    @pytest.mark.parametrize("level, spread", [(0, 1e-20), (1e25, 1e24), (1e6, 1.0), (-1e20, 1e29)])
    def test_statistics_of_any_scale(self, tmp_path, level, spread):
        x = (level + spread * np.random.default_rng(0).normal(size=(30, 6, 5, 3))).astype(np.float32)
        d = data.load(str(self.saved(tmp_path, x)))
        normalised = (d.x_train - d.mean) * (1 / d.std)
        assert np.abs(normalised.mean()) < 0.1 and normalised.std() == pytest.approx(1, rel=1e-2)

    @pytest.mark.parametrize("spread", [1e-32, 1e-40, 1e32, 1e38])
    def test_deviations_that_float32_cannot_divide_by(self, tmp_path, spread):
        x = (spread * np.random.default_rng(0).uniform(-1, 1, size=(30, 6, 5, 3))).astype(np.float32)
        refuse(self.saved(tmp_path, x), "a.npz", "deviation", "channel 0", "rescale")

    def test_a_test_image_too_far_off(self, tmp_path):
        x = np.random.default_rng(0).uniform(size=(30, 6, 5, 3)).astype(np.float32)
        far = x[:6].copy()
        far[3, 0, 0, 1] = 1e20
        refuse(self.saved(tmp_path, x, far), "1e+20 in channel 1", "rescale")

    @pytest.mark.parametrize("dtype, level, step", [(float, 1e-60, 1e-62), (float, 1e9, 1e-3), (np.int64, 10**12, 1)])
    def test_types_whose_values_float32_does_not_tell_apart(self, tmp_path, dtype, level, step):
        x = (level + step * np.random.default_rng(0).integers(0, 256, (30, 6, 5, 3))).astype(dtype)
        refuse(self.saved(tmp_path, x), "x_train", "tells apart", "subtract")

    def test_a_float64_beyond_float32_is_told_as_it_is(self, tmp_path):
        x = arrays(dtype=np.float64)["x_train"]
        x[4, 1, 1, 0] = 1e300
        refuse(self.saved(tmp_path, x), "1e+300 in image 4")

    def test_equal_pixels_are_harmless(self, tmp_path):
        d = data.load(str(self.saved(tmp_path, np.full((30, 6, 5, 3), 0.1))))
        assert d.std.tolist() == [1, 1, 1]


class TestNotes:
    def test_none_where_there_is_nothing_to_say(self, tmp_path):
        x = np.random.default_rng(0).integers(0, 256, (36, 6, 5, 3)).astype(np.uint8)
        assert data.load(str(save(tmp_path / "a.npz", x_train=x[6:], x_test=x[:6]))).notes == ()
        assert data.load("digits").notes == ()

    @pytest.mark.parametrize("scale, shift", [(1 / 255, 0), (255, 0), (1, 300), (2, -255), (0.5, 128)])
    def test_train_and_test_scaled_differently(self, tmp_path, scale, shift):
        x = np.random.default_rng(0).integers(0, 256, (60, 6, 5, 3)).astype(np.float32)
        (note,) = data.load(str(save(tmp_path / "a.npz", x_train=x[:30], x_test=x[30:36] * scale + shift))).notes
        assert "another scale" in note

    @pytest.mark.parametrize("dtype", [np.uint8, np.float32])
    def test_copies_are_counted(self, tmp_path, dtype):
        x = np.random.default_rng(0).integers(0, 256, (33, 6, 5, 3)).astype(dtype)
        path = save(tmp_path / "a.npz", x_train=x[:30], x_test=np.concatenate([x[4:7], x[30:]]))
        assert data.load(str(path)).notes == ("3 of 6 test images are exact copies of training or validation images",)

    def test_pixels_that_must_be_normalised(self, tmp_path):
        x = (1e25 * np.random.default_rng(0).uniform(size=(36, 6, 5, 3))).astype(np.float32)
        (note,) = data.load(str(save(tmp_path / "a.npz", x_train=x[6:], x_test=x[:6]))).notes
        assert "1e+25" in note and "normalise" in note

    def test_arrays_that_are_not_used(self, tmp_path):
        notes = data.load(str(save(tmp_path / "a.npz", x_val=np.zeros(3), y_val=np.zeros(3)))).notes
        assert notes[0].endswith("a.npz: not used: x_val, y_val")

    @pytest.mark.parametrize("name", ["val", "valid", "validation", "extra"])
    def test_folders_beside_train_and_test(self, tmp_path, name):
        for part in ("train", "test", name):
            folder(tmp_path / part)
        note = data.load(str(tmp_path)).notes[0]
        assert f"not used: {name}/" in note and "split off train/" in note

    @pytest.mark.parametrize("part", ["", "test"])
    def test_files_that_are_passed_over(self, tmp_path, part):
        for each in ("train", "test") if part else ("",):
            folder(tmp_path / each)
        picture(tmp_path / part / "loose.png")
        (tmp_path / part / "nut" / "new.heic").write_bytes(b"")
        loose, others = data.load(str(tmp_path)).notes[:2]
        assert loose.endswith("class folders are not used: loose.png") and others.endswith("not used: new.heic")


def test_what_the_system_refuses_is_told(tmp_path, monkeypatch):
    def scandir(path):
        raise PermissionError(13, "Permission denied", str(path))

    folder(tmp_path)
    monkeypatch.setattr("os.scandir", scandir)
    for how in (data.check, data.load):
        refuse(tmp_path, tmp_path, "Permission denied", how=how)


def test_import_is_light():
    code = "import sys, nash_tf.data as d; d.check('digits'); d.check('cifar10'); d.load('digits')\n"
    code += "sys.exit(bool({'tensorflow', 'keras', 'PIL', 'sklearn'} & set(sys.modules)))"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


class TestNames:
    @pytest.mark.parametrize("how", [data.load, data.check])
    def test_unknown(self, tmp_path, how):
        refuse("cifar11", "'cifar11'", "digits", "nor an existing path", how=how)
        refuse(tmp_path / "none.npz", "none.npz", how=how)

    @pytest.mark.parametrize("how", [data.load, data.check])
    def test_file_of_unknown_kind(self, tmp_path, how):
        path = tmp_path / "images.tar.gz"
        path.write_bytes(b"x")
        refuse(path, path, "unpacked", how=how)

    @pytest.mark.parametrize(
        "name, classes, flips",
        [("cifar10", 10, True), ("cifar100", 100, True), ("mnist", 10, False), ("fashion_mnist", 10, True)],
    )
    def test_keras_sets(self, monkeypatch, name, classes, flips):
        a = arrays(classes=classes, each=3, shape=(8, 8) if "mnist" in name else (8, 8, 3))
        loaded = ((a["x_train"], a["y_train"][:, None]), (a["x_test"], a["y_test"][:, None]))
        fake = SimpleNamespace(datasets=SimpleNamespace(**{name: SimpleNamespace(load_data=lambda: loaded)}))
        monkeypatch.setitem(sys.modules, "keras", fake)
        data.check(name)
        d = data.load(name)
        assert (d.name, len(d.class_names), d.flips) == (name, classes, flips)
        assert d.x_train.shape[1:] == (8, 8, 1 if "mnist" in name else 3)
        assert set(d.y_test) == set(range(classes))

    def test_no_download(self, monkeypatch):
        def load_data():
            raise OSError("URL fetch failure on https://example.org:\nno route")

        fake = SimpleNamespace(datasets=SimpleNamespace(cifar10=SimpleNamespace(load_data=load_data)))
        monkeypatch.setitem(sys.modules, "keras", fake)
        refuse("cifar10", "cifar10", "URL fetch failure", "give a path instead")

    def test_cifar100_names_are_sorted(self):
        assert list(keras_sets.CIFAR100) == sorted(set(keras_sets.CIFAR100))


class TestNpz:
    def test_images_follow_their_labels(self, tmp_path):
        a = arrays()
        path = save(tmp_path / "parts.npz")
        data.check(str(path))
        d = data.load(str(path), valid_fraction=0.2)
        assert (d.name, d.flips, d.class_names) == ("parts", True, ("0", "1", "2"))
        labels = {image.tobytes(): label for image, label in zip(a["x_train"], a["y_train"], strict=True)}
        seen = [*zip(d.x_train, d.y_train, strict=True), *zip(d.x_valid, d.y_valid, strict=True)]
        assert len(seen) == 30 and all(labels[image.tobytes()] == label for image, label in seen)
        assert np.array_equal(d.x_test, a["x_test"]) and np.array_equal(d.y_test, a["y_test"])

    @pytest.mark.parametrize(
        "dtype, scale, expected",
        [(np.int64, 1, np.uint8), (np.uint16, 100, np.float32), (np.float64, 1 / 255, np.float32)],
    )
    def test_pixel_types(self, tmp_path, dtype, scale, expected):
        x = (arrays()["x_train"] * float(scale)).astype(dtype)
        d = data.load(str(save(tmp_path / "a.npz", x_train=x, x_test=x[:6])))
        assert d.x_train.dtype == d.x_valid.dtype == d.x_test.dtype == expected
        np.testing.assert_allclose(d.x_test, x[:6], rtol=1e-6)

    def test_grey_gets_a_channel(self, tmp_path):
        x = arrays()["x_train"][..., 0]
        assert data.load(str(save(tmp_path / "a.npz", x_train=x, x_test=x[:6]))).x_train.shape == (
            27,
            6,
            5,
            1,
        )

    def refused(self, tmp_path, *parts, **changed):
        refuse(save(tmp_path / "a.npz", **changed), "a.npz", *parts)

    @pytest.mark.parametrize("key", ["x_train", "y_train", "x_test", "y_test"])
    def test_missing_array(self, tmp_path, key):
        path = save(tmp_path / "a.npz", **{key: None})
        for how in (data.load, data.check):
            refuse(path, path, f"{key} is missing", how=how)

    @pytest.mark.parametrize("how", [data.load, data.check])
    def test_not_a_zip(self, tmp_path, how):
        path = tmp_path / "a.npz"
        path.write_bytes(b"not a zip")
        refuse(path, path, "expected an .npz file", how=how)

    def test_damaged_array(self, tmp_path):
        path = save(tmp_path / "a.npz")
        content = bytearray(path.read_bytes())
        content[200:210] = b"0123456789"
        path.write_bytes(content)
        refuse(path, "a.npz: x_train")

    def test_pickle(self, tmp_path):
        self.refused(tmp_path, "y_train", "plain numeric array", y_train=np.array([{}] * 30, dtype=object))

    def test_rank(self, tmp_path):
        self.refused(tmp_path, "x_train", "[30, 90]", x_train=arrays()["x_train"].reshape(30, -1))

    def test_lengths(self, tmp_path):
        self.refused(tmp_path, "y_train", "30 images", "29 labels", y_train=arrays()["y_train"][:-1])

    def test_no_images(self, tmp_path):
        self.refused(tmp_path, "x_test", "at least one image", x_test=np.zeros((0, 6, 5, 3), np.uint8))

    @pytest.mark.parametrize("labels", [np.eye(3)[np.arange(30) % 3], np.arange(30) % 3 / 1.0, np.full(30, "a")])
    def test_labels_not_integers(self, tmp_path, labels):
        self.refused(tmp_path, "y_train", "integer labels", labels.dtype, y_train=labels)

    def test_negative_label(self, tmp_path):
        self.refused(tmp_path, "y_train", "from 0", -1, y_train=arrays()["y_train"] - 1)

    def test_label_gap(self, tmp_path):
        self.refused(tmp_path, "y_train", "none of 0", y_train=arrays()["y_train"] + 10**12)

    def test_label_only_in_test(self, tmp_path):
        self.refused(tmp_path, "y_test", "0 to 2", "got 3", y_test=np.full(6, 3))

    def test_one_class(self, tmp_path):
        self.refused(tmp_path, "y_train", "two classes", y_train=np.zeros(30, int), y_test=np.zeros(6, int))

    @pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
    def test_not_finite(self, tmp_path, value):
        x = arrays(dtype=np.float64)["x_train"]
        x[4, 1, 1, 0] = value
        self.refused(tmp_path, "x_train", "image 4", x_train=x, x_test=x[:2].copy(), y_test=np.arange(2))

    def test_small_images(self, tmp_path):
        self.refused(tmp_path, "x_train", "4x4", "[30, 3, 5, 3]", x_train=arrays()["x_train"][:, :3])

    def test_train_and_test_differ(self, tmp_path):
        self.refused(tmp_path, "x_test", "6x5x3", "5x5x3", x_test=arrays()["x_test"][:, :5])
        self.refused(tmp_path, "uint8", "float64", x_test=arrays(dtype=np.float64)["x_test"])

    def test_pixels_not_numbers(self, tmp_path):
        self.refused(tmp_path, "x_train", "complex64", x_train=arrays()["x_train"].astype(np.complex64))


class TestIdx:
    @pytest.mark.parametrize("compress", [False, True])
    def test_reads(self, tmp_path, compress):
        root = idx_folder(tmp_path / "clothes", compress)
        data.check(str(root))
        d = data.load(str(root))
        assert (d.name, d.flips, d.x_train.shape) == ("clothes", False, (27, 6, 5, 1))
        assert np.array_equal(d.x_test[..., 0], arrays(shape=(6, 5))["x_test"])
        assert np.array_equal(d.y_test, arrays()["y_test"])

    @pytest.mark.parametrize("how", [data.load, data.check])
    def test_missing_file(self, tmp_path, how):
        (idx_folder(tmp_path) / IDX_FILES[3]).unlink()
        refuse(tmp_path, tmp_path, f"no {IDX_FILES[3]}", how=how)

    @pytest.mark.parametrize("length", [0, 3, 10, 500])
    def test_truncated(self, tmp_path, length):
        path = idx_folder(tmp_path) / IDX_FILES[0]
        path.write_bytes(path.read_bytes()[:length])
        refuse(tmp_path, path)

    def test_too_long(self, tmp_path):
        path = idx_folder(tmp_path) / IDX_FILES[1]
        path.write_bytes(path.read_bytes() + b"0")
        refuse(tmp_path, path, "30 values", "got 31")

    def test_truncated_gzip(self, tmp_path):
        path = idx_folder(tmp_path, compress=True) / f"{IDX_FILES[0]}.gz"
        path.write_bytes(path.read_bytes()[:-20])
        refuse(tmp_path, path, "readable IDX file")

    def test_magic_number(self, tmp_path):
        path = idx_folder(tmp_path) / IDX_FILES[1]
        path.write_bytes(idx_bytes(np.zeros(30, np.uint8), magic=bytes((0, 0, 13, 1))))
        refuse(tmp_path, path, "0x00000801", "0x00000d01")


class TestFolders:
    def test_sorted_names_are_the_labels(self, tmp_path):
        folder(tmp_path / "train", ("nut", "bolt")), folder(tmp_path / "test", ("nut", "bolt"), each=3)
        (tmp_path / "train" / "nut" / "Thumbs.db").write_bytes(b"")
        (tmp_path / "train" / ".cache").mkdir()
        data.check(str(tmp_path))
        d = data.load(str(tmp_path))
        assert (d.class_names, d.flips, d.x_train.dtype) == (("bolt", "nut"), True, np.uint8)
        assert (len(d.x_train), len(d.x_valid), len(d.x_test)) == (18, 2, 6)
        # Level 10 and above is "bolt", the second folder made.
        for x, y in ((d.x_train, d.y_train), (d.x_valid, d.y_valid), (d.x_test, d.y_test)):
            assert np.array_equal(y, np.where(x[:, 0, 0, 0] >= 10, 0, 1))
        assert d.x_train.shape[1:] == (5, 6, 3)

    def test_split_without_test_folder(self, tmp_path):
        first, second = (data.load(str(folder(tmp_path)), seed=seed) for seed in (0, 1))
        assert (len(first.x_train), len(first.x_valid), len(first.x_test)) == (14, 2, 4)
        assert np.bincount(first.y_test).tolist() == [2, 2]
        assert np.array_equal(first.x_test, second.x_test)
        levels = [set(x[:, 0, 0, 0]) for x in (first.x_train, first.x_valid, first.x_test)]
        assert len(set.union(*levels)) == sum(map(len, levels)) == 20
        assert set(second.x_valid[:, 0, 0, 0]) != levels[1]

    def test_limit_decodes_only_what_is_chosen(self, tmp_path):
        for part in ("train", "test"):
            folder(tmp_path / part, each=10)
        d = data.load(str(tmp_path), train_limit=4)
        kept = {*d.x_train[:, 0, 0, 0], *d.x_valid[:, 0, 0, 0]}
        for k, name in enumerate(("bolt", "nut")):
            for i in range(10):
                if 10 * k + i not in kept:
                    (tmp_path / "train" / name / f"{i:02}.png").write_bytes(b"")
        again = data.load(str(tmp_path), train_limit=4)
        assert len(kept) == 4 and np.array_equal(d.x_train, again.x_train)

    def test_all_grey(self, tmp_path):
        assert data.load(str(folder(tmp_path, mode="L"))).x_train.shape == (14, 5, 6, 1)

    def test_mixed_modes_become_rgb(self, tmp_path):
        folder(tmp_path / "train"), folder(tmp_path / "test", mode="L")
        picture(tmp_path / "test" / "nut" / "05.png", "RGBA", colour=(1, 1, 1, 4))
        d = data.load(str(tmp_path))
        assert d.x_train[0, 0, 0, 1:].tolist() == [20, 30]
        assert d.x_test[:2, 0, 0].tolist() == [[0] * 3, [1] * 3] and d.x_test[15, 0, 0].tolist() == [251] * 3

    def test_exif_orientation(self, tmp_path):
        folder(tmp_path)
        sideways, exif = Image.new("RGB", (5, 6)), Image.Exif()
        exif[0x0112] = 6
        sideways.save(tmp_path / "nut" / "00.jpg", exif=exif)
        assert data.load(str(tmp_path)).x_train.shape[1:] == (5, 6, 3)

    @pytest.mark.parametrize("how", [data.load, data.check])
    class TestLayout:
        def test_empty(self, tmp_path, how):
            refuse(tmp_path, tmp_path, "class folders", how=how)

        def test_only_files(self, tmp_path, how):
            picture(tmp_path / "a.png")
            refuse(tmp_path, tmp_path, "no folder in it", how=how)

        def test_empty_class(self, tmp_path, how):
            (folder(tmp_path) / "washer").mkdir()
            (tmp_path / "washer" / "notes.txt").write_text("")
            refuse(tmp_path, tmp_path / "washer", ".png", "got none", how=how)

        def test_one_class(self, tmp_path, how):
            refuse(folder(tmp_path, ("bolt",)), tmp_path, "at least two", "bolt", how=how)

        def test_train_alone(self, tmp_path, how):
            folder(tmp_path / "train")
            refuse(tmp_path, tmp_path, "expected test/ beside train/", how=how)

        def test_class_only_in_test(self, tmp_path, how):
            folder(tmp_path / "train"), folder(tmp_path / "test", ("bolt", "washer"))
            refuse(tmp_path, tmp_path / "test" / "washer", "no training images", how=how)

        def test_folder_in_class(self, tmp_path, how):
            (folder(tmp_path) / "nut" / "more").mkdir()
            for path in (tmp_path / "nut").glob("*.png"):
                path.unlink()
            refuse(tmp_path, tmp_path / "nut" / "more", "got a folder", how=how)

        def test_link_to_class_outside(self, tmp_path, how):
            folder(tmp_path / "in"), picture(tmp_path / "out" / "a.png")
            (tmp_path / "in" / "washer").symlink_to(tmp_path / "out")
            refuse(tmp_path / "in", tmp_path / "in" / "washer", "link", tmp_path / "out", how=how)

    def test_link_to_file_outside(self, tmp_path):
        folder(tmp_path / "in"), picture(tmp_path / "out.png")
        (tmp_path / "in" / "nut" / "99.png").symlink_to(tmp_path / "out.png")
        refuse(tmp_path / "in", tmp_path / "in" / "nut" / "99.png", "link")

    def test_link_inside_and_linked_root(self, tmp_path):
        folder(tmp_path / "in")
        (tmp_path / "in" / "nut" / "99.png").symlink_to(tmp_path / "in" / "nut" / "00.png")
        (tmp_path / "link").symlink_to(tmp_path / "in")
        assert len(data.load(str(tmp_path / "link")).x_train) == 15

    def test_a_class_may_be_called_train(self, tmp_path):
        assert data.load(str(folder(tmp_path, ("plane", "train")))).class_names == ("plane", "train")

    def test_too_few_for_three_parts(self, tmp_path):
        refuse(folder(tmp_path, each=2), "at least 3", "got 2 of class 'bolt'")

    def test_unreadable(self, tmp_path):
        path = folder(tmp_path) / "nut" / "03.png"
        path.write_bytes(path.read_bytes()[:40])
        refuse(tmp_path, path, "readable image")

    def test_sizes(self, tmp_path):
        picture(folder(tmp_path / "test") / "nut" / "99.png", size=(6, 4))
        folder(tmp_path / "train")
        d = data.load(str(tmp_path))
        assert d.x_train.shape[1:] == d.x_test.shape[1:] == (32, 32, 3) and "2 sizes, 4x6 to 5x6" in d.notes[0]

    def test_small(self, tmp_path):
        for path in folder(tmp_path).glob("*/*.png"):
            picture(path, size=(6, 3))
        refuse(tmp_path, "4x4", "3x6")

    def test_sixteen_bits(self, tmp_path):
        path = picture(folder(tmp_path) / "nut" / "00.png", "I;16", colour=1000)
        refuse(tmp_path, path, "8 bits", "I;16")


@pytest.mark.skipif(
    not Path("/usr/share/datasets/fashion-mnist").is_dir(), reason="needs Debian's dataset-fashion-mnist"
)
def test_the_flag_file_for_fashion_mnist_asks_for_what_the_data_allow():
    parsed, _ = main.parse(["main", "--flagfile=flags/fashion_cpu.flags", "--method=sh"])
    dataset = data.load(parsed.dataset, valid_fraction=0.1, train_limit=100, seed=0)
    assert "flip" not in parsed.augmentations(dataset.flips)
