"""Small searches on few of the bundled digits, in processes of their own and in this one."""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from nash_tf import export_formats, main
from tests.helpers import ROOT
from tests.helpers.keras_files import instead_of_exports

PROGRAM, WITHOUT_EXPORTS = "nash_tf.main", "tests.helpers.keras_files"
# Of the whole run: one that is optional beside those that always are. `exporting/test_formats.py` has all of them.
FORMATS = tuple(name for name in export_formats.installed() if name in (*export_formats.ALWAYS, "litert"))

TINY = [
    "--method=shrsep",
    "--train_limit=200",
    "--widths=4",
    "--steps=2",
    "--children=2",
    "--mutations=2",
    "--epochs_per_step=4",
    "--vanilla_epochs=1",
    "--final_epochs=0",
    "--max_params=3000",
    "--export=keras",
    "--nocontrol",
    "--threads=1",
]
FINAL = "--final_epochs=3"  # of the whole run
# The package of this checkout, and no GPU; `quick_start` is about how fast the libraries are imported.
PLACE = {"PYTHONPATH": f"{ROOT}/tests/helpers/quick_start:{ROOT}", "CUDA_VISIBLE_DEVICES": "-1"}
MEASURED = ("cpu_seconds", "wall_seconds")  # differ from run to run


def start(directory, *arguments, module=WITHOUT_EXPORTS, common=TINY, output=subprocess.PIPE, **environment):
    """A process of the program. It waits when nobody reads a full pipe."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *common, f"--output_dir={directory}", *arguments],
        env={**os.environ, **PLACE, **environment},
        cwd=ROOT,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    """What a process prints, which ends well."""
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    return printed


def checked_here(patch: pytest.MonkeyPatch) -> None:
    """Until `patch` is undone, each export is checked in this process: TensorFlow takes seconds to load in another."""
    from nash_tf.exporting import checking, clean_process

    def run(command, **_):
        assert command[1:3] == ["-P", clean_process.__file__]
        try:
            clean_process.main(*command[3:5], Path(command[5]))
        except Exception as error:
            return SimpleNamespace(returncode=1, stderr=f"{type(error).__name__}: {error}")
        return SimpleNamespace(returncode=0)

    patch.setattr(checking, "subprocess", SimpleNamespace(run=run, TimeoutExpired=subprocess.TimeoutExpired))
    for name in ("set_intra_op_parallelism_threads", "set_inter_op_parallelism_threads"):  # those of the whole suite
        patch.setattr(f"tensorflow.config.threading.{name}", lambda number: None)


def here(directory, *arguments, status=0, exports=False):
    """What the program prints in this process: for what needs none of its own, as that takes seconds to start.

    What it computes may differ by rounding from what a process of its own does.

    Args:
        status: with which it ends.
        exports: whether it exports as it would, checked in this process too, or Keras files alone.
    """
    from nash_tf import runtime  # here, not above: it imports TensorFlow, and all tests import this

    printed = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
    ):
        patch.setattr(runtime, "set_up", lambda threads: None)  # TensorFlow has computed before
        for name, value in PLACE.items():  # of the workers that it starts
            patch.setenv(name, value)
        (checked_here if exports else instead_of_exports)(patch)
        found = main.main(["main", *TINY, f"--output_dir={directory}", *arguments])
    assert found == status, printed.getvalue()
    return printed.getvalue()


def untrained(patch: pytest.MonkeyPatch) -> None:
    """Until `patch` is undone, networks of runs in this process are made and kept, not trained, and the larger one is the better."""
    import keras

    from nash_tf.tasks.image_classification import ImageClassifier

    def fit(self, hp, model, *, initial_epoch, epochs, **_):
        told = keras.callbacks.History()
        told.epoch = list(range(initial_epoch, epochs))
        values = {"loss": 1.0, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": model.count_params() / 1e4}
        told.history = {name: [value] * len(told.epoch) for name, value in values.items()}
        return told

    patch.setattr(ImageClassifier, "fit", fit)


def lineage(directory):
    """The records of a run without what is measured."""
    records = [json.loads(line) for line in (directory / "lineage.jsonl").read_text().splitlines()]
    return [{name: value for name, value in record.items() if name not in MEASURED} for record in records]


def without_search(monkeypatch):
    """Has a run in this process end where its search would begin."""
    from nash_tf import search
    from nash_tf.terminal.progress import Progress

    monkeypatch.setattr(search, "search", lambda *_: None)
    monkeypatch.setattr(search, "finish", lambda searched: {})
    monkeypatch.setattr(Progress, "finished", lambda *_: None)
