"""What a run is asked to do: every setting, its default, its rule and its help text.

Pure values: nothing here looks at the data set, the disk or TensorFlow (`nash_tf.data.check` and `nash_tf.files.run_directory` do).
"""

import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from nash_tf import export_formats, settings
from nash_tf.architecture import first_networks
from nash_tf.architecture.constants import MAX_CHANNELS
from nash_tf.scores import objectives
from nash_tf.settings import (
    BUDGET,
    LARGEST,
    LIMITS,
    ConfigError,
    check_resume,
    differences,
    limit,
    one_of,
    optional,
    path,
    refusal,
    setting,
    some_of,
    switch,
    tuple_of,
    whole,
)
from nash_tf.settings.baselines import HAND, WIDE
from nash_tf.settings.budget import BudgetSettings
from nash_tf.settings.costs import CostSettings
from nash_tf.settings.data import DataSettings
from nash_tf.settings.engine import EngineSettings
from nash_tf.settings.front import FrontSettings
from nash_tf.settings.growth import GrowthSettings
from nash_tf.settings.images import ImageSettings, parse_size
from nash_tf.settings.start import StartSettings
from nash_tf.settings.training import AUGMENTATIONS, DEFAULT_AUGMENTATIONS, TrainingSettings
from nash_tf.strategy import budget_names, halving, methods
from nash_tf.strategy.course import LONGEST_FIRST
from nash_tf.strategy.halving import Rung

__all__ = ["AUGMENTATIONS", "LARGEST", "ConfigError", "SearchConfig", "check_resume", "differences", "refusal"]

FINAL_EPOCHS = 20
_SEARCH, _RUN = "Search", settings.RUN


def _those(wanted: Callable[[methods.Method], bool]) -> str:
    """The names of some methods, for the help text."""
    return ", ".join(name for name, method in methods.registry.items() if wanted(method))


