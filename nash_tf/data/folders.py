"""A folder of class folders of images, with train/ and test/ or without.

Class names are the folders' names, sorted; their order gives the labels. Hidden files and folders, and files
without an image's suffix, are passed over; where these might be images, it is said. Without train/ and test/ a
fifth of each class becomes the test set: always the same fifth, so that searches with different seeds are tested
on the same images and none has trained on them.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from nash_tf.data import images
from nash_tf.data.image_files import Labelled, labelled, source_of
from nash_tf.data.source import DataError, Kind, Source, composed, is_text, listed, name_of, printable
from nash_tf.drawing.number_words import plural


def _entries(folder: Path, root: Path) -> Iterator[os.DirEntry]:
    """What is in a folder, hidden entries and what macOS packs beside them left out; refuses links that lead nowhere or leave the root."""
    inside = Path(os.path.realpath(root))
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            if entry.is_symlink():
                target = os.path.realpath(entry.path)
                if not Path(target).is_relative_to(inside):
                    raise DataError(
                        f"{entry.path}: expected files inside {root}, got a link to {target}; copy it there"
                    )
                if not Path(target).exists():
                    raise DataError(f"{entry.path}: expected a file or a folder, got a link to nothing; remove it")
            yield entry


def _subfolders(folder: Path, root: Path) -> list[Path]:
    return sorted(Path(entry.path) for entry in _entries(folder, root) if entry.is_dir())


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()


def _is_image(name: str) -> bool:
    return _suffix(name) in images.SUFFIXES


def _images(folder: Path, root: Path) -> Iterator[Path]:
    for entry in _entries(folder, root):
        if entry.is_dir():
            what = f"where {folder.name} holds classes, name such folders train and test, or give it itself"
            raise DataError(
                f"{entry.path}: expected images in class folder {folder}, got a folder; {what}; where it is a class, move its files up"
            )
        if _is_image(entry.name):
            if not entry.is_file():
                raise DataError(f"{entry.path}: expected an image file, got a pipe, socket or device; remove it")
            yield Path(entry.path)


def _parts(root: Path) -> tuple[Path, Path | None]:
    """The folders that hold the training and the test classes; no test folder where it must be split off."""
    train, test = (_part(name, root) for name in ("train", "test"))
    if train and test:
        if _subfolders(train, root) and not _subfolders(test, root):
            remedy = (
                f"where its images have no classes, give {train} itself, and a fifth of each class is kept for the test"
            )
            raise DataError(f"{test}: expected class folders as in {train}, got no folder in it; {remedy}")
        return train, test
    for found, other in ((train, "test"), (test, "train")):
        if found and _subfolders(found, root):  # otherwise it is a class that happens to be called so
            others = [folder.name + "/" for folder in _subfolders(root, root) if folder != found]
            raise DataError(
                f"{root}: expected {other}/ beside {found.name}/, got {listed(others) or 'none'}; "
                f"name the folders train and test, or give {found} itself"
            )
    return root, None


def class_holders(source: str) -> list[Path]:
    """The folders in which each folder is a class: a source of this kind that can be used, or its parts."""
    train, test = _parts(Path(source))
    return [train, test] if test else [train]


def _part(name: str, root: Path) -> Path | None:
    """The folder of that name, in capitals or not; one that is called so exactly comes first."""
    found = [folder for folder in _subfolders(root, root) if folder.name.lower() == name]
    return next((folder for folder in found if folder.name == name), found[0] if found else None)


def _classes(folder: Path, root: Path) -> dict[str, Path]:
    """Class folders by class name, sorted; at least two."""
    classes = {path.name: path for path in _subfolders(folder, root)}
    if not classes:
        raise DataError(f"{folder}: expected a folder of class folders of images, got no folder in it")
    if len(classes) < 2:
        ((name, only),) = classes.items()
        remedy = f"; where the classes are in it, give {only} itself" if _subfolders(only, root) else ""
        raise DataError(f"{folder}: expected at least two class folders, got only {name}{remedy}")
    for name, path in classes.items():
        if not is_text(name):
            raise DataError(
                f"{path}: expected a class folder whose name is UTF-8, got {os.fsencode(name)!r}; rename it"
            )
    alike: dict[str, str] = {}
    for name, path in classes.items():
        if (other := alike.setdefault(composed(name), name)) != name:
            raise DataError(
                f"{path}: expected a folder for each class, got {other!a} and {name!a}, which are the same letters in other bytes; move "
                "the files into one of them"
            )
    return classes


def _known(classes: dict[str, Path], train_classes: dict[str, Path], train: Path) -> None:
    known = set(map(composed, train_classes))
    for name, path in classes.items():
        if composed(name) not in known:
            raise DataError(
                f"{path}: expected the classes of {train}, got class {name!r}, which has no training images"
            )


def _empty(folder: Path, root: Path) -> DataError:
    found = Counter(suffix for entry in _entries(folder, root) if (suffix := _suffix(entry.name)) in images.OTHERS)
    got = f"got {_unread(found)}" if found else "got none; add some or remove it"
    return DataError(f"{folder}: expected images ({' '.join(sorted(images.SUFFIXES))}), {got}")


def _unread(suffixes: Counter[str]) -> str:
    """How many images are of formats that are not read, and what to do."""
    others = [suffix for suffix in suffixes if suffix not in images.JPEGS]
    same = [suffix for suffix in suffixes if suffix in images.JPEGS]
    remedies = [f"convert {' '.join(sorted(others))} to JPEG or PNG"] if others else []
    remedies += [f"rename {' '.join(sorted(same))} to .jpg"] if same else []
    return f"{plural(suffixes.total(), 'file')} of formats that are not read: {', and '.join(remedies)}"


def _check(source: str) -> None:
    """Looks at folders and at one file in each."""
    root = Path(source)
    train, test = _parts(root)
    train_classes = _classes(train, root)
    for part in (train, test) if test else (train,):
        classes = _classes(part, root)
        _known(classes, train_classes, train)
        for folder in classes.values():
            if next(_images(folder, root), None) is None:
                raise _empty(folder, root)


def _files(part: Path, labels: dict[str, int], root: Path) -> Labelled:
    """The files of a part in a fixed order, class after class; `labels` by composed names."""
    paths, numbers = [], []
    for name, folder in _classes(part, root).items():
        found = sorted(_images(folder, root))
        if not found:
            raise _empty(folder, root)
        paths += found
        numbers += [labels[composed(name)]] * len(found)
    return labelled(paths, numbers)


def _notes(root: Path, train: Path, test: Path | None) -> tuple[str, ...]:
    """Which folders and files are passed over."""
    unused = [folder.name + "/" for folder in _subfolders(root, root) if folder not in (train, test)] if test else []
    notes = [f"{root}: not used: {listed(unused)}; validation images are split off {train.name}/"] if unused else []
    parts = [train, test] if test else [train]
    loose = [entry.name for part in parts for entry in _entries(part, root) if _is_image(entry.name)]
    if hidden := sorted(f"{path.relative_to(root)}/ ({count:,})" for part in parts for path, count in _hidden(part)):
        notes.append(
            f"{root}: hidden folders are not used, though they hold images: {listed(hidden)}; rename one that is a class"
        )
    if loose:
        notes.append(f"{root}: images outside class folders are not used: {listed(sorted(loose))}")
    folders = [folder for part in parts for folder in _classes(part, root).values()]
    others = [(folder.name, entry.name) for folder in folders for entry in _entries(folder, root)]
    if unread := [(name, suffix) for name, file in others if (suffix := _suffix(file)) in images.OTHERS]:
        classes = Counter(name for name, _ in unread).most_common()
        where = listed([f"{name} {count:,}" for name, count in classes])
        notes.append(f"{root}: not used: {_unread(Counter(suffix for _, suffix in unread))} (by class: {where})")
    if rest := [file for _, file in others if _suffix(file) not in images.SUFFIXES | images.OTHERS]:
        notes.append(f"{root}: files without an image's suffix are not used: {listed(sorted(rest))}")
    return tuple(map(printable, notes))


def _hidden(part: Path) -> Iterator[tuple[Path, int]]:
    """Hidden folders that hold images, and how many."""
    with os.scandir(part) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)]
    for name in names:
        with contextlib.suppress(OSError):  # one that nobody may look into is no class
            files = [each for each in os.listdir(part / name) if _is_image(each) and not each.startswith(".")]
            if files:
                yield part / name, len(files)


def _open(source: str) -> Source:
    _check(source)
    root = Path(source)
    train, test = _parts(root)
    class_names = tuple(_classes(train, root))
    labels = {composed(name): label for label, name in enumerate(class_names)}
    files, test_files = _files(train, labels, root), _files(test, labels, root) if test else None
    return source_of(name_of(source), class_names, files, test_files, root, source, _notes(root, train, test))


KIND = Kind(
    "a folder of class folders of images, with or without train/ and test/",
    matches=lambda source: Path(source).is_dir(),
    check=_check,
    open=_open,
    resizes=True,
)
