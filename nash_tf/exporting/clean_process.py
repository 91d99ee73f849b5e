"""What an exported model computes by its own runtime, and how fast: a script for a process that knows nothing of this package.

    python -P clean_process.py MODULE_OF_THE_FORMAT MODEL FOLDER

FOLDER holds `job.txt`, a dict as Python writes it, and of `example.npz` and `images.npy` what there is; `outputs.npz`,
`scores.npy` and `measured.json` are written there. One thread computes, and no GPU.
"""

import ast
import json
import os
import runpy
import statistics
import sys
import time
from pathlib import Path

import numpy as np

CALLS, PATIENCE = 100, 2.0  # single images whose time is taken, or as many as fit into so many seconds
BATCH = 64


def main(source: str, model: str, folder: Path) -> None:
    """Does the job in a folder."""
    job = ast.literal_eval((folder / "job.txt").read_text(encoding="utf-8"))
    call = runpy.run_path(source)["load"](model, job["inputs"])
    if (folder / "example.npz").exists():
        with np.load(folder / "example.npz") as given:
            arrays = [given[f"arr_{number}"] for number in range(len(given.files))]
        np.savez(folder / "outputs.npz", *call(arrays))
    if (folder / "images.npy").exists():
        images = np.load(folder / "images.npy", mmap_mode="r")
        seconds = _seconds_per_image(call, images)
        count = job["count"] or max(1, min(len(images), int(job["seconds"] / seconds)))
        chosen = np.linspace(0, len(images) - 1, count).round().astype(int)  # evenly, for they may lie class by class
        parts = [chosen[start : start + BATCH] for start in range(0, count, BATCH)]
        np.save(folder / "scores.npy", np.concatenate([call([images[part]])[0] for part in parts]))
        measured = {"milliseconds": 1000 * seconds, "chosen": chosen.tolist()}
        (folder / "measured.json").write_text(json.dumps(measured))


def _seconds_per_image(call, images: np.ndarray) -> float:
    """Median time of calls with a single image, the first ones left out."""
    times: list[float] = []
    begun = time.perf_counter()
    while len(times) < CALLS + 3 and (len(times) < 6 or time.perf_counter() - begun < PATIENCE):
        image = np.asarray(images[len(times) % len(images)][np.newaxis])
        before = time.perf_counter()
        call([image])
        times.append(time.perf_counter() - before)
    return max(statistics.median(times[3:]), 1e-9)


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
