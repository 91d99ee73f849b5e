"""Runs several methods with several seeds, each run in a process of its own.

The same command continues an experiment that was interrupted; finished runs are not repeated.

    nash-tf experiment --flagfile=cifar10_cpu --dataset=cifar10 --methods=nash,sh,shr,shrsep --runs=8 --output_dir=runs/cifar \\
        --jobs=2

All other flags are those of a search and go to every run, but --method and --resume, which each run is given by the experiment.
SavedModel and .keras are exported unless --export says more, and there is no control unless --control is given. The training of
the first network depends on the data, the settings and the seed alone: the methods of the slides start from the same one, and so
do those with one budget, but for hand, which has its own, and wide and scratch, whose networks follow from winners.
"""

import sys

from nash_tf.terminal import streams
from nash_tf.terminal.signals import Stopped, deferred, end, exit_at_once, stoppable

if __name__ == "__main__":  # the imports below take a while
    streams.outlive_readers()
    exit_at_once()

import contextlib
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from absl.flags import FlagValues

from nash_tf import data, report, settings
from nash_tf import main as program
from nash_tf.config import SearchConfig
from nash_tf.experiment import checks, followers
from nash_tf.experiment.runs import Run, alike_in, check_followed, common_layout, last_words, lying_in, plan
from nash_tf.files import run_directory, start_file
from nash_tf.files.atomic import tidy
from nash_tf.records import loading
from nash_tf.records import planned as planned_runs
from nash_tf.report.pages import experiment_page
from nash_tf.settings import ConfigError, one_of, optional, refusal, setting, tuple_of, whole
from nash_tf.settings import engine as engine_settings
from nash_tf.settings.baselines import SCRATCH
from nash_tf.strategy import methods
from nash_tf.terminal import command_line
from nash_tf.workers import own_program

