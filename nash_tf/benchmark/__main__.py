"""Measures the speed of training and search: `python -m nash_tf.benchmark --json=OUT.json`; minutes on two cores.

Seconds are processor time (user and system, of all threads) unless they are called wall seconds. Contestants run in
turn, each in its own process, and a ratio is the median over the turns, because absolute times on a shared machine mean
little.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nash_tf.architecture import Architecture, Node
from nash_tf.architecture.costs import flops
from nash_tf.architecture.vanilla import vanilla
from nash_tf.benchmark import command_line, measure, plot, process_tree
from nash_tf.benchmark.measure import Contestant, in_turn, line, pinned, ratio, table, training_flops
from nash_tf.morphisms import registry
from nash_tf.morphisms.draw import draw
from nash_tf.morphisms.slides import SLIDES
from nash_tf.settings import engine as engine_settings
from nash_tf.workers import own_program

SHAPE, CLASSES = (32, 32, 3), 10
MATRIX = 2048  # rows and columns, whose products tell the machine's peak
QUICK = ("throughput", "augmentation", "trace", "cost", "idle")
IDLE_AIM = 0.03  # of wall time


def networks(widths: Sequence[str], grown: int, files: Sequence[str]) -> dict[str, Architecture]:
    """Networks to train, by name.

    Args:
        widths: vanilla networks, each by its channels with dashes between, e.g. "16-32-64".
        grown: number of random networks that are grown from the first of them.
        files: paths of files architecture.json of searches.
    """
    by_name = {f"vanilla {each}": vanilla(SHAPE, CLASSES, [int(width) for width in each.split("-")]) for each in widths}
    for seed in range(grown):
        child, _ = draw(next(iter(by_name.values())), 15, dict.fromkeys(registry, 1.0), 500_000, seed, SLIDES)
        by_name[f"grown, seed {seed}"] = child
    for each in files:
        by_name[Path(each).absolute().parents[1].name] = Architecture.from_json(Path(each).read_text())
    return by_name


def chain(blocks: int, width: int = 16) -> Architecture:
    """A network of `blocks` blocks of convolution, normalisation and ReLU in a row, with two pools."""
    first = vanilla(SHAPE, CLASSES, [width] * 3)
    image, *rest = first.nodes
    nodes, last = [image], image
    ends = [blocks // 3, 2 * blocks // 3]
    network = Architecture((image,), ("image",))
    for block in range(blocks):
        for kind in (["MaxPooling2D"] if block in ends else []) + ["Conv2D", "BatchNormalization", "ReLU"]:
            like = next(node for node in rest if node.kind == kind)
            last = network.make(f"{kind.lower()}_{block}", kind, dict(like.config), [last])
            nodes.append(last)
            network = Architecture(tuple(nodes), (last.name,))
    for like in rest[-2:]:
        last = network.make(like.name, like.kind, dict(like.config), [last])
        nodes.append(last)
        network = Architecture(tuple(nodes), (last.name,))
    return network


def _task(what: str, network: Architecture | None, flags: argparse.Namespace, **more: Any) -> dict[str, Any]:
    """A task for `nash_tf.benchmark.worker`; `network` is None for a task without one."""
    image: Node | None = network.nodes[0] if network else None
    return {
        "what": what,
        "architecture": network.to_json() if network else "",
        "shape": list(image.shape) if image else [],
        "classes": CLASSES,
        "batch": flags.batch_size,
        "steps": flags.batches,
        "precision": flags.precision,
        **more,
    }


def throughput(flags, ours: Contestant, keras: Contestant, torch: Contestant) -> dict[str, Any]:
    """Speed of training beside plain `Model.fit`, PyTorch, a loop written by hand, and the machine's matmul peak."""
    rows: list[list[Any]] = [
        [
            "network",
            "blocks",
            "ours, images/CPU-s",
            "times fit",
            "times fit without XLA",
            "times PyTorch",
            "of the loop by hand",
            "of the matmul peak",
        ]
    ]
    failed: dict[str, str] = {}
    for name, network in networks(flags.widths, flags.grown, flags.architecture).items():
        times, errors = in_turn(
            {
                "ours": (ours, _task("fit", network, flags)),
                "fit": (keras, _task("fit", network, flags)),
                "no XLA": (keras, _task("fit, no XLA", network, flags)),
                "torch": (torch, _task("fit", network, flags)),
                "hand": (ours, _task("hand", network, flags)),
                "matmul": (ours, _task("matmul", None, flags, size=MATRIX)),
            },
            flags.repeats,
        )
        failed |= {f"{name}, {contestant}": why for contestant, why in errors.items()}
        ours_seconds, images = times["ours"]["seconds"], flags.batch_size * flags.batches
        ratios = [
            ratio(times[other]["seconds"], ours_seconds) if other in times else "-"
            for other in ("fit", "no XLA", "torch", "hand")
        ]
        forward, peak = flops(network), 2 * MATRIX**3 / statistics.median(times["matmul"]["seconds"])
        share = training_flops(forward, images) / statistics.median(ours_seconds) / peak if forward else "-"
        blocks = sum("Conv" in node.kind for node in network.nodes)
        rows.append([name, blocks, images / statistics.median(ours_seconds), *ratios, share])
        print(rows[-1], file=sys.stderr, flush=True)
    return {"rows": rows, "failed": failed}


