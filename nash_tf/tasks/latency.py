"""The latencies of a run's networks, kept in its directory: each is measured once for the search, those of a front once more, together."""

from collections.abc import Callable, Mapping, Sequence

import keras

from nash_tf.architecture import Architecture
from nash_tf.config import SearchConfig, refusal
from nash_tf.keras_models import views
from nash_tf.keras_models.building import to_keras
from nash_tf.keras_models.latency import BATCHES, unsteady
from nash_tf.settings.costs import COSTS, LATENCY
from nash_tf.strategy import methods
from nash_tf.tuning.kept_latencies import KeptLatencies

KEY = COSTS[LATENCY]  # of a single image in results.json; with `_32` behind it of 32 images


class Latencies:
    """Measures networks, untrained ones, for their time does not depend on their weights; in float32 and all their views, as they are handed over.

    Args:
        config: of the run, its number of threads given.
    """

    def __init__(self, config: SearchConfig):
        self.config = config
        self._kept = KeptLatencies(config.directory, config.latency_runtime, config.threads)

    def of(self, architecture: Architecture, batches: Sequence[int] = BATCHES) -> dict[int, float]:
        """Milliseconds of a network by the number of images that it is given together."""
        return self._kept.of(*self._handed_over(architecture), batches)

    def _handed_over(self, architecture: Architecture) -> tuple[Architecture, Callable[[], keras.Model]]:
        """A network as it is handed over, the same in whatever it was trained; and what makes its model."""
        wide, view = architecture.in_float32(), views.REGISTRY[self.config.views]
        return wide, lambda: view(to_keras(wide))

    def fits(self, architecture: Architecture) -> bool:
        """Whether a network keeps `max_latency_ms`."""
        most = self.config.max_latency_ms
        return most is None or self.of(architecture, BATCHES[:1])[1] <= most

    def check(self, first: Architecture) -> list[str]:
        """Checks the first network against the limit, where any grow out of it: they are no faster.

        Returns:
            What is to be said of it, a line; nothing where no network is timed.

        Raises:
            ConfigError: it is over it, or cannot be timed.
        """
        if not self.config.needs_latency:
            return []
        try:
            took = self.of(first, BATCHES[:1])[1]
        except ValueError as error:
            name = "objective_cost" if self.config.max_latency_ms is None else "max_latency_ms"
            raise refusal(name, getattr(self.config, name), str(error)) from None
        grows = methods.registry[self.config.method].grows
        if grows and not self.fits(first):
            rule = f"the first network takes {took:g} ms on this machine; give more, or a smaller one by --widths"
            raise refusal("max_latency_ms", self.config.max_latency_ms, rule)
        has_limit = grows and self.config.max_latency_ms is not None
        limit = f" of {self.config.max_latency_ms:g} that it may take" if has_limit else ""
        return [
            f"An image takes the first network {took:g} ms{limit}, in {self.config.latency_runtime} on this machine."
        ]

    def facts(self, architecture: Architecture) -> dict[str, float]:
        """What results.json says of a network's latency; nothing where none is asked for."""
        if not self.config.needs_latency:
            return {}
        return _facts(self.of(architecture))

    def of_front(self, architectures: Sequence[Architecture]) -> tuple[list[dict[str, float]], str | None]:
        """What results.json says of the latencies of networks that are compared, timed together; and what is to be said of how they vary."""
        if not self.config.needs_latency:
            return [{} for _ in architectures], None
        found = self._kept.of_front([self._handed_over(architecture) for architecture in architectures])
        facts = [_facts({batch: timed.milliseconds for batch, timed in each.items()}) for each in found]
        return facts, unsteady(found)

    def save(self) -> None:
        """Writes what is known, once the run has a directory."""
        self._kept.save()


def _facts(milliseconds: Mapping[int, float]) -> dict[str, float]:
    return {KEY if batch == 1 else f"{KEY}_{batch}": milliseconds[batch] for batch in BATCHES}
