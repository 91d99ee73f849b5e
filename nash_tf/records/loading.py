"""Reads a run's directory. Whatever is missing, broken or too large becomes a line in `problems`, never an exception."""

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from nash_tf.architecture import Architecture
from nash_tf.files import run_directory
from nash_tf.files.checksums import CHECKSUM
from nash_tf.files.lock import LOCK
from nash_tf.morphisms.base import Move
from nash_tf.records import regular_files
from nash_tf.records.runs import (
    Place,
    Record,
    Run,
    name_of,
    number,
    object_of,
    objective_of,
    objects_of,
    place_of,
    sentence_of,
)
from nash_tf.records.tested import details_of
from nash_tf.scores.objectives import Objective
from nash_tf.settings import LARGEST
from nash_tf.strategy import alternatives, long_histories
from nash_tf.strategy.alternatives import Weighing

_ARCHITECTURE = "architecture.json"  # in the folder of a network
_BEST = f"{run_directory.BEST}/{_ARCHITECTURE}"
# What is read at most. A search of 1,000 steps has 15,000 trainings and a lineage of 30 MB.
MOST_BYTES = {
    run_directory.CONFIG: run_directory.LARGEST_CONFIG,
    run_directory.RESULTS: run_directory.LARGEST_RESULTS,
    run_directory.FAILURE: 64 << 10,
    run_directory.LINEAGE: 128 << 20,
    _BEST: 16 << 20,
    LOCK: 4 << 10,
}
MOST_NETWORKS = 20  # of a front
MOST_IN_PICTURE = 128 << 10  # bytes of a worst mistake
MOST_LINES = 20_000  # of a lineage
MOST_IN_LINE = 4 << 20  # bytes of a line; those of 10,000 epochs take less than 1 MiB (see `long_histories`)
MOST_IN_RECORD = 1_000  # morphisms, metrics and numbers of a certificate that one training's record may have
MOST_EPOCHS = LARGEST  # of one training
MOST_RUNGS = 100  # of a step

_LARGEST_INDEX = 10**6

Loaded = TypeVar("Loaded")


def read(directory: str | os.PathLike, pictures: bool = False) -> Run:
    """Everything that can be read of a run; raises nothing and waits for nothing, whatever its files are and hold.

    Args:
        directory: of the run.
        pictures: whether those of the worst mistakes, and the architectures of a front, are read too.
    """
    directory = Path(directory)
    problems: list[str] = []
    config = _object(directory, run_directory.CONFIG, problems)
    versions, later = config.pop("versions", {}), config.pop(run_directory.LATER_VERSIONS, ())
    config.pop(CHECKSUM, None)
    results = _object(directory, run_directory.RESULTS, problems, needed=False)
    records = _lineage(directory, problems, objective_of(config))
    trained = sum(record.epochs for record in records)
    goes_on = trained > (number(results.get("epochs")) or math.inf) or _is_asked_otherwise(config, results)
    results = {} if goes_on else results
    if results and number(results.get("test_accuracy")) is None:
        problems.append(f"{run_directory.RESULTS} holds no test_accuracy.")
    winner = place_of(results.get("winner"))
    if results and winner not in {record.place for record in records}:
        named = f"a winner, {winner}, that is not in {run_directory.LINEAGE}" if winner else "no winner"
        problems.append(f"{run_directory.RESULTS} names {named}.")
    run = Run(
        directory,
        config=config,
        versions=object_of(versions),
        later_versions=tuple(objects_of(later)),
        records=tuple(sorted(records, key=lambda record: record.place)),
        results=results,
        goes_on=goes_on,
        architecture=None if goes_on else _architecture(directory, problems, needed=bool(results)),
        failure=sentence_of(_object(directory, run_directory.FAILURE, problems, needed=False).get("reason")),
        owner=_load(directory, LOCK, lambda data: name_of(data.decode("utf-8", "replace").strip()), problems),
    )
    if pictures:
        run = replace(run, pictures=_pictures(run, problems), networks=_networks(run, problems))
    return replace(run, problems=tuple(problems))


