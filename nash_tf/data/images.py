"""Image files to arrays, by Pillow."""

import contextlib
import math
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nash_tf.data.forms import Facts, Form, covering
from nash_tf.data.source import DataError
from nash_tf.settings.images import PAD, SMALLEST_SIDE, STRETCH, as_text

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"))
# Of images that are not read; `predict.py`, which stands alone, has the same.
OTHERS = frozenset(
    (
        ".avif",
        ".cr2",
        ".dng",
        ".heic",
        ".heif",
        ".ico",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jxl",
        ".nef",
        ".pbm",
        ".psd",
        ".svg",
        ".tga",
    )
)
JPEGS = frozenset((".jfif", ".jpe"))  # those of them that are JPEG by another name
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "PPM", "TIFF", "WEBP")  # others, whatever the suffix, may run programs
GREY_MODES = frozenset(("1", "L", "LA"))
COLOUR_MODES = frozenset(("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV"))
LAYERED_MODES = frozenset(("LA", "PA", "RGBA"))
ORIENTATION, SIDEWAYS = 0x0112, frozenset((5, 6, 7, 8))  # EXIF's tag, and its values that swap height and width
# Pixels of a file at most. What compresses well declares more than memory holds: Pillow's own limit. JPEGs compress less, are mostly
# decoded at a fraction of their size, and of phones have 200 million: of 256 million, decoded whole, one takes 5 s and 2 GB.
MOST_PIXELS, MOST_OF_JPEG = 89_478_485, 256_000_000
GAP = 2  # a JPEG is decoded at a fraction of its size, but at this many times the size that it is scaled to


@contextlib.contextmanager
def pillow(where: object) -> Iterator[None]:
    """Sets Pillow up for this block, in all threads: what would decode to far too much is an error, other warnings are not shown.

    Its limit is that of JPEGs meanwhile; `_opened` has the one of other files.

    Raises:
        DataError: it is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError(f"{where}: expected Pillow to read images, got no such package; pip install pillow") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MOST_OF_JPEG
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def facts(path: Path) -> Facts:
    """What a file's header says; within `pillow`.

    Raises:
        DataError: the file is unreadable, of another format than `FORMATS`, too small, too large, or not of 8 bits.
    """
    with _opened(path) as image:
        size = image.size[::-1]
        if min(size) < SMALLEST_SIDE:
            rule = f"at least {as_text((SMALLEST_SIDE, SMALLEST_SIDE))} pixels"
            raise DataError(f"{path}: expected {rule}, got {as_text(size)} (height x width); remove it")
        if _sideways(image):
            size = size[::-1]
        frames = getattr(image, "is_animated", False)
        return Facts(size[0], size[1], image.mode in GREY_MODES, _is_layered(image), frames, _is_deep(image))


def decode(path: Path, form: Form) -> np.ndarray:
    """One image, uint8 [h, w, c] in its form, upright as its EXIF orientation says, transparent parts white; within `pillow`.

    Raises:
        DataError: the file is unreadable.
    """
    from PIL import ImageOps

    with _opened(path) as image:
        scale = covering(image.size if _sideways(image) else image.size[::-1], form)
        if scale < 1 / GAP:
            image.draft(image.mode, tuple(math.ceil(GAP * scale * side) for side in image.size))
        image.load()
        with contextlib.suppress(Exception):  # an orientation that cannot be read is none
            ImageOps.exif_transpose(image, in_place=True)
        if _is_layered(image):
            image = _on_white(image)
        return _fitted(image.convert("L" if form.channels == 1 else "RGB"), form)


def _fitted(image, form: Form) -> np.ndarray:
    from PIL import Image, ImageOps

    size, filtering = (form.width, form.height), Image.Resampling.BICUBIC
    if image.size != size:
        if form.fit == STRETCH:
            image = image.resize(size, filtering)
        else:
            image = (ImageOps.pad if form.fit == PAD else ImageOps.fit)(image, size, filtering)
    return np.asarray(image).reshape(form[:3])


def _is_layered(image) -> bool:
    return image.mode in LAYERED_MODES or "transparency" in image.info


def _on_white(image):
    from PIL import Image

    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)


def _is_deep(image) -> bool:
    """Whether Pillow cuts a file's 16 bits a channel to 8, as it does of colours."""
    parts = [(codec, arguments) for codec, _, _, arguments in image.tile]
    return any(
        ";16" in str(arguments) or (codec.startswith("ppm") and arguments[-1] > 255) for codec, arguments in parts
    )


def _sideways(image) -> bool:
    """Whether height and width change places when the image is turned upright, as far as its header tells."""
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
        return False  # Pillow turns the first itself, and would decode the second to look behind its pixels
    with contextlib.suppress(Exception):
        return image.getexif().get(ORIENTATION) in SIDEWAYS
    return False


@contextlib.contextmanager
def _opened(path: Path) -> Iterator:
    """A file of 8 bits a channel, open; what goes wrong with it becomes a DataError."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=FORMATS) as image:
            if (mode := image.mode) not in GREY_MODES | COLOUR_MODES:
                advice = "convert it, or give an .npz file of floats"
                raise DataError(f"{path}: expected 8 bits a channel, got mode {mode}; {advice}")
            if math.prod(image.size) > (MOST_OF_JPEG if image.format in ("JPEG", "MPO") else MOST_PIXELS):
                raise _too_large(path, f"{math.prod(image.size) / 1e6:,.0f}")
            yield image
    except DataError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _too_large(path, "more") from error
    except Exception as error:  # Pillow's decoders raise errors of many kinds
        came = "none of a format that is read" if isinstance(error, UnidentifiedImageError) else error
        raise DataError(f"{path}: expected a readable image, got: {came}; repair or remove it") from error


def _too_large(path: Path, got: str) -> DataError:
    most, of_jpeg = (f"{pixels // 10**6}" for pixels in (MOST_PIXELS, MOST_OF_JPEG))
    rule = f"at most {most} megapixels ({of_jpeg} of a JPEG)"
    return DataError(f"{path}: expected {rule}, got {got}; make the image smaller")
