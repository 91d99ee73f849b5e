"""The whole story: data, search, final training, export, results."""

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import keras
import keras_tuner
from keras_tuner import errors

from nash_tf import __version__, data, export_formats, report, runtime
from nash_tf.config import SearchConfig
from nash_tf.data.pipeline import Pipeline
from nash_tf.exporting.export import ExportError, export
from nash_tf.exporting.images import Images
from nash_tf.exporting.scaling import with_scaling
from nash_tf.files import run_directory
from nash_tf.files.atomic import tidy, write_atomically
from nash_tf.files.lock import Locked, locked
from nash_tf.keras_models.calibration import CALIBRATION_BATCH
from nash_tf.keras_models.checkpoint import CheckpointError
from nash_tf.scores import objectives
from nash_tf.strategy.time_limits import wall_and_cpu_seconds
from nash_tf.surgery import certificate
from nash_tf.tasks import image_classification as task
from nash_tf.tasks import start
from nash_tf.terminal.loading import Loading
from nash_tf.terminal.progress import Progress
from nash_tf.tuning.trial_files import DamagedSearch
from nash_tf.tuning.tuner import HillClimbing, SearchStopped
from nash_tf.workers import roles
from nash_tf.workers.local import LocalWorkers, WorkersDie

PACKAGES = ("tensorflow", "keras", "keras-tuner", "numpy")
FAILURES = (
    SearchStopped,
    DamagedSearch,
    WorkersDie,
    errors.FatalError,
    ExportError,
    CheckpointError,
    Locked,
    OSError,
)


def run(config: SearchConfig, resume: bool, command: Sequence[str] = ()) -> dict:
    """Runs, or resumes, a search to its results; in a worker, trains for its chief until there is nothing left.

    Args:
        config: all settings.
        resume: whether to go on with the run in `config.output_dir`.
        command: what the worker processes run, for `config.workers` or `config.isolate`.

    Returns:
        What is written to results.json; nothing in a worker.

    Raises:
        ConfigError, DataError: before anything is written.
        One of `FAILURES`: what ends a run that has begun.
    """
    began = wall_and_cpu_seconds()
    dataset = data.load(
        config.dataset,
        valid_fraction=config.valid_fraction,
        train_limit=config.train_limit,
        seed=config.seed,
        images=config.images,
        progress=Loading(quiet=roles.is_worker()),
    )
    directory = config.directory
    if roles.is_worker():
        config = run_directory.await_config(config)
    begun = run_directory.read_config(directory) if resume else None
    config = config.with_threads(begun.threads if begun else None)
    runtime.set_up(config.threads)  # before a model is loaded
    task.check(config, dataset)
    config = start.with_pixels(config, dataset, begun)
    if roles.is_worker():
        search(config, dataset)
        return {}
    print(
        "\n".join([*data.describe(dataset), *start.describe(config, dataset), *task.describe(config, dataset)]),
        flush=True,
    )
    with locked(directory):
        tidy(directory)
        run_directory.write_config(
            config, {"nash_tf": __version__, **{package: version(package) for package in PACKAGES}}
        )
        tuner, pipeline, progress = search(config, dataset, command)
        results = finish(config, dataset, pipeline, progress, tuner, began)
    progress.finished(results, directory)
    return results


def search(config: SearchConfig, dataset: data.Dataset, command: Sequence[str] = ()):
    """Runs the search alone, or this process's part in it; returns the tuner, and what it was given."""
    directory = config.directory
    augmentation = task.augmentation_of(config, dataset)
    runtime.set_up(config.threads)
    classes, weights = len(dataset.class_names), task.class_weights_of(config, dataset)
    pipeline = Pipeline(dataset.mean, dataset.std, classes, config.batch_size, augmentation, weights)
    progress = Progress(config.vanilla_epochs + config.steps * config.epochs_per_step, config.final_epochs)
    with local_workers(config, command) as workers:
        tuner = tuner_of(config, dataset, pipeline, progress)
        callbacks = []
        if config.tensorboard:
            callbacks.append(keras.callbacks.TensorBoard(str(directory / run_directory.TENSORBOARD), write_graph=False))
        valid = pipeline.evaluation(dataset.x_valid, dataset.y_valid)
        tuner.search(validation_data=valid, verbose=0, callbacks=callbacks, workers=workers)
    if not roles.is_worker():
        progress.line(f"The search is over: {tuner.oracle.end_reason()}.")
    return tuner, pipeline, progress


