"""The one codec between records of the search and the values of a Keras Tuner trial.

A trial's values are texts and numbers. What a user's own tuner needs of them (see README) is `tuner/trial_id`, the trial to start
from; `morphisms`, to be made of its model; `tuner/initial_epoch` and `tuner/epochs`, as in `model.fit`.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from keras_tuner import errors
from keras_tuner.engine.trial import Trial, TrialStatus

from nash_tf.architecture import Architecture
from nash_tf.morphisms.base import Move
from nash_tf.strategy import alternatives
from nash_tf.strategy.records import COMPLETED, FAILED, FIELDS, Assignment, Goal, Outcome, TrainingKey, not_finite
from nash_tf.strategy.schedules import Phase, annealings
from nash_tf.training.watching import Limits
from nash_tf.tuning import reported_scores, training_time
from nash_tf.tuning.hyperparameters import rounded
from nash_tf.tuning.training_time import Taken

# Beside the user's hyperparameters; those that begin with "tuner/" are Keras Tuner's way of saying the same.
OWN = frozenset(
    {
        "step",
        "rung",
        "child",
        "seed",
        "source",
        "morphisms",
        "architecture",
        "periods",
        "phases",
        "expected_gain",
        "considered",
        "record",
    }
)
LEASE = "tuner/lease"  # only on its way to a worker and back
MESSAGE, FATAL = "message", "fatal"  # what a worker tells beside it
LONGEST_MESSAGE = 4000  # letters, the last ones
MOST_NAMES = 1000  # of metrics, and of hyperparameters

ENDED = (TrialStatus.COMPLETED, TrialStatus.FAILED)


class InvalidReport(errors.FatalValueError):
    """A report that does not hold what came of the training it names."""


def key_of(values: Mapping[str, Any]) -> TrainingKey:
    """Which training a trial's values are of.

    Raises:
        KeyError, TypeError: they are of none.
    """
    key = TrainingKey(values["step"], values["rung"], values["child"])
    if any(type(number) is not int for number in key):
        raise TypeError(f"step, rung and child must be whole numbers, received {tuple(key)}")
    return key


def encode(assignment: Assignment, source_id: str | None) -> dict[str, Any]:
    """A trial's values for an assignment; `source_id` is the trial of its source."""
    values = {
        **assignment.hyperparameters,
        **assignment.key._asdict(),
        "seed": assignment.seed,
        "morphisms": json.dumps(assignment.moves),
        **_encoded_phases(assignment.phases),
        "tuner/initial_epoch": assignment.initial_epoch,
        "tuner/epochs": assignment.epochs,
        "tuner/round": assignment.key.rung,
    }
    if assignment.architecture is not None:
        values["architecture"] = assignment.architecture.to_json()
    if assignment.expected_gain is not None:
        values["expected_gain"] = assignment.expected_gain
    if assignment.considered:
        values["considered"] = json.dumps([each.plain() for each in assignment.considered])
    if assignment.source is not None:
        values |= {"source": json.dumps(assignment.source), "tuner/trial_id": source_id}
    return values


def decode(values: Mapping[str, Any], keys: Mapping[str, TrainingKey] | None = None) -> Assignment:
    """The assignment in a trial's values.

    Args:
        values: of the trial.
        keys: trainings by the ids of their trials, for values of versions that did not say the source's.
    """
    key, source = key_of(values), None
    if "source" in values:
        source = TrainingKey(*json.loads(values["source"]))
    elif "tuner/trial_id" in values:
        source = key._replace(rung=key.rung - 1) if key.rung else (keys or {})[values["tuner/trial_id"]]
    # The first network's values hold its architecture once it is trained.
    architecture = values.get("architecture") if source is not None else None
    return Assignment(
        key=key,
        seed=values["seed"],
        source=source,
        moves=tuple(Move(name, _tuples(site), seed) for name, site, seed in json.loads(values["morphisms"])),
        architecture=None if architecture is None else Architecture.from_json(architecture),
        initial_epoch=values["tuner/initial_epoch"],
        epochs=values["tuner/epochs"],
        phases=_decoded_phases(values),
        hyperparameters={
            name: rounded(value) for name, value in values.items() if name not in OWN and not name.startswith("tuner/")
        },
        expected_gain=values.get("expected_gain"),
        considered=alternatives.parsed(json.loads(values.get("considered", "[]"))),
    )


