"""Names the classes of images by the model in this directory; it needs TensorFlow, NumPy and Pillow.

    python predict.py IMAGES... [--csv]

IMAGES are files, or folders that are gone through with all that is in them. An image is turned upright as its EXIF orientation
says, laid on white where it is transparent, made grey or coloured, and brought to the model's size. A file that cannot be read, or for
which the model has no finite outputs, is named on the error output and left out. Of a folder only files with an image's suffix are read; images of other formats there are named in one line, and do not
count in the exit status: 0 where all were read, 1 where some were left out, 2 where nothing could be done.
"""

import argparse
import contextlib
import csv
import io
import json
import math
import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

MODEL, CLASSES, IMAGE = "saved_model", "classes.json", "image.json"
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
OTHERS = (".avif", ".cr2", ".dng", ".heic", ".heif", ".ico", ".jfif", ".jp2", ".jpe", ".jxl", ".nef", ".pbm", ".psd", ".svg", ".tga")  # fmt: skip
NAMES_SHOWN = 5
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "PPM", "TIFF", "WEBP")  # others, whatever the suffix, may run programs
EIGHT_BITS = ("1", "L", "LA", "RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV")
LAYERED = ("LA", "PA", "RGBA")
MOST_PIXELS, MOST_OF_JPEG = 89_478_485, 256_000_000  # of a file; a JPEG is mostly decoded at a fraction of its size
TOO_LARGE = f"expected at most {MOST_PIXELS // 10**6} megapixels ({MOST_OF_JPEG // 10**6} of a JPEG), got more; make the image smaller"
BATCH = 64
ALL_READ, SOME_LEFT_OUT, NOTHING_TO_DO, STOPPED = 0, 1, 2, 130


class Refused(Exception):
    """There is nothing to do; the message is one line."""


def main(
    arguments: Sequence[str] | None = None, directory: str | os.PathLike | None = None, prog: str | None = None
) -> int:
    """Prints a line for each image, and returns the exit status.

    Args:
        arguments: the command line, without the program.
        directory: where the model is; where this file is, if not given.
        prog: name of the program in its help.
    """
    description, *more = (__doc__ or "").split("\n\n")
    parser = argparse.ArgumentParser(
        prog, description=description, epilog=more[-1], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="+", metavar="IMAGES", help="files or folders")
    parser.add_argument("--csv", action="store_true", help="print file,class,probability with a heading, in UTF-8")
    given = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        if given.csv:
            sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # names of files as they are
        else:
            sys.stdout.reconfigure(errors="backslashreplace")  # letters that a terminal does not have
    try:
        return predict(Path(directory or Path(__file__).parent), given.images, given.csv)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return NOTHING_TO_DO
    except KeyboardInterrupt:
        return STOPPED
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SOME_LEFT_OUT


def predict(directory: Path, images: Iterable[str], as_csv: bool) -> int:
    """Prints the class of each image and its probability; returns the exit status."""
    classes, settings = _read_json(directory / CLASSES), _read_json(directory / IMAGE)
    files, others = _files(images)
    if others:
        names = ", ".join(map(_shown, others[:NAMES_SHOWN])) + ", ..." * (len(others) > NAMES_SHOWN)
        print(f"left out: {len(others):,} of other image formats than {' '.join(SUFFIXES)}: {names}", file=sys.stderr)
    if not files:
        raise Refused(f"{', '.join(images)}: no images ({' '.join(SUFFIXES)}) there")
    serve, table, named_in_all, left_out = None, None, 0, 0
    if as_csv:  # whoever reads it finds a heading, whatever becomes of the files
        table = csv.writer(sys.stdout, lineterminator="\n")
        table.writerow(("file", "class", "probability"))
        sys.stdout.flush()
    for start in range(0, len(files), BATCH):
        named, arrays = [], []
        for file in files[start : start + BATCH]:
            try:
                arrays.append(read(file, settings))
                named.append(file)
            except Exception as error:  # Pillow's decoders raise errors of many kinds
                reason = getattr(error, "strerror", None) or error  # an OSError's own words name the file again
                print(f"{_shown(file)}: left out: {' '.join(str(reason).split())}", file=sys.stderr)
                left_out += 1
        if not named:
            continue
        serve = serve or _load(directory / MODEL)
        for file, row in zip(named, probabilities(serve(arrays), settings["output"]), strict=True):
            if not math.isfinite(row.max()):  # of NaN `argmax` would make the first class
                print(f"{_shown(file)}: left out: the model's outputs for it are no finite numbers", file=sys.stderr)
                left_out += 1
                continue
            named_in_all += 1
            best = int(row.argmax())
            if table:
                table.writerow((file, classes[best], f"{row[best]:.6f}"))
            else:
                print(f"{_shown(file)}  {classes[best]}  {row[best]:.1%}")
        sys.stdout.flush()
    if not named_in_all:
        return NOTHING_TO_DO
    return SOME_LEFT_OUT if left_out else ALL_READ


