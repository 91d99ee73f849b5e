"""What children may be compared by on the validation images."""

import math
from typing import NamedTuple


class Objective(NamedTuple):
    """One of them.

    Attributes:
        name: of the setting.
        metric: the Keras metric, as in the lineage.
        direction: "max" or "min".
        words: what it is called.
        is_share: whether it is a share, to be read in per cent.
    """

    name: str
    metric: str
    direction: str
    words: str
    is_share: bool

    @property
    def measure(self) -> str:
        """What is measured, on whatever images."""
        return self.name.replace("_", " ")

    def score(self, value: float) -> float:
        """The value as a score, larger is better; the lowest where it is no finite number, since nothing compares with NaN."""
        if not math.isfinite(value):
            return -math.inf
        return -value if self.direction == "min" else value


ACCURACY = Objective("accuracy", "val_accuracy", "max", "validation accuracy", True)
BALANCED_ACCURACY = Objective("balanced_accuracy", "val_balanced_accuracy", "max", "validation balanced accuracy", True)
LOSS = Objective("loss", "val_loss", "min", "validation loss", False)
REGISTRY = {each.name: each for each in (ACCURACY, BALANCED_ACCURACY, LOSS)}
HELP = (
    "What children are compared by on the validation images: accuracy; balanced_accuracy, the mean over the classes of the share "
    "of their images that is named right; or loss, the smallest."
)


def of_metric(metric: object) -> Objective | None:
    """The one of a Keras metric; None where there is none."""
    return next((each for each in REGISTRY.values() if each.metric == metric), None)
