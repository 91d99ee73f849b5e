"""Searches in real processes, on few of the bundled digits."""

import json
import os
import subprocess
import sys

from tests.helpers import ROOT

TINY = [
    "--method=shrsep",
    "--train_limit=200",
    "--widths=4,8",
    "--steps=2",
    "--children=2",
    "--mutations=3",
    "--epochs_per_step=4",
    "--vanilla_epochs=1",
    "--final_epochs=1",
    "--max_params=3000",
    "--export=keras",
    "--nocontrol",
    "--threads=1",
]
MEASURED = ("cpu_seconds", "wall_seconds")  # differ from run to run


def start(directory, *arguments, module="nash_tf.main", common=TINY, output=subprocess.PIPE, **environment):
    """A process of the program, which has the package of this checkout and no GPU. It waits when nobody reads a full pipe."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *common, f"--output_dir={directory}", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1", **environment},
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


def lineage(directory):
    """The records of a run without what is measured."""
    records = [json.loads(line) for line in (directory / "lineage.jsonl").read_text().splitlines()]
    return [{name: value for name, value in record.items() if name not in MEASURED} for record in records]
