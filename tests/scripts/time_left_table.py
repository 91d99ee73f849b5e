"""How good the estimates of the time left are: over the trainings of past runs, as they would have been shown at each moment.

    python tests/scripts/time_left_table.py [DIR...]    # of runs; tests/experiments/*/* where none are given

For each run: the largest factor between estimate and truth, from a fifth of the time on until a twentieth is left. CPU seconds
of the trainings in place of wall-clock time, which other programs at work beside the run would have changed: what is tested is
what is foreseen, and nobody foresees these. A run that a limit has ended is taken to have been planned until its last closed step.
"""

import json
import sys
from pathlib import Path

from nash_tf.architecture import costs, first_networks
from nash_tf.files import run_directory
from nash_tf.strategy import forecast
from nash_tf.strategy.forecast import Size, Trained
from nash_tf.strategy.halving import Rung
from nash_tf.strategy.hill_climbing import OpenRung
from nash_tf.strategy.records import TrainingKey

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
SIDES = {"fashion": (28, 1), "digits": (8, 1)}  # pixels and channels of images; else those of CIFAR-10
FROM, UNTIL = 0.2, 0.95


def runs() -> list[Path]:
    """The recorded runs of methods that a plan can be made for: `wide` and `scratch` have other first networks, `front` steps that differ;
    `scale`, and `one_epoch` with a budget, have epochs that follow from sizes, for which a search counts by its budget."""
    return [
        path
        for path in sorted(EXPERIMENTS.glob("*/*-seed*"))
        if not path.name.startswith(("wide", "scratch", "front", "scale"))
        and not (path.name.startswith("one_epoch") and _config(path).get("budget_seconds"))
    ]


def _config(directory: Path) -> dict:
    return json.loads((directory / "config.json").read_text())


def factors(directory: Path) -> list[tuple[float, float]]:
    """(share of the time that has passed, estimate over truth) after each training; none where no step was closed."""
    config = _config(directory)
    trainings, parents = _trainings(directory, config)
    rungs = _rungs(trainings)
    whole = sum(rung.children for rung in rungs)
    steps = max((t.key.step for t in trainings if t.key.step and _count(trainings, t.key.step) == whole), default=0)
    trainings = [each for each in trainings if each.key.step <= steps] if steps else []
    plan = [(Rung(1, config["vanilla_epochs"]),), *[rungs] * steps]
    found, passed, total = [], 0.0, sum(each.seconds for each in trainings)
    for number, each in enumerate(trainings[:-1], 1):
        passed += each.seconds
        step, rung, _ = trainings[number].key
        missing = tuple(t.key.child for t in trainings[number:] if t.key[:2] == (step, rung))
        opened = OpenRung(step, rung, missing, parents.get(step))
        left = forecast.search_seconds(plan, trainings[:number], opened, config["max_params"])
        found.append((passed / total, left / (total - passed)))
    return found


def worst(directory: Path) -> float | None:
    """The largest factor between estimate and truth, either way; None where no step was closed."""
    inside = [max(factor, 1 / factor) for share, factor in factors(directory) if FROM <= share <= UNTIL]
    return max(inside, default=None)


def _rungs(trainings: list[Trained]) -> tuple[Rung, ...]:
    """The rungs of a step, as the longest one had them: methods are not what they were when the runs were recorded."""
    longest = max({t.key.step for t in trainings} - {0}, key=lambda step: (_count(trainings, step), -step), default=0)
    epochs = {t.key.rung: t.epochs for t in trainings if t.key.step == longest}
    children = [sum(t.key[:2] == (longest, rung) for t in trainings) for rung in epochs]
    return tuple(map(Rung, children, epochs.values()))


def _count(trainings: list[Trained], step: int) -> int:
    return sum(each.key.step == step for each in trainings)


def _trainings(directory: Path, config: dict) -> tuple[list[Trained], dict[int, TrainingKey]]:
    """The trainings of a run, and the parent of each step."""
    side, channels = next((form for name, form in SIDES.items() if name in str(config["dataset"]).lower()), (32, 3))
    layout = run_directory.read_config(directory).first_layout
    first = costs.flops(first_networks.registry[layout].make((side, side, channels), 10, tuple(config["widths"]))) or 0
    trainings, operations, parents = [], {}, {}
    for line in (directory / "lineage.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["status"] != "completed":
            continue
        key = TrainingKey(record["step"], record["rung"], record["child"])
        source = TrainingKey(*record["parent"]) if record["parent"] else None
        added = (record["certificate"] or {}).get("added_flops", 0)
        operations[key] = operations[source] + added if source else first
        is_birth = source is not None and key.rung == 0
        if is_birth:
            parents[key.step] = source
        size, seconds = Size(operations[key], record["params"]), record["cpu_seconds"]
        parent = source if is_birth and record["morphisms"] else None
        trainings.append(Trained(key, record["epochs"], size, seconds, seconds, record["val_accuracy"], parent))
    return trainings, parents


def main() -> None:
    """Prints the table."""
    found = [(path, worst(path)) for path in map(Path, sys.argv[1:])] or [(path, worst(path)) for path in runs()]
    known = sorted((factor, path) for path, factor in found if factor is not None)
    for factor, path in known:
        print(f"{factor:5.2f}  {path.parent.name}/{path.name}")
    moments = [max(f, 1 / f) for _, path in known for share, f in factors(path) if FROM <= share <= UNTIL]
    print(f"within 1.5: {sum(factor <= 1.5 for factor in moments) / len(moments):.1%} of {len(moments):,} moments")
    inside = sum(factor <= 1.5 for factor, _ in known)
    print(
        f"within 1.5 throughout: {inside} of {len(known)} runs; median {known[len(known) // 2][0]:.2f}, worst {known[-1][0]:.2f}"
    )


if __name__ == "__main__":
    main()
