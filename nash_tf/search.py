"""The whole story: data, search, final training, export, results."""

import contextlib
import json
import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import keras
import keras_tuner
import numpy as np
from keras_tuner import errors

from nash_tf import __version__, certificate, costs, data, exporting, output, rebuild, report, runtime
from nash_tf.architecture import Architecture
from nash_tf.atomic import tidy, write_atomically
from nash_tf.callbacks import CosineAnnealing
from nash_tf.checkpoint import CheckpointError
from nash_tf.config import SearchConfig, refusal
from nash_tf.keras_models import fast_training
from nash_tf.lock import Locked, locked
from nash_tf.pipeline import Augmentation, Pipeline
from nash_tf.progress import Progress, label
from nash_tf.seeds import derive
from nash_tf.strategy.time_limits import wall_and_cpu_seconds
from nash_tf.tuning import trial_values
from nash_tf.tuning.trial_files import DamagedSearch
from nash_tf.tuning.tuner import HillClimbing, SearchStopped
from nash_tf.vanilla import vanilla
from nash_tf.workers import roles
from nash_tf.workers.local import LocalWorkers, WorkersDie

PACKAGES = ("tensorflow", "keras", "keras-tuner", "numpy")
FAILURES = (SearchStopped, DamagedSearch, WorkersDie, errors.FatalError, exporting.ExportError, CheckpointError, Locked, OSError)
UNDECAYED = ["bias", "gamma", "beta", "alpha"]


class ImageClassifier(keras_tuner.HyperModel):
    """Builds the vanilla network for a data set, and trains any network on it with the training's own seed."""

    def __init__(self, config: SearchConfig, dataset: data.Dataset, pipeline: Pipeline, progress: Progress):
        super().__init__()
        self.config, self.dataset, self.pipeline, self.progress = config, dataset, pipeline, progress

    def build(self, hp):
        model = rebuild.to_keras(vanilla_of(self.config, self.dataset))
        # Keras' decay is not multiplied by momentum; so scaled, its steady effect is that of SGD's 5e-4 in the paper.
        decay = self.config.weight_decay / (1.0 - self.config.momentum)
        optimizer = keras.optimizers.SGD(self.config.learning_rate, momentum=self.config.momentum, weight_decay=decay)
        optimizer.exclude_from_weight_decay(var_names=UNDECAYED)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")], jit_compile=False)
        return model

    def fit(self, hp, model, *, epochs, callbacks=(), **kwargs):
        assignment = trial_values.decode(hp.values)
        train = self.pipeline.training(self.dataset.x_train, self.dataset.y_train, assignment.seed)
        before = assignment.initial_epoch
        _group_steps(model, self.config.batch_size, len(train) * (epochs - before))
        shown = self.progress.callback(label(assignment.key), before, epochs)
        return model.fit(train, shuffle=False, epochs=epochs, callbacks=[*callbacks, shown], **kwargs)


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
        config.dataset, valid_fraction=config.valid_fraction, train_limit=config.train_limit, seed=config.seed
    )
    augmentation_of(config, dataset)
    side = min(dataset.x_train.shape[1:3])
    if side >> (len(config.widths) - 1) == 0:
        most = side.bit_length()
        raise refusal(
            "widths", config.widths, f"must be at most {most} for images of {side} pixels, with a pool between two"
        )
    params = vanilla_of(config, dataset).params
    if params > config.max_params:
        raise refusal("max_params", config.max_params, f"must be at least the first network's {params}")
    if roles.is_worker():
        search(output.await_config(config), dataset)
        return {}
    for note in dataset.notes:
        print(note, flush=True)
    directory = Path(config.output_dir)
    with locked(directory):
        tidy(directory)
        config = config.with_threads(output.read_config(directory).threads if resume else None)
        output.write_config(config, {"nash_tf": __version__, **{package: version(package) for package in PACKAGES}})
        tuner, pipeline, progress = search(config, dataset, command)
        results = finish(config, dataset, pipeline, progress, tuner, began)
    progress.finished(results, directory)
    return results


