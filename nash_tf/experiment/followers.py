"""Baselines of an experiment whose first network follows from the winners of the searches of their seed.

`wide` has the first network with more channels, as many parameters as the median winner; `scratch` has the winner's architecture,
its weights drawn anew.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from nash_tf.architecture import first_networks
from nash_tf.architecture.constants import MAX_CHANNELS
from nash_tf.config import SearchConfig
from nash_tf.files import run_directory
from nash_tf.records import loading
from nash_tf.records.runs import Run
from nash_tf.settings.baselines import SCRATCH, WIDE
from nash_tf.strategy import methods

Finished = Sequence[Run]  # of the searches
# Whose winners are followed, the preferred first: of a front one is the best, but none was chosen for its size.
SEARCHES = tuple(
    method.name
    for method in sorted(methods.registry.values(), key=lambda method: method.has_front)
    if method.grows and method not in methods.BASELINES
)


class Hindrance(Exception):
    """Why a baseline cannot have its first network; one line."""


def arguments(method: str, searches: Sequence[Path], config: SearchConfig, begun: SearchConfig | None) -> list[str]:
    """What tells a run of its first network; nothing where that does not follow from winners.

    Args:
        method: of the run.
        searches: directories of the searches of its seed that are planned or there, in the order of `SEARCHES`.
        config: the settings of the run's method.
        begun: the settings of the run itself, where it goes on.

    Raises:
        Hindrance: a search that it follows is not finished, so that it would follow others than in other seeds; or the network would be
            too wide, or the winner's is not known.
    """
    if method not in REGISTRY:
        return []
    follower = REGISTRY[method]
    runs = [] if begun else [loading.read(search) for search in searches[: follower.most]]
    lacking = [run.directory.name for run in runs if not run.results.get("params")]
    if lacking or not (runs or begun):
        searching = ", ".join(lacking) or "there is none"
        raise Hindrance(
            f"needs the searches of its seed to be finished, whose winners tell its first network: {searching}"
        )
    return follower.arguments(runs, config, begun)


def _wide(finished: Finished, config: SearchConfig, begun: SearchConfig | None) -> list[str]:
    widths = begun.widths if begun else _widths(finished, config)
    if max(widths) > MAX_CHANNELS:
        raise Hindrance(
            f"needs {max(widths):,} channels in a layer to be as large as the winners; {MAX_CHANNELS} are the most"
        )
    return [f"--widths={','.join(map(str, widths))}"]


def _widths(finished: Finished, config: SearchConfig) -> tuple[int, ...]:
    """The widths of the method's layout that come nearest to the parameters of the median winner, all in the same proportion."""
    run, wanted = finished[0], sorted(map(_winner_params, finished))[len(finished) // 2]
    if run.architecture is None:
        raise Hindrance(
            f"needs the network of {run.directory}, which tells the images' shape and the number of classes"
        )
    (image, *_), (answer, *_) = run.architecture.inputs, run.architecture.outputs
    height, width, channels = (size or 1 for size in run.architecture[image].shape)
    classes = run.architecture[answer].channels or 1
    make = first_networks.registry[config.first_layout].make

    def scaled(factor: float) -> tuple[int, ...]:
        return tuple(max(1, round(each * factor)) for each in config.widths)

    def params(factor: float) -> float:
        return make((height, width, channels), classes, scaled(factor), config.precision).params

    if params(1.0) == params(2.0):
        raise Hindrance(f"needs a layout whose size follows from --widths; that of {config.first_layout} does not")
    low, high = 0.0, 1.0
    while params(high) < wanted:
        low, high = high, 2 * high
    while scaled(low) != scaled(high) and high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if params(middle) < wanted else (low, middle)
    return scaled(min(low, high, key=lambda factor: abs(params(factor) - wanted)))


def _winner_params(run: Run) -> float:
    """Parameters of a search's winner; results.json has those of the network that was handed over."""
    if not run.gives_control:
        return run.results["params"]
    if (winner := run.winner_record) and winner.params:
        return winner.params
    raise Hindrance(f"needs the parameters of the winner, which the lineage of {run.directory} does not tell")


def _scratch(finished: Finished, config: SearchConfig, begun: SearchConfig | None) -> list[str]:
    if begun:
        return [f"--start={begun.start}"]
    run = finished[0]
    if run.gives_control:
        raise Hindrance(
            f"needs the winner's architecture, and {run.directory} has handed over its control; run that search with --nocontrol"
        )
    return [f"--start={run.directory / run_directory.BEST / 'architecture.json'}"]


class Follower(NamedTuple):
    """How the first network of a method follows from winners.

    Attributes:
        arguments: what tells a run of it, given the searches, the settings of its method and those of the run itself, where it goes on.
        most: searches that it follows, the preferred ones; None for all.
    """

    arguments: Callable[[Finished, SearchConfig, SearchConfig | None], list[str]]
    most: int | None = None


REGISTRY = {WIDE: Follower(_wide), SCRATCH: Follower(_scratch, most=1)}
