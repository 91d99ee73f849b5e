"""The model card: what a model takes, gives and is for, how good and fast each format is, and code to copy."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.export_formats import FORMATS
from nash_tf.exporting import card_scores, signature
from nash_tf.exporting.images import Images
from nash_tf.exporting.markdown import Code, row, table
from nash_tf.exporting.predict_script import IMAGE
from nash_tf.files.run_directory import SCRIPT
from nash_tf.keras_models.views import inner, one_view
from nash_tf.terminal.text_tables import in_markdown

_SEEN = 32  # test images that show whether outputs are probabilities
_ROUNDING = 0.01  # of a probability, in half precision
_FITS = {
    "crop": "they are scaled to cover it, and cut to their centre",
    "pad": "they are scaled to fit into it, with black beside or above and below",
    "stretch": "they are stretched to it",
}


def written(
    model: keras.Model,
    architecture: Architecture,
    exported: Mapping[str, Mapping[str, Any]],
    facts: Mapping[str, Any],
    searched: keras.Model | None = None,
    images: Images | None = None,
    script: Mapping[str, Any] | None = None,
    test: Mapping[str, Any] | None = None,
    logits: bool = False,
) -> str:
    """The text of a model card, Markdown.

    Args:
        model: the one that is exported.
        architecture: of it, or of the searched network.
        exported: name of a format -> `file`, `bytes`, and what was measured; or why it was `left_out`.
        facts: name -> value, for the table of settings.
        searched: the network that a search found, if it is one.
        images: of a classifier.
        script: what `predict.py` was given, where there is one.
        test: of a classifier, its scores on the test images, as results.json has them.
        logits: whether the output is logits.
    """
    parts = [
        _head(model, architecture, searched, images, logits),
        _purpose(images) if images else [],
        card_scores.written(test, facts) if test else [],
        _formats(exported),
        _use(model, exported, images, script),
        _limits(images, exported, script, facts) if images else [],
        _facts(facts),
    ]
    return "\n".join(line for part in parts for line in part) + "\n"


def gives_logits(model: keras.Model, searched: keras.Model | None, images: Images | None) -> bool:
    """Whether the output is logits: as the loss says by `from_logits`; of a classifier where it does not, as outputs for some images show."""
    loss = getattr(searched or inner(model), "loss", None)
    if images is None or getattr(loss, "from_logits", False):
        return bool(getattr(loss, "from_logits", False))
    with keras.device("cpu:0"):
        batch = keras.ops.convert_to_tensor(images.test[: model.inputs[0].shape[0] or _SEEN], model.inputs[0].dtype)
        outputs = keras.ops.convert_to_numpy(keras.ops.cast(model(batch, training=False), "float32"))
    if not np.all(np.isfinite(outputs)):
        return False
    are_shares = bool(np.all((outputs >= -_ROUNDING) & (outputs <= 1 + _ROUNDING)))
    is_one = bool(np.all(np.abs(outputs.sum(axis=1) - 1) <= _ROUNDING * outputs.shape[1]))
    return not (are_shares and (is_one or loss is not None))


def _head(
    model: keras.Model, architecture: Architecture, searched: keras.Model | None, images: Images | None, logits: bool
) -> list[str]:
    origin = "Exported by nash_tf."
    if searched is not None:
        origin = "Found by nash_tf, neural architecture search by network morphisms."
        origin += " It takes pixel values as in the data set; their scaling is a part of it."
    if one_view(model) is not model:
        origin += " It answers by the mean of its outputs for an image and for its mirror image."
    words = ", logits" if logits else ""
    lowest = "" if images is None else ", pixel values from {:g} to {:g}".format(*(images.values() or images.range()))
    trained = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    others = sum(int(np.prod(variable.shape)) for variable in model.non_trainable_variables)
    return [
        "# Model card",
        "",
        origin,
        "",
        *(f"- Input {signature.described(*each)}{lowest}" for each in signature.named_inputs(model)),
        *(f"- Output {signature.described(*each)}{words}" for each in signature.named_outputs(model)),
        f"- {trained:,} trainable parameters, {others:,} others, in {len(architecture.nodes)} layers and operations",
    ]


def _purpose(images: Images) -> list[str]:
    names, counts = [*images.labels], images.counts()
    rows = [
        [number, name, *(f"{counts[part][number]:,}" for part in names)]
        for number, name in enumerate(images.class_names)
    ]
    rows.append(["", "all", *(f"{sum(counts[part]):,}" for part in names)])
    height, width, channels = images.training.shape[1:]
    colour = {1: "grey ", 3: "colour "}.get(channels, "")
    return [
        "",
        "## What it is for",
        "",
        f"It says which of {len(images.class_names)} classes a {colour}image of {height}x{width} pixels shows, for images like "
        "those that it was trained on. Its output has a number for each class, in this order; the largest one names the class.",
        "",
        *table(["output", "class", *(f"{name} images" for name in names)], rows),
    ]


def _formats(exported: Mapping[str, Mapping[str, Any]]) -> list[str]:
    there = {name: each for name, each in exported.items() if "left_out" not in each}
    measured = any("test_accuracy" in each for each in there.values())
    head = ["format", "file", "kB", *(["test accuracy", "test images", "ms an image"] if measured else [])]
    rows = []
    for name, each in there.items():
        cells = [FORMATS[name].TITLE, Code(each["file"]), f"{each['bytes'] / 1000:,.0f}"]
        if "test_accuracy" in each:
            cells += [f"{each['test_accuracy']:.2%}", f"{each['test_images']:,}", f"{each['milliseconds']:g}"]
        rows.append([*cells, *[""] * (len(head) - len(cells))])
    lines = ["", "## Formats", "", *table(head, rows)]
    if measured:
        lines += [
            "",
            "Each format but Keras was loaded in a process of its own by its own runtime. The time is the median of calls with "
            "one image, by one thread of the processor of the machine that exported the model. The Keras file was loaded "
            "where it was written.",
        ]
    lines += [
        f"\nWithout {FORMATS[name].TITLE}: {in_markdown(each['left_out'])}."
        for name, each in exported.items()
        if "left_out" in each
    ]
    return lines


def _use(
    model: keras.Model, exported: Mapping[str, Mapping], images: Images | None, script: Mapping[str, Any] | None
) -> list[str]:
    inputs = signature.for_runtimes(model)
    lines = ["", "## How to use it"]
    if script:
        lines += ["", "On files, with TensorFlow, NumPy and Pillow:", "", "    python predict.py IMAGES... [--csv]"]
    lines += ["", "In a program that runs in this folder, here for each format with a batch of one:"]
    for name, each in exported.items():
        if "left_out" not in each:
            code = [*_input(model, inputs, script), *FORMATS[name].code(each["file"], inputs), *_output(images)]
            lines += ["", f"### {FORMATS[name].TITLE}", "", "```python", *_imports_first(code), "```"]
    own = ", ".join(f"`{name}`" for name in inputs["modules"])
    note = "A SavedModel is code: load only what you trust."
    return [
        *lines,
        "",
        note + (f" `model.keras` can be loaded once the modules of what is in it are imported: {own}." if own else ""),
    ]


def _input(model: keras.Model, inputs: dict, script: Mapping[str, Any] | None) -> list[str]:
    """Lines that make `x`."""
    if not script:
        arrays = [
            f"np.zeros({[size or 1 for size in tensor.shape]}, {_numpy_name(dtype)!r})"
            for tensor, dtype in zip(model.inputs, inputs["dtypes"], strict=True)
        ]
        return ["import numpy as np", f"x = {_with(inputs['structure'], arrays)}"]
    return [
        "import json",
        "import numpy as np",
        f"from {Path(SCRIPT).stem} import read",
        f'x = np.stack([read("image.png", json.load(open("{IMAGE}")))])  # as the training images were read',
    ]


def _output(images: Images | None) -> list[str]:
    if images is None:
        return ["print(output)"]
    return ["import json", 'print(json.load(open("classes.json", encoding="utf-8"))[output[0].argmax()])']


def _imports_first(lines: Sequence[str]) -> list[str]:
    imports = {line for line in lines if line.startswith(("import ", "from "))}
    return [
        *sorted(imports, key=lambda line: (line != "import json", line)),
        "",
        *(line for line in lines if line and line not in imports),
    ]


def _with(structure, texts: Sequence[str]) -> str:
    """A structure of numbers as Python code with texts in their places."""
    if isinstance(structure, dict):
        return "{" + ", ".join(f"{key!r}: {_with(each, texts)}" for key, each in structure.items()) + "}"
    if isinstance(structure, (list, tuple)):
        inside = ", ".join(_with(each, texts) for each in structure)
        return f"[{inside}]" if isinstance(structure, list) else f"({inside},)"
    return texts[structure]


def _numpy_name(dtype: str) -> str:
    return {"bfloat16": "float32", "string": "S1"}.get(dtype, dtype)


def _limits(
    images: Images, exported: Mapping[str, Mapping], script: Mapping[str, Any] | None, facts: Mapping[str, Any]
) -> list[str]:
    first, quantised = exported["saved_model"], exported.get("int8", {})
    counts = next(iter(images.counts().values()))
    rarest = int(np.argmin(counts))
    balanced = f"Each class has {counts[0]:,} training images."
    unequal = (
        f"The rarest class in training is {in_markdown(images.class_names[rarest])}, with {counts[rarest]:,} images."
    )
    lines = [
        "- It gives one of its classes for any image, also for one that shows none of them.",
        "- The accuracy is that on test images from the same source as the training images. On others (another camera, other "
        "light, another place) it is to be measured anew before anything depends on it.",
        f"- {balanced if min(counts) == max(counts) else unequal}",
    ]
    if script:
        lines.append(f"- `predict.py` brings images of other sizes to the model's: {_FITS[script['fit']]}.")
    else:
        lines.append("- No image file holds values such as it takes, so there is no `predict.py`.")
    if facts.get("--class_weight") == "balanced":
        lines.append(
            "- It was trained as if all classes were equally frequent (`--class_weight=balanced`): it gives rare classes a higher "
            "probability than their share of the images."
        )
    if "test_accuracy" in quantised:
        change = 100 * (quantised["test_accuracy"] - first["test_accuracy"])
        lines.append(f"- 8-bit arithmetic changes the accuracy by {change:+.2f} points.")
    return ["", "## Limits", "", *lines]


def _facts(facts: Mapping[str, Any]) -> list[str]:
    if not facts:
        return []
    return ["", "## Results and settings", "", "| fact | value |", "|---|---|", *map(row, facts.items())]