@dataclass(frozen=True, kw_only=True)
class SearchConfig(
    DataSettings,
    TrainingSettings,
    StartSettings,
    BudgetSettings,
    GrowthSettings,
    EngineSettings,
    FrontSettings,
    CostSettings,
):
    """A run, complete and checked. The defaults are the quick run on the bundled digits, minutes on two CPU cores.

    What a setting means, its rule and its default stand with its field; `python -m nash_tf.main --help` prints them.

    Raises:
        ConfigError: a value breaks its rule, or the rungs do not add up.
    """

    GROUPS = (
        settings.data.GROUP,
        BUDGET,
        LIMITS,
        _RUN,
        settings.engine.GROUP,
        _SEARCH,
        settings.training.GROUP,
        settings.front.GROUP,
    )  # in the help text: what, how long and where come first

    method: str = setting(
        one_of(tuple(methods.registry)),
        f"How networks are made and chosen. {'; '.join(f'{name}: {each.summary}' for name, each in methods.registry.items())}.",
        default="shrsep",
        group=_SEARCH,
    )
    steps: int = limit(
        whole(0),
        "Maximum number of evolutionary steps; 0 trains the first network only. A method with one budget keeps it when it is resumed.",
        default=2,
    )
    children: int = setting(
        whole(2),
        "Children of a step, the unmodified parent among them; a power of two for "
        f"{_those(lambda method: method.rungs is halving.successive_halving)}, an even number for "
        f"{_those(lambda method: method.rungs is halving.two_rungs)}.",
        default=8,
        group=_SEARCH,
    )
    mutations: int = setting(
        whole(1),
        "Number of morphisms that turn the parent into a child, drawn at random; of grow and scale the most by which it grows in a step.",
        default=5,
        group=_SEARCH,
    )
    epochs_per_step: int = setting(
        whole(1), "Epochs of a step, all its children and rungs together.", default=64, group=_SEARCH
    )
    vanilla_epochs: int = setting(
        whole(1),
        f"Epochs of the first network; under one budget at most {LONGEST_FIRST:.0%} of it, one at least, but all under a limit on time alone.",
        default=8,
        group=_SEARCH,
    )
    final_epochs: int = setting(
        optional(whole(0)),
        f"Epochs of the winner's final training on training and validation images; 0 for none. Unset: {FINAL_EPOCHS}, and 0 for a "
        "method with one budget, whose last step is such a training.",
        default=None,
        group=_SEARCH,
        before=FINAL_EPOCHS,
    )
    widths: tuple[int, ...] = setting(
        tuple_of(
            whole(1, MAX_CHANNELS), 1, 6, f"must be 1 to 6 whole numbers from 1 to {MAX_CHANNELS}, separated by commas"
        ),
        "Channels of the first network's convolutions, separated by commas.",
        default=(16, 32, 64),
        group=_SEARCH,
    )
    layout: str | None = setting(
        optional(one_of(tuple(first_networks.registry))),
        "Layout of the first network: "
        f"{'; '.join(f'{name} {each.summary}' for name, each in first_networks.registry.items())}. Unset: pooled for "
        f"{_those(lambda method: method.has_foresight)}, and for all methods of an "
        "experiment with one of these, else plain; an experiment goes by the runs that are there. The method hand is always of the layout hand.",
        default=None,
        group=_SEARCH,
    )
    max_params: int = limit(
        whole(1),
        "Maximum number of parameters of a network, of frozen layers too, without moving averages; no morphism exceeds it. The first "
        "network must keep it, or the methods scale and front make it smaller until it does. The method front keeps the limit when it is resumed.",
        default=1_000_000,
    )
    seed: int = setting(whole(0, 2**32 - 1), "Seed of all random draws.", default=0, group=_SEARCH)
    output_dir: str | None = setting(
        optional(path("the path of a directory")),
        "Directory of the run, new or empty. Unset: runs/<data set>-<method>-seed<seed>.",
        default=None,
        group=_RUN,
        resumed=settings.FREE,
    )
    workers: int = setting(
        whole(1, 1024),
        "Processes that train children side by side, on this machine each on its share of the cores or its own GPU.",
        default=1,
        group=_RUN,
        resumed=settings.FREE,
    )
    threads: int | None = setting(
        optional(whole(1, 1024)),
        "Cores that each training uses. Rounding depends on it, so a resumed run keeps its number. Unset: cpus_per_training, or this "
        "machine's cores, shared evenly among the workers; all of them for a method that has one training at a time.",
        default=None,
        group=_RUN,
        resumed=settings.FIXED_IF_GIVEN,
    )
    isolate: bool = setting(
        switch(),
        "Give each training a process of its own, so that one too large for memory fails alone.",
        default=False,
        group=_RUN,
        resumed=settings.FREE,
    )
    objective: str = setting(one_of(tuple(objectives.REGISTRY)), objectives.HELP, default="accuracy", group=_SEARCH)
    export: tuple[str, ...] | None = setting(
        optional(some_of(export_formats.NAMES, low=1)),
        f"Formats of the exported model: some of {','.join(export_formats.NAMES)}; {' and '.join(export_formats.ALWAYS)} are always written. "
        "Unset: all whose packages are installed, and of networks of a front those that are always written.",
        default=None,
        group=_RUN,
        resumed=settings.FREE,
    )
    control: bool = setting(
        switch(),
        "After the search train the first network alone for as long as the search took, at most ten minutes or a quarter "
        "of the search's time, whichever is longer, but under max_hours at most a quarter of that; and hand over the better one of the "
        "two.",
        default=True,
        group=_SEARCH,
    )
    tensorboard: bool = setting(
        switch(), "Write logs for TensorBoard, which must be installed.", default=False, group=_RUN
    )

    def __post_init__(self) -> None:
        if self.tensorboard is True and importlib.util.find_spec("tensorboard") is None:
            raise refusal("tensorboard", True, "needs a package that is not installed; run `pip install tensorboard`")
        settings.check(self)
        if self.augment is not None:
            object.__setattr__(self, "augment", tuple(name for name in AUGMENTATIONS if name in self.augment))
        if self.final_epochs is None:
            is_budgeted = methods.registry[self.method].is_budgeted
            object.__setattr__(self, "final_epochs", 0 if is_budgeted else FINAL_EPOCHS)
        if self.output_dir is None:
            object.__setattr__(self, "output_dir", self._default_output_dir())
        self.check_budget()
        self._check_rungs()
        self._check_front()
        if self.method == WIDE and self.layout == HAND:
            raise refusal(
                "layout", self.layout, f"must be another for method {WIDE}, for this one has widths of its own"
            )
        self.check_start(self.method, self.precision)
        self.check_engine()
        self.check_costs()
        if self.tensorboard and self.is_on_a_cluster:
            where = "the machines of --ray_address, which an experiment with --engine=ray gives its runs"
            raise refusal("tensorboard", True, f"would write its logs on {where}; leave one out")

    @property
    def images(self) -> ImageSettings:
        """How image files are read."""
        return ImageSettings(
            size=parse_size(self.image_size) if self.image_size else None,
            fit=self.image_fit,
            memory_share=self.memory_share,
            cache_dir=self.cache_dir,
            shared=self.side_by_side > 1 or self.isolate,
        )

    @property
    def directory(self) -> Path:
        """The output directory."""
        return Path(str(self.output_dir))

    @property
    def first_layout(self) -> str:
        """Layout of the first network."""
        return methods.registry[self.method].layout(self.layout)

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The rungs of a step: how many children are trained for how many epochs more."""
        has_budget = bool(budget_names.given(vars(self)))
        return methods.registry[self.method].rungs_of(self.children, self.epochs_per_step, has_budget)

    @property
    def side_by_side(self) -> int:
        """Most trainings at a time: one a worker, or one in all where each goes on with the network of the one before."""
        return 1 if methods.registry[self.method].trains_one_at_a_time else self.workers

    def with_threads(self, begun_with: int | None) -> "SearchConfig":
        """The same with a number of threads: the one given, the one that the run began with, or a training's share of this machine."""
        share = self.cores_of_a_training or max(1, len(os.sched_getaffinity(0)) // self.side_by_side)
        return replace(self, threads=self.threads or begun_with or share)

    def with_layout(self) -> "SearchConfig":
        """The same with the layout that the first network has, whether or not it was given; with none where a start is given."""
        return replace(self, layout=None if self.start else self.first_layout)

    def augmentations(self, flips: bool | None) -> tuple[str, ...]:
        """The augmentations for a data set, of which `flips` says whether a mirrored image keeps its class. Where that is not known,
        images are mirrored only where it is asked for.

        Raises:
            ConfigError: flip was asked for and the data set does not allow it.
        """
        wanted = DEFAULT_AUGMENTATIONS if self.augment is None else self.augment
        without = tuple(name for name in wanted if name != "flip")
        if self.augment is None:
            return wanted if flips else without
        if flips is False and without != wanted:
            instead = f"--augment={','.join(without) or 'none'}"
            raise refusal("augment", wanted, f"mirrored images of {self.dataset} are of another class; use {instead}")
        return wanted

    def to_json(self) -> dict[str, Any]:
        """The settings as values that JSON can hold."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def asked_of_results(self) -> dict[str, Any]:
        """The settings that a run which goes on may be given others of, and that its results follow from, as JSON has them."""
        names, values = (*settings.raisable(type(self)), "export"), self.to_json()
        return {name: values[name] for name in names}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "SearchConfig":
        """The configuration that `to_json` gave.

        Raises:
            ConfigError: a setting is unknown, missing without a default, or breaks its rule.
        """
        known = {field.name for field in fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise refusal(name, value, "is no setting of this version of nash_tf")
        return cls(**values)

    def _default_output_dir(self) -> str:
        name = os.path.basename(os.path.abspath(self.dataset)).removesuffix(".npz").removesuffix(".csv") or "data"
        return os.path.join("runs", f"{name}-{self.method}-seed{self.seed}")

    def _check_front(self) -> None:
        """A method that lays out its budget grows in steps; one that makes a front, to each of its sizes."""
        if self.steps < methods.registry[self.method].fewest_steps:
            raise refusal("steps", 0, f"must be at least 1 for method {self.method}; --method=fixed does not grow")
        if not methods.registry[self.method].has_front:
            return
        if self.front_sizes and max(self.front_sizes) > self.max_params:
            rule = f"method {self.method} grows to them, and --max_params={self.max_params} is the limit"
            raise refusal("front_sizes", self.front_sizes, rule)

    def _check_rungs(self) -> None:
        try:
            _ = self.rungs
        except ValueError as error:
            flag = "children" if str(error).startswith("children") else "epochs_per_step"
            raise refusal(flag, getattr(self, flag), str(error).removeprefix(f"{flag} ")) from None