def lease(holder: str, limits: Limits, is_tried_again: bool) -> str:
    """What a trial's values tell a worker beside the assignment: that the trial is its own, the time that it may take, and whether it is
    tried again where it fails."""
    seconds = {"seconds": limits.seconds, "cpu_seconds": limits.cpu_seconds}
    told: dict[str, Any] = {name: left for name, left in seconds.items() if left < math.inf}
    if limits.shortened is not None:
        told["shortened"] = [left if left < math.inf else None for left in limits.shortened]
    if is_tried_again:
        told["tried_again"] = True
    return json.dumps({"holder": holder} | told)


def limits_of(lease: Mapping[str, Any]) -> Limits:
    """The time that a training may take by its lease."""
    shortened = lease.get("shortened")
    return Limits(
        lease.get("seconds", math.inf),
        lease.get("cpu_seconds", math.inf),
        shortened=shortened and tuple(math.inf if left is None else left for left in shortened),
    )


def lease_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The lease in a trial's values; empty where there is none."""
    try:
        lease = json.loads(values.get(LEASE, "{}"))
    except (TypeError, ValueError, RecursionError):
        return {}
    return lease if isinstance(lease, dict) else {}


def take_lease(values: dict[str, Any]) -> dict[str, Any]:
    """The same; the values are then without it."""
    lease = lease_of(values)
    values.pop(LEASE, None)
    return lease


def message_of(lease: Mapping[str, Any], name: str = MESSAGE) -> str | None:
    """Why a training failed, as its worker tells it beside the lease; or, as FATAL, why the search cannot go on."""
    message = lease.get(name)
    return message[-LONGEST_MESSAGE:] if isinstance(message, str) else None


def with_message(values: Mapping[str, Any], message: str | None, name: str = MESSAGE) -> dict[str, Any]:
    """Values of a trial on its way back, with what `message_of` gives: Keras Tuner's messages hold no place for it."""
    if not message or not (lease := lease_of(values)):
        return dict(values)
    return {**values, LEASE: json.dumps({**lease, name: message[-LONGEST_MESSAGE:]})}


def check_names(names: Iterable[str]) -> None:
    """Refuses hyperparameters that would be taken for the search's own values.

    Raises:
        ValueError: naming them.
    """
    distinct = set(names)
    if taken := sorted(name for name in distinct if name in OWN or name.startswith("tuner/")):
        raise ValueError(
            f"hyperparameters must have other names than {', '.join(taken)}: the search uses these, and all that begin with tuner/"
        )
    if len(distinct) > MOST_NAMES:
        raise ValueError(f"expected at most {MOST_NAMES} hyperparameters, received {len(distinct)}")


def encode_outcome(outcome: Outcome) -> dict[str, Any]:
    """What a completed training adds to its trial's values."""
    assert outcome.architecture is not None
    return {"architecture": outcome.architecture.to_json(), "record": json.dumps(outcome.measurements())}


def decode_report(trial: Trial, assignment: Assignment, goal: Goal) -> Outcome:
    """What a report says of the training that a trial was given out for; hyperparameters that the model declared meanwhile are taken.
    One whose losses or objective are not finite numbers has failed.

    Raises:
        InvalidReport: it is of another training, or `decode_outcome` raises it.
    """
    try:
        reported = decode(trial.hyperparameters.values)
        declared = {name: reported.hyperparameters.get(name) for name in assignment.hyperparameters}
        is_same = replace(reported, architecture=assignment.architecture).agrees_with(assignment)
        if not is_same or declared != assignment.hyperparameters:
            raise ValueError("its values are not those that were given out")
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InvalidReport(f"trial {trial.trial_id}: {error}") from error
    outcome = decode_outcome(trial, replace(assignment, hyperparameters=reported.hyperparameters), goal.name)
    spoilt = not_finite(outcome.metrics, goal.name)
    if outcome.status == COMPLETED and (spoilt or goal.score(outcome) is None):
        values = trial.hyperparameters.values
        trial.hyperparameters.values = training_time.added(values, training_time.of(values)._replace(diverged=True))
        return _failed(trial, outcome.assignment, f"not a finite number: {spoilt or goal.name}")
    return outcome


