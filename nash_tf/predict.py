"""The classes of images, by the model of a run: `nash-tf predict RUN_DIR IMAGES... [--csv]`, or `python -m nash_tf.predict`.

It does what `best/predict.py` in the run's directory does, which needs nothing of this package.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from nash_tf.exporting import predict_script
from nash_tf.files import run_directory


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a line for each image, and returns the exit status: 0, 1 where some were left out, 2 where nothing could be done."""
    parser = argparse.ArgumentParser(
        prog="nash-tf predict",
        description="Names the class of each image and its probability, by the model of a finished run.",
        epilog="An image of another size is brought to the model's. A file that cannot be read is named on the error output and "
        "left out. Exit status: 0 where all were read, 1 where some were left out, 2 where nothing could be done.",
    )
    parser.add_argument("directory", metavar="RUN_DIR", help="a run's directory, or an exported one as RUN_DIR/best is")
    parser.add_argument("images", nargs="+", metavar="IMAGES", help="files or folders")
    parser.add_argument("--csv", action="store_true", help="print file,class,probability with a heading")
    given = parser.parse_args(arguments)
    directory = Path(given.directory)
    if (directory / run_directory.BEST).is_dir():
        directory = directory / run_directory.BEST
    if reason := _hindrance(directory):
        print(f"{given.directory}: {reason}", file=sys.stderr)
        return predict_script.NOTHING_TO_DO
    return predict_script.main([*(["--csv"] if given.csv else []), "--", *given.images], directory)


def _hindrance(directory: Path) -> str | None:
    """Why the model there names no classes of images; None where it does."""
    if not directory.is_dir():
        return "no such directory"
    if not (directory / predict_script.MODEL).is_dir():
        begun = (directory / run_directory.CONFIG).exists()
        return "the run is not finished: it has no model yet" if begun else f"holds no run with a {run_directory.BEST}/"
    if not (directory / predict_script.IMAGE).exists():
        return "its model takes what no image file holds, or was exported without classes; see model_card.md"
    return None


if __name__ == "__main__":
    sys.exit(main())
