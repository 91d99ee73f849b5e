"""What a run is asked to do: every setting, its default and its rule.

Pure values: nothing here looks at the data set, the disk or TensorFlow (`nash_tf.data.check` and `nash_tf.output` do).
"""

import importlib.util
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple

from nash_tf import methods
from nash_tf.halving import Rung

AUGMENTATIONS = ("normalise", "flip", "shift", "cutout")
DEFAULT_AUGMENTATIONS = ("normalise", "flip", "shift")  # less flip, where a mirrored image is of another class
PRECISIONS = ("float32", "mixed_bfloat16")
MAX_CHANNELS = 600  # of one layer; the authors' limit
LARGEST = 10**9  # no count here is meant to be larger: a ceiling keeps a slip of the keyboard out of the arithmetic

RAISABLE = ("steps", "max_hours", "max_cpu_hours", "max_params")  # limits: a resumed run may be given more of them
PLACE = ("output_dir", "workers", "isolate")  # where and by whom a run is done, not what it is


class ConfigError(ValueError):
    """A setting that cannot be run; the message is one line, `--flag=value: rule`."""


def refusal(flag: str, value: object, rule: str) -> ConfigError:
    """The error for a setting, written as on the command line; line breaks in `value` are escaped."""
    text = "" if value is None else ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
    return ConfigError(f"--{flag}={text if text.isprintable() else ascii(text)}: {rule}")


class _Rule(NamedTuple):
    text: str
    holds: Callable[[Any], bool]


def _whole(low: int, high: int = LARGEST) -> _Rule:
    text = f"must be a whole number from {low} to {high}"
    return _Rule(text, lambda value: type(value) is int and low <= value <= high)


def _number(text: str, inside: Callable[[float], bool]) -> _Rule:
    # `type(...) in`, not isinstance: True is an int.
    return _Rule(
        f"must be a finite number {text}",
        lambda value: type(value) in (int, float) and abs(value) <= LARGEST and inside(value),
    )


def _one_of(names: tuple[str, ...]) -> _Rule:
    return _Rule(f"must be one of {', '.join(names)}", lambda value: isinstance(value, str) and value in names)


def _text(what: str) -> _Rule:
    return _Rule(f"must be {what}", lambda value: isinstance(value, str) and value != "")


def _optional(rule: _Rule) -> _Rule:
    return _Rule(f"{rule.text}, or not be given", lambda value: value is None or rule.holds(value))


def _tuple_of(rule: _Rule, low: int, high: int, text: str) -> _Rule:
    return _Rule(
        text, lambda value: isinstance(value, tuple) and low <= len(value) <= high and all(map(rule.holds, value))
    )


