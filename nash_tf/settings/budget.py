"""The settings of how much compute and time a run has; a part of `nash_tf.config`."""

from dataclasses import dataclass

from nash_tf.settings import ABOVE_0, BUDGET, limit, number, optional, refusal, setting


@dataclass(frozen=True, kw_only=True)
class BudgetSettings:
    """The budget of all trainings together, and the limits on the time of a run."""

    budget_epochs: float | None = setting(
        optional(number("of at least 1", lambda value: value >= 1)),
        "Budget of compute of all trainings together, in epochs of the first network; those of other networks count by their "
        "predicted cost. grow and the baselines lay it out in advance, the other methods begin no training when those before it, by "
        "step, rung and child, have spent it, for any number of workers. Unset: "
        "vanilla_epochs + steps * epochs_per_step for the former, or what the limits on time allow; no limit for the latter.",
        default=None,
        group=BUDGET,
    )
    budget_seconds: float | None = setting(
        optional(ABOVE_0),
        "The same budget in predicted CPU-seconds of one core of a common server (see nash_tf.architecture.costs): equal for first "
        "networks of any size, on any machine. Not together with budget_epochs.",
        default=None,
        group=BUDGET,
    )
    max_hours: float | None = limit(
        optional(ABOVE_0),
        "Hours of wall-clock time for the whole run, from the start of the program: the search ends early enough for control, "
        "final training and export, and a training that is open then is dropped; that of the first network, and the last part of one "
        "training, have as many epochs as fit. A method with one budget lays it out once: its search, once over, does not go on. Unset: no limit.",
        default=None,
    )
    max_cpu_hours: float | None = limit(
        optional(ABOVE_0),
        "Hours of CPU time, of all trainings of the search together, after which it ends; control, final training and export "
        "are not counted. Unset: no limit.",
        default=None,
    )

    def check_budget(self) -> None:
        """Checks that there is one budget at most.

        Raises:
            ConfigError: there are two.
        """
        if self.budget_epochs is not None and self.budget_seconds is not None:
            raise refusal("budget_seconds", self.budget_seconds, "must not be given together with budget_epochs")
