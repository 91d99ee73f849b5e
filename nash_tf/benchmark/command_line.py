"""The command line of the benchmark."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from nash_tf.architecture import Architecture
from nash_tf.settings import given_path


def read(
    arguments: Sequence[str] | None, description: str, quick: Sequence[str], parts: Sequence[str]
) -> argparse.Namespace:
    """The flags; wrong ones end the process with status 2.

    Args:
        arguments: as they are given; None for those of the process.
        description: of the program, for the help text.
        quick: the parts that are measured where none are named.
        parts: all.
    """
    parser = argparse.ArgumentParser(
        "nash_tf.benchmark", description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--parts", type=_listed, default=list(quick), help=f"What to measure, some of {','.join(parts)}."
    )
    parser.add_argument(
        "--widths",
        type=_listed,
        default=["16-32-64", "64-128-256"],
        help="Channels of vanilla networks, with dashes between blocks.",
    )
    parser.add_argument(
        "--grown", type=int, default=1, help="Number of random networks grown from the first vanilla one."
    )
    parser.add_argument(
        "--architecture",
        type=given_path,
        action="append",
        default=[],
        help="File architecture.json of a search; may be repeated.",
    )
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--batches", type=int, default=20, help="Number of batches in a turn.")
    parser.add_argument("--repeats", type=int, default=5, help="Number of turns.")
    parser.add_argument("--depths", type=lambda text: [int(part) for part in _listed(text)], default=[10, 30, 100])
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16"), default="float32")
    parser.add_argument(
        "--torch_python", type=given_path, default=sys.executable, help="Python that has PyTorch and NumPy."
    )
    parser.add_argument("--search", default="--flagfile=flags/quick.flags --method=shrsep", help="Flags of the search.")
    parser.add_argument("--json", type=given_path, help="JSON file for all results.")
    parser.add_argument("--svg", type=given_path, help="SVG file for the figure of the part `cost`.")
    flags = parser.parse_args(arguments)
    if wrong := _wrong(flags, parts):
        parser.error(wrong)
    return flags


def _listed(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def _wrong(flags: argparse.Namespace, parts: Sequence[str]) -> str:
    """The flag that is wrong, and why; "" if all are right."""
    if unknown := set(flags.parts) - set(parts):
        return f"--parts: must be some of {','.join(parts)}, received {','.join(sorted(unknown))}"
    if flags.repeats < 1 or flags.batches < 1 or flags.batch_size < 1:
        return "--repeats, --batches and --batch_size: must be at least 1"
    for widths in flags.widths:
        if not re.fullmatch(r"[1-9]\d*(-[1-9]\d*)*", widths):
            return f"--widths: must be numbers of filters with dashes between them, e.g. 16-32-64, received {widths}"
    for path in flags.architecture:
        try:
            Architecture.from_json(Path(path).read_text(encoding="utf-8"))
        except Exception as error:  # the file may hold anything
            return f"--architecture={path}: cannot be read ({' '.join(str(error).split())})"
    for flag, path in (("json", flags.json), ("svg", flags.svg)):
        if path and not Path(path).absolute().parent.is_dir():
            return f"--{flag}={path}: its folder does not exist"
    return ""
