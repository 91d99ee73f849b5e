"""CPU and wall-clock time by step and rung."""

from dataclasses import dataclass

from nash_tf.records.runs import Record, Run, number


@dataclass(frozen=True)
class RungTime:
    """Time of one rung, of the control, or of all else that is not a training in the lineage; these two have no `step`."""

    step: int | None
    rung: int
    trainings: int
    cpu: float
    wall: float
    is_control: bool = False


def by_rung(run: Run) -> list[RungTime]:
    """Time by step and rung; the control and what else results.json has beyond the trainings come last."""
    groups: dict[tuple[int, int], list[Record]] = {}
    for record in run.records:
        groups.setdefault((record.step, record.rung), []).append(record)
    found = [
        RungTime(
            step,
            rung,
            len(group),
            sum(record.cpu_seconds or 0.0 for record in group),
            sum(record.wall_seconds or 0.0 for record in group),
        )
        for (step, rung), group in sorted(groups.items())
    ]
    control = run.results.get("control")
    spent = [number(control.get(name)) for name in ("cpu_seconds", "seconds")] if isinstance(control, dict) else []
    if spent and None not in spent:
        found.append(RungTime(None, 0, 0, spent[0] or 0.0, spent[1] or 0.0, is_control=True))
    cpu = (run.result("cpu_seconds") or 0.0) - sum(entry.cpu for entry in found)
    wall = (run.result("seconds") or 0.0) - sum(entry.wall for entry in found)
    if cpu > 0:
        found.append(RungTime(None, 0, 0, cpu, max(wall, 0.0)))  # trainings side by side have more seconds than the run
    return found
