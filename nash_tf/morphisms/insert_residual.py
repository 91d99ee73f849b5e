"""Insert a residual block (He et al. 2016, arXiv 1512.03385, figure 2; gamma = 0 as in Goyal et al. 2017, arXiv 1706.02677, 5.1)."""

from nash_tf.architecture import Architecture, Node
from nash_tf.morphisms.insert import norm_after
from nash_tf.morphisms.insert_conv import InsertConv


class InsertResidual(InsertConv):
    """Inserts y = ReLU(x + norm(conv(x))) on an edge whose source x is never negative. Site: (source, consumer, kernel size).

    1. The batch normalisation has gamma = beta = 0, so that y = ReLU(x) = x in both modes. gamma has a gradient at once, the
       kernel, which is random, as soon as gamma is not 0.
    2. If x is also at most 6, as the output of a ReLU6 is, the activation is ReLU6.
    3. Where x may be negative, `InsertConv` inserts a residual block already.
    """

    name = "insert_residual"

    def refusal(self, architecture, site):
        if reason := super().refusal(architecture, site):
            return reason
        source = site[0]
        return (
            ""
            if source in architecture.nonnegative
            else f"{source} may be negative; insert_conv adds a residual block there"
        )

    def _block(self, architecture: Architecture, source: Node, size: int, number: int) -> tuple[str, list[Node]]:
        conv = self._conv(architecture, source, size, number, self.conv_kind.residual)
        norm = norm_after(architecture, conv, number, source)
        add = architecture.make(f"add_{number}", "Add", {}, [source, norm])
        return "residual", [conv, norm, add, self._relu(architecture, source, add, number)]
