"""The directory of a run: where its files lie, and whether a run may be begun or resumed there."""

import contextlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from nash_tf.config import ConfigError, SearchConfig, check_resume, refusal
from nash_tf.files import start_file
from nash_tf.files.atomic import open_regular, read_regular, write_atomically
from nash_tf.files.checksums import with_checksum, without_checksum
from nash_tf.files.lock import LOCK
from nash_tf.settings import of_before
from nash_tf.strategy.search_settings import lost_limits, planned_by

CONFIG = "config.json"
LINEAGE = "lineage.jsonl"
RESULTS = "results.json"
MADE_WITH = "made_with"  # in RESULTS: settings that they follow from, of which a run that goes on may have others
FAILURE = "failure.json"  # why the run failed, until it goes on
REPORT = "report.html"
PAGE_MARK = "Written by nash_tf "  # at the end of each page
BEST = "best"
SCRIPT = "predict.py"  # in BEST, where image files hold what the model takes
MISTAKES = "mistakes"  # folder of pictures
TUNER = "tuner"
TENSORBOARD = "tensorboard"
_LEFTOVERS = (f"{CONFIG}.partial", f".{CONFIG}.", f".{REPORT}.")  # begin the names of what interrupted writes leave
# Bytes that are read at most. A class takes some 400 of results.json; a confusion matrix of as many as there is room for takes
# more memory than there is.
LARGEST_CONFIG, LARGEST_RESULTS = 2**20, 2**25
_LONGEST_REASON = 5_000  # letters: what reads it bounds its bytes
_END_OF_PAGE = 2**16  # bytes that hold its mark
_REMEDY = "put back the one that was there, or give another --output_dir"
# Kept in config.json beside the settings: by which versions the run was begun, and by which others it went on.
_VERSIONS, LATER_VERSIONS = "versions", "later_versions"
_START = "--start"  # among the versions: which file it was
COSTS = "predicted CPU-seconds"  # among the versions: the coefficients by which costs are predicted


def check(config: SearchConfig, resume: bool) -> bool:
    """Checks that the run may be begun, or resumed, in its output directory. Writes nothing.

    Returns:
        Whether there is a run to be resumed; False where `resume` is asked for and the directory is absent or empty.

    Raises:
        ConfigError: the directory cannot be made or written to, holds something else than a run, links among its files, a
            run that is not to be resumed, or one with other settings.
    """
    directory = str(config.output_dir)
    try:
        names = set(os.listdir(directory)) - {LOCK, REPORT}  # a report may have been written before the run
    except (FileNotFoundError, NotADirectoryError):
        check_creatable(directory)
        return False
    except (OSError, ValueError) as error:
        raise refusal("output_dir", directory, _reason(error)) from None
    if CONFIG in names and not resume:
        raise refusal("output_dir", directory, "holds a run; continue it with --resume, or give another --output_dir")
    if CONFIG not in names and {TUNER, LINEAGE} <= names:
        raise refusal("output_dir", directory, f"its {CONFIG} is lost; {_REMEDY}")
    if CONFIG not in names and any(not name.startswith(_LEFTOVERS) for name in names):
        raise refusal("output_dir", directory, "holds files that are not a run's; give an empty or a new directory")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise refusal("output_dir", directory, "must be a directory that can be written to")
    check_tree(directory)
    if CONFIG in names:
        _check_same(directory, config)
    else:
        check_page(directory)
    return CONFIG in names


def check_page(directory: str | os.PathLike) -> None:
    """Checks that no file of somebody else's is where a report will be written.

    Raises:
        ConfigError: there is one.
    """
    if is_foreign(Path(directory) / REPORT):
        raise refusal(
            "output_dir", directory, f"holds a {REPORT} of another program; move it, or give another --output_dir"
        )


def is_foreign(page: Path) -> bool:
    """Whether there is a file in the place of a page, not empty, that is no page of ours."""
    try:
        with open_regular(page) as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _END_OF_PAGE))
            return size > 0 and PAGE_MARK.encode() not in file.read(_END_OF_PAGE)
    except OSError:  # there is none; what else it may be is refused by those who write there
        return False


def check_tree(directory: str | os.PathLike) -> None:
    """Checks that a run's directory, or a Keras Tuner project's, holds files and folders only, so that whoever reads, writes
    or removes in it stays in it. The directory itself may be reached by a link.

    Raises:
        ConfigError: it holds a link, a device, a FIFO or a socket; the message names it.
    """
    for folder, folders, names in os.walk(str(directory)):
        for path in (os.path.join(folder, name) for name in [*folders, *names]):
            try:
                mode = os.lstat(path).st_mode
            except FileNotFoundError:  # another process has removed it
                continue
            if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                sort = "link" if stat.S_ISLNK(mode) else "special file"
                raise ConfigError(f"{directory}: holds a {sort}, {path!r}, where only files may be; remove it")


