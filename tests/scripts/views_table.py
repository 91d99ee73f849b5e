"""What finished runs come to by one view of each test image, and by the mean over it and its mirror image:
`python tests/scripts/views_table.py OUT RUN...`; adds a line of JSON for each run that is not in OUT."""

import json
import sys
from functools import lru_cache
from pathlib import Path

import keras
import numpy as np

from nash_tf import data, optimizers  # noqa: F401  files of earlier versions name Muon
from nash_tf.keras_models.views import mirrored, one_view


@lru_cache(maxsize=1)
def loaded(source: str, valid_fraction: float, train_limit: int | None) -> data.Dataset:
    """A data set, once for runs of it that follow each other."""
    return data.load(source, valid_fraction=valid_fraction, train_limit=train_limit)


def scored(model: keras.Model, dataset: data.Dataset) -> tuple[float, float]:
    """Accuracy in per cent, and cross-entropy, on the test images."""
    logits = np.asarray(model.predict(dataset.x_test.astype(np.float32), batch_size=500, verbose=0), np.float64)
    likely = logits - logits.max(1, keepdims=True)
    likely -= np.log(np.exp(likely).sum(1, keepdims=True))
    right = logits.argmax(1) == dataset.y_test
    return round(100 * float(right.mean()), 2), round(-float(likely[np.arange(len(right)), dataset.y_test].mean()), 4)


def main() -> None:
    """Adds a line for each run."""
    out, *runs = map(Path, sys.argv[1:])
    there = {json.loads(line)["run"] for line in out.read_text().splitlines()} if out.exists() else set()
    for run in runs:
        name = f"{run.parent.name}/{run.name}"
        if name in there or not (run / "results.json").exists():
            continue
        config = json.loads((run / "config.json").read_text())
        dataset = loaded(config["dataset"], config["valid_fraction"], config["train_limit"])
        one = one_view(keras.models.load_model(run / "best" / "model.keras", compile=False))
        (accuracy, loss), (both, loss_of_both) = scored(one, dataset), scored(mirrored(one), dataset)
        params = json.loads((run / "results.json").read_text())["params"]
        line = {"run": name, "params": params, "one": accuracy, "mirrored": both}
        line |= {"one_loss": loss, "mirrored_loss": loss_of_both}
        print(json.dumps(line), flush=True)
        with out.open("a") as file:
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
