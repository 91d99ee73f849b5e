"""Data sets by name and by path: what comes out, and every refusal."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nash_tf import data, main
from nash_tf.data import keras_sets, notes, registry, splits
from nash_tf.data.dataset import channel_statistics
from nash_tf.records.runs import Run
from tests.helpers.data_files import arrays, folder, idx_folder, picture, refuse, save


def _with_table(root):
    """A folder of pictures with their classes in a table."""
    folder(root)
    rows = [f"{path.relative_to(root)},{path.parent.name}" for path in sorted(root.rglob("*.png"))]
    (root / "metadata.csv").write_text("\n".join(["path,label", *rows]))
    return root


@pytest.mark.parametrize("make", [folder, _with_table, idx_folder, save])
def test_a_linked_source_has_the_name_that_its_settings_have(tmp_path, monkeypatch, make):
    real, link = tmp_path / "elsewhere", tmp_path / "photos"
    if make is save:
        real, link = real.with_suffix(".npz"), link.with_suffix(".npz")
    make(real)
    link.symlink_to(real.name)
    monkeypatch.chdir(tmp_path)
    for source in (link.name, str(link)):
        opened = data.load(source)
        begun, finished = (
            Run(tmp_path, {"dataset": source}),
            Run(tmp_path, {"dataset": source}, results={"dataset": opened.name}),
        )
        assert begun.dataset == finished.dataset == "photos"
    if link.is_dir():
        monkeypatch.chdir(link)
        assert data.load(".").name == "elsewhere", "a folder that is worked in has no name but its own"


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

    def test_a_float64_beyond_float32_is_reported_as_it_is(self, tmp_path):
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

    def test_a_share_of_validation_that_small_classes_do_not_allow(self, tmp_path):
        y, x = np.repeat(np.arange(6), 5), np.random.default_rng(0).integers(0, 256, (36, 6, 5, 3)).astype(np.uint8)
        path = save(tmp_path / "a.npz", x_train=x[:30], y_train=y, x_test=x[30:], y_test=np.arange(6))
        (note,) = data.load(str(path), valid_fraction=0.1).notes
        assert note.startswith("6 images validate, not 3 (valid_fraction=0.1 of 30)")
        assert data.load(str(path), valid_fraction=0.2).notes == ()

    @pytest.mark.parametrize("scale, shift", [(1 / 255, 0), (255, 0), (1, 300), (2, -255), (0.5, 128)])
    def test_train_and_test_scaled_differently(self, tmp_path, scale, shift):
        x = np.random.default_rng(0).integers(0, 256, (60, 6, 5, 3)).astype(np.float32)
        (note,) = data.load(str(save(tmp_path / "a.npz", x_train=x[:30], x_test=x[30:36] * scale + shift))).notes
        assert "another scale" in note

    @pytest.mark.parametrize("dtype", [np.uint8, np.float32])
    def test_copies_are_counted(self, tmp_path, dtype):
        x = np.random.default_rng(0).integers(0, 256, (33, 6, 5, 3)).astype(dtype)
        path = save(tmp_path / "a.npz", x_train=x[:30], x_test=np.concatenate([x[3:6], x[30:]]))
        assert data.load(str(path)).notes == ("3 of 6 test images are exact copies of training or validation images",)

    def test_copies_among_training_and_validation_images_are_counted(self):
        x = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3)).astype(np.uint8)
        parts, y = (x[:9], np.concatenate([x[2:4], x[9:10]]), x[9:]), np.arange(12)
        found = notes.copies(tuple(zip(parts, (y[:9], np.array([2, 3, 9]), y[9:]), strict=True)))
        assert found == (2, 1, 0) and notes.of_arrays(*parts, found) == (
            "2 of 3 validation images are exact copies of training images",
            "1 of 3 test images is an exact copy of training or validation images",
        )

    def test_images_of_two_classes_contradict_each_other(self, tmp_path):
        x = np.random.default_rng(0).integers(0, 256, (35, 6, 5, 3)).astype(np.uint8)
        d = data.load(str(save(tmp_path / "a.npz", x_train=np.concatenate([x[:29], x[:1]]), x_test=x[29:])))
        assert d.copies.contradicting == 2 and d.notes[-1].startswith("2 images are exact copies of images of another")

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
        (tmp_path / part / "nut" / "new.txt").write_bytes(b"")
        loose, others = data.load(str(tmp_path)).notes[:2]
        assert loose.endswith("class folders are not used: loose.png") and others.endswith("not used: new.txt")


def test_a_refusal_by_the_system_is_reported(tmp_path, monkeypatch):
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

    def test_the_help_names_them_all(self):
        text = " ".join(main.usage().partition("--dataset=")[2].split())
        names, _, paths = text.partition(". Default: digits.")[0].partition(", or a path: ")
        known = ", ".join(["digits (bundled)", *(kind.name for kind in registry.NAMED[1:])])
        assert names == f"Data set, by its name or its path. It may be {known}"
        assert paths.split("; ") == [kind.words for kind in registry.KINDS[len(registry.NAMED) :]] and all(
            paths.split("; ")
        )
        with pytest.raises(
            data.DataError, match=re.escape(f"expected {known}, or a path: {paths}; got neither such a name")
        ):
            registry.find("cifar11")

    def test_no_download(self, monkeypatch):
        def load_data():
            raise OSError("URL fetch failure on https://example.org:\nno route")

        fake = SimpleNamespace(datasets=SimpleNamespace(cifar10=SimpleNamespace(load_data=load_data)))
        monkeypatch.setitem(sys.modules, "keras", fake)
        refuse("cifar10", "cifar10", "URL fetch failure", "remove its files in", "give a path instead")

    def test_cifar100_names_are_sorted(self):
        assert list(keras_sets.CIFAR100) == sorted(set(keras_sets.CIFAR100))


@pytest.mark.skipif(
    not Path("/usr/share/datasets/fashion-mnist").is_dir(), reason="needs Debian's dataset-fashion-mnist"
)
def test_the_flag_file_for_fashion_mnist_asks_for_what_the_data_allow():
    parsed, _ = main.parse(["main", "--flagfile=flags/fashion_cpu.flags", "--method=sh"])
    dataset = data.load(parsed.dataset, valid_fraction=0.1, train_limit=100, seed=0)
    assert "flip" not in parsed.augmentations(dataset.flips)