def is_finished(directory: str | os.PathLike) -> bool:
    """Whether a run has results that can be read, and has not gone on since."""
    return bool(read(directory).results)


def _is_asked_otherwise(config: Mapping[str, Any], results: Mapping[str, Any]) -> bool:
    """Whether a run was given other settings than its results were made with; those of earlier versions do not tell."""
    made_with = object_of(results.get(run_directory.MADE_WITH))
    return any(config[name] != value for name, value in made_with.items() if name in config)


def _pictures(run: Run, problems: list[str]) -> dict[str, bytes]:
    """The pictures of the worst mistakes that can be read."""

    def parse(data: bytes) -> bytes:
        if not data.startswith(b"\x89PNG\r\n\x1a\n"):
            raise ValueError("it is no PNG")
        return data

    test = details_of(run)
    found = {
        mistake.file: _load(run.directory, mistake.file, parse, problems, MOST_IN_PICTURE)
        for mistake in (test.mistakes if test else ())
    }
    return {file: data for file, data in found.items() if data is not None}


def _networks(run: Run, problems: list[str]) -> dict[str, Architecture]:
    """The architectures of the networks of a front that can be read, but for the one that is handed over."""
    names = [each.get("directory") for each in run.front]
    found = {
        name: _load(run.directory, f"{name}/{_ARCHITECTURE}", _parse_architecture, problems, MOST_BYTES[_BEST])
        for name in names[:MOST_NETWORKS]
        if isinstance(name, str) and re.fullmatch("front/[0-9]{1,12}", name)
    }
    return {name: architecture for name, architecture in found.items() if architecture is not None}


