"""The command line: `python -m nash_tf.report DIR... [--watch] [--output=FILE] [--svg_dir=DIR]`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from nash_tf import output, report
from nash_tf.report import experiment_page, runs
from nash_tf.report.text import printable
from nash_tf.report.watch import finished, watch

_REFRESH = 15  # seconds after which a browser loads the page of a watched run again

_PATIENCE = 60.0  # seconds that the next run of an experiment may take to appear


class _Refused(Exception):
    """What was asked for cannot be done; the message is one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes reports, prints the tables, and returns the exit status: 2 for a wrong argument, 1 where nothing can be written."""
    parser = argparse.ArgumentParser(
        prog="python -m nash_tf.report",
        description="Writes the report of a search, or of all searches of an experiment, as one HTML file.",
        epilog="DIR is the directory of a run, or one that holds such directories. Of one run the page is DIR/report.html, of "
        "several there is one beside them all too, with the tables.",
    )
    parser.add_argument("directories", nargs="+", metavar="DIR")
    parser.add_argument("--output", metavar="FILE", help="where to write the page (of several runs: their common page)")
    parser.add_argument(
        "--svg_dir", metavar="DIR", help="where to write the figures as SVG; by default report/ beside the page"
    )
    parser.add_argument("--markdown", action="store_true", help="print the tables of several runs as Markdown")
    parser.add_argument(
        "--watch",
        action="store_true",
        help="renew the page whenever a run goes on, until all are finished (of several, a minute longer)",
    )
    parser.add_argument(
        "--interval", type=float, default=2.0, metavar="SECONDS", help="how often --watch looks (default 2)"
    )
    given = parser.parse_args(arguments)
    try:
        return _run(given)
    except _Refused as error:
        print(printable(error), file=sys.stderr)
        return 2
    except OSError as error:
        print(printable(f"cannot write {error.filename}: {error.strerror or error}"), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(given: argparse.Namespace) -> int:
    if not given.interval > 0:
        raise _Refused(f"--interval={given.interval:g}: must be a number of seconds above 0")
    asked = [_checked(name) for name in given.directories]
    page = Path(given.output) if given.output else _common(asked) / output.REPORT
    if page.is_dir():
        raise _Refused(f"--output={page}: must be a file, and is a directory")

    def found() -> list[Path]:
        return list(dict.fromkeys(run for directory in asked for run in _runs(directory)))

    def are_several(directories: list[Path]) -> bool:
        return len(asked) > 1 or directories != asked

    def renew(watched: bool) -> None:
        directories = found()
        several = are_several(directories)
        live = _REFRESH if watched and (several or not finished(directories)) else 0
        if several:
            for directory in directories:
                report.write(directory, refresh=live)
            report.write_experiment(directories, page, given.svg_dir, live)
            _say([f"{directory}: {experiment_page.one_line(runs.read(directory))}" for directory in directories])
            style = experiment_page.as_markdown if given.markdown else experiment_page.as_columns
            print(f"\n{experiment_page.tables([runs.read(directory) for directory in directories], style)}\n")
        else:
            report.write(directories[0], given.output, given.svg_dir, live)
            _say([experiment_page.one_line(runs.read(directories[0]))])
        print(printable(page), flush=True)

    if given.watch:
        several = are_several(found())
        watch(found, lambda: renew(True), given.interval, patience=_PATIENCE if several else 0.0)
        if several:
            renew(False)
    else:
        renew(False)
    return 0


def _checked(name: str) -> Path:
    directory = Path(name)
    if not directory.exists():
        raise _Refused(f"{name}: no such directory")
    if not directory.is_dir():
        raise _Refused(f"{name}: must be the directory of a run, or one that holds such directories")
    if not os.access(directory, os.R_OK | os.X_OK):
        raise _Refused(f"{name}: cannot be read")
    return directory


def _inside(directory: Path) -> list[Path]:
    """Runs one or two levels below a directory."""
    return sorted(
        path for pattern in ("*", "*/*") for path in directory.glob(pattern) if path.is_dir() and runs.is_run(path)
    )


def _runs(directory: Path) -> list[Path]:
    return [directory] if runs.is_run(directory) else _inside(directory) or [directory]


def _common(directories: Sequence[Path]) -> Path:
    if len(directories) == 1:
        return directories[0]
    return Path(os.path.commonpath([directory.absolute().parent for directory in directories]))


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        print(printable(line))


if __name__ == "__main__":
    sys.exit(main())
