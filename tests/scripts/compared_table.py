"""What recorded runs came to, by method, and each method less one of them, paired by seed.

    python tests/scripts/compared_table.py REFERENCE NAME=FOLDER+FOLDER,METHOD ...

REFERENCE is one of the names; the runs of each may lie in several folders. Prints a table for BUILD_NOTES.md.
"""

import json
import sys
from pathlib import Path
from statistics import mean

from nash_tf.report.analysis import stats


def runs(folders: str, method: str) -> dict[int, dict]:
    """The results of a method in folders of runs, by seed."""
    results = {}
    for folder in folders.split("+"):
        for path in Path(folder).glob(f"{method}-seed*/results.json"):
            results[int(path.parent.name.rpartition("seed")[2])] = json.loads(path.read_text())
    if not results:
        raise SystemExit(f"{folders}: no finished run of {method} is there")
    return dict(sorted(results.items()))


def difference(of: dict[int, dict], reference: dict[int, dict]) -> str:
    """Points of test accuracy by which one is above another, with Student's 95 % interval."""
    pairs = [
        100 * (of[seed]["test_accuracy"] - reference[seed]["test_accuracy"]) for seed in of.keys() & reference.keys()
    ]
    if not pairs:
        return "no common seed"
    interval = stats.t_interval(pairs)
    return f"{mean(pairs):+.2f}" + (f" ({interval[0]:+.2f} to {interval[1]:+.2f})" if interval else "")


def main() -> None:
    reference, *given = sys.argv[1:]
    named = {name: runs(*place.split(",")) for name, _, place in (each.partition("=") for each in given)}
    print(f"| run | seeds | test accuracy, % | each | test loss | parameters | CPU-seconds | less {reference} |")
    print("|---|---|---|---|---|---|---|---|")
    for name, by_seed in named.items():
        results = list(by_seed.values())
        accuracies = [100 * each["test_accuracy"] for each in results]
        cells = [
            name,
            ", ".join(map(str, by_seed)),
            f"{mean(accuracies):.2f}",
            ", ".join(f"{each:.2f}" for each in accuracies),
            format(mean(each["test_loss"] for each in results), ".3f"),
            format(mean(each["params"] for each in results), ",.0f"),
            format(mean(each["cpu_seconds"] for each in results), ",.0f"),
            "" if name == reference else difference(by_seed, named[reference]),
        ]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
