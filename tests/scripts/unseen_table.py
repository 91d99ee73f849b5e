"""Whether the test images are harder than others: what finished runs come to on them, and on those training images that `--train_limit` kept
from them: `python tests/scripts/unseen_table.py RUN...`, for data sets whose images are read whole."""

import json
import math
import sys
from functools import lru_cache
from pathlib import Path

import keras
import numpy as np

from nash_tf import data, optimizers  # noqa: F401  files of earlier versions name Muon


@lru_cache(maxsize=1)
def everything(source: str) -> data.Dataset:
    """All images of a data set, once for runs of it that follow each other."""
    return data.load(source)


def _images(x: np.ndarray) -> list[bytes]:
    return [image.tobytes() for image in x]


def unseen(config: dict) -> tuple[np.ndarray, np.ndarray]:
    """The training images, with their labels, that a run neither trained nor was validated on. Copies of those are left out, too."""
    whole, names = everything(config["dataset"]), ("valid_fraction", "train_limit", "seed")
    own = data.load(config["dataset"], **{name: config[name] for name in names})
    used = {*_images(own.x_train), *_images(own.x_valid)}
    x, y = np.concatenate([whole.x_train, whole.x_valid]), np.concatenate([whole.y_train, whole.y_valid])
    others = [index for index, image in enumerate(_images(x)) if image not in used]
    return x[others], y[others]


def accuracy(model: keras.Model, x: np.ndarray, y: np.ndarray) -> str:
    """In per cent, with its standard error; a dash where there are no images."""
    if not len(y):
        return "–"
    right = np.asarray(model.predict(x.astype(np.float32), batch_size=500, verbose=0)).argmax(1) == y
    share = float(right.mean())
    return f"{100 * share:.2f} ± {100 * math.sqrt(share * (1 - share) / len(y)):.2f}"


def main() -> None:
    """Prints a row for each run."""
    print("| run | on the test images | on training images that it has not seen |\n|---|---|---|")
    for run in map(Path, sys.argv[1:]):
        config = json.loads((run / "config.json").read_text())
        model = keras.models.load_model(run / "best" / "model.keras", compile=False)
        test, (x, y) = everything(config["dataset"]), unseen(config)
        print(
            f"| {run.name} | {accuracy(model, test.x_test, test.y_test)} | {accuracy(model, x, y)} ({len(y):,}) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
