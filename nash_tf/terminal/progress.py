"""What a person sees while a search runs: a live line for the open training, a line a training, a table a step, the results."""

import math
import shutil
import sys
import time
from collections.abc import Callable, Collection, Mapping

import keras

from nash_tf.morphisms.names import counted
from nash_tf.strategy import explanations
from nash_tf.strategy.records import TrainingKey
from nash_tf.terminal import errors, summary

LIVE_EVERY = 0.2  # seconds between two states of the live line
PLAIN_EVERY = 60.0  # seconds between two plain lines of one training, where there is no terminal
ENOUGH = 0.1  # of a training, after which its own pace tells how long it will take


class Progress:
    """Writes to a stream; where that is a terminal, its last line is the state of the open training.

    Args:
        stream: where to write.
    """

    def __init__(self, stream=None):
        self.stream = stream or sys.stdout
        self.live = self.stream.isatty()
        self._forecast: Callable[[], float] = lambda: math.nan
        self._then: Callable[[], float] = lambda: math.nan
        self._end = math.nan  # when the run will end, as it looked after the last training of the search

    def callback(
        self, label: str, first_epoch: int, epochs: int | Callable[[], int], done: int = 0
    ) -> keras.callbacks.Callback:
        """A callback for `fit` that shows a training, which ends with epoch number `epochs`, as it goes; `done` are the epochs from the first
        on that another process has done."""
        return _Shown(self, label, first_epoch, epochs if callable(epochs) else lambda: epochs, done)

    def begins(self, forecast: Callable[[], float], then: Callable[[], float]) -> None:
        """Tells what a search goes by.

        Args:
            forecast: gives the seconds left for the whole run, asked after each training; NaN where nobody knows.
            then: gives the seconds of what follows the search.
        """
        self._forecast, self._then = forecast, then
        self._end = time.monotonic() + forecast()

    def then(self, seconds: Callable[[], float]) -> None:
        """Tells that the search is over, and the seconds of what follows the training that comes next."""
        self._end, self._then = math.nan, seconds

    def left(self, done: float = 0.0, seconds: float = 0.0) -> str:
        """The time left for the run, where a share `done` of the open training has taken so many seconds."""
        expected = self._end - time.monotonic()
        if done >= ENOUGH:
            own = seconds * (1 - done) / done + self._then()  # NaN while nobody knows what follows
            expected = own if math.isnan(expected) else max(expected, own)
        return "" if math.isnan(expected) else f"{summary.duration(expected)} left"

    def trained(self, oracle) -> None:
        """Writes the training that has just ended, and the table of its step if that has ended with it."""
        outcome, name = oracle.last_outcome, oracle.objective.name
        record = outcome.record()
        self._end = time.monotonic() + self._forecast()
        score = f"{name} {record[name]:.4f}" if name in record else record["status"]
        if record["status"] == "failed":
            score = f"failed: {errors.cause(outcome.message or '')}"
        self.line(f"{label(outcome.key)}  {record.get('params', 0):>9,} params  {score}  {self.left()}")
        if outcome.is_shortened:
            self.line(f"Note: {explanations.shortened([outcome])}.")
        step, incumbent = outcome.key.step, oracle.search.incumbent
        if incumbent and incumbent.step == step and oracle.search.open_step != step:
            members = [other for other in oracle.lineage() if other["step"] == step]
            finished = {key.child for key in oracle.search.finished_networks if key.step == step}
            self.line(_table(members, incumbent.child, name, finished))

    def finished(self, results: Mapping, directory) -> None:
        """Writes the results of a whole run: what there is, how it was come by, and how to use it."""
        self.line("\n".join(summary.lines(results, directory)))

    def line(self, text: str) -> None:
        """Writes lines that stay."""
        print(f"\r\033[K{text}" if self.live else text, file=self.stream, flush=True)

    def state(self, text: str, left: str) -> None:
        """Writes the live line over the last one; the text is cut to the terminal's width, the time left is not."""
        room = shutil.get_terminal_size().columns - 1
        end = f"  {left}" if left else ""
        self.stream.write(f"\r\033[K{(text[: max(0, room - len(end))] + end)[:room]}")
        self.stream.flush()


class _Shown(keras.callbacks.Callback):
    def __init__(self, progress: Progress, label: str, first_epoch: int, epochs: Callable[[], int], before: int):
        super().__init__()
        self.progress, self.label, self.first, self.last, self.before = progress, label, first_epoch, epochs, before
        self.epoch, self.accuracy = first_epoch + before, ""

    def on_train_begin(self, logs=None):
        self.began = self.shown = time.monotonic()
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
        last = self.last()
        done = (self.epoch + part - self.first) / max(last - self.first, 1)
        own = (self.epoch + part - self.first - self.before) / max(last - self.first - self.before, 1)
        left = self.progress.left(own, now - self.began)
        epoch = f"epoch {self.epoch + 1}/{last} {done:>4.0%}"  # of the training, as the time left is
        text = "  ".join(filter(None, (self.label, epoch, self.accuracy, self.size)))
        if self.progress.live:
            self.progress.state(text, left)
        else:
            self.progress.line(f"{text}  {left}".rstrip())


def label(key: TrainingKey) -> str:
    """How a training is named in lines."""
    return "step {}  rung {}  child {}".format(*key)


def _table(records: list[dict], winner: int, objective: str, finished: Collection[int] = ()) -> str:
    last = {record["child"]: record for record in records}
    width = max(8, len(objective))
    lines = [f"\nstep {records[0]['step']} closed", f"  child  rungs     params  {objective:>{width}}  morphisms"]
    for child, record in sorted(last.items(), key=lambda item: (item[0] != winner, -item[1]["rung"], item[0])):
        mark = "*" if child == winner else " "
        operators = counted(move[0] for move in record["morphisms"])
        operators = operators or ("first network" if record["step"] == 0 else "the parent")
        operators = f"{operators}, finished" if child in finished else operators
        score = f"{record[objective]:.4f}" if objective in record else record["status"]
        lines.append(
            f"{mark} {child:>5}  {record['rung'] + 1:>5}  {record.get('params', 0):>9,}  {score:>{width}}  {operators}"
        )
    return "\n".join([*lines, ""])
