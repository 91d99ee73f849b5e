"""What a kind of data source must offer, and the error all of them raise."""

import contextlib
import os
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nash_tf.data.forms import Form
from nash_tf.data.rows import Rows
from nash_tf.settings.images import ImageSettings
from nash_tf.terminal import text_tables

Progress = Callable[[str, int, int], None]  # of what is being done, how many are done, of how many


def no_progress(what: str, done: int, total: int) -> None:
    """A `Progress` that says nothing."""


class DataError(ValueError):
    """Data that cannot be used. The message is one line: where, what was expected, what came, what to do.

    Args:
        message: begins with the place.
        setting: name of the argument that is at fault, where it is not the source itself.
    """

    def __init__(self, message: str, setting: str | None = None):
        super().__init__(printable(f"{setting}: {message}" if setting else message))
        self.setting = setting


@contextlib.contextmanager
def unreadable(where: str):
    """Turns what the system refuses into a DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{error.filename or where}: expected to read it, got: {error.strerror or error}") from error
    except MemoryError as error:
        raise DataError(f"{where}: expected data that fit into memory, got more; give less") from error


def printable(text: str) -> str:
    """Text as one line that any terminal shows as it is: names of files may hold line breaks and control characters."""
    return text_tables.printable(" ".join(text.split()))


def is_text(name: str) -> bool:
    """Whether the name of a file or folder is text, which can be written as UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def composed(name: str) -> str:
    """A name with each accented letter as one (NFC): some systems write letter and accent apart, which looks the same."""
    return unicodedata.normalize("NFC", name)


def name_of(folder: str) -> str:
    """The name of a data set in a folder: of a link its own, which is what the settings have, and not that of what it leads to."""
    return os.path.basename(os.path.abspath(folder))


def size_text(count: int) -> str:
    """A number of bytes in words."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


def listed(names: Sequence[str], most: int = 8) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


class Read(NamedTuple):
    """What was read of a source.

    Attributes:
        x: the chosen images [k, h, w, c].
        x_test: all test images [m, h, w, c].
        notes: what became of the images, a sentence each.
        form: the form that image files were given; None where the images were arrays already.
        kept: where decoded images are kept, a sentence each; it tells nothing of the data.
    """

    x: np.ndarray | Rows
    x_test: np.ndarray | Rows
    notes: tuple[str, ...] = ()
    form: Form | None = None
    kept: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """An opened source: its labels are known, its images are read on demand.

    Labels come first so that a limited training set is chosen before any image is decoded.

    Attributes:
        name: short name, e.g. "cifar10".
        class_names: one name for each label.
        flips: whether a horizontally flipped image keeps its class; None where that is not known. Image files are taken for photographs,
            which do.
        y_train, y_test: int32 labels [n].
        read: from chosen training indices [k], the settings for image files, and what is told of progress, to the images.
        notes: what is there and not used, a sentence each.
    """

    name: str
    class_names: tuple[str, ...]
    flips: bool | None
    y_train: np.ndarray
    y_test: np.ndarray
    read: Callable[[np.ndarray, ImageSettings, Progress], Read]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """One kind of source; `nash_tf.data.registry` lists them all.

    Attributes:
        words: what it is, as help and errors name it in a row of all kinds.
        matches: whether a source (a name or a path) is of this kind.
        check: raises DataError for what can be seen without reading an image.
        open: opens a source; raises DataError.
        resizes: whether it reads image files, which can be given another size.
        name: of one data set, which is given by it; "" for data that are given by their path.
    """

    words: str
    matches: Callable[[str], bool]
    check: Callable[[str], object]
    open: Callable[[str], Source]
    resizes: bool = False
    name: str = ""


def named(name: str, open: Callable[[str], Source], where: str = "") -> Kind:
    """The kind of one data set that is given by its name; `where` stands behind that in help."""
    return Kind(name + where, lambda source: source == name, check=lambda source: None, open=open, name=name)
