"""The latencies of a run's networks: each is measured once, and kept in the directory of the run."""

from collections.abc import Sequence

from nash_tf.architecture import Architecture
from nash_tf.config import SearchConfig, refusal
from nash_tf.keras_models import views
from nash_tf.keras_models.building import to_keras
from nash_tf.keras_models.latency import BATCHES
from nash_tf.strategy import methods
from nash_tf.tuning.kept_latencies import KeptLatencies


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
        architecture = architecture.in_float32()  # so that it is the same network before and after it is handed over
        view = views.REGISTRY[self.config.views]
        return self._kept.of(architecture, lambda: view(to_keras(architecture)), batches)

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
        found = self.of(architecture)
        return {"latency_ms": found[1], **{f"latency_ms_{batch}": found[batch] for batch in BATCHES if batch != 1}}

    def save(self) -> None:
        """Writes what is known, once the run has a directory."""
        self._kept.save()
