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
    of_control, wall_of_control = (number(run.control.get(name)) for name in ("cpu_seconds", "seconds"))
    if of_control is not None and wall_of_control is not None:
        found.append(RungTime(None, 0, 0, of_control, wall_of_control, is_control=True))
    cpu = (run.result("cpu_seconds") or 0.0) - sum(entry.cpu for entry in found)
    wall = (run.result("seconds") or 0.0) - sum(entry.wall for entry in found)
    if cpu > 0:
        found.append(RungTime(None, 0, 0, cpu, max(wall, 0.0)))  # trainings side by side have more seconds than the run
    return found
