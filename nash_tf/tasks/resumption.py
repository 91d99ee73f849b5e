"""What a run that goes on has from the version of nash_tf that began it."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import nash_tf
from nash_tf import __version__, data, runtime, settings
from nash_tf.architecture import costs
from nash_tf.config import SearchConfig, refusal
from nash_tf.data import identity, npz, registry
from nash_tf.files import run_directory
from nash_tf.strategy import budget_names, explanations, methods
from nash_tf.tuning.reopening import has_search

SOURCES = "nash_tf sources"  # among the versions: a digest
_SAY_NOTHING = {"report", "drawing", "benchmark"}  # rooms on which no result depends
AUGMENTATION = "augmentation"  # among the versions: what happens to training images


def versions(config: SearchConfig, dataset: data.Dataset) -> dict[str, str]:
    """What a run depends on beside its settings and data, by name."""
    return {
        "nash_tf": __version__,
        SOURCES: sources(),
        **runtime.versions(),
        run_directory.COSTS: costs.coefficients(),
        AUGMENTATION: ",".join(config.augmentations(dataset.flips)),
        **identity.versions(dataset),
    }


@cache
def sources() -> str:
    """A digest of the package's own files: between two versions of it much changes that a run comes to."""
    root, found = Path(nash_tf.__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        if name.parts[0] not in _SAY_NOTHING:
            found.update(f"{name.as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()[:12]


def check(
    config: SearchConfig, dataset: data.Dataset, before: Mapping[str, str] | None, begun: SearchConfig | None
) -> None:
    """Checks that a run goes on with the images that it was begun with: of others some that it was trained on would validate it.

    Args:
        before: the versions by which the run was begun; None for a new run. Earlier ones do not tell the images: those are known by
            their place alone.
        begun: the settings that it was begun with; None for a new run, and in a worker, whose chief checks them.

    Raises:
        ConfigError: they are others, or others are in a part of them.
    """
    now, then = identity.labels(dataset), (before or {}).get(identity.IMAGES)
    if before is not None and then is None and begun is not None and begun.dataset != config.dataset:
        raise refusal(
            "dataset", config.dataset, f"the run was begun with {begun.dataset}; give that, or another --output_dir"
        )
    if then not in (None, now):
        rule = f"the run was begun with {then}, and these are {now}; give those that it was begun with, or another --output_dir"
        raise refusal("dataset", config.dataset, rule)


def check_trainings(directory: Path) -> None:
    """Checks that the trainings of which a run's lineage tells are there: without them it would begin anew, over that lineage.

    Raises:
        ConfigError: their folder is lost.
    """
    if (directory / run_directory.LINEAGE).exists() and not has_search(directory / run_directory.TUNER):
        rule = f"its {run_directory.TUNER}/ is lost, without which it cannot go on; put that back, or give another --output_dir"
        raise refusal("output_dir", directory, rule)


def as_begun(config: SearchConfig, dataset: data.Dataset, before: Mapping[str, str] | None) -> data.Dataset:
    """The data set as the run was begun with it.

    Args:
        before: the versions by which the run was begun; None for a new run.
    """
    return replace(dataset, flips=True) if _is_still_mirrored(config, before) else dataset


def describe(config: SearchConfig, dataset: data.Dataset, before: Mapping[str, str] | None) -> list[str]:
    """What there is to say where this version would begin the run otherwise, a line each.

    Args:
        before: the versions by which the run was begun; None for a new run.
    """
    if before is None:
        return []
    lines = []
    if before.get(identity.PIXELS) not in (None, identity.pixels(dataset)):
        lines.append(
            "The images have the labels of those that this run was begun with, but other pixels: scores before and after may not compare."
        )
    if _is_still_mirrored(config, before):
        lines.append(
            "Training images are mirrored, as this run was begun; a new one of such a file mirrors them only where --augment names flip."
        )
    has_budget = methods.registry[config.method].is_budgeted or budget_names.given(vars(config), budget_names.COMPUTE)
    known = before.get(run_directory.COSTS, "not recorded")
    if has_budget and known != costs.coefficients():
        lines.append(
            f"This run was begun by a version of nash_tf that predicts costs otherwise ({known}; now {costs.coefficients()}): what is "
            "left of its budget is laid out anew."
        )
    return lines


def of_raised_limits(config: SearchConfig, begun: SearchConfig | None) -> list[str]:
    """What there is to say where a method that lays out its budget once is given higher limits later.

    Args:
        config: the settings now.
        begun: those that the run was begun with; None for a new run.
    """
    if begun is None:
        return []
    limits = settings.raisable(SearchConfig)
    raised = [name for name in limits if settings.is_raised(getattr(begun, name), getattr(config, name))]
    gained = "What is gained is time for what follows it. "
    return explanations.raised_limits(config.method, raised, "another --output_dir", gained)


def _is_still_mirrored(config: SearchConfig, before: Mapping[str, str] | None) -> bool:
    """Whether images are mirrored by default only because the run was begun so, by a version that did that to `.npz` files; it did not
    tell the augmentation among the versions."""
    is_of_before = before is not None and AUGMENTATION not in before
    return is_of_before and config.augment is None and registry.find(config.dataset) is npz.KIND