def read(file: str | os.PathLike, settings: dict):
    """An image file as the model takes it, float32 [height, width, channels], made so as the training images were.

    Args:
        file: path.
        settings: `height`, `width` and `channels`; `fit`: "crop" scales an image to cover the size and cuts to its centre, "pad"
            scales it to fit into the size, with black beside it, "stretch" scales both sides; `values`: what black and white are.
    """
    import numpy as np
    from PIL import Image, ImageOps

    with _limited(), Image.open(file, formats=FORMATS) as opened:
        if opened.mode not in EIGHT_BITS:
            raise ValueError(f"expected 8 bits a channel, got mode {opened.mode}")
        if math.prod(opened.size) > (MOST_OF_JPEG if opened.format in ("JPEG", "MPO") else MOST_PIXELS):
            raise ValueError(TOO_LARGE)
        _shrink(opened, settings)
        opened.load()
        image: Image.Image = opened
        with contextlib.suppress(Exception):  # an orientation that cannot be read is none
            ImageOps.exif_transpose(image, in_place=True)
        if image.mode in LAYERED or "transparency" in image.info:
            layer = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
        image = _fitted(image.convert("L" if settings["channels"] == 1 else "RGB"), settings)
    black, white = settings["values"]
    pixels = np.asarray(image, np.float32).reshape(settings["height"], settings["width"], settings["channels"])
    return pixels if (black, white) == (0, 255) else black + pixels * np.float32((white - black) / 255)


@contextlib.contextmanager
def _limited():
    """Has Pillow refuse what would decode to far too much, and say nothing else."""
    from PIL import Image

    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            Image.MAX_IMAGE_PIXELS = MOST_OF_JPEG
            yield
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise ValueError(TOO_LARGE) from None
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _shrink(image, settings: dict) -> None:
    """Has a JPEG decoded at a fraction of its size where that is at least twice the size that it is scaled to."""
    if image.format not in ("JPEG", "MPO"):  # the second: of several pictures, as phones take
        return
    width, height = image.size
    with contextlib.suppress(Exception):  # an orientation that cannot be read is none
        if image.getexif().get(0x0112) in (5, 6, 7, 8):  # height and width change places
            width, height = height, width
    ratios = settings["height"] / height, settings["width"] / width
    scale = min(ratios) if settings["fit"] == "pad" else max(ratios)
    if scale < 1 / 2:
        image.draft(image.mode, tuple(math.ceil(2 * scale * side) for side in image.size))


def _fitted(image, settings: dict):
    from PIL import Image, ImageOps

    size, filtering = (settings["width"], settings["height"]), Image.Resampling.BICUBIC
    if image.size == size:
        return image
    if settings["fit"] == "stretch":
        return image.resize(size, filtering)
    return (ImageOps.pad if settings["fit"] == "pad" else ImageOps.fit)(image, size, filtering)


def probabilities(outputs, kind: str):
    """Outputs of the model, "logits" or "probabilities", as probabilities, [images, classes]."""
    import numpy as np

    outputs = np.asarray(outputs, np.float64)
    if kind == "probabilities":
        return outputs
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _load(path: Path):
    """A function from a list of images to the model's outputs. What TensorFlow says of the machine meanwhile is not shown."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import numpy as np

    sys.stderr.flush()
    shown, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import tensorflow as tf

        model = tf.saved_model.load(str(path))
    finally:
        os.dup2(shown, 2)
        for descriptor in (shown, nowhere):
            os.close(descriptor)
    return lambda arrays: tf.nest.flatten(model.serve(np.stack(arrays)))[0].numpy()


def _files(images: Iterable[str]) -> tuple[list[str], list[str]]:
    """The files named, and those in the folders named, hidden ones left out; and those there that are images of other formats."""
    files, others = list[str](), list[str]()
    for name in images:
        if not os.path.isdir(name):
            files.append(name)
            continue
        been = {os.path.realpath(name)}  # links may lead in a circle
        for folder, folders, names in os.walk(name, followlinks=True):
            real = {each: os.path.realpath(os.path.join(folder, each)) for each in folders if not each.startswith(".")}
            folders[:] = sorted(each for each in real if real[each] not in been)
            been.update(real.values())
            for each in sorted(each for each in names if not each.startswith(".")):
                for suffixes, found in ((SUFFIXES, files), (OTHERS, others)):
                    if each.lower().endswith(suffixes):
                        found.append(os.path.join(folder, each))
    return files, others


def _shown(file: str) -> str:
    return file if file.isprintable() else ascii(file)


def _read_json(path: Path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Refused(f"{path}: cannot be read ({error}); it comes with the model") from None


if __name__ == "__main__":
    sys.exit(main())
