"""The names of the settings that say how much a search may spend."""

from collections.abc import Sequence

COMPUTE = ("budget_epochs", "budget_seconds")
TIME = ("max_hours", "max_cpu_hours")


def given(settings: object, names: Sequence[str] = COMPUTE + TIME) -> list[str]:
    """Those of the names that have a value in a settings object, which need not know them all."""
    return [name for name in names if getattr(settings, name, None) is not None]
