"""Fits what a network comes to, by its operations and the epochs that a budget holds of it: the constants of `grow`.

    python tests/scripts/size_law.py

The trainings are in tests/experiments/sizes/trainings.jsonl (BUILD_NOTES.md, "What a network comes to"). Fitted are those of one
recipe for each number of images: loss = constant - gain log2(operations) + excess / sqrt(epochs), by least squares; the same for the
accuracy.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

TRAININGS = Path(__file__).parents[1] / "experiments" / "sizes" / "trainings.jsonl"
WEIGHT_DECAY = {10_000: 0.001, 45_000: 0.0005}  # by the number of images
RECIPE = {"cutout": 0.25, "label_smoothing": 0.1, "flip": "random", "shift": 4, "learning_rate": 0.1}
RECIPE |= {"batch_size": 128, "constant_until": 0.5}
FEWEST_EPOCHS = 15  # with fewer, networks are further from what they could come to than the law says


class Law(NamedTuple):
    """What the trainings with one number of images say, in units of the loss or points of accuracy.

    Attributes:
        gain: for each doubling of the operations.
        excess: what is lost with one epoch; with e epochs, 1/sqrt(e) of it.
        error: root mean square of what the law does not say.
        trainings: that it is fitted to.
    """

    gain: float
    excess: float
    error: float
    trainings: int


def trainings(images: int) -> list[dict]:
    """Those of the one recipe, of networks that did not grow."""
    rows = map(json.loads, TRAININGS.read_text().splitlines())
    recipe = RECIPE | {"images": images, "weight_decay": WEIGHT_DECAY[images]}
    same = (row for row in rows if "grown_at" not in row and recipe.items() <= row.items())
    return [row for row in same if epochs(row) >= FEWEST_EPOCHS]


def epochs(row: dict) -> float:
    """That a training had."""
    return row["updates"] * row["batch_size"] / row["images"]


def fit(images: int, score: str) -> Law:
    """The law for a number of images.

    Args:
        images: 10,000 or 45,000.
        score: `test_loss`, or `test_accuracy` in percent.
    """
    rows = trainings(images)
    sign = -1 if score == "test_loss" else 1
    known = np.array([[1.0, np.log2(row["mflop"]), -(epochs(row) ** -0.5)] for row in rows])
    values = sign * np.array([row[score] for row in rows])
    (_, gain, excess), *_ = np.linalg.lstsq(known, values)
    left = values - known @ np.linalg.lstsq(known, values)[0]
    return Law(float(gain), float(excess), float(np.sqrt((left**2).sum() / (len(rows) - 3))), len(rows))


def main() -> None:
    """Prints the laws."""
    print("| images | score | trainings | gain for a doubling | excess after an epoch | gain / excess | not said |")
    print("|---|---|---|---|---|---|---|")
    for images in WEIGHT_DECAY:
        for score in ("test_loss", "test_accuracy"):
            law = fit(images, score)
            print(
                f"| {images:,} | {score} | {law.trainings} | {law.gain:.4f} | {law.excess:.3f} | "
                f"{law.gain / law.excess:.4f} | {law.error:.4f} |"
            )


if __name__ == "__main__":
    main()
