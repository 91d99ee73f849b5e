"""The command line: flags to a `SearchConfig`, refusals to exit status 2 and one line, signals to 130 and 143.

    python -m nash_tf.main --method=shrsep
    python -m nash_tf.main --flagfile=flags/paper_shrsep.flags --output_dir=runs/paper

All that can be refused is refused before TensorFlow is imported and before anything is written.
"""

import contextlib
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

from nash_tf import data, methods, output
from nash_tf.config import AUGMENTATIONS, PRECISIONS, ConfigError, SearchConfig
from nash_tf.stopping import Stopped, stoppable
from nash_tf.workers import roles

FAILED, REFUSED = 1, 2
BACKEND = "tensorflow"


class _Parser(flags.ArgumentParser):
    """Converts a flag's text; text of another form stays text, for `SearchConfig` to refuse with the flag's rule."""

    def __init__(self, convert: Callable[[str], Any]):
        self.convert = convert

    def parse(self, argument: str) -> Any:
        try:
            return self.convert(argument)
        except ValueError:
            return argument


def _widths(text: str) -> tuple[int, ...]:
    return tuple(int(width) for width in text.split(","))


def _augment(text: str) -> tuple[str, ...]:
    named = {"all": AUGMENTATIONS, "none": ()}
    return named[text] if text in named else tuple(name.strip() for name in text.split(","))


# In the order of `SearchConfig`, which has the defaults and the rules.
_SETTINGS: dict[str, tuple[Callable[[str], Any], str]] = {
    "method": (str, f"How a step selects: {', '.join(methods.registry)}."),
    "dataset": (
        str,
        "digits (bundled), cifar10, cifar100, mnist, fashion_mnist, or a path: an .npz with x_train, y_train, x_test, "
        "y_test; a folder of class folders, with or without train/ and test/; a folder of IDX files.",
    ),
    "train_limit": (int, "Use only so many training images, the validation images among them. Unset: all."),
    "valid_fraction": (float, "Share of the training images held out for validation, at most 0.5."),
    "steps": (int, "Evolutionary steps at most; 0 trains the first network only."),
    "children": (int, "Children of a step, the unmodified parent among them; a power of two, except for nash."),
    "mutations": (int, "Random morphisms that make a child of the parent."),
    "epochs_per_step": (int, "Epochs of a step, shared by its children over all rungs."),
    "vanilla_epochs": (int, "Epochs of the first network, before the search."),
    "final_epochs": (int, "Epochs of the winner's training on training and validation images; 0 for none."),
    "widths": (_widths, "Channels of the first network's convolutions, separated by commas."),
    "batch_size": (int, "Images in a batch."),
    "max_params": (int, "Weights of a network at most; a morphism that would pass this is not drawn."),
    "max_hours": (float, "Hours after which the search ends; the training then open is dropped. Unset: no limit."),
    "max_cpu_hours": (float, "The same of CPU time, of all trainings together. Unset: no limit."),
    "seed": (int, "From which all random draws follow."),
    "output_dir": (str, "Directory of the run, new or empty. Unset: runs/<data set>-<method>-seed<seed>."),
    "precision": (str, f"Of the arithmetic: {' or '.join(PRECISIONS)}."),
    "augment": (
        _augment,
        f"Augmentation of training images: all, none, or some of {','.join(AUGMENTATIONS)}. "
        "Unset: normalise,shift, and flip where a mirrored image keeps its class.",
    ),
    "mixup": (float, "Alpha of mixup; 0 for none."),
    "workers": (
        int,
        "Processes of this machine that train children side by side, each on its share of cores or its GPU.",
    ),
    "threads": (int, "Cores that each training uses. Unset: this machine's, shared evenly among the workers."),
    "learning_rate": (float, "Initial learning rate in the search."),
    "final_learning_rate": (float, "Initial learning rate of the final training."),
    "momentum": (float, "Momentum of SGD."),
    "weight_decay": (float, "Weight decay of convolution and dense kernels."),
}

_SWITCHES = {
    "isolate": "Give each training a process of its own, so that one too large for memory fails alone.",
    "tensorboard": "Write logs for TensorBoard, which must be installed.",
}
_REQUESTS = {"resume": "Continue the run in the output directory.", "help": "Print this and stop."}


