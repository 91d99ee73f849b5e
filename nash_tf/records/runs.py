"""A run and its trainings as typed values."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nash_tf.architecture import Architecture
from nash_tf.files import run_directory
from nash_tf.morphisms.base import Move
from nash_tf.records import regular_files
from nash_tf.scores import objectives
from nash_tf.scores.objectives import Objective
from nash_tf.strategy import long_histories, methods
from nash_tf.strategy.alternatives import Weighing
from nash_tf.strategy.methods import Method

Place = tuple[int, int, int]  # step, rung, child

_LARGEST = 1e15
_LETTERS = 200  # of a name
_SENTENCE = 1000  # letters
_LARGEST_FRONT = 100  # networks; `--front_sizes` takes 16
_FILES = (".npz", ".csv")  # suffixes of data sets that are files


@dataclass(frozen=True)
class Record:
    """One training: a child in a rung. Numbers that are missing or not finite are None.

    Attributes:
        operators: names of the morphisms that made the child, in order.
        moves: these with their sites and seeds; empty where one of them is malformed.
        digest: of its architecture.
        accuracy: on the validation images.
        objective: what children are compared by.
        measured: its value, where it is not the accuracy.
        kept_loss: on the validation images, of the weights that were kept, which averaging or a callback may have changed at the end.
        history: metric -> its value after each epoch of this rung; of a long one after every `every`th, counted back from the last.
        certificate: numbers measured at the child's birth.
        expected_gain: what its morphisms were expected to lower the loss by.
        considered: what they were chosen among; empty where they were drawn, or where it is malformed.
        rate: shares of the highest learning rate where each of these epochs begins, and at the end; empty where they are not known.
        message: why it failed; "" where it did not, or where that is not known.
        diverged: whether its numbers were no longer finite, as far as that is known.
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
    objective: Objective = objectives.ACCURACY
    measured: float | None = None
    kept_loss: float | None = None
    history: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    every: int = 1
    certificate: Mapping[str, float] = field(default_factory=dict)
    cpu_seconds: float | None = None
    wall_seconds: float | None = None
    expected_gain: float | None = None
    considered: tuple[Weighing, ...] = ()
    rate: tuple[float, ...] = ()
    moves: tuple[Move, ...] = ()
    digest: str | None = None
    message: str = ""
    diverged: bool = False

    @property
    def place(self) -> Place:
        return (self.step, self.rung, self.child)

    @property
    def value(self) -> float | None:
        """What it is compared by."""
        return self.accuracy if self.objective is objectives.ACCURACY else self.measured

    @property
    def score(self) -> float | None:
        """The same, larger is better."""
        return None if self.value is None else self.objective.score(self.value)

    @property
    def loss(self) -> float | None:
        """On the validation images: that of the weights that were kept, or else the last that is known."""
        if self.kept_loss is not None:
            return self.kept_loss
        return next((loss for loss in reversed(self.history.get("val_loss", ())) if loss is not None), None)

    def course(self, metric: str) -> list[tuple[int, float | None]]:
        """(epoch of this rung, value) of a metric."""
        values = self.history.get(metric, ())
        return list(zip(long_histories.epochs_of(values, self.every, self.epochs), values, strict=True))

    @property
    def failed(self) -> bool:
        return self.status != "completed" or self.score is None

    @property
    def failure(self) -> str:
        """How it failed, in a sentence."""
        where = f"in step {self.step}, rung {self.rung}"
        if self.status == "completed":
            return f"Child {self.child} {where} has no finite {self.objective.measure}."
        why = f": {self.message.rstrip('.')}" if self.message else ""
        return f"Training of child {self.child} {where}: {self.status}{why}."


