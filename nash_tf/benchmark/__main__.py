"""Measures training and search: `python -m nash_tf.benchmark --json=OUT.json`; minutes on two cores.

Seconds are of processor time, user and system, of all threads, where they are not called wall seconds. What is compared
runs in turn, each in a process of its own, and the ratio is the median over the turns: absolute times on a shared
machine mean little.
"""

import argparse
import json
import os
import re
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
from nash_tf.benchmark import measure, plot
from nash_tf.benchmark.measure import Contestant, in_turn, line, pinned, ratio, table, training_flops
from nash_tf.morphisms import registry
from nash_tf.morphisms.draw import draw
from nash_tf.morphisms.slides import SLIDES

SHAPE, CLASSES = (32, 32, 3), 10
QUICK = ("throughput", "augmentation", "trace", "cost", "idle")
IDLE_AIM = 0.03  # of wall time


def networks(widths: Sequence[str], grown: int, files: Sequence[str]) -> dict[str, Architecture]:
    """What is trained: vanilla networks, random ones grown from the first of them, and those of searches."""
    found = {f"vanilla {each}": vanilla(SHAPE, CLASSES, [int(width) for width in each.split("-")]) for each in widths}
    for seed in range(grown):
        child, _ = draw(next(iter(found.values())), 15, dict.fromkeys(registry, 1.0), 500_000, seed, SLIDES)
        found[f"grown, seed {seed}"] = child
    for each in files:
        found[Path(each).absolute().parents[1].name] = Architecture.from_json(Path(each).read_text())
    return found


