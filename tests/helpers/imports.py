"""Who imports whom within the package, read from its source."""

import ast
from collections.abc import Mapping
from pathlib import Path

import nash_tf

PACKAGE = Path(nash_tf.__file__).parent
MOST_LINES = 330


def modules(room: str = "") -> dict[str, Path]:
    """All modules below a room of the package, or of all of it, by their dotted names below `nash_tf`."""
    found = {}
    for path in (PACKAGE / room.replace(".", "/")).rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path, but: frozenset[str] = frozenset()) -> set[str]:
    """The modules of the package that a file imports, within functions too; not in the functions named in `but`."""
    known, found = modules(), set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef) and node.name in but:
            return
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[2] for alias in node.names if alias.name.split(".")[0] == "nash_tf")
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            top, _, base = (node.module or "").partition(".")
            for alias in node.names if top == "nash_tf" else ():
                name = f"{base}.{alias.name}".removeprefix(".")
                found.add(name if name in known else base)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def circle(uses: Mapping[str, set[str]]) -> list[str]:
    """Modules that wait for each other, given what each one imports; none where the imports have an order."""
    left = {name: others - {name} for name, others in uses.items()}
    while free := {name for name, others in left.items() if not others & left.keys()}:
        left = {name: others for name, others in left.items() if name not in free}
    return sorted(left)


def large(room: str = "") -> dict[str, int]:
    """The modules with too many lines, and how many."""
    counts = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules(room).items()}
    return {name: count for name, count in counts.items() if count > MOST_LINES}
