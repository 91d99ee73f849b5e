"""Whether a run that goes on is finished already: its results are there, made with what is asked of it now."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nash_tf.config import SearchConfig
from nash_tf.files import plain_json, run_directory
from nash_tf.files.atomic import write_atomically
from nash_tf.records import loading
from nash_tf.records.runs import Run, object_of
from nash_tf.terminal import summary


def results(config: SearchConfig, begun: SearchConfig) -> Mapping[str, Any] | None:
    """The results of a run that has nothing left to do; None where there is something.

    Made again, they would take more time, of which none may be left.

    Args:
        config: the settings now.
        begun: those in its config.json, with which it may have been stopped before its results were made.
    """
    run = loading.read(config.directory)
    return run.results if config.asked_of_results() == begun.asked_of_results() and _is_whole(run) else None


def write(results: Mapping[str, Any], directory: Path) -> None:
    """Writes results.json."""
    write_atomically(directory / run_directory.RESULTS, (plain_json.text(results, indent=2) + "\n").encode())


def stamp(directory: Path, begun: SearchConfig) -> None:
    """Has results of an earlier version, which do not tell what they were made with, tell it before config.json says something else.

    Args:
        directory: of the run; it may have been moved since.
        begun: the settings in its config.json.
    """
    found = loading.read(directory).results
    if found and run_directory.MADE_WITH not in found:
        write({**found, run_directory.MADE_WITH: begun.asked_of_results()}, directory)


def _is_whole(run: Run) -> bool:
    """Whether all is there that its results name, and they can be told."""
    if not (run.state == "finished" and run.winner_record and run.architecture and _files(run)):
        return False
    try:
        summary.lines(run.results, run.directory)
    except Exception:  # there is no end to what a file may hold
        return False
    return True


def _files(run: Run) -> bool:
    formats = map(object_of, object_of(run.results.get("exports")).values())
    exported = [Path(run_directory.BEST, each["file"]) for each in formats if isinstance(each.get("file"), str)]
    front = [each["directory"] for each in run.front if isinstance(each.get("directory"), str)]
    return all((run.directory / path).exists() for path in (*exported, *front))
