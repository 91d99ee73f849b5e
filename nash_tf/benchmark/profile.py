"""Profiles a search: `python -m nash_tf.benchmark.profile OUT.json FLAG...`, with the flags of `nash_tf.main`.

Each moment of processor time counts for the innermost part that is running. Training and evaluation steps count at
their steady rate: the time of a step beyond 1.5 times its model's median (tracing, first use of a kernel) counts as
set-up.
"""

import json
import os
import resource
import statistics
import sys
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakKeyDictionary

STEADY = ("training steps", "evaluation steps")
SPARE = 1.5


def steady(seconds: list[float]) -> tuple[float, float]:
    """Splits the seconds of one model's steps into those at the steady rate and those beyond it."""
    if len(seconds) < 2:
        return 0.0, sum(seconds)  # a first call alone
    bound = SPARE * statistics.median(seconds)
    at_steady_rate = sum(min(second, bound) for second in seconds)
    return at_steady_rate, sum(seconds) - at_steady_rate


def overhead(parts: dict[str, float]) -> float:
    """Share of all seconds that are not steps at the steady rate."""
    return 1.0 - sum(parts.get(name, 0.0) for name in STEADY) / sum(parts.values())


class Profile:
    """Processor seconds of each part; each moment counts for one part only.

    Args:
        clock: gives the processor seconds so far.
    """

    def __init__(self, clock=time.process_time):
        self.parts: dict[str, float] = defaultdict(float)
        self._clock, self._stack = clock, ["other"]
        self._since = 0.0  # time before the profile begins counts as "other" until `begin`
        self._steps: WeakKeyDictionary = WeakKeyDictionary()
        self._series: list[tuple[str, list[float]]] = []

    def _turn(self) -> None:
        now = self._clock()
        self.parts[self._stack[-1]] += now - self._since
        self._since = now

    @contextmanager
    def part(self, name: str):
        """Context whose time counts for the part `name` and not for the surrounding part."""
        self._turn()
        self._stack.append(name)
        try:
            yield
        finally:
            self._turn()
            self._stack.pop()

    def begin(self, name: str) -> None:
        """Counts all time so far for one part."""
        self._turn()
        self.parts[name] += self.parts.pop("other", 0.0)

    def watch(self, owner, function: str, name: str) -> None:
        """Replaces a function by one that counts its time for the part `name`."""
        original = getattr(owner, function)

        def watched(*args, **kwargs):
            with self.part(name):
                return original(*args, **kwargs)

        setattr(owner, function, watched)

    def steps(self, model, name: str) -> list[float]:
        """The list of seconds of a model's steps, to append to, measured inside the part "... around the steps"."""
        of_model = self._steps.setdefault(model, {})
        if name not in of_model:
            of_model[name] = []
            self._series.append((name, of_model[name]))
        return of_model[name]

    def close(self) -> dict[str, float]:
        """The seconds of all parts, with the steps taken out of the parts around them."""
        self._turn()
        parts = defaultdict(float, self.parts)
        for name, seconds in self._series:
            at_steady_rate, beyond = steady(seconds)
            parts[f"{name} steps"] += at_steady_rate
            parts[f"tracing, first calls of {name}"] += beyond
            parts[f"{name} around the steps"] -= at_steady_rate + beyond
        return dict(parts)


def _watch_fits(profile: Profile) -> None:
    import keras

    class Stopwatch(keras.callbacks.Callback):
        began = 0.0

        def on_train_batch_begin(self, batch, logs=None):
            self.began = time.process_time()

        def on_train_batch_end(self, batch, logs=None):
            profile.steps(self.model, "training").append(time.process_time() - self.began)

        on_test_batch_begin = on_train_batch_begin

        def on_test_batch_end(self, batch, logs=None):
            profile.steps(self.model, "evaluation").append(time.process_time() - self.began)

    fit, evaluate = keras.Model.fit, keras.Model.evaluate

    def watched_fit(model, *args, callbacks=None, **kwargs):
        with profile.part("training around the steps"):
            return fit(model, *args, callbacks=[*(callbacks or []), Stopwatch()], **kwargs)

    def watched_evaluate(model, *args, callbacks=None, **kwargs):
        if not isinstance(callbacks, keras.callbacks.CallbackList):  # called by itself, not by `fit`
            callbacks = [*(callbacks or []), Stopwatch()]
        with profile.part("evaluation around the steps"):
            return evaluate(model, *args, callbacks=callbacks, **kwargs)

    keras.Model.fit, keras.Model.evaluate = watched_fit, watched_evaluate


def _watch_parts(profile: Profile) -> None:
    """Imports what a search needs, and watches its parts where they are called."""
    import keras

    import nash_tf.search as search
    from nash_tf import data, report
    from nash_tf.keras_models import checkpoint
    from nash_tf.surgery import birth, certificate
    from nash_tf.tasks import handing_over
    from nash_tf.training import child_models
    from nash_tf.tuning import oracle

    profile.begin("interpreter and imports")
    profile.watch(data, "load", "data")
    profile.watch(child_models.ChildModels, "build", "building")
    profile.watch(child_models, "calibrate_child", "calibration and certificate")
    profile.watch(child_models, "inherit", "morphisms")
    profile.watch(birth, "flops", "morphisms")
    profile.watch(certificate, "measure", "calibration and certificate")
    profile.watch(checkpoint, "save", "checkpoints")
    profile.watch(checkpoint, "load", "checkpoints")
    profile.watch(child_models.gc, "collect", "garbage collection")
    profile.watch(keras.utils, "set_random_seed", "seeding")
    profile.watch(search, "tuner_of", "tuner set-up")
    profile.watch(handing_over, "export", "export")  # which knows it by its own name
    profile.watch(report, "write", "report")
    for name in ("create_trial", "end_trial", "update_trial", "save"):
        profile.watch(oracle.HillClimbingOracle, name, "oracle")


def run(arguments: list[str]) -> dict:
    """Runs `nash_tf.main` in this process and returns its status, the seconds of each part, and the peak memory."""
    profile = Profile()
    _watch_parts(profile)
    _watch_fits(profile)
    from nash_tf import main

    status = main.main(["nash_tf.main", *arguments])
    ended = os.times()
    parts = {**profile.close(), "export, in its child process": ended.children_user + ended.children_system}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {
        "status": status,
        "parts": {name: round(seconds, 2) for name, seconds in sorted(parts.items(), key=lambda part: -part[1])},
        "cpu_seconds": round(sum(parts.values()), 1),
        "overhead": round(overhead(parts), 4),
        "peak_gigabytes": [round(kilobytes / 2**20, 3) for kilobytes in peak],
    }


def main() -> None:
    """Profiles a search; writes the result to a file and prints it."""
    result = run(sys.argv[2:])
    Path(sys.argv[1]).write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
