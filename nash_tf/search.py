"""The whole story: data, search, final training, export, results."""

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner import errors

from nash_tf import data, prior, report, runtime
from nash_tf.architecture import Architecture
from nash_tf.config import SearchConfig
from nash_tf.data.pipeline import Pipeline
from nash_tf.engines import Engine, Parts, Task
from nash_tf.exporting.export import ExportError
from nash_tf.files import plain_json, run_directory
from nash_tf.files.atomic import tidy, write_atomically
from nash_tf.files.lock import Locked, locked
from nash_tf.keras_models.calibration import CALIBRATION_BATCH
from nash_tf.keras_models.checkpoint import CheckpointError
from nash_tf.scores import objectives
from nash_tf.settings import engine as engine_settings
from nash_tf.strategy import explanations, long_histories, methods, time_plan
from nash_tf.strategy.time_limits import wall_and_cpu_seconds
from nash_tf.strategy.time_plan import TimePlan
from nash_tf.surgery import certificate
from nash_tf.tasks import (
    export_time,
    final_training,
    finished_run,
    finished_search,
    front,
    handing_over,
    resumption,
    start,
)
from nash_tf.tasks import image_classification as task
from nash_tf.tasks.control import train_control
from nash_tf.tasks.finished_search import FinishedSearch
from nash_tf.tasks.latency import Latencies
from nash_tf.terminal import summary
from nash_tf.terminal.progress import Progress
from nash_tf.tuning.arguments import SETTINGS, NotUsed
from nash_tf.tuning.results_table import last_words, search_results
from nash_tf.tuning.trial_book import SearchStopped
from nash_tf.tuning.trial_files import DamagedSearch
from nash_tf.tuning.tuner import HillClimbing
from nash_tf.workers import roles
from nash_tf.workers.local import WorkersDie

FAILURES = (SearchStopped, DamagedSearch, WorkersDie, errors.FatalError, ExportError, CheckpointError, Locked, OSError)


def run(
    config: SearchConfig, resume: bool, command: Sequence[str] = (), began: tuple[float, float] | None = None
) -> dict:
    """Runs, or resumes, a search to its results; in a worker, trains for its chief until there is nothing left.

    Args:
        config: all settings.
        resume: whether to go on with the run in `config.output_dir`.
        command: what the worker processes run, for `config.workers` or `config.isolate`.
        began: when the program began, as `wall_and_cpu_seconds` gives it; now, where it is not given.

    Returns:
        What is written to results.json; nothing in a worker.

    Raises:
        ConfigError, DataError: before anything is written.
        One of `FAILURES`: what ends a run that has begun.
    """
    loaded = wall_and_cpu_seconds()
    began = began or loaded
    loading = loaded[0] - began[0]  # how long the libraries took tells how fast the machine is
    directory = config.directory
    dataset = task.load(config, quiet=roles.is_worker())
    if roles.is_worker():
        _train_for_chief(config, dataset)
        return {}
    if roles.is_told():
        config = replace(config, workers=1, isolate=False)  # a chief that is told its part begins no processes
    begun = run_directory.read_config(directory) if resume else None
    before = run_directory.read_versions(directory) if resume else None
    config, dataset = _prepared(config, dataset, begun, before)
    config = prior.with_prior(config, begun)
    latencies, progress = Latencies(config), Progress()
    timed = latencies.check(task.first_network(config, dataset))
    print(
        *data.describe(dataset),
        *start.describe(config, dataset),
        *task.describe(config, dataset),
        *prior.describe(config),
        *resumption.describe(config, dataset, before),
        *resumption.of_raised_limits(config, begun),
        *timed,
        sep="\n",
        flush=True,
    )
    with run_directory.telling_stop(directory, then=report.renew), locked(directory):
        tidy(directory)
        if begun and (results := finished_run.results(config, begun)):
            return _finished_before(results, directory, progress)
        if begun:
            resumption.check_trainings(directory)
            finished_run.stamp(directory, begun)
        run_directory.write_config(config, resumption.versions(config, dataset))
        with run_directory.telling_failure(directory, then=report.renew):
            latencies.save()
            results = finish(search(config, dataset, progress, latencies, command, began, loading))
    progress.finished(results, directory)
    return results