def write_config(config: SearchConfig, versions: Mapping[str, str]) -> None:
    """Makes the output directory and writes its config.json, whole or not at all.

    The layout of the first network stands there also where it was not given: unset it means another one by method. The versions by
    which a run was begun stay there when it goes on; others by which it does are listed after them.

    Args:
        config: the settings.
        versions: package name -> version number; and by COSTS, how costs are predicted.

    Raises:
        ConfigError: as of `read_config`, where there is a config.json.
    """
    directory = config.directory
    directory.mkdir(parents=True, exist_ok=True)
    now = {**versions, **({_START: start_file.version(config.start)} if config.start else {})}
    known = _read(directory)[1] if (directory / CONFIG).exists() else []
    first, *later = known if now in known[-1:] else [*known, now]
    values = {**config.with_layout().to_json(), _VERSIONS: first, **({LATER_VERSIONS: later} if later else {})}
    write_atomically(directory / CONFIG, (json.dumps(with_checksum(values), indent=2) + "\n").encode())


def read_config(directory: str | os.PathLike) -> SearchConfig:
    """The settings in a run's config.json.

    Raises:
        ConfigError: the file cannot be read, or holds something else.
    """
    return _read(directory)[0]


def read_versions(directory: str | os.PathLike) -> Mapping[str, str]:
    """The versions by which a run was begun, as its config.json says; see `write_config`.

    Raises:
        ConfigError: as of `read_config`.
    """
    return _read(directory)[1][0]


def _read(directory: str | os.PathLike) -> tuple[SearchConfig, list[dict[str, str]]]:
    """Settings, and versions from the first to the last."""
    try:
        values = without_checksum(json.loads(read_regular(Path(directory) / CONFIG, LARGEST_CONFIG)))
        versions = [dict(each) for each in (values.pop(_VERSIONS, {}), *values.pop(LATER_VERSIONS, ()))]
        return SearchConfig.from_json({**of_before(SearchConfig), **values}), versions
    except ConfigError as error:
        raise refusal("output_dir", directory, f"its {CONFIG} holds {error}; {_REMEDY}") from None
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise refusal("output_dir", directory, f"its {CONFIG} cannot be read ({_reason(error)}); {_REMEDY}") from None


@contextlib.contextmanager
def telling_failure(directory: Path, then: Callable[[Path], None]) -> Iterator[None]:
    """Has the directory of a run tell why it failed, where an error ends what is done in it; that an earlier attempt failed is forgotten.

    Args:
        directory: of the run.
        then: called with the directory when it tells.
    """
    (directory / FAILURE).unlink(missing_ok=True)
    try:
        yield
    except Exception as error:  # a signal that stops the run is no failure
        reason = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
        with contextlib.suppress(OSError):  # of a full disk, which may be why; the error itself is what matters
            write_atomically(directory / FAILURE, f"{json.dumps({'reason': reason}, indent=2)}\n".encode())
        then(directory)
        raise


@contextlib.contextmanager
def telling_stop(directory: Path, then: Callable[[Path], None]) -> Iterator[None]:
    """Has the directory of a run tell that nobody is at work there any more, where a signal ends what is done in it.

    Args:
        directory: of the run.
        then: called with the directory; to be around the run's lock, which is let go before.
    """
    try:
        yield
    except KeyboardInterrupt:
        if (directory / CONFIG).exists():
            then(directory)
        raise


def await_config(wanted: SearchConfig, patience: float = 600.0) -> SearchConfig:
    """The settings of the run that a chief begins in the output directory, for a worker that was started with `wanted`.

    Its chief reads its images first, which may take minutes.

    Raises:
        ConfigError: there is none after `patience` seconds, or it has other settings.
    """
    directory = Path(str(wanted.output_dir))
    end = time.monotonic() + patience
    if not (directory / CONFIG).exists():
        print(f"Waiting for the chief to begin the run in {directory}, for {patience:.0f} s at most.", flush=True)
    while not (directory / CONFIG).exists():
        if time.monotonic() > end:
            raise refusal("output_dir", directory, f"no chief has begun a run there within {patience:.0f} s")
        time.sleep(0.5)
    return _check_same(directory, wanted)


def _check_same(directory: str | os.PathLike, wanted: SearchConfig) -> SearchConfig:
    """Checks that what is wanted goes on with the run in a directory, from the same model; returns the run's settings.

    Raises:
        ConfigError: it does not.
    """
    saved, versions = _read(directory)
    begun, given = versions[0].get(_START), start_file.version(wanted.start) if wanted.start else None
    if begun is None and given:
        raise refusal("start", wanted.start, "the run was begun without; leave it out, or give another --output_dir")
    if begun != given:
        rule = (
            f"the run was begun with {saved.start}, and goes on with no other file; give that, or another --output_dir"
        )
        raise refusal("start", wanted.start, rule)
    check_resume(saved.with_layout(), wanted.with_layout(), planned_by(saved.method))
    if lost := lost_limits(saved.method, vars(saved), vars(wanted)):
        begun_with = " and ".join(f"--{name}={getattr(saved, name):,.15g}" for name in lost)
        rule = f"must be given: method {saved.method} lays out its budget by it; the run was begun with {begun_with}, give that or more"
        raise refusal(lost[0], None, rule)
    return saved


def check_creatable(directory: str) -> None:
    """Refuses a path that `mkdir -p` could not make: an ancestor, or itself, is a file, or may not be written to.

    Raises:
        ConfigError: it could not.
    """
    nearest = os.path.abspath(directory)
    while not os.path.lexists(nearest):
        nearest = os.path.dirname(nearest)
    if not os.path.isdir(nearest):
        raise refusal("output_dir", directory, f"must be a directory, and {nearest} is something else")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise refusal("output_dir", directory, f"cannot be made: {nearest} cannot be written to")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split())