PROGRAM = "nash_tf.main"  # of each run
POLL = 0.5  # seconds between two looks at the runs
_GROUP = "Experiment"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is asked of an experiment beside the settings of its runs.

    Raises:
        ConfigError: a value breaks its rule.
    """

    methods: tuple[str, ...] = setting(
        tuple_of(one_of(tuple(methods.registry)), 1, 64, f"must be some of {', '.join(methods.registry)}"),
        "Methods to compare, baselines among them.",
        default=tuple(method.name for method in methods.OF_SLIDES),
        group=_GROUP,
    )
    runs: int = setting(whole(1, 10_000), "Number of seeds of each method.", default=8, group=_GROUP)
    jobs: int | None = setting(
        optional(whole(1, 1024)),
        "Number of runs side by side. Unset: 1; with --engine=ray as many as fit on its cluster, which all runs share.",
        default=None,
        group=_GROUP,
    )
    only: int | None = setting(
        optional(whole(0)), "Number of the one run to do, for an array of jobs.", default=None, group=_GROUP
    )

    def __post_init__(self) -> None:
        settings.check(self)
        if len(set(self.methods)) < len(self.methods):
            raise refusal("methods", self.methods, "must name each method once")


def parse(argv: Sequence[str]) -> tuple[Settings, list[str]]:
    """The settings of the experiment on a command line, and the other arguments, which go to every run.

    Raises:
        ConfigError: a setting breaks its rule, or is that of a single run.
    """
    if method := _method(argv):
        raise refusal("method", method, f"is for a single run; an experiment takes --methods={method}")
    values = command_line.define(Settings)
    arguments = command_line.read(values, argv, known_only=True)
    return Settings(**command_line.given(values, Settings)), arguments


def _method(arguments: Sequence[str]) -> str | None:
    """The value of `--method` among arguments, None where it is not there."""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):
        name, equals, value = argument.partition("=")
        if name in ("--method", "-method"):
            return value if equals else following
    return None


def _overridden(arguments: Sequence[str], flags: FlagValues) -> dict[str, str]:
    """The flags that an experiment does not leave to its runs: why. A flag file made for single runs may hold them."""
    found = {}
    if method := _method(arguments):
        found[f"method={method}"] = "--methods decides"
    if flags["resume"].present:
        found["resume" if flags["resume"].value else "noresume"] = "an experiment always goes on with what is there"
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the experiment; returns 0, 1 where a run failed, 2 for what is refused, 130 or 143 when stopped by a signal."""
    argv = sys.argv if argv is None else argv
    try:
        own, arguments = parse(argv)
        first, flags = program.parse([argv[0], *arguments, f"--method={own.methods[0]}"])
        if first is None:
            print(f"{__doc__}\n{command_line.usage(Settings)}\n\nFlags of each run\n\n{program.usage()}")
            return 0
        directory = Path(str(first.output_dir))
        if not flags["output_dir"].present:
            of_run = f"-{first.method}-seed{first.seed}"
            directory = directory.with_name(f"{directory.name.removesuffix(of_run)}-experiment")
        if first.start is not None and SCRATCH in own.methods:
            raise refusal("start", first.start, f"must not be given with method {SCRATCH}, which starts from a winner")
        planned = plan(directory, own.methods, range(first.seed, first.seed + own.runs))
        of_layout: list[str] = []
        if first.start is None:
            layout, of_layout = common_layout(planned, directory, first.layout)
            arguments = [*arguments, f"--layout={layout}"]
        configs = checks.checked(planned, arguments)
        start_file.check(first.start)
        program.check_data(first, directory)
        run_directory.check_creatable(str(directory))
        run_directory.check_page(directory)
        if own.only is not None and not own.only < len(planned):
            raise refusal("only", own.only, f"must be below the number of runs, {len(planned)}")
        chosen = planned if own.only is None else [planned[own.only]]
        check_followed(chosen, planned)
        said = [*of_layout, *checks.left_with_lower_limits(chosen, configs)]
    except (ConfigError, data.DataError) as error:
        return program.refuse(error)
    of_chosen = [configs[name] for name in dict.fromkeys(run.method for run in chosen)]
    for line in [*program.unused_lines(of_chosen, flags, _overridden(arguments, flags)), *said]:
        print(line)
    try:
        with stoppable(), _cluster(of_chosen, all(run.finished for run in chosen)) as (added, fits):
            tidy(directory, inside=(report.FIGURES,))  # of its own page: each run tidies its directory itself
            planned_runs.keep(directory, _missing(planned, {}, directory))
            failed = _conduct(chosen, planned, configs, directory, [*arguments, *added], own.jobs or fits)
    except Stopped as stopped:
        print("Stopped. The same command goes on.", file=sys.stderr)
        return stopped.status
    except (OSError, ConfigError) as error:  # a full disk, a run whose settings cannot be read
        print(command_line.one_line(error), file=sys.stderr)
        return program.FAILED
    _report(planned, failed, directory, show=True)
    for run, reason in failed.items():
        print(f"{run.directory}: {reason}", file=sys.stderr)
    return 1 if failed else 0


def _conduct(
    chosen: Sequence[Run],
    planned: Sequence[Run],
    configs: Mapping[str, SearchConfig],
    directory: Path,
    arguments: Sequence[str],
    jobs: int,
) -> dict[Run, str]:
    """Does the chosen runs of those planned, given the settings by method; returns those that failed, with what to say of them."""
    waiting = [run for run in chosen if not run.finished]
    failed: dict[Run, str] = {}
    dataset = configs[chosen[0].method].dataset
    print(_what(chosen, directory, dataset), f"{len(chosen) - len(waiting)} of them are finished.", flush=True)
    if waiting:
        print("It can be stopped at any time; the same command goes on.", flush=True)
    going: dict[Run, subprocess.Popen] = {}
    try:
        while waiting or going:
            ready = [run for run in waiting if _is_ready(run, [*waiting, *going])]
            for run in ready[: jobs - len(going)]:
                waiting.remove(run)
                try:
                    first_network = _first_network(run, configs[run.method], planned)
                except followers.Hindrance as hindrance:
                    failed[run] = str(hindrance)
                    continue
                with deferred():
                    going[run] = _start(run, run.command(arguments, first_network))
                _say(run, "begun")
            for run, process in list(going.items()):
                status = process.poll()
                if status is None:
                    continue
                del going[run]
                if status == program.REFUSED:
                    failed[run] = f"refused: {last_words(run)}"
                    alike = alike_in(waiting, run)
                    waiting = [each for each in waiting if each not in alike]
                    failed |= dict.fromkeys(alike, f"not begun, since {run.directory.name} is refused")
                elif not run.finished:
                    failed[run] = f"failed, see {run.log}"
                _say(run, failed[run] if status == program.REFUSED else _outcome(run))
                _report(planned, failed, directory)
            time.sleep(POLL)
    finally:
        end(going.values())
    return failed