def search(config: SearchConfig, dataset: data.Dataset, command: Sequence[str] = ()):
    """Runs the search alone, or this process's part in it; returns the tuner, and what it was given."""
    directory = Path(config.output_dir)
    augmentation = augmentation_of(config, dataset)
    runtime.set_up(config.threads)
    pipeline = Pipeline(dataset.mean, dataset.std, len(dataset.class_names), config.batch_size, augmentation)
    progress = Progress(config.vanilla_epochs + config.steps * config.epochs_per_step, config.final_epochs)
    with local_workers(config, command) as workers:
        tuner = tuner_of(config, dataset, pipeline, progress)
        callbacks = []
        if config.tensorboard:
            callbacks.append(keras.callbacks.TensorBoard(str(directory / output.TENSORBOARD), write_graph=False))
        valid = pipeline.evaluation(dataset.x_valid, dataset.y_valid)
        tuner.search(validation_data=valid, verbose=0, callbacks=callbacks, workers=workers)
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
    directory = Path(config.output_dir)
    _write_lineage(directory, tuner.oracle)
    report.renew(directory)
    winner = tuner.get_best_models()[0]
    # Handed over in float32, whatever it was trained in.
    final = certificate.in_float32(train_finally(config, dataset, pipeline, winner, progress))
    now, before = wall_and_cpu_seconds(), tuner.oracle.limits.before
    results = {
        "method": config.method,
        "dataset": dataset.name,
        "seed": config.seed,
        **test_results(dataset, pipeline, tuner.first_model(), winner, final),
        **search_results(tuner.oracle),
        "seconds": round(before[0] + now[0] - began[0], 1),
        "cpu_seconds": round(before[1] + now[1] - began[1], 1),
    }
    deployable = exporting.with_scaling(final, *pipeline.scaling(dataset.x_train.dtype))
    facts = {**results, "classes": dataset.class_names}
    exporting.export(deployable, directory / output.BEST, dataset.x_test[:32], facts, searched=final)
    write_atomically(directory / output.RESULTS, (json.dumps(results, indent=2) + "\n").encode())
    report.renew(directory)
    return results


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
    directory = Path(config.output_dir)

    def on_trained(oracle):
        _write_lineage(directory, oracle)
        report.renew(directory)
        progress.trained(oracle)

    tuner = HillClimbing(
        ImageClassifier(config, dataset, pipeline, progress),
        keras_tuner.Objective("val_accuracy", "max"),
        method=config.method,
        steps=config.steps,
        children=config.children,
        mutations=config.mutations,
        epochs_per_step=config.epochs_per_step,
        vanilla_epochs=config.vanilla_epochs,
        max_params=config.max_params,
        max_hours=config.max_hours,
        max_cpu_hours=config.max_cpu_hours,
        seed=config.seed,
        calibration=next(iter(pipeline.evaluation(dataset.x_train, dataset.y_train, batch_size=128))),
        on_trained=on_trained,
        directory=str(directory),
        project_name=output.TUNER,
    )
    if roles.is_worker():
        return tuner
    progress.begins(sum(record["epochs"] for record in tuner.oracle.lineage()), tuner.oracle.remaining_wall_seconds)
    return tuner


def vanilla_of(config: SearchConfig, dataset: data.Dataset) -> Architecture:
    """The first network for a data set."""
    return vanilla(dataset.x_train.shape[1:], len(dataset.class_names), config.widths, config.precision)


def augmentation_of(config: SearchConfig, dataset: data.Dataset) -> Augmentation:
    """The switches as the pipeline takes them, with the paper's strengths."""
    names = config.augmentations(dataset.flips)
    return Augmentation(
        normalise="normalise" in names,
        flip="flip" in names,
        shift=0.125 if "shift" in names else 0.0,
        cutout=0.5 if "cutout" in names else 0.0,
        mixup=config.mixup,
    )


def train_finally(
    config: SearchConfig, dataset: data.Dataset, pipeline: Pipeline, winner: keras.Model, progress: Progress
) -> keras.Model:
    """A copy of the winner trained on on train and validation data; the winner itself where there are no epochs for it."""
    if not config.final_epochs:
        return winner
    model = rebuild.to_keras(Architecture.from_keras(winner))
    rebuild.compile_like(model, winner)
    fast_training.prepare(model)
    rebuild.write_state(model, rebuild.read_state(winner))
    images = np.concatenate([dataset.x_train, dataset.x_valid])
    labels = np.concatenate([dataset.y_train, dataset.y_valid])
    keras.utils.set_random_seed(derive(config.seed, "final"))
    batches = pipeline.training(images, labels, derive(config.seed, "final"))
    _group_steps(model, config.batch_size, len(batches) * config.final_epochs)
    progress.search_is_over()
    rate = CosineAnnealing(config.final_learning_rate, config.final_epochs)
    model.fit(
        batches,
        epochs=config.final_epochs,
        callbacks=[rate, progress.callback("final training", 0, config.final_epochs)],
        shuffle=False,
        verbose=0,
    )
    weights = rebuild.read_state(model).weights.values()
    return model if all(np.isfinite(array).all() for array in weights) else winner


def _group_steps(model: keras.Model, batch_size: int, updates: int) -> None:
    image = costs.flops(Architecture.from_keras(model))
    if image is not None:
        fast_training.group_steps(model, image * batch_size, updates)


def test_results(
    dataset: data.Dataset, pipeline: Pipeline, vanilla: keras.Model, winner: keras.Model, final: keras.Model
) -> dict:
    """Parameters, and accuracy and loss on the test set, of the first network, the winner and the final network."""
    test = pipeline.evaluation(dataset.x_test, dataset.y_test)
    results = {
        "params": Architecture.from_keras(final).params,
        "vanilla_params": Architecture.from_keras(vanilla).params,
    }
    for prefix, model in (("", final), ("winner_", winner), ("vanilla_", vanilla)):
        found = model.evaluate(test, verbose=0, return_dict=True)
        results |= {f"{prefix}test_{name}": round(found[name], 6) for name in ("accuracy", "loss")}
    return results


def search_results(oracle) -> dict:
    """What the search itself did."""
    lineage, search = oracle.lineage(), oracle.search
    return {
        "winner": list(search.best),
        "winner_val_accuracy": round(search.outcomes[search.best].metrics[search.goal.name], 6),
        "vanilla_val_accuracy": lineage[0]["val_accuracy"],
        "steps": max(record["step"] for record in lineage),
        "children": len({(record["step"], record["child"]) for record in lineage}),
        "epochs": sum(record["epochs"] for record in lineage),
    }


def _write_lineage(directory: Path, oracle) -> None:
    lines = [json.dumps(record, sort_keys=True) for record in oracle.lineage()]
    write_atomically(directory / output.LINEAGE, "".join(f"{line}\n" for line in lines).encode())