def chain(blocks: int, width: int = 16) -> Architecture:
    """So many blocks of convolution, normalisation and ReLU in a row, with two pools."""
    first = vanilla(SHAPE, CLASSES, [width] * 3)
    image, *rest = first.nodes
    nodes, last = [image], image
    ends = [blocks // 3, 2 * blocks // 3]
    made = Architecture((image,), ("image",))
    for block in range(blocks):
        for kind in (["MaxPooling2D"] if block in ends else []) + ["Conv2D", "BatchNormalization", "ReLU"]:
            like = next(node for node in rest if node.kind == kind)
            last = made.make(f"{kind.lower()}_{block}", kind, dict(like.config), [last])
            nodes.append(last)
            made = Architecture(tuple(nodes), (last.name,))
    for like in rest[-2:]:
        last = made.make(like.name, like.kind, dict(like.config), [last])
        nodes.append(last)
        made = Architecture(tuple(nodes), (last.name,))
    return made


def _task(what: str, network: Architecture | None, given: argparse.Namespace, **more: Any) -> dict[str, Any]:
    image: Node | None = network.nodes[0] if network else None
    return {
        "what": what,
        "architecture": network.to_json() if network else "",
        "shape": list(image.shape) if image else [],
        "classes": CLASSES,
        "batch": given.batch_size,
        "steps": given.batches,
        "precision": given.precision,
        **more,
    }


def throughput(given, ours: Contestant, keras: Contestant, torch: Contestant) -> dict[str, Any]:
    """Training steps beside `Model.fit` as it comes, PyTorch and a loop written by hand; operations beside the machine's peak."""
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
    for name, network in networks(given.widths, given.grown, given.architecture).items():
        told, lost = in_turn(
            {
                "ours": (ours, _task("fit", network, given)),
                "fit": (keras, _task("fit", network, given)),
                "no XLA": (keras, _task("fit, no XLA", network, given)),
                "torch": (torch, _task("fit", network, given)),
                "hand": (ours, _task("hand", network, given)),
                "matmul": (ours, _task("matmul", None, given)),
            },
            given.repeats,
        )
        failed |= {f"{name}, {contestant}": why for contestant, why in lost.items()}
        mine, images = told["ours"]["seconds"], given.batch_size * given.batches
        ratios = [
            ratio(told[other]["seconds"], mine) if other in told else "-"
            for other in ("fit", "no XLA", "torch", "hand")
        ]
        forward, peak = flops(network), 2 * 2048**3 / statistics.median(told["matmul"]["seconds"])
        share = training_flops(forward, images) / statistics.median(mine) / peak if forward else "-"
        blocks = sum("Conv" in node.kind for node in network.nodes)
        rows.append([name, blocks, images / statistics.median(mine), *ratios, share])
        print(rows[-1], file=sys.stderr, flush=True)
    return {"rows": rows, "failed": failed}


def augmentation(given, ours: Contestant, keras: Contestant, torch: Contestant) -> dict[str, Any]:
    """What the data cost: the pipeline's batches beside batches that lie ready."""
    rows: list[list[Any]] = [["network", "normalised only", "flip, shift", "full"]]
    for name, network in networks(given.widths, 0, given.architecture[:1]).items():
        tasks = {what: (ours, _task(what, network, given)) for what in ("fit", "none", "flip, shift", "full")}
        told, _ = in_turn(tasks, given.repeats)
        base = told["fit"]["seconds"]
        rows.append([name, *(ratio(told[what]["seconds"], base) for what in ("none", "flip, shift", "full"))])
        print(rows[-1], file=sys.stderr, flush=True)
    return {"rows": rows, "unit": "CPU time as a multiple of the same steps on resident batches"}


def trace(given, ours: Contestant, keras: Contestant, torch: Contestant) -> dict[str, Any]:
    """The first training step beyond a usual one, against depth."""
    rows: list[list[Any]] = [["blocks", "ours, CPU-s", "fit, CPU-s", "share"]]
    for blocks in given.depths:
        task = _task("fit", chain(blocks), given, steps=1)
        pairs = []
        for turn in range(max(1, given.repeats // 2)):
            told, _ = in_turn({f"ours {turn}": (ours, task), f"fit {turn}": (keras, task)}, 2)
            pairs.append([each["first"] - statistics.median(each["seconds"]) for each in told.values()])
        mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        rows.append([blocks, mine, theirs, statistics.median(a / b for a, b in pairs)])
        print(rows[-1], file=sys.stderr, flush=True)
    return {"rows": rows}


def cost(given, ours: Contestant, keras: Contestant, torch: Contestant) -> dict[str, Any]:
    """Seconds against images, depth, width and children, and how well a line describes them."""
    rows: list[list[Any]] = [["against", "values", "CPU-s", "by unit", "explained by a line"]]
    usual = [16, 32, 64]
    series: dict[str, tuple[Sequence[int], Callable[[int], dict]]] = {
        "batches of an epoch": (
            (10, 20, 40, 80),
            lambda n: _task("full", vanilla(SHAPE, CLASSES, usual), given, steps=n),
        ),
        "depth, blocks": ((5, 10, 20, 40), lambda n: _task("fit", chain(n), given, steps=5)),
        "width, channels": ((16, 32, 64), lambda n: _task("fit", chain(6, n), given, steps=5)),
    }
    found: list[tuple[str, Sequence[int], list[float]]] = []
    for name, (values, task) in series.items():
        told, _ = in_turn({f"{name} {n}": (ours, task(n)) for n in values}, given.repeats)
        found.append((name, values, [statistics.median(told[f"{name} {n}"]["seconds"]) for n in values]))
    children = (4, 8, 16)
    found.append(("children of a search on digits", children, [_step_of(count) for count in children]))
    for name, values, seconds in found:
        _, slope, explained = line(values, seconds)
        rows.append([name, list(values), [round(second, 3) for second in seconds], slope, explained])
        print(rows[-1], file=sys.stderr, flush=True)
    if given.svg:
        Path(given.svg).write_text(plot.cost(rows[1:]).document())
    return {"rows": rows}


def _step_of(children: int) -> float:
    """CPU-seconds of a search of one step, every child of it trained for 4 epochs."""
    flags = f"--method=nash --steps=1 --mutations=1 --children={children} --epochs_per_step={4 * children}"
    return _search(f"{flags} --vanilla_epochs=1 --final_epochs=0")["cpu_seconds"]


def _search(flags: str) -> dict[str, Any]:
    """The results of a search."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "nash_tf.main", *flags.split(), f"--output_dir={folder}/run"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.loads((Path(folder) / "run" / "results.json").read_text())


def search(given, *_) -> dict[str, Any]:
    """Where the time of a whole search goes, and its peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "profile.json"
        command = [sys.executable, "-m", "nash_tf.benchmark.profile", str(told)]
        command += [*given.search.split(), f"--output_dir={folder}/run"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found = json.loads(told.read_text())
    rows: list[list[Any]] = [["part", "CPU-s", "share"]]
    rows += [[name, seconds, seconds / found["cpu_seconds"]] for name, seconds in found["parts"].items()]
    return {"rows": rows, **{name: value for name, value in found.items() if name != "parts"}}


def workers(given, *_) -> dict[str, Any]:
    """The same search by one process and by several."""
    rows: list[list[Any]] = [["workers", "wall seconds", "CPU-s"]]
    for count in (1, 2):
        found = _search(f"{given.search} --workers={count}")
        rows.append([count, found["seconds"], found["cpu_seconds"]])
    return {"rows": rows}


def idle(given, *_) -> dict[str, Any]:
    """What a search on one core, of one thread, waits instead of working; on a busy machine it waits for the core, too."""
    with pinned():
        found = _search(f"{given.search} --workers=1 --threads=1")
    wall, processor = found["seconds"], found["cpu_seconds"]
    unused, share = measure.idle(wall, processor)
    rows: list[list[Any]] = [["wall seconds", "CPU-s", "idle, s", "share of wall", "aim"]]
    rows.append([wall, processor, unused, share, f"under {IDLE_AIM}"])
    return {"rows": rows}


PARTS = {part.__name__: part for part in (throughput, augmentation, trace, cost, search, workers, idle)}


def _listed(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def _wrong(given: argparse.Namespace) -> str:
    """What cannot be measured, and why; empty where all can."""
    if unknown := set(given.parts) - set(PARTS):
        return f"--parts: must be some of {','.join(PARTS)}, received {','.join(sorted(unknown))}"
    if given.repeats < 1 or given.batches < 1 or given.batch_size < 1:
        return "--repeats, --batches and --batch_size: must be at least 1"
    for widths in given.widths:
        if not re.fullmatch(r"[1-9]\d*(-[1-9]\d*)*", widths):
            return f"--widths: must be numbers of filters with dashes between, such as 16-32-64, received {widths}"
    for path in given.architecture:
        try:
            Architecture.from_json(Path(path).read_text(encoding="utf-8"))
        except Exception as error:  # the file may hold anything
            return f"--architecture={path}: cannot be read ({' '.join(str(error).split())})"
    for flag, path in (("json", given.json), ("svg", given.svg)):
        if path and not Path(path).absolute().parent.is_dir():
            return f"--{flag}={path}: its folder does not exist"
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures what is asked for; returns 0, or 2 for what is refused."""
    parser = argparse.ArgumentParser(
        "nash_tf.benchmark", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--parts", type=_listed, default=list(QUICK), help=f"Some of {','.join(PARTS)}.")
    parser.add_argument("--widths", type=_listed, default=["16-32-64", "64-128-256"], help="Vanilla networks.")
    parser.add_argument("--grown", type=int, default=1, help="Random networks grown from the first of them.")
    parser.add_argument(
        "--architecture", action="append", default=[], help="architecture.json of a search; more than once."
    )
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--batches", type=int, default=20, help="Batches of a turn.")
    parser.add_argument("--repeats", type=int, default=5, help="Turns.")
    parser.add_argument("--depths", type=lambda text: [int(part) for part in _listed(text)], default=[10, 30, 100])
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16"), default="float32")
    parser.add_argument("--torch_python", default=sys.executable, help="Interpreter that has PyTorch and NumPy.")
    parser.add_argument("--search", default="--flagfile=flags/quick.flags --method=shrsep", help="Flags of the search.")
    parser.add_argument("--json", help="File for all results.")
    parser.add_argument("--svg", help="File for the picture of the part `cost`.")
    given = parser.parse_args(arguments)
    if wrong := _wrong(given):
        parser.error(wrong)
    contestants = [Contestant("nash_tf"), Contestant("keras"), Contestant("torch", given.torch_python)]
    results: dict[str, Any] = {"settings": vars(given) | {"cores": os.cpu_count()}}
    try:
        for part in given.parts:
            results[part] = PARTS[part](given, *contestants)
            print(f"\n{part}\n{table(results[part]['rows'])}")
            for name, why in results[part].get("failed", {}).items():
                print(f"{name}: {why}")
    finally:
        for contestant in contestants:
            contestant.close()
        if given.json:
            Path(given.json).write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
