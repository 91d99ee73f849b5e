"""The simulation of many workers: what it gives out, and where time goes."""

import json
from xml.etree import ElementTree

import pytest

from nash_tf.benchmark import many_workers
from nash_tf.benchmark.many_workers import Training, paired, plan, simulate


def test_the_plan_is_the_cores_own():
    first, *steps = plan(8)
    assert first == [[Training(0, many_workers.FIRST_EPOCHS)]] and len(steps) == many_workers.STEPS
    for step in steps:
        assert [len(rung) for rung in step] == [8, 4, 2, 1]
        assert [rung[0].epochs for rung in step] == [4, 8, 16, 32]
        for before, after in zip(step, step[1:], strict=False):
            assert {each.child for each in after} < {each.child for each in before}
    for before, after in zip(paired(plan(8))[1], paired(plan(8))[1][1:], strict=False):
        for place, training in enumerate(after):
            assert training.child in {each.child for each in before[2 * place : 2 * place + 2]}


def test_time_is_told_apart():
    steps = [[[Training(0, 1)]], [[Training(0, 1), Training(1, 1)], [Training(1, 2)]]]
    alone = simulate([steps], 1, [[10.0]])
    assert (alone.seconds, alone.busy, alone.narrow, alone.closing) == (50.0, 50.0, 0.0, 0.0)
    four = simulate([steps], 4, [[10.0]])  # 10 s of one, 10 s of two, 20 s of one
    assert (four.seconds, four.busy, four.narrow, four.closing) == (40.0, 50.0, 110.0, 0.0)
    both = simulate([steps, steps], 2, [[10.0]])  # what one search leaves idle the other takes
    one = simulate([steps], 2, [[10.0]])
    assert (both.seconds, both.busy) == (60.0, 100.0) and one.share(one.busy) == 50 / 80


def test_who_waits_for_the_last_of_a_rung_is_told(monkeypatch):
    seconds = {0: 30.0, 1: 10.0, 2: 10.0, 3: 10.0}
    monkeypatch.setattr(many_workers, "_costs", lambda seed, costs: lambda step, child: seconds[child])
    steps = [[[Training(child, 1) for child in range(4)], [Training(0, 1), Training(2, 1)]]]
    steps = [[[Training(1, 1)]], *steps]
    whole, pairs = (simulate([steps], 4, [], is_in_pairs) for is_in_pairs in (False, True))
    assert (whole.seconds, whole.closing) == (10.0 + 30.0 + 30.0, 3 * 20.0 + 20.0)
    assert whole.narrow == 3 * 10.0 + 2 * 30.0
    # The second pair need not wait for child 0: 10 s of training fall into its 30.
    assert pairs.seconds == whole.seconds and pairs.busy == whole.busy
    assert pairs.closing + pairs.narrow == whole.closing + whole.narrow


def test_the_table_and_the_figure(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(many_workers, "WORKERS", (8, 16))
    (tmp_path / "shr-seed0").mkdir()
    record = {"status": "completed", "step": 0, "epochs": 2, "cpu_seconds": 3.0}
    lines = [json.dumps({**record, "step": step, "cpu_seconds": 2.0 + step}) for step in (0, 1, 1)]
    (tmp_path / "shr-seed0" / "lineage.jsonl").write_text("\n".join(lines))
    many_workers.main(["many_workers", str(tmp_path), str(tmp_path / "out.svg")])
    printed = capsys.readouterr().out
    rows = [line for line in printed.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 2 * len(many_workers.CASES) and "nan" not in printed
    for row in rows:
        shares = [float(cell.removesuffix(" % ").strip(" %")) for cell in row.split("|")[5:8]]
        assert sum(shares) == pytest.approx(100.0, abs=0.2)
    assert ElementTree.parse(tmp_path / "out.svg").getroot().tag.endswith("svg")
