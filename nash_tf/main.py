"""Neural architecture search by network morphisms, on the command line.

    nash-tf                               a search on the bundled digits, minutes
    nash-tf --flagfile=evening --dataset=DIR --max_hours=3
                                          a search on a folder of images, in an evening
    nash-tf predict RUN_DIR IMAGES...     the classes of images, by a run's model
    nash-tf report DIR...                 the page of a run, or of several
    nash-tf experiment --help             several methods with several seeds, hours

`python -m nash_tf` is the same; `python -m nash_tf.main` is the search alone.

Exit status: 0 for a finished run, 1 for one that failed, 2 for what is refused, before TensorFlow is imported and anything is
written; 130 or 143 when SIGINT or SIGTERM stopped it. A lost terminal, a closed pipe or a full disk behind the output stop
nothing: the search goes on in silence.
"""

import sys

from nash_tf.terminal import streams
from nash_tf.terminal.signals import Stopped, exit_at_once, stoppable

if __name__ == "__main__":  # the imports below take a while
    streams.outlive_readers()
    exit_at_once()

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import flags

from nash_tf import data, export_formats
from nash_tf.config import ConfigError, SearchConfig, refusal
from nash_tf.data import registry
from nash_tf.files import run_directory, start_file
from nash_tf.garbage import without_collecting
from nash_tf.settings import engine as engine_settings
from nash_tf.strategy import methods
from nash_tf.strategy.time_limits import wall_and_cpu_seconds
from nash_tf.terminal import command_line
from nash_tf.terminal.command_line import one_line
from nash_tf.unused_settings import unused_in_run
from nash_tf.workers import own_program, roles

FAILED, REFUSED = 1, 2
BACKEND = "tensorflow"
_REQUESTS = {
    "resume": "Continue the run in the output directory, trainings whose failure ended it among them; where there is none, begin it.",
    "help": "Print this and stop.",
}


