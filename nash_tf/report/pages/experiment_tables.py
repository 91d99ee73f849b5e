"""An experiment's tables as words, once for the page and for the terminal."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nash_tf.drawing.number_words import NONE, count, percent, points, short
from nash_tf.records.runs import Run
from nash_tf.report.analysis import compute_given, layer_shares, method_comparison, stats
from nash_tf.report.analysis.behaviour import Behaviour
from nash_tf.report.analysis.method_comparison import Comparison, MethodRow
from nash_tf.report.analysis.stats import EXACT_UP_TO, Summary
from nash_tf.scores.objectives import ACCURACY
from nash_tf.strategy import methods

ACCEPTED = "Morphisms accepted in winners, of those drawn"
_SURE = 0.05  # a p from which a difference is taken for sure
_FEW = f" * So few seeds cannot bring a p to {_SURE:g}, however sure the difference is: the interval tells more."

MOST_NAMED = 4  # runs that have another setting than the others


@dataclass(frozen=True)
class Table:
    """A title, column names, rows, and what a reader must know of it."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


# Best, worst and the sorts of merging layers are of the authors' report alone; the slides have merging layers together: 19 ± 3, 25 ± 2,
# 22 ± 2 and 18 ± 1 %. The report's sorts add up to these, but for SHRSep.
PUBLISHED = Table(
    "Published results, not ours",
    ("method", "test accuracy, %", "best", "worst", "parameters, M", *layer_shares.COUNTED.values()),
    (
        ("NASH", "94.64 ± 0.38", "95.07", "94.00", "18.2 ± 6.2", "74 ± 4", "5 ± 3", "4 ± 1", "10 ± 2", "0"),
        ("SH", "94.57 ± 0.11", "94.70", "94.35", "12.9 ± 5.9", "67 ± 2", "11 ± 2", "5 ± 1", "9 ± 1", "0"),
        ("SHR", "94.63 ± 0.29", "95.02", "94.14", "14.8 ± 4.8", "70 ± 2", "8 ± 4", "6 ± 2", "8 ± 2", "0"),
        ("SHRSep", "94.39 ± 0.33", "94.98", "94.00", "14.5 ± 4.5", "52 ± 11", "8 ± 4", "4 ± 1", "10 ± 4", "23 ± 11"),
    ),
    "Yüce and Tsapenko, slides of 14 December 2018 and report: CIFAR-10, 8 runs of each method, 23 hours on one GPU each. Layers in "
    "percent. The report's convex, concat and split of SHRSep add up to 22 %; the slides have 18 ± 1 % of merging layers there.",
)


def cautions(runs: Sequence[Run]) -> list[Table]:
    """What to know before runs of one data set are compared."""
    settings, around = method_comparison.unequal_settings(runs), method_comparison.unequal_surroundings(runs)
    lacking = method_comparison.unequal_seeds(runs)
    twins = tuple(
        (name, f"{len(those)}, compared is {those[-1].name}") for name, those in method_comparison.twins(runs).items()
    )
    found = [
        Table(
            "Searches that compared networks by something else than accuracy",
            ("what", "runs"),
            _objectives(runs),
            "All that is compared here is accuracy on the test images nevertheless; the page of each run has its own measure.",
        ),
        Table(
            "Settings that are not the same in all runs", ("setting", "values"), _values(settings), "Compare with care."
        ),
        Table(
            "Versions, constants or images that are not the same in all runs",
            ("what", "values"),
            _values(around),
            "Compare with care.",
        ),
        Table(
            "Runs that had other compute than was asked for",
            ("run", "what it says of its end"),
            tuple((run.name, words) for run in runs if (words := compute_given.other_than_asked(run))),
            "Methods are compared at equal compute otherwise: compare with care.",
        ),
        Table(
            "Seeds that some methods lack",
            ("method", "seeds without a finished run"),
            tuple((method, ", ".join(seeds)) for method, seeds in lacking.items()),
            "The results of each method are of all its runs; comparisons take the seeds that both have.",
        ),
        Table(
            "Finished runs of one method and seed",
            ("method and seed", "runs"),
            twins,
            "Results are of all of them; comparisons take the last.",
        ),
        Table(
            "Runs that handed over their control",
            ("run", "search"),
            tuple((run.name, f"{run.method}, seed {run.seed}") for run in runs if run.gives_control),
            "Here test accuracy, parameters and layers are those of the searches' winners, of all runs before a final training.",
        ),
        Table(
            "Runs with a first network of their own",
            ("run", "first network"),
            tuple(method_comparison.own_first_networks(runs).items()),
            "All other runs have the same first network, where their settings are the same.",
        ),
    ]
    return [entry for entry in found if entry.rows]


