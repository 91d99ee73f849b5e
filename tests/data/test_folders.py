"""Data sets in folders of images."""

import os

import numpy as np
import pytest
from PIL import Image

from nash_tf import data
from nash_tf.data import images
from nash_tf.exporting import predict_script
from tests.helpers.data_files import folder, picture, refuse


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

    def test_train_and_test_in_capitals(self, tmp_path):
        folder(tmp_path / "Train"), folder(tmp_path / "TEST", each=3)
        assert len(data.load(str(tmp_path)).x_test) == 6
        folder(tmp_path / "test", each=4)
        d = data.load(str(tmp_path))
        assert len(d.x_test) == 8 and any(
            "not used: TEST/; validation images are split off Train/" in note for note in d.notes
        )

    def test_names_of_the_same_letters_in_other_bytes_are_one_class(self, tmp_path):
        one, two = "caf\u00e9", "cafe\u0301"
        folder(tmp_path / "train", (one, "x")), folder(tmp_path / "test", ("x", two), each=3)
        data.check(str(tmp_path))
        d = data.load(str(tmp_path))
        assert d.class_names == (one, "x")
        assert np.array_equal(d.y_test, np.where(d.x_test[:, 0, 0, 0] >= 10, 0, 1)) and len(d.y_test) == 6
        folder(tmp_path / "train", (two,))
        refuse(tmp_path, "the same letters in other bytes", r"'caf\xe9'", r"'cafe\u0301'")

    def test_a_run_may_not_lie_among_class_folders(self, tmp_path, monkeypatch):
        photos = folder(tmp_path / "photos")
        monkeypatch.chdir(photos)
        for source, output in ((".", "runs/one"), (str(photos), "."), ("../photos/", str(photos / "x"))):
            with pytest.raises(
                data.DataError, match=r"^output_dir: .*expected a folder outside the images.*--output_dir="
            ):
                data.check_outside(source, output)
        data.check_outside(".", "../runs/one"), data.check_outside("digits", "digits")
        parted = tmp_path / "parted"
        folder(parted / "train"), folder(parted / "test", each=3)
        data.check_outside(str(parted), str(parted / "runs"))
        for part in ("train", "test"):
            with pytest.raises(data.DataError, match=f"^output_dir: .*in {parted / part}, where each folder is taken"):
                data.check_outside(str(parted), str(parted / part / "runs"))

    def test_a_hidden_folder_of_images_is_told(self, tmp_path):
        folder(tmp_path), folder(tmp_path, (".net",), each=3), (tmp_path / ".empty").mkdir()
        note = next(note for note in data.load(str(tmp_path)).notes if "hidden" in note)
        assert note.endswith("though they hold images: .net/ (3); rename one that is a class")

    def test_images_of_other_formats_are_told_by_class_with_what_to_do(self, tmp_path):
        folder(tmp_path)
        for name in ("nut/a.HEIC", "nut/b.heic", "bolt/c.avif", "bolt/d.jfif"):
            (tmp_path / name).write_bytes(b"")
        note = next(note for note in data.load(str(tmp_path)).notes if "formats" in note)
        assert "not used: 4 files of formats that are not read: convert .avif .heic to JPEG or PNG, and rename" in note
        assert note.endswith("rename .jfif to .jpg (by class: bolt 2, nut 2)")
        (tmp_path / "new").mkdir(), (tmp_path / "new" / "a.heic").write_bytes(b"")
        refuse(
            tmp_path, "new: expected images", "got 1 file of formats that are not read: convert .heic", how=data.check
        )

    def test_they_are_those_that_the_exported_script_knows(self):
        assert tuple(map(frozenset, (predict_script.OTHERS, predict_script.SUFFIXES))) == (
            images.OTHERS,
            images.SUFFIXES,
        )

    def test_test_images_without_classes(self, tmp_path):
        folder(tmp_path / "train"), picture(tmp_path / "test" / "1.png")
        refuse(tmp_path, "test: expected class folders as in", f"give {tmp_path / 'train'} itself", how=data.check)

    @pytest.mark.parametrize("inner", ["", "train"])
    def test_the_extra_folder_of_an_archive(self, inner, tmp_path):
        folder(tmp_path / "photos" / inner), folder(tmp_path / "photos" / inner.replace("train", "test"), each=3)
        refuse(tmp_path, f"got only photos; where the classes are in it, give {tmp_path / 'photos'}", how=data.check)
        (lone := tmp_path / "lone" / "one").mkdir(parents=True), picture(lone / "1.png")
        with pytest.raises(data.DataError, match="got only one$"):
            data.check(str(lone.parent))

    def test_what_macos_packs_is_passed_over(self, tmp_path):
        folder(tmp_path), (tmp_path / "__MACOSX" / "bolt").mkdir(parents=True)
        (tmp_path / "__MACOSX" / "bolt" / "._00.png").write_bytes(b"")
        assert data.load(str(tmp_path)).class_names == ("bolt", "nut")

    def test_a_folder_called_like_a_known_data_set_is_told(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        note = "a folder of this name is there too: ./digits names it"
        assert not any(note in each for each in data.load("digits").notes)
        folder(tmp_path / "digits")
        assert any(note in each for each in data.load("digits").notes)
        own = data.load("./digits")
        assert own.class_names == ("bolt", "nut") and not any(note in each for each in own.notes)

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

        def test_class_whose_name_is_no_text(self, tmp_path, how):
            folder(tmp_path, ("bolt", os.fsdecode(b"caf\xe9")))
            refuse(tmp_path, tmp_path, "name is UTF-8", r"b'caf\xe9'; rename it", how=how)

        def test_class_only_in_test(self, tmp_path, how):
            folder(tmp_path / "train"), folder(tmp_path / "test", ("bolt", "washer"))
            refuse(tmp_path, tmp_path / "test" / "washer", "no training images", how=how)

        def test_folder_in_class(self, tmp_path, how):
            (folder(tmp_path) / "nut" / "more").mkdir()
            for path in (tmp_path / "nut").glob("*.png"):
                path.unlink()
            refuse(tmp_path, tmp_path / "nut" / "more", "got a folder", how=how)

        def test_parts_of_other_names(self, tmp_path, how):
            folder(tmp_path / "Training"), folder(tmp_path / "Testing")
            remedy = "where Testing holds classes, name such folders train and test, or give it itself"
            refuse(tmp_path, tmp_path / "Testing", remedy, how=how)

        def test_one_part_of_another_name(self, tmp_path, how):
            folder(tmp_path / "Training"), folder(tmp_path / "Test")
            remedy = f"name the folders train and test, or give {tmp_path / 'Test'} itself"
            refuse(tmp_path, "expected train/ beside Test/, got Training/", remedy, how=how)

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
