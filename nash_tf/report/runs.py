"""A run's directory as plain values. Whatever is missing or broken becomes a line in `problems`, never an exception."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nash_tf import output
from nash_tf.architecture import Architecture
from nash_tf.lock import LOCK

Place = tuple[int, int, int]  # step, rung, child

_LARGEST_INDEX = 10**6
_LARGEST = 1e15


@dataclass(frozen=True)
class Record:
    """One training: a child in a rung. Numbers that are missing or not finite are None.

    Attributes:
        operators: names of the morphisms that made the child, in order.
        history: metric -> its value after each epoch of this rung.
        certificate: numbers measured at the child's birth.
    """

    step: int
    rung: int
    child: int
    parent: Place | None = None
    operators: tuple[str, ...] = ()
    epochs: int = 0
    status: str = "completed"
    params: float | None = None
    accuracy: float | None = None
    history: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    certificate: Mapping[str, float] = field(default_factory=dict)
    cpu_seconds: float | None = None
    wall_seconds: float | None = None

    @property
    def place(self) -> Place:
        return (self.step, self.rung, self.child)

    @property
    def failed(self) -> bool:
        return self.status != "completed" or self.accuracy is None


@dataclass(frozen=True)
class Run:
    """What is known of one run.

    Attributes:
        config: the settings; empty where config.json cannot be read.
        versions: package -> version.
        records: of the lineage, by step, rung and child.
        results: empty until the run is finished.
        architecture: the winner's.
        owner: who is, or was, at work on it, as its lock says: "process N on HOST", "" for nobody, None where there is no lock.
        problems: what is missing or broken, a sentence each.
    """

    directory: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    records: tuple[Record, ...] = ()
    results: Mapping[str, Any] = field(default_factory=dict)
    architecture: Architecture | None = None
    owner: str | None = None
    problems: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.directory.name or str(self.directory)

    @property
    def method(self) -> str:
        return str(self.config.get("method", self.results.get("method", "unknown method")))

    @property
    def dataset(self) -> str:
        """Its name; that of a folder or file is the same before the run is finished and after."""
        told = str(self.results.get("dataset", self.config.get("dataset", "unknown data set")))
        return Path(told).name.removesuffix(".npz") or told

    @property
    def seed(self) -> str:
        return str(self.config.get("seed", self.results.get("seed", "?")))

    @property
    def state(self) -> str:
        """finished, failed, unfinished (running or interrupted), begun (no training has ended yet), broken or empty."""
        if self.result("test_accuracy") is not None:
            return "finished"
        if self._holds(output.RESULTS):
            return "broken"
        if self.records and all(record.failed for record in self.records):
            return "failed"
        if self.records:
            return "unfinished"
        if self.config and not any(map(self._holds, (output.LINEAGE, output.RESULTS))):
            return "begun"
        return "broken" if is_run(self.directory) or self._holds(output.LINEAGE) else "empty"

    def _holds(self, name: str) -> bool:
        path = self.directory / name
        return path.exists() and path.stat().st_size > 0

    @property
    def winner(self) -> Place | None:
        """Step, rung and child of the network that was handed over, as results.json names them."""
        return place_of(self.results.get("winner"))

    def result(self, name: str) -> float | None:
        """A number in results.json."""
        return number(self.results.get(name))

    def setting(self, name: str) -> float | None:
        """A number in config.json."""
        return number(self.config.get(name))


def number(value: Any) -> float | None:
    """A finite number of a size that a run can have, or None."""
    return value if type(value) in (int, float) and abs(value) <= _LARGEST else None


def place_of(value: Any) -> Place | None:
    """A step, rung and child, or None where the value is something else."""
    if isinstance(value, list) and len(value) == 3 and all(type(index) is int for index in value):
        return (value[0], value[1], value[2])
    return None


def is_run(directory: Path) -> bool:
    """Whether a directory holds a run's files."""
    return any((directory / name).is_file() for name in (output.CONFIG, output.LINEAGE, output.RESULTS))


