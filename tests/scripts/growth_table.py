"""Prints the tables of the study of growth: `python tests/scripts/growth_table.py`, of `tests/experiments/recipe/growth.jsonl`."""

import json
from collections import defaultdict
from pathlib import Path
from statistics import mean

from nash_tf.report.analysis.stats import t_interval

FILE = Path(__file__).parents[1] / "experiments" / "recipe" / "growth.jsonl"
MEANS = ("mean 0.995", "mean 0.998", "mean 0.999", "mean 0.9995")


def main() -> None:
    """Accuracies by variant, paired with `grow` by run and seed; then the gains of means of weights over the last weights."""
    by_variant = defaultdict(dict)
    for line in FILE.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        by_variant[row["variant"]][row["run"], row["seed"]] = row
    print(
        "| variant | trainings | accuracy, % | less grow | loss | parameters | updates |\n|---|---|---|---|---|---|---|"
    )
    for name, rows in by_variant.items():
        first = next(iter(rows.values()))
        pairs = [
            row["accuracy"] - by_variant["grow"][key]["accuracy"]
            for key, row in rows.items()
            if key in by_variant["grow"]
        ]
        less = "" if name == "grow" or len(pairs) < 2 else _shown(pairs)
        accuracy, loss = (mean(row[score] for row in rows.values()) for score in ("accuracy", "loss"))
        print(
            f"| {name} | {len(rows)} | {accuracy:.2f} | {less} | {loss:.4f} | {first['params_trainable']:,} | {first['updates']:,} |"
        )
    print(f"\n| variant | trainings | last weights, % | {' | '.join(MEANS)} |\n|---|---|---|---|---|---|---|")
    for name, rows in by_variant.items():
        kept = [row for row in rows.values() if MEANS[0] in row]
        if len(kept) > 1:
            gains = (_shown([row[each][0] - row["accuracy"] for row in kept]) for each in MEANS)
            print(f"| {name} | {len(kept)} | {mean(row['accuracy'] for row in kept):.2f} | {' | '.join(gains)} |")


def _shown(differences: list[float]) -> str:
    low, high = t_interval(differences)
    return f"{mean(differences):+.2f} ({low:+.2f} to {high:+.2f})"


if __name__ == "__main__":
    main()
