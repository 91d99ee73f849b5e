"""What is on disk of a search that is to go on. The trials' files are the truth; `oracle.json` is a cache beside them."""

import contextlib
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_tuner.engine.trial import Trial, TrialStatus

from nash_tf.settings import is_raised, why_not_resumed
from nash_tf.strategy import explanations, methods
from nash_tf.strategy.records import Assignment, Outcome, TrainingKey
from nash_tf.strategy.search_settings import SEARCH_LIMITS, lost_limits, planned_by
from nash_tf.tuning import checked_json, trial_values
from nash_tf.tuning.arguments import NotUsed
from nash_tf.tuning.trial_files import DamagedSearch, OtherSearch, TrialFiles

STATE = "oracle.json"
# Of methods with one budget, what searches of earlier versions did, whose settings do not tell it.
BEFORE = {"average_weights": False}


@dataclass(frozen=True)
class Reopened:
    """A trial as it is on disk.

    Attributes:
        trial: its state.
        lease: see `nash_tf.tuning.lending.Lending.restore`.
        assignment: what it is to do.
        outcome: what came of it; None where it has not ended.
    """

    trial: Trial
    lease: dict[str, Any]
    assignment: Assignment
    outcome: Outcome | None


def has_search(directory: Path) -> bool:
    """Whether a directory holds a search, or what is left of one."""
    return (directory / STATE).exists() or TrialFiles(directory).are_there()


def stamp(directory: Path) -> tuple[int, int, int] | None:
    """Tells one writing of the oracle's own state from another; None where there is none."""
    try:
        file = os.stat(directory / STATE)
    except FileNotFoundError:
        return None
    return file.st_ino, file.st_mtime_ns, file.st_size


@contextlib.contextmanager
def read_again_after(oracle: Any) -> Iterator[None]:
    """Context in which an exception, as Ctrl-C at any line, may leave an oracle half changed: it is read again before it goes on."""
    try:
        yield
    except BaseException:
        oracle.stamp = None
        raise


def restore_state(directory: Path, take: Callable[[dict[str, Any]], None]) -> bool:
    """Hands over the oracle's own state.

    Args:
        directory: of the search.
        take: takes the state; raises OtherSearch where the search is not the one that is wanted.

    Returns:
        Whether it was taken. Where the file is lost or damaged, a line says so: all else follows from the trials.

    Raises:
        OtherSearch: it is the state of another tuner's search, or `take` raises it.
    """
    file = directory / STATE
    try:
        state = checked_json.read(file)
        # As Keras Tuner's oracles have it.
        if "hyperparameters" in state and not state.keys() & {"settings", "trial_id"}:
            raise OtherSearch(
                f"{directory} holds the search of another tuner; give another project_name, or overwrite=True"
            )
        take(state)
    except OtherSearch:
        raise
    except Exception as error:  # there is no end to what a file may hold
        reason = "is lost" if isinstance(error, FileNotFoundError) else f"is damaged ({error or type(error).__name__})"
        print(f"{file} {reason}: the search is read from the files of its trials", flush=True)
        return False
    return True


def read_trials(files: TrialFiles, objective: str) -> list[Reopened]:
    """All trials of a search, in the order of their trainings.

    Raises:
        DamagedSearch: a file is not what was written.
    """
    stored, keys = list(files.read_all()), {}
    trials: list[Reopened] = []
    by_key: dict[TrainingKey, Trial] = {}
    for trial, _ in stored:
        try:
            keys[trial.trial_id] = trial_values.key_of(trial.hyperparameters.values)
        except Exception as error:  # there is no end to what a file may hold
            raise not_ours(files, trial, error) from error
    for trial, lease in stored:
        values = trial.hyperparameters.values
        lease = lease or _lease_of_before(values)
        try:
            assignment = trial_values.decode(values, keys)
            has_ended = trial.status in trial_values.ENDED
            if not has_ended and trial.status != TrialStatus.RUNNING:
                raise ValueError(f"the status {trial.status!r}")
            outcome = trial_values.decode_outcome(trial, assignment, objective) if has_ended else None
        except Exception as error:
            raise not_ours(files, trial, error) from error
        if (other := by_key.setdefault(assignment.key, trial)) is not trial:
            raise DamagedSearch(
                f"{files.folder(trial.trial_id)} and {files.folder(other.trial_id)} are of one training; remove one of them"
            )
        trials.append(Reopened(trial, lease, assignment, outcome))
    return sorted(trials, key=lambda reopened: (reopened.assignment.key, reopened.trial.trial_id))


def check_settings(saved: Mapping[str, Any], wanted: Mapping[str, Any], directory: Path) -> None:
    """Checks that a search that was begun with some settings may go on with others; warns of limits whose raising it may not go on by.

    Raises:
        OtherSearch: one differs that is no limit, a limit is lowered, or the only one on time, by which the budget is laid out, taken
            away; the message names each with both values.
    """
    method: str = wanted["method"]
    saved = {**(BEFORE if planned_by(method) else {}), **saved}
    limits = [name for name in SEARCH_LIMITS if name not in planned_by(method)]
    common = {name: (saved[name], value) for name, value in wanted.items() if name in saved}
    changed = {name: pair for name, pair in common.items() if not _same(*pair)}
    # How many children a rung of a front has is the method's: nobody sets it.
    children = [[rung[0] for rung in rungs] for rungs in changed.get("rungs", ())]
    if methods.registry[method].has_front and children and children[0] != children[1]:
        raise OtherSearch(
            f"the search in {directory} was begun with a version in which method {method} made its networks in another way; go on with that one, "
            "or give another project_name, or overwrite=True"
        )
    if why := why_not_resumed(changed, limits):
        raise OtherSearch(f"the search in {directory} {why}. Give another project_name, or overwrite=True")
    if lost := lost_limits(method, saved, wanted):
        limit = " and ".join(f"{name}={saved[name]:,.15g}" for name in lost)
        raise OtherSearch(
            f"the search in {directory} was begun with {limit}, by which method {method} lays out its budget. Give that or more, "
            "another project_name, or overwrite=True"
        )
    raised = [name for name in limits if name in changed and is_raised(*changed[name])]
    for line in explanations.raised_limits(method, raised, "another project_name"):
        warnings.warn(line, NotUsed, stacklevel=2)


def _same(saved: Any, wanted: Any) -> bool:
    """Whether two values of a setting are the same; a computed one may differ in its last digits on another machine."""
    if isinstance(saved, float) and isinstance(wanted, float):
        return math.isclose(saved, wanted, rel_tol=1e-9)
    return bool(saved == wanted)


def read_whole(directory: Path, read: Callable[[], None]) -> None:
    """Reads a search that another process may go on with meanwhile, again where that has made it look damaged.

    Raises:
        DamagedSearch: it is, though nothing changed while it was read.
    """
    while True:
        found = stamp(directory)
        try:
            return read()
        except DamagedSearch:
            if stamp(directory) == found:
                raise


def not_ours(files: TrialFiles, trial: Trial, error: Exception) -> DamagedSearch:
    """What to say of a trial's file that holds no training of a search."""
    folder = files.folder(trial.trial_id)
    return DamagedSearch(
        f"{folder / 'trial.json'}: expected a training of a search, {error!r}; remove {folder}, and its training is done again"
    )


def _lease_of_before(values: dict[str, Any]) -> dict[str, Any]:
    """The lease that versions before kept among a trial's values, which are then without it."""
    for name in ("tuner/seconds", "tuner/cpu_seconds"):
        values.pop(name, None)
    return {"holder": values.pop("tuner/holder", None), "deaths": values.pop("tuner/deaths", None)}