def _objectives(runs: Sequence[Run]) -> tuple[tuple[str, str], ...]:
    """What networks were compared by, where it is not the accuracy, and in which runs."""
    names = dict.fromkeys(run.objective.measure for run in runs if run.objective is not ACCURACY)
    return tuple((name, _names([run for run in runs if run.objective.measure == name])) for name in names)


def _values(unequal: Mapping[str, Mapping[str, Sequence[Run]]]) -> tuple[tuple[str, str], ...]:
    """Names and their values, and whose each is but for the one that more runs have than all others together."""
    rows = []
    for name, by_value in unequal.items():
        most, half = max(by_value, key=lambda value: len(by_value[value])), sum(map(len, by_value.values())) / 2
        usual = most if len(by_value[most]) > half else None
        words = [value if value == usual else f"{value} ({_names(runs)})" for value, runs in by_value.items()]
        rows.append((name, "; ".join(words)))
    return tuple(rows)


def _names(runs: Sequence[Run]) -> str:
    """The first runs by name, and how many more there are."""
    more = f" and {len(runs) - MOST_NAMED} more" if len(runs) > MOST_NAMED else ""
    return ", ".join(run.name for run in runs[:MOST_NAMED]) + more


def results(rows: Sequence[MethodRow]) -> Table:
    """Accuracy, parameters, steps and time of each method."""
    head = (
        "method",
        "finished",
        "test accuracy, %",
        "best",
        "worst",
        "before final training",
        "parameters",
        "smallest",
        "largest",
        "steps begun",
        "CPU-hours each",
        "of trainings that count",
    )
    return Table(
        "Results",
        head,
        tuple(
            (
                row.method,
                f"{row.finished} of {row.runs}",
                _spread(row.accuracy, percent),
                percent(row.accuracy.largest) if row.accuracy else NONE,
                percent(row.accuracy.least) if row.accuracy else NONE,
                _spread(row.before, percent),
                _spread(row.params, short),
                short(row.params.least) if row.params else NONE,
                short(row.params.largest) if row.params else NONE,
                _range(row.steps),
                _plain(row.cpu_hours),
                _plain(row.trained_hours),
            )
            for row in rows
        ),
        "Mean ± standard deviation over finished runs. A limit on time drops a training that it cannot make shorter: it, "
        "the control of a run that has one, the final training, tests and export are in the CPU-hours of a run, and not in those of "
        "the trainings that count.",
    )


def layers_of_winners(rows: Sequence[MethodRow]) -> Table:
    """The slides' layer statistics."""
    return Table(
        "Layers of the winners, %",
        ("method", *layer_shares.COUNTED.values()),
        tuple((row.method, *(_spread(row.layers[sort], _whole) for sort in layer_shares.COUNTED)) for row in rows),
        "Share of layers, mean ± standard deviation; pools, dense and all other layers are left out.",
    )


def paired(rows: Sequence[Comparison]) -> Table:
    """Paired comparisons."""
    head = (
        "comparison",
        "seeds",
        "accuracy, points",
        "95 % interval",
        "p",
        "p (Holm)",
        "parameters, ratio",
        "95 % interval",
        "p (ratio)",
    )
    least, adjusted = _least(rows)
    weak = any(value > _SURE for value in adjusted)
    return Table(
        "Paired comparisons over seeds",
        head,
        tuple(
            (
                f"{row.first} − {row.second}",
                count(row.seeds),
                points(row.difference),
                f"{points(row.interval[0])} to {points(row.interval[1])}" if row.interval else NONE,
                _p(row.p, row.seeds, floor),
                _p(row.adjusted, row.seeds, floor_adjusted),
                f"{row.ratio:.3g}×" if row.ratio else NONE,
                f"{row.ratio_interval[0]:.3g} to {row.ratio_interval[1]:.3g}" if row.ratio_interval else NONE,
                _p(row.ratio_p if _differs(row.ratio_interval) else None, row.seeds, floor),
            )
            for row, floor, floor_adjusted in zip(rows, least, adjusted, strict=True)
        ),
        "Runs of the same seed are paired. Interval: Student's t of the differences. p: two-sided sign-flip permutation "
        f"test of the differences, exact up to {EXACT_UP_TO} pairs; p (Holm) allows for all pairs of methods. Ratios of "
        f"parameters are tested on logarithms, where they are not all the same.{_FEW if weak else ''}",
    )


