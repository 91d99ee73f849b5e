"""Image files listed in a table: a CSV file of path,label, or a folder with metadata.csv as Hugging Face's `imagefolder` has it.

The first line names the columns: `path` or `file_name`, relative to the table's folder; `label`; and, where the table says
which images are tested on, `split`, of train and test. A `metadata.csv` lies in the folder itself, or one each in train/ and
test/; in one without a split, images in train/ and test/ are so used. Classes are the labels, sorted.
"""

import contextlib
import csv
import functools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from nash_tf.data.image_files import Labelled, labelled, source_of
from nash_tf.data.source import DataError, Kind, Source, composed, listed, name_of, printable

METADATA = "metadata.csv"
PATHS, LABEL, SPLIT = ("path", "file_name"), "label", "split"
TRAIN, TEST = "train", "test"
MOST_BYTES = 1 << 30  # of a table
_SHOWN = 80  # characters of a line in an error


class Row(NamedTuple):
    """A line of a table: where it is, the image and the file that is behind its path, its class, and its split or ""."""

    where: str
    path: Path
    target: Path
    label: str
    split: str


@contextlib.contextmanager
def _lines(table: Path) -> Iterator:
    """A table, open to be read by a `csv.reader`; what goes wrong becomes a DataError."""
    if (size := os.stat(table).st_size) > MOST_BYTES:
        raise DataError(f"{table}: expected a table of at most {MOST_BYTES:,} bytes, got {size:,}")
    with open(table, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True, skipinitialspace=True)
        try:
            yield reader
        except (csv.Error, UnicodeError) as error:
            where = f"{table}, line {max(1, reader.line_num)}"
            raise DataError(f"{where}: expected a CSV file in UTF-8, got: {error}; write it anew") from error


def _header(table: Path) -> list[str]:
    """The names of a table's columns, in lower case."""
    with _lines(table) as lines:
        return [name.strip().lower() for name in next(lines, [])]


def _rows(table: Path, root: Path) -> Iterator[Row]:
    """The rows of a table that lies in `root`, checked one by one."""
    inside, real = Path(os.path.realpath(root)), functools.cache(os.path.realpath)
    with _lines(table) as lines:
        header = [name.strip().lower() for name in next(lines, [])]
        path_at, label_at, split_at = _columns(table, header)
        for values in lines:
            if not any(value.strip() for value in values):
                continue
            where = f"{table}, line {lines.line_num}"
            if len(values) != len(header):
                raise DataError(
                    f"{where}: expected {len(header)} values ({','.join(header)}), got {len(values)}; "
                    "a value that holds a comma needs quotes"
                )
            name, label = values[path_at].strip(), values[label_at].strip()
            if not name or not label:
                raise DataError(f"{where}: expected a {header[path_at]} and a label, got {_short(values)}; complete it")
            split = values[split_at].strip().lower() if split_at is not None else ""
            path = table.parent / name
            yield Row(where, path, _target(path, inside, where, real), label, split)


def _columns(table: Path, header: list[str]) -> tuple[int, int, int | None]:
    """The positions of the path, the label and, where there is one, the split."""
    path = next((name for name in PATHS if name in header), None)
    if path is None or LABEL not in header:
        rule = "a first line that names the columns, path (or file_name) and label"
        raise DataError(f"{table}, line 1: expected {rule}, got {_short(header)}")
    wanted = [path, LABEL, *([SPLIT] if SPLIT in header else [])]
    for name in wanted:
        if header.count(name) > 1:
            raise DataError(f"{table}, line 1: expected one column {name}, got {header.count(name)}; rename the others")
    return header.index(path), header.index(LABEL), header.index(SPLIT) if SPLIT in header else None


def _target(path: Path, inside: Path, where: str, real: Callable[[Path], str]) -> Path:
    """The file behind the path of a row, which must lie in the table's folder; `real` remembers folders."""
    target = Path(real(path.parent), path.name)
    if path.name == ".." or target.is_symlink():
        target = Path(os.path.realpath(path))
    if not target.is_relative_to(inside):
        raise DataError(
            f"{where}: expected an image inside {inside}, got {target}; copy it there, or move the table up"
        )
    if not target.is_file():
        got = "something else" if target.exists() else "no such file"
        raise DataError(f"{where}: expected an image file, got {got}: {path}; correct the path or remove the line")
    return target


def _short(values: list[str]) -> str:
    text = ",".join(values)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _tables(source: str) -> list[tuple[Path, str]]:
    """The tables of a source, each with the split of its images, or "" where it does not follow from its place."""
    root = Path(source)
    if root.is_file():
        return [(root, "")]
    if (root / METADATA).is_file():
        return [(root / METADATA, "")]
    found = [(table, split) for split, table in _part_tables(root).items()]
    if len(found) == 1:
        ((table, split),) = found
        other = TEST if split == TRAIN else TRAIN
        rule = f"{METADATA} in {other}/ beside that in {table.parent.name}/"
        raise DataError(f"{root}: expected {rule}, got none; add it, or give {table.parent} itself")
    return found


def _part_tables(root: Path) -> dict[str, Path]:
    """The tables in train/ and test/, in capitals or not, those that are called so exactly first."""
    found = {table.parent.name.lower(): table for table in sorted(root.glob(f"*/{METADATA}")) if table.is_file()}
    return {split: found[split] for split in (TRAIN, TEST) if split in found}