def parse(argv: Sequence[str]) -> tuple[SearchConfig | None, flags.FlagValues]:
    """Reads a command line, `argv[0]` being the program, into checked settings; None where only `--help` was asked for.

    Raises:
        ConfigError: a flag is unknown, or its value breaks its rule.
    """
    values = _define()
    try:
        _, *rest = values(list(argv))
    except (flags.Error, ValueError) as error:
        raise ConfigError(_explain(error)) from None
    if values.help:
        return None, values
    if rest:
        raise ConfigError(f"{_one_line(rest[0])}: is no flag; settings are given as --flag=value")
    given = {name: values[name].value for name in (*_SETTINGS, *_SWITCHES) if values[name].present}
    return SearchConfig.from_json(given), values


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit status: 0, 1 for a run that failed, 2 for what is refused, 130 or 143 after SIGINT or SIGTERM."""
    argv = sys.argv if argv is None else argv
    try:
        config, values = parse(argv)
        if config is None:
            print(f"{__doc__}\nFlags:\n{values.get_help()}")
            return 0
        _choose_backend()
        if not roles.is_worker():
            output.check(config, values.resume)
        data.check(config.dataset)
    except (ConfigError, data.DataError) as error:
        return refuse(error)
    if not values["dataset"].present:
        paper = f"--flagfile=flags/paper_{config.method}.flags"
        more = f"; {paper} runs the paper's" if methods.registry[config.method] in methods.SEARCHES else ""
        print(f"No --dataset given: the small experiment on the bundled digits{more}.", flush=True)
    return _run(config, values.resume, argv)


def _define() -> flags.FlagValues:
    """The flags, unread: not absl's global ones, so that no library's mix with ours and a second call starts afresh."""
    values = flags.FlagValues()
    for name, (convert, text) in _SETTINGS.items():
        # No default for absl: what is not given is left to `SearchConfig`.
        flags.DEFINE(_Parser(convert), name, None, text + _default(name), values, module_name="nash_tf.main")
    for name, text in {**_SWITCHES, **_REQUESTS}.items():
        flags.DEFINE_boolean(name, False, text, values, "nash_tf.main")
    return values


def _default(name: str) -> str:
    value = getattr(SearchConfig, name, None)
    return "" if value is None else f" Default: {','.join(map(str, value)) if isinstance(value, tuple) else value}."


def _explain(error: Exception) -> str:
    """Absl's errors in the form of ours."""
    text = _one_line(error)
    if isinstance(error, flags.UnrecognizedFlagError):
        return f"{_one_line(error.flagvalue)}: {text}"
    if isinstance(error, flags.CantOpenFlagFileError):
        return f"--flagfile: {text.removeprefix('ERROR:: ')}"
    if isinstance(error, UnicodeError):
        return f"--flagfile: must be a text file ({text})"
    return text.removeprefix("flag ")


def _choose_backend() -> None:
    chosen = os.environ.setdefault("KERAS_BACKEND", BACKEND)
    if chosen != BACKEND:
        raise ConfigError(f"KERAS_BACKEND={_one_line(chosen)}: must be {BACKEND}, or not be set")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only


def _run(config: SearchConfig, resume: bool, argv: Sequence[str]) -> int:
    try:
        with stoppable():
            with _quietly():
                from nash_tf import search  # here, not above: it imports TensorFlow, which takes seconds
            try:
                search.run(config, resume=resume, command=[sys.executable, "-m", "nash_tf.main", *argv[1:]])
            except search.FAILURES as error:
                print(_one_line(error), file=sys.stderr)
                return FAILED
    except (ConfigError, data.DataError) as error:
        return refuse(error)
    except Stopped as stopped:
        if not roles.is_worker():  # its chief says it
            print(_how_to_go_on(config, argv), file=sys.stderr)
        return stopped.status
    return 0


@contextlib.contextmanager
def _quietly():
    """Holds back what TensorFlow's libraries say about the machine while they load; shown where they fail."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            said.seek(0)
            os.write(kept, said.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _how_to_go_on(config: SearchConfig, argv: Sequence[str]) -> str:
    if not os.path.exists(os.path.join(str(config.output_dir), output.CONFIG)):
        return "Stopped before anything was written."
    arguments = [argument for argument in argv[1:] if argument.lstrip("-") != "resume"]
    return f"Stopped. To go on: {shlex.join(['python', '-m', 'nash_tf.main', *arguments, '--resume'])}"


def refuse(error: Exception) -> int:
    """Says what is refused, and under which flag; returns the exit status."""
    flag = ""
    if isinstance(error, data.DataError):
        flag = "--" if error.setting else "--dataset: "
    print(flag + _one_line(error), file=sys.stderr)
    return REFUSED


def _one_line(value: object) -> str:
    return " ".join(str(value).split())


if __name__ == "__main__":
    sys.exit(main())
