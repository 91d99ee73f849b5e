"""Export of a model: the formats, architecture, classes, a script that predicts and a model card, complete or absent."""

import json
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras

from nash_tf.architecture import Architecture
from nash_tf.export_formats import ALWAYS, FORMATS
from nash_tf.exporting import checking, model_card, predict_script
from nash_tf.exporting.checking import ExportError
from nash_tf.exporting.images import Images, fits, for_script
from nash_tf.files import run_directory
from nash_tf.files.atomic import replace_directory
from nash_tf.keras_models.importing import from_keras
from nash_tf.keras_models.private_api import parts
from nash_tf.keras_models.state import restoring
from nash_tf.morphisms.names import nearest
from nash_tf.terminal.errors import cause
from nash_tf.terminal.streams import without_errors_shown

__all__ = ["ExportError", "export"]

_ARCHITECTURE, _CARD = "architecture.json", "model_card.md"
_NAMES = {
    *(module.FILE for module in FORMATS.values()),
    *(_ARCHITECTURE, _CARD, predict_script.CLASSES, predict_script.IMAGE, run_directory.SCRIPT),
    *("__pycache__", ".DS_Store"),  # what Python and a desktop leave
}


def export(
    model: keras.Model,
    directory,
    example=None,
    facts: Mapping[str, Any] | None = None,
    searched: keras.Model | None = None,
    *,
    formats: str | Iterable[str] = ALWAYS,
    images: Images | None = None,
    test: Mapping[str, Any] | None = None,
    seconds: float = 60.0,
    left_out: Callable[[str, str], None] | None = None,
    not_tried: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, dict[str, Any]]:
    """Writes the formats, `architecture.json` and `model_card.md` into `directory`; of a classifier of images `classes.json`
    and, where image files hold what it takes, `image.json` and `predict.py` too.

    Args:
        model: functional model; what it takes and gives is what the exported ones take and give.
        directory: where to; an earlier export there is replaced whole, once this one is complete and checked, but not where
            there are files beside it.
        example: batch of inputs, in the structure that the model takes. With it each format is loaded in a fresh process that
            does not know this package, `.keras` in this one, and must give the same outputs: the SavedModel to 1e-5 of the
            largest, in half precision to what that holds, other runtimes to 1e-3; int8 is not compared.
        formats: a name in `nash_tf.export_formats.NAMES`, or several; SavedModel and `.keras` are always written.
        facts: name -> value, for the model card.
        left_out: called with name and reason for each format that cannot be made of this model or does not agree with it;
            if not given, that is an ExportError. SavedModel and `.keras` always are.

    What follows is of a run of `nash-tf`, which has more than a model to tell of:
        searched: where `model` is a network that a search found with its scaling of pixels in front, that network: its
            architecture is the one that is written.
        images: of a classifier of images, those that it was made from (`nash_tf.exporting.images.Images`). Each format's accuracy on the
            test images and time for one of them are measured, and int8 takes its ranges from training images; else from the example.
        seconds: about how long the test of a format may take; fewer test images are used where it would be more.
        test: for the model card, the scores on the test images as results.json has them under `test`.
        not_tried: name -> reason, for the model card, of formats that are wanted and were left out before.

    Returns:
        Name of a format -> `file`, `bytes`, and with images `test_accuracy`, `test_images` and `milliseconds` for one; or the
        reason for which it was `left_out`.

    Raises:
        ExportError: the model cannot be exported, the example is not what it takes, the outputs differ, or `directory` holds
            something else than an export. It is left as it was.
        OSError: the files cannot be written, with a `filename`.
    """
    directory, formats = Path(directory).absolute(), (formats,) if isinstance(formats, str) else tuple(formats)
    architecture = _checked(model, directory, searched, formats, images)
    with _without_states(model):
        computed = None if example is None else checking.on_example(model, example)
        with replace_directory(directory) as beside:
            with checking.checker(model, beside, computed, images, seconds) as checker:
                exported = _all_made(formats, checker, beside, directory, left_out)
            exported |= {name: {"left_out": why} for name, why in not_tried.items()}
            script, logits = None, model_card.gives_logits(model, searched, images)
            if images is not None:
                script = _write_script(beside, images, logits)
            _write(beside / _ARCHITECTURE, architecture.to_json(indent=1))
            card = model_card.written(
                model, architecture, exported, facts or {}, searched, images, script, test, logits
            )
            (beside / _CARD).write_text(card, encoding="utf-8")
    return exported


