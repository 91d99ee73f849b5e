"""What is looked at before an experiment begins: whether its runs may be done, and what is to be said of those that are there."""

from collections.abc import Sequence
from dataclasses import replace

from nash_tf import main as program
from nash_tf import prior, settings
from nash_tf.config import SearchConfig
from nash_tf.experiment import followers
from nash_tf.experiment.runs import Run, check_begun
from nash_tf.files import run_directory
from nash_tf.settings import ConfigError
from nash_tf.settings.engine import RAY


def checked(planned: Sequence[Run], arguments: Sequence[str]) -> dict[str, SearchConfig]:
    """The settings of runs, by method.

    Args:
        planned: all runs.
        arguments: those of each.

    Raises:
        ConfigError: whatever one of them would be refused for, or one that is there has other settings.
    """
    found = dict[str, SearchConfig]()
    for run in {run.method: run for run in planned}.values():
        config, _ = program.parse(["", *run.command(arguments)])
        if config is not None:  # as it is without --help
            found[run.method] = config
            program.check_environment(config)
            if config.engine == RAY:  # one cluster is begun for all, whose address each is given
                replace(config, ray_address=config.ray_address or "auto")
            if not all(each.begun for each in planned if each.method == run.method):
                prior.with_prior(config, None)  # those that have begun know what it says
    for run in planned:
        # Those that follow searches have begun with networks of their own.
        if run.begun and run.method in found and run.method not in followers.REGISTRY:
            config = replace(found[run.method], seed=run.seed, output_dir=str(run.directory))
            try:
                check_begun(run, config)
            except ConfigError as error:
                raise ConfigError(f"{run.directory}: {error}") from None
    return found


def left_with_lower_limits(runs: Sequence[Run], configs: dict[str, SearchConfig]) -> list[str]:
    """What there is to say of finished runs whose limits were lower than those given now: they are not gone on with.

    Raises:
        ConfigError: the settings of one cannot be read.
    """
    found: dict[str, list[str]] = {}
    for run in (run for run in runs if run.finished and run.begun and run.method in configs):
        saved = run_directory.read_config(run.directory)
        limits = [(name, getattr(saved, name)) for name in settings.raisable(SearchConfig)]
        lower = [
            f"{name}={old:,.15g}" for name, old in limits if settings.is_raised(old, getattr(configs[run.method], name))
        ]
        if lower:
            found.setdefault(", ".join(lower), []).append(run.directory.name)
    return [
        f"Finished with {lower}, and left so: {', '.join(names)}. Another --output_dir has them with what is given now."
        for lower, names in found.items()
    ]