_RULES: dict[str, _Rule] = {
    "method": _one_of(tuple(methods.registry)),
    "dataset": _text("the name of a data set or a path"),
    "train_limit": _optional(_whole(1)),
    "valid_fraction": _number("above 0 and at most 0.5", lambda value: 0 < value <= 0.5),
    "steps": _whole(0),
    "children": _whole(2),
    "mutations": _whole(1),
    "epochs_per_step": _whole(1),
    "vanilla_epochs": _whole(1),
    "final_epochs": _whole(0),
    "widths": _tuple_of(
        _whole(1, MAX_CHANNELS), 1, 6, f"must be 1 to 6 whole numbers from 1 to {MAX_CHANNELS}, separated by commas"
    ),
    "batch_size": _whole(1),
    "max_params": _whole(1),
    "max_hours": _optional(_number("above 0", lambda value: value > 0)),
    "max_cpu_hours": _optional(_number("above 0", lambda value: value > 0)),
    "seed": _whole(0, 2**32 - 1),
    "output_dir": _optional(_text("the path of a directory")),
    "precision": _one_of(PRECISIONS),
    "augment": _optional(
        _tuple_of(
            _one_of(AUGMENTATIONS), 0, len(AUGMENTATIONS), f"must be all, none, or some of {','.join(AUGMENTATIONS)}"
        )
    ),
    "mixup": _number("of at least 0", lambda value: value >= 0),
    "workers": _whole(1, 1024),
    "threads": _optional(_whole(1, 1024)),
    "isolate": _Rule("must be true or false", lambda value: isinstance(value, bool)),
    "learning_rate": _number("above 0", lambda value: value > 0),
    "final_learning_rate": _number("above 0", lambda value: value > 0),
    "momentum": _number("of at least 0 and below 1", lambda value: 0 <= value < 1),
    "weight_decay": _number("of at least 0 and below 1", lambda value: 0 <= value < 1),
    "tensorboard": _Rule("must be true or false", lambda value: isinstance(value, bool)),
}


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """A run, complete and checked. The defaults are the quick run on the bundled digits, minutes on two CPU cores.

    Attributes:
        method: a name in `methods.registry`.
        dataset: name of a data set, or a path.
        train_limit: training images used, validation included; None for all.
        valid_fraction: share of the training images held out for validation.
        steps: evolutionary steps at most; 0 trains the first network only.
        children: children of a step, the unmodified parent among them.
        mutations: morphisms that make a child.
        epochs_per_step: epochs of a step, all children and rungs together.
        vanilla_epochs: epochs of the first network.
        final_epochs: epochs of the winner's training on all training images; 0 for none.
        widths: channels of the first network's convolutions.
        batch_size: images in a batch.
        max_params: weights of a network at most.
        max_hours: hours of wall-clock time, after which the search ends; None for no limit.
        max_cpu_hours: the same of CPU time, user and system, spent on trainings; final training not counted.
        seed: all random draws follow from it.
        output_dir: directory of the run; by default `runs/<data set>-<method>-seed<seed>`.
        precision: "float32" or "mixed_bfloat16".
        augment: some of `AUGMENTATIONS`, kept in that order; None for the default (see `augmentations`).
        mixup: alpha of mixup's beta distribution; 0 for no mixup.
        workers: processes of this machine that train children side by side.
        threads: cores that each training uses; None for this machine's, shared evenly among the workers. Rounding depends
            on it, so that a run keeps the number with which it began.
        isolate: whether each training has a process of its own, so that one that is too large for memory fails alone.
        learning_rate: initial rate of the search's annealings.
        final_learning_rate: initial rate of the final training.
        momentum: of SGD.
        weight_decay: decoupled from the loss, a step's factor being rate * decay.
        tensorboard: whether logs for TensorBoard are written.

    Raises:
        ConfigError: a value breaks its rule, or the rungs do not add up.
    """

    method: str
    dataset: str = "digits"
    train_limit: int | None = None
    valid_fraction: float = 0.1
    steps: int = 2
    children: int = 8
    mutations: int = 5
    epochs_per_step: int = 64
    vanilla_epochs: int = 8
    final_epochs: int = 20
    widths: tuple[int, ...] = (16, 32, 64)
    batch_size: int = 64
    max_params: int = 1_000_000
    max_hours: float | None = None
    max_cpu_hours: float | None = None
    seed: int = 0
    output_dir: str | None = None
    precision: str = "float32"
    augment: tuple[str, ...] | None = None
    mixup: float = 0.0
    workers: int = 1
    threads: int | None = None
    isolate: bool = False
    learning_rate: float = 0.01
    final_learning_rate: float = 0.025
    momentum: float = 0.9
    weight_decay: float = 5e-4
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if self.tensorboard is True and importlib.util.find_spec("tensorboard") is None:
            raise refusal("tensorboard", True, "needs a package that is not installed; run `pip install tensorboard`")
        for name in ("widths", "augment"):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, rule in _RULES.items():
            if not rule.holds(getattr(self, name)):
                raise refusal(name, getattr(self, name), rule.text)
        if self.augment is not None:
            object.__setattr__(self, "augment", tuple(name for name in AUGMENTATIONS if name in self.augment))
        if self.output_dir is None:
            object.__setattr__(self, "output_dir", self._default_output_dir())
        self._check_rungs()

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The rungs of a step: how many children are trained for how many epochs more."""
        return methods.registry[self.method].rungs(self.children, self.epochs_per_step)

    def with_threads(self, begun_with: int | None) -> "SearchConfig":
        """The same with a number of threads: the one given, the one that the run began with, or this machine's share."""
        share = max(1, len(os.sched_getaffinity(0)) // self.workers)
        return replace(self, threads=self.threads or begun_with or share)

    def augmentations(self, flips: bool) -> tuple[str, ...]:
        """The augmentations for a data set, of which `flips` says whether a mirrored image keeps its class.

        Raises:
            ConfigError: flip was asked for and the data set does not allow it.
        """
        wanted = DEFAULT_AUGMENTATIONS if self.augment is None else self.augment
        without = tuple(name for name in wanted if flips or name != "flip")
        if self.augment is not None and without != wanted:
            instead = f"--augment={','.join(without) or 'none'}"
            raise refusal("augment", wanted, f"mirrored images of {self.dataset} are of another class; use {instead}")
        return without

    def to_json(self) -> dict[str, Any]:
        """The settings as values that JSON can hold."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "SearchConfig":
        """The configuration that `to_json` gave.

        Raises:
            ConfigError: a setting is unknown, missing without a default, or breaks its rule.
        """
        for name, value in values.items():
            if name not in _RULES:
                raise refusal(name, value, "is no setting of this version of nash_tf")
        return cls(**{"method": None, **values})

    def _default_output_dir(self) -> str:
        name = os.path.basename(os.path.abspath(self.dataset)).removesuffix(".npz") or "data"
        return os.path.join("runs", f"{name}-{self.method}-seed{self.seed}")

    def _check_rungs(self) -> None:
        try:
            _ = self.rungs
        except ValueError as error:
            flag = "children" if str(error).startswith("children") else "epochs_per_step"
            raise refusal(flag, getattr(self, flag), str(error).removeprefix(f"{flag} ")) from None


def differences(old: SearchConfig, new: SearchConfig) -> dict[str, tuple[Any, Any]]:
    """The settings that differ, by name, each as (old value, new value)."""
    pairs = {field.name: (getattr(old, field.name), getattr(new, field.name)) for field in fields(SearchConfig)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def check_resume(saved: SearchConfig, wanted: SearchConfig) -> None:
    """Checks that a run begun as `saved` may go on as `wanted`: the same but for its place and raised limits.

    Raises:
        ConfigError: another setting differs, or a limit is lowered; the message names each with both values.
    """
    changed = {
        name: pair
        for name, pair in differences(saved, wanted).items()
        if name not in PLACE and not raised(name, *pair) and not (name == "threads" and pair[1] is None)
    }
    if changed:
        listed = "; ".join(f"{name} was {old!r}, is {new!r}" for name, (old, new) in changed.items())
        rule = f"only {', '.join(RAISABLE)} may change, and only be raised"
        raise refusal("resume", True, f"the run was begun with other settings ({listed}); {rule}")


def raised(name: str, old: float | None, new: float | None) -> bool:
    """Whether a setting is a limit that a resumed run may be given more of, and has been; None is no limit."""
    return name in RAISABLE and (math.inf if new is None else new) > (math.inf if old is None else old)
