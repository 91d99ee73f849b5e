"""Reports of searches as HTML that opens without a network: `python -m nash_tf.report DIR...`.

Neither TensorFlow nor Keras is imported, and nothing is read but the files of the runs.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from nash_tf.files import run_directory
from nash_tf.files.atomic import write_atomically
from nash_tf.records import loading, regular_files
from nash_tf.report.pages import experiment_page, search_page
from nash_tf.report.pages.html_page import Report
from nash_tf.terminal.text_tables import printable

FIGURES = "report"  # folder of the SVG files, beside the page


def write(
    directory: str | os.PathLike,
    path: str | os.PathLike | None = None,
    svg_dir: str | os.PathLike | None = None,
    refresh: int = 0,
) -> Path:
    """Writes the report of one search, in whatever state it is.

    Args:
        directory: of the run.
        path: of the page; by default `report.html` in `directory`.
        svg_dir: folder for the figures as SVG files; by default `report` beside the page, which may be no link. Figures that
            cannot be written are named in the page.
        refresh: seconds after which a browser that shows the page loads it again; 0 for never.

    Returns:
        The path of the page.

    Raises:
        OSError: the page cannot be written, or a link, something else than a file or a file of another program is in its place.
    """
    target = Path(path) if path else Path(directory) / run_directory.REPORT
    run = loading.read(directory, pictures=True)

    def build(lost: Sequence[str]) -> Report:
        return search_page.report(replace(run, problems=(*run.problems, *lost)), refresh)

    return _put(build, target, svg_dir)


def renew(directory: str | os.PathLike) -> None:
    """Writes the report of a search that goes on whether or not that can be done; where it cannot, one line says why."""
    try:
        write(directory)
    except OSError as error:
        print(printable(f"report not written, {error.filename}: {error.strerror}"), file=sys.stderr, flush=True)
    except Exception as error:  # whatever is wrong with a page, a search of days does not end with it
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        print(printable(f"report not written, {directory}: {reason}"), file=sys.stderr, flush=True)


def write_experiment(
    directories: Sequence[str | os.PathLike],
    path: str | os.PathLike,
    svg_dir: str | os.PathLike | None = None,
    refresh: int = 0,
    missing: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Writes the page of several searches to `path`; `missing` are runs that are planned and not there, by name why, the other
    arguments those of `write`."""
    target = Path(path)
    found = [loading.read(directory) for directory in directories]

    def build(lost: Sequence[str]) -> Report:
        return experiment_page.report(found, target.parent, refresh, lost, missing)

    return _put(build, target, svg_dir)


def _put(build: Callable[[Sequence[str]], Report], target: Path, svg_dir: str | os.PathLike | None) -> Path:
    """Writes figures and page; `build` makes them, given what could not be written."""
    if run_directory.is_foreign(target):
        raise OSError(errno.EEXIST, "it is of another program, and is left as it is", str(target))
    report = build(())
    lost = []
    folder = Path(svg_dir) if svg_dir else target.parent / FIGURES
    for figure in report.figures:
        try:
            _write(folder / f"{figure.name}.svg", figure.document(), follow=svg_dir is not None)
        except OSError as error:
            lost.append(f"{folder.name}/{figure.name}.svg is not written: {error.strerror}.")
    _write(target, build(lost).html if lost else report.html)
    return target


def _write(path: Path, text: str, follow: bool = True) -> None:
    """Writes a file, in place of none or of a regular one.

    Args:
        path: of the file.
        text: its content, in UTF-8.
        follow: whether the folder that holds it may be a link.

    Raises:
        OSError: it cannot be written; the error names `path` and the reason.
    """
    try:
        if not follow and path.parent.is_symlink():
            raise OSError(errno.ELOOP, f"{path.parent.name} is a link, and nothing is written through links")
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if words := regular_files.kind(os.lstat(path).st_mode):
                raise OSError(errno.EEXIST, f"it is {words}")
        write_atomically(path, text.encode("utf-8", "replace"), durable=False)  # it can be written again
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None
