"""What a run that goes on has from the version of nash_tf that began it."""

from collections.abc import Mapping
from dataclasses import replace

from nash_tf import __version__, data, runtime
from nash_tf.architecture import costs
from nash_tf.config import SearchConfig
from nash_tf.data import npz, registry
from nash_tf.files import run_directory
from nash_tf.strategy import methods

AUGMENTATION = "augmentation"  # among the versions: what happens to training images


def versions(config: SearchConfig, dataset: data.Dataset) -> dict[str, str]:
    """What a run depends on beside its settings and data, by name."""
    return {
        "nash_tf": __version__,
        **runtime.versions(),
        run_directory.COSTS: costs.coefficients(),
        AUGMENTATION: ",".join(config.augmentations(dataset.flips)),
    }


def as_begun(config: SearchConfig, dataset: data.Dataset, before: Mapping[str, str] | None) -> data.Dataset:
    """The data set as the run was begun with it.

    Args:
        before: the versions by which the run was begun; None for a new run.
    """
    return replace(dataset, flips=True) if _is_still_mirrored(config, before) else dataset


def describe(config: SearchConfig, before: Mapping[str, str] | None) -> list[str]:
    """What there is to say where this version would begin the run otherwise, a line each.

    Args:
        before: the versions by which the run was begun; None for a new run.
    """
    if before is None:
        return []
    lines = []
    if _is_still_mirrored(config, before):
        lines.append(
            "Training images are mirrored, as this run was begun; a new one of such a file mirrors them only where --augment names flip."
        )
    has_budget = methods.registry[config.method].is_budgeted or config.budget_epochs or config.budget_seconds
    known = before.get(run_directory.COSTS, "not recorded")
    if has_budget and known != costs.coefficients():
        lines.append(
            f"This run was begun by a version of nash_tf that predicts costs otherwise ({known}; now {costs.coefficients()}): what is "
            "left of its budget is laid out anew."
        )
    return lines


def _is_still_mirrored(config: SearchConfig, before: Mapping[str, str] | None) -> bool:
    """Whether images are mirrored by default only because the run was begun so, by a version that did that to `.npz` files; it did not
    tell the augmentation among the versions."""
    is_of_before = before is not None and AUGMENTATION not in before
    return is_of_before and config.augment is None and registry.find(config.dataset) is npz.KIND
