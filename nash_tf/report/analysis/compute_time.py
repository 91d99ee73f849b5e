"""CPU and wall-clock time by step and rung."""

from dataclasses import dataclass

from nash_tf.report.records.runs import Record, Run


@dataclass(frozen=True)
class RungTime:
    """Time of one rung, or of all that is not a training in the lineage (`step` None)."""

    step: int | None
    rung: int
    trainings: int
    cpu: float
    wall: float


def by_rung(run: Run) -> list[RungTime]:
    """Time by step and rung; what results.json has beyond the trainings comes last."""
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
    cpu = (run.result("cpu_seconds") or 0.0) - sum(entry.cpu for entry in found)
    wall = (run.result("seconds") or 0.0) - sum(entry.wall for entry in found)
    if cpu > 0:
        found.append(RungTime(None, 0, 0, cpu, max(wall, 0.0)))  # trainings side by side have more seconds than the run
    return found
