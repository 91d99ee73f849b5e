"""The command line: `python -m nash_tf.report DIR... [--watch] [--output=FILE] [--svg_dir=DIR]`."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from nash_tf import report
from nash_tf.drawing.number_words import plural
from nash_tf.files import run_directory
from nash_tf.records import loading, planned, runs
from nash_tf.report.pages import experiment_page
from nash_tf.report.watch import finished, watch
from nash_tf.settings import given_path
from nash_tf.terminal.text_tables import printable

_REFRESH = 15  # seconds after which a browser loads the page of a watched run again

_INTERVAL = 2.0  # seconds after which a run is looked at again

_MOST_PROBLEMS = 5  # of a run, printed

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
    page = "where to write the page (of several runs: their common page)"
    parser.add_argument("--output", type=given_path, metavar="FILE", help=page)
    figures = "where to write the figures as SVG; by default report/ beside the page"
    parser.add_argument("--svg_dir", type=given_path, metavar="DIR", help=figures)
    parser.add_argument("--markdown", action="store_true", help="print the tables of several runs as Markdown")
    parser.add_argument(
        "--watch",
        action="store_true",
        help="renew the page whenever a run goes on, until all are finished (of several, a minute longer)",
    )
    parser.add_argument(
        "--interval", type=float, metavar="SECONDS", help=f"how often --watch looks (default {_INTERVAL:g})"
    )
    given = parser.parse_args(arguments)
    try:
        return _run(given)
    except _Refused as error:
        print(printable(error), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _run(given: argparse.Namespace) -> int:
    if given.interval is not None and not given.interval > 0:
        raise _Refused(f"--interval={given.interval:g}: must be a number of seconds above 0")
    asked = [_checked(name) for name in given.directories]
    for link in (link for directory in asked if not runs.is_run(directory) for link in _linked(directory)):
        print(printable(f"{link}: a link, left out; name it as DIR to have its report written"), file=sys.stderr)
    for directory in asked:
        if not given.watch and not runs.is_run(directory) and not _inside(directory):
            raise _Refused(f"{directory}: holds no run")
    for line in _unused(given, is_one=len(asked) == 1 and runs.is_run(asked[0])):
        print(line, file=sys.stderr)
    page = Path(given.output) if given.output else _common(asked) / run_directory.REPORT
    if given.output and page.is_dir():
        raise _Refused(f"--output={page}: must be a file, and is a directory")

    def found() -> list[Path]:
        return list(dict.fromkeys(run for directory in asked for run in _runs(directory)))

    def are_several(directories: list[Path]) -> bool:
        return len(asked) > 1 or directories != asked

    def renew(watched: bool) -> bool:
        directories = found()
        several = are_several(directories)
        live = _REFRESH if watched and (several or not finished(directories)) else 0
        missing = _planned(asked, directories) if several else {}
        if several:
            pages = [partial(report.write, directory, refresh=live) for directory in directories]
            pages.append(partial(report.write_experiment, directories, page, given.svg_dir, live, missing))
        else:
            pages = [partial(report.write, directories[0], page, given.svg_dir, live)]
        written = [_attempt(write) for write in pages]
        read = [loading.read(directory) for directory in directories]
        for directory, run in zip(directories, read, strict=True):
            where = f"{directory}: " if several else ""
            _say([f"{where}{experiment_page.one_line(run)}", *_problems(run)])
        if several:
            style = experiment_page.as_markdown if given.markdown else experiment_page.as_columns
            print(f"\n{experiment_page.tables(read, style, missing)}\n")
        if all(written):
            print(printable(page), flush=True)
        return all(written)

    if given.watch:
        several = are_several(found())
        watch(found, lambda: renew(True), given.interval or _INTERVAL, patience=_PATIENCE if several else 0.0)
        if not several:
            return 0
    return 0 if renew(False) else 1


def _unused(given: argparse.Namespace, is_one: bool) -> list[str]:
    """Which options do nothing, and why, a line each."""
    lines = {
        "--markdown is not used: one run has no table": given.markdown and is_one,
        f"--interval={given.interval or 0:g} is not used without --watch": given.interval and not given.watch,
    }
    return [line for line, holds in lines.items() if holds]


def _checked(name: str) -> Path:
    directory = Path(name)
    if not directory.exists():
        raise _Refused(f"{name}: no such directory")
    if not directory.is_dir():
        raise _Refused(f"{name}: must be the directory of a run, or one that holds such directories")
    if not os.access(directory, os.R_OK | os.X_OK):
        raise _Refused(f"{name}: cannot be read")
    return directory


def _attempt(write: Callable[[], Path]) -> bool:
    """Whether a page could be written; one line says why not."""
    try:
        write()
    except OSError as error:
        print(printable(f"cannot write {error.filename}: {error.strerror or error}"), file=sys.stderr)
        return False
    return True


def _problems(run: runs.Run) -> list[str]:
    """What is missing or was not read, a line each, the first few."""
    more = [f"  and {plural(len(run.problems) - _MOST_PROBLEMS, 'more line')} of this kind"]
    return [f"  {line}" for line in run.problems[:_MOST_PROBLEMS]] + more[: len(run.problems) > _MOST_PROBLEMS]


def _entries(directory: Path, is_meant: Callable[[os.DirEntry], bool]) -> list[Path]:
    """Some of what is in a directory; nothing of one that cannot be read."""
    try:
        return sorted(Path(entry) for entry in os.scandir(directory) if is_meant(entry))
    except OSError:
        return []


def _folders(directory: Path) -> list[Path]:
    """The folders in a directory; links are left out, for reports are written into what is found."""
    return _entries(directory, lambda entry: entry.is_dir(follow_symlinks=False))


def _inside(directory: Path) -> list[Path]:
    """Runs one or two levels below a directory."""
    folders = _folders(directory)
    return sorted(
        path for path in [*folders, *(inner for each in folders for inner in _folders(each))] if runs.is_run(path)
    )


def _linked(directory: Path) -> list[Path]:
    """Links to runs, which are not followed."""
    return [path for path in _entries(directory, os.DirEntry.is_symlink) if runs.is_run(path)]


def _runs(directory: Path) -> list[Path]:
    return [directory] if runs.is_run(directory) else _inside(directory) or [directory]


def _planned(asked: Sequence[Path], directories: Sequence[Path]) -> dict[str, str]:
    """The runs that experiments in the directories asked for have planned and that are not there, by name why."""
    whole = [directory for directory in asked if not runs.is_run(directory)]
    folders = [run.parent for run in directories if any(run.is_relative_to(directory) for directory in whole)]
    return {
        name if folder in whole else f"{folder.name}/{name}": why
        for folder in dict.fromkeys([*whole, *folders])
        for name, why in planned.missing(folder).items()
    }


def _common(directories: Sequence[Path]) -> Path:
    if len(directories) == 1:
        return directories[0]
    return Path(os.path.commonpath([directory.absolute().parent for directory in directories]))


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        print(printable(line))


if __name__ == "__main__":
    sys.exit(main())
