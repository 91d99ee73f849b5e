"""The section of a search's page on what next: code to copy, and how to go on."""

import shlex

from nash_tf.drawing.markup import Markup, tag
from nash_tf.files import run_directory
from nash_tf.records.runs import Run
from nash_tf.report.pages import html_page as html
from nash_tf.report.pages import search_summary
from nash_tf.report.pages.result_sections import image_shape
from nash_tf.strategy.time_limits import REACHED

_RESUME, _OUTPUT = tag("code", "--resume"), tag("code", "--output_dir")


def what_next(run: Run) -> Markup | None:
    """Code to copy, and how to go on."""
    best = run.directory / run_directory.BEST
    if run.state == "failed":
        return _after_failure(run)
    if run.state != "finished":
        if run.state not in ("unfinished", "begun"):
            return None
        return html.paragraph(
            "This page is written again after each training; load it again to see how far it is. A run that was interrupted goes "
            "on where it was: give the same command again, with ",
            tag("code", "--resume"),
            ".",
        )
    sizes = image_shape(run) or ("height", "width", "channels")
    shape = f"[images, {', '.join(str(size or 'any') for size in sizes)}]"
    code = (
        "import json\nimport tensorflow as tf\n\n"
        f"model = tf.saved_model.load({str(best / 'saved_model')!r})\n"
        f"classes = json.load(open({str(best / 'classes.json')!r}, encoding='utf-8'))\n"
        f"logits = model.serve(x)  # x: float32 {shape}, pixel values as they are\n"
        "probabilities = tf.nn.softmax(logits)  # of each class\n"
        "print([classes[number] for number in tf.argmax(logits, axis=1)])"
    )
    script = best / run_directory.SCRIPT
    of_files: list[object] = [
        html.paragraph("The classes of images, files or folders, of any size:"),
        html.code(f"nash-tf predict {shlex.quote(str(run.directory))} IMAGES..."),
        html.paragraph("The same without this package:"),
        html.code(f"python {shlex.quote(str(script))} IMAGES..."),
    ]
    parts: list[object] = [
        *(of_files if script.is_file() else []),
        html.paragraph("In a program:"),
        html.code(code),
        html.paragraph(
            "Other formats, what the model takes and its limits are in ", tag("code", str(best / "model_card.md")), "."
        ),
    ]
    if search_summary.cut(run):
        parts.append(_with_more_time(run))
    return html.together(*parts)


def _after_failure(run: Run) -> Markup:
    """What the same command does, and what helps."""
    if run.failure.startswith(REACHED):
        return html.paragraph(
            "The time that was spent counts, so that the same command fails again. Give it with ",
            _RESUME,
            " and a higher limit, or begin another run, with another ",
            _OUTPUT,
            ", that needs less time: with fewer images, or smaller ones.",
        )
    return html.paragraph(
        "The same command with ",
        _RESUME,
        " does again what failed, and goes on. It fails again unless the cause has passed, as a full disk may have; other settings, such "
        "as a lower learning rate, want another ",
        _OUTPUT,
        ".",
    )


def _with_more_time(run: Run) -> Markup:
    """How a search goes on that a limit has ended."""
    resumed = "give the same command with ", _RESUME, " and a higher limit"
    if run.known_method is None or not run.known_method.is_budgeted:
        return html.paragraph("To go on with the search, ", *resumed, ".")
    return html.paragraph(
        "For a longer search begin another run, with a higher limit and another ",
        _OUTPUT,
        ": this one was laid out for the time that it had, and what is trained stays as short as it is. To do only what is left of it, ",
        *resumed,
        ".",
    )
