"""Runs contestants in turn, and evaluates their times."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nash_tf.terminal.text_tables import markdown


class Unavailable(Exception):
    """A contestant cannot do a task, e.g. because PyTorch is not installed."""


class Contestant:
    """A process that does tasks and measures its own processor time; see `nash_tf.benchmark.worker`.

    Args:
        kind: "nash_tf", "keras" or "torch".
        python: path of the Python interpreter that runs it.
    """

    def __init__(self, kind: str, python: str = sys.executable):
        root = Path(__file__).parents[2]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
        self.kind = kind
        self._process = subprocess.Popen(
            [python, "-m", "nash_tf.benchmark.worker", kind],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, **task: Any) -> float:
        """Does a task and returns its processor seconds.

        Raises:
            Unavailable: the task failed; the message says why.
        """
        assert self._process.stdin is not None and self._process.stdout is not None  # pipes
        try:
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        answer = json.loads(line) if line else {"error": "the process has ended"}
        if "error" in answer:
            raise Unavailable(f"{self.kind}: {answer['error']}")
        return float(answer["seconds"])

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def in_turn(
    contestants: Mapping[str, tuple[Contestant, Mapping[str, Any]]], repeats: int
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Runs the task of each contestant once per turn, one after the other.

    Args:
        contestants: name -> (contestant, task).
        repeats: number of turns.

    Returns:
        By name the processor seconds of the first run ("first") and of each turn ("seconds"); and by name the error of
        each task that failed.
    """
    first, failed = {}, {}
    for name, (contestant, task) in contestants.items():
        try:
            first[name] = contestant.ask(do="prepare", name=name, **task)
            contestant.ask(do="run", name=name)
        except Unavailable as error:
            failed[name] = str(error)
            first.pop(name, None)
    seconds: dict[str, list[float]] = {name: [] for name in first}
    for _ in range(repeats):
        for name in first:
            seconds[name].append(contestants[name][0].ask(do="run", name=name))
    for name in first:
        contestants[name][0].ask(do="drop", name=name)
    return {name: {"first": first[name], "seconds": seconds[name]} for name in first}, failed


@contextlib.contextmanager
def pinned():
    """Context in which the process, and those that it starts, run on one core only."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def idle(wall: float, processor: float) -> tuple[float, float]:
    """Seconds of wall-clock time in which one core was not used, and their share of it."""
    return wall - processor, (wall - processor) / wall


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """How many times faster ours is: the median over all turns of their seconds divided by ours."""
    return statistics.median(their / our for their, our in zip(theirs, ours, strict=True))


def line(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float, float]:
    """Least-squares line y = a + b x: a, b, and the share of the variance that it explains."""
    x_mean, y_mean = statistics.fmean(xs), statistics.fmean(ys)
    spread = sum((x - x_mean) ** 2 for x in xs)
    slope = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / spread
    start = y_mean - slope * x_mean
    total = sum((y - y_mean) ** 2 for y in ys)
    rest = sum((y - start - slope * x) ** 2 for x, y in zip(xs, ys, strict=True))
    return start, slope, 1.0 - rest / total if total else 1.0


def training_flops(forward: int, images: int) -> int:
    """Operations of training on `images` images; the backward pass costs twice the forward pass."""
    return 3 * forward * images


def table(rows: Sequence[Sequence[Any]]) -> str:
    """Rows as a Markdown table; the first row is the heading."""
    head, *texts = [[f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    return markdown(head, texts)