def read(directory: str | os.PathLike) -> Run:
    """Everything that can be read of a run; never raises for what the files hold."""
    directory = Path(directory)
    problems: list[str] = []
    config = _object(directory / output.CONFIG, problems)
    versions = config.pop("versions", {})
    results = _object(directory / output.RESULTS, problems, needed=False)
    if results and number(results.get("test_accuracy")) is None:
        problems.append(f"{output.RESULTS} holds no test_accuracy.")
    records = _lineage(directory / output.LINEAGE, problems)
    winner = place_of(results.get("winner"))
    if results and winner not in {record.place for record in records}:
        named = f"a winner, {winner}, that is not in {output.LINEAGE}" if winner else "no winner"
        problems.append(f"{output.RESULTS} names {named}.")
    for record in records:
        if record.status != "completed":
            problems.append(
                f"Training of child {record.child} in step {record.step}, rung {record.rung}: {record.status}."
            )
        elif record.accuracy is None:
            problems.append(f"Child {record.child} in step {record.step}, rung {record.rung} has no finite accuracy.")
    path = directory / output.BEST / "architecture.json"
    architecture = None
    if path.exists():
        architecture = _try(lambda: Architecture.from_json(path.read_text(encoding="utf-8")), path.name, problems)
    elif results:
        problems.append(f"{output.BEST}/{path.name} is missing.")
    owner = None
    if (directory / LOCK).exists():
        owner = _try(lambda: (directory / LOCK).read_text(encoding="utf-8").strip(), LOCK, problems)
    return Run(
        directory,
        config=config,
        versions=versions if isinstance(versions, dict) else {},
        records=tuple(sorted(records, key=lambda record: record.place)),
        results=results,
        architecture=architecture,
        owner=owner,
        problems=tuple(problems),
    )


def _try(load: Callable[[], Any], name: str, problems: list[str]) -> Any:
    """What `load` gives, or None and a line in `problems`. Files may hold anything: no kind of error is a fault here."""
    try:
        return load()
    except Exception as error:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        problems.append(f"{name} cannot be read ({reason}).")
        return None


def _object(path: Path, problems: list[str], needed: bool = True) -> dict[str, Any]:
    if not path.exists():
        if needed:
            problems.append(f"{path.name} is missing.")
        return {}
    values = _try(lambda: json.loads(path.read_bytes()), path.name, problems)
    if values is not None and not isinstance(values, dict):
        problems.append(f"{path.name} holds no JSON object.")
    return values if isinstance(values, dict) else {}


def _lineage(path: Path, problems: list[str]) -> list[Record]:
    if not path.exists():
        problems.append(f"{path.name} is missing: no training has ended yet.")
        return []
    data = _try(path.read_bytes, path.name, problems) or b""
    records: dict[Place, Record] = {}
    lines = data.split(b"\n")
    for position, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = _record(json.loads(line))
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


def _record(plain: Any) -> Record:
    step, rung, child = place = tuple(plain[name] for name in ("step", "rung", "child"))
    if not all(type(index) is int and 0 <= index < _LARGEST_INDEX for index in place):
        raise ValueError(f"step, rung and child must be indices, received {place}")
    parent = plain.get("parent")
    history = plain.get("history")
    certificate = plain.get("certificate")
    return Record(
        step,
        rung,
        child,
        parent=place_of(parent),
        operators=tuple(str(move[0]) if isinstance(move, list) else str(move) for move in plain.get("morphisms") or ()),
        epochs=int(number(plain.get("epochs")) or 0),
        status=str(plain.get("status", "completed")),
        params=number(plain.get("params")),
        accuracy=number(plain.get("val_accuracy")),
        history={
            str(name): tuple(number(value) for value in series)
            for name, series in (history.items() if isinstance(history, dict) else ())
            if isinstance(series, list)
        },
        certificate={
            str(name): value
            for name, value in (certificate.items() if isinstance(certificate, dict) else ())
            if number(value) is not None
        },
        cpu_seconds=number(plain.get("cpu_seconds")),
        wall_seconds=number(plain.get("wall_seconds")),
    )
