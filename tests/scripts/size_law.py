"""Fits what a network comes to, by its operations and the epochs that a budget holds of it: the constants of `grow`.

    python tests/scripts/size_law.py

The trainings are in tests/experiments/sizes/trainings.jsonl (BUILD_NOTES.md, "What a network comes to"). Fitted are those of one
recipe for each number of images: loss = constant - gain log2(operations) + excess / sqrt(epochs), by least squares; the same for the
accuracy.

A second table, of tests/experiments/recipe/trainings.jsonl ("Orthogonal steps"), asks for each optimiser whether operations are worth as
much at each size of the images: a gain for each size of its own beside one gain for all, sizes weighted by their shares in the first
network, as `grow` does.

A last table, of those by Muon: what a doubling of the channels, or of the convolutions, of a stage is worth, in points of accuracy.
"""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

TRAININGS = Path(__file__).parents[1] / "experiments" / "sizes" / "trainings.jsonl"
WEIGHT_DECAY = {10_000: 0.001, 45_000: 0.0005}  # by the number of images
RECIPE = {"cutout": 0.25, "label_smoothing": 0.1, "flip": "random", "shift": 4, "learning_rate": 0.1}
RECIPE |= {"batch_size": 128, "constant_until": 0.5}
RECIPE_TRAININGS = Path(__file__).parents[1] / "experiments" / "recipe" / "trainings.jsonl"
STRONG = {
    "data_set": "CIFAR-10",
    "images": 10_000,
    "weight_decay": 0.001,
    "zoom": 1.25,
    "activation": "relu",
}
STRONG |= {name: value for name, value in RECIPE.items() if name not in ("flip", "shift")}
OPTIMIZERS: dict[str, dict] = {"sgd": {}, "muon": {"kernel_rate": 0.04}}
FIRST = "Q16 Q32 R R Q64 R"
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
    (_, gain, excess), _, error = least_squares(known, values)
    return Law(float(gain), float(excess), error, len(rows))


def least_squares(known: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The coefficients, their standard errors, and the root mean square of what they do not say."""
    found = np.linalg.lstsq(known, values)[0]
    error = float(np.sqrt(((values - known @ found) ** 2).sum() / (len(values) - known.shape[1])))
    return found, error * np.sqrt(np.diag(np.linalg.inv(known.T @ known))), error


def accuracy(row: dict) -> float:
    """On the test images and as many others, in percent."""
    return (row["test_accuracy"] + row["other_accuracy"]) / 2


def operations(network: str) -> Counter[int]:
    """Operations of convolutions by the side of the images they are on; networks are written as in BUILD_NOTES.md."""
    found, side, width = Counter[int](), 32, 3
    for layer, *number in network.split():
        channels = int("".join(number) or width)
        if layer != "P":
            found[side] += 2 * 9 * width * channels * side**2
            width = channels
        side //= 2 if layer in "PQ" else 1
    return found


def of_the_recipe(optimizer: str) -> list[dict]:
    """The trainings by an optimiser with the recipe of the comparisons, of networks that did not grow."""
    recipe = STRONG | {"optimizer": optimizer} | OPTIMIZERS[optimizer]
    rows = [json.loads(line) for line in RECIPE_TRAININGS.read_text().splitlines()]
    rows = [row for row in rows if recipe.items() <= row.items() and isinstance(row["network"], str)]
    return [row for row in rows if epochs(row) >= FEWEST_EPOCHS]


def sizes_table(optimizer: str) -> None:
    """Prints what operations are worth by the size of the images, of trainings by an optimiser."""
    rows = of_the_recipe(optimizer)
    first = operations(FIRST)
    doublings = [{side: np.log2(operations(row["network"])[side] / first[side]) for side in first} for row in rows]
    scores: dict[str, Callable[[dict], float]] = {
        "loss": lambda row: -row["test_loss"],
        "accuracy": accuracy,
    }
    print(
        f"By {optimizer}, {len(rows)} trainings:\n\n| score | gain | of a doubling, with its error | excess | not said |"
    )
    print("|---|---|---|---|---|")
    for name, score in scores.items():
        values = np.array([score(row) for row in rows])
        own = {f"at {side} pixels": [each[side] for each in doublings] for side in first}
        shares = [sum(each[side] * first[side] for side in first) / first.total() for each in doublings]
        for gains in (own, {"all, weighted": shares}):
            known = np.array([np.ones(len(rows)), *gains.values(), [-(epochs(row) ** -0.5) for row in rows]]).T
            found, errors, error = least_squares(known, values)
            for number, gain in enumerate(gains, start=1):
                print(
                    f"| {name} | {gain} | {found[number]:.4f} ± {errors[number]:.4f} | {found[-1]:.4f} | {error:.4f} |"
                )


def stages(network: str) -> list[tuple[int, int]]:
    """Channels and convolutions of each stage of a network, which a convolution with a pool begins."""
    found = list[tuple[int, int]]()
    for layer, *number in network.replace(" P", "").split():
        if layer == "R":
            channels, convolutions = found.pop()
            found.append((channels, convolutions + 1))
        else:
            found.append((int("".join(number)), 1))
    return found


def shape_table() -> None:
    """Prints what a doubling is worth in each stage, of networks of three."""
    rows = [(stages(row["network"]), row) for row in of_the_recipe("muon")]
    rows = [(each, row) for each, row in rows if len(each) == 3]
    names = [f"{what} of stage {stage}" for stage in (1, 2, 3) for what in ("channels", "convolutions")]
    doublings = np.array([np.log2(np.ravel(each)) for each, _ in rows])
    varied = doublings.std(axis=0) > 0
    known = np.c_[np.ones(len(rows)), doublings[:, varied], [-(epochs(row) ** -0.5) for _, row in rows]]
    values = np.array([accuracy(row) for _, row in rows])
    found, errors, error = least_squares(known, values)
    print(f"By muon, {len(rows)} trainings; not said: {error:.3f}\n\n| doubling of | points |\n|---|---|")
    for name, gain, uncertainty in zip(np.array(names)[varied], found[1:], errors[1:], strict=False):
        print(f"| {name} | {gain:.2f} ± {uncertainty:.2f} |")


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
    for optimizer in OPTIMIZERS:
        print()
        sizes_table(optimizer)
    print()
    shape_table()


if __name__ == "__main__":
    main()