def finish(
    config: SearchConfig,
    dataset: data.Dataset,
    pipeline: Pipeline,
    progress: Progress,
    tuner: HillClimbing,
    began: tuple[float, float],
) -> dict:
    """Final training, test, export and results of a search that is over; `began` are wall-clock and CPU seconds."""
    directory = config.directory
    _write_lineage(directory, tuner.oracle)
    report.renew(directory)
    winner = tuner.get_best_models()[0]
    # Handed over in float32, whatever it was trained in.
    final = certificate.in_float32(task.train_finally(config, dataset, pipeline, winner, progress))
    numbers, test = task.test_results(
        dataset, pipeline, tuner.first_model(), winner, final, directory / run_directory.MISTAKES
    )
    now, before = wall_and_cpu_seconds(), tuner.oracle.limits.before
    results = {
        "method": config.method,
        "dataset": dataset.name,
        "seed": config.seed,
        **numbers,
        **search_results(tuner.oracle),
        "seconds": round(before[0] + now[0] - began[0], 1),
        "cpu_seconds": round(before[1] + now[1] - began[1], 1),
    }
    results["exports"] = export_best(config, dataset, pipeline, final, results, test)
    results["test"] = test
    write_atomically(directory / run_directory.RESULTS, (json.dumps(results, indent=2) + "\n").encode())
    report.renew(directory)
    return results


def export_best(
    config: SearchConfig,
    dataset: data.Dataset,
    pipeline: Pipeline,
    final: keras.Model,
    results: Mapping,
    test: Mapping,
) -> dict:
    """Exports a network with its scaling in front to `best/`; returns what is said of each format in results.json.

    Args:
        results, test: for the model card; what results.json says, and what it says of the test.
    """
    fit = config.image_fit
    parts = {"training": dataset.y_train, "validation": dataset.y_valid, "test": dataset.y_test}
    return export(
        with_scaling(final, *pipeline.scaling(dataset.x_train.dtype)),
        config.directory / run_directory.BEST,
        dataset.x_test[:32],
        facts={**results, **{f"--{name}": value for name, value in config.to_json().items()}},
        searched=final,
        formats=config.export or export_formats.installed(),
        images=Images(dataset.class_names, parts, dataset.x_train, dataset.x_test, dataset.y_test, fit),
        test=test,
        left_out=lambda name, reason: print(f"Export without {name}: {reason}", flush=True),
    )


@contextlib.contextmanager
def local_workers(config: SearchConfig, command: Sequence[str]):
    """Makes this process the chief of `config.workers` processes; none, where this one is enough or is told its part."""
    if (config.workers == 1 and not config.isolate) or roles.is_told():
        yield None
        return
    own, gpus = roles.local_chief(), runtime.gpu_names()

    def environment(number: int) -> dict[str, str]:
        trials = {roles.TRIALS: "1"} if config.isolate else {}
        return trials | ({"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {})

    os.environ.update(own)
    workers = LocalWorkers(config.workers, command, environment)
    try:
        yield workers
    finally:
        workers.stop()
        for name in own:
            del os.environ[name]


def tuner_of(config: SearchConfig, dataset: data.Dataset, pipeline: Pipeline, progress: Progress) -> HillClimbing:
    """The tuner of a run; it goes on from what is in the output directory."""
    directory, objective = config.directory, objectives.REGISTRY[config.objective]

    def on_trained(oracle):
        _write_lineage(directory, oracle)
        report.renew(directory)
        progress.trained(oracle)

    tuner = HillClimbing(
        task.ImageClassifier(config, dataset, pipeline, progress),
        keras_tuner.Objective(objective.metric, objective.direction),
        method=config.method,
        steps=config.steps,
        children=config.children,
        mutations=config.mutations,
        epochs_per_step=config.epochs_per_step,
        vanilla_epochs=config.vanilla_epochs,
        max_params=config.max_params,
        budget_epochs=task.budget_epochs(config, dataset),
        max_hours=config.max_hours,
        max_cpu_hours=config.max_cpu_hours,
        seed=config.seed,
        calibration=next(iter(pipeline.evaluation(dataset.x_train, dataset.y_train, batch_size=CALIBRATION_BATCH))),
        on_trained=on_trained,
        directory=str(directory),
        project_name=run_directory.TUNER,
    )
    if roles.is_worker():
        return tuner
    progress.begins(sum(record["epochs"] for record in tuner.oracle.lineage()), tuner.oracle.remaining_wall_seconds)
    return tuner


def search_results(oracle) -> dict:
    """What the search itself did."""
    lineage, search = oracle.lineage(), oracle.search
    best, scored = search.outcomes[search.best].metrics, dict.fromkeys(["val_accuracy", search.goal.name])
    return {
        "winner": list(search.best),
        "objective": search.goal.name,
        **{f"winner_{name}": round(best[name], 6) for name in scored},
        **{f"vanilla_{name}": lineage[0][name] for name in scored},
        "steps": max(record["step"] for record in lineage),
        "children": len({(record["step"], record["child"]) for record in lineage}),
        "epochs": sum(record["epochs"] for record in lineage),
        "search_ended": oracle.end_reason(),
    }


def _write_lineage(directory: Path, oracle) -> None:
    lines = [json.dumps(record, sort_keys=True) for record in oracle.lineage()]
    write_atomically(directory / run_directory.LINEAGE, "".join(f"{line}\n" for line in lines).encode())
