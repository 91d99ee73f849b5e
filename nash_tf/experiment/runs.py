"""The runs of an experiment: their order, their directories, and what each is told."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nash_tf.config import SearchConfig
from nash_tf.experiment import followers
from nash_tf.files import run_directory
from nash_tf.files.atomic import open_regular
from nash_tf.records import loading
from nash_tf.settings import ConfigError, refusal
from nash_tf.settings.baselines import FIXED, HAND
from nash_tf.strategy import methods

# Unless the arguments say more: runs are compared at equal cost, and few of their models used.
_DEFAULTS = ("--export=keras", "--nocontrol")
_END_OF_LOG = 4096  # bytes that hold the last line


class Run(NamedTuple):
    """One run of an experiment."""

    method: str
    seed: int
    directory: Path

    @property
    def finished(self) -> bool:
        """Whether its results are there, and it has not gone on since."""
        return loading.is_finished(self.directory)

    @property
    def begun(self) -> bool:
        """Whether its settings are there."""
        return (self.directory / run_directory.CONFIG).exists()

    @property
    def log(self) -> Path:
        """The file with what it prints."""
        return self.directory.with_name(f"{self.directory.name}.log")

    @property
    def is_search(self) -> bool:
        """Whether its method is a search, and not a baseline."""
        return self.method in followers.SEARCHES

    def command(self, arguments: Sequence[str], first_network: Sequence[str] = ()) -> list[str]:
        """What runs it, or goes on with it; `first_network` are arguments of its own about that."""
        own = [
            f"--method={self.method}",
            f"--seed={self.seed}",
            f"--output_dir={self.directory}",
            *first_network,
        ]
        own.append("--resume" if self.begun else "--noresume")
        return [*_DEFAULTS, *arguments, *own]


def plan(directory: Path, names: Sequence[str], seeds: Sequence[int]) -> list[Run]:
    """All runs, seed by seed, so that what is there of an interrupted experiment compares all methods."""
    return [Run(name, seed, directory / f"{name}-seed{seed}") for seed in seeds for name in names]


def lying_in(directory: Path) -> list[Run]:
    """The runs of experiments whose settings are in a directory, of whichever methods, by method and seed."""
    found = []
    for config in directory.glob(f"*-seed*/{run_directory.CONFIG}"):
        method, _, seed = config.parent.name.rpartition("-seed")
        if method in methods.registry and seed.isdecimal():
            found.append(Run(method, int(seed), config.parent))
    return sorted(found)


def common_layout(planned: Sequence[Run], directory: Path, given: str | None) -> tuple[str, list[str]]:
    """The layout from which all methods of an experiment begin, and what there is to say of it.

    Args:
        planned: its runs.
        directory: where they lie.
        given: what is asked for; None for that of the runs there, or where there are none the one that a method with foresight wants.

    Raises:
        ConfigError: nothing is asked for, and the runs there have several.
    """
    own = [methods.registry[run.method] for run in planned if run.method != HAND]
    usual = max(own, key=lambda method: method.has_foresight, default=methods.registry[FIXED]).layout(None)
    there = _layouts(planned) or _layouts(lying_in(directory))
    lists = "; ".join(f"{layout}: {', '.join(names)}" for layout, names in there.items())
    if given is None and len(there) > 1:
        raise refusal(
            "layout", given, f"runs in {directory} have several first networks ({lists}); give one of these layouts"
        )
    layout = given or next(iter(there), usual)
    if there.keys() - {layout}:
        return layout, [
            f"The first network is {layout}, and not of all runs in {directory} ({lists}): compare with care."
        ]
    if layout == usual or given:
        return layout, []
    return layout, [
        f"The first network is {layout}, as in the runs of {directory}; --layout={usual} would have it otherwise."
    ]


def _layouts(runs: Sequence[Run]) -> dict[str, list[str]]:
    """The layouts from which runs that are there began, each with their names; but for those that have a first network of their own."""
    found = dict[str, list[str]]()
    for run in (run for run in runs if run.begun and run.method != HAND):
        with contextlib.suppress(ConfigError):  # whether it can go on is checked elsewhere
            config = run_directory.read_config(run.directory)
            if not config.start:
                found.setdefault(config.first_layout, []).append(run.directory.name)
    return found


def alike_in(runs: Sequence[Run], refused: Run) -> list[Run]:
    """Those of some runs that would be refused like one that is: others of its method that begin, unless their networks follow from winners."""
    return [
        run for run in runs if run.method == refused.method and not run.begun and run.method not in followers.REGISTRY
    ]


def last_words(run: Run) -> str:
    """The last line that a run has printed, which says why it is refused."""
    try:
        with open_regular(run.log) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _END_OF_LOG))
            lines = file.read(_END_OF_LOG).decode("utf-8", "replace").split("\n")
    except OSError:
        lines = []
    return next((line.strip() for line in reversed(lines) if line.strip()), f"see {run.log}")


def check_followed(chosen: Sequence[Run], planned: Sequence[Run]) -> None:
    """Checks that there are searches, planned or finished, for those chosen runs whose first network follows from winners.

    Raises:
        ConfigError: there are none of a seed.
    """
    if any(run.is_search for run in planned):  # of each seed
        return
    for run in chosen:
        searches = plan(run.directory.parent, followers.SEARCHES, [run.seed])
        if run.method in followers.REGISTRY and not run.begun and not any(search.finished for search in searches):
            needs = (
                f"{run.method} needs a winner of seed {run.seed}; name a search too, one of {', '.join(followers.SEARCHES)}, "
                f"or give the --output_dir of an experiment that has finished one"
            )
            raise refusal("methods", tuple(dict.fromkeys(each.method for each in planned)), needs)


def check_begun(run: Run, config: SearchConfig) -> None:
    """Checks that a run which is there may go on with some settings, or was finished with them.

    Raises:
        ConfigError: as of `run_directory.check`; or its data set has another name, or lies in another place. A single run knows
            its images again; those of finished runs, which are compared with others, nobody looks at.
    """
    run_directory.check(config, resume=True)
    begun = run_directory.read_config(run.directory).dataset
    if begun != config.dataset and os.path.realpath(begun) != os.path.realpath(config.dataset):
        raise refusal("dataset", config.dataset, f"the run was begun with {begun}; give that, or another --output_dir")
