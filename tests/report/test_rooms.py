"""The report's wings: who imports whom, how large a module is, and what its start loads."""

import ast
from pathlib import Path

from nash_tf import report

ROOM = Path(report.__file__).parent
BELOW = {  # wing -> wings that it may import from, beside itself
    "records": set(),
    "analysis": {"records"},
    "drawing": set(),
    "charts": {"records", "analysis", "drawing"},
    "pages": {"records", "analysis", "drawing", "charts"},
}


def imported(path: Path) -> set[str]:
    """Names of the modules of the report that a file imports, below `nash_tf.report`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nash_tf.report"):
            base = node.module.removeprefix("nash_tf.report").removeprefix(".")
            found |= {f"{base}.{alias.name}".removeprefix(".") for alias in node.names}
    return found


def test_wings_import_one_way():
    assert {path.name for path in ROOM.iterdir() if (path / "__init__.py").exists()} == set(BELOW)
    for path in ROOM.glob("*/*.py"):
        wings = {name.split(".")[0] for name in imported(path)}
        assert wings <= BELOW[path.parent.name] | {path.parent.name}, path


def test_no_circle_within_a_wing():
    uses = {}
    for path in ROOM.glob("*/*.py"):
        own = f"{path.parent.name}.{path.stem}"
        uses[own] = {".".join(name.split(".")[:2]) for name in imported(path)} - {own}
    while uses:
        free = {name for name, others in uses.items() if not others & uses.keys()}
        assert free, f"a circle among {sorted(uses)}"
        uses = {name: others for name, others in uses.items() if name not in free}


def test_modules_stay_small():
    assert {
        path.name: count for path in ROOM.rglob("*.py") if (count := len(path.read_text().splitlines())) > 330
    } == {}