def _other_tables(source: str) -> list[str]:
    """The names of folders beside train/ and test/ that hold a table too."""
    used = [table.parent.name for table, split in _tables(source) if split]
    tables = sorted(Path(source).glob(f"*/{METADATA}")) if used else []
    return [name for table in tables if (name := table.parent.name) not in used and not name.startswith(".")]


def _require_inside(table: Path, root: Path) -> None:
    """Raises DataError where the table in a folder is a link that leaves it."""
    target = os.path.realpath(table)
    if root.is_dir() and not Path(target).is_relative_to(os.path.realpath(root)):
        raise DataError(f"{table}: expected a file inside {root}, got a link to {target}; copy it there")


def _matches(source: str) -> bool:
    root = Path(source)
    if root.suffix.lower() == ".csv" and root.is_file():
        return True
    if not root.is_dir():
        return False
    tables = [path for path in (root / METADATA, *_part_tables(root).values()) if path.is_file()]
    # A table without labels is about something else where class folders tell them.
    return any(LABEL in _header(table) for table in tables) or bool(tables and not _has_folders(tables[0].parent))


def _has_folders(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.is_dir() and not entry.name.startswith(".") for entry in entries)


def _read(source: str) -> list[Row]:
    """All rows, each with a split or all without; an image stands in one row alone."""
    rows: list[Row] = []
    root = _root(source)
    for table, split in _tables(source):
        _require_inside(table, Path(source))
        found = list(_rows(table, table.parent if split else root))
        rows += [row._replace(split=split) for row in found] if split else found
    if not rows:
        raise DataError(f"{source}: expected rows of images, got none below the columns' names")
    seen: dict[Path, Row] = {}
    for row in rows:
        other = seen.setdefault(row.target, row)
        if other is not row:
            raise DataError(f"{row.where}: expected each image once, got {row.path} as in {other.where}; remove one")
    return _by_folders(_with_labels_alike(rows), root)


def _with_labels_alike(rows: list[Row]) -> list[Row]:
    """Rows in which labels of the same letters in other bytes are one, that of the first row which has it."""
    first: dict[str, str] = {}
    return [row._replace(label=first.setdefault(composed(row.label), row.label)) for row in rows]


def _by_folders(rows: list[Row], root: Path) -> list[Row]:
    """Rows without a split that all lie in train/ and test/ are given it."""
    if any(row.split for row in rows):
        return rows
    parts = _folders(rows, root)
    if "" in parts or not {TRAIN, TEST} <= set(parts):
        return rows
    return [row._replace(split=part) for row, part in zip(rows, parts, strict=True)]


def _folders(rows: list[Row], root: Path) -> list[str]:
    """The uppermost folder of each row's image, in small letters; "" of one that lies in none."""
    paths = [os.path.relpath(row.path, root).lower().split(os.sep) for row in rows]
    return [names[0] if len(names) > 1 else "" for names in paths]


def _root(source: str) -> Path:
    return Path(source).parent if Path(source).is_file() else Path(source)


def _divided(source: str) -> tuple[tuple[str, ...], Labelled, Labelled | None, tuple[str, ...]]:
    """The class names, the files to train and to validate on, those to test on, and notes."""
    rows = _read(source)
    splits = Counter(row.split for row in rows)
    for row in rows:
        if not row.split and len(splits) > 1:
            raise DataError(f"{row.where}: expected a split, train or test, as in other lines, got none; complete it")
    divided = splits.keys() != {""}
    if divided and (missing := {TRAIN, TEST} - splits.keys()):
        got = ", ".join(f"{count:,} of {split}" for split, count in splits.items())
        raise DataError(
            f"{source}: expected images of the splits train and test, got {got} and none of {missing.pop()}; "
            "without a split, a fifth is split off"
        )
    train = [row for row in rows if row.split in ("", TRAIN)]
    names = tuple(sorted({row.label for row in train}, key=_order({row.label for row in train})))
    if len(names) < 2:
        raise DataError(f"{source}: expected at least two labels to train on, got only {names[0]!r}")
    labels = {name: label for label, name in enumerate(names)}
    test = [row for row in rows if row.split == TEST]
    for row in test:
        if row.label not in labels:
            raise DataError(f"{row.where}: expected a label with training images, got {_short([row.label])!r}")
    others = [
        f"{count:,} of split {split}" for split, count in sorted(splits.items()) if split not in ("", TRAIN, TEST)
    ]
    others += [f"{folder}/{METADATA}" for folder in _other_tables(source)]
    notes = [f"{source}: not used: {listed(others)}; validation images are split off train"] if others else []
    if not divided and {TRAIN, TEST} & set(_folders(rows, _root(source))):
        notes.append(
            f"{source}: the test is a fifth of all images, wherever they lie; for {TRAIN}/ and {TEST}/ to be the parts, all images must "
            f"lie in one of them, or a column {SPLIT} must say so"
        )
    files, test_files = (
        labelled([row.path for row in part], [labels[row.label] for row in part]) for part in (train, test)
    )
    return names, files, test_files if divided else None, tuple(map(printable, notes))


def _order(labels: set[str]):
    """How labels are sorted: numbers by their size, others as text."""
    numbers = all(label.isascii() and label.isdigit() for label in labels)
    return (lambda label: (int(label), label)) if numbers else None


def _open(source: str) -> Source:
    names, train, test, notes = _divided(source)
    name = Path(source).stem if Path(source).is_file() else name_of(source)
    return source_of(name, names, train, test, _root(source), source, notes)


KIND = Kind(
    "a .csv file of path,label, or a folder with such a metadata.csv",
    matches=_matches,
    check=_divided,
    open=_open,
    resizes=True,
)
