"""What the README tells to type is what the program takes. Its Python is run in tests/surgery/test_morphing_kinds.py."""

import os
import re
import shlex
from importlib import import_module

import pytest

import nash_tf
from nash_tf import main
from nash_tf.experiment import __main__ as experiment
from nash_tf.report import __main__ as report
from tests.helpers import ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = [line.strip() for line in re.findall(r"(?m)^    (?=bash |nash-tf |python |pip )(.*)$", TEXT)]
LINKS = re.findall(r"\]\(([^)#:]+)\)", TEXT)
PATHS = re.findall(r"`((?:launchers|tests|flags|nash_tf)/[\w./]+)`", TEXT)


def arguments(line):
    return [word for word in shlex.split(line, comments=True) if "=" not in word or word.startswith("-")]


@pytest.mark.parametrize("line", LINES)
def test_commands_are_taken(line, tmp_path, monkeypatch):
    program, *rest = arguments(line)
    monkeypatch.chdir(ROOT)
    if program == "bash":
        assert os.access(ROOT / rest[0], os.R_OK)
        program, rest = "nash-tf", rest[1:]
        if "search.sh" not in line:
            return
    if program != "nash-tf":
        return
    if rest[0] == "experiment":
        experiment.parse(["nash-tf", *rest[1:]])
        own = re.compile("--(methods|runs|jobs|flagfile=experiment)")
        main.parse(["nash-tf", *(word for word in rest[1:] if not own.match(word))])
    elif rest[0] == "report":
        with pytest.raises(SystemExit) as ended:
            report.main([*rest[1:], "--help"])
        assert ended.value.code == 0
    elif rest[0] != "predict":
        assert main.parse(["nash-tf", *rest])[0] is not None


def test_there_are_commands_to_try():
    assert len(LINES) >= 8


@pytest.mark.parametrize("path", sorted({*LINKS, *PATHS}))
def test_what_is_pointed_to_is_there(path):
    assert (ROOT / path).exists()


def test_names_are_there_as_they_are_written():
    """After `import nash_tf` alone, or by an import that is written out."""
    for module, name in re.findall(r"from (nash_tf[.\w]*) import (\w+)", TEXT):
        assert hasattr(import_module(module), name), name
    written = set(re.findall(r"(?<!from )\bnash_tf\.(\w+)", TEXT))
    for_users = re.search(r"for\s+users, (.*?)\.\n", TEXT, re.DOTALL)
    written |= set(re.findall(r"`(\w+)\.py`", for_users[1]))
    assert "metrics" in written and written <= set(nash_tf.__all__)
