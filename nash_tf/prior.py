"""Reads what earlier runs say of the gains that `grow` expects (`--prior`)."""

import os
from dataclasses import replace

from nash_tf.config import SearchConfig, refusal
from nash_tf.records import gain_of_growth, loading
from nash_tf.strategy import evidence, methods
from nash_tf.strategy.evidence import Evidence


def with_prior(config: SearchConfig, begun: SearchConfig | None) -> SearchConfig:
    """The settings with the factor of the expected gains: the one given, the one that the run began with, or what earlier runs say.

    Args:
        config: the settings.
        begun: settings of the run that goes on; None for one that begins.

    Raises:
        ConfigError: one of the earlier runs says nothing of the gains, with the reason; or both they and a factor are given.
    """
    if begun is None and config.prior and config.gain_factor is not None:
        raise refusal("gain_factor", config.gain_factor, "must not be given together with prior, which tells it")
    if config.gain_factor is not None or not methods.registry[config.method].has_foresight:
        return config
    if begun is not None:
        return replace(config, prior=begun.prior, gain_factor=begun.gain_factor)
    if not config.prior:
        return config
    factor = evidence.gain_factor(map(_evidence, config.prior))
    return replace(config, gain_factor=round(factor, 3))


def describe(config: SearchConfig) -> list[str]:
    """The factor, a line; nothing where gains are as they were measured."""
    if config.gain_factor is None or not methods.registry[config.method].has_foresight:
        return []
    source = f"by {len(config.prior)} earlier run{'s' * (len(config.prior) > 1)}" if config.prior else "by gain_factor"
    return [f"Size is expected to bring {config.gain_factor:.2f} times what it does on CIFAR-10 ({source})."]


def _evidence(directory: str) -> Evidence:
    """What a run says.

    Raises:
        ConfigError: nothing, and why.
    """
    if not os.path.isdir(directory):
        raise refusal("prior", directory, "must be the directory of a run")
    run = loading.read(directory)
    if not run.results:
        raise refusal("prior", directory, "holds no finished run: it has no results.json, or has gone on since")
    if run.method not in methods.registry or not methods.registry[run.method].has_foresight:
        raise refusal(
            "prior", directory, f"is a run of {run.method}, which expects no gains; give one of {methods.GROW.name}"
        )
    found = gain_of_growth.against_control(run)
    if found is None or found.with_as_much is None:
        rule = "has no control to tell what growing brought, or one that was trained for no time, or is of an earlier version"
        raise refusal("prior", directory, f"{rule}; give a run without --nocontrol")
    return Evidence(*gain_of_growth.expected(run), found.loss)
