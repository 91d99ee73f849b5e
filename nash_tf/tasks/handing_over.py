"""What a run hands over: the export of its network to `best/`."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from nash_tf import export_formats
from nash_tf.architecture import Architecture
from nash_tf.architecture.costs import flops
from nash_tf.config import SearchConfig
from nash_tf.exporting.export import export
from nash_tf.exporting.images import Images
from nash_tf.exporting.scaling import with_scaling
from nash_tf.files import run_directory
from nash_tf.keras_models import views
from nash_tf.settings.costs import LATENCY, VIEWS
from nash_tf.tasks import export_time
from nash_tf.tasks.finished_search import FinishedSearch, has_front


def export_best(
    run: FinishedSearch, final: keras.Model, results: Mapping[str, Any], test: Mapping[str, Any]
) -> dict[str, Any]:
    """Exports a network to `best/`; returns what is said of each format in results.json.

    Args:
        results, test: for the model card; what results.json says, and what it says of the test.
    """
    config = run.config
    spread = ("control", "start")
    later = ["seconds", "cpu_seconds", *spread]  # of the whole run, the export included
    if results.get("no_control") is None:  # there is one, or none was asked for
        later.append("no_control")
    timed_anew = (LATENCY,) if has_front(config) else ()  # together with the front's others, which are not there yet
    facts = {name: value for name, value in results.items() if name not in later and not name.startswith(timed_anew)}
    facts |= {f"{own}_{name}": value for own in spread for name, value in (results.get(own) or {}).items()}
    wanted, expected = formats(config), run.plan.after.exports
    return export_network(run, final, run_directory.BEST, facts, test, wanted, images(run), "Export", expected)


def export_network(
    run: FinishedSearch,
    network: keras.Model,
    directory: str,
    facts: Mapping[str, Any],
    test: Mapping[str, Any],
    wanted: Sequence[str],
    of_images: Images,
    named: str,
    expected: float,
) -> dict[str, Any]:
    """Exports a network as it is used, in those formats for which there is time; returns what `export` does.

    Args:
        directory: in that of the run.
        facts, test: for the model card; the settings are added.
        wanted: the formats.
        named: the export, where it is said what is left out of it.
        expected: seconds that it takes, and those of the networks that follow.
    """
    config, limits = run.config, run.plan.limits
    dropped = export_time.dropped(wanted, export_formats.ALWAYS, expected, limits.seconds_left_in_all())
    why = f"no time was left for it before max_hours={config.max_hours}; --resume with a higher --max_hours makes it"

    def left_out(name: str, reason: str) -> None:
        run.progress.line(f"{named} without {name}: {reason}")

    for name in dropped:
        left_out(name, why)
    return export(
        complete(run, network),
        config.directory / directory,
        run.dataset.x_test[:32],
        facts={**facts, **{f"--{name}": value for name, value in config.to_json().items()}},
        searched=network,
        formats=[name for name in wanted if name not in dropped],
        images=of_images,
        test=test,
        seconds=export_time.scoring_seconds(config.max_hours),
        left_out=left_out,
        not_tried=dict.fromkeys(dropped, why),
    )


def complete(run: FinishedSearch, network: keras.Model) -> keras.Model:
    """A network as it is used: it takes pixel values as they are, in all its views."""
    return views.REGISTRY[run.config.views](with_scaling(network, *run.pipeline.scaling(run.dataset.x_train.dtype)))


def images(run: FinishedSearch) -> Images:
    """The images that the run's models are made from."""
    dataset = run.dataset
    parts = {"training": dataset.y_train, "validation": dataset.y_valid, "test": dataset.y_test}
    return Images(
        dataset.class_names,
        parts,
        dataset.x_train,
        dataset.x_test,
        dataset.y_test,
        run.config.image_fit,
        of_files=dataset.form is not None,
    )


def formats(config: SearchConfig) -> tuple[str, ...]:
    """The formats of the export."""
    return tuple(config.export or export_formats.installed())


def costs(run: FinishedSearch, architecture: Architecture) -> dict[str, Any]:
    """What results.json says of a network's operations and latency, in all its views; of its parameters it says more elsewhere."""
    return {**operations(run, architecture), **run.latencies.facts(architecture)}


def operations(run: FinishedSearch, architecture: Architecture) -> dict[str, int | None]:
    """What results.json says of a network's operations, in all its views."""
    of_one = flops(architecture)
    return {"flops": of_one and of_one * VIEWS[run.config.views]}
