"""What `morph` returns."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import keras

from nash_tf.architecture import Architecture
from nash_tf.architecture.changes import listed
from nash_tf.drawing import changes_graph
from nash_tf.files.atomic import write_atomically
from nash_tf.morphisms.base import Move
from nash_tf.morphisms.draw import replay
from nash_tf.morphisms.weight_transfer import Fold


class _Parts(NamedTuple):
    model: keras.Model
    moves: str
    certificate: dict[str, float]


class Morphed(_Parts):
    """What `morph` returns: (model, moves, certificate), with the architectures before and after beside them.

    Attributes:
        model: the child, compiled like its parent.
        moves: the morphisms as JSON; `morph(parent, moves=moves)` makes the same child again, with the same `noise`, `seed` and
            `calibration` where these were given.
        certificate: see `nash_tf.certificate.certify`, with what the child costs, `added_params` and `added_flops`;
            empty without calibration data.
        before: the parent's architecture.
        after: the child's.
    """

    before: Architecture
    after: Architecture

    @classmethod
    def of(
        cls, model: keras.Model, moves: str, certificate: dict[str, float], before: Architecture, after: Architecture
    ) -> "Morphed":
        """The three parts, and the two architectures."""
        morphed = cls(model, moves, certificate)
        morphed.before, morphed.after = before, after
        return morphed

    def _replace(self, **changed: Any) -> "Morphed":
        """Another with some of its three parts changed, and the same two architectures."""
        return self.of(*super()._replace(**changed), self.before, self.after)

    @property
    def edits(self) -> str:
        """Former name of `moves`."""
        return self.moves

    def changes(self) -> list[str]:
        """What changed, in lines to read: a layer each, with a sign in front (+ new, ↔ wider, » reads more, − gone)."""
        _, made = replay(self.before, [Move(*move) for move in json.loads(self.moves)])
        recipes = [each for transfer, _ in made for each in transfer.recipes.items()]
        folded = {recipe.norm: layer for (layer, _), recipe in recipes if isinstance(recipe, Fold)}
        return listed(self.before, self.after, folded)

    def picture(self, path: str | Path | None = None) -> str:
        """A drawing of what changed, as SVG; layers far from any change are folded.

        Args:
            path: file that it is written to as well; it ends in .svg.

        Raises:
            ValueError: the network is too large to be drawn, or the file has another ending.
            OSError: the file cannot be written.
        """
        if path is not None and Path(path).suffix.lower() != ".svg":
            raise ValueError(f"path must end in .svg, for that is what is drawn, received {str(path)!r}")
        drawn = changes_graph.graph(self.before, self.after)
        if drawn is None:
            raise ValueError("the network is too large to be drawn; changes() lists what changed")
        document = drawn.document()
        if path is not None:
            write_atomically(path, document.encode())
        return document
