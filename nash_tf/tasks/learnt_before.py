"""What a model that a search starts from may have learnt already of the images by which networks are judged."""

import os
from pathlib import Path

from nash_tf.data import identity
from nash_tf.data.dataset import Dataset
from nash_tf.data.source import composed, listed, printable
from nash_tf.exporting.predict_script import CLASSES
from nash_tf.files import run_directory
from nash_tf.records import loading, regular_files
from nash_tf.records.runs import Run, number

_LARGEST = 1 << 24  # bytes of a file of classes
UNKNOWN = (
    "Where the model of --start was trained on some of these images (as before images or a class were added, or with another --seed), the "
    "scores on validation and test images among them come out too high: keep the test images in a folder of their own (train/ and test/)"
)
VALIDATION = (
    "The model of --start was trained on these validation images too, in the final training of its run: scores on them come out too high, "
    "and by them networks are compared; go by the test images"
)


def notes(path: str, dataset: Dataset) -> tuple[str, ...]:
    """A sentence where scores on validation or test images may come out too high; none where a model has learnt from none of them.

    A model may have learnt in its own run, in that whose model this one began with, and so on.

    Args:
        path: of the model, which has weights.
        dataset: the images of the search.
    """
    model, seen, knows_validation = Path(path).resolve(), set[Path](), False
    while model not in seen:
        seen.add(model)
        run = _run_of(model)
        validated = None if run is None else _saw_validation(run, model.parent)
        if run is None or validated is None or not _is_of(run, dataset):
            return (UNKNOWN,)
        knows_validation = knows_validation or validated
        before = run.config.get("start")
        if not isinstance(before, str) or not before.endswith(".keras"):  # of an architecture weights are drawn anew
            return (VALIDATION,) if knows_validation else ()
        model = Path(before).resolve()
    return (UNKNOWN,)


def other_classes(path: str, dataset: Dataset) -> str | None:
    """A sentence where the classes that lie beside a model are other ones than those that its outputs are taken for, one by one in their
    order; None where they are these, or none lie there.

    Args:
        path: of the model, which has an output for each class.
        dataset: the images of the search.
    """
    try:
        known = regular_files.parse(regular_files.read(Path(path).resolve().with_name(CLASSES), _LARGEST))
    except (OSError, ValueError, regular_files.Unreadable):
        return None
    if not isinstance(known, list) or not all(isinstance(name, str) for name in known):
        return None
    pairs = list(zip(known, dataset.class_names, strict=False))
    moved = [f"{printable(now)} for {printable(then)}" for then, now in pairs if composed(then) != composed(now)]
    if len(known) != len(dataset.class_names) or not moved:
        return None
    return (
        f"By {CLASSES} beside it the model learnt other classes: {listed(moved)}, of {len(known)}. Those outputs begin with what they know of the "
        "other class. Where a class has another name alone, nothing is lost; where a new class has shifted them, rename it so that the "
        "others keep their places."
    )


def _run_of(model: Path) -> Run | None:
    """The run that handed a model over: it lies in best/, or in a folder of front/."""
    folders = [
        folder for folder in model.parents[1:3] if os.path.isfile(folder / run_directory.CONFIG)
    ]  # False where none may look
    return loading.read(folders[0]) if folders else None


def _is_of(run: Run, dataset: Dataset) -> bool:
    """Whether a run had the same images, in the same parts."""
    return all(run.versions.get(name) == value for name, value in identity.versions(dataset).items())


def _saw_validation(run: Run, folder: Path) -> bool | None:
    """Whether a model that a run handed over was trained on its validation images; None where that is not known."""
    name = folder.relative_to(run.directory).as_posix()
    if name == run_directory.BEST:
        epochs = number(run.results.get("final_epochs_done"))
        return None if epochs is None else epochs > 0
    known = {each.get("directory"): each.get("knows_validation") for each in run.front}.get(name)
    return known if isinstance(known, bool) else None
