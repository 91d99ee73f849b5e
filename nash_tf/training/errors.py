"""How a training can end without an outcome that counts. What else is raised in one is the child's own failure too,
unless it is of `nash_tf.training.disturbances`."""


class FailedTraining(Exception):
    """The child has failed, and would again."""


class NotFinite(FailedTraining):
    """Its numbers are no longer finite."""


class OutOfTime(Exception):
    """A limit on time was reached; the training is dropped, as if it had not begun."""


class Unsearchable(ValueError):
    """What was given cannot be searched with: it is the same for every child, and ends the search."""
