"""The report's wings: who imports whom."""

import pytest

from tests.helpers.imports import imported, modules

BELOW = {  # wing -> wings that it may import from, beside itself
    "analysis": set(),
    "charts": {"analysis"},
    "pages": {"analysis", "charts"},
}


def wing(module: str) -> str:
    """The wing of a module of the report; empty for what is beside them."""
    name = module.partition(".")[2].split(".")[0]
    return name if name in BELOW else ""


def test_every_wing_has_its_place():
    found = {
        name.split(".")[1] for name, path in modules("report").items() if path.name == "__init__.py" and "." in name
    }
    assert found == set(BELOW)


@pytest.mark.parametrize("own", BELOW)
def test_wings_import_one_way(own):
    found = {
        (name, other)
        for name, path in modules("report").items()
        if wing(name) == own
        for other in imported(path)
        if other.startswith("report")
    }
    assert {pair for pair in found if wing(pair[1]) not in BELOW[own] | {own}} == set()
