"""Pipes, links, floods and odd content in a run: nothing hangs, fails, or is written elsewhere."""

import contextlib
import json
import os
import re
import shutil
import socket
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from nash_tf import report
from nash_tf.files import run_directory
from nash_tf.report.__main__ import main
from tests.report.helpers import Outline, page_of


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(path.parent):
        server.bind(path.name)


def _sparse(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(1 << 33)


NO_FILES = {
    "a pipe": os.mkfifo,
    "a socket": _socket,
    "a directory": Path.mkdir,
    "a link": lambda path: path.symlink_to("/dev/zero"),
    "is larger than": _sparse,
}


@pytest.mark.usefixtures("in_time")
class TestHostileFiles:
    @pytest.mark.parametrize("what", NO_FILES)
    @pytest.mark.parametrize(
        "name", ["config.json", "lineage.jsonl", "results.json", "best/architecture.json", "owner.lock"]
    )
    def test_only_regular_files_of_some_size_are_read(self, small, tmp_path, name, what, capsys):
        run = tmp_path / "run"
        shutil.copytree(small, run)
        (run / name).unlink(missing_ok=True)
        NO_FILES[what](run / name)
        assert main([str(run)]) == 0
        said = capsys.readouterr()
        assert f"{name} is not read: it is" in said.out and what in said.out and said.err == ""
        assert f"{name} is not read: it is" in Outline((run / "report.html").read_text()).text

    def test_a_linked_folder_is_not_read(self, small, tmp_path):
        shutil.copytree(small, tmp_path / "run")
        (tmp_path / "run" / "best").rename(tmp_path / "best")
        (tmp_path / "run" / "best").symlink_to(tmp_path / "best")
        assert "best/architecture.json is not read: it lies in best, a link" in page_of(tmp_path / "run").text

    @pytest.mark.parametrize("there", [True, False])
    def test_a_linked_figure_folder_is_not_written_to(self, small, tmp_path, there, capsys):
        run, outside = tmp_path / "run", tmp_path / "outside"
        shutil.copytree(small, run)
        shutil.rmtree(run / "report", ignore_errors=True)
        if there:
            outside.mkdir()
        (run / "report").symlink_to(outside)
        assert main([str(run)]) == 0
        assert not outside.exists() or not list(outside.iterdir())
        page = Outline((run / "report.html").read_text()).text
        assert "report/family_tree.svg is not written: report is a link, and nothing is written through links." in page

    @pytest.mark.parametrize("what", ["link", "directory", "pipe"])
    def test_a_page_that_is_no_file_is_refused(self, small, tmp_path, what, capsys):
        run, outside = tmp_path / "run", tmp_path / "outside"
        shutil.copytree(small, run)
        (run / "report.html").unlink(missing_ok=True)
        outside.write_text("mine")
        {"link": lambda path: path.symlink_to(outside), "directory": Path.mkdir, "pipe": os.mkfifo}[what](
            run / "report.html"
        )
        assert main([str(run)]) == 1
        said = capsys.readouterr()
        assert re.fullmatch(rf"cannot write \S+report.html: it is a {what}.*\n", said.err)
        report.renew(run)
        assert capsys.readouterr().err.startswith(f"report not written, {run}/report.html: it is a {what}")
        assert outside.read_text() == "mine" and not list(run.glob(".report*"))

    def test_a_page_that_cannot_be_made_ends_no_search(self, small, tmp_path, monkeypatch, capsys):
        def broken(*_):
            raise TypeError("unexpected\nargument")

        monkeypatch.setattr(report.search_page, "report", broken)
        report.renew(small)
        assert capsys.readouterr().err == f"report not written, {small}: TypeError: unexpected argument\n"

    def test_a_figure_that_cannot_be_written_is_named_and_the_others_are_there(self, small, tmp_path):
        shutil.copytree(small, tmp_path / "run")
        shutil.rmtree(tmp_path / "run" / "report", ignore_errors=True)
        (tmp_path / "run" / "report" / "growth.svg").mkdir(parents=True)
        page = page_of(tmp_path / "run").text
        assert "report/growth.svg is not written: it is a directory." in page
        assert (tmp_path / "run" / "report" / "time.svg").is_file()

    def test_linked_runs_are_left_out(self, small, tmp_path, capsys):
        root, outside = tmp_path / "root", tmp_path / "outside"
        root.mkdir()
        shutil.copytree(small, root / "own")
        shutil.copytree(small, outside / "other")
        for name in ("report", "report.html"):
            shutil.rmtree(outside / "other" / name, ignore_errors=True)
            (outside / "other" / "report.html").unlink(missing_ok=True)
        (root / "link").symlink_to(outside / "other")
        (root / "folder").symlink_to(outside)
        assert main([str(root)]) == 0
        said = capsys.readouterr()
        assert "link: a link, left out" in said.err and f"{root}/link" not in said.out
        assert (root / "own" / "report.html").exists() and not (outside / "other" / "report.html").exists()
        assert main([str(root / "link")]) == 0 and (outside / "other" / "report.html").exists()

    def test_one_page_that_cannot_be_written_leaves_the_others(self, small, tmp_path, capsys):
        for name in ("a", "b"):
            shutil.copytree(small, tmp_path / name)
            (tmp_path / name / "report.html").unlink(missing_ok=True)
        (tmp_path / "a" / "report.html").mkdir()
        assert main([str(tmp_path)]) == 1
        assert capsys.readouterr().err.count("cannot write") == 1
        assert (tmp_path / "b" / "report.html").is_file() and (tmp_path / "report.html").is_file()


def _training(step: int, child: int, **more) -> str:
    plain = {
        "step": step,
        "rung": 0,
        "child": child,
        "epochs": 1,
        "val_accuracy": 0.5,
        "params": 9,
        "morphisms": [["split"]],
    }
    return json.dumps(
        {**plain, "history": {"val_accuracy": [0.5]}, "parent": [step - 1, 0, 0] if step else None, **more}
    )


def _nested(levels: int) -> str:
    return "[" * levels + "1" + "]" * levels


FLOODS = {
    "a million lines": (
        "lineage.jsonl",
        lambda: "\n".join(['{"step":0,"rung":0,"child":0}'] * 10**6),
        "more than 20,000 lines",
    ),
    "a step of thousands": (
        "lineage.jsonl",
        lambda: "\n".join([_training(0, 0), *(_training(1, child) for child in range(1_000))]),
        "Of step 1 the 200 children that came furthest are drawn, of 1,000.",
    ),
    "thousands of steps": (
        "lineage.jsonl",
        lambda: "\n".join(_training(step, 0) for step in range(1_000)),
        "Steps before",
    ),
    "thousands of rungs": (
        "lineage.jsonl",
        lambda: "\n".join(_training(1, 0, rung=n) for n in range(2_000)),
        "left out",
    ),
    "thousands of operators": (
        "lineage.jsonl",
        lambda: "\n".join(_training(1, n, morphisms=[[f"{n}-{m}"] for m in range(100)]) for n in range(500)),
        "Growth",
    ),
    "long lives": (
        "lineage.jsonl",
        lambda: "\n".join(_training(0, n, epochs=10**9, history={"val_accuracy": [0.5] * 10**5}) for n in range(2)),
        "Learning curves",
    ),
    "gaps beyond all measure": (
        "lineage.jsonl",
        lambda: "\n".join(_training(0, n, epochs=10**9, history_every=10**9) for n in range(1_000)),
        "Learning curves",
    ),
    "gaps of no length": ("lineage.jsonl", lambda: _training(0, 0, history_every=0), "left out"),
    "epochs beyond all measure": ("lineage.jsonl", lambda: _training(0, 0, epochs=10**12), "left out"),
    "a line without an end": ("lineage.jsonl", lambda: "[" + "1," * 10**7, "cut off"),
    "numbers below zero": (
        "lineage.jsonl",
        lambda: "\n".join(_training(1, n, params=-n, epochs=-n, cpu_seconds=-1e9, wall_seconds=-3) for n in range(8)),
        "Growth",
    ),
    "surrogates": (
        "lineage.jsonl",
        lambda: _training(0, 0, morphisms=[["\ud800"]], status="\ud800"),
        "Training of child 0",
    ),
    "nested settings": ("config.json", lambda: f'{{"seed": {_nested(80)}}}', "nested more than 60 levels deep"),
    "deeply nested settings": ("config.json", lambda: f'{{"seed": {_nested(990)}}}', "nested more than 60 levels deep"),
    "a method without an end": (
        "config.json",
        lambda: json.dumps({"method": "m" * 10**5, "dataset": ["x"] * 10**4}),
        "mmm…",
    ),
    "endless rungs": (
        "config.json",
        lambda: json.dumps(
            {"method": "shr", "children": 8, "epochs_per_step": 2**45, "vanilla_epochs": 2**40, "steps": 2**60}
        ),
        "Learning curves",
    ),
    "a number of many digits": ("config.json", lambda: '{"seed": 1' + "0" * 10**5 + "}", "config.json cannot be read"),
    "nested results": (
        "results.json",
        lambda: f'{{"test_accuracy": 0.5, "winner": {_nested(500)}}}',
        "results.json cannot be read",
    ),
    "results beyond all measure": (
        "results.json",
        lambda: '{"test_accuracy": NaN, "params": -1e400, "seconds": -Infinity}',
        "holds no test_accuracy",
    ),
    "classes beyond all measure": (
        "results.json",
        lambda: '{"test_accuracy": 0.5, "test": {"images": 3, "model": {"by_class": [' + "{}," * 10**6 + "{}]}}}",
        "names no winner",
    ),
    "a front without an end": (
        "results.json",
        lambda: json.dumps(
            {
                "test_accuracy": 0.5,
                "front": [{"directory": f"front/{n}", "params": n, "val_accuracy": 0.5} for n in range(1, 20_000)],
            }
        ),
        "names no winner",
    ),
    "a nested architecture": (
        "best/architecture.json",
        lambda: json.dumps({"nodes": [], "outputs": []})[:-1] + f', "structure": {_nested(700)}}}',
        "architecture.json cannot be read",
    ),
    "a network of thousands": (
        "best/architecture.json",
        lambda: json.dumps(
            {
                "nodes": [
                    {
                        "name": f"n{n}",
                        "kind": "Odd",
                        "inputs": [f"n{m}" for m in range(max(0, n - 40), n)],
                        "shape": [4],
                    }
                    for n in range(2_000)
                ],
                "outputs": ["n1999"],
            }
        ),
        "They are too many to be drawn.",
    ),
}


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("name", FLOODS)
def test_hostile_content_is_reported_in_time(small, tmp_path, name, capsys):
    shutil.copytree(small, tmp_path / "run")
    file, content, words = FLOODS[name]
    (tmp_path / "run" / file).write_text(content())
    assert main([str(tmp_path / "run"), str(small)]) == 0
    page = Outline((tmp_path / "run" / "report.html").read_text(encoding="utf-8"))
    assert words in page.text
    for drawing in (tmp_path / "run" / "report").iterdir():
        ElementTree.parse(drawing)
    assert "Traceback" not in "".join(capsys.readouterr())


class TestWriting:
    def test_is_atomic(self, big, tmp_path, monkeypatch):
        path = report.write(big, tmp_path / "page.html")
        before = path.read_bytes()

        def broken(*_, **__):
            raise OSError(28, "No space left on device", "page.html")

        monkeypatch.setattr(os, "replace", broken)
        with pytest.raises(OSError):
            report.write(big, path)
        assert path.read_bytes() == before and not list(tmp_path.rglob(".*"))

    def test_a_report_does_not_hinder_a_run(self, tmp_path):
        from nash_tf.config import SearchConfig

        report.write(tmp_path)
        run_directory.check(SearchConfig(method="shr", output_dir=str(tmp_path)), resume=False)
