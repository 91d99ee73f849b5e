"""A folder of generated photographs, and what it costs to read it: time, and peak memory.

    python -m tests.photo_folder make /tmp/photos 20000 --side=256
    python -m tests.photo_folder measure /tmp/photos --image_size=64 [--memory_share=0.001] [--cache_dir=DIR] [--epochs=1]

Each image is of one colour scheme a class with smooth random shapes, saved as JPEG. With --mixed, sizes, modes, formats and
orientations are random and the last class is rare, as in folders that people have.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
from PIL import Image

from nash_tf import data
from nash_tf.settings.images import ImageSettings, parse_size
from nash_tf.terminal.loading import Loading

CLASSES = ("ant", "bee", "cat", "dog")
ORIENTATION = 0x0112
# What undoes each EXIF orientation, so that the image is upright again once it is turned.
UNTURNED = {
    1: None,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}


def photo(rng: np.random.Generator, label: int, height: int, width: int) -> Image.Image:
    """An image with smooth shapes, whose mean colour tells its class."""
    coarse = rng.integers(0, 120, (9, 9, 3)) + np.array([(label >> bit & 1) * 120 for bit in range(3)])
    image = Image.fromarray(coarse.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    grain = rng.integers(-6, 7, (height, width, 1), dtype=np.int16)
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def make(root: Path, count: int, side: int) -> None:
    """Class folders of JPEGs of one size."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count // len(CLASSES)):
            photo(rng, label, side, side).save(root / name / f"{number:06}.jpg", quality=85)


def make_mixed(root: Path, count: int, sides: tuple[int, int] = (40, 200), classes: tuple[str, ...] = CLASSES) -> None:
    """Class folders of images of random sizes, modes, formats and orientations; the last class has a tenth of the images."""
    rng = np.random.default_rng(1)
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(
            max(6, count // (10 * len(classes))) if label == len(classes) - 1 else count // len(classes)
        ):
            image = photo(rng, label, *rng.integers(*sides, 2).tolist())
            turned, mode = int(rng.choice(list(UNTURNED))), str(rng.choice(["RGB", "RGB", "L"]))
            suffix = str(rng.choice(["jpg", "jpeg", "png", "webp", "bmp", "tiff", "gif", "ppm"]))
            exif = Image.Exif()
            if suffix in ("jpg", "jpeg", "png", "webp") and UNTURNED[turned]:
                exif[ORIENTATION], image = turned, image.transpose(UNTURNED[turned])
            options = {"exif": exif} if exif else {}
            image.convert(mode).save(root / name / f"{number:05}.{suffix}", **options)


def measure(root: Path, settings: ImageSettings, epochs: int) -> None:
    """Loads the folder, goes through its batches, and prints what that took."""
    began, before = time.monotonic(), time.process_time()
    dataset = data.load(str(root), images=settings, progress=Loading())
    seconds, cpu = time.monotonic() - began, time.process_time() - before
    print("\n".join(data.describe(dataset)))
    print(f"loaded in {seconds:.1f} s, {cpu:.1f} CPU-s, peak {_peak():.2f} GB")
    if epochs:
        from nash_tf.data.augmentation import Augmentation
        from nash_tf.data.pipeline import Pipeline

        pipeline = Pipeline(
            dataset.mean, dataset.std, len(dataset.class_names), 64, Augmentation(flip=True, shift=0.125)
        )
        batches = pipeline.training(*dataset.train_and_valid(), 0)
        for _ in range(epochs):
            began, count = time.monotonic(), sum(1 for _ in batches)
            print(f"{count} batches of 64 in {time.monotonic() - began:.1f} s, peak {_peak():.2f} GB")


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("make", "measure"))
    parser.add_argument("root", type=Path)
    parser.add_argument("count", type=int, nargs="?", default=20_000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--mixed", action="store_true")
    parser.add_argument("--image_size", type=parse_size, default=None)
    parser.add_argument("--memory_share", type=float, default=0.25)
    parser.add_argument("--cache_dir", default=None)
    parser.add_argument("--epochs", type=int, default=0)
    asked = parser.parse_args()
    if asked.what == "measure":
        settings = ImageSettings(asked.image_size, memory_share=asked.memory_share, cache_dir=asked.cache_dir)
        measure(asked.root, settings, asked.epochs)
    elif asked.mixed:
        make_mixed(asked.root, asked.count)
    else:
        make(asked.root, asked.count, asked.side)


if __name__ == "__main__":
    main()
