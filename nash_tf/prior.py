"""Reads what earlier runs say of the gains that `grow` expects (`--prior`)."""

import os
from dataclasses import replace

from nash_tf.config import SearchConfig, refusal
from nash_tf.report.records import loading
from nash_tf.report.records.runs import Run, number
from nash_tf.strategy import evidence, methods
from nash_tf.strategy.evidence import Evidence
from nash_tf.strategy.growing import excess, weight


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
    control = run.results.get("control")
    control = control if isinstance(control, dict) else {}
    winner = next((record for record in run.records if record.place == run.winner), None)
    if not run.results:
        raise refusal("prior", directory, "holds no finished run: it has no results.json")
    if run.method not in methods.registry or not methods.registry[run.method].has_foresight:
        raise refusal(
            "prior", directory, f"is a run of {run.method}, which expects no gains; give one of {methods.GROW.name}"
        )
    numbers = [number(control.get(name)) for name in ("val_loss", "epochs", "cpu_seconds", "search_cpu_seconds")]
    known = [each for each in (*numbers, winner and winner.loss, number(run.results.get("train_images"))) if each]
    if len(known) < len(numbers) + 2:
        rule = (
            "has no control to tell what growing brought, or is of an earlier version; give a run without --nocontrol"
        )
        raise refusal("prior", directory, rule)
    loss, epochs, took, search, of_winner, images = known
    return Evidence(*_expected(run), loss - of_winner - _missing(epochs * weight(int(images)), search / took))


def _expected(run: Run) -> tuple[float, float]:
    """Gain and cost that were expected of the morphisms that were taken."""
    taken = [
        weighing.best[0] for each in run.records if not each.rung for weighing in each.considered[: len(each.moves)]
    ]
    return sum(each.gain for each in taken), sum(each.cost for each in taken)


def _missing(epochs: float, share: float) -> float:
    """By how much the loss of a control would be lower with as much compute as the search.

    Args:
        epochs: of the control, times `nash_tf.strategy.growing.weight`.
        share: compute of the search, by that of the control.
    """
    return excess(epochs) - excess(epochs * share)
