"""Decoded images in a file, for data sets that memory should not hold, or that several processes read.

An entry is a folder, `<cache>/images/<name>-<fingerprint>`, there whole or not at all. Its fingerprint is that of the image
files (names, sizes, times of change) and of the settings; each image has a checksum, verified when the entry is opened.
"""

import hashlib
import io
import json
import os
import shutil
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from nash_tf.data.forms import Form
from nash_tf.data.rows import CHUNK, ImageFile
from nash_tf.data.source import DataError, Progress
from nash_tf.files.atomic import read_regular, replace_directory, tidy
from nash_tf.settings.images import ImageSettings

VERSION = 1  # of what is written, and of how images are decoded
IMAGES, CHECKSUMS, ABOUT = "images.npy", "crc32.npy", "about.json"
_LARGEST_ABOUT = 2**20  # bytes


class Damaged(Exception):
    """An entry that cannot be used; the message says why."""


def folder(settings: ImageSettings) -> Path:
    """Where entries lie."""
    usual = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(settings.cache_dir or os.path.join(usual, "nash_tf"), "images")


def entry(name: str, root: Path, paths: Sequence[Path], tests: int, settings: ImageSettings, limited: bool) -> Path:
    """The place of an entry.

    Args:
        name: of the data set.
        root: the folder of the data set; it may be moved.
        paths: the image files.
        tests: how many of them, the last ones, are test images.
        settings: how they are read.
        limited: whether the training images are some of more, by which the form is decided otherwise.
    """
    from PIL import __version__ as pillow

    how = [VERSION, pillow, settings.size, settings.fit, tests, *["limited"] * limited]
    digest = hashlib.sha256(json.dumps(how).encode())
    for path in paths:
        about = os.stat(path)
        digest.update(
            f"{os.path.relpath(path, root)}\0{about.st_size}\0{about.st_mtime_ns}\0".encode("utf-8", "replace")
        )
    plain = "".join(letter if letter.isalnum() or letter in "._" else "_" for letter in name)[:60]
    return folder(settings) / f"{plain}-{digest.hexdigest()[:24]}"


def open_entry(place: Path, count: int, progress: Progress) -> tuple[ImageFile, Form, tuple[str, ...]] | None:
    """An entry's images, their form and the notes on them; None where there is no entry.

    Args:
        place: the entry.
        count: of the images that it must hold.
        progress: is told how many images are verified.

    Raises:
        Damaged: the entry cannot be used.
    """
    if not os.path.lexists(place):
        return None
    try:
        about = json.loads(read_regular(place / ABOUT, _LARGEST_ABOUT))
        form, notes = Form(*about["form"]), tuple(map(str, about["notes"]))
        images, sums = ImageFile(place / IMAGES), _checksums(place, count)
    except (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError) as error:
        raise Damaged(str(error)) from error
    if images.shape != (count, *form[:3]) or sums.shape != (count,):
        raise Damaged(f"{list(images.shape)} where {[count, *form[:3]]} was expected")
    _verify(images, sums, progress)
    return images, form, notes


def _checksums(place: Path, count: int) -> np.ndarray:
    raw = read_regular(place / CHECKSUMS, 4 * count + 1024)
    return np.lib.format.read_array(io.BytesIO(raw), allow_pickle=False)


def make_entry(
    place: Path,
    count: int,
    form: Form,
    notes: Sequence[str],
    fill: Callable[[Callable[[int, np.ndarray], None]], None],
) -> ImageFile:
    """Writes an entry; a damaged one makes room for it.

    Args:
        place: the entry.
        count: of the images.
        form: of the images.
        notes: on them.
        fill: is given what takes an image's number and its pixels, from any thread.

    Raises:
        DataError: it cannot be written.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        tidy(place.parent)
        _require_space(count * form.bytes, place.parent)
        with replace_directory(place) as new:
            sums = np.zeros(count, np.uint32)
            with open(new / IMAGES, "wb", buffering=0) as file:
                about = {"descr": "|u1", "fortran_order": False, "shape": (count, *form[:3])}
                np.lib.format.write_array_header_1_0(file, about)
                start = file.tell()
                os.posix_fallocate(file.fileno(), 0, start + count * form.bytes)  # a full disk is told of now

                def put(i: int, image: np.ndarray) -> None:
                    raw = image.tobytes()
                    sums[i] = zlib.crc32(raw)
                    os.pwrite(file.fileno(), raw, start + i * form.bytes)

                fill(put)
            np.save(new / CHECKSUMS, sums)
            (new / ABOUT).write_text(json.dumps({"form": form, "notes": list(notes)}))
        return ImageFile(place / IMAGES)
    except OSError as error:
        reason = f"{error.filename or place}: {error.strerror or error}"
        rule = f"expected to write {count * form.bytes / 1e9:,.1f} GB of decoded images"
        raise DataError(f"{rule}, got: {reason}; give another folder, or smaller images", "cache_dir") from error


def _require_space(size: int, directory: Path) -> None:
    free = shutil.disk_usage(directory).free
    if size > free:
        rule = f"expected {size / 1e9:,.1f} GB of disk for decoded images in {directory}"
        raise DataError(
            f"{rule}, got {free / 1e9:,.1f} GB; give another folder, or a smaller --image_size", "cache_dir"
        )


def _verify(images: ImageFile, sums: np.ndarray, progress: Progress) -> None:
    """Raises Damaged where an image is not what was written."""

    def wrong(start: int) -> list[int]:
        numbers = np.arange(start, min(start + CHUNK, len(images)))
        return [i for i, image in zip(numbers.tolist(), images[numbers], strict=True) if zlib.crc32(image) != sums[i]]

    pool = ThreadPoolExecutor(min(8, len(os.sched_getaffinity(0))))
    try:
        for number, found in enumerate(pool.map(wrong, range(0, len(images), CHUNK)), 1):
            if found:
                raise Damaged(f"image {found[0]} has another checksum than it was written with")
            progress("verifying decoded images", min(number * CHUNK, len(images)), len(images))
    except OSError as error:
        raise Damaged(str(error)) from error
    finally:
        pool.shutdown(cancel_futures=True)
