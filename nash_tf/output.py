"""The directory of a run: where its files lie, and whether a run may be begun or resumed there."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from nash_tf.config import ConfigError, SearchConfig, check_resume, refusal
from nash_tf.lock import LOCK

CONFIG = "config.json"
LINEAGE = "lineage.jsonl"
RESULTS = "results.json"
REPORT = "report.html"
BEST = "best"
TUNER = "tuner"
TENSORBOARD = "tensorboard"
_PARTIAL = "config.json.partial"  # what an interruption during the very first write leaves behind
_VERSIONS = "versions"  # kept in config.json beside the settings


def check(config: SearchConfig, resume: bool) -> None:
    """Checks that the run may be begun, or resumed, in its output directory. Writes nothing.

    Raises:
        ConfigError: the directory cannot be made or written to, holds something else than a run, holds a run that is
            not to be resumed, no run to resume, or one with other settings.
    """
    directory = str(config.output_dir)
    try:
        names = set(os.listdir(directory)) - {_PARTIAL, LOCK, REPORT}  # a report may have been written before the run
    except (FileNotFoundError, NotADirectoryError):
        _check_creatable(directory)
        names = set()
    except (OSError, ValueError) as error:
        raise refusal("output_dir", directory, _reason(error)) from None
    if CONFIG in names and not resume:
        raise refusal("output_dir", directory, "holds a run; continue it with --resume, or give another --output_dir")
    if CONFIG not in names and resume:
        raise refusal("output_dir", directory, "holds no run to --resume; begin one without that flag")
    if CONFIG not in names and names:
        raise refusal("output_dir", directory, "holds files that are not a run's; give an empty or a new directory")
    if os.path.isdir(directory) and not os.access(directory, os.W_OK | os.X_OK):
        raise refusal("output_dir", directory, "must be a directory that can be written to")
    if resume:
        check_resume(read_config(directory), config)


def write_config(config: SearchConfig, versions: Mapping[str, str]) -> None:
    """Makes the output directory and writes its config.json, whole or not at all.

    Args:
        config: the settings.
        versions: package name -> version number.
    """
    directory = Path(str(config.output_dir))
    directory.mkdir(parents=True, exist_ok=True)
    partial = directory / _PARTIAL
    with open(partial, "w", encoding="utf-8") as file:
        json.dump({**config.to_json(), _VERSIONS: dict(versions)}, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, directory / CONFIG)


def read_config(directory: str | os.PathLike) -> SearchConfig:
    """The settings in a run's config.json.

    Raises:
        ConfigError: the file cannot be read, or holds something else.
    """
    try:
        values = json.loads((Path(directory) / CONFIG).read_text(encoding="utf-8"))
        values.pop(_VERSIONS, None)
        return SearchConfig.from_json(values)
    except ConfigError as error:
        raise refusal("output_dir", directory, f"its {CONFIG} holds {error}") from None
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise refusal("output_dir", directory, f"its {CONFIG} cannot be read ({_reason(error)})") from None


def await_config(wanted: SearchConfig, patience: float = 60.0) -> SearchConfig:
    """The settings of the run that a chief begins in the output directory, for a worker that was started with `wanted`.

    Raises:
        ConfigError: there is none after `patience` seconds, or it has other settings.
    """
    directory = Path(str(wanted.output_dir))
    end = time.monotonic() + patience
    while not (directory / CONFIG).exists():
        if time.monotonic() > end:
            raise refusal("output_dir", directory, f"no chief has begun a run there within {patience:.0f} s")
        time.sleep(0.5)
    saved = read_config(directory)
    check_resume(saved, wanted)
    return saved


def _check_creatable(directory: str) -> None:
    """Refuses a path that `mkdir -p` could not make: an ancestor, or itself, is a file, or may not be written to."""
    nearest = os.path.abspath(directory)
    while not os.path.lexists(nearest):
        nearest = os.path.dirname(nearest)
    if not os.path.isdir(nearest):
        raise refusal("output_dir", directory, f"must be a directory, and {nearest} is something else")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise refusal("output_dir", directory, f"cannot be made: {nearest} cannot be written to")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split())