def _load(
    directory: Path, name: str, parse: Callable[[bytes], Loaded], problems: list[str], most: int | None = None
) -> Loaded | None:
    """What `parse` makes of a file; None where there is none, and None and a line in `problems` where it cannot be read.

    Files may hold anything: no kind of error is a fault here. `most` are its bytes, where `MOST_BYTES` does not tell them.
    """
    path = directory / name
    try:
        for folder in path.relative_to(directory).parents:
            if folder.parts and (directory / folder).is_symlink():
                raise regular_files.Unreadable(f"lies in {folder.name}, a link, and links are not followed")
        return parse(regular_files.read(path, most or MOST_BYTES[name]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except regular_files.Unreadable as error:
        problems.append(f"{name} is not read: it {error}.")
    except Exception as error:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        problems.append(f"{name} cannot be read ({reason}).")
    return None


def _object(directory: Path, name: str, problems: list[str], needed: bool = True) -> dict[str, Any]:
    before = len(problems)
    values = _load(directory, name, lambda data: (regular_files.parse(data),), problems)
    if values is None:
        if needed and len(problems) == before:
            problems.append(f"{name} is missing.")
        return {}
    if not isinstance(values[0], dict):
        problems.append(f"{name} holds no JSON object.")
        return {}
    return values[0]


def _architecture(directory: Path, problems: list[str], needed: bool) -> Architecture | None:
    before = len(problems)
    found = _load(directory, _BEST, _parse_architecture, problems)
    if found is None and needed and len(problems) == before:
        problems.append(f"{_BEST} is missing.")
    return found


def _parse_architecture(data: bytes) -> Architecture:
    regular_files.parse(data)
    return Architecture.from_json(data.decode("utf-8"))


def _lineage(directory: Path, problems: list[str], objective: Objective) -> list[Record]:
    path, name, before = directory / run_directory.LINEAGE, run_directory.LINEAGE, len(problems)
    data = _load(directory, name, bytes, problems)
    if data is None:
        if len(problems) == before:
            problems.append(f"{name} is missing: no training has ended yet.")
        return []
    records: dict[Place, Record] = {}
    lines = data.split(b"\n", MOST_LINES)
    if len(lines) > MOST_LINES and lines.pop().strip():
        problems.append(f"{name} has more than {MOST_LINES:,} lines: those after them are not read.")
    for position, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            if len(line) > MOST_IN_LINE:
                raise ValueError
            record = _record(long_histories.shortened(regular_files.parse(line)), objective)
        except Exception:
            last = position == len(lines)
            problems.append(
                f"{path.name}, line {position}: "
                + ("cut off, its training is left out." if last else "not a training's record, left out.")
            )
            continue
        if record.place in records:
            problems.append(f"{path.name}, line {position}: the same training again; this record counts.")
        records[record.place] = record
    if not records:
        problems.append(f"{path.name} holds no training.")
    return list(records.values())


def _record(plain: Any, objective: Objective) -> Record:
    step, rung, child = place = tuple(plain[name] for name in ("step", "rung", "child"))
    if not all(type(index) is int and 0 <= index < _LARGEST_INDEX for index in place) or rung >= MOST_RUNGS:
        raise ValueError(f"step, rung and child must be indices, received {place}")
    parts = [plain.get(name) or () for name in ("morphisms", "history", "certificate", "considered")]
    if any(isinstance(part, (list, dict)) and len(part) > MOST_IN_RECORD for part in parts):
        raise ValueError(f"a record has at most {MOST_IN_RECORD} entries of a kind")
    moves, history, certificate, _ = parts
    epochs = int(_not_negative(plain.get("epochs")) or 0)
    every = plain.get(long_histories.EVERY, 1)
    if not (type(every) is int and 1 <= every <= MOST_EPOCHS) or epochs > MOST_EPOCHS:
        raise ValueError(f"a training has at most {MOST_EPOCHS} epochs")
    return Record(
        step,
        rung,
        child,
        parent=place_of(plain.get("parent")),
        operators=tuple(name_of(move[0] if isinstance(move, list) else move) for move in moves),
        moves=_moves(moves),
        digest=plain["digest"] if isinstance(plain.get("digest"), str) else None,
        epochs=epochs,
        status=name_of(plain.get("status", "completed")),
        params=_not_negative(plain.get("params")),
        accuracy=number(plain.get("val_accuracy")),
        objective=objective,
        measured=number(plain.get(objective.metric)),
        kept_loss=number(plain.get("val_loss")),
        history={
            name_of(name): tuple(number(value) for value in series)
            for name, series in object_of(history).items()
            if isinstance(series, list)
        },
        every=every,
        certificate={
            name_of(name): value for name, value in object_of(certificate).items() if number(value) is not None
        },
        cpu_seconds=_not_negative(plain.get("cpu_seconds")),
        wall_seconds=_not_negative(plain.get("wall_seconds")),
        expected_gain=number(plain.get("expected_gain")),
        considered=_considered(plain.get("considered")),
        rate=_shares(plain.get("rate"), epochs // every),
        message=sentence_of(plain.get("message")),
        diverged=plain.get("diverged") is True,
    )


def _moves(plain: Any) -> tuple[Move, ...]:
    """The moves of a record; none where one is not [operator, [part, ...], seed]."""
    try:
        moves = tuple(Move(operator, tuple(site), seed) for operator, site, seed in plain)
    except (TypeError, ValueError):
        return ()
    is_whole = all(
        isinstance(operator, str) and type(seed) is int and all(isinstance(part, str | int) for part in site)
        for operator, site, seed in moves
    )
    return moves if is_whole else ()


def _considered(plain: Any) -> tuple[Weighing, ...]:
    """What the morphisms of a record were chosen among; nothing where a part of it is malformed, or a number is too large."""
    try:
        weighings = alternatives.parsed(plain or ())
    except (KeyError, TypeError, ValueError, RecursionError):
        return ()
    numbers = [each for weighing in weighings for candidate in weighing.best for each in candidate[2:]]
    numbers += [each for weighing in weighings for each in (weighing.weighed, *weighing.refused.values())]
    return weighings if all(number(each) is not None for each in numbers) else ()


def _shares(plain: Any, epochs: int) -> tuple[float, ...]:
    """One for the begin of each of some epochs and one for the end; none where they are anything else."""
    shares = [number(each) for each in plain] if isinstance(plain, list) else []
    known = tuple(share for share in shares if share is not None)
    return known if len(known) == len(shares) == epochs + 1 else ()


def _not_negative(value: Any) -> float | None:
    found = number(value)
    return found if found is None or found >= 0 else None
