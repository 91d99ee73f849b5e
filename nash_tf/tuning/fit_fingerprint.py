"""What a search was given, so that one that goes on with other data or another compiled model says so."""

import contextlib
import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras_tuner.engine.hyperparameters import HyperParameter

from nash_tf.keras_models import private_api
from nash_tf.keras_models.made_again import optimizer_config
from nash_tf.training.fit_arguments import FitArguments
from nash_tf.tuning import checked_json

FILE = "given.json"
LOOKED_AT = 64  # examples of an array, evenly spaced
_VALUES = ", values"  # ends the names of digests
_DECLARED = "hyperparameter "  # begins the names of those; one that is not there may be under a condition
_NO_MATTER = {"verbose", "epochs", "initial_epoch"}


def warn_of_others(
    directory: Path, model: keras.Model, arguments: FitArguments, declared: Sequence[HyperParameter] = ()
) -> None:
    """Writes down what a search begins with; warns where it goes on with something else.

    Args:
        directory: of the search.
        model: the compiled first network, as it is built now.
        arguments: of `fit`.
        declared: the hyperparameters that are declared as it is built, whatever the search knows of them.
    """
    file, now = directory / FILE, dict(_described(model, arguments)) | dict(_ranges(declared))
    try:
        then = checked_json.read(file)
    except Exception:  # there is none yet, or it is damaged: what the search began with is not known
        checked_json.write(file, now)
        return
    changed = [
        _sentence(name, then.get(name), now.get(name))
        for name in {**then, **now}
        if then.get(name) != now.get(name) and (name in then and name in now or not name.startswith(_DECLARED))
    ]
    if changed:
        warnings.warn(
            f"the search in {directory} goes on with something else than it began with: {'; '.join(changed)}. What it has trained so "
            "far was trained and judged as before, so that scores may not compare. To begin anew, give overwrite=True or another "
            "project_name",
            stacklevel=4,
        )


def _described(model: keras.Model, arguments: FitArguments) -> Iterator[tuple[str, str]]:
    """Name and text of each thing that is given; equal texts are of equal things, as far as can be seen from outside."""
    optimizer = model.optimizer
    yield "optimizer", type(optimizer).__name__
    for name, value in optimizer_config(optimizer).items():
        yield f"optimizer's {name}", _text(value)
    yield "loss", _text(model.loss)
    yield "loss_weights", _text(private_api.loss_weights(model))
    yield "metrics", _text(private_api.compiled_metrics(model))
    for name, value in arguments.by_name().items():
        if value is not None and name not in _NO_MATTER:
            yield from _data(name, value)


def _ranges(declared: Sequence[HyperParameter]) -> Iterator[tuple[str, str]]:
    """Name and text of each hyperparameter."""
    for hp in declared:
        config = hp.get_config()
        conditions = [_text(each["config"]) for each in config.pop("conditions")]
        name = config.pop("name")
        yield f"{_DECLARED}{name}{''.join(f' under {each}' for each in conditions)}", type(hp).__name__ + _text(config)


def _data(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _data(f"{name}[{key!r}]", each)
    elif isinstance(value, list | tuple) and not all(isinstance(each, int | float) for each in value):
        for number, each in enumerate(value):
            yield from _data(f"{name}[{number}]", each)
    elif isinstance(value, tf.data.Dataset):
        yield name, f"a data set of {value.element_spec}, {int(value.cardinality())} batches"
    elif isinstance(value, keras.utils.PyDataset):
        yield name, f"a {type(value).__name__} of {value.num_batches} batches"
    elif getattr(value, "shape", ()):
        kind = getattr(value, "dtype", type(value))
        yield name, f"{getattr(kind, 'name', kind)} {list(map(int, value.shape))}"
        # Of a data frame, a sparse matrix, or what else Keras takes, its shape must do.
        with contextlib.suppress(Exception):
            rows = np.unique(np.linspace(0, len(value) - 1, LOOKED_AT).astype(int))
            some = np.ascontiguousarray([np.asarray(value[row]) for row in rows])
            yield f"{name}{_VALUES}", hashlib.blake2b(some.tobytes(), digest_size=8).hexdigest()
    else:
        yield name, _text(value)


def _text(value: Any) -> str:
    """A text that is the same in another process."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {_text(each)}' for name, each in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    if value is None or isinstance(value, str | int | float | np.generic):
        return str(value)
    if hasattr(value, "get_config"):
        config: Mapping[str, Any] = {}
        with contextlib.suppress(NotImplementedError):  # as of a learning-rate schedule of one's own
            config = value.get_config()
        return f"{type(value).__name__}{_text({n: v for n, v in config.items() if n != 'name'})}"
    return getattr(value, "__name__", type(value).__name__)


def _sentence(name: str, then: str | None, now: str | None) -> str:
    if name.endswith(_VALUES):
        return f"{name.removesuffix(_VALUES)} has other values"
    if name.startswith(_DECLARED):
        return f"{name} was {then}, is {now}, and the search goes on from the former"
    return f"{name} was {'not given' if then is None else then}, is {'not given' if now is None else now}"