def decode_outcome(trial: Trial, assignment: Assignment, objective: str) -> Outcome:
    """What came of a trial that has ended.

    Args:
        trial: with status "COMPLETED", "FAILED" or "INVALID".
        assignment: what it was to do.
        objective: name of the metric that is compared; a tuner of the user's own reports no other.

    Raises:
        InvalidReport: the trial's values are no report of this assignment.
    """
    if trial.status in (TrialStatus.FAILED, TrialStatus.INVALID):
        return _failed(trial, assignment, (trial.message or "").strip() or None)
    if trial.status != TrialStatus.COMPLETED:
        raise InvalidReport(
            f"trial {trial.trial_id}: expected the status of one that has ended, received {trial.status}"
        )
    values = trial.hyperparameters.values
    try:
        if "architecture" not in values:
            raise ValueError(
                'values["architecture"] is missing: a tuner of your own sets it to '
                "nash_tf.Architecture.from_keras(model).to_json() of the model that it has trained"
            )
        architecture = Architecture.from_json(values["architecture"])
        if assignment.architecture is not None and architecture.digest != assignment.architecture.digest:
            raise ValueError("the architecture is not the one that was to be trained")
        record, took = json.loads(values.get("record", "{}")), training_time.of(values)
        is_own = not record.keys() - set(Taken._fields)  # a tuner of the user's
        if not is_own and record["digest"] != architecture.digest:
            raise ValueError("the digest is not that of the architecture")
        measured = {name: float(value) for name, value in record.items() if name not in FIELDS}
        return Outcome(
            assignment,
            COMPLETED,
            architecture,
            metrics={objective: float(_reported(trial, objective))}
            if is_own
            else measured | reported_scores.of(values),
            history={name: [float(value) for value in series] for name, series in record.get("history", {}).items()},
            certificate=record.get("certificate"),
            cpu_seconds=took.cpu_seconds,
            wall_seconds=took.wall_seconds,
            epochs=took.epochs or None,
            is_shortened=record.get("is_shortened") is True,
            rate=tuple(float(share) for share in record.get("rate", ())),
        )
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InvalidReport(f"trial {trial.trial_id}: {error}") from error


def note_metrics(trial: Trial, metrics: Mapping[str, float], step: int, goal: Goal) -> None:
    """Adds metrics that a tuner reports to a trial's own.

    Raises:
        ValueError: the one that children are compared by is not among them, or there are too many.
    """
    if goal.name not in metrics:
        raise ValueError(
            f"Objective value missing in what was reported: expected {goal.name}, found {sorted(metrics)[:20]}"
        )
    if len(metrics.keys() | trial.metrics.metrics.keys()) > MOST_NAMES:
        raise ValueError(f"trial {trial.trial_id}: expected at most {MOST_NAMES} metrics")
    for name, value in metrics.items():
        if not trial.metrics.exists(name):
            trial.metrics.register(name, direction=goal.direction if name == goal.name else None)
        trial.metrics.update(name, value, step=step)


def measurement(trial: Trial, name: str) -> float | None:
    """A metric of a completed trial as its training has measured it, if it has."""
    return json.loads(trial.hyperparameters.values.get("record", "{}")).get(name)


def _failed(trial: Trial, assignment: Assignment, why: str | None) -> Outcome:
    took = training_time.of(trial.hyperparameters.values)
    return Outcome(
        assignment,
        FAILED,
        message=why,
        cpu_seconds=took.cpu_seconds,
        wall_seconds=took.wall_seconds,
        epochs=took.epochs,
        diverged=took.diverged is True,
    )


def _reported(trial: Trial, objective: str) -> float:
    if not trial.metrics.exists(objective) or (value := trial.metrics.get_best_value(objective)) is None:
        raise ValueError(f"{objective} was not reported")
    return value


def _encoded_phases(phases: Sequence[Phase]) -> dict[str, str]:
    """Annealings to 0 by their lengths alone, which every version can read."""
    if all(phase == Phase(phase.length) for phase in phases):
        return {"periods": json.dumps([phase.length for phase in phases])}
    return {"phases": json.dumps([phase.plain() for phase in phases])}


def _decoded_phases(values: Mapping[str, Any]) -> tuple[Phase, ...]:
    if "phases" in values:
        return tuple(Phase(*phase) for phase in json.loads(values["phases"]))
    return annealings(json.loads(values["periods"]))


def _tuples(site) -> tuple:
    return tuple(_tuples(part) if isinstance(part, list) else part for part in site)
