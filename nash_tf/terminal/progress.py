"""What a person sees while a search runs: a live line for the open training, a line a training, a table a step, the results."""

import math
import shutil
import sys
import time
from collections.abc import Callable, Mapping

import keras

from nash_tf.scores import classification
from nash_tf.strategy.records import TrainingKey

LIVE_EVERY = 0.2  # seconds between two states of the live line
PACE = 16  # trainings whose pace tells the time left
PLAIN_EVERY = 60.0  # seconds between two plain lines of one training, where there is no terminal


class Progress:
    """Writes to a stream; where that is a terminal, its last line is the state of the open training.

    Args:
        epochs: of the whole search.
        final_epochs: of the final training after it.
        stream: where to write.
    """

    def __init__(self, epochs: int, final_epochs: int = 0, stream=None):
        self.epochs, self.final_epochs, self.stream = epochs, final_epochs, stream or sys.stdout
        self.live = self.stream.isatty()
        self._marks = [(time.monotonic(), 0)]  # when each training of this process ended, and epochs trained until then
        self._limit: Callable[[], float] = lambda: math.inf
        self._end = math.inf  # when the limit ends the search, as it looked after the last training

    def callback(self, label: str, first_epoch: int, epochs: int) -> keras.callbacks.Callback:
        """A callback for `fit` that shows a training, which ends with epoch number `epochs`, as it goes."""
        return _Shown(self, label, first_epoch, epochs)

    def begins(self, epochs: int, limit: Callable[[], float]) -> None:
        """Tells how many epochs were trained before this process, and how many seconds the limit on time leaves."""
        self._marks, self._limit = [(time.monotonic(), epochs)], limit
        self._end = time.monotonic() + limit()

    def search_is_over(self) -> None:
        """Tells that the final training begins."""
        self._end = math.inf
        self.epochs = self._marks[-1][1]

    def left(self, epochs: float = 0.0) -> str:
        """The time left for the run, from the pace of the last trainings; `epochs` are those of the open one."""
        began, before = self._marks[-PACE:][0]
        done = self._marks[-1][1] + epochs
        if done <= before:
            return ""
        now = time.monotonic()
        pace = (now - began) / (done - before)
        searching = min((self.epochs - done) * pace, max(self._end - now, 0.0))
        return _duration(searching + self.final_epochs * pace) + " left"

    def trained(self, oracle) -> None:
        """Writes the training that has just ended, and the table of its step if that has ended with it."""
        outcome, name = oracle.last_outcome, oracle.objective.name
        record = outcome.record()
        self._marks.append((time.monotonic(), self._marks[-1][1] + record["epochs"]))
        self._end = time.monotonic() + self._limit()
        score = f"{name} {record[name]:.4f}" if name in record else record["status"]
        if record["status"] == "failed":
            score = f"failed: {(outcome.message or 'no reason given').strip().splitlines()[-1]}"
        self.line(
            f"{label(outcome.key)}  {record.get('params', 0):>9,} params  {record['epochs']:>3} epochs  {score}  "
            f"{record.get('cpu_seconds', 0):.1f} CPU-s  {self.left()}"
        )
        step, incumbent = outcome.key.step, oracle.search.incumbent
        if incumbent and incumbent.step == step and oracle.search.open_step != step:
            members = [other for other in oracle.lineage() if other["step"] == step]
            self.line(_table(members, incumbent.child, name))

    def finished(self, results: Mapping, directory) -> None:
        """Writes the results of a whole run."""
        trained_on = f"; after final training {results['test_accuracy']:.4f}" if self.final_epochs else ""
        self.line(
            f"winner: {results['params']:,} params, test accuracy {results['winner_test_accuracy']:.4f}{trained_on}; "
            f"the first network's was {results['vanilla_test_accuracy']:.4f}. Exported to {directory}/best"
        )
        if "test" in results:
            self.line(classification.words(results["test"]))

    def line(self, text: str) -> None:
        """Writes lines that stay."""
        print(f"\r\033[K{text}" if self.live else text, file=self.stream, flush=True)

    def state(self, text: str) -> None:
        """Writes the live line over the last one, cut to the terminal's width."""
        columns = shutil.get_terminal_size().columns
        self.stream.write(f"\r\033[K{text[: columns - 1]}")
        self.stream.flush()


class _Shown(keras.callbacks.Callback):
    def __init__(self, progress: Progress, label: str, first_epoch: int, epochs: int):
        super().__init__()
        self.progress, self.label, self.first, self.last = progress, label, first_epoch, epochs
        self.epoch, self.accuracy = first_epoch, ""

    def on_train_begin(self, logs=None):
        self.shown = time.monotonic()
        self.size = f"{sum(int(variable.shape.num_elements()) for variable in self.model.trainable_variables):,} params"

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self._show(min(1.0, (batch + 1) / (self.params.get("steps") or batch + 1)))  # a last group may be cut short

    def on_epoch_end(self, epoch, logs=None):
        shown = ("accuracy", "val_accuracy", "val_balanced_accuracy")
        self.accuracy = "  ".join(f"{name} {logs[name]:.4f}" for name in shown if name in logs)
        self._show(1.0)

    def _show(self, part: float):
        now = time.monotonic()
        if now - self.shown < (LIVE_EVERY if self.progress.live else PLAIN_EVERY):
            return
        self.shown = now
        left = self.progress.left(self.epoch + part - self.first)
        epoch = f"epoch {self.epoch + 1}/{self.last} {part:>4.0%}"
        text = "  ".join(filter(None, (self.label, self.size, epoch, self.accuracy, left)))
        (self.progress.state if self.progress.live else self.progress.line)(text)


def label(key: TrainingKey) -> str:
    """How a training is named in lines."""
    return "step {}  rung {}  child {}".format(*key)


def _duration(seconds: float) -> str:
    seconds = max(0, round(seconds))
    if seconds < 100:
        return f"{seconds} s"
    return f"{round(seconds / 60)} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _table(records: list[dict], winner: int, objective: str) -> str:
    last = {record["child"]: record for record in records}
    width = max(8, len(objective))
    lines = [f"\nstep {records[0]['step']} closed", f"  child  rungs     params  {objective:>{width}}  morphisms"]
    for child, record in sorted(last.items(), key=lambda item: (item[0] != winner, -item[1]["rung"], item[0])):
        mark = "*" if child == winner else " "
        operators = ", ".join(move[0] for move in record["morphisms"])
        operators = operators or ("first network" if record["step"] == 0 else "the parent")
        score = f"{record[objective]:.4f}" if objective in record else record["status"]
        lines.append(
            f"{mark} {child:>5}  {record['rung'] + 1:>5}  {record.get('params', 0):>9,}  {score:>{width}}  {operators}"
        )
    return "\n".join([*lines, ""])
