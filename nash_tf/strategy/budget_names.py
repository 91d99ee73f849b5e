"""The names of the settings that say how much a search may spend."""

from collections.abc import Mapping, Sequence
from typing import Any

COMPUTE = ("budget_epochs", "budget_seconds")
TIME = ("max_hours", "max_cpu_hours")


def given(settings: Mapping[str, Any], names: Sequence[str] = COMPUTE + TIME) -> list[str]:
    """Those of the names that have a value in settings, which need not know them all."""
    return [name for name in names if settings.get(name) is not None]