@contextmanager
def _without_states(model: keras.Model) -> Iterator[None]:
    """Recurrent layers that keep states begin anew, as what is exported does: not every format holds states. Then a model is what it was."""
    with restoring(model):
        for layer in parts(model):
            if getattr(layer, "stateful", False):
                layer.reset_state()
        yield


def _checked(
    model: keras.Model,
    directory: Path,
    searched: keras.Model | None,
    formats: Sequence[str],
    images: Images | None,
) -> Architecture:
    """The architecture that is written; errors of what can be told before anything is computed."""
    _check_replaceable(directory)
    for name in formats:
        if name not in FORMATS:
            raise ExportError(
                f"formats: expected some of {', '.join(FORMATS)}; received {name!r}{nearest(name, FORMATS)}"
            )
    try:
        architecture = from_keras(searched or model)
    except (ValueError, TypeError, AttributeError) as error:
        raise ExportError(f"the model cannot be exported: {error}") from error
    if images is not None and not fits(model, images):
        raise ExportError("images: expected those that the model takes, and a class for each number that it gives")
    return architecture


def _all_made(
    formats: Sequence[str],
    checker: checking.Checker,
    folder: Path,
    directory: Path,
    left_out: Callable[[str, str], None] | None,
) -> dict[str, dict[str, Any]]:
    """Writes those formats, and those that always are, into a folder, later `directory`; what `export` returns of them."""
    images, example = checker.images, checker.example
    calibration = images.calibration() if images else example.inputs if example else None
    exported: dict[str, dict[str, Any]] = {}
    for name in (name for name in FORMATS if name in (*ALWAYS, *formats)):
        try:
            exported[name] = _made(name, checker, calibration, folder, directory)
        except ExportError as error:
            if left_out is None or name in ALWAYS:
                raise
            exported[name] = {"left_out": str(error)}
            left_out(name, str(error))
            (folder / FORMATS[name].FILE).unlink(missing_ok=True)
    return exported


def _made(name: str, checker: checking.Checker, calibration, folder: Path, directory: Path) -> dict[str, Any]:
    """Writes one format and checks it where there is something to check it with."""
    module = FORMATS[name]
    with without_errors_shown(), warnings.catch_warnings():  # converters talk much
        warnings.simplefilter("ignore")
        try:
            module.write(checker.model, folder, calibration)
            failure = None
        except Exception as error:  # of any layer's code, of a converter, or of TensorFlow for a full disk
            failure = error
    if failure:
        what = f"the model cannot be exported to {directory / module.FILE}: {cause(failure)}"
        raise ExportError(what) from failure
    record: dict[str, Any] = {"file": module.FILE, "bytes": checking.size_of(folder / module.FILE)}
    if name in ALWAYS and checker.example is None and checker.images is None:
        return record
    if module.load is None:
        checker.check_here(module, folder / module.FILE)
    elif measured := checker.check(module, folder / module.FILE):
        record |= {
            "test_accuracy": measured.accuracy,
            "test_images": measured.images,
            "milliseconds": measured.milliseconds,
        }
    return record


def _write_script(folder: Path, images: Images, logits: bool) -> dict | None:
    """Writes the names of the classes and, where an image file holds what the model takes, `predict.py`; what that must know."""
    _write(folder / predict_script.CLASSES, json.dumps(list(images.class_names), ensure_ascii=False, indent=1))
    script = for_script(images, logits)
    if script is not None:
        _write(folder / predict_script.IMAGE, json.dumps(script, indent=1))
        shutil.copyfile(predict_script.__file__, folder / run_directory.SCRIPT)
    return script


def _write(path: Path, text: str) -> None:
    path.write_text(text + "\n", encoding="utf-8")


def _check_replaceable(directory: Path) -> None:
    if not directory.name or directory.exists() and not directory.is_dir():
        raise ExportError(f"{directory}: expected a directory to export to")
    names = {path.name for path in directory.iterdir()} if directory.exists() else set()
    if names and not {FORMATS[name].FILE for name in ALWAYS} <= names:
        raise ExportError(f"{directory}: holds other files than an export, which would be lost; give a new directory")
    if others := sorted(names - _NAMES):
        what = f"{directory}: holds an export and {others[0]}, which would be lost"
        raise ExportError(f"{what}; move that, or give a new directory")