def parse(argv: Sequence[str]) -> tuple[SearchConfig | None, flags.FlagValues]:
    """Reads a command line, `argv[0]` being the program, into checked settings; None where only `--help` was asked for.

    Raises:
        ConfigError: a flag is unknown, or its value breaks its rule.
    """
    values = command_line.define(SearchConfig, _REQUESTS)
    rest = command_line.read(values, argv)
    if values.help:
        return None, values
    if rest:
        raise ConfigError(f"{one_line(rest[0])}: is no flag; settings are given as --flag=value")
    return SearchConfig.from_json(command_line.given(values, SearchConfig)), values


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit status: 0, 1 for a run that failed, 2 for what is refused, 130 or 143 after SIGINT or SIGTERM."""
    began = wall_and_cpu_seconds()
    argv = sys.argv if argv is None else argv
    try:
        config, values = parse(argv)
        if config is None:
            print(f"{__doc__}\n{usage()}")
            return 0
        check_environment(config)
        start_file.check(config.start, config.method)
        resume = False if roles.is_worker() else run_directory.check(config, values.resume)
        check_data(config, config.directory)
    except (ConfigError, data.DataError) as error:
        return refuse(error)
    if not roles.is_worker():
        _announce(config, values, resume)
    return _run(config, resume, argv, began)


def _announce(config: SearchConfig, values: flags.FlagValues, resume: bool) -> None:
    """Says what will be done and where, before TensorFlow is imported, which takes seconds."""
    print(f"{'Going on with' if resume else 'Search by'} method {config.method} on data set {config.dataset}.")
    print(f"All goes to {config.output_dir}; report.html there shows how far it is.")
    chosen = export_formats.installed() if config.export is None else {*export_formats.ALWAYS, *config.export}
    wanting = {name: export_formats.missing(name) for name in export_formats.NAMES if export_formats.missing(name)}
    absent = ", ".join(f"{name} (needs {', '.join(packages)})" for name, packages in wanting.items())
    without = f"; without {absent}: pip install 'nash_tf[export]'" if absent and config.export is None else ""
    print(
        f"The model will be exported as {', '.join(name for name in export_formats.NAMES if name in chosen)}{without}."
    )
    if not values["dataset"].present:
        paper = f"--flagfile=paper_{config.method}"
        more = f"; {paper} runs the paper's" if methods.registry[config.method] in methods.OF_SLIDES else ""
        print(f"No --dataset given: the small experiment on the bundled digits{more}.")
    for line in unused_lines([config], values, {}):
        print(line)
    if values.resume and not resume:
        print(f"Nothing to resume in {config.output_dir}: the run begins.")
    sys.stdout.flush()


def unused_lines(configs: Sequence[SearchConfig], values: flags.FlagValues, others: Mapping[str, str]) -> list[str]:
    """What is said of settings that are given and change nothing: of those of all runs, then of each method's own, a line each.

    Args:
        configs: of runs, one of each method.
        values: the flags that are given.
        others: further ones that change nothing in any run, by name: why.
    """
    found = dict[str, dict[str, str]]()
    for config in configs:
        idle = unused_in_run(config, roles.is_told()) | data.unused(config.dataset)
        found[config.method] = {name: why for name, why in idle.items() if values[name].present}
    first, *further = found.values()
    shared = [name for name in first if all(name in idle for idle in further)]
    lines = {"": dict(others)}
    for name in shared:
        lines[""][name] = "; ".join(dict.fromkeys(idle[name] for idle in found.values()))
    for method, idle in found.items():
        lines[f" by {method}"] = {name: why for name, why in idle.items() if name not in shared}
    return [f"Not used{by}: {_with_reasons(idle)}." for by, idle in lines.items() if idle]


def _with_reasons(idle: Mapping[str, str]) -> str:
    """Flags with why they change nothing, those together that have one reason."""
    names = {why: [f"--{name}" for name in idle if idle[name] == why] for why in idle.values()}
    return ", ".join(f"{', '.join(each)} ({why})" for why, each in names.items())


def check_environment(config: SearchConfig) -> None:
    """Checks what a run needs of the environment variables and of the packages that are installed.

    Raises:
        ConfigError: it is not so.
    """
    _choose_backend()
    _check_formats(config)
    if roles.is_told() and config.engine != engine_settings.KERAS_TUNER:
        raise refusal("engine", config.engine, "KERASTUNER_ORACLE_IP is set, which is for keras_tuner; unset it")


def check_data(config: SearchConfig, output: Path) -> None:
    """Checks the data set of a run, or of all runs of an experiment, and that what they write to `output` will not lie in it.

    Raises:
        DataError: it cannot be read, or would be spoilt.
    """
    data.check(config.dataset, config.images)
    data.check_outside(config.dataset, str(output))


def _check_formats(config: SearchConfig) -> None:
    for name in config.export or ():
        if packages := export_formats.missing(name):
            needs = f"{name} needs packages that are not installed; run `pip install {' '.join(packages)}`"
            raise refusal("export", config.export, needs)


def usage() -> str:
    """The help text of all flags."""
    return command_line.usage(SearchConfig, _REQUESTS, {"dataset": f"It may be {registry.WORDS}."})


def _choose_backend() -> None:
    chosen = os.environ.setdefault("KERAS_BACKEND", BACKEND)
    if chosen != BACKEND:
        raise ConfigError(f"KERAS_BACKEND={one_line(chosen)}: must be {BACKEND}, or not be set")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only


def _run(config: SearchConfig, resume: bool, argv: Sequence[str], began: tuple[float, float]) -> int:
    try:
        with stoppable():
            with streams.without_errors_shown(), without_collecting():
                from nash_tf import search  # here, not above: it imports TensorFlow, which takes seconds
            try:
                command = [*own_program.command(), *argv[1:]]
                search.run(config, resume=resume, command=command, began=began)
            except search.FAILURES as error:
                sys.stdout.flush()  # what was said before comes before it
                print(one_line(error), file=sys.stderr)
                return FAILED
    except (ConfigError, data.DataError) as error:
        return refuse(error)
    except Stopped as stopped:
        if not roles.is_worker():  # its chief says it
            print(_how_to_go_on(config, argv), file=sys.stderr)
        return stopped.status
    return 0


def _how_to_go_on(config: SearchConfig, argv: Sequence[str]) -> str:
    if not os.path.exists(os.path.join(str(config.output_dir), run_directory.CONFIG)):
        return "Stopped before anything was written."
    said_before = {f"{dashes}{flag}" for dashes in ("-", "--") for flag in ("resume", "noresume")}
    arguments = [each for each in argv[1:] if each.partition("=")[0] not in said_before]
    return f"Stopped. To go on: {shlex.join([*own_program.command(), *arguments, '--resume'])}"


def refuse(error: Exception) -> int:
    """Says what is refused, and under which flag; returns the exit status."""
    flag = ""
    if isinstance(error, data.DataError):
        flag = "--" if error.setting else "--dataset: "
    print(flag + one_line(error), file=sys.stderr)
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
