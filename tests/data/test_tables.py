"""Tables of labels: CSV files, and folders with metadata.csv; every refusal names the line."""

import csv

import numpy as np
import pytest
from PIL import Image

from nash_tf import data

LABELS = ("nut", "bolt")


def pictures(root, count=20, start=0):
    """Images 0.png, 1.png, ... of class i % 2, whose level is their number."""
    root.mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        Image.new("L", (6, 5), number).save(root / f"{number}.png")


def table(path, rows, header=("path", "label")):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows] if header else rows)
    return path


def listed(count=20, start=0, folder=""):
    return [[f"{folder}{number}.png", LABELS[number % 2]] for number in range(start, start + count)]


def levels(x):
    return sorted(x[:, 0, 0, 0].tolist())


def refuse(source, *parts):
    for how in (data.check, data.load):
        with pytest.raises(data.DataError) as caught:
            how(str(source))
        message = str(caught.value)
        assert message.isprintable()
        for words in parts:
            assert str(words) in message, message


class TestCsv:
    def test_labels_of_the_same_letters_in_other_bytes_are_one(self, tmp_path):
        pictures(tmp_path, 20)
        names = ("caf\u00e9", "x", "cafe\u0301", "x")
        path = table(tmp_path / "a.csv", [[f"{number}.png", names[number % 4]] for number in range(20)])
        d = data.load(str(path))
        assert d.class_names == ("caf\u00e9", "x") and np.array_equal(d.y_test, d.x_test[:, 0, 0, 0] % 2)

    def test_classes_are_the_labels_sorted_and_a_fifth_is_tested_on(self, tmp_path):
        pictures(tmp_path / "in")
        path = table(tmp_path / "parts.csv", listed(folder="in/"))
        data.check(str(path))
        d = data.load(str(path))
        assert (d.name, d.class_names, d.flips) == ("parts", ("bolt", "nut"), True)
        assert (len(d.x_train), len(d.x_valid), len(d.x_test)) == (14, 2, 4)
        assert sorted(levels(d.x_train) + levels(d.x_valid) + levels(d.x_test)) == list(range(20))
        for x, y in ((d.x_train, d.y_train), (d.x_valid, d.y_valid), (d.x_test, d.y_test)):
            assert np.array_equal(x[:, 0, 0, 0] % 2 == 0, y == 1)

    def test_columns_in_any_order_with_others_and_a_split(self, tmp_path):
        pictures(tmp_path, 30)
        rows = [[f"note, {i}", "Test " if i >= 20 else "train", LABELS[i % 2], f" {i}.png"] for i in range(30)]
        d = data.load(
            str(table(tmp_path / "a.csv", [*rows, [], ["", " ", "", ""]], ("Note", "Split", "LABEL", "file_name")))
        )
        assert levels(d.x_test) == list(range(20, 30)) and len(d.x_train) == 18

    def test_other_splits_are_told(self, tmp_path):
        pictures(tmp_path, 30)
        rows = [[*row, "val" if i > 24 else "test" if i > 20 else "train"] for i, row in enumerate(listed(30))]
        d = data.load(str(table(tmp_path / "a.csv", rows, ("path", "label", "split"))))
        assert "not used: 5 of split val" in d.notes[0] and levels(d.x_test) == [21, 22, 23, 24]

    def test_spaces_before_quotes_are_none_of_the_label(self, tmp_path):
        pictures(tmp_path)
        rows = [f'{i}.png,{" " * (i % 3)}"{LABELS[i % 2]}, large"' for i in range(20)]
        (tmp_path / "a.csv").write_text("\n".join(["path,label", *rows]))
        assert data.load(str(tmp_path / "a.csv")).class_names == ("bolt, large", "nut, large")

    def test_numbers_are_sorted_by_size(self, tmp_path):
        pictures(tmp_path, 33)
        d = data.load(str(table(tmp_path / "a.csv", [[f"{i}.png", i % 11] for i in range(33)])))
        assert d.class_names == tuple(map(str, range(11)))

    def test_as_the_same_class_folders(self, tmp_path):
        for name in LABELS:
            (tmp_path / "f" / name).mkdir(parents=True)
        for i in range(20):
            Image.new("L", (6, 5), i).save(tmp_path / "f" / LABELS[i % 2] / f"{i:02}.png")
        rows = [
            [str(path.relative_to(tmp_path)), path.parent.name] for path in sorted((tmp_path / "f").glob("*/*.png"))
        ]
        one, other = data.load(str(tmp_path / "f")), data.load(str(table(tmp_path / "t.csv", rows)))
        assert all(
            np.array_equal(getattr(one, name), getattr(other, name)) for name in ("x_train", "y_valid", "x_test")
        )

    @pytest.mark.parametrize(
        "row, words",
        [
            (["no.png", "nut"], ["no such file", "no.png"]),
            (["", "nut"], ["expected a path and a label"]),
            (["0.png"], ["expected 2 values", "got 1"]),
            (["0.png", "nut", "x"], ["got 3", "quotes"]),
            (["0.png", " "], ["expected a path and a label"]),
            (["3.png", "nut"], ["each image once", "line 5"]),
            (["./x/../3.png", "nut"], ["each image once", "line 5"]),
            (["inner.png", "nut"], ["each image once", "line 5"]),
            (["../out.png", "nut"], ["inside", "out.png"]),
            (["/etc/passwd", "nut"], ["inside", "/etc/passwd"]),
            (["link.png", "nut"], ["inside", "out.png"]),
            (["folder", "nut"], ["something else"]),
            (["a\0b", "nut"], []),
            (["\x1b[2J", "nut"], ["no such file", r"\x1b"]),
        ],
    )
    def test_a_wrong_row_is_named(self, tmp_path, row, words):
        root = tmp_path / "in"
        pictures(root)
        pictures(tmp_path, 1)
        (tmp_path / "0.png").rename(tmp_path / "out.png")
        (root / "link.png").symlink_to(tmp_path / "out.png")
        (root / "inner.png").symlink_to(root / "3.png")
        (root / "folder").mkdir()
        (root / "x").mkdir()
        refuse(table(root / "a.csv", [*listed(), row]), root / "a.csv", "line 22", *words)

    @pytest.mark.parametrize(
        "header, words",
        [
            (("image", "label"), "names the columns"),
            (("path", "class"), "names the columns"),
            (None, "names the columns"),
            (("path", "label", "label"), "one column label"),
        ],
    )
    def test_a_wrong_header_is_named(self, tmp_path, header, words):
        pictures(tmp_path)
        refuse(table(tmp_path / "a.csv", listed(), header), "a.csv, line 1", words)

    def test_no_rows(self, tmp_path):
        refuse(table(tmp_path / "a.csv", []), "a.csv", "got none")
        (tmp_path / "b.csv").write_text("")
        refuse(tmp_path / "b.csv", "b.csv, line 1")

    @pytest.mark.parametrize(
        "raw", [b"path,label\n\xff\xfe,a\n", b'path,label\n"0.png,a\n', b"path,label\n" + b"x" * 200_000]
    )
    def test_no_csv(self, tmp_path, raw):
        (tmp_path / "a.csv").write_bytes(raw)
        refuse(tmp_path / "a.csv", "a.csv, line", "CSV file in UTF-8")

    def test_one_label(self, tmp_path):
        pictures(tmp_path)
        refuse(table(tmp_path / "a.csv", [[f"{i}.png", "nut"] for i in range(20)]), "two labels", "'nut'")

    def test_splits_that_lack_a_part_or_a_row(self, tmp_path):
        pictures(tmp_path)
        header = ("path", "label", "split")
        refuse(table(tmp_path / "a.csv", [[*row, "train"] for row in listed()], header), "none of test")
        rows = [[*row, "test" if i > 9 else "train"] for i, row in enumerate(listed())]
        refuse(table(tmp_path / "b.csv", [*rows[:-1], [*rows[-1][:2], ""]], header), "b.csv, line 21", "a split")

    def test_a_label_only_in_test(self, tmp_path):
        pictures(tmp_path)
        rows = [[*row, "test" if i > 9 else "train"] for i, row in enumerate(listed())]
        rows[15][1] = "washer"
        refuse(table(tmp_path / "a.csv", rows, ("path", "label", "split")), "line 17", "washer")

    def test_an_unreadable_image_is_named(self, tmp_path):
        pictures(tmp_path)
        (tmp_path / "7.png").write_bytes(b"x")
        with pytest.raises(data.DataError, match="7.png: expected a readable image"):
            data.load(str(table(tmp_path / "a.csv", listed())))