def _prepared(
    config: SearchConfig, dataset: data.Dataset, begun: SearchConfig | None, before: Mapping[str, str] | None
) -> tuple[SearchConfig, data.Dataset]:
    """Settings and data as a run has them, checked.

    Args:
        config, dataset: as they were given.
        begun, before: settings and versions that the run was begun with: None for a new run, the first in a worker.

    Raises:
        ConfigError: as of `run`.
    """
    resumption.check(config, dataset, before, begun)
    dataset = resumption.as_begun(config, dataset, before)
    config = config.with_threads(begun.threads if begun else None)
    runtime.set_up(config.threads)  # before a model is loaded
    task.check(config, dataset)
    config = start.with_pixels(config, dataset, begun)
    return config, start.with_notes(config, dataset)


def _train_for_chief(config: SearchConfig, dataset: data.Dataset) -> None:
    """Trains in this process, a worker, what its chief hands out."""
    begun = run_directory.await_config(config)
    config, dataset = _prepared(begun, dataset, None, run_directory.read_versions(config.directory))
    parts, _ = _parts(config, dataset, progress := Progress())
    tuner = tuner_of(config, dataset, parts, progress, engine_settings.KERAS_TUNER, Latencies(config))
    tuner.search(**parts.arguments)


def _finished_before(results: Mapping[str, Any], directory: Path, progress: Progress) -> dict:
    """The results of a finished run that is given nothing new."""
    progress.line("The run is finished, and nothing that it was given has changed: what is there stays.")
    (directory / run_directory.FAILURE).unlink(missing_ok=True)  # of what came after the results
    report.renew(directory)
    progress.finished(results, directory)
    return dict(results)


def search(
    config: SearchConfig,
    dataset: data.Dataset,
    progress: Progress,
    latencies: Latencies,
    command: Sequence[str],
    began: tuple[float, float],
    loading: float,
) -> FinishedSearch:
    """Runs the search alone; returns what the rest of the run needs.

    Args:
        config, dataset, command, began: as for `run`.
        progress: shows it.
        latencies: of the run's networks.
        loading: seconds that the libraries took to load.
    """
    parts, pipeline = _parts(config, dataset, progress)
    others = Task(dataset, partial(_parts_of_worker, config))
    with engine_settings.engine(config.engine).started(config, command, others) as engine:
        tuner = tuner_of(config, dataset, parts, progress, engine, latencies)
        plan = _plan(config, dataset, tuner, began, loading)
        progress.begins(plan.left, plan.follows)
        method = methods.registry[config.method]
        is_search = config.steps and method.grows
        progress.line(summary.of_a_step(config.rungs if is_search else (), method))
        tuner.search(**parts.arguments)
    for line in last_words(tuner.oracle):
        progress.line(line)
    return FinishedSearch(config, dataset, pipeline, progress, tuner, plan, latencies)


def _plan(
    config: SearchConfig, dataset: data.Dataset, tuner: HillClimbing, began: tuple[float, float], loading: float
) -> TimePlan:
    """The plan of the run's time, by which the search's limits hold back what follows it."""
    search, limits = tuner.oracle.search, tuner.oracle.limits
    search.side_by_side = config.side_by_side
    formats = handing_over.formats(config), front.formats(config)
    exports = (export_time.export_seconds(loading, len(each), config.max_hours) for each in formats)
    plan = TimePlan(search, limits, finished_search.after(config, dataset, *exports))
    limits.count_from(began)
    limits.held = plan
    return plan


def finish(run: FinishedSearch) -> dict:
    """Control, final training, test, export and results of a search that is over."""
    config, oracle, directory = run.config, run.tuner.oracle, run.config.directory
    _write_lineage(directory, oracle)
    report.renew(directory)
    winner, (control, no_control) = run.tuner.get_best_models()[0], train_control(run)
    is_control = control is not None and control.results["is_better"]
    run.plan.control_is_over()
    chosen, key = (control.model, "control") if control and is_control else (winner, str(list(oracle.search.best)))
    trained, said = final_training.final(run, chosen, key)
    final = certificate.in_float32(trained)  # whatever it was trained in
    models, mistakes = (run.tuner.first_model(), winner, final), directory / run_directory.MISTAKES
    numbers, test = task.test_results(run.dataset, run.pipeline, config.views, *models, mistakes)
    results = {
        "method": config.method,
        "dataset": run.dataset.name,
        "seed": config.seed,
        **numbers,
        **search_results(oracle),
        **_limited(run),
        **run.tuner.engine.results(),
        **said,
        "train_images": len(run.dataset.y_train),
        "valid_images": len(run.dataset.y_valid),
        **handing_over.costs(run, Architecture.from_keras(final)),
        "handed_over": "control" if is_control else "winner",
        "control": control and control.results,
        "no_control": no_control,
        "start": start.scores(config, run.dataset, run.pipeline),
        **_time(run),
    }
    results["exports"] = handing_over.export_best(run, final, results, test)
    finished, knows_validation = front.finished(run, is_control), said["final_epochs_done"] > 0
    results["front"] = front.front(run, trained, handing_over.images(run), finished, knows_validation)
    results |= {**front.latency_of_best(results["front"]), **_time(run), "test": test}
    results[run_directory.MADE_WITH] = config.asked_of_results()
    finished_run.write(results, directory)
    oracle.save()
    report.renew(directory)
    return results


