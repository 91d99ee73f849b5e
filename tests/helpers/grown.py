"""Architectures that random morphisms have made, and what differs between two."""

from nash_tf.architecture.vanilla import vanilla
from nash_tf.morphisms import registry
from nash_tf.morphisms.draw import draw

VANILLA = vanilla((32, 32, 3), 10, (16, 32, 64))
# Without residual blocks: the sums in them may be negative, and so what is merged with one.
UNIFORM = {name: 1.0 for name in registry if name != "insert_residual"}
PARENTS = [draw(VANILLA, count, UNIFORM, 3e5, seed=count)[0] for count in range(21)]


def new_nodes(parent, child):
    return [node.name for node in child.nodes if node.name not in parent]


def changed_variables(parent, child):
    """(node, variable) of the parent's variables whose shape the child has changed."""
    return {
        (node.name, variable)
        for node in parent.nodes
        for variable, shape in node.variables.items()
        if child[node.name].variables[variable] != shape
    }


def parent_grew(parent, child, node):
    return node.name not in parent or parent[node.name].shape != child[node.name].shape
