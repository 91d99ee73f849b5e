"""Made-up runs for the tests of the report: real morphisms and the real selection, invented learning curves."""

import json
import math
import random
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.architecture.vanilla import vanilla
from nash_tf.morphisms.draw import draw
from nash_tf.scores import classification
from nash_tf.seeds import derive
from nash_tf.strategy import hill_climbing, methods
from nash_tf.strategy.ask_tell import Search, Settings
from nash_tf.strategy.halving import Rung
from nash_tf.strategy.records import Goal, TrainingKey

VERSIONS = {"tensorflow": "2.21.0", "keras": "3.15.1", "keras-tuner": "1.4.8", "numpy": "2.0.0"}


def make_run(
    directory: Path,
    method: str = "shrsep",
    steps: int = 5,
    children: int = 8,
    epochs_per_step: int = 160,
    mutations: int = 5,
    seed: int = 0,
    dataset: str = "cifar10",
    failed: tuple[TrainingKey, ...] = (),
    stop_after: int | None = None,
) -> Path:
    """Writes a run's files.

    Args:
        directory: of the run; made.
        failed: trainings that fail.
        stop_after: trainings after which the run is cut off, without results; None for a finished run.
    """
    directory.mkdir(parents=True)
    record = methods.registry[method]
    rungs = planned(method, steps, children, epochs_per_step)
    config = {
        "method": method,
        "dataset": dataset,
        "steps": steps,
        "children": children,
        "mutations": mutations,
        "epochs_per_step": epochs_per_step,
        "vanilla_epochs": 20,
        "widths": [64, 128, 256],
        "max_params": 20_000_000,
        "max_hours": None,
        "budget_epochs": None,
        "seed": seed,
        "output_dir": str(directory),
        "learning_rate": 0.01,
    }
    (directory / "config.json").write_text(json.dumps({**config, "versions": VERSIONS}))
    scores: dict[TrainingKey, float | None] = {}
    born: dict[tuple[int, int], tuple[Architecture, tuple]] = {}
    levels: dict[tuple[int, int], float] = {}
    lines: list[dict] = []
    while stop_after is None or len(lines) < stop_after:
        frontier, incumbent = hill_climbing.frontier(rungs, record.promote, scores)
        if frontier is None:
            break
        for child in frontier.missing:
            training = TrainingKey(frontier.step, frontier.rung, child)
            lines.append(_train(training, frontier.parent, rungs, record, seed, mutations, born, levels, failed))
            scores[training] = lines[-1].get("val_accuracy")
            if stop_after is not None and len(lines) >= stop_after:
                break
    lines.sort(key=lambda line: (line["step"], line["rung"], line["child"]))
    (directory / "lineage.jsonl").write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in lines))
    _, incumbent = hill_climbing.frontier(rungs, record.promote, scores)
    if stop_after is None and incumbent is not None:
        architecture = born[incumbent.step, incumbent.child][0]
        score = scores[incumbent] or 0.0
        results = {
            "method": method,
            "dataset": dataset,
            "seed": seed,
            "test_accuracy": round(score + 0.004, 6),
            "winner_test_accuracy": round(score - 0.006, 6),
            "winner_val_accuracy": score,
            "winner": [incumbent.step, incumbent.rung, incumbent.child],
            "params": architecture.params,
            "steps": steps,
            "seconds": sum(line.get("wall_seconds", 0) for line in lines) + 300,
            "cpu_seconds": sum(line.get("cpu_seconds", 0) for line in lines) + 500,
        }
        (directory / "results.json").write_text(json.dumps(results, indent=2))
        (directory / "best").mkdir()
        (directory / "best" / "predict.py").write_text("")
        (directory / "best" / "architecture.json").write_text(architecture.to_json(indent=1))
    return directory


def planned(method: str, steps: int, children: int, epochs_per_step: int) -> list[tuple[Rung, ...]]:
    """The rungs of all steps; those that the course of a budget gives their length have 5 epochs."""
    settings = Settings(method, steps, children, epochs_per_step=epochs_per_step)
    return [
        tuple(rung._replace(epochs=rung.epochs or 5) for rung in step) for step in Search(settings, Goal("x")).steps
    ]


