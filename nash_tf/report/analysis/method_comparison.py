"""Several runs compared: results by data set and method, and methods paired by seed."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Any

from nash_tf import settings
from nash_tf.config import SearchConfig
from nash_tf.records.runs import Run
from nash_tf.report.analysis import compared, layer_shares, stats
from nash_tf.report.analysis.stats import Summary
from nash_tf.scores import classification
from nash_tf.settings.baselines import HAND, SCRATCH, WIDE
from nash_tf.strategy import methods

_ORDER = tuple(method.name for method in methods.OF_SLIDES)
# May differ between runs that are compared: what they are compared by, and what changes no result. What a prior says is the gain_factor;
# of a start and of a data set the path alone is free, and another path may be another one.
_MAY_DIFFER = {"method", "seed", "tensorboard", "prior", *settings.free(SearchConfig)} - {"start", "dataset"}
_BEFORE = {each.name: each.before for each in settings.declared(SearchConfig)}
# Methods and settings that follow from winners, see `nash_tf.experiment.followers`, or from the method.
_BY_DESIGN = {(WIDE, "widths"), (SCRATCH, "start"), (SCRATCH, "start_pixels"), (HAND, "layout"), (HAND, "widths")}

_NAMED = 3  # settings in the name of a group of runs, or as many more as tell it from the others
_OF_A_SEED = {"images", "pixels"}  # what a run records of its data; which images validate is drawn by the seed


@dataclass(frozen=True)
class MethodRow:
    """All runs of one method on one data set. Summaries are of finished runs, None where there are none."""

    method: str
    runs: int
    finished: int
    accuracy: Summary | None
    before: Summary | None
    params: Summary | None
    steps: Summary | None
    cpu_hours: Summary | None
    trained_hours: Summary | None
    layers: dict[str, Summary | None]


@dataclass(frozen=True)
class Comparison:
    """One method less another over the seeds that both have finished.

    Attributes:
        first, second: the methods.
        seeds: pairs.
        difference, interval, p, adjusted: of test accuracy; 95 % Student interval, exact sign-flip test, after Holm.
        ratio, ratio_interval, ratio_p: of parameters, first over second: geometric mean, and the same on logarithms.
    """

    first: str
    second: str
    seeds: int
    difference: float
    interval: tuple[float, float] | None
    p: float
    adjusted: float
    ratio: float | None
    ratio_interval: tuple[float, float] | None
    ratio_p: float | None


def by_dataset(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs grouped by data set: accuracies on different ones are never pooled, nor those of controls with those of winners, nor those of
    one method and seed with several settings: such runs of one data set are groups too, named by these settings."""
    groups: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.dataset):
        groups.setdefault(run.dataset, []).append(run)
    apart = {name: part for dataset, group in groups.items() for name, part in _apart(dataset, group).items()}
    return {name: compared.of_winners(part) for name, part in apart.items()}