def _limited(run: FinishedSearch) -> dict:
    """Whether a limit has ended the search, and what more time might bring."""
    by_limit = run.plan.limits.reached
    name = run.tuner.oracle.search.goal.name.removeprefix("val_").replace("_", " ")
    sentence = explanations.more_time(run.plan.trainings(), f"validation {name}") if by_limit else None
    return {"ended_by_limit": by_limit, "more_time": sentence}


def _time(run: FinishedSearch) -> dict:
    """Seconds and CPU seconds of the run until now, over all its processes; of workers elsewhere those of their trainings."""
    seconds, cpu_seconds = run.plan.limits.spent()
    return {"seconds": round(seconds, 1), "cpu_seconds": round(cpu_seconds, 1)}


def _parts(config: SearchConfig, dataset: data.Dataset, progress: Progress) -> tuple[Parts, Pipeline]:
    """What a process needs to train on a data set, and the pipeline of its batches."""
    augmentation = task.augmentation_of(config, dataset)
    classes, weights = len(dataset.class_names), task.class_weights_of(config, dataset)
    pipeline = Pipeline(dataset.mean, dataset.std, classes, config.batch_size, augmentation, weights)
    logs = config.directory / run_directory.TENSORBOARD
    arguments = {
        "validation_data": pipeline.evaluation(dataset.x_valid, dataset.y_valid),
        "verbose": 0,
        "callbacks": [keras.callbacks.TensorBoard(str(logs), write_graph=False)] if config.tensorboard else [],
    }
    calibration = next(iter(pipeline.evaluation(dataset.x_train, dataset.y_train, batch_size=CALIBRATION_BATCH)))
    return Parts(task.ImageClassifier(config, dataset, pipeline, progress), arguments, calibration), pipeline


def _parts_of_worker(config: SearchConfig, dataset: data.Dataset) -> Parts:
    """The same in another process, for which this one speaks."""
    return _parts(config, dataset, Progress(io.StringIO()))[0]


def tuner_of(
    config: SearchConfig,
    dataset: data.Dataset,
    parts: Parts,
    progress: Progress,
    engine: Engine | str,
    latencies: Latencies,
) -> HillClimbing:
    """The tuner of a run; it goes on from what is in the output directory."""
    directory, objective = config.directory, objectives.REGISTRY[config.objective]
    settings = {name: getattr(config, name) for name in SETTINGS if hasattr(config, name)}
    settings |= {  # what follows from others and from the data
        "max_flops": config.max_flops_of_a_view,
        "budget_epochs": task.budget_epochs(config, dataset),
        "examples": len(dataset.y_train),
        "gain_factor": 1.0 if config.gain_factor is None else config.gain_factor,
        "front_sizes": config.front_sizes if methods.registry[config.method].has_front else (),
        "reserve": time_plan.planned_share(finished_search.epochs_after(config), finished_search.has_control(config)),
    }

    def on_trained(oracle):
        _write_lineage(directory, oracle)
        report.renew(directory)
        progress.trained(oracle)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotUsed)  # the program has said it, of its own settings
        return HillClimbing(
            parts.hypermodel,
            keras_tuner.Objective(objective.metric, objective.direction),
            **settings,
            fits=None if config.max_latency_ms is None else latencies.fits,
            engine=engine,
            calibration=parts.calibration,
            on_trained=on_trained,
            directory=str(directory),
            project_name=run_directory.TUNER,
        )


def _write_lineage(directory: Path, oracle) -> None:
    lines = [plain_json.text(long_histories.shortened(record), sort_keys=True) for record in oracle.lineage()]
    write_atomically(directory / run_directory.LINEAGE, "".join(f"{line}\n" for line in lines).encode())
