"""Data sets in files of arrays: npz and IDX."""

import numpy as np
import pytest

from nash_tf import data
from tests.helpers.data_files import IDX_FILES, arrays, idx_bytes, idx_folder, refuse, save


class TestNpz:
    def test_images_follow_their_labels(self, tmp_path):
        a = arrays()
        path = save(tmp_path / "parts.npz")
        data.check(str(path))
        d = data.load(str(path), valid_fraction=0.2)
        assert (d.name, d.flips, d.class_names) == ("parts", None, ("0", "1", "2"))
        labels = {image.tobytes(): label for image, label in zip(a["x_train"], a["y_train"], strict=True)}
        seen = [*zip(d.x_train, d.y_train, strict=True), *zip(d.x_valid, d.y_valid, strict=True)]
        assert len(seen) == 30 and all(labels[image.tobytes()] == label for image, label in seen)
        assert np.array_equal(d.x_test, a["x_test"]) and np.array_equal(d.y_test, a["y_test"])

    def test_a_suffix_in_capitals(self, tmp_path):
        save(tmp_path / "parts.npz").rename(tmp_path / "PARTS.NPZ")
        assert data.load(str(tmp_path / "PARTS.NPZ")).name == "PARTS"

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
        assert (d.name, d.flips, d.x_train.shape) == ("clothes", None, (27, 6, 5, 1))
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
