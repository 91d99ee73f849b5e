"""Reports of searches as HTML that opens without a network: `python -m nash_tf.report DIR...`.

Neither TensorFlow nor Keras is imported, and nothing is read but the files of the runs.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from nash_tf import output
from nash_tf.report import experiment_page, files, runs, search_page

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
        svg_dir: folder for the figures as SVG files; by default `report` beside the page.
        refresh: seconds after which a browser that shows the page loads it again; 0 for never.

    Returns:
        The path of the page.

    Raises:
        OSError: it cannot be written.
    """
    target = Path(path) if path else Path(directory) / output.REPORT
    return _put(search_page.report(runs.read(directory), refresh), target, svg_dir)


def write_experiment(
    directories: Sequence[str | os.PathLike],
    path: str | os.PathLike,
    svg_dir: str | os.PathLike | None = None,
    refresh: int = 0,
) -> Path:
    """Writes the page of several searches to `path`; the other arguments are those of `write`."""
    target = Path(path)
    found = [runs.read(directory) for directory in directories]
    return _put(experiment_page.report(found, target.parent, refresh), target, svg_dir)


def _put(report: search_page.Report, target: Path, svg_dir: str | os.PathLike | None) -> Path:
    folder = Path(svg_dir) if svg_dir else target.parent / FIGURES
    for figure in report.figures:
        files.write(folder / f"{figure.name}.svg", figure.document())
    files.write(target, report.html)
    return target