class TestMetadata:
    HEADER = ("file_name", "label")

    def test_in_the_folder(self, tmp_path):
        pictures(tmp_path / "set")
        table(tmp_path / "set" / "metadata.csv", listed(), self.HEADER)
        d = data.load(str(tmp_path / "set"))
        assert (d.name, d.class_names, len(d.x_test)) == ("set", ("bolt", "nut"), 4)

    @pytest.mark.parametrize("one", [True, False])
    def test_in_train_and_test(self, tmp_path, one):
        pictures(tmp_path / "train"), pictures(tmp_path / "test", 10, 20)
        if one:
            table(tmp_path / "metadata.csv", [*listed(folder="train/"), *listed(10, 20, "test/")], self.HEADER)
        else:
            table(tmp_path / "train" / "metadata.csv", listed(), self.HEADER)
            table(tmp_path / "test" / "metadata.csv", listed(10, 20), self.HEADER)
        d = data.load(str(tmp_path))
        assert levels(d.x_test) == list(range(20, 30)) and len(d.x_train) + len(d.x_valid) == 20

    @pytest.mark.parametrize("one", [True, False])
    def test_in_folders_in_capitals_and_another_part_is_told(self, tmp_path, one):
        pictures(tmp_path / "Train"), pictures(tmp_path / "TEST", 10, 20), pictures(tmp_path / "validation", 5, 30)
        if one:
            rows = [*listed(folder="Train/"), *listed(10, 20, "TEST/"), *listed(5, 30, "validation/")]
            table(tmp_path / "metadata.csv", rows, self.HEADER)
        else:
            table(tmp_path / "Train" / "metadata.csv", listed(), self.HEADER)
            table(tmp_path / "TEST" / "metadata.csv", listed(10, 20), self.HEADER)
            table(tmp_path / "validation" / "metadata.csv", listed(5, 30), self.HEADER)
        d = data.load(str(tmp_path))
        assert levels(d.x_test) == list(range(20, 30)) and len(d.x_train) + len(d.x_valid) == 20
        unused = "5 of split validation" if one else "validation/metadata.csv"
        assert any(f"not used: {unused}; validation images are split off train" in note for note in d.notes)

    def test_parts_that_are_not_all_there_is_are_no_parts_and_that_is_told(self, tmp_path):
        pictures(tmp_path / "train"), pictures(tmp_path / "more", 10, 20)
        table(tmp_path / "metadata.csv", [*listed(folder="train/"), *listed(10, 20, "more/")], self.HEADER)
        assert any(
            "the test is a fifth of all images, wherever they lie" in note for note in data.load(str(tmp_path)).notes
        )
        table(tmp_path / "metadata.csv", listed(10, 20, "more/"), self.HEADER)
        assert not any("the test is" in note for note in data.load(str(tmp_path)).notes)

    def test_in_train_alone(self, tmp_path):
        pictures(tmp_path / "train")
        table(tmp_path / "train" / "metadata.csv", listed(), self.HEADER)
        refuse(tmp_path, "in test/ beside that in train/")

    def test_one_without_labels_leaves_class_folders_as_they_are(self, tmp_path):
        for name in LABELS:
            pictures(tmp_path / name, 10)
        table(tmp_path / "metadata.csv", [["nut/0.png", "a nut"]], ("file_name", "text"))
        assert data.load(str(tmp_path)).class_names == ("bolt", "nut")

    def test_one_without_labels_or_class_folders(self, tmp_path):
        pictures(tmp_path)
        table(tmp_path / "metadata.csv", [["0.png", "a nut"]], ("file_name", "text"))
        refuse(tmp_path, "metadata.csv, line 1", "label")