def _what(runs: Sequence[Run], directory: Path, dataset: str) -> str:
    """What an experiment is, before it begins."""
    names, seeds = list(dict.fromkeys(run.method for run in runs)), len({run.seed for run in runs})
    times = f"each with {seeds} seeds" if seeds > 1 else f"with seed {runs[0].seed}"
    return (
        f"{', '.join(names)}, {times}, on {dataset}: {len(runs)} {'run' if len(runs) == 1 else 'runs'} in {directory}."
    )


@contextlib.contextmanager
def _cluster(configs: Sequence[SearchConfig], is_done: bool) -> Iterator[tuple[list[str], int]]:
    """Begins what all runs share: the arguments that tell them of it, and how many of the largest runs fit at a time."""
    if configs[0].engine != engine_settings.RAY or is_done:
        yield [], 1
        return
    from nash_tf.engines import ray_cluster  # here, not above: it may be missing

    configs = [config.with_threads(None) for config in configs]
    cpus = max(each.side_by_side * (each.cpus_per_training or float(each.threads or 1)) for each in configs)
    gpus = max(each.side_by_side * each.gpus_per_training for each in configs)
    with ray_cluster.shared(configs[0].ray_address, cpus, gpus) as (address, fits):
        print(f"Ray's cluster at {address} has room for {fits} runs at a time", flush=True)
        yield [f"--ray_address={address}"], fits


def _is_ready(run: Run, unfinished: Sequence[Run]) -> bool:
    """Whether all that a run waits for has ended: the searches of its seed, where its first network follows from them."""
    waits_for = [other for other in unfinished if other.seed == run.seed and other.is_search]
    return run.method not in followers.REGISTRY or not waits_for


def _say(run: Run, what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {run.directory.name} {what}", flush=True)


def _start(run: Run, arguments: Sequence[str]) -> subprocess.Popen:
    run.directory.parent.mkdir(parents=True, exist_ok=True)
    with open(run.log, "a", encoding="utf-8") as log:
        return subprocess.Popen([*own_program.command(PROGRAM), *arguments], stdout=log, stderr=log)


def _outcome(run: Run) -> str:
    record = loading.read(run.directory)
    accuracy, params = record.result("test_accuracy"), record.result("params")
    if accuracy is None or params is None:
        return "failed" + (f": {record.failure}" if record.failure else "")
    return f"finished: test accuracy {accuracy:.4f}, {params:,} params"


def _first_network(run: Run, config: SearchConfig, planned: Sequence[Run]) -> list[str]:
    """Arguments about the first network of a run that follows from winners."""
    searches = [
        search.directory
        for search in plan(run.directory.parent, followers.SEARCHES, [run.seed])
        if search.begun or search in planned
    ]
    begun = run_directory.read_config(run.directory) if run.begun else None
    return followers.arguments(run.method, searches, config, begun)


def _missing(planned: Sequence[Run], failed: Mapping[Run, str], directory: Path) -> dict[str, str]:
    """Which planned runs are not there, each with why: of those that failed elsewhere, as other tasks of an array, what was kept of them."""
    kept = planned_runs.missing(directory)
    lacking = [run for run in planned if not run.begun]
    return {run.directory.name: failed.get(run) or kept.get(run.directory.name, "not begun") for run in lacking}


def _report(planned: Sequence[Run], failed: Mapping[Run, str], directory: Path, show: bool = False) -> None:
    """Writes the page of all runs that lie in a directory, and of those planned that are not there."""
    there = [run.directory for run in dict.fromkeys([*planned, *lying_in(directory)]) if run.begun]
    missing = _missing(planned, failed, directory)
    page: Path | str = ""
    if there:
        try:
            planned_runs.keep(directory, missing)
            page = report.write_experiment(there, directory / run_directory.REPORT, missing=missing)
        except OSError as error:
            print(f"report not written, {error.filename}: {error.strerror}", file=sys.stderr, flush=True)
    if there and show:
        print(experiment_page.tables([loading.read(each) for each in there], missing=missing), page, sep="\n")


if __name__ == "__main__":
    sys.exit(main())