def _least(rows: Sequence[Comparison]) -> tuple[list[float], list[float]]:
    """The least p that each row's seeds allow, however sure its difference is; and the same after Holm."""
    least = [min(1.0, 2 / 2**row.seeds) for row in rows]
    tested = iter(stats.holm([floor for floor, row in zip(least, rows, strict=True) if row.seeds > 1]))
    return least, [next(tested) if row.seeds > 1 else 0.0 for row in rows]


def _differs(interval: tuple[float, float] | None) -> bool:
    """Whether the seeds gave different ratios: those that follow from the settings are no matter of chance."""
    return interval is not None and not math.isclose(*interval, rel_tol=1e-9)


def behaviours(rows: Sequence[Behaviour]) -> Table:
    """What happened inside the searches."""
    head = (
        "method",
        "closed steps",
        "won by the unmodified parent, %",
        "size of promoted over discarded",
        "change after birth, points",
        "after a restart, points",
        "restart drops won back, %",
    )
    return Table(
        "Inside the searches",
        head,
        tuple(
            (
                row.method,
                count(row.steps),
                _spread(row.parent_won, _whole),
                f"{math.exp(row.favoured.mean):.3g}×" if row.favoured else NONE,
                _spread(row.birth, points, percent),
                _spread(row.restart, points, percent),
                _spread(row.won_back, _whole),
            )
            for row in rows
        ),
        "Mean ± standard deviation over runs, unfinished ones as far as they came. Size: parameters of the children that "
        "passed the first rung over those it discarded, geometric mean; below 1 the first rung favours small children. "
        "Changes are of validation accuracy, over the first epoch.",
    )


def accepted(rows: Sequence[Behaviour]) -> Table:
    """Morphisms accepted in winners, by method."""
    names = sorted({name for row in rows for name in row.accepted})
    choosing = {row.method for row in rows if (known := methods.registry.get(row.method)) and known.has_foresight}
    note = f" {', '.join(sorted(choosing))}: how many it chose; it draws none." if choosing else ""
    return Table(
        ACCEPTED,
        ("method", *names),
        tuple((row.method, *(_of(row.accepted.get(name), row.method in choosing) for name in names)) for row in rows),
        f"Sums over the closed steps of all runs.{note}",
    )


def _spread(
    values: Summary | None, words: Callable[[float], str], deviation: Callable[[float], str] | None = None
) -> str:
    """A mean and its deviation; `deviation` tells how the latter is read, where that is otherwise."""
    if values is None:
        return NONE
    spread = values.deviation
    return words(values.mean) + ("" if spread is None else f" ± {(deviation or words)(spread)}")


def _whole(share: float) -> str:
    return percent(share, 0)


def _of(pair: tuple[int, int] | None, were_chosen: bool) -> str:
    if not pair or not pair[1]:
        return NONE
    return f"{pair[0]}" if were_chosen else f"{pair[0]} of {pair[1]}"


def _plain(values: Summary | None) -> str:
    return NONE if values is None else f"{values.mean:.3g}"


def _range(values: Summary | None) -> str:
    if values is None:
        return NONE
    same = values.least == values.largest
    return f"{values.mean:.3g}" if same else f"{values.mean:.3g} ({values.least:g} to {values.largest:g})"


def _p(value: float | None, seeds: int, least: float) -> str:
    """A p, marked where the seeds are too few for one that says anything."""
    if value is None or seeds < 2:
        return NONE
    words = f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"
    return f"{words} *" if least > _SURE else words
