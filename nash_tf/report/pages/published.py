"""The published results: CIFAR-10, 8 runs each (slides of 14 December 2018; best, worst and the sorts of merging layers are of the
authors' report alone; test accuracy)."""

from typing import NamedTuple


class Published(NamedTuple):
    """A method's row. Accuracies in percent, parameters in millions, layers in percent, each as text with its deviation."""

    method: str
    accuracy: str
    best: str
    worst: str
    params: str
    conv: str
    convex: str
    concat: str
    split: str
    separable: str


# The slides have merging layers together: 19 ± 3, 25 ± 2, 22 ± 2 and 18 ± 1 %. The report's sorts add up to these, but for SHRSep.
APART = (
    "The report's convex, concat and split of SHRSep add up to 22 %; the slides have 18 ± 1 % of merging layers there."
)
TABLE = (
    Published("NASH", "94.64 ± 0.38", "95.07", "94.00", "18.2 ± 6.2", "74 ± 4", "5 ± 3", "4 ± 1", "10 ± 2", "0"),
    Published("SH", "94.57 ± 0.11", "94.70", "94.35", "12.9 ± 5.9", "67 ± 2", "11 ± 2", "5 ± 1", "9 ± 1", "0"),
    Published("SHR", "94.63 ± 0.29", "95.02", "94.14", "14.8 ± 4.8", "70 ± 2", "8 ± 4", "6 ± 2", "8 ± 2", "0"),
    Published(
        "SHRSep", "94.39 ± 0.33", "94.98", "94.00", "14.5 ± 4.5", "52 ± 11", "8 ± 4", "4 ± 1", "10 ± 4", "23 ± 11"
    ),
)