def _train(training, parent, rungs, record, seed, mutations, born, levels, failed) -> dict:
    step, rung, child = training
    life = (step, child)
    dice = random.Random(derive(seed, record.name, *training))
    if life not in born:
        before = born[parent.step, parent.child][0] if parent else vanilla((32, 32, 3), 10, (64, 128, 256))
        is_drawn = child or not record.keeps_parent
        count = mutations if parent and is_drawn else 0
        born[life] = draw(
            before, count, record.frequencies or record.gains, 20_000_000, derive(seed, step, child), record.variants
        )
        start = levels[parent.step, parent.child] if parent else 0.3
        levels[life] = start
    architecture, moves = born[life]
    plan = rungs[step][rung]
    source = parent if rung == 0 else TrainingKey(step, rung - 1, child)
    line = {
        "step": step,
        "rung": rung,
        "child": child,
        "parent": list(source) if source else None,
        "morphisms": [[name, list(site), number] for name, site, number in moves],
        "epochs": plan.epochs,
        "status": "completed",
    }
    if training in failed:
        return {**line, "status": "failed"}
    goal = 0.83 + 0.02 * step + 0.004 * min(len(moves), 3) + dice.gauss(0, 0.004)
    level = levels[life] - (0.02 + 0.01 * dice.random() if step else 0.0)
    accuracies = []
    for epoch in range(plan.epochs):
        level += (goal - level) * (0.12 + 0.2 * epoch / plan.epochs) + dice.gauss(0, 0.003)
        accuracies.append(round(min(level, 0.99), 5))
    levels[life] = accuracies[-1]
    losses = [round(-math.log(value), 5) for value in accuracies]
    history = {
        "accuracy": [round(value + 0.01, 5) for value in accuracies],
        "loss": [round(value - 0.01, 5) for value in losses],
        "val_accuracy": accuracies,
        "val_loss": losses,
    }
    newborn = {"max_difference": 10 ** dice.uniform(-7, -5.5), "bound": 3.2e-4} if step and rung == 0 else None
    return {
        **line,
        "digest": architecture.digest,
        "params": architecture.params,
        **{name: series[-1] for name, series in history.items()},
        "history": history,
        "certificate": newborn,
        "cpu_seconds": round(plan.epochs * architecture.params / 1e6 * 5 + 7, 3),
        "wall_seconds": round(plan.epochs * architecture.params / 1e6 * 3 + 4, 3),
    }


def add_test(
    directory: Path, names: Sequence[str], images: Sequence[int], skill: Sequence[float], shown: int = 24
) -> Path:
    """Adds the details of a test to a finished run: pictures of its worst mistakes too.

    Args:
        directory: of the run.
        names: of the classes.
        images: of each class.
        skill: share of each class's images that are named right; the others are named as the next two classes.
        shown: number of pictures.
    """
    size = len(names)
    confusion = np.zeros((size, size), np.int64)
    for row, (count, share) in enumerate(zip(images, skill, strict=True)):
        confusion[row, row] = round(count * share)
        wrong = count - confusion[row, row]
        confusion[row, (row + 1) % size] += wrong - wrong // 3
        confusion[row, (row + 2) % size] += wrong // 3
    scored = classification.in_detail(confusion, names)
    largest = max(range(size), key=lambda each: images[each])
    folder = directory / "mistakes"
    folder.mkdir()
    mistakes = []
    for index, pair in enumerate(scored["confused"][:shown]):
        (folder / f"{index:06}.png").write_bytes(_picture(index))
        record = {"image": index, "class": pair["class"], "named": pair["named"], "file": f"mistakes/{index:06}.png"}
        mistakes.append({**record, "probability": round(0.999 - 0.01 * index, 6)})
    results = json.loads((directory / "results.json").read_text())
    worse = classification.overall(confusion + 3)
    results |= {"test_accuracy": scored["accuracy"], "winner_test_accuracy": worse["accuracy"]}
    results["test"] = {
        "images": scored["images"],
        "largest_class": names[largest],
        "base_rate": round(images[largest] / sum(images), 6),
        "model": {**scored, "loss": 0.3},
        "winner": {**worse, "loss": 0.4},
        "first_network": {**worse, "loss": 0.5},
        "mistakes": mistakes,
    }
    saved = {"file": "saved_model", "bytes": 1_785_333, "test_accuracy": scored["accuracy"], "milliseconds": 0.97}
    results["exports"] = {"saved_model": saved, "keras": {"file": "model.keras", "bytes": 1_623_020}}
    (directory / "results.json").write_text(json.dumps(results, indent=2))
    return directory


def _picture(seed: int) -> bytes:
    """A PNG of 8x8 grey pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = random.Random(seed).randbytes(64)
    raw = b"".join(b"\0" + rows[start : start + 8] for start in range(0, 64, 8))
    head = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