def _apart(dataset: str, runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs of one data set by the settings in which finished runs of one method and seed differ; all together where there are none."""
    names = [*dict.fromkeys(name for those in twins(runs).values() for name in unequal_settings(those))]
    if not names:
        return {dataset: list(runs)}
    parts: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        parts.setdefault(tuple(str(_value(name, _nearest(name, run, runs))) for name in names), []).append(run)
    told = _NAMED
    while len({values[:told] for values in parts}) < len(parts):
        told += 1
    words = (", ".join(map("=".join, zip(names[:told], values, strict=False))) for values in parts)
    return dict(zip((f"{dataset}, {each}" for each in words), parts.values(), strict=True))


def _nearest(name: str, run: Run, runs: Sequence[Run]) -> Run:
    """A run in which a setting counts: this one, else another of its experiment, else any."""
    counted = (each for each in runs if each.config and _counts(name, each))
    return min(counted, key=lambda each: (each is not run, each.directory.parent != run.directory.parent))


def methods_of(runs: Sequence[Run]) -> list[str]:
    """Methods in the slides' order, others after them."""
    names = {run.method for run in runs}
    return [*(name for name in _ORDER if name in names), *sorted(names - set(_ORDER))]


def method_rows(runs: Sequence[Run]) -> list[MethodRow]:
    """The result table."""
    rows = []
    for method in methods_of(runs):
        of_method = [run for run in runs if run.method == method]
        done = [run for run in of_method if run.state == "finished"]

        def of(name: str, done=done) -> Summary | None:
            return stats.summary([value for run in done if (value := run.result(name)) is not None])

        shares = [found for run in done if run.architecture and (found := layer_shares.shares(run.architecture))]
        seconds = [value / 3600 for run in done if (value := run.result("cpu_seconds")) is not None]
        rows.append(
            MethodRow(
                method,
                len(of_method),
                len(done),
                of("test_accuracy"),
                of("winner_test_accuracy"),
                of("params"),
                of("steps"),
                stats.summary(seconds),
                stats.summary([sum(record.cpu_seconds or 0.0 for record in run.records) / 3600 for run in done]),
                {sort: stats.summary([share[sort] for share in shares]) for sort in layer_shares.COUNTED},
            )
        )
    return rows


def comparisons(runs: Sequence[Run]) -> list[Comparison]:
    """All pairs of methods, paired by seed."""
    by_method: dict[str, dict[str, Run]] = {}
    for run in runs:
        if run.state == "finished":
            by_method.setdefault(run.method, {})[run.seed] = run
    found = []
    for first, second in combinations([name for name in methods_of(runs) if name in by_method], 2):
        seeds = sorted(by_method[first].keys() & by_method[second].keys())
        pairs = [(by_method[first][seed], by_method[second][seed]) for seed in seeds]
        differences = _differences(pairs, "test_accuracy", lambda value: value)
        if not differences:
            continue
        logs = _differences(pairs, "params", lambda value: math.log(max(value, 1)))
        span = stats.t_interval(logs)
        found.append(
            Comparison(
                first,
                second,
                len(differences),
                mean(differences),
                stats.t_interval(differences),
                stats.sign_flip_p(differences, rounding=10.0**-classification.DIGITS),
                1.0,
                math.exp(mean(logs)) if logs else None,
                (math.exp(span[0]), math.exp(span[1])) if span else None,
                stats.sign_flip_p(logs) if logs else None,
            )
        )
    adjusted = iter(stats.holm([row.p for row in found if row.seeds > 1]))  # of one pair there is nothing to test
    return [replace(row, adjusted=next(adjusted)) if row.seeds > 1 else row for row in found]


def _differences(pairs: Sequence[tuple[Run, Run]], name: str, bend: Callable[[float], float]) -> list[float]:
    values = [(one.result(name), other.result(name)) for one, other in pairs]
    return [bend(a) - bend(b) for a, b in values if a is not None and b is not None]


def unequal_settings(runs: Sequence[Run]) -> dict[str, dict[str, list[Run]]]:
    """Settings, beyond method and seed, that are not the same in all runs which they count in: name -> value -> its runs."""
    names = dict.fromkeys(name for run in runs for name in run.config if name not in _MAY_DIFFER)
    counted = {name: [run for run in runs if run.config and _counts(name, run)] for name in names}
    return _unequal({name: [(repr(_value(name, run)), run) for run in those] for name, those in counted.items()})


def unequal_surroundings(runs: Sequence[Run]) -> dict[str, dict[str, list[Run]]]:
    """Versions of libraries and constants that are not the same in all runs, and images that are not in all of one seed; as
    `unequal_settings`."""
    found = _unequal(_versions(runs, lambda name: name not in _OF_A_SEED))
    for seed in dict.fromkeys(run.seed for run in runs):
        of_seed = [run for run in runs if run.seed == seed]
        unequal = _unequal(_versions(of_seed, _OF_A_SEED.__contains__))
        found |= {f"{name}, seed {seed}": values for name, values in unequal.items()}
    return found


def _versions(runs: Sequence[Run], is_meant: Callable[[str], bool]) -> dict[str, list[tuple[str, Run]]]:
    """Name -> what each run has of it that tells it: what it was begun by, and others that it went on by."""
    told: dict[str, list[tuple[str, Run]]] = {}
    for run in runs:
        known = (run.versions, *run.later_versions)
        for name in filter(is_meant, dict.fromkeys(name for each in known for name in each)):
            values = dict.fromkeys(str(each[name]) for each in known if name in each)
            told.setdefault(name, []).append((", then ".join(values), run))
    return told


def _unequal(named: Mapping[str, Iterable[tuple[str, Run]]]) -> dict[str, dict[str, list[Run]]]:
    """Those names that have several values, with the runs of each."""
    found: dict[str, dict[str, list[Run]]] = {}
    for name, pairs in named.items():
        by_value: dict[str, list[Run]] = {}
        for value, run in sorted(pairs, key=lambda pair: pair[0]):
            by_value.setdefault(value, []).append(run)
        if len(by_value) > 1:
            found[name] = by_value
    return found


def unequal_seeds(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Method -> the seeds that it lacks, and another has finished; nothing where all have the same."""
    finished = [run for run in runs if run.state == "finished"]
    seeds = sorted({run.seed for run in finished}, key=lambda seed: seed.zfill(12))
    has = {(run.method, run.seed) for run in finished}
    lacking = {method: [seed for seed in seeds if (method, seed) not in has] for method in methods_of(finished)}
    return {method: those for method, those in lacking.items() if those}


def own_first_networks(runs: Sequence[Run]) -> dict[str, str]:
    """Run -> what its first network is, where it is none that methods share: made by hand, or following from winners."""
    found = {}
    for run in runs:
        start, widths = run.config.get("start"), run.config.get("widths")
        if run.method == SCRATCH and isinstance(start, str):
            way = Path(start).parts  # RUN/best/architecture.json, where an experiment gives it
            found[run.name] = f"that of {way[-3] if len(way) > 2 else start}"
        elif run.method == WIDE and isinstance(widths, list):
            found[run.name] = f"widths {', '.join(map(str, widths))}"
        elif run.method == HAND and not start:
            found[run.name] = "made by hand"
    return found


def _counts(name: str, run: Run) -> bool:
    """Whether a setting is the same in all runs of an experiment, and changes what those of a run's method come to."""
    if name == "gain_factor" and run.known_method:
        return run.known_method.has_foresight
    if name in ("layout", "widths") and run.config.get("start"):
        return False
    return (run.method, name) not in _BY_DESIGN


def _value(name: str, run: Run) -> Any:
    """What a run was given; where its version did not have the setting, what that did; and the layout that was meant by giving none."""
    before = _BEFORE.get(name)
    value = run.config.get(name, list(before) if isinstance(before, tuple) else before)
    return run.known_method.layout(value) if name == "layout" and run.known_method else value


def twins(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Method and seed that more than one finished run has, and these runs."""
    finished: dict[str, list[Run]] = {}
    for run in (run for run in runs if run.state == "finished"):
        finished.setdefault(f"{run.method}, seed {run.seed}", []).append(run)
    return {name: those for name, those in finished.items() if len(those) > 1}