@dataclass(frozen=True)
class Run:
    """What is known of one run.

    Attributes:
        config: the settings; empty where config.json cannot be read.
        versions: package -> version, by which the run was begun.
        later_versions: others by which it went on.
        records: of the lineage, by step, rung and child.
        results: empty until the run is finished, and where it has gone on since.
        goes_on: whether it was finished once, and has gone on since, or was to, with other settings: what its results.json says is of before.
        architecture: the winner's.
        networks: architectures of the front's networks by their directories, as results.json names them.
        owner: who is, or was, at work on it, as its lock says: "process N on HOST", "" for nobody, None where there is no lock.
        failure: why it failed when it was at work last; "" where it did not, or of an earlier version.
        problems: what of its files is missing or broken, a sentence each.
        pictures: file, as results.json names it -> PNG, of the worst mistakes; empty where they are not asked for.
        label: its name among others; "" for that of its directory.
    """

    directory: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    later_versions: tuple[Mapping[str, Any], ...] = ()
    records: tuple[Record, ...] = ()
    results: Mapping[str, Any] = field(default_factory=dict)
    goes_on: bool = False
    architecture: Architecture | None = None
    networks: Mapping[str, Architecture] = field(default_factory=dict)
    owner: str | None = None
    failure: str = ""
    problems: tuple[str, ...] = ()
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    label: str = ""

    @property
    def name(self) -> str:
        return self.label or self.directory.name or str(self.directory)

    @property
    def method(self) -> str:
        return name_of(self.config.get("method", self.results.get("method", "unknown method")))

    @property
    def known_method(self) -> Method | None:
        """The method, where this version has one of that name."""
        return methods.registry.get(self.method)

    @property
    def dataset(self) -> str:
        """Its name; that of a folder or file is the same before the run is finished and after."""
        name = name_of(self.results.get("dataset", self.config.get("dataset", "unknown data set")))
        path = Path(name)
        return (path.stem if path.suffix.lower() in _FILES else path.name) or name

    @property
    def seed(self) -> str:
        return name_of(self.config.get("seed", self.results.get("seed", "?")))

    @property
    def objective(self) -> Objective:
        """What children are compared by."""
        return objective_of(self.config)

    @property
    def state(self) -> str:
        """finished, failed, unfinished (running or interrupted), begun (no training has ended yet), broken or empty."""
        if self.result("test_accuracy") is not None:
            return "finished"
        if self._holds(run_directory.RESULTS) and not self.goes_on:
            return "broken"
        if self.failure or (self.records and all(record.failed for record in self.records)):
            return "failed"
        if self.records:
            return "unfinished"
        if self.config and not any(map(self._holds, (run_directory.LINEAGE, run_directory.RESULTS))):
            return "begun"
        return "broken" if is_run(self.directory) else "empty"

    def _holds(self, name: str) -> bool:
        return regular_files.holds(self.directory / name)

    @property
    def failures(self) -> list[str]:
        """The trainings that failed, a sentence each."""
        return [record.failure for record in self.records if record.failed]

    @property
    def winner(self) -> Place | None:
        """Step, rung and child of the best network of the search, as results.json names them; the control may be handed over in its place."""
        return place_of(self.results.get("winner"))

    @property
    def winner_record(self) -> Record | None:
        """The record of that network's training; None where the lineage has none."""
        return next((record for record in self.records if record.place == self.winner), None)

    @property
    def gives_control(self) -> bool:
        """Whether it hands over its control, the first network trained on alone, and not the search's winner."""
        return self.results.get("handed_over") == "control"

    @property
    def control(self) -> Mapping[str, Any]:
        """What results.json says of the control; empty where there is none."""
        return object_of(self.results.get("control"))

    @property
    def front(self) -> list[Mapping[str, Any]]:
        """What results.json says of each network of the front."""
        return objects_of(self.results.get("front"))[:_LARGEST_FRONT]

    def result(self, name: str) -> float | None:
        """A number in results.json."""
        return number(self.results.get(name))

    def setting(self, name: str) -> float | None:
        """A number in config.json."""
        return number(self.config.get(name))


def named_apart(runs: Sequence[Run]) -> list[Run]:
    """The same runs, those whose directories have one name labelled by the shortest end of their paths that no other has."""
    labels, depth = {run.directory: run.name for run in runs}, 1
    while alike := {name for name, times in Counter(labels.values()).items() if times > 1}:
        depth += 1
        longer = {each: "/".join(each.absolute().parts[-depth:]) for each, label in labels.items() if label in alike}
        if longer.items() <= labels.items():
            break  # these are the whole paths
        labels |= longer
    return [replace(run, label=labels[run.directory]) for run in runs]


def objective_of(config: Mapping[str, Any]) -> Objective:
    """What children are compared by; runs of earlier versions knew accuracy only."""
    name = config.get("objective")
    return objectives.REGISTRY.get(name, objectives.ACCURACY) if isinstance(name, str) else objectives.ACCURACY


def number(value: Any) -> float | None:
    """A finite number of a size that a run can have, or None."""
    return value if type(value) in (int, float) and abs(value) <= _LARGEST else None


def name_of(value: Any) -> str:
    """A value as a name, cut where it is too long for one."""
    text = str(value)
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"


def sentence_of(value: Any) -> str:
    """A value as a sentence on one line, cut where it is too long for one; "" where it is no text."""
    return " ".join(value.split())[:_SENTENCE] if isinstance(value, str) else ""


def sentences_of(value: Any) -> list[str]:
    """The sentences of a list of them; none where it is something else."""
    return [sentence for each in value if (sentence := sentence_of(each))] if isinstance(value, list) else []


def object_of(value: Any) -> Mapping[str, Any]:
    """A JSON object; an empty one where the value is something else."""
    return value if isinstance(value, dict) else {}


def objects_of(value: Any) -> list[Mapping[str, Any]]:
    """The JSON objects in a list; none where it is something else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def place_of(value: Any) -> Place | None:
    """A step, rung and child, or None where the value is something else."""
    if isinstance(value, list) and len(value) == 3 and all(type(index) is int for index in value):
        return (value[0], value[1], value[2])
    return None


def is_run(directory: Path) -> bool:
    """Whether a directory has a run's files, readable or not."""
    return any(
        os.path.lexists(directory / name)
        for name in (run_directory.CONFIG, run_directory.LINEAGE, run_directory.RESULTS)
    )