def augmentation(flags, ours: Contestant, keras: Contestant, torch: Contestant) -> dict[str, Any]:
    """Cost of the data pipeline: training on its batches, compared with training on batches in memory."""
    rows: list[list[Any]] = [["network", "normalised only", "flip, shift", "full"]]
    for name, network in networks(flags.widths, 0, flags.architecture[:1]).items():
        tasks = {what: (ours, _task(what, network, flags)) for what in ("fit", "none", "flip, shift", "full")}
        times, _ = in_turn(tasks, flags.repeats)
        base = times["fit"]["seconds"]
        rows.append([name, *(ratio(times[what]["seconds"], base) for what in ("none", "flip, shift", "full"))])
        print(rows[-1], file=sys.stderr, flush=True)
    return {"rows": rows, "unit": "CPU time as a multiple of the same steps on resident batches"}


def trace(flags, ours: Contestant, keras: Contestant, torch: Contestant) -> dict[str, Any]:
    """Time of tracing, against depth: what the first training step takes more than a later one."""
    rows: list[list[Any]] = [["blocks", "ours, CPU-s", "fit, CPU-s", "share"]]
    for blocks in flags.depths:
        task = _task("fit", chain(blocks), flags, steps=1)
        pairs = []
        for turn in range(max(1, flags.repeats // 2)):
            times, _ = in_turn({f"ours {turn}": (ours, task), f"fit {turn}": (keras, task)}, 2)
            pairs.append([each["first"] - statistics.median(each["seconds"]) for each in times.values()])
        ours_seconds, fit_seconds = (statistics.median(column) for column in zip(*pairs, strict=True))
        rows.append([blocks, ours_seconds, fit_seconds, statistics.median(a / b for a, b in pairs)])
        print(rows[-1], file=sys.stderr, flush=True)
    return {"rows": rows}


def cost(flags, ours: Contestant, keras: Contestant, torch: Contestant) -> dict[str, Any]:
    """Seconds against batches, depth, width and children, with the line of least squares."""
    rows: list[list[Any]] = [["against", "values", "CPU-s", "by unit", "explained by a line"]]
    usual = [16, 32, 64]
    series: dict[str, tuple[Sequence[int], Callable[[int], dict]]] = {
        "batches of an epoch": (
            (10, 20, 40, 80),
            lambda n: _task("full", vanilla(SHAPE, CLASSES, usual), flags, steps=n),
        ),
        "depth, blocks": ((5, 10, 20, 40), lambda n: _task("fit", chain(n), flags, steps=5)),
        "width, channels": ((16, 32, 64), lambda n: _task("fit", chain(6, n), flags, steps=5)),
    }
    measured: list[tuple[str, Sequence[int], list[float]]] = []
    for name, (values, task) in series.items():
        times, _ = in_turn({f"{name} {n}": (ours, task(n)) for n in values}, flags.repeats)
        measured.append((name, values, [statistics.median(times[f"{name} {n}"]["seconds"]) for n in values]))
    children = (4, 8, 16)
    measured.append(("children of a search on digits", children, [_step_of(count) for count in children]))
    for name, values, seconds in measured:
        _, slope, explained = line(values, seconds)
        rows.append([name, list(values), [round(second, 3) for second in seconds], slope, explained])
        print(rows[-1], file=sys.stderr, flush=True)
    if flags.svg:
        Path(flags.svg).write_text(plot.cost(rows[1:]).document())
    return {"rows": rows}


def _step_of(children: int) -> float:
    """CPU-seconds of a search of one step in which each child is trained for 4 epochs."""
    step = f"--method=nash --steps=1 --mutations=1 --children={children} --epochs_per_step={4 * children}"
    return _search(f"{step} --vanilla_epochs=1 --final_epochs=0")["cpu_seconds"]


def _search(flags: str) -> dict[str, Any]:
    """The results.json of a search with these flags."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(_command(flags, folder), check=True, stdout=subprocess.DEVNULL)
        return json.loads((Path(folder) / "run" / "results.json").read_text())


def _command(flags: str, folder: str) -> list[str]:
    return [*own_program.command(), "--nocontrol", *flags.split(), f"--output_dir={folder}/run"]


def search(flags, *_) -> dict[str, Any]:
    """Where the time of a whole search goes, and its peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "profile.json"
        command = [*own_program.command("nash_tf.benchmark.profile"), str(output)]
        command += ["--nocontrol", *flags.search.split(), f"--output_dir={folder}/run"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        profile = json.loads(output.read_text())
    rows: list[list[Any]] = [["part", "CPU-s", "share"]]
    rows += [[name, seconds, seconds / profile["cpu_seconds"]] for name, seconds in profile["parts"].items()]
    return {"rows": rows, **{name: value for name, value in profile.items() if name != "parts"}}


def workers(flags, *_) -> dict[str, Any]:
    """Wall-clock and CPU time, of all processes, of the same search in one, with two workers, and with two of Ray's, in turn."""
    ways = ["--workers=1", "--workers=2", *([] if engine_settings.missing("ray") else ["--engine=ray --workers=2"])]
    costs: dict[str, list[process_tree.Cost]] = {way: [] for way in ways}
    for turn in range(flags.repeats):
        for way in ways:
            with tempfile.TemporaryDirectory() as folder:
                costs[way].append(process_tree.cost(_command(f"{flags.search} {way}", folder)))
            print(f"turn {turn + 1}, {way}: {costs[way][-1]}", file=sys.stderr, flush=True)
    rows: list[list[Any]] = [["search", "wall seconds", "CPU-s", "ratio", "CPU-s of each turn"]]
    for way in ways:
        cpu = [each.cpu for each in costs[way]]
        turns = [one / other.cpu for one, other in zip(cpu, costs[ways[0]], strict=True)]
        wall = statistics.median(each.wall for each in costs[way])
        rows.append([way, wall, statistics.median(cpu), statistics.median(turns), [round(each, 1) for each in cpu]])
    return {"rows": rows, "programs": {way: [each.programs for each in costs[way]] for way in ways}}


def idle(flags, *_) -> dict[str, Any]:
    """Time that a search with one thread on one core waits; on a busy machine it also waits for the core."""
    with pinned():
        results = _search(f"{flags.search} --workers=1 --threads=1")
    wall, processor = results["seconds"], results["cpu_seconds"]
    unused, share = measure.idle(wall, processor)
    rows: list[list[Any]] = [["wall seconds", "CPU-s", "idle, s", "share of wall", "aim"]]
    rows.append([wall, processor, unused, share, f"under {IDLE_AIM}"])
    return {"rows": rows}


PARTS = {part.__name__: part for part in (throughput, augmentation, trace, cost, search, workers, idle)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the parts that the flags name.

    Args:
        arguments: command-line arguments; by default those of the process.

    Returns:
        The exit status, 0. Wrong flags end the process with status 2.
    """
    flags = command_line.read(arguments, __doc__, QUICK, tuple(PARTS))
    contestants = [Contestant("nash_tf"), Contestant("keras"), Contestant("torch", flags.torch_python)]
    results: dict[str, Any] = {"settings": vars(flags) | {"cores": os.cpu_count()}}
    try:
        for part in flags.parts:
            results[part] = PARTS[part](flags, *contestants)
            print(f"\n{part}\n{table(results[part]['rows'])}")
            for name, why in results[part].get("failed", {}).items():
                print(f"{name}: {why}")
    finally:
        for contestant in contestants:
            contestant.close()
        if flags.json:
            Path(flags.json).write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
